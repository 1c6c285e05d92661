package exec

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"arbor/catalog"
)

// leaf says of one column's values whether they match. nullConstant says that
// one of the constants is null, so that what does not match is unknown rather than
// false. Of a row that is null everything but IS NULL is unknown.
type leaf struct {
	column       int
	computed     bool
	nullConstant bool
	isNull       bool // IS NULL
	typ          catalog.Type
	matchInt     func(int64) bool
	matchDouble  func(float64) bool
	matchText    func(string) bool
	// span is the interval that an integer or a moment must lie in, if that is
	// all there is to it.
	span *span

	// said is what is known of a dictionary's codes, or of a domain's numbers.
	of   any
	said []uint8
	ids  []uint32
	// shared is what all workers have said of a domain's values, nil for none.
	shared *memoTable
}

type span struct{ lo, hi int64 }

// What a leaf knows of an entry.
const (
	saidNothing = 0
	saidNo      = 1
	saidYes     = 2
	saidUnknown = 3
)

func compileLeaf(x *Expr, t catalog.Type, computed bool) *leaf {
	n := &leaf{column: x.Column, computed: computed, typ: t}
	if x.Op == OpIsNull {
		n.isNull = true
		return n
	}
	if x.Op == OpTrue {
		n.matchInt = func(v int64) bool { return v != 0 }
		n.matchDouble = func(v float64) bool { return v != 0 }
		n.matchText = func(s string) bool { return strings.ContainsAny(mantissa(s), "123456789") }
		return n
	}
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
		n.span = intSpan(x.Op, constants)
	case catalog.TypeDouble:
		n.matchDouble = doubleMatcher(x.Op, constants)
	case catalog.TypeDecimal:
		n.matchText = decimalMatcher(x.Op, constants)
	default:
		n.matchText = textMatcher(x.Op, constants)
	}
	return n
}

// mantissa is a number's text up to its exponent.
func mantissa(s string) string {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i]
	}
	return s
}

// intSpan is the interval that a comparison with one constant stands for.
func intSpan(op Op, constants []catalog.Value) *span {
	if len(constants) != 1 {
		return nil
	}
	lo, hi := intRange(op, constants[0])
	return &span{lo, hi}
}

// value says of a value whether it matches.
func (n *leaf) value(v catalog.Value) uint8 {
	if n.isNull {
		if v.Kind == catalog.KindNull {
			return saidYes
		}
		return saidNo
	}
	matches := false
	switch {
	case v.Kind == catalog.KindNull:
		return saidUnknown
	case v.Kind == catalog.KindDouble && n.matchDouble != nil:
		matches = n.matchDouble(v.Double())
	case v.Kind >= catalog.KindNumber && n.matchText != nil:
		matches = n.matchText(v.Text)
	case n.matchInt != nil:
		matches = n.matchInt(v.Int())
	}
	switch {
	case matches:
		return saidYes
	case n.nullConstant:
		return saidUnknown
	}
	return saidNo
}

func (n *leaf) eval(f *Filter, r *Rows, yes, no Bitmap) error {
	if id, ok, err := r.constant(n.column); err != nil {
		return err
	} else if ok {
		n.fill(n.value(r.plan.domains[n.column].all()[id]), r.n, yes, no)
		return nil
	}
	if n.computed {
		return n.evalComputed(r, yes, no)
	}
	v := &r.vectors[n.column]
	if v.bounded && n.span != nil && !n.nullConstant && v.valid == nil {
		switch {
		case n.span.lo <= v.least && v.greatest <= n.span.hi:
			n.fill(saidYes, r.n, yes, no)
			return nil
		case n.span.lo > v.greatest || n.span.hi < v.least:
			n.fill(saidNo, r.n, yes, no)
			return nil
		}
	}
	if err := v.need(); err != nil {
		return err
	}
	if n.isNull {
		n.evalNull(v, yes, no)
		return nil
	}
	if v.Dictionary != nil {
		return n.evalCoded(r, v, yes, no)
	}
	return n.evalPlain(v, yes, no)
}

// evalNull goes by which rows have a value alone.
func (n *leaf) evalNull(v *Vector, yes, no Bitmap) {
	switch {
	case v.Dictionary != nil && v.Dictionary.Len == 0:
		yes.Fill(v.Rows)
		return
	case no != nil:
		no.Fill(v.Rows)
	}
	if v.valid != nil {
		v.settle(no, yes)
	}
}

// fill says the same of all rows.
func (n *leaf) fill(said uint8, rows int, yes, no Bitmap) {
	switch {
	case said == saidYes:
		yes.Fill(rows)
	case said == saidNo && no != nil:
		no.Fill(rows)
	}
}

// evalComputed goes by the numbers of the computed values.
func (n *leaf) evalComputed(r *Rows, yes, no Bitmap) error {
	domain := r.plan.domains[n.column]
	if cap(n.ids) == 0 {
		n.ids = make([]uint32, chunkRows)
	}
	for lo := 0; lo < r.n; lo += chunkRows {
		ids := n.ids[:min(chunkRows, r.n-lo)]
		if err := r.ids(n.column, lo, ids); err != nil {
			return err
		}
		values := domain.all()
		for len(n.said) < len(values) {
			n.said = append(n.said, n.value(values[len(n.said)]))
		}
		for i, id := range ids {
			switch n.said[id] {
			case saidYes:
				yes.Set(lo + i)
			case saidNo:
				if no != nil {
					no.Set(lo + i)
				}
			}
		}
	}
	return nil
}

