// Package tables holds the mutable tables of projects as a value: their
// definitions, their rows and the entries of their indexes, all of which are bytes
// that the gateway gives a meaning. It does no I/O and reads no clock: applying the
// same changes in the same order gives the same state, on every member.
//
// Rows are kept in immutable radix trees, so that a state is never changed but
// makes the next one, which shares all that is equal: a transaction reads the state
// that it began with for as long as it wants, at no cost and without a lock.
//
// A change is applied as a whole or not at all. It says of every entry that it
// writes what was there before, and is refused with ErrConflict if that is so no
// more: whoever changed an entry first has won, and no update is lost.
package tables

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// Limits of the tables. All members hold all of them in memory.
const (
	// MaxTableBytes bounds the entries of one table, those of its indexes included.
	MaxTableBytes = 64 << 20
	// MaxTotalBytes bounds all tables together.
	MaxTotalBytes = 256 << 20
	// MaxChangeBytes bounds a change, which is a transaction, when it is encoded.
	MaxChangeBytes = 16 << 20
	// MaxTables bounds the number of tables of a project.
	MaxTables = 1000
	// MaxNameBytes bounds a table's name, MaxDefinitionBytes its definition.
	MaxNameBytes       = 64 * 4
	MaxDefinitionBytes = 256 << 10
	// MaxKeyBytes and MaxValueBytes bound an entry.
	MaxKeyBytes   = 8 << 10
	MaxValueBytes = 4 << 20
	// entryBytes is what an entry counts besides its key and value.
	entryBytes = 64
)

// Errors of changes and encodings.
var (
	// ErrConflict: something that the change depends on was changed by another one.
	ErrConflict = errors.New("another transaction changed the same rows")
	// ErrTableExists: the project has a table of that name.
	ErrTableExists = errors.New("table exists already")
	// ErrNoTable: there is no such table.
	ErrNoTable = errors.New("no such table")
	// ErrLimit: there would be more than there may be.
	ErrLimit = errors.New("limit of mutable tables exceeded")
	// ErrCorrupt: encoded bytes are damaged.
	ErrCorrupt = errors.New("tables are damaged")
	// ErrVersion: encoded bytes were written by a newer arbor.
	ErrVersion = errors.New("tables were written by a newer arbor")
)

// State is all tables. Treat it and all that it refers to as immutable. The zero
// State has none.
type State struct {
	// Version counts the changes that made this state.
	Version uint64
	// lastID is the id of the table that was made last.
	lastID uint64
	bytes  int64
	// tables are sorted by project and name.
	tables []*Table
}

// Table is one table of a project.
type Table struct {
	// ID is the table's for as long as it is there, and no other table's ever.
	ID uint64
	// Project is the project's id.
	Project uint32
	// Name is as it was given; no two of a project differ only in case.
	Name string
	// Definition is the gateway's.
	Definition []byte
	// Defined is the version that gave the table its definition, and Changed the
	// one that changed anything of it last.
	Defined, Changed uint64

	bytes   int64
	entries *iradix.Tree[[]byte]
}

// All gives the tables of a project, sorted by name.
func (s *State) All(project uint32) []*Table {
	from, _ := s.search(project, "")
	to := from
	for to < len(s.tables) && s.tables[to].Project == project {
		to++
	}
	return s.tables[from:to:to]
}

// Projects gives the projects that have tables, sorted.
func (s *State) Projects() (all []uint32) {
	for _, t := range s.tables {
		if len(all) == 0 || all[len(all)-1] != t.Project {
			all = append(all, t.Project)
		}
	}
	return all
}

// Table finds a table of a project by its name, in any case.
func (s *State) Table(project uint32, name string) (*Table, bool) {
	i, found := s.search(project, name)
	if !found {
		return nil, false
	}
	return s.tables[i], true
}

// ByID finds a table by its id.
func (s *State) ByID(id uint64) (*Table, bool) {
	i := slices.IndexFunc(s.tables, func(t *Table) bool { return t.ID == id })
	if i < 0 {
		return nil, false
	}
	return s.tables[i], true
}

// Bytes is what all tables count for MaxTotalBytes.
func (s *State) Bytes() int64 { return s.bytes }

func (s *State) search(project uint32, name string) (int, bool) {
	name = strings.ToLower(name)
	return slices.BinarySearchFunc(s.tables, project, func(t *Table, project uint32) int {
		if t.Project != project {
			return int(int64(t.Project) - int64(project))
		}
		return strings.Compare(strings.ToLower(t.Name), name)
	})
}

// Bytes is what the table counts for MaxTableBytes.
func (t *Table) Bytes() int64 { return t.bytes }

// Entries is the number of entries.
func (t *Table) Entries() int { return t.entries.Len() }

// Get gives the value of a key. It is the table's and must not be changed.
func (t *Table) Get(key []byte) ([]byte, bool) { return t.entries.Get(key) }

// Seek gives the entries whose keys begin with a prefix, in the order of their keys.
// They are the table's and must not be changed.
func (t *Table) Seek(prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		it := t.entries.Root().Iterator()
		it.SeekPrefix(prefix)
		for k, v, ok := it.Next(); ok; k, v, ok = it.Next() {
			if !yield(k, v) {
				return
			}
		}
	}
}

// Cursor goes through entries in the order of their keys.
type Cursor struct{ it *iradix.Iterator[[]byte] }

// Cursor gives the entries whose keys begin with a prefix, as Seek does.
func (t *Table) Cursor(prefix []byte) *Cursor {
	it := t.entries.Root().Iterator()
	it.SeekPrefix(prefix)
	return &Cursor{it}
}

// Next gives the next entry, if there is one.
func (c *Cursor) Next() (key, value []byte, ok bool) { return c.it.Next() }

func sizeOf(key, value []byte) int64 { return int64(entryBytes + len(key) + len(value)) }

// checkEntry holds an entry against the limits.
func checkEntry(key, value []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("%w: an entry without a key", ErrCorrupt)
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("%w: a key has %d bytes, at most %d are possible", ErrLimit, len(key), MaxKeyBytes)
	case len(value) > MaxValueBytes:
		return fmt.Errorf("%w: a row has %d bytes, at most %d are possible", ErrLimit, len(value), MaxValueBytes)
	}
	return nil
}

func checkTable(name string, definition []byte) error {
	switch {
	case name == "" || len(name) > MaxNameBytes:
		return fmt.Errorf("%w: a table's name has %d bytes, from 1 to %d are possible", ErrLimit, len(name), MaxNameBytes)
	case len(definition) > MaxDefinitionBytes:
		return fmt.Errorf("%w: a table's definition has %d bytes, at most %d are possible", ErrLimit, len(definition), MaxDefinitionBytes)
	}
	return nil
}
