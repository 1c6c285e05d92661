package gateway

import (
	"errors"
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// distinct runs a SELECT DISTINCT with exact keys, in place of the SQL library's,
// which compares hashes.
func (x *executor) distinct(ctx *sql.Context, n *plan.Distinct, row sql.Row) (sql.RowIter, error) {
	if len(n.DistinctOn()) > 0 {
		return nil, nil // not MySQL's
	}
	child, err := x.main.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	return &distinctRows{child: child, seen: newKeySet(ctx, schemaTypes(n.Child.Schema(ctx)))}, nil
}

// distinctRows gives each row once.
type distinctRows struct {
	child sql.RowIter
	seen  *keySet
}

// Next gives the next row that has not come before.
func (d *distinctRows) Next(ctx *sql.Context) (sql.Row, error) {
	for n := 1; ; n++ {
		row, err := d.child.Next(ctx)
		if err != nil {
			return nil, err
		}
		if fresh, err := d.seen.add(ctx, row...); err != nil || fresh {
			return row, err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// Close frees the rows.
func (d *distinctRows) Close(ctx *sql.Context) error {
	d.seen.release()
	return d.child.Close(ctx)
}

// setOp runs UNION, INTERSECT and EXCEPT with exact keys, and their ORDER BY
// before their OFFSET, which the SQL library does the other way round.
func (x *executor) setOp(ctx *sql.Context, n *plan.SetOp, row sql.Row) (sql.RowIter, error) {
	var node sql.Node = &setOpNode{SetOp: n, executor: x}
	if len(n.SortConditions) > 0 {
		node = plan.NewSort(n.SortConditions, node)
	}
	if n.Offset != nil {
		node = plan.NewOffset(n.Offset, node)
	}
	if n.Limit != nil {
		node = plan.NewLimit(n.Limit, node)
	}
	return x.main.Build(ctx, node, row)
}

// setOpNode is the rows of a set operation, before they are sorted and cut.
type setOpNode struct {
	*plan.SetOp
	executor *executor
}

// BuildRowIter makes the rows.
func (s *setOpNode) BuildRowIter(ctx *sql.Context, b sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
	left, err := b.Build(ctx, s.Left(), row)
	if err != nil {
		return nil, err
	}
	seen := newKeySet(ctx, schemaTypes(s.SetOp.Schema(ctx)))
	second := func(ctx *sql.Context) (sql.RowIter, error) { return b.Build(ctx, s.Right(), row) }
	if s.SetOpType == plan.UnionType {
		var rows sql.RowIter = &unionRows{current: left, second: second}
		if s.Distinct {
			rows = &distinctRows{child: rows, seen: seen}
		}
		return rows, nil
	}
	return &setRows{left: left, second: second, except: s.SetOpType == plan.ExceptType, distinct: s.Distinct, keys: seen}, nil
}

// unionRows gives the rows of one side and then those of the other.
type unionRows struct {
	current sql.RowIter
	second  func(*sql.Context) (sql.RowIter, error)
}

// Next gives the next row.
func (u *unionRows) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := u.current.Next(ctx)
	if err != io.EOF || u.second == nil {
		return row, err
	}
	if err := u.current.Close(ctx); err != nil {
		return nil, err
	}
	second := u.second
	u.second, u.current = nil, sql.RowsToRowIter()
	if u.current, err = second(ctx); err != nil {
		u.current = sql.RowsToRowIter()
		return nil, err
	}
	return u.current.Next(ctx)
}

// Close closes the side that is being read.
func (u *unionRows) Close(ctx *sql.Context) error { return u.current.Close(ctx) }

// setRows gives the rows of the left side that the right side has too, or has not.
type setRows struct {
	left             sql.RowIter
	second           func(*sql.Context) (sql.RowIter, error)
	except, distinct bool
	keys             *keySet
	// right counts the right side's rows; given are the left side's that were
	// given already.
	right map[string]int
	given map[string]bool
}

// Next gives the next row.
func (s *setRows) Next(ctx *sql.Context) (sql.Row, error) {
	if s.right == nil {
		if err := s.readRight(ctx); err != nil {
			return nil, err
		}
	}
	for n := 1; ; n++ {
		row, err := s.left.Next(ctx)
		if err != nil {
			return nil, err
		}
		k, err := s.keys.key(ctx, row...)
		if err != nil {
			return nil, err
		}
		if give, err := s.gives(k); err != nil || give {
			return row, err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// gives decides about a row of the left side.
func (s *setRows) gives(k []byte) (bool, error) {
	count := s.right[string(k)]
	if s.distinct {
		if s.given[string(k)] || count > 0 == s.except {
			return false, nil
		}
		s.given[string(k)] = true
		return true, s.keys.holding.take(int64(len(k)) + mapOverhead)
	}
	if count > 0 {
		s.right[string(k)] = count - 1
	}
	return count > 0 != s.except, nil
}

func (s *setRows) readRight(ctx *sql.Context) (err error) {
	s.right, s.given = make(map[string]int), make(map[string]bool)
	right, err := s.second(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, right.Close(ctx)) }()
	for n := 1; ; n++ {
		row, err := right.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		k, err := s.keys.key(ctx, row...)
		if err != nil {
			return err
		}
		s.right[string(k)]++
		if s.right[string(k)] == 1 {
			if err := s.keys.holding.take(int64(len(k)) + mapOverhead); err != nil {
				return err
			}
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Close frees the keys.
func (s *setRows) Close(ctx *sql.Context) error {
	s.right, s.given = nil, nil
	s.keys.release()
	return s.left.Close(ctx)
}
