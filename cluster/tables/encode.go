package tables

import (
	"encoding/binary"
	"fmt"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// A state and a change are encoded as below; numbers are unsigned varints, and
// bytes have their length before them. Neither has a checksum: the log, the
// snapshot and the backup that hold them do.
//
//	state   ┌──────────┬─────────┬─────────┬─────────┬────────┬──────────────┐
//	        │ arbortab │ version │ Version │ last id │ tables │ table · …    │
//	        │ 8        │ 1       │         │         │        │              │
//	        └──────────┴─────────┴─────────┴─────────┴────────┴──────────────┘
//	table   ┌────┬─────────┬──────┬────────────┬─────────┬─────────┬─────────┬───────────────┐
//	        │ id │ project │ name │ definition │ Defined │ Changed │ entries │ key value · … │
//	        └────┴─────────┴──────┴────────────┴─────────┴─────────┴─────────┴───────────────┘
//	change  ┌─────────┬───────┬──────────────────────────────────────────────┐
//	        │ version │ edits │ edit · …: op (1), then the fields that it has │
//	        │ 1       │       │                                              │
//	        └─────────┴───────┴──────────────────────────────────────────────┘
const (
	stateKind     = "arbortab"
	stateVersion  = 1
	changeVersion = 1
)

// Encode gives the state's bytes. Equal states have equal bytes.
func (s *State) Encode() []byte {
	b := make([]byte, 0, int(s.bytes)+1024)
	b = append(append(b, stateKind...), stateVersion)
	b = binary.AppendUvarint(b, s.Version)
	b = binary.AppendUvarint(b, s.lastID)
	b = binary.AppendUvarint(b, uint64(len(s.tables)))
	for _, t := range s.tables {
		b = binary.AppendUvarint(b, t.ID)
		b = binary.AppendUvarint(b, uint64(t.Project))
		b = appendBytes(b, []byte(t.Name))
		b = appendBytes(b, t.Definition)
		b = binary.AppendUvarint(b, t.Defined)
		b = binary.AppendUvarint(b, t.Changed)
		b = binary.AppendUvarint(b, uint64(t.entries.Len()))
		for k, v := range t.Seek(nil) {
			b = appendBytes(appendBytes(b, k), v)
		}
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// DecodeState reads what Encode wrote. It keeps none of b.
func DecodeState(b []byte) (*State, error) {
	if len(b) <= len(stateKind) || string(b[:len(stateKind)]) != stateKind {
		return nil, fmt.Errorf("%w: they do not begin with %q", ErrCorrupt, stateKind)
	}
	if v := b[len(stateKind)]; v != stateVersion {
		return nil, fmt.Errorf("%w: version %d, this one reads version %d", ErrVersion, v, stateVersion)
	}
	r := reader{b: b[len(stateKind)+1:]}
	s := &State{Version: r.number(), lastID: r.number()}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		t := r.table()
		if r.err != nil {
			break
		}
		if at, found := s.search(t.Project, t.Name); found || at != len(s.tables) {
			return nil, fmt.Errorf("%w: the tables are not in order", ErrCorrupt)
		}
		if err := checkTable(t.Name, t.Definition); err != nil || t.ID == Created || t.ID > s.lastID || t.Changed > s.Version || t.Defined > t.Changed {
			return nil, fmt.Errorf("%w: table %q of number %d", ErrCorrupt, t.Name, t.ID)
		}
		if _, found := s.ByID(t.ID); found {
			return nil, fmt.Errorf("%w: two tables have the number %d", ErrCorrupt, t.ID)
		}
		s.tables = append(s.tables, t)
		s.bytes += t.bytes
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%w: %d bytes follow", ErrCorrupt, len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

// Encode gives the change's bytes.
func (c Change) Encode() []byte {
	size := 16
	for i := range c {
		size += 64 + len(c[i].Key) + len(c[i].Value) + len(c[i].Definition)
	}
	b := append(make([]byte, 0, size), changeVersion)
	b = binary.AppendUvarint(b, uint64(len(c)))
	for i := range c {
		e := &c[i]
		b = append(b, byte(e.Op))
		switch e.Op {
		case OpCreate:
			b = binary.AppendUvarint(b, uint64(e.Project))
			b = appendBytes(appendBytes(b, []byte(e.Name)), e.Definition)
		case OpDrop, OpClear:
			b = binary.AppendUvarint(b, e.Table)
		case OpDefine:
			b = binary.AppendUvarint(b, e.Table)
			b = appendBytes(appendBytes(b, []byte(e.Name)), e.Definition)
		case OpUse, OpKeep:
			b = binary.AppendUvarint(b, e.Table)
			b = binary.AppendUvarint(b, e.Version)
		case OpPut:
			b = binary.AppendUvarint(b, e.Table)
			b = appendBytes(append(b, e.Before[:]...), e.Key)
			b = appendBytes(b, e.Value)
		case OpRemove:
			b = binary.AppendUvarint(b, e.Table)
			b = appendBytes(append(b, e.Before[:]...), e.Key)
		case OpForget:
			b = binary.AppendUvarint(b, uint64(e.Project))
		}
	}
	return b
}

// DecodeChange reads what Encode wrote. It keeps none of b.
func DecodeChange(b []byte) (Change, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: a change without bytes", ErrCorrupt)
	}
	if b[0] != changeVersion {
		return nil, fmt.Errorf("%w: a change of version %d, this one reads version %d", ErrVersion, b[0], changeVersion)
	}
	r := reader{b: b[1:]}
	n := r.number()
	if n > uint64(len(r.b)) { // an edit has a byte at least
		return nil, fmt.Errorf("%w: a change of %d edits in %d bytes", ErrCorrupt, n, len(b))
	}
	c := make(Change, n)
	for i := range c {
		if c[i] = r.edit(); r.err != nil {
			return nil, r.err
		}
	}
	if len(r.b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow a change", ErrCorrupt, len(r.b))
	}
	return c, r.err
}

// reader reads encoded bytes from their beginning, up to the first error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
	r.b = nil
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("a number is cut off")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// take gives the next n bytes, which are r's.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("%d bytes in %d", n, len(r.b))
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// bytes gives a copy of the next bytes, which have their length before them.
func (r *reader) bytes() []byte { return append([]byte{}, r.take(r.number())...) }

func (r *reader) project() uint32 {
	v := r.number()
	if v > 1<<32-1 {
		r.fail("project %d", v)
	}
	return uint32(v)
}

func (r *reader) table() *Table {
	t := &Table{ID: r.number(), Project: r.project(), Name: string(r.bytes()), Definition: r.bytes(), Defined: r.number(), Changed: r.number()}
	txn := iradix.New[[]byte]().Txn()
	var last []byte
	for n := r.number(); n > 0 && r.err == nil; n-- {
		k, v := r.bytes(), r.bytes()
		if r.err != nil {
			break
		}
		if err := checkEntry(k, v); err != nil || string(k) <= string(last) {
			r.fail("an entry of table %q", t.Name)
			break
		}
		txn.Insert(k, v)
		last = k
		t.bytes += sizeOf(k, v)
	}
	t.entries = txn.CommitOnly()
	return t
}

func (r *reader) edit() (e Edit) {
	op := r.take(1)
	if r.err != nil {
		return e
	}
	switch e.Op = Op(op[0]); e.Op {
	case OpCreate:
		e.Project, e.Name, e.Definition = r.project(), string(r.bytes()), r.bytes()
	case OpDrop, OpClear:
		e.Table = r.number()
	case OpDefine:
		e.Table, e.Name, e.Definition = r.number(), string(r.bytes()), r.bytes()
	case OpUse, OpKeep:
		e.Table, e.Version = r.number(), r.number()
	case OpPut:
		e.Table = r.number()
		copy(e.Before[:], r.take(16))
		e.Key, e.Value = r.bytes(), r.bytes()
	case OpRemove:
		e.Table = r.number()
		copy(e.Before[:], r.take(16))
		e.Key = r.bytes()
	case OpForget:
		e.Project = r.project()
	default:
		r.err = fmt.Errorf("%w: there is no edit %d", ErrVersion, op[0])
	}
	return e
}
