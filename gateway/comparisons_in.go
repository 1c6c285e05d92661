package gateway

import (
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// ownIn is IN with a list, or with a subquery, of values that the library would
// look up wrongly: it makes one type of the value and of the whole list.
type ownIn struct {
	ownNodeParts
	left operand
	// A list has a pair for each of its values.
	list  []operand
	pairs []pair
	// A subquery has one for all.
	query *plan.Subquery
	how   pair
	rows  bool // compared part by part whatever their types
	// index is that of a list of constants, or of a subquery's rows, once they
	// are known.
	indexed bool
	lock    *sync.Mutex
	index   *valueIndex
}

// indexFrom is the length of a list from which on it is looked up and not
// compared one by one.
const indexFrom = 8

// newOwnIn is an IN with a list, nil where the library's is right: where all are
// of one type, and none that it decides by is NULL.
func newOwnIn(ctx *sql.Context, e expression.Comparer) sql.Expression {
	list, ok := e.Right().(expression.Tuple)
	if !ok || len(list) == 0 {
		return nil
	}
	left := e.Left()
	lt := left.Type(ctx)
	if lt == types.Null {
		return nil
	}
	n := &ownIn{left: operand{expr: left}, lock: new(sync.Mutex)}
	own, constants := false, true
	for i, v := range list {
		p := pairOf(ctx, left, v)
		own = own || p.kind != pairStock || types.IsJSON(p.left) || types.IsJSON(p.right)
		l, r := classOf(p.left), classOf(p.right)
		switch {
		case p.right == types.Null:
			own = own || i == 0 && l != classOther
		case l == classText && r != classText && r != classOther, r == classText && l != classText && l != classOther:
			p.kind, own = pairDouble, true
		case types.NumColumns(p.left) != types.NumColumns(p.right):
			return nil // which the library refuses
		}
		_, literal := v.(*expression.Literal)
		constants = constants && literal
		n.pairs, n.list = append(n.pairs, p), append(n.list, newOperand(ctx, v, p.kind))
	}
	if !own {
		return nil
	}
	n.stock = expression.NewInTuple(left, list)
	n.whole = types.IsTuple(lt)
	n.indexed = constants && len(list) >= indexFrom && numeric(lt)
	return n
}

// newOwnInSubquery is an IN with a subquery.
func newOwnInSubquery(ctx *sql.Context, e *plan.InSubquery) sql.Expression {
	q, ok := e.RightChild.(*plan.Subquery)
	if !ok {
		return nil
	}
	how := newPair(e.LeftChild.Type(ctx), q.Type(ctx))
	how.forSubquery()
	if how.kind == pairStock && how.right != types.Null {
		return nil
	}
	return ownInSubquery(e, q, how)
}

// notInRows is NOT IN with a subquery of rows, in which the library takes a NULL for a
// difference; nil for others.
func notInRows(ctx *sql.Context, not *expression.Not) sql.Expression {
	e, ok := not.Child.(*plan.InSubquery)
	if !ok || types.NumColumns(e.LeftChild.Type(ctx)) < 2 {
		return nil
	}
	in := inRows(ctx, e)
	if in == nil {
		return nil
	}
	return expression.NewNot(in)
}

// inRows is IN with a subquery of rows, compared part by part.
func inRows(ctx *sql.Context, e *plan.InSubquery) *ownIn {
	q, ok := e.RightChild.(*plan.Subquery)
	if !ok {
		return nil
	}
	how := newPair(e.LeftChild.Type(ctx), q.Type(ctx))
	how.forSubquery()
	how.kind = pairRow
	in := ownInSubquery(e, q, how)
	in.rows = true
	return in
}

// WithChildren puts other parts in their place.
func (n *ownIn) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if n.rows && len(children) == 1 {
		if e, ok := children[0].(*plan.InSubquery); ok {
			if in := inRows(ctx, e); in != nil {
				return in, nil
			}
		}
	}
	return n.ownNodeParts.WithChildren(ctx, children...)
}

func ownInSubquery(e *plan.InSubquery, q *plan.Subquery, how pair) *ownIn {
	return &ownIn{
		ownNodeParts: ownNodeParts{stock: e, whole: true}, left: operand{expr: e.LeftChild}, query: q, how: how,
		indexed: q.CanCacheResults() && numeric(how.left) && numeric(how.right), lock: new(sync.Mutex),
	}
}

// forSubquery takes pairs that the library compares rightly but looks up wrongly.
func (p *pair) forSubquery() {
	for i := range p.parts {
		p.parts[i].forSubquery()
		if p.parts[i].kind != pairStock {
			p.kind = pairRow
		}
	}
	l, r := classOf(p.left), classOf(p.right)
	switch {
	case l == classOther || r == classOther, l == classText && r == classText:
	case l == classText || r == classText:
		p.kind = pairDouble
	case l == classDecimal && r == classDecimal:
		p.kind = pairExact
	case types.TypesEqual(p.left, p.right):
	case l == classFloat || r == classFloat:
		p.kind = pairDouble
	default:
		p.kind = pairExact
	}
}

