package gateway

import (
	"fmt"
	"io"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"arbor/engine/exec"
)

// EXPLAIN shows the plan as it is executed: below each table what its scan reads,
// which part of the WHERE it was given, and which shards that leaves.
//
//	EXPLAIN                one row a table, in MySQL's columns
//	EXPLAIN FORMAT=TREE    the plan
//	EXPLAIN ANALYZE        runs it, and adds what the scans did

// explain answers an EXPLAIN.
func (g *Gateway) explain(ctx *sql.Context, base sql.NodeExecBuilder, n *plan.DescribeQuery, outer sql.Row) (sql.RowIter, error) {
	if n.Format.Analyze && !n.IsReadOnly() {
		return nil, unsupported("EXPLAIN ANALYZE of a statement that changes something; EXPLAIN shows its plan")
	}
	child := n.Child
	if n.Format.Analyze {
		var err error
		if child, err = watched(ctx, child); err != nil {
			return nil, err
		}
		if err := exhaust(ctx, base, child, outer); err != nil {
			return nil, err
		}
	}
	child, err := g.pushedPlan(ctx, child, showing(base))
	if err != nil {
		return nil, err
	}
	shown, scans, err := g.showScans(ctx, child)
	if err != nil {
		return nil, err
	}
	if n.Format.Debug && !n.Format.Analyze {
		text, err := explainedJSON(scans, sql.Describe(ctx, shown, sql.DescribeOptions{Plan: true}))
		return sql.RowsToRowIter(sql.Row{text}), err
	}
	if n.Format.Plan || n.Format.Analyze {
		var rows []sql.Row
		for line := range strings.Lines(sql.Describe(ctx, shown, sql.DescribeOptions{Plan: true})) {
			if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
				rows = append(rows, sql.Row{line})
			}
		}
		if !n.Format.Plan {
			rows = widen(rows)
		}
		return sql.RowsToRowIter(rows...), nil
	}
	return sql.RowsToRowIter(explainRows(scans)...), nil
}

// widen puts lines into the column Extra of MySQL's EXPLAIN.
func widen(rows []sql.Row) []sql.Row {
	for i := range rows {
		wide := make(sql.Row, len(plan.DescribeSchema))
		wide[0], wide[len(wide)-1] = uint64(i+1), rows[i][0]
		rows[i] = wide
	}
	return rows
}

func exhaust(ctx *sql.Context, base sql.NodeExecBuilder, n sql.Node, outer sql.Row) (err error) {
	rows, err := base.Build(ctx, n, outer)
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(ctx); err == nil {
			err = e
		}
	}()
	for {
		if _, err := rows.Next(ctx); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// eachNode changes the nodes of a plan, those of derived tables and of
// subqueries in expressions too.
func eachNode(ctx *sql.Context, n sql.Node, change func(sql.Node) (sql.Node, error)) (sql.Node, error) {
	out, _, err := transform.NodeWithOpaque(ctx, n, func(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		n, _, err := transform.OneNodeExpressions(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			s, ok := e.(*plan.Subquery)
			if !ok {
				return e, transform.SameTree, nil
			}
			query, err := eachNode(ctx, s.Query, change)
			if err != nil {
				return nil, transform.SameTree, err
			}
			return s.WithQuery(query), transform.NewTree, nil
		})
		if err != nil {
			return nil, transform.SameTree, err
		}
		n, err = change(n)
		return n, transform.NewTree, err
	})
	return out, err
}

// pushedPlan is the plan as pushdown makes it while it is executed.
func (g *Gateway) pushedPlan(ctx *sql.Context, n sql.Node, run *runner) (sql.Node, error) {
	n, err := narrowedPlan(ctx, n)
	if err != nil {
		return nil, err
	}
	if n, err = groupedPlan(ctx, n, run); err != nil {
		return nil, err
	}
	return eachNode(ctx, n, func(n sql.Node) (sql.Node, error) {
		switch n := n.(type) {
		case *plan.Filter:
			return pushFilter(ctx, n, &pusher{byName: true})
		case *plan.Limit:
			return pushLimit(ctx, n)
		case *plan.DeleteFrom:
			if !deletesEvents(n) {
				return n, nil
			}
			d, err := g.bindDelete(ctx, n)
			if err != nil {
				return nil, err
			}
			return n.WithChildren(ctx, readOnly(ctx, n, d))
		}
		return n, nil
	})
}

// narrowedPlan narrows from the top down, as execution does.
func narrowedPlan(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	switch n.(type) {
	case *plan.Project, *plan.GroupBy:
		var err error
		if n, err = narrow(ctx, n); err != nil {
			return nil, err
		}
	}
	children := n.Children()
	if len(children) == 0 {
		return n, nil
	}
	next := make([]sql.Node, len(children))
	for i, c := range children {
		var err error
		if next[i], err = narrowedPlan(ctx, c); err != nil {
			return nil, err
		}
	}
	return n.WithChildren(ctx, next...)
}

