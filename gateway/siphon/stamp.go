package siphon

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The headers that carry a stamp to a gateway. A client's own are taken off.
const (
	headerID   = "X-Edge-Id"
	headerTime = "X-Edge-Time"
	headerMAC  = "X-Edge-Mac"
	// headerOnly and headerInto go with a replay of one project.
	headerOnly = "X-Edge-Only"
	headerInto = "X-Edge-Into"
	// headerTokens names projects of tokens that a replay finds in its copies, and that
	// open nothing any more.
	headerTokens = "X-Edge-Tokens"
	// headerAccepted is the gateway's word that it took the stamp.
	headerAccepted = "X-Edge-Accepted"
)

var edgeHeaders = []string{headerID, headerTime, headerMAC, headerOnly, headerInto, headerTokens, headerAccepted}

// MinKeyBytes is the least that an edge key has.
const MinKeyBytes = 16

// Stamp is what makes a request's events the same events whenever it is sent:
// with an event's place in the request it is the event's ingest id.
type Stamp struct {
	// Time is in nanoseconds since 1970 UTC, and no two requests of an Edge share it.
	Time uint64
	// Edge is the number of the siphon's process, drawn at random.
	Edge uint32
}

// stamper stamps the requests of one process.
type stamper struct {
	edge uint32
	now  func() time.Time
	// mu guards last, the latest time that was given.
	mu   sync.Mutex
	last uint64
}

func newStamper(now func() time.Time) *stamper {
	var b [4]byte
	_, _ = rand.Read(b[:]) // which ends the process rather than fail
	return &stamper{edge: binary.BigEndian.Uint32(b[:]), now: now}
}

// stamp gives a stamp later than all before, also when the clock is set back.
func (s *stamper) stamp() Stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, uint64(s.now().UnixNano()))
	return Stamp{Time: s.last, Edge: s.edge}
}

// sign puts the stamp into the headers, with a code that only who has the key
// can make: whoever could choose ingest ids could make events vanish. Only,
// into and tokens are a replay's, and empty for others.
func (s Stamp) sign(h http.Header, key []byte, only, into, tokens string) {
	id, at := fmt.Sprintf("%08x", s.Edge), strconv.FormatUint(s.Time, 10)
	h.Set(headerID, id)
	h.Set(headerTime, at)
	if only != "" {
		h.Set(headerOnly, only)
	}
	if into != "" {
		h.Set(headerInto, into)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "arbor edge 1\n%s\n%s\n%s\n%s", id, at, only, into)
	if tokens != "" {
		h.Set(headerTokens, tokens)
		fmt.Fprintf(mac, "\n%s", tokens)
	}
	h.Set(headerMAC, hex.EncodeToString(mac.Sum(nil)))
}
