package tables

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"github.com/zeebo/xxh3"
)

// Op is what an edit does.
type Op uint8

// The edits. They are on disk and wire: append only.
const (
	// OpCreate makes a table Name of Project, with Definition and no entries.
	OpCreate Op = 1 + iota
	// OpDrop drops Table.
	OpDrop
	// OpDefine gives Table a Name and a Definition.
	OpDefine
	// OpUse demands that Table's Defined is Version.
	OpUse
	// OpKeep demands that Table's Changed is Version.
	OpKeep
	// OpClear removes all entries of Table.
	OpClear
	// OpPut gives Key the Value, where Before was before.
	OpPut
	// OpRemove removes Key, where Before was before.
	OpRemove
	// OpForget drops all tables of Project.
	OpForget
)

// Created, as the table of an edit, is the one that the change made last.
const Created = 0

// Edit is a part of a change; an Op says which fields it has.
type Edit struct {
	Op         Op
	Table      uint64
	Project    uint32
	Name       string
	Definition []byte
	Version    uint64
	Key, Value []byte
	Before     Before
}

// Before is what a transaction saw under a key: the zero Before is nothing at all,
// any other the digest of a value.
type Before [16]byte

// Saw gives the Before of a value that was there.
func Saw(value []byte) Before {
	d := xxh3.Hash128(value).Bytes()
	if d == (Before{}) {
		d[0] = 1
	}
	return d
}

// Change is a transaction: its edits are made in their order, all or none.
type Change []Edit

// Apply makes the next state. An error changes nothing.
func (s *State) Apply(c Change) (*State, error) {
	w := writer{next: *s, changed: map[uint64]*draft{}}
	w.next.Version++
	w.next.tables = slices.Clone(s.tables)
	for i := range c {
		if err := w.edit(&c[i]); err != nil {
			return nil, err
		}
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	return &w.next, nil
}

// writer is one Apply.
type writer struct {
	next    State
	created uint64
	// changed are the tables that have new entries, by id.
	changed map[uint64]*draft
}

// draft is a table whose entries are being changed.
type draft struct {
	table *Table
	txn   *iradix.Txn[[]byte]
}

func (w *writer) edit(e *Edit) error {
	switch e.Op {
	case OpCreate:
		return w.create(e)
	case OpForget:
		for _, t := range slices.Clone(w.next.All(e.Project)) {
			w.drop(t)
		}
		return nil
	}
	id := cmp.Or(e.Table, w.created)
	t, ok := w.next.ByID(id)
	if !ok {
		return fmt.Errorf("table %d: %w", id, ErrNoTable)
	}
	switch e.Op {
	case OpDrop:
		w.drop(t)
	case OpDefine:
		return w.define(t, e)
	case OpUse:
		if t.Defined != e.Version {
			return fmt.Errorf("table %s: %w: its definition is another one", t.Name, ErrConflict)
		}
	case OpKeep:
		if t.Changed != e.Version {
			return fmt.Errorf("table %s: %w", t.Name, ErrConflict)
		}
	case OpClear:
		d := w.draft(t)
		d.txn, d.table.bytes = iradix.New[[]byte]().Txn(), 0
	case OpPut, OpRemove:
		return w.write(t, e)
	default:
		return fmt.Errorf("%w: there is no edit %d", ErrVersion, e.Op)
	}
	return nil
}

func (w *writer) create(e *Edit) error {
	if err := checkTable(e.Name, e.Definition); err != nil {
		return err
	}
	if len(w.next.All(e.Project)) >= MaxTables {
		return fmt.Errorf("table %s: %w: the project has %d tables", e.Name, ErrLimit, MaxTables)
	}
	i, found := w.next.search(e.Project, e.Name)
	if found {
		return fmt.Errorf("table %s: %w", e.Name, ErrTableExists)
	}
	w.next.lastID++
	w.created = w.next.lastID
	w.next.tables = slices.Insert(w.next.tables, i, &Table{
		ID: w.created, Project: e.Project, Name: e.Name, Definition: e.Definition,
		Defined: w.next.Version, Changed: w.next.Version, entries: iradix.New[[]byte](),
	})
	return nil
}

func (w *writer) drop(t *Table) {
	i, _ := w.next.search(t.Project, t.Name)
	w.next.tables = slices.Delete(w.next.tables, i, i+1)
	delete(w.changed, t.ID)
}

func (w *writer) define(t *Table, e *Edit) error {
	if err := checkTable(e.Name, e.Definition); err != nil {
		return err
	}
	d := w.draft(t)
	i, _ := w.next.search(t.Project, t.Name)
	w.next.tables = slices.Delete(w.next.tables, i, i+1)
	i, found := w.next.search(t.Project, e.Name)
	if found {
		return fmt.Errorf("table %s: %w", e.Name, ErrTableExists)
	}
	w.next.tables = slices.Insert(w.next.tables, i, d.table)
	d.table.Name, d.table.Definition, d.table.Defined = e.Name, e.Definition, w.next.Version
	return nil
}

// draft makes a table one whose entries, and fields, may be changed.
func (w *writer) draft(t *Table) *draft {
	if d, ok := w.changed[t.ID]; ok {
		return d
	}
	own := *t
	own.Changed = w.next.Version
	d := &draft{table: &own, txn: t.entries.Txn()}
	i, _ := w.next.search(t.Project, t.Name)
	w.next.tables[i] = &own
	w.changed[t.ID] = d
	return d
}

func (w *writer) write(t *Table, e *Edit) error {
	d := w.draft(t)
	before, ok := d.txn.Get(e.Key)
	if ok != (e.Before != Before{}) || ok && Saw(before) != e.Before {
		return fmt.Errorf("table %s: %w", t.Name, ErrConflict)
	}
	if ok {
		d.table.bytes -= sizeOf(e.Key, before)
	}
	if e.Op == OpRemove {
		d.txn.Delete(e.Key)
		return nil
	}
	if err := checkEntry(e.Key, e.Value); err != nil {
		return fmt.Errorf("table %s: %w", t.Name, err)
	}
	d.txn.Insert(e.Key, e.Value)
	d.table.bytes += sizeOf(e.Key, e.Value)
	return nil
}

// finish makes the drafts tables, within the limits.
func (w *writer) finish() error {
	for _, d := range w.changed {
		d.table.entries = d.txn.CommitOnly()
		if d.table.bytes > MaxTableBytes {
			return fmt.Errorf("table %s: %w: it would have %d bytes with its indexes, at most %d are possible", d.table.Name, ErrLimit, d.table.bytes, MaxTableBytes)
		}
	}
	w.next.bytes = 0
	for _, t := range w.next.tables {
		w.next.bytes += t.bytes
	}
	if w.next.bytes > MaxTotalBytes {
		return fmt.Errorf("%w: all tables together would have %d bytes, at most %d are possible", ErrLimit, w.next.bytes, MaxTotalBytes)
	}
	return nil
}

// Equal says whether two states are the same to the byte; tests ask.
func (s *State) Equal(o *State) bool { return bytes.Equal(s.Encode(), o.Encode()) }