// groupedPlan pushes groups and orders from the top down. Those of subqueries in expressions
// stay, since they are pushed when the outer row is there.
func groupedPlan(ctx *sql.Context, n sql.Node, run *runner) (sql.Node, error) {
	if c, ok := findGroupChain(ctx, n); ok {
		pushed, err := c.push(func(p *groupPlan, stock sql.Node, outputs []groupOutput) (sql.Node, bool) {
			return newPushedGroup(p, stock, outputs)
		}, run)
		if err != nil || pushed != nil {
			return pushed, err
		}
	}
	if group, ok := n.(*plan.GroupBy); ok {
		var none *executor
		if once, _, err := groupOnce(ctx, group, none.pushOnce(ctx, run)); err != nil || once != nil {
			return once, err
		}
		if concats, err := none.pushConcats(ctx, group, run); err != nil || concats != nil {
			return concats, err
		}
	}
	if s, err := newPushedSort(ctx, n, run); err != nil || s != nil {
		return s, err
	}
	if sort, ok := n.(*plan.Sort); ok {
		if in, err := inWindowOrder(ctx, sort, run); err != nil || in != nil {
			if err != nil {
				return nil, err
			}
			return groupedPlan(ctx, sort.Child, run)
		}
	}
	if window, ok := n.(*plan.Window); ok {
		if w, err := newPushedWindow(ctx, window, run); err != nil || w != nil {
			return w, err
		}
		w, err := newWindowStream(ctx, window, func(ctx *sql.Context, n sql.Node) (*pushedSort, error) { return newPushedSort(ctx, n, run) })
		if err != nil {
			return nil, err
		}
		if w != nil {
			return plan.NewWindow(window.SelectExprs, w.sorted), nil
		}
	}
	if j, err := newPushedJoin(ctx, n, run); err != nil || j != nil {
		return j, err
	}
	children := n.Children()
	if len(children) == 0 {
		return n, nil
	}
	next := make([]sql.Node, len(children))
	for i, c := range children {
		var err error
		if next[i], err = groupedPlan(ctx, c, run); err != nil {
			return nil, err
		}
	}
	return n.WithChildren(ctx, next...)
}

// shownScan is a table in a plan that is shown.
type shownScan struct {
	sql.Node
	name  string // Scan if empty
	table string
	lines []string
	rows  uint64
}

// String is the table with its scan below it.
func (s *shownScan) String() string {
	p := sql.NewTreePrinter()
	name := "Scan"
	if s.name != "" {
		name = s.name
	}
	_ = p.WriteNode("%s(%s)", name, s.table)
	_ = p.WriteChildren(s.lines...)
	return p.String()
}

// DebugString is the same.
func (s *shownScan) DebugString(*sql.Context) string { return s.String() }

// showScans puts a description in the place of each table.
func (g *Gateway) showScans(ctx *sql.Context, n sql.Node) (sql.Node, []*shownScan, error) {
	var scans []*shownScan
	out, err := eachNode(ctx, n, func(n sql.Node) (sql.Node, error) {
		if d, ok := n.(*plan.InsertDestination); ok {
			if s, ok := d.Child.(*shownScan); ok {
				s.lines = []string{"destination"}
			}
			return n, nil
		}
		if p, ok := n.(*pushedGroup); ok {
			s, err := g.showGroup(ctx, p)
			scans = append(scans, s)
			return s, err
		}
		if p, ok := n.(*pushedSort); ok {
			s, err := g.showSort(ctx, p)
			scans = append(scans, s)
			return s, err
		}
		if p, ok := n.(*pushedWindow); ok {
			s, err := g.showWindow(ctx, p)
			scans = append(scans, s)
			return s, err
		}
		if p, ok := n.(*pushedJoin); ok {
			s, err := g.showJoin(ctx, p)
			scans = append(scans, s)
			return s, err
		}
		rt, ok := n.(*plan.ResolvedTable)
		if !ok || plan.IsDualTable(rt.Table) {
			return n, nil
		}
		t, ok := rt.UnderlyingTable().(*eventsTable)
		if !ok {
			scans = append(scans, &shownScan{Node: n, table: rt.Name()})
			return n, nil
		}
		s, err := g.showScan(ctx, rt, t)
		scans = append(scans, s)
		return s, err
	})
	return out, scans, err
}

func (g *Gateway) showScan(ctx *sql.Context, n sql.Node, t *eventsTable) (*shownScan, error) {
	f, _ := t.fragment()
	s := &shownScan{Node: n, table: t.project.Name + "." + t.name}
	s.rows, _ = g.estimate(ctx, t.project.ID)
	var read []string
	for i := range t.width() {
		if place := t.place(i); t.only == nil || t.only[place] {
			read = append(read, t.all[place].name)
		}
	}
	s.line("columns: [%s]", strings.Join(read, ", "))
	if f.Filter != nil {
		s.line("pushed filter: %s", exprText(f.Filter, columnNames(f), f))
	}
	if t.limit > 0 {
		s.line("pushed limit: %d", t.limit)
	}
	return s, g.showReads(ctx, s, t, f)
}

// showReads adds what is read of a table.
func (g *Gateway) showReads(ctx *sql.Context, s *shownScan, t *eventsTable, f *exec.Fragment) error {
	if t.copies {
		s.line("copies: all, duplicates too")
	} else {
		s.line("copies: one of each event")
	}
	if !t.asOf.IsZero() {
		s.line("as of: %s", t.asOf)
	}
	bounds := exec.BoundsOf(f)
	if bounds.Users != nil {
		s.line("users: %d", len(bounds.Users))
	}
	all, left, err := g.shardsWithin(ctx, t.project, bounds)
	if err != nil {
		return err
	}
	s.line("shards: %d of %d%s", left, all, daysText(bounds))
	if t.totals != nil {
		s.ran(t.totals)
	}
	return nil
}

func (s *shownScan) line(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// explainRows are the rows of an EXPLAIN without FORMAT.
func explainRows(scans []*shownScan) []sql.Row {
	var rows []sql.Row
	for i, s := range scans {
		row := make(sql.Row, len(plan.DescribeSchema))
		row[0], row[1], row[2], row[4] = uint64(i+1), "SIMPLE", s.table, "ALL"
		row[11] = clipText(strings.Join(s.lines, "; "), 765)
		if s.lines != nil {
			row[9], row[10] = s.rows, 100.0
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		row := make(sql.Row, len(plan.DescribeSchema))
		row[0], row[1], row[11] = uint64(1), "SIMPLE", "No tables used"
		rows = append(rows, row)
	}
	return rows
}

func clipText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "…"
}
