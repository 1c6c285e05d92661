package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// RowReader knows what the rows of mutable tables say, which here are bytes: the
// gateway.
type RowReader interface {
	// RemoveRows removes, in a transaction, rows of a project's tables that are of the
	// users that of suppresses, most at once, and says how many. When there are no more
	// it gives each of the tables that can have such rows its definition anew: so every
	// other transaction that began before, and could bring some back, is refused.
	RemoveRows(ctx context.Context, draft *tables.Draft, project catalog.ProjectID, of *catalog.Suppression, most int) (rows int, more bool, err error)
}

// ReadRows lets the cluster remove the rows of erased users. It is called before anything
// is erased.
func (c *Cluster) ReadRows(r RowReader) { c.rows.Store(&r) }

// How many rows of users were removed is kept in a table of no project: an entry for
// each erasure, which comes and grows with the very changes that remove the rows. So
// removing them can stop anywhere, and goes on, and each is counted once.
//
//	key    the erasure's ingest id, 16 bytes
//	value  rows, uvarint · 1 when there are no more
const (
	ownProject       = 0
	erasedRowsTable  = "erased rows"
	eraseRowsAtOnce  = 10_000
	eraseRowsRetries = 100
)

// erasedRows says how many rows an erasure removed, and whether it has all.
func erasedRows(s interface {
	Table(uint32, string) (*tables.Table, bool)
}, id catalog.IngestID) (rows uint64, all bool) {
	t, ok := s.Table(ownProject, erasedRowsTable)
	if !ok {
		return 0, false
	}
	value, ok := t.Get(erasedRowsKey(id))
	if !ok {
		return 0, false
	}
	rows, n := binary.Uvarint(value)
	return rows, n > 0 && len(value) > n && value[n] == 1
}

func erasedRowsKey(id catalog.IngestID) []byte {
	key, _ := id.AppendBinary(nil) // never gives an error
	return key
}

// rowsErased says that the tables are without the rows that an erasure removes.
func rowsErased(id catalog.IngestID) func(*tables.State) bool {
	return func(s *tables.State) bool { _, all := erasedRows(s, id); return all }
}

// eraseRows removes the rows of an erasure's user from the tables in force, and says how
// many those were. It may be repeated.
func (c *Cluster) eraseRows(ctx context.Context, id catalog.IngestID) (uint64, error) {
	for refused := 0; ; {
		rows, all := erasedRows(c.Tables(), id)
		if all {
			return rows, nil
		}
		err := c.eraseSomeRows(ctx, id)
		disturbed := errors.Is(err, tables.ErrConflict) || errors.Is(err, tables.ErrNoTable) || errors.Is(err, tables.ErrTableExists)
		if refused++; disturbed && refused < eraseRowsRetries {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("erase rows of mutable tables: %w", err)
		}
		refused = 0
	}
}

func (c *Cluster) eraseSomeRows(ctx context.Context, id catalog.IngestID) error {
	e, of, ok := c.Catalog().Erasure(id)
	if !ok {
		return fmt.Errorf("erasure %s: %w", id, catalog.ErrNoErasure)
	}
	draft := tables.NewDraft(c.Tables())
	removed, more := 0, false
	if len(draft.All(uint32(e.Project))) > 0 {
		reader := c.rows.Load()
		if reader == nil {
			return fmt.Errorf("%w: nobody here can read rows of mutable tables", ErrNotErasable)
		}
		var err error
		if removed, more, err = (*reader).RemoveRows(ctx, draft, e.Project, of, eraseRowsAtOnce); err != nil {
			return err
		}
	}
	if err := c.noteErasedRows(draft, id, removed, !more); err != nil {
		return err
	}
	change, err := draft.Change()
	if err != nil {
		return err
	}
	_, err = c.metadata.ChangeTables(ctx, change)
	return err
}

// noteErasedRows adds to the record of an erasure, and takes out those that have ended.
func (c *Cluster) noteErasedRows(draft *tables.Draft, id catalog.IngestID, removed int, all bool) error {
	before, _ := erasedRows(draft, id)
	value := binary.AppendUvarint(nil, before+uint64(removed))
	if all {
		value = append(value, 1)
	}
	own, ok := draft.Table(ownProject, erasedRowsTable)
	if !ok {
		table, err := draft.Create(ownProject, erasedRowsTable, nil)
		if err != nil {
			return err
		}
		return draft.Put(table, erasedRowsKey(id), value)
	}
	current := c.Catalog()
	for key := range own.Seek(nil) {
		of := catalog.IngestIDFromBytes(key)
		if e, _, ok := current.Erasure(of); of != id && (!ok || e.State == catalog.ErasureDone) {
			if err := draft.Remove(own.ID, key); err != nil {
				return err
			}
		}
	}
	return draft.Put(own.ID, erasedRowsKey(id), value)
}

// HideErasedRows removes the rows of users whose erasures are under way, as a server does
// before it lets anybody in: after a crash, or a restore.
func (c *Cluster) HideErasedRows(ctx context.Context) error {
	for _, e := range c.Catalog().Erasures {
		if e.State != catalog.ErasureDone {
			if _, err := c.eraseRows(ctx, e.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
