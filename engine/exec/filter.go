package exec

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Filter is an Expr made ready to be evaluated over rows. Truth is kept as
// two sets of rows, those for which an expression is true and those for which
// it is false; the rest is unknown. So AND, OR and NOT are a few word
// operations for 64 rows, and only the leaves look at values. The second set is
// worked out only where a NOT above asks for it. On a dictionary-coded column a
// leaf looks at each distinct value once.
//
// A Filter keeps memory between calls and is for one goroutine.
type Filter struct {
	root  node
	stack []Bitmap // scratch
	rows  *Rows    // of Select
}

// node evaluates an expression: it sets yes and no, which come in cleared. no may
// be nil: then it is not asked for.
type node interface {
	eval(f *Filter, r *Rows, yes, no Bitmap) error
}

// NewFilter prepares the filter of a valid fragment without computed columns; nil
// means that it has none.
func NewFilter(f *Fragment) *Filter {
	if f.Filter == nil {
		return nil
	}
	p := &Plan{Fragment: f, domains: make([]*Domain, len(f.Columns))}
	for i := range p.domains {
		p.domains[i] = NewDomain(f.Columns[i].Result())
	}
	return p.NewFilter()
}

// NewFilter prepares the filter of the plan's fragment; nil means that it has none.
func (p *Plan) NewFilter() *Filter {
	if p.Fragment.Filter == nil {
		return nil
	}
	return &Filter{root: compile(p.Fragment.Filter, p), rows: NewRows(p)}
}

// NewFilterOn prepares those of the conditions of the fragment's filter that look at
// one column alone, by its number in Fragment.Columns: what they do not pass does not
// pass the filter. Nil means that there are none.
func (p *Plan) NewFilterOn(column int) *Filter {
	var on []*Expr
	var split func(x *Expr)
	split = func(x *Expr) {
		if x.Op == OpAnd {
			for _, a := range x.Args {
				split(a)
			}
		} else if p.looksAt(x, column) {
			on = append(on, x)
		}
	}
	if p.Fragment.Filter != nil {
		split(p.Fragment.Filter)
	}
	if len(on) == 0 {
		return nil
	}
	return &Filter{root: compile(&Expr{Op: OpAnd, Args: on}, p), rows: NewRows(p)}
}

// looksAt reports whether an expression looks at one column and no other.
func (p *Plan) looksAt(x *Expr, column int) bool {
	if len(x.Args) > 0 {
		return !slices.ContainsFunc(x.Args, func(a *Expr) bool { return !p.looksAt(a, column) })
	}
	used := make([]bool, len(p.Fragment.Columns))
	p.Fragment.mark(used, x.Column)
	for i, is := range used {
		if is != (i == column) {
			return false
		}
	}
	return true
}

// Select removes from selected the rows for which the filter is not true.
// columns are those of the fragment, hidden ones included; those that the
// filter does not use may be nil.
func (f *Filter) Select(columns []arrow.Array, rows int, selected Bitmap) error {
	f.rows.Reset(rows)
	for i, a := range columns {
		if a == nil || !f.rows.plan.used(i) {
			continue
		}
		v, err := VectorOf(a, f.rows.plan.Fragment.Columns[i].Result())
		if err != nil {
			return fmt.Errorf("filter on column %d: %w", i, err)
		}
		f.rows.Set(i, v)
	}
	return f.SelectRows(f.rows, selected)
}

// SelectRows removes from selected the rows for which the filter is not true.
func (f *Filter) SelectRows(r *Rows, selected Bitmap) error {
	yes := f.take(r.n)
	defer f.give(yes)
	if err := f.root.eval(f, r, yes, nil); err != nil {
		return err
	}
	selected.And(yes)
	return nil
}

// used reports whether the filter looks at a column.
func (p *Plan) used(column int) bool {
	if p.uses == nil {
		p.uses = Uses(p.Fragment)
	}
	return p.uses[column]
}

// Uses reports which columns the fragment's filter looks at, by itself or for
// computed columns.
func Uses(f *Fragment) []bool {
	used := make([]bool, len(f.Columns))
	var walk func(x *Expr)
	walk = func(x *Expr) {
		if len(x.Args) == 0 {
			f.mark(used, x.Column)
		}
		for _, a := range x.Args {
			walk(a)
		}
	}
	if f.Filter != nil {
		walk(f.Filter)
	}
	return used
}

// mark marks what a column is made of.
func (f *Fragment) mark(used []bool, column int) {
	if column < len(f.Columns) {
		used[column] = true
		return
	}
	for _, a := range f.Computed[column-len(f.Columns)].Args {
		used[a] = true
	}
}

func (f *Filter) take(rows int) Bitmap {
	if n := len(f.stack); n > 0 {
		b := f.stack[n-1]
		f.stack = f.stack[:n-1]
		return b.Reset(rows)
	}
	return NewBitmap(rows)
}

func (f *Filter) give(b ...Bitmap) { f.stack = append(f.stack, b...) }

func compile(x *Expr, p *Plan) node {
	switch x.Op {
	case OpAnd, OpOr:
		n := &junction{and: x.Op == OpAnd}
		for _, a := range p.cheapFirst(x.Args) {
			n.args = append(n.args, compile(a, p))
		}
		return n
	case OpNot:
		return &negation{compile(x.Args[0], p)}
	}
	t, _, _ := p.Fragment.ColumnType(x.Column)
	n := compileLeaf(x, t, x.Column >= len(p.Fragment.Columns))
	n.shared = p.said[x]
	return n
}

