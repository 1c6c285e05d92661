package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// Pushdown moves what it fully understands of a WHERE into the scan below it. It
// never takes anything away: the stock Filter stays above and decides, so that
// the meaning is MySQL's by construction, and the scan only has to keep every
// row for which the filter may be true. Whatever is doubtful stays out of it.
//
//	Filter(WHERE)                            Filter(WHERE)
//	└ TableAlias?          becomes           └ TableAlias?
//	  └ PrependNode?                           └ PrependNode?
//	    └ eventsTable                            └ eventsTable that scans with an exec.Expr
//
// It runs when a plan is built for execution, which every plan passes, while
// analyzer rules miss some: simple SELECTs, DELETE, subqueries. There the outer
// row of a correlated subquery is known too, so that its columns are constants.

// scanTarget is an events table with the nodes above it that leave its rows
// whole: an alias, and the outer row of a subquery, which stands before them.
type scanTarget struct {
	table  *eventsTable
	name   string  // by which the nodes above know it
	prefix sql.Row // the outer row
	// rebuild puts another table into the same nodes.
	rebuild func(ctx *sql.Context, t *eventsTable) (sql.Node, error)
}

// findScan looks for an events table below n.
func findScan(n sql.Node) (scanTarget, bool) {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		t, ok := n.UnderlyingTable().(*eventsTable)
		if !ok {
			return scanTarget{}, false
		}
		return scanTarget{table: t, name: t.name, rebuild: func(ctx *sql.Context, t *eventsTable) (sql.Node, error) {
			return n.WithTable(ctx, t)
		}}, true
	case *plan.TableAlias:
		s, ok := around(n, n.Child, nil)
		s.name = n.Name()
		return s, ok
	case *plan.PrependNode:
		return around(n, n.Child, n.Row)
	}
	return scanTarget{}, false
}

func around(n, child sql.Node, prefix sql.Row) (scanTarget, bool) {
	s, ok := findScan(child)
	if !ok {
		return s, false
	}
	s.prefix = append(prefix[:len(prefix):len(prefix)], s.prefix...)
	inner := s.rebuild
	s.rebuild = func(ctx *sql.Context, t *eventsTable) (sql.Node, error) {
		c, err := inner(ctx, t)
		if err != nil {
			return nil, err
		}
		return n.WithChildren(ctx, c)
	}
	return s, true
}

// pushFilter gives the filter a scan that leaves out rows for which it cannot be
// true. It gives the same node back where there is nothing to push.
func pushFilter(ctx *sql.Context, n *plan.Filter, p *pusher) (sql.Node, error) {
	s, ok := findScan(n.Child)
	if !ok || s.table.filtered {
		return n, nil
	}
	t := *s.table
	t.filtered = true
	p.ctx, p.table, p.name, p.prefix = ctx, s.table, s.name, s.prefix
	if x := p.translate(n.Expression); x.expr != nil {
		t.filter, t.filterColumns = x.expr, p.columns
		if f, _ := t.fragment(); f.Validate() != nil { // too long or too deep
			t.filter, t.filterColumns = nil, nil
		}
	}
	child, err := s.rebuild(ctx, &t)
	if err != nil {
		return nil, err
	}
	condition := n.Expression
	if !p.byName {
		condition = withMoments(ctx, condition)
	}
	return plan.NewFilter(ctx, condition, child), nil
}

// pushLimit gives a scan the number of rows after which nobody wants more. Only
// nodes that give a row for each row may stand between.
func pushLimit(ctx *sql.Context, n *plan.Limit) (sql.Node, error) {
	if n.CalcFoundRows {
		return n, nil
	}
	limit, ok := constantCount(ctx, n.Limit)
	if !ok {
		return n, nil
	}
	child, ok, err := limitBelow(ctx, n.Child, limit)
	if err != nil || !ok {
		return n, err
	}
	return n.WithChildren(ctx, child)
}

func limitBelow(ctx *sql.Context, n sql.Node, limit int64) (sql.Node, bool, error) {
	switch n := n.(type) {
	case *plan.Offset:
		offset, ok := constantCount(ctx, n.Offset)
		if !ok || limit+offset < limit {
			return n, false, nil
		}
		return limitChild(ctx, n, n.Child, limit+offset)
	case *plan.Project:
		return limitChild(ctx, n, n.Child, limit)
	}
	s, ok := findScan(n)
	if !ok || s.table.limit != 0 || s.table.filter != nil || limit == 0 {
		return n, false, nil
	}
	t := *s.table
	t.limit = limit
	node, err := s.rebuild(ctx, &t)
	return node, err == nil, err
}

func limitChild(ctx *sql.Context, n, child sql.Node, limit int64) (sql.Node, bool, error) {
	child, ok, err := limitBelow(ctx, child, limit)
	if err != nil || !ok {
		return n, false, err
	}
	n, err = n.WithChildren(ctx, child)
	return n, err == nil, err
}

// constantCount is the value of a LIMIT or OFFSET.
func constantCount(ctx *sql.Context, e sql.Expression) (int64, bool) {
	l, ok := e.(*expression.Literal)
	if !ok {
		return 0, false
	}
	v, err := sqlInt64(ctx, l.Value())
	return v, err == nil && v >= 0
}

// pusher translates a WHERE. The methods that return a translation may add to
// columns what it needs; a column that nothing needs in the end does no harm.
type pusher struct {
	ctx     *sql.Context
	table   *eventsTable
	name    string
	prefix  sql.Row
	columns []exec.Column
	// byName finds columns by their names, for a plan that is only shown: the
	// outer rows of its subqueries are not there yet.
	byName bool
}

