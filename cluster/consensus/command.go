package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// Command changes the state. It is applied on every member, at the same place
// of the log, and must give the same state there: so it carries what it needs of
// clocks and chance.
type Command interface {
	// kind is the command's number on disk and wire.
	kind() byte
	// apply changes next, a copy whose slices are still shared, or refuses.
	apply(next *State) error
}

// The kinds. They are on disk: append only.
const (
	kindChange    = 1
	kindAdmit     = 2
	kindAnnounce  = 3
	kindStand     = 4
	kindPlace     = 5
	kindAddSecret = 6
	kindTrust     = 7
	kindLost      = 8
	kindTables    = 9
)

// commands are the empty commands, by kind, but for Change and ChangeTables, whose
// bodies are not JSON.
var commands = map[byte]Command{
	kindAdmit: Admit{}, kindAnnounce: Announce{}, kindStand: Stand{}, kindPlace: Place{},
	kindAddSecret: AddSecret{}, kindTrust: SetTrust{}, kindLost: Lost{},
}

// A command is encoded as
//
//	┌─────────┬──────┬────────────┬───────────────────────────────────────────┐
//	│ version │ kind │ request id │ body: a change as package catalog or      │
//	│ 1       │ 1    │ 16         │ tables encodes it, or JSON                │
//	└─────────┴──────┴────────────┴───────────────────────────────────────────┘
const (
	commandVersion = 1
	commandHead    = 1 + 1 + len(RequestID{})
)

// EncodeCommand gives a command's bytes.
func EncodeCommand(id RequestID, c Command) ([]byte, error) {
	b := append([]byte{commandVersion, c.kind()}, id[:]...)
	if change, ok := c.(Change); ok {
		return append(b, catalog.EncodeChange(change.Change)...), nil
	}
	if change, ok := c.(ChangeTables); ok {
		return append(b, change.Change.Encode()...), nil
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	return append(b, body...), nil
}

// DecodeCommand reads what EncodeCommand wrote.
func DecodeCommand(b []byte) (id RequestID, c Command, err error) {
	if len(b) < commandHead {
		return id, nil, fmt.Errorf("%w: a command of %d bytes", ErrCorrupt, len(b))
	}
	if b[0] != commandVersion {
		return id, nil, fmt.Errorf("%w: a command of version %d, this one reads version %d", ErrVersion, b[0], commandVersion)
	}
	body := b[copy(id[:], b[2:])+2:]
	if b[1] == kindChange {
		change, err := catalog.DecodeChange(body)
		return id, Change{change}, err
	}
	if b[1] == kindTables {
		change, err := tables.DecodeChange(body)
		if errors.Is(err, tables.ErrVersion) {
			err = fmt.Errorf("%w: %w", ErrVersion, err)
		}
		return id, ChangeTables{change}, err
	}
	empty, ok := commands[b[1]]
	if !ok {
		return id, nil, fmt.Errorf("%w: there is no command of kind %d", ErrVersion, b[1])
	}
	into := reflect.New(reflect.TypeOf(empty))
	if err := json.Unmarshal(body, into.Interface()); err != nil {
		return id, nil, fmt.Errorf("%w: a command of kind %d: %w", ErrCorrupt, b[1], err)
	}
	return id, into.Elem().Interface().(Command), nil
}

// Apply makes the next state. A refusal changes nothing but the memory of
// requests; a request that is remembered changes nothing at all, and ends as it
// did.
func (s *State) Apply(id RequestID, c Command) (*State, error) {
	for i := len(s.Requests) - 1; i >= 0; i-- {
		if s.Requests[i].ID == id {
			return s, decodeError(s.Requests[i].Code, s.Requests[i].Text)
		}
	}
	next := *s
	err := c.apply(&next)
	if err != nil {
		next = *s
	}
	code, text := encodeError(err)
	kept := s.Requests[max(0, len(s.Requests)-MaxRequests+1):]
	next.Requests = append(append(make([]Request, 0, len(kept)+1), kept...), Request{ID: id, Code: code, Text: text})
	next.Version++
	return &next, decodeError(code, text)
}
