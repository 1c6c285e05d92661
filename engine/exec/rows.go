package exec

import (
	"errors"
	"fmt"
	"sync/atomic"

	"arbor/catalog"
)

// Rows are some rows of a query, by column, with what a worker keeps to compute
// over them. The columns are a fragment's; those that nothing asks for may be
// missing. For one goroutine.
type Rows struct {
	plan    *Plan
	n       int
	vectors []Vector
	scratch scratch

	functions []Function
	args      []catalog.Value
	// numbers are the translations of the vectors' dictionaries, with what they
	// are of.
	numbers []translation
	periods []periodMemo
	tuples  []tupleMemo
	small   []*smallInts
	// among are the rows of which functions of several columns, or of values that no
	// dictionary holds, are asked; nil are all. Of others they say NULL.
	among Bitmap
}

// tupleMemo is a computed column's values by the numbers of several arguments.
type tupleMemo struct {
	tables []pairTable
	ids    []uint32
}

// NewRows makes room for rows of a plan.
func NewRows(p *Plan) *Rows {
	f := p.Fragment
	return &Rows{
		plan: p, vectors: make([]Vector, len(f.Columns)), functions: make([]Function, len(f.Computed)),
		numbers: make([]translation, len(f.Columns)), periods: make([]periodMemo, len(f.Computed)), tuples: make([]tupleMemo, len(f.Computed)),
		small: make([]*smallInts, f.columnCount()),
	}
}

// Reset begins n other rows, without columns.
func (r *Rows) Reset(n int) {
	r.n = n
	clear(r.vectors)
	r.scratch.reset()
}

// Set gives a column, by its number in Fragment.Columns.
func (r *Rows) Set(column int, v Vector) { r.vectors[column] = v }

// compact leaves the rows at positions.
func (r *Rows) compact(at []int32, used []bool) error {
	for i := range r.vectors {
		if !used[i] {
			r.vectors[i] = Vector{}
			continue
		}
		v := &r.vectors[i]
		if !v.costly && !v.bounded {
			if err := v.need(); err != nil {
				return err
			}
		}
		*v = v.gather(at, &r.scratch)
	}
	r.n = len(at)
	return nil
}

// ids puts the numbers of a column's values in rows [lo, lo+len(out)) into out.
func (r *Rows) ids(column, lo int, out []uint32) error {
	if n := len(r.plan.Fragment.Columns); column >= n {
		return r.computedIDs(column-n, lo, out)
	}
	v := &r.vectors[column]
	if err := v.need(); err != nil {
		return err
	}
	if v.Dictionary == nil {
		if !r.numberSmall(column, v, lo, out) {
			r.plan.domains[column].numberRows(out, v, lo, lo+len(out))
		}
		return nil
	}
	numbers, err := r.translated(column, v.Dictionary)
	if err != nil {
		return err
	}
	switch {
	case v.codes8 != nil:
		for i, c := range v.codes8[lo : lo+len(out)] {
			out[i] = numbers[uint8(c)]
		}
	case v.codes16 != nil:
		for i, c := range v.codes16[lo : lo+len(out)] {
			out[i] = numbers[uint16(c)]
		}
	case v.codes32 != nil:
		for i, c := range v.codes32[lo : lo+len(out)] {
			out[i] = numbers[uint32(c)]
		}
	default:
		id := uint32(nullID)
		if len(numbers) > 0 {
			id = numbers[0]
		}
		for i := range out {
			out[i] = id
		}
	}
	v.clearNulls(out, lo)
	return nil
}

// translated is the translation of a column's dictionary.
func (r *Rows) translated(column int, d *Dictionary) ([]uint32, error) {
	t := &r.numbers[column]
	if t.id == d.id && len(t.numbers) >= d.Len && t.id != nil {
		return t.numbers, nil
	}
	numbers, err := r.plan.domains[column].translate(d)
	if err != nil {
		return nil, err
	}
	*t = translation{id: d.id, numbers: numbers}
	return numbers, nil
}

// constant is the number that all rows of a column have, if that is known
// without looking at the rows.
func (r *Rows) constant(column int) (id uint32, ok bool, err error) {
	if n := len(r.plan.Fragment.Columns); column >= n {
		k := column - n
		c := &r.plan.Fragment.Computed[k]
		if len(c.Args) == 0 {
			id, err = r.evaluated(k, 0, nil)
			return id, err == nil, err
		}
		if v := &r.vectors[c.Args[0]]; c.Period > 0 && v.bounded && !nearEpoch(v.least) {
			least, greatest := floorDiv(v.least, c.Period), floorDiv(v.greatest, c.Period)
			if least == greatest {
				id, err = r.periodID(k, least)
				return id, err == nil, err
			}
		}
		if len(c.Args) == 1 {
			if arg, ok, err := r.constant(c.Args[0]); err != nil || ok {
				if err != nil {
					return 0, false, err
				}
				id, err = r.memoID(k, arg)
				return id, err == nil, err
			}
		}
		return 0, false, nil
	}
	v := &r.vectors[column]
	if v.Dictionary != nil && v.valid == nil && v.codes8 == nil && v.codes16 == nil && v.codes32 == nil {
		numbers, err := r.translated(column, v.Dictionary)
		if err != nil || len(numbers) == 0 {
			return 0, false, err
		}
		return numbers[0], true, nil
	}
	return 0, false, nil
}