// cheapFirst are conditions in the order in which they are asked: those that a
// function is called for with several columns, which is for each row, come last.
func (p *Plan) cheapFirst(conditions []*Expr) []*Expr {
	var costly func(x *Expr) bool
	costly = func(x *Expr) bool {
		if len(x.Args) > 0 {
			return slices.ContainsFunc(x.Args, costly)
		}
		k := x.Column - len(p.Fragment.Columns)
		return k >= 0 && len(p.Fragment.Computed[k].Args) > 1
	}
	out := make([]*Expr, 0, len(conditions))
	for _, last := range []bool{false, true} {
		for _, x := range conditions {
			if costly(x) == last {
				out = append(out, x)
			}
		}
	}
	return out
}

// junction is AND or OR. By De Morgan, OR is AND with true and false exchanged.
type junction struct {
	and  bool
	args []node
}

func (n *junction) eval(f *Filter, r *Rows, yes, no Bitmap) error {
	if no == nil {
		return n.evalYes(f, r, yes)
	}
	if !n.and {
		yes, no = no, yes
	}
	yes.Fill(r.n)
	y, o := f.take(r.n), f.take(r.n)
	defer f.give(y, o)
	for _, a := range n.args {
		clear(y)
		clear(o)
		var err error
		if n.and {
			err = a.eval(f, r, y, o)
		} else {
			err = a.eval(f, r, o, y)
		}
		if err != nil {
			return err
		}
		yes.And(y)
		no.Or(o)
	}
	return nil
}

// evalYes works out the rows for which it is true alone. Of an AND, what is said of
// rows for which an earlier part is not true makes no difference.
func (n *junction) evalYes(f *Filter, r *Rows, yes Bitmap) error {
	y := f.take(r.n)
	defer f.give(y)
	if n.and {
		defer func(outer Bitmap) { r.among = outer }(r.among)
	}
	for i, a := range n.args {
		if i == 0 {
			if err := a.eval(f, r, yes, nil); err != nil {
				return err
			}
			continue
		}
		if n.and {
			if yes.Empty() {
				return nil
			}
			if i == 1 && r.among != nil {
				yes.And(r.among) // the rest makes no difference
			}
			r.among = yes
		}
		clear(y)
		if err := a.eval(f, r, y, nil); err != nil {
			return err
		}
		if n.and {
			yes.And(y)
		} else {
			yes.Or(y)
		}
	}
	return nil
}

type negation struct{ arg node }

func (n *negation) eval(f *Filter, r *Rows, yes, no Bitmap) error {
	if no != nil {
		return n.arg.eval(f, r, no, yes)
	}
	no = f.take(r.n)
	defer f.give(no)
	return n.arg.eval(f, r, no, yes)
}

// few is how many constants of an IN are looked through one by one.
const few = 8

func intMatcher(op Op, constants []catalog.Value) func(int64) bool {
	type span struct{ lo, hi int64 }
	var spans []span
	for _, c := range constants {
		if lo, hi := intRange(op, c); lo <= hi {
			spans = append(spans, span{lo, hi})
		}
	}
	if len(spans) == 1 {
		s := spans[0]
		return func(v int64) bool { return s.lo <= v && v <= s.hi }
	}
	if len(spans) > few {
		set := make(map[int64]struct{}, len(spans))
		for _, s := range spans {
			set[s.lo] = struct{}{} // only IN has many constants, and its spans are single values
		}
		return func(v int64) bool { _, ok := set[v]; return ok }
	}
	return func(v int64) bool {
		for _, s := range spans {
			if s.lo <= v && v <= s.hi {
				return true
			}
		}
		return false
	}
}

func doubleMatcher(op Op, constants []catalog.Value) func(float64) bool {
	bounds := make([]doubleBound, len(constants))
	for i, c := range constants {
		bounds[i] = doubleBoundOf(c)
	}
	return func(v float64) bool {
		for _, b := range bounds {
			if op.holds(b.sign(v)) {
				return true
			}
		}
		return false
	}
}

func decimalMatcher(op Op, constants []catalog.Value) func(string) bool {
	numbers := make([]*big.Rat, 0, len(constants))
	for _, c := range constants {
		if r, ok := rationalOf(c); ok {
			numbers = append(numbers, r)
		}
	}
	return func(s string) bool {
		v, ok := parseNumber(s)
		return ok && slices.ContainsFunc(numbers, func(r *big.Rat) bool { return op.holds(v.Cmp(r)) })
	}
}

func textMatcher(op Op, constants []catalog.Value) func(string) bool {
	if len(constants) == 0 {
		return func(string) bool { return false }
	}
	first := constants[0].Text
	switch {
	case op == OpPrefix:
		return func(s string) bool { return strings.HasPrefix(s, first) }
	case op == OpLike:
		return parseLike(first).matcher()
	case op == OpIn && len(constants) > few:
		set := make(map[string]struct{}, len(constants))
		for _, c := range constants {
			set[c.Text] = struct{}{}
		}
		return func(s string) bool { _, ok := set[s]; return ok }
	case op == OpIn:
		return func(s string) bool {
			return slices.ContainsFunc(constants, func(c catalog.Value) bool { return c.Text == s })
		}
	case op == OpEqual:
		return func(s string) bool { return s == first }
	}
	return func(s string) bool { return op.holds(strings.Compare(s, first)) }
}
