package gossip

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// Hint is what a member says of itself: nothing that must be true.
type Hint struct {
	// Addresses are where its peer port is. They help those that have older ones.
	Addresses []string `json:",omitempty"`
	// MySQL and HTTP are where its clients connect, if it has any.
	MySQL string `json:",omitempty"`
	HTTP  string `json:",omitempty"`
	// Release is the arbor that it runs.
	Release string `json:",omitempty"`
}

// maxHintBytes is what memberlist has room for, beside the cluster's id.
const maxHintBytes = memberlist.MetaMaxSize - len(MemberID{})

// A hint is encoded as the cluster's id and JSON.
func encodeHint(cluster MemberID, h Hint) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode hint: %w", err)
	}
	if len(b) > maxHintBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are possible", ErrHint, len(b), maxHintBytes)
	}
	return append(cluster[:], b...), nil
}

// decodeHint reads what encodeHint wrote. A hint that cannot be read is empty: a
// newer arbor may say other things.
func decodeHint(cluster MemberID, b []byte) (h Hint, err error) {
	rest, ok := bytes.CutPrefix(b, cluster[:])
	if !ok {
		return h, ErrStranger
	}
	if json.Unmarshal(rest, &h) != nil {
		return Hint{}, nil
	}
	return h, nil
}

func parseID(name string) (id MemberID, ok bool) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, true
}
