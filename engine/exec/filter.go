package exec

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// Filter is an Expr made ready to be evaluated over batches. Truth is kept as
// two sets of rows, those for which an expression is true and those for which
// it is false; the rest is unknown. So AND, OR and NOT are a few word
// operations for 64 rows, and only the leaves look at values. On a
// dictionary-coded column a leaf looks at each distinct value once.
//
// A Filter keeps memory between calls and is for one goroutine.
type Filter struct {
	root  node
	stack []Bitmap // scratch
}

// node evaluates an expression: it sets yes and no, which come in cleared.
type node interface {
	eval(f *Filter, columns []arrow.Array, rows int, yes, no Bitmap) error
}

// NewFilter prepares the filter of a valid fragment; nil means that it has none.
func NewFilter(f *Fragment) *Filter {
	if f.Filter == nil {
		return nil
	}
	return &Filter{root: compile(f.Filter, f.Columns)}
}

// Select removes from selected the rows for which the filter is not true.
// columns are those of the fragment, hidden ones included; those that the
// filter does not use may be nil.
func (f *Filter) Select(columns []arrow.Array, rows int, selected Bitmap) error {
	yes, no := f.take(rows), f.take(rows)
	defer f.give(yes, no)
	if err := f.root.eval(f, columns, rows, yes, no); err != nil {
		return err
	}
	selected.And(yes)
	return nil
}

// Uses reports which columns the fragment's filter looks at.
func Uses(f *Fragment) []bool {
	used := make([]bool, len(f.Columns))
	var walk func(x *Expr)
	walk = func(x *Expr) {
		if len(x.Args) == 0 {
			used[x.Column] = true
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

func (f *Filter) take(rows int) Bitmap {
	if n := len(f.stack); n > 0 {
		b := f.stack[n-1]
		f.stack = f.stack[:n-1]
		return b.Reset(rows)
	}
	return NewBitmap(rows)
}

func (f *Filter) give(b ...Bitmap) { f.stack = append(f.stack, b...) }

func compile(x *Expr, columns []Column) node {
	switch x.Op {
	case OpAnd, OpOr:
		n := &junction{and: x.Op == OpAnd}
		for _, a := range x.Args {
			n.args = append(n.args, compile(a, columns))
		}
		return n
	case OpNot:
		return &negation{compile(x.Args[0], columns)}
	case OpIsNull:
		return &isNull{x.Column}
	}
	return compileLeaf(x, columns[x.Column].Result())
}

// junction is AND or OR. By De Morgan, OR is AND with true and false exchanged.
type junction struct {
	and  bool
	args []node
}

func (n *junction) eval(f *Filter, columns []arrow.Array, rows int, yes, no Bitmap) error {
	if !n.and {
		yes, no = no, yes
	}
	yes.Fill(rows)
	y, o := f.take(rows), f.take(rows)
	defer f.give(y, o)
	for _, a := range n.args {
		clear(y)
		clear(o)
		var err error
		if n.and {
			err = a.eval(f, columns, rows, y, o)
		} else {
			err = a.eval(f, columns, rows, o, y)
		}
		if err != nil {
			return err
		}
		yes.And(y)
		no.Or(o)
	}
	return nil
}

type negation struct{ arg node }

func (n *negation) eval(f *Filter, columns []arrow.Array, rows int, yes, no Bitmap) error {
	return n.arg.eval(f, columns, rows, no, yes)
}

type isNull struct{ column int }

func (n *isNull) eval(f *Filter, columns []arrow.Array, rows int, yes, no Bitmap) error {
	a := columns[n.column]
	if a.NullN() == 0 {
		no.Fill(rows)
		return nil
	}
	for i := range rows {
		if a.IsNull(i) {
			yes.Set(i)
		} else {
			no.Set(i)
		}
	}
	return nil
}

// leaf compares a column with constants. nullConstant says that one of them is
// null, so that what does not match is unknown rather than false.
type leaf struct {
	column       int
	nullConstant bool
	matchInt     func(int64) bool
	matchDouble  func(float64) bool
	matchText    func(string) bool
	memo         memo
}

func compileLeaf(x *Expr, t catalog.Type) *leaf {
	n := &leaf{column: x.Column}
	var constants []catalog.Value
	for _, v := range x.Values {
		if v.Kind == catalog.KindNull {
			n.nullConstant = true
		} else {
			constants = append(constants, v)
		}
	}
	switch t {
	case catalog.TypeBool, catalog.TypeInt, catalog.TypeDatetime:
		n.matchInt = intMatcher(x.Op, constants)
	case catalog.TypeDouble:
		n.matchDouble = doubleMatcher(x.Op, constants)
	case catalog.TypeDecimal:
		n.matchText = decimalMatcher(x.Op, constants)
	default:
		n.matchText = textMatcher(x.Op, constants)
	}
	return n
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

func (n *leaf) eval(f *Filter, columns []arrow.Array, rows int, yes, no Bitmap) error {
	column := columns[n.column]
	if err := n.match(column, rows, yes); err != nil {
		return fmt.Errorf("filter on column %d: %w", n.column, err)
	}
	if column.NullN() > 0 {
		for i := range rows {
			if column.IsNull(i) {
				yes.Unset(i)
			}
		}
	}
	if n.nullConstant {
		return nil // what does not match is unknown
	}
	no.Fill(rows)
	no.AndNot(yes)
	if column.NullN() > 0 {
		for i := range rows {
			if column.IsNull(i) {
				no.Unset(i)
			}
		}
	}
	return nil
}

// match sets the rows whose value matches; of null ones it may say anything.
func (n *leaf) match(column arrow.Array, rows int, yes Bitmap) error {
	switch a := column.(type) {
	case *array.Dictionary:
		if n.matchText != nil {
			return n.memo.match(a, n.matchText, rows, yes)
		}
	case *array.String:
		if n.matchText != nil {
			matchRows(rows, yes, func(i int) bool { return n.matchText(a.Value(i)) })
			return nil
		}
	case *array.Int64:
		if n.matchInt != nil {
			matchValues(a.Int64Values()[:rows], yes, n.matchInt)
			return nil
		}
	case *array.Timestamp:
		if n.matchInt != nil {
			matchValues(a.TimestampValues()[:rows], yes, func(t arrow.Timestamp) bool { return n.matchInt(int64(t)) })
			return nil
		}
	case *array.Float64:
		if n.matchDouble != nil {
			matchValues(a.Float64Values()[:rows], yes, n.matchDouble)
			return nil
		}
	case *array.Boolean:
		if n.matchInt != nil {
			of := [2]bool{n.matchInt(0), n.matchInt(1)}
			matchRows(rows, yes, func(i int) bool { return of[boolByte(a.Value(i))] })
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrArray, column.DataType())
}

func matchRows(rows int, yes Bitmap, match func(int) bool) {
	for i := range rows {
		if match(i) {
			yes.Set(i)
		}
	}
}

func matchValues[T any](values []T, yes Bitmap, match func(T) bool) {
	for i, v := range values {
		if match(v) {
			yes[i>>6] |= 1 << (i & 63)
		}
	}
}
