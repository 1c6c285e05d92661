package tables

import (
	"fmt"
	"slices"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// Draft is a transaction: a state of its own, which begins as one that was in
// force, and the edits that made it another one since. It is used by one goroutine
// at a time.
type Draft struct {
	base  *State
	w     writer
	edits []Edit
	bytes int
}

// NewDraft begins a transaction.
func NewDraft(base *State) *Draft {
	d := &Draft{base: base}
	d.begin()
	return d
}

func (d *Draft) begin() {
	d.w = writer{next: *d.base, changed: map[uint64]*draft{}}
	d.w.next.Version++
	d.w.next.tables = slices.Clone(d.base.tables)
	d.bytes = 0
}

// Base is the state with which the transaction began.
func (d *Draft) Base() *State { return d.base }

// Empty says whether nothing was changed.
func (d *Draft) Empty() bool { return len(d.edits) == 0 }

// Mark is a place in the transaction, for Return.
func (d *Draft) Mark() int { return len(d.edits) }

// Return takes back all edits behind a mark.
func (d *Draft) Return(mark int) error {
	if mark >= len(d.edits) {
		return nil
	}
	kept := d.edits[:mark]
	d.begin()
	for i := range kept {
		if err := d.w.edit(&kept[i]); err != nil {
			return fmt.Errorf("take edits back: %w", err)
		}
		d.bytes += editBytes(&kept[i])
	}
	clear(d.edits[mark:])
	d.edits = kept
	return nil
}

// All gives the tables of a project as the transaction sees them, sorted by name.
func (d *Draft) All(project uint32) []*Table {
	all := slices.Clone(d.w.next.All(project))
	for i := range all {
		all[i] = d.frozen(all[i])
	}
	return all
}

// Table finds a table of a project by its name, as the transaction sees it now: what
// it changes later is not seen through it.
func (d *Draft) Table(project uint32, name string) (*Table, bool) {
	t, ok := d.w.next.Table(project, name)
	if !ok {
		return nil, false
	}
	return d.frozen(t), true
}

// ByID is Table by the table's id.
func (d *Draft) ByID(id uint64) (*Table, bool) {
	t, ok := d.w.next.ByID(id)
	if !ok {
		return nil, false
	}
	return d.frozen(t), true
}

func (d *Draft) frozen(t *Table) *Table {
	c, ok := d.w.changed[t.ID]
	if !ok {
		return t
	}
	own := *c.table
	own.entries = c.txn.CommitOnly()
	return &own
}

// Get gives the value of a key of a table.
func (d *Draft) Get(table uint64, key []byte) ([]byte, bool) {
	if c, ok := d.w.changed[table]; ok {
		return c.txn.Get(key)
	}
	t, ok := d.w.next.ByID(table)
	if !ok {
		return nil, false
	}
	return t.entries.Get(key)
}

// First gives the first key of a table with a prefix.
func (d *Draft) First(table uint64, prefix []byte) (key []byte, ok bool) {
	root := d.root(table)
	if root == nil {
		return nil, false
	}
	it := root.Iterator()
	it.SeekPrefix(prefix)
	key, _, ok = it.Next()
	return key, ok
}

// Last gives the last entry of a table whose key has a prefix.
func (d *Draft) Last(table uint64, prefix []byte) (key, value []byte, ok bool) {
	root := d.root(table)
	if root == nil {
		return nil, nil, false
	}
	it := root.ReverseIterator()
	it.SeekPrefix(prefix)
	return it.Previous()
}

func (d *Draft) root(table uint64) *iradix.Node[[]byte] {
	if c, ok := d.w.changed[table]; ok {
		return c.txn.Root()
	}
	if t, ok := d.w.next.ByID(table); ok {
		return t.entries.Root()
	}
	return nil
}

// Put gives a key of a table a value. The draft keeps both.
func (d *Draft) Put(table uint64, key, value []byte) error {
	return d.do(Edit{Op: OpPut, Table: table, Key: key, Value: value, Before: d.saw(table, key)})
}

// Remove removes a key of a table, which must be there.
func (d *Draft) Remove(table uint64, key []byte) error {
	return d.do(Edit{Op: OpRemove, Table: table, Key: key, Before: d.saw(table, key)})
}

func (d *Draft) saw(table uint64, key []byte) Before {
	if v, ok := d.Get(table, key); ok {
		return Saw(v)
	}
	return Before{}
}

// Create makes a table and gives its id, by which the transaction knows it.
func (d *Draft) Create(project uint32, name string, definition []byte) (uint64, error) {
	err := d.do(Edit{Op: OpCreate, Project: project, Name: name, Definition: definition})
	return d.w.created, err
}

// Define gives a table another name and definition.
func (d *Draft) Define(table uint64, name string, definition []byte) error {
	return d.do(Edit{Op: OpDefine, Table: table, Name: name, Definition: definition})
}

// Drop drops a table.
func (d *Draft) Drop(table uint64) error { return d.do(Edit{Op: OpDrop, Table: table}) }

// Clear removes all entries of a table, whatever they are when the transaction ends.
func (d *Draft) Clear(table uint64) error { return d.do(Edit{Op: OpClear, Table: table}) }

// Keep demands that a table has not been changed by others when the transaction
// ends.
func (d *Draft) Keep(table uint64) error {
	t, ok := d.base.ByID(table)
	if !ok {
		return nil // the transaction made it
	}
	if slices.ContainsFunc(d.edits, func(e Edit) bool { return e.Op == OpKeep && e.Table == table }) {
		return nil
	}
	d.edits = append(d.edits, Edit{Op: OpKeep, Table: table, Version: t.Changed})
	return nil
}

func (d *Draft) do(e Edit) error {
	d.bytes += editBytes(&e)
	if d.bytes > MaxChangeBytes {
		d.bytes -= editBytes(&e)
		return fmt.Errorf("%w: a transaction would change %d bytes, at most %d are possible", ErrLimit, d.bytes, MaxChangeBytes)
	}
	if err := d.w.edit(&e); err != nil {
		d.bytes -= editBytes(&e)
		return err
	}
	d.edits = append(d.edits, e)
	return nil
}

func editBytes(e *Edit) int {
	return 32 + len(e.Name) + len(e.Definition) + len(e.Key) + len(e.Value)
}

// Change is what the transaction asks for when it ends. It uses the tables that it
// writes to as they were defined when it began.
func (d *Draft) Change() (Change, error) {
	var uses, rest Change
	used := map[uint64]bool{}
	created := d.base.lastID
	for _, e := range d.edits {
		if e.Op == OpCreate {
			created++
			rest = append(rest, e)
			continue
		}
		switch t, ok := d.base.ByID(e.Table); {
		case e.Op == OpForget:
		case ok && e.Op == OpKeep: // must be held against what was before the others
			uses = append(uses, e)
			continue
		case ok:
			if !used[t.ID] {
				uses = append(uses, Edit{Op: OpUse, Table: t.ID, Version: t.Defined})
			}
			used[t.ID] = true
		case e.Table == created:
			e.Table = Created
		default:
			return nil, fmt.Errorf("table %d: %w: a transaction makes one table after the other", e.Table, ErrNoTable)
		}
		rest = append(rest, e)
	}
	return append(uses, rest...), nil
}
