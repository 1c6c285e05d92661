package consensus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// Errors of encodings.
var (
	// ErrCorrupt: encoded bytes are damaged.
	ErrCorrupt = errors.New("metadata is damaged")
	// ErrVersion: encoded bytes were written by a newer arbor.
	ErrVersion = errors.New("metadata was written by a newer arbor")
)

// State is everything that members agree on. Treat it and all that it refers to
// as immutable: applying a command makes the next one.
type State struct {
	// Version counts the commands that made this state.
	Version uint64
	// Cluster is the cluster's id, drawn when it began.
	Cluster MemberID
	// Catalog says what exists.
	Catalog *catalog.Catalog
	// Tables are the mutable tables.
	Tables *tables.State `json:"-"`
	// Members are sorted by id; removed ones stay, so that ids are never reused.
	Members []*Member
	// PlacementEpoch counts the placements, and Placement is the one in force, in
	// its owner's encoding.
	PlacementEpoch uint64
	Placement      []byte
	// Trust is the cluster's certificate authority and its keys, in their owner's
	// encoding. It is secret.
	Trust []byte
	// Secrets are join tokens that nobody has used yet.
	Secrets []Secret
	// Requests are the commands that were applied last, oldest first, and what
	// became of them, so that one that is sent again is not applied again.
	Requests []Request
}

// Secret opens the cluster to one new member.
type Secret struct {
	// Hash is SHA-256 of the secret.
	Hash [32]byte
	// Expires is microseconds since 1970.
	Expires int64
}

// Request is a command's id and how it ended.
type Request struct {
	ID RequestID
	// Code is the error's, 0 for none, and Text the rest of it.
	Code uint16 `json:",omitempty"`
	Text string `json:",omitempty"`
}

// RequestID is 16 random bytes that name a command, however often it is sent.
type RequestID [16]byte

// Limits of a state.
const (
	MaxSecrets   = 1000
	MaxRequests  = 1024
	MaxPlacement = 16 << 20
	MaxTrust     = 1 << 20
)

// tables are the state's, none for a state that was made without.
func (s *State) tables() *tables.State {
	if s.Tables == nil {
		return &tables.State{}
	}
	return s.Tables
}

// Member finds a member, removed ones included.
func (s *State) Member(id MemberID) (*Member, bool) {
	i, found := s.search(id)
	if !found {
		return nil, false
	}
	return s.Members[i], true
}

func (s *State) search(id MemberID) (int, bool) {
	return slices.BinarySearchFunc(s.Members, id, func(m *Member, id MemberID) int { return bytes.Compare(m.ID[:], id[:]) })
}

// Present are the members that were not removed.
func (s *State) Present() []*Member {
	return slices.DeleteFunc(slices.Clone(s.Members), func(m *Member) bool { return m.Standing == Removed })
}

// A state is encoded as
//
//	┌──────────┬─────────┬───────────────┬──────────────┬─────────┬────────┬──────────────────────────┐
//	│ arborsta │ version │ catalog bytes │ tables bytes │ catalog │ tables │ the rest of State, JSON  │
//	│ 8        │ 1       │ 8, LE         │ 8, LE        │         │        │                          │
//	└──────────┴─────────┴───────────────┴──────────────┴─────────┴────────┴──────────────────────────┘
//
// The snapshot that holds it has the checksum. Version 1, which is still read, has no
// tables and not their length.
const (
	stateKind    = "arborsta"
	stateVersion = 2
	stateHead    = len(stateKind) + 1 + 8
	// statePlain is the version without tables.
	statePlain = 1
)

// Encode gives the state's bytes. Equal states have equal bytes.
func (s *State) Encode() ([]byte, error) {
	c, t := s.Catalog.Encode(), s.tables().Encode()
	rest := *s
	rest.Catalog = nil
	encoded, err := json.Marshal(&rest)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	b := make([]byte, 0, stateHead+8+len(c)+len(t)+len(encoded))
	b = append(append(b, stateKind...), stateVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(c)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(t)))
	return append(append(append(b, c...), t...), encoded...), nil
}

// DecodeState reads what Encode wrote.
func DecodeState(b []byte) (*State, error) {
	if len(b) < stateHead || string(b[:len(stateKind)]) != stateKind {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, stateKind)
	}
	version := b[len(stateKind)]
	if version != stateVersion && version != statePlain {
		return nil, fmt.Errorf("%w: version %d, this one reads version %d", ErrVersion, version, stateVersion)
	}
	n, b := binary.LittleEndian.Uint64(b[len(stateKind)+1:]), b[stateHead:]
	m := uint64(0)
	if version != statePlain {
		if len(b) < 8 {
			return nil, fmt.Errorf("%w: it ends in its head", ErrCorrupt)
		}
		m, b = binary.LittleEndian.Uint64(b), b[8:]
	}
	if n > uint64(len(b)) || m > uint64(len(b))-n {
		return nil, fmt.Errorf("%w: a catalog of %d bytes and tables of %d in %d", ErrCorrupt, n, m, len(b))
	}
	s := &State{Tables: &tables.State{}}
	if m > 0 {
		var err error
		if s.Tables, err = tables.DecodeState(b[n : n+m]); err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
	}
	if err := json.Unmarshal(b[n+m:], s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	c, err := catalog.DecodeCatalog(b[:n])
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	s.Catalog = c
	for i, m := range s.Members {
		if m == nil || i > 0 && bytes.Compare(s.Members[i-1].ID[:], m.ID[:]) >= 0 {
			return nil, fmt.Errorf("%w: members are not in order", ErrCorrupt)
		}
		if err := m.validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return s, nil
}
