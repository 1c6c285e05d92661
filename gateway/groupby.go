package gateway

import (
	"errors"
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/vitess/go/mysql"
)

// checkEvery is how many rows are read between two looks at the context.
const checkEvery = 256

// groupBy runs a GROUP BY, in place of the SQL library's, which hangs for good
// when a row of it fails, and which tells groups apart by a hash alone.
func (x *executor) groupBy(ctx *sql.Context, n *plan.GroupBy, row sql.Row) (sql.RowIter, error) {
	if len(row) == 0 && !x.stockGroups {
		once, all, err := groupOnce(ctx, n, x.pushOnce(ctx, x.runner()))
		if err != nil {
			return nil, err
		}
		if once != nil {
			notePushed(ctx)
			weighed := &weighedRows{}
			if weighed.RowIter, err = x.main.Build(ctx, once.Child, row); err != nil {
				return nil, err
			}
			g := x.groups(ctx, once, weighed)
			g.weighed = weighed
			if all {
				g.plain = func() (*groups, error) {
					child, err := x.main.Build(ctx, n.Child, row)
					return x.groups(ctx, n, child), err
				}
			}
			return g, nil
		}
		if g, err := x.pushConcats(ctx, n, x.runner()); g != nil || err != nil {
			if err != nil {
				return nil, err
			}
			notePushed(ctx)
			return g.ask(row).rows(ctx), nil
		}
	}
	return x.groupRows(ctx, n, row)
}

// groupRows makes groups of rows, one by one.
func (x *executor) groupRows(ctx *sql.Context, n *plan.GroupBy, row sql.Row) (sql.RowIter, error) {
	child, err := x.main.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	if len(n.GroupByExprs) == 0 && plainSelect(n.SelectDeps) {
		return &anyRows{child: child, exprs: n.SelectDeps}, nil
	}
	return x.groups(ctx, n, child), nil
}

// groups makes the groups of a GROUP BY of some rows.
func (x *executor) groups(ctx *sql.Context, n *plan.GroupBy, child sql.RowIter) *groups {
	g := &groups{child: child, exprs: n.SelectDeps, keys: n.GroupByExprs, limit: x.limits.Groups, holding: newHolding(ctx)}
	for _, e := range n.GroupByExprs {
		g.keyTypes = append(g.keyTypes, e.Type(ctx))
	}
	for _, e := range n.SelectDeps {
		g.collects = g.collects || collects(e)
	}
	return g
}

// plainSelect reports whether what is selected is given for each row: without
// GROUP BY, ANY_VALUE alone makes no group.
func plainSelect(exprs []sql.Expression) bool {
	for _, e := range exprs {
		if a, ok := e.(sql.Aggregation); ok {
			if _, ok := a.(*aggregation.AnyValue); !ok {
				return false
			}
		}
	}
	return true
}

// collects reports whether an aggregate keeps all values of a group, and does not count
// them itself.
func collects(e sql.Expression) bool {
	switch e.(type) {
	case *aggregation.JsonArray, *aggregation.JSONObjectAgg:
		return true
	}
	return false
}

// groups reads all rows and then gives a row for each group, in the order in
// which the groups came.
type groups struct {
	child    sql.RowIter
	weighed  *weighedRows // the child, if its rows stand for several
	exprs    []sql.Expression
	keys     []sql.Expression
	keyTypes []sql.Type
	limit    int
	collects bool
	holding  *holding
	// plain makes the groups row by row, where those of rows that stand for several are
	// too many; nil if that is not done.
	plain func() (*groups, error)

	read    bool
	index   map[string]int
	buffers [][]sql.AggregationBuffer
	next    int
	key     []byte
}

