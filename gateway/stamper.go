package gateway

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"arbor/catalog"
)

// Stamper gives requests their ingest ids. Its ids only grow, also when the
// clock stands still or is set back, and two Stampers never give the same one:
// each draws its edge number at random.
type Stamper struct {
	now  func() time.Time
	edge uint32

	mu   sync.Mutex // guards last
	last uint64
}

// NewStamper makes a Stamper over a clock.
func NewStamper(now func() time.Time) *Stamper {
	var b [4]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return &Stamper{now: now, edge: binary.BigEndian.Uint32(b[:])}
}

// Raise makes every later stamp greater than id.
func (s *Stamper) Raise(id catalog.IngestID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, id.Time)
}

// Stamp gives the id of one request: its Index is 0, and the request's records
// take the same Time and Edge with their places as Index.
func (s *Stamper) Stamp() catalog.IngestID {
	t := uint64(max(s.now().UnixNano(), 1))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(t, s.last+1)
	return catalog.IngestID{Time: s.last, Edge: s.edge}
}
