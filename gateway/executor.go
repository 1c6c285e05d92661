package gateway

import (
	"container/heap"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
)

// executor is asked for the rows of every node of a plan before the SQL library
// makes them itself. It refuses what must not run, lets the pushdown change
// nodes, runs those that the library runs wrongly, and counts what the others
// hold in memory.
type executor struct {
	main        *rowexec.BaseBuilder // the library's builder, which asks this executor first
	stock       *rowexec.BaseBuilder // the same without it
	db          *mysql_db.MySQLDb
	change      nodeRewriter
	limits      queryLimits
	stockGroups bool // see Options.StockGroups
	// globals counts the changes of variables of all sessions.
	globals atomic.Uint64
	// rowsOnly, in tests, has every plan executed row by row.
	rowsOnly atomic.Bool
}

var _ sql.NodeExecBuilder = (*executor)(nil)

func newExecutor(main *rowexec.BaseBuilder, db *mysql_db.MySQLDb, change nodeRewriter, l queryLimits) *executor {
	stock := *main
	stock.PriorityBuilder = nil
	return &executor{main: main, stock: &stock, db: db, change: change, limits: l.orDefaults()}
}

// Build gives the rows of a node, or nil to let the library make them.
func (x *executor) Build(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	if s := sessionOf(ctx); s != nil && s.plans != nil {
		s.plans.planned(ctx, n)
	}
	if rows, err := x.answerAgain(ctx, n, row); err != nil || rows != nil {
		return rows, err
	}
	if err := x.refuse(ctx, n); err != nil {
		return nil, err
	}
	if into, ok := n.(*plan.Into); ok && into.Outfile != "" {
		if g, ok := x.change.(*Gateway); ok { // before anything else, so that the rows may come by column
			return g.outfile(ctx, x.main, into, row)
		}
		return nil, errNoExports
	}
	if moments, err := withNumberMoments(ctx, n); err != nil || moments != nil {
		if err != nil {
			return nil, err
		}
		return x.main.Build(ctx, moments, row)
	}
	whole := len(row) == 0 && !x.stockGroups && !x.rowsOnly.Load() && isRoot(ctx)
	if whole {
		if rows, err := x.byColumn(ctx, n, row); err != nil || rows != nil {
			notePushed(ctx)
			return rows, err
		}
	}
	if x.change != nil && reflect.TypeOf(n).Kind() == reflect.Pointer { // others do not compare
		changed, err := x.change.rewriteNode(ctx, n)
		if err != nil {
			return nil, err
		}
		if changed != n {
			if whole {
				if rows, err := x.byAnswer(ctx, changed, row); err != nil || rows != nil {
					return rows, err
				}
			}
			return x.main.Build(ctx, changed, row)
		}
	}
	if whole {
		if rows, err := x.byAnswer(ctx, n, row); err != nil || rows != nil {
			return rows, err
		}
	}
	if pushed, err := x.pushGroups(ctx, n); err != nil || pushed != nil {
		if err != nil {
			return nil, err
		}
		notePushed(ctx)
		if whole {
			if rows, err := x.byAnswer(ctx, pushed, row); err != nil || rows != nil {
				return rows, err
			}
		}
		return x.main.Build(ctx, pushed, row)
	}
	switch n.(type) {
	case *plan.GroupBy, *plan.Distinct:
		forgetBroadcasts(ctx)
	}
	switch n := n.(type) {
	case *plan.GroupBy:
		return x.groupBy(ctx, n, row)
	case *plan.Distinct:
		return x.distinct(ctx, n, row)
	case *plan.SetOp:
		return x.setOp(ctx, n, row)
	case *plan.Set:
		if setsGlobal(n) {
			defer x.globals.Add(1)
			return x.stock.Build(ctx, n, row)
		}
	case *plan.Window:
		if len(row) == 0 {
			if w, err := x.pushWindow(ctx, n); err != nil || w != nil {
				if err != nil {
					return nil, err
				}
				notePushed(ctx)
				return w.BuildRowIter(ctx, nil, row)
			}
		}
		return x.window(ctx, n, row)
	case *plan.Sort, *plan.TopN:
		if pushed, err := x.pushSort(ctx, n); err != nil || pushed != nil {
			if err != nil {
				return nil, err
			}
			notePushed(ctx)
			return pushed.BuildRowIter(ctx, nil, row)
		}
		if sort, ok := n.(*plan.Sort); ok && len(row) == 0 && !x.stockGroups {
			if in, err := inWindowOrder(ctx, sort, x.runner()); err != nil || in != nil {
				if err != nil {
					return nil, err
				}
				child, err := x.withoutSort(ctx, in)
				if err != nil {
					return nil, err
				}
				notePushed(ctx)
				return x.main.Build(ctx, child, row)
			}
		}
		return x.counted(ctx, n, row)
	case *plan.Project, *plan.Filter, *plan.JoinNode:
		if len(row) == 0 {
			if j, err := x.pushJoin(ctx, n); err != nil || j != nil {
				if err != nil {
					return nil, err
				}
				notePushed(ctx)
				return j.BuildRowIter(ctx, nil, row)
			}
		}
	case *showGrants:
		return x.stock.Build(ctx, n.ShowGrants, row)
	case *plan.HashLookup:
		x.count(ctx, &n.UnaryNode)
	case *plan.CachedResults:
		x.count(ctx, &n.UnaryNode)
	case *plan.ShowProcessList:
		return x.ownClients(ctx, n, row)
	case *plan.ResolvedTable:
		if strings.EqualFold(n.Name(), "processlist") && n.Database() != nil && n.Database().Name() == sql.InformationSchemaDatabaseName {
			return x.ownClients(ctx, n, row)
		}
	}
	return nil, nil
}