// translation is what a scan can know of a condition: expr is true for every row
// for which the condition is, and nil where nothing is known. Where exact, expr
// is true, false or unknown exactly when the condition is, and may be negated.
type translation struct {
	expr  *exec.Expr
	exact bool
}

var nothing translation

func (p *pusher) translate(e sql.Expression) translation {
	switch e := e.(type) {
	case *expression.And:
		return p.and(p.translate(e.LeftChild), p.translate(e.RightChild))
	case *expression.Or:
		return p.or(p.translate(e.LeftChild), p.translate(e.RightChild))
	case *expression.Not:
		if x, ok := p.negated(e.Child); ok {
			return x
		}
		x := p.translate(e.Child)
		if x.expr == nil || !x.exact {
			return nothing
		}
		return translation{&exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{x.expr}}, true}
	case *expression.IsNull:
		if c, ok := p.column(e.Child); ok {
			return translation{&exec.Expr{Op: exec.OpIsNull, Column: p.use(c)}, true}
		}
	case *expression.Equals:
		return p.compare(e, exec.OpEqual)
	case *expression.LessThan:
		return p.compare(e, exec.OpLess)
	case *expression.LessThanOrEqual:
		return p.compare(e, exec.OpLessEq)
	case *expression.GreaterThan:
		return p.compare(e, exec.OpMore)
	case *expression.GreaterThanOrEqual:
		return p.compare(e, exec.OpMoreEq)
	case *expression.NullSafeEquals:
		return p.nullSafe(e)
	case *expression.Between:
		return p.and(
			p.compare(expression.NewLessThanOrEqual(e.Lower, e.Val), exec.OpLessEq),
			p.compare(expression.NewGreaterThanOrEqual(e.Upper, e.Val), exec.OpMoreEq))
	case *expression.InTuple:
		return p.in(e.Left(), e.Right())
	case *expression.HashInTuple:
		return p.in(e.Left(), e.Right())
	case *ownComparison:
		return p.translate(e.stock)
	case *ownBetween:
		return p.ownBetween(e)
	case *ownIn:
		if e.query == nil {
			return p.translate(e.stock)
		}
	case *expression.Like:
		return p.like(e)
	case *expression.GetField:
		return p.truth(e)
	}
	return nothing
}

func (p *pusher) and(a, b translation) translation {
	switch {
	case a.expr == nil:
		return translation{b.expr, false}
	case b.expr == nil:
		return translation{a.expr, false}
	}
	return translation{join(exec.OpAnd, a.expr, b.expr), a.exact && b.exact}
}

func (p *pusher) or(a, b translation) translation {
	if a.expr == nil || b.expr == nil {
		return nothing
	}
	return translation{join(exec.OpOr, a.expr, b.expr), a.exact && b.exact}
}

// join makes one expression of two, and a flat one of a chain, however the
// chain was built: nesting is limited.
func join(op exec.Op, a, b *exec.Expr) *exec.Expr {
	out := &exec.Expr{Op: op}
	for _, x := range []*exec.Expr{a, b} {
		if x.Op == op {
			out.Args = append(out.Args, x.Args...)
		} else {
			out.Args = append(out.Args, x)
		}
	}
	return out
}

// column is the table's column that an expression is, if it is one.
func (p *pusher) column(e sql.Expression) (*eventsColumn, bool) {
	f, ok := e.(*expression.GetField)
	if !ok {
		return nil, false
	}
	if p.byName {
		return p.columnNamed(f)
	}
	i := f.Index() - len(p.prefix)
	if i < 0 || i >= p.table.width() {
		return nil, false
	}
	c := &p.table.all[p.table.place(i)]
	if !strings.EqualFold(c.name, f.Name()) {
		return nil, false
	}
	return c, true
}

func (p *pusher) columnNamed(f *expression.GetField) (*eventsColumn, bool) {
	if !strings.EqualFold(f.Table(), p.name) {
		return nil, false
	}
	for i := range p.table.width() {
		if c := &p.table.all[p.table.place(i)]; strings.EqualFold(c.name, f.Name()) {
			return c, true
		}
	}
	return nil, false
}

// use is the column's number in the filter.
func (p *pusher) use(c *eventsColumn) int {
	for i := range p.columns {
		if p.columns[i] == c.exec {
			return i
		}
	}
	p.columns = append(p.columns, c.exec)
	return len(p.columns) - 1
}

// constantFunctions are the functions whose value does not change while a
// statement runs and that do nothing else.
var constantFunctions = map[string]bool{
	"now": true, "current_timestamp": true, "localtime": true, "localtimestamp": true, "utc_timestamp": true,
	"curdate": true, "current_date": true, "utc_date": true, "date": true, "date_add": true, "date_sub": true,
	"adddate": true, "subdate": true, "timestamp": true, "timestampadd": true, "str_to_date": true, "last_day": true,
	"makedate": true, "from_unixtime": true, "from_days": true, "concat": true, "lower": true, "upper": true, "abs": true,
	offsetOnFunction: true, offsetBackFunction: true, textFunction: true, decimalFunction: true,
}

// constant evaluates an expression that is the same for every row of the scan.
func (p *pusher) constant(e sql.Expression) (any, bool) {
	constant := true
	sql.Inspect(p.ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case nil, *expression.Literal, *expression.Arithmetic, *expression.UnaryMinus, *expression.Interval, *expression.Convert:
		case *expression.GetField:
			constant = constant && e.Index() < len(p.prefix) && !p.byName
		case sql.FunctionExpression:
			constant = constant && constantFunctions[strings.ToLower(e.FunctionName())]
		default:
			constant = false
		}
		return constant
	})
	if !constant {
		return nil, false
	}
	v, err := e.Eval(p.ctx, p.prefix)
	return v, err == nil
}