// Next gives the next group.
func (g *groups) Next(ctx *sql.Context) (sql.Row, error) {
	if !g.read {
		g.read = true
		err := g.readAll(ctx)
		if err != nil && g.plain != nil && isCapacity(err) {
			err = g.readPlain(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	if g.next >= len(g.buffers) {
		return nil, io.EOF
	}
	buffers := g.buffers[g.next]
	g.next++
	row := make(sql.Row, len(buffers))
	for i, b := range buffers {
		var err error
		if row[i], err = b.Eval(ctx); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// isCapacity reports whether an error is that of a limit on groups or memory.
func isCapacity(err error) bool {
	var e *mysql.SQLError
	return errors.As(err, &e) && e.Num == codeCapacity
}

// readPlain begins anew, row by row.
func (g *groups) readPlain(ctx *sql.Context) error {
	err := g.Close(ctx)
	if err != nil {
		return err
	}
	plain, err := g.plain()
	if err != nil {
		return err
	}
	*g = *plain
	g.read = true
	return g.readAll(ctx)
}

func (g *groups) readAll(ctx *sql.Context) error {
	g.index = make(map[string]int)
	if len(g.keys) == 0 {
		if _, err := g.add(ctx); err != nil { // there is a group without rows too
			return err
		}
	}
	for n := 1; ; n++ {
		row, err := g.child.Next(ctx)
		if err == io.EOF {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		buffers, err := g.find(ctx, row)
		if err != nil {
			return err
		}
		if g.collects {
			if err := g.holding.take(rowBytes(row)); err != nil {
				return err
			}
		}
		for i, b := range buffers {
			if g.weighed != nil {
				err = updateWeighed(ctx, g.exprs[i], b, row, g.weighed.weight)
			} else {
				err = b.Update(ctx, row)
			}
			if err != nil {
				return err
			}
		}
	}
}

// find gives the buffers of the row's group.
func (g *groups) find(ctx *sql.Context, row sql.Row) ([]sql.AggregationBuffer, error) {
	g.key = g.key[:0]
	for i, e := range g.keys {
		v, err := e.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if g.key, err = appendKey(ctx, g.key, v, g.keyTypes[i]); err != nil {
			return nil, err
		}
	}
	if i, ok := g.index[string(g.key)]; ok {
		return g.buffers[i], nil
	}
	return g.add(ctx)
}

// add makes the group of g.key.
func (g *groups) add(ctx *sql.Context) ([]sql.AggregationBuffer, error) {
	if len(g.buffers) >= g.limit {
		return nil, tooManyGroups(g.limit)
	}
	buffers := make([]sql.AggregationBuffer, len(g.exprs))
	for i, e := range g.exprs {
		var err error
		if buffers[i], err = newGroupBuffer(ctx, e); err != nil {
			return nil, err
		}
	}
	g.index[string(g.key)] = len(g.buffers)
	g.buffers = append(g.buffers, buffers)
	return buffers, g.holding.take(int64(len(g.key)) + mapOverhead + int64(len(buffers))*2*valueOverhead)
}

// tooManyGroups is MySQL's error for a statement with more groups than it may have.
func tooManyGroups(limit int) error {
	return mysql.NewSQLError(codeCapacity, stateGeneral,
		"GROUP BY makes more than %d groups; narrow the statement by WHERE, or group by less", limit)
}

// newGroupBuffer makes an expression's state in one group. A column that is no
// aggregate has the value of the group's first row.
func newGroupBuffer(ctx *sql.Context, e sql.Expression) (sql.AggregationBuffer, error) {
	switch e := e.(type) {
	case *aggregation.CountDistinct:
		return newCountDistinct(ctx, e)
	case *aggregation.GroupConcat:
		return newConcatBuffer(ctx, e)
	case *aggregation.JsonArray:
		return newCollectBuffer(ctx, e, e.Children())
	case *aggregation.JSONObjectAgg:
		return newCollectBuffer(ctx, e, e.Children())
	case sql.Aggregation:
		return e.NewBuffer(ctx)
	}
	return aggregation.NewFirst(e).NewBuffer(ctx)
}

// Close frees the groups.
func (g *groups) Close(ctx *sql.Context) error {
	for _, buffers := range g.buffers {
		for _, b := range buffers {
			b.Dispose(ctx)
		}
	}
	g.buffers, g.index = nil, nil
	g.holding.release()
	return g.child.Close(ctx)
}

// anyRows gives what is selected for each row.
type anyRows struct {
	child sql.RowIter
	exprs []sql.Expression
}

// Next gives the next row.
func (a *anyRows) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := a.child.Next(ctx)
	if err != nil {
		return nil, err
	}
	out := make(sql.Row, len(a.exprs))
	for i, e := range a.exprs {
		if any, ok := e.(*aggregation.AnyValue); ok {
			e = any.Child
		}
		if out[i], err = e.Eval(ctx, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Close closes the rows.
func (a *anyRows) Close(ctx *sql.Context) error { return a.child.Close(ctx) }

// countDistinct is COUNT(DISTINCT a, b …): the rows without a NULL, each once.
// The SQL library joins the values by commas.
type countDistinct struct {
	exprs []sql.Expression
	seen  *keySet
	row   []any
}

func newCountDistinct(ctx *sql.Context, c *aggregation.CountDistinct) (sql.AggregationBuffer, error) {
	d := &countDistinct{row: make([]any, len(c.ChildExpressions))}
	var t []sql.Type
	for _, e := range c.ChildExpressions {
		e, err := transform.Clone(ctx, e)
		if err != nil {
			return nil, err
		}
		d.exprs = append(d.exprs, e)
		t = append(t, e.Type(ctx))
	}
	d.seen = newKeySet(ctx, t)
	return d, nil
}

// Update adds a row.
func (d *countDistinct) Update(ctx *sql.Context, row sql.Row) error {
	for i, e := range d.exprs {
		if _, ok := e.(*expression.Star); ok {
			_, err := d.seen.add(ctx, row...)
			return err
		}
		var err error
		if d.row[i], err = e.Eval(ctx, row); err != nil {
			return err
		}
		if d.row[i] == nil {
			return nil
		}
	}
	_, err := d.seen.add(ctx, d.row...)
	return err
}

// Eval is the number of rows.
func (d *countDistinct) Eval(*sql.Context) (any, error) { return int64(len(d.seen.seen)), nil }

// Dispose frees the rows.
func (d *countDistinct) Dispose(ctx *sql.Context) {
	for _, e := range d.exprs {
		expression.Dispose(ctx, e)
	}
	d.seen.release()
}