// manyEntries is how many times more entries than rows a dictionary has whose
// entries are looked at row by row.
const manyEntries = 4

// evalCoded looks at each entry of the dictionary once, and then at codes.
func (n *leaf) evalCoded(r *Rows, v *Vector, yes, no Bitmap) error {
	if v.Dictionary.Len > manyEntries*v.Rows && n.of != v.Dictionary.id {
		return n.evalFew(v, yes, no)
	}
	if err := n.know(r, v.Dictionary); err != nil {
		return fmt.Errorf("filter on column %d: %w", n.column, err)
	}
	switch {
	case v.codes8 != nil:
		selectCodes8(v.codes8[:v.Rows], n.said, yes, saidYes)
		if no != nil {
			selectCodes8(v.codes8[:v.Rows], n.said, no, saidNo)
		}
	case v.codes16 != nil:
		selectCodes(v.codes16[:v.Rows], n.said, yes, saidYes, func(c int16) int { return int(uint16(c)) })
		if no != nil {
			selectCodes(v.codes16[:v.Rows], n.said, no, saidNo, func(c int16) int { return int(uint16(c)) })
		}
	case v.codes32 != nil:
		selectCodes(v.codes32[:v.Rows], n.said, yes, saidYes, func(c int32) int { return int(uint32(c)) })
		if no != nil {
			selectCodes(v.codes32[:v.Rows], n.said, no, saidNo, func(c int32) int { return int(uint32(c)) })
		}
	case len(n.said) > 0:
		n.fill(n.said[0], v.Rows, yes, no)
	}
	n.settleNulls(v, yes, no)
	return nil
}

// evalFew looks at the entries of few rows.
func (n *leaf) evalFew(v *Vector, yes, no Bitmap) error {
	a, err := v.Dictionary.values()
	if err != nil {
		return err
	}
	values, err := VectorOf(a, n.typ)
	if err != nil {
		return fmt.Errorf("filter on column %d: %w", n.column, err)
	}
	for i := range v.Rows {
		switch n.value(values.plain(v.code(i))) {
		case saidYes:
			yes.Set(i)
		case saidNo:
			if no != nil {
				no.Set(i)
			}
		}
	}
	n.settleNulls(v, yes, no)
	return nil
}

// settleNulls takes back what was said of rows that are null.
func (n *leaf) settleNulls(v *Vector, yes, no Bitmap) {
	if v.valid == nil {
		return
	}
	v.settle(yes, nil)
	v.settle(no, nil)
}

// know works out what to say of each entry of a dictionary.
func (n *leaf) know(r *Rows, d *Dictionary) error {
	if n.of != nil && n.of == d.id && len(n.said) == max(1, d.Len) {
		return nil
	}
	n.of = d.id
	if d.Len == 0 { // all rows are null
		n.said = append(n.said[:0], saidUnknown)
		return nil
	}
	n.said = slices.Grow(n.said[:0], d.Len)[:d.Len]
	if n.shared != nil {
		return n.knowShared(r, d)
	}
	a, err := d.values()
	if err != nil {
		n.of = nil
		return err
	}
	v, err := VectorOf(a, n.typ)
	if err != nil {
		n.of = nil
		return err
	}
	for i := range n.said {
		n.said[i] = n.value(v.plain(i))
	}
	return nil
}

// knowShared is know by the numbers of the entries: each value is looked at once
// for all files.
func (n *leaf) knowShared(r *Rows, d *Dictionary) error {
	numbers, err := r.translated(n.column, d)
	if err != nil {
		n.of = nil
		return err
	}
	values := r.plan.domains[n.column].all()
	table := n.shared.upTo(len(values))
	for i := range n.said {
		id := numbers[i]
		said := atomic.LoadUint32(&table[id])
		if said == unknownID {
			said = uint32(n.value(values[id]))
			atomic.StoreUint32(&table[id], said)
		}
		n.said[i] = uint8(said)
	}
	return nil
}

// evalPlain compares values.
func (n *leaf) evalPlain(v *Vector, yes, no Bitmap) error {
	switch {
	case v.ints != nil && n.span != nil:
		selectSpan(v.ints[:v.Rows], *n.span, yes)
	case v.ints != nil && n.matchInt != nil:
		matchValues(v.ints[:v.Rows], yes, n.matchInt)
	case v.doubles != nil && n.matchDouble != nil:
		matchValues(v.doubles[:v.Rows], yes, n.matchDouble)
	case v.bits != nil && n.matchInt != nil:
		of := [2]bool{n.matchInt(0), n.matchInt(1)}
		matchRows(v.Rows, yes, func(i int) bool { i += v.bitsAt; return of[v.bits[i>>3]>>(i&7)&1] })
	case v.texts != nil && n.matchText != nil:
		matchRows(v.Rows, yes, func(i int) bool { return n.matchText(v.texts.Value(i)) })
	case v.Rows > 0:
		return fmt.Errorf("filter on column %d: %w", n.column, ErrArray)
	}
	if no != nil && !n.nullConstant {
		no.Fill(v.Rows)
		no.AndNot(yes)
	}
	n.settleNulls(v, yes, no)
	return nil
}
