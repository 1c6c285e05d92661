package gateway

import (
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/cluster/tables"
)

// increments are the next values of AUTO_INCREMENT columns as far as this process
// has given them: a number is given once, also if its transaction is taken back.
// Another member that gives the same finds out when its transaction ends.
type increments struct {
	mu   sync.Mutex
	next map[uint64]uint64 // by table
}

func (i *increments) forget(table uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.next, table)
}

// raise gives the next number, which is least or more; given, if it is not 0, was
// chosen by the statement.
func (i *increments) raise(table, least, given uint64) uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.next == nil {
		i.next = make(map[uint64]uint64)
	}
	n := max(i.next[table], least, 1)
	if given != 0 {
		i.next[table] = max(n, given+1)
		return given
	}
	i.next[table] = n + 1
	return n
}

// PeekNextAutoIncrementValue is the number that comes next.
func (t *mutableTable) PeekNextAutoIncrementValue(ctx *sql.Context) (uint64, error) {
	least, err := t.leastIncrement(ctx)
	if err != nil {
		return 0, err
	}
	t.gateway.increments.mu.Lock()
	defer t.gateway.increments.mu.Unlock()
	return max(t.gateway.increments.next[t.id], least, 1), nil
}

// GetNextAutoIncrementValue takes the next number, or notes the one that is given.
func (t *mutableTable) GetNextAutoIncrementValue(ctx *sql.Context, given any) (uint64, error) {
	least, err := t.leastIncrement(ctx)
	if err != nil {
		return 0, err
	}
	chosen := uint64(0)
	if given != nil {
		n, _, err := types.Int64.Convert(ctx, given)
		if err != nil {
			if n, _, err = types.Uint64.Convert(ctx, given); err != nil {
				return 0, err
			}
		}
		switch n := n.(type) {
		case int64:
			if n < 0 {
				return uint64(n), nil
			}
			chosen = uint64(n)
		case uint64:
			chosen = n
		}
	}
	return t.gateway.increments.raise(t.id, least, chosen), nil
}

// leastIncrement is one more than the greatest number that a row has.
func (t *mutableTable) leastIncrement(ctx *sql.Context) (uint64, error) {
	_, shape, err := t.now(ctx)
	if err != nil {
		return 0, err
	}
	least := shape.AutoIncrement
	for i := range shape.Columns {
		if !shape.Columns[i].AutoIncrement {
			continue
		}
		value, ok := shape.greatest(t.gateway.tablesOf(ctx), t.id, shape.Columns[i].ID)
		if !ok {
			return least, nil
		}
		row, err := shape.readRow(value, nil)
		if err != nil {
			return 0, err
		}
		n, inRange, err := types.Uint64.Convert(ctx, row[i])
		if err != nil || inRange != sql.InRange || n == nil {
			return least, nil // negative
		}
		return max(least, n.(uint64)+1), nil
	}
	return least, nil
}

// greatest is the row with the greatest value of a column that a key begins with.
func (s *mutableShape) greatest(d *tables.Draft, table uint64, column int) (row []byte, ok bool) {
	if len(s.Key) > 0 && s.Key[0] == column {
		_, row, ok = d.Last(table, []byte{rowPrefix})
		return row, ok
	}
	for i := range s.Indexes {
		if s.Indexes[i].Columns[0] == column {
			_, key, ok := d.Last(table, s.Indexes[i].head())
			if !ok {
				return nil, false
			}
			return d.Get(table, key)
		}
	}
	return nil, false
}

// AutoIncrementSetter changes where the numbers begin.
func (t *mutableTable) AutoIncrementSetter(*sql.Context) sql.AutoIncrementSetter {
	return incrementSetter{t}
}

type incrementSetter struct{ table *mutableTable }

// SetAutoIncrementValue says what the next number is, unless rows have greater ones.
func (s incrementSetter) SetAutoIncrementValue(ctx *sql.Context, n uint64) error {
	s.table.gateway.increments.forget(s.table.id)
	return s.table.redefine(ctx, func(d *mutableDefinition) error {
		d.AutoIncrement = n
		return nil
	})
}

// AcquireAutoIncrementLock does nothing: numbers are given one at a time.
func (s incrementSetter) AcquireAutoIncrementLock(*sql.Context) (func(), error) {
	return func() {}, nil
}

// Close does nothing.
func (s incrementSetter) Close(*sql.Context) error { return nil }