// counted lets the library run a node that keeps the rows it reads, and counts them.
func (x *executor) counted(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	h := newHolding(ctx)
	first := int64(0)
	if top, ok := n.(*plan.TopN); ok {
		first, _ = topCount(ctx, top.Limit)
	}
	children := n.Children()
	for i, c := range children {
		children[i] = &countedNode{UnaryNode: plan.UnaryNode{Child: c}, executor: x, holding: h, first: first}
	}
	n, err := n.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	iter, err := x.stock.Build(ctx, n, row)
	if err != nil {
		return nil, err
	}
	return &releasing{RowIter: iter, holding: h}, nil
}

// count counts the rows that a node keeps until the end of the statement. The
// node is changed in place, since it is where they are kept.
func (x *executor) count(ctx *sql.Context, n *plan.UnaryNode) {
	if _, ok := n.Child.(*countedNode); !ok {
		n.Child = &countedNode{UnaryNode: plan.UnaryNode{Child: n.Child}, executor: x, holding: newHolding(ctx)}
	}
}

// countedNode is a node whose rows are kept by the one above.
type countedNode struct {
	plan.UnaryNode
	executor *executor
	holding  *holding
	// first is how many of the rows are kept at once; 0 is all of them.
	first int64
}

// String is the node's text.
func (c *countedNode) String() string { return c.Child.String() }

// IsReadOnly is the node's.
func (c *countedNode) IsReadOnly() bool { return c.Child.IsReadOnly() }

// WithChildren replaces the node.
func (c *countedNode) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(c, len(children), 1)
	}
	d := *c
	d.Child = children[0]
	return &d, nil
}

// BuildRowIter gives the node's rows and counts them.
func (c *countedNode) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
	iter, err := c.executor.main.Build(ctx, c.Child, row)
	if err != nil {
		return nil, err
	}
	rows := &countedRows{RowIter: iter, holding: c.holding}
	if c.first > 0 {
		rows.first = &largestRows{most: c.first}
	}
	return rows, nil
}

// countedRows takes what each row needs from the statement's allowance. It also
// ends when the statement does: the library's loops do not look.
type countedRows struct {
	sql.RowIter
	holding *holding
	count   int
	first   *largestRows // nil if all rows are kept
}

// largestRows are the sizes of as many of the largest rows as are kept at once, which is no
// less than what those take that are kept.
type largestRows struct {
	most  int64
	sizes sizeHeap
}

// sizeHeap has the smallest first.
type sizeHeap []int64

func (s sizeHeap) Len() int           { return len(s) }
func (s sizeHeap) Less(i, j int) bool { return s[i] < s[j] }
func (s sizeHeap) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sizeHeap) Push(x any)        { *s = append(*s, x.(int64)) }
func (s *sizeHeap) Pop() any          { panic("sizes stay") }

// add gives by how much more may be held with another row.
func (l *largestRows) add(size int64) int64 {
	if int64(len(l.sizes)) < l.most {
		heap.Push(&l.sizes, size)
		return size
	}
	more := size - l.sizes[0]
	if more <= 0 {
		return 0
	}
	l.sizes[0] = size
	heap.Fix(&l.sizes, 0)
	return more
}

// Next gives the next row.
func (c *countedRows) Next(ctx *sql.Context) (sql.Row, error) {
	if c.count++; c.count%checkEvery == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	row, err := c.RowIter.Next(ctx)
	if err != nil {
		return nil, err
	}
	size := rowBytes(row)
	if c.first != nil {
		size = c.first.add(size)
	}
	return row, c.holding.take(size)
}

// releasing gives back what was counted when the rows are closed.
type releasing struct {
	sql.RowIter
	holding *holding
}

// Close closes the rows.
func (r *releasing) Close(ctx *sql.Context) error {
	r.holding.release()
	return r.RowIter.Close(ctx)
}

// ownClients shows the clients: all of them to those who may see them, else the
// client's own.
func (x *executor) ownClients(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	all, err := x.stock.Build(ctx, n, row)
	if err != nil || x.has(ctx, sql.PrivilegeType_Process) {
		return all, err
	}
	user := slices.IndexFunc(n.Schema(ctx), func(c *sql.Column) bool { return strings.EqualFold(c.Name, "user") })
	rows, err := sql.RowIterToRows(ctx, all)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r sql.Row) bool { return r[user] != ctx.Session.Client().User })
	return sql.RowsToRowIter(rows...), nil
}