func numeric(t sql.Type) bool {
	c := classOf(t)
	return c != classOther && c != classText
}

// IsNullable is true: a list may hold NULL.
func (n *ownIn) IsNullable(*sql.Context) bool { return true }

// Dispose frees what the subquery holds.
func (n *ownIn) Dispose(ctx *sql.Context) {
	if n.query != nil {
		n.query.Dispose(ctx)
	}
}

// Eval looks for the value.
func (n *ownIn) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := n.left.eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if n.query != nil {
		return n.inSubquery(ctx, v, row)
	}
	if v == nil {
		return nil, nil
	}
	if n.indexed {
		x, err := n.indexOnce(ctx, func() ([]any, error) {
			values := make([]any, len(n.list))
			for i := range n.list {
				values[i] = n.list[i].expr.(*expression.Literal).Value()
			}
			return values, nil
		})
		if err != nil {
			return nil, err
		}
		if found, ok := x.find(ctx, v, classOf(n.pairs[0].left) == classFloat); ok {
			return found, nil
		}
	}
	s := search{}
	for i := range n.list {
		r, err := n.list[i].eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if found, err := s.tries(ctx, &n.pairs[i], v, r); err != nil || found {
			return found, err
		}
	}
	return s.notFound(), nil
}

func (n *ownIn) inSubquery(ctx *sql.Context, v any, row sql.Row) (any, error) {
	if n.indexed && v != nil {
		x, err := n.indexOnce(ctx, func() ([]any, error) { return n.query.EvalMultiple(ctx, row) })
		if err != nil {
			return nil, err
		}
		if found, ok := x.find(ctx, v, n.how.kind == pairDouble); ok {
			return found, nil
		}
	}
	values, err := n.query.EvalMultiple(ctx, row)
	if err != nil {
		return nil, err
	}
	s := search{}
	for i, r := range values {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if found, err := s.tries(ctx, &n.how, v, r); err != nil || found {
			return found, err
		}
	}
	return s.notFound(), nil
}

// search is a search of a list, value by value.
type search struct{ unknown bool }

// tries reports whether a value of the list is the one that is looked for.
func (s *search) tries(ctx *sql.Context, p *pair, v, r any) (bool, error) {
	o, err := p.compare(ctx, v, r)
	if err != nil {
		if p.kind == pairStock && ctx.Err() == nil {
			return false, nil // what cannot be compared is not equal
		}
		return false, err
	}
	s.unknown = s.unknown || o.unknown && o.order == 0
	return o.order == 0 && !o.unknown, nil
}

func (s *search) notFound() any {
	if s.unknown {
		return nil
	}
	return false
}

// valueIndex finds numbers in a list.
type valueIndex struct {
	exact   map[string]struct{}  // integers and decimals
	doubles map[float64]struct{} // floating-point numbers of the list
	all     map[float64]struct{} // all numbers, as such
	null    bool
	usable  bool // everything was a number
}

func (n *ownIn) indexOnce(ctx *sql.Context, values func() ([]any, error)) (*valueIndex, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.index != nil {
		return n.index, nil
	}
	all, err := values()
	if err != nil {
		return nil, err
	}
	x := &valueIndex{exact: map[string]struct{}{}, doubles: map[float64]struct{}{}, all: map[float64]struct{}{}, usable: true}
	for _, v := range all {
		x.add(ctx, v)
	}
	n.index = x
	return x, nil
}

func (x *valueIndex) add(ctx *sql.Context, v any) {
	if v == nil {
		x.null = true
		return
	}
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case float32:
		f = float64(v)
	default:
		key, ok := exactKey(v)
		d, isDouble := numberAsDouble(ctx, v)
		if !ok || !isDouble {
			x.usable = false
			return
		}
		x.exact[key] = struct{}{}
		x.all[d] = struct{}{}
		return
	}
	x.doubles[f] = struct{}{}
	x.all[f] = struct{}{}
}

// find looks for a number; not ok where the list has to be searched.
func (x *valueIndex) find(ctx *sql.Context, v any, asDoubles bool) (found any, ok bool) {
	f, isNumber := numberAsDouble(ctx, v)
	if !x.usable || !isNumber {
		return nil, false
	}
	hit := false
	if asDoubles {
		_, hit = x.all[f]
	} else {
		key, exact := exactKey(v)
		if !exact {
			return nil, false
		}
		if _, hit = x.exact[key]; !hit {
			_, hit = x.doubles[f]
		}
	}
	switch {
	case hit:
		return true, true
	case x.null:
		return nil, true
	}
	return false, true
}