// computedIDs is ids for computed column k.
func (r *Rows) computedIDs(k, lo int, out []uint32) error {
	c := &r.plan.Fragment.Computed[k]
	if id, ok, err := r.constant(len(r.plan.Fragment.Columns) + k); err != nil || ok {
		for i := range out {
			out[i] = id
		}
		return err
	}
	coded := true
	for _, a := range c.Args {
		v := &r.vectors[a]
		if err := v.need(); err != nil {
			return err
		}
		coded = coded && v.Dictionary != nil
	}
	switch {
	case c.Period > 0:
		return r.periodIDs(k, lo, out)
	case !coded:
		if done, err := r.smallIDs(k, lo, out); done || err != nil {
			return err
		}
		return r.rowIDs(k, lo, out)
	case len(c.Args) == 1:
		return r.memoIDs(k, lo, out)
	default:
		return r.tupleIDs(k, lo, out)
	}
}

// memoIDs evaluates once for each value of a column.
func (r *Rows) memoIDs(k, lo int, out []uint32) error {
	arg := r.plan.Fragment.Computed[k].Args[0]
	if err := r.ids(arg, lo, out); err != nil {
		return err
	}
	ids := r.plan.memos[k].upTo(r.plan.domains[arg].Len())
	for i, n := range out {
		if int(n) < len(ids) {
			if id := atomic.LoadUint32(&ids[n]); id != unknownID {
				out[i] = id
				continue
			}
		}
		id, err := r.memoID(k, n)
		if err != nil {
			return err
		}
		out[i] = id
	}
	return nil
}

// memoID is the computed value for a value of the argument.
func (r *Rows) memoID(k int, arg uint32) (uint32, error) {
	domain := r.plan.domains[r.plan.Fragment.Computed[k].Args[0]]
	ids := r.plan.memos[k].upTo(domain.Len())
	if id := atomic.LoadUint32(&ids[arg]); id != unknownID {
		return id, nil
	}
	id, err := r.evaluatedValue(k, domain.all()[arg])
	if err == nil {
		atomic.StoreUint32(&ids[arg], id)
	}
	return id, err
}

// tupleIDs evaluates once for each combination of several columns' values.
func (r *Rows) tupleIDs(k, lo int, out []uint32) error {
	c := &r.plan.Fragment.Computed[k]
	m := &r.tuples[k]
	for len(m.tables) < len(c.Args)-1 {
		m.tables = append(m.tables, pairTable{})
	}
	numbers := make([][]uint32, len(c.Args))
	for j, a := range c.Args {
		numbers[j] = scratchOf[uint32](&r.scratch, len(out))
		if err := r.ids(a, lo, numbers[j]); err != nil {
			return err
		}
	}
	for i := range out {
		if r.among != nil && !r.among.Has(lo+i) {
			out[i] = nullID
			continue
		}
		n := numbers[0][i]
		for j := range m.tables {
			n, _ = m.tables[j].number(n, numbers[j+1][i])
		}
		for int(n) >= len(m.ids) {
			m.ids = append(m.ids, unknownID)
		}
		if m.ids[n] == unknownID {
			r.args = r.args[:0]
			for j, a := range c.Args {
				r.args = append(r.args, r.plan.domains[a].all()[numbers[j][i]])
			}
			id, err := r.evaluate(k, r.args)
			if err != nil {
				return err
			}
			m.ids[n] = id
		}
		out[i] = m.ids[n]
	}
	return nil
}

// rowIDs evaluates for each row.
func (r *Rows) rowIDs(k, lo int, out []uint32) error {
	c := &r.plan.Fragment.Computed[k]
	for i := range out {
		if r.among != nil && !r.among.Has(lo+i) {
			out[i] = nullID
			continue
		}
		id, err := r.evaluated(k, lo+i, c.Args)
		if err != nil {
			return err
		}
		out[i] = id
	}
	return nil
}

// evaluated computes a column's value for a row.
func (r *Rows) evaluated(k, row int, args []int) (uint32, error) {
	r.args = r.args[:0]
	for _, a := range args {
		v, err := r.value(a, row)
		if err != nil {
			return 0, err
		}
		r.args = append(r.args, v)
	}
	return r.evaluate(k, r.args)
}

func (r *Rows) evaluatedValue(k int, arg catalog.Value) (uint32, error) {
	r.args = append(r.args[:0], arg)
	return r.evaluate(k, r.args)
}

// evaluate computes a value and numbers it.
func (r *Rows) evaluate(k int, args []catalog.Value) (uint32, error) {
	if r.functions[k] == nil {
		f, err := r.plan.functions.Function(r.plan.Fragment.Computed[k].Function)
		if err != nil {
			return 0, wrapFunction(err)
		}
		r.functions[k] = f
	}
	v, err := r.functions[k].Eval(args)
	if err != nil {
		return 0, wrapFunction(err)
	}
	return r.plan.domains[len(r.plan.Fragment.Columns)+k].Number(v), nil
}

func wrapFunction(err error) error {
	if errors.Is(err, ErrFunction) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFunction, err)
}

// value is the value of a column of Fragment.Columns in a row.
func (r *Rows) value(column, row int) (catalog.Value, error) {
	v := &r.vectors[column]
	if err := v.need(); err != nil {
		return catalog.Null, err
	}
	if v.Dictionary == nil {
		return v.plain(row), nil
	}
	if v.isNull(row) {
		return catalog.Null, nil
	}
	numbers, err := r.translated(column, v.Dictionary)
	if err != nil {
		return catalog.Null, err
	}
	return r.plan.domains[column].all()[numbers[v.code(row)]], nil
}

// floorDiv divides and rounds down.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

// chunkRows is how many rows are numbered at a time: what is made of them stays in
// the nearest cache.
const chunkRows = 4096
