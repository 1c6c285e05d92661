package exec

import (
	"cmp"
	"math/big"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// Answer gives the rows of the groups, in batches of at most MaxBatchRows, in the
// fragment's order and up to its limit: the keys, then the aggregates. Batches
// stay valid. Call it once, after all Adds and Merges.
func (g *Grouper) Answer(yield func(*Batch) error) error {
	f := g.plan.Fragment
	groups := g.existing()
	if len(f.Order) > 0 {
		var err error
		if groups, err = g.sorted(groups); err != nil {
			return err
		}
	}
	if f.Limit > 0 && f.Limit < int64(len(groups)) {
		groups = groups[:f.Limit]
	}
	for lo := 0; lo < len(groups); lo += MaxBatchRows {
		part := groups[lo:min(lo+MaxBatchRows, len(groups))]
		b := &Batch{Rows: len(part)}
		for column := range f.answerColumns() {
			a, err := g.column(column, part)
			if err != nil {
				return err
			}
			b.Columns = append(b.Columns, a)
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

// sorted are the groups in the fragment's order, up to its limit. Groups that it
// does not tell apart go by all columns, which are looked at only then.
func (g *Grouper) sorted(groups []uint32) ([]uint32, error) {
	f := g.plan.Fragment
	decimals := g.decimals()
	var failed error
	compareBy := func(column int) func(a, b int32) int {
		if compare := g.compareTexts(column, groups); compare != nil {
			return compare
		}
		var compare func(a, b int32) int
		return func(a, b int32) int {
			if failed != nil {
				return 0
			}
			if compare == nil {
				c, err := g.column(column, groups)
				if err != nil {
					failed = err
					return 0
				}
				if compare, err = comparer(g.plan, c, decimals[column]); err != nil {
					failed = err
					return 0
				}
			}
			return compare(a, b)
		}
	}
	var compare []func(a, b int32) int
	for _, o := range f.Order {
		c := compareBy(o.Column)
		if o.Descending {
			up := c
			c = func(a, b int32) int { return up(b, a) }
		}
		compare = append(compare, c)
	}
	for column := range f.answerColumns() {
		compare = append(compare, compareBy(column))
	}
	rows, err := sortedRows(g.plan, func(a, b int32) int {
		for _, c := range compare {
			if sign := c(a, b); sign != 0 {
				return sign
			}
		}
		return int(a - b)
	}, len(groups), f.Limit)
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	out := make([]uint32, len(rows))
	for i, row := range rows {
		out[i] = groups[row]
	}
	return out, nil
}

// compareTexts compares groups by their one key, which is a text, as it is in its domain:
// to find the first of many groups few are compared by it. Nil is another column.
func (g *Grouper) compareTexts(column int, groups []uint32) func(a, b int32) int {
	if g.group.HideKeys || column != 0 || len(g.group.Keys) != 1 {
		return nil
	}
	if t, _, _ := g.plan.Fragment.ColumnType(g.group.Keys[0]); t != catalog.TypeString {
		return nil
	}
	values := g.plan.domains[g.group.Keys[0]].all()
	return func(a, b int32) int {
		x, y := &values[groups[a]-1], &values[groups[b]-1]
		if x.Kind == catalog.KindNull || y.Kind == catalog.KindNull {
			return cmp.Compare(boolByte(x.Kind != catalog.KindNull), boolByte(y.Kind != catalog.KindNull))
		}
		return strings.Compare(x.Text, y.Text)
	}
}

// decimals says which columns of the answer are decimals.
func (g *Grouper) decimals() []bool {
	var decimals []bool
	keys := g.group.Keys
	if g.group.HideKeys {
		keys = nil
	}
	for _, k := range keys {
		t, _, _ := g.plan.Fragment.ColumnType(k)
		decimals = append(decimals, t == catalog.TypeDecimal)
	}
	for i := range g.group.Aggregates {
		a := &g.group.Aggregates[i]
		is := a.Op == AggSum
		if len(a.Args) > 0 && (a.Op == AggMin || a.Op == AggMax || a.Op == AggPercentileDisc || a.Op == AggFirst || a.Op == AggLast) {
			t, _, _ := g.plan.Fragment.ColumnType(a.Args[0])
			is = t == catalog.TypeDecimal
		}
		decimals = append(decimals, is)
	}
	return decimals
}

// existing are the groups with rows, in the order in which they came; without
// keys the one group is always there.
func (g *Grouper) existing() []uint32 {
	if len(g.group.Keys) == 0 {
		return []uint32{1}
	}
	groups := []uint32{}
	for group, n := range g.rows {
		if n > 0 && group != hiddenGroup {
			groups = append(groups, uint32(group))
		}
	}
	return groups
}

// column is a column of the answer, for some groups.
func (g *Grouper) column(column int, groups []uint32) (arrow.Array, error) {
	if !g.group.HideKeys {
		if column < len(g.group.Keys) {
			return g.keyColumn(column, groups)
		}
		column -= len(g.group.Keys)
	}
	return g.tables[column].result(groups)
}

func (g *Grouper) keyColumn(k int, groups []uint32) (arrow.Array, error) {
	column := g.group.Keys[k]
	values := g.plan.domains[column].all()
	t, _, _ := g.plan.Fragment.ColumnType(column)
	if len(g.group.Keys) == 1 {
		return g.plan.valueArray(t, len(groups), func(i int) catalog.Value { return values[groups[i]-1] })
	}
	ids := make([]uint32, len(groups))
	var one []uint32
	for i, group := range groups {
		if err := g.plan.ended(i); err != nil {
			return nil, err
		}
		one = g.keyIDs(group, one)
		ids[i] = one[k]
	}
	return g.plan.valueArray(t, len(groups), func(i int) catalog.Value { return values[ids[i]] })
}

// sortedRows are the numbers of the rows in an order, up to a limit; 0 is none.
func sortedRows(p *Plan, less func(a, b int32) int, rows int, limit int64) ([]int32, error) {
	if limit > 0 && limit < int64(rows)/2 {
		return topRows(p, rows, int(limit), less)
	}
	out := make([]int32, rows)
	for i := range out {
		out[i] = int32(i)
	}
	if err := SortUntil(p, out, less); err != nil {
		return nil, err
	}
	if limit > 0 && limit < int64(rows) {
		out = out[:limit]
	}
	return out, nil
}

// topRows are the first n rows of an order: a heap of the best so far, the worst
// of them on top.
func topRows(p *Plan, rows, n int, less func(a, b int32) int) ([]int32, error) {
	heap := make([]int32, 0, n)
	down := func(i int) {
		for {
			child := 2*i + 1
			if child >= len(heap) {
				return
			}
			if child+1 < len(heap) && less(heap[child+1], heap[child]) > 0 {
				child++
			}
			if less(heap[child], heap[i]) <= 0 {
				return
			}
			heap[i], heap[child] = heap[child], heap[i]
			i = child
		}
	}
	for row := range int32(rows) {
		if err := p.ended(int(row)); err != nil {
			return nil, err
		}
		switch {
		case len(heap) < n:
			heap = append(heap, row)
			if len(heap) == n {
				for i := n/2 - 1; i >= 0; i-- {
					down(i)
				}
			}
		case less(row, heap[0]) < 0:
			heap[0] = row
			down(0)
		}
	}
	return heap, SortUntil(p, heap, less)
}

// comparer compares two rows of an array; null comes first.
func comparer(p *Plan, a arrow.Array, decimal bool) (func(i, j int32) int, error) {
	value := func(i, j int32) int { return 0 }
	switch x := a.(type) {
	case *array.Int64:
		v := x.Int64Values()
		value = func(i, j int32) int { return cmp.Compare(v[i], v[j]) }
	case *array.Timestamp:
		v := x.TimestampValues()
		value = func(i, j int32) int { return cmp.Compare(v[i], v[j]) }
	case *array.Float64:
		v := x.Float64Values()
		value = func(i, j int32) int { return cmp.Compare(v[i], v[j]) }
	case *array.Boolean:
		value = func(i, j int32) int { return cmp.Compare(boolByte(x.Value(int(i))), boolByte(x.Value(int(j)))) }
	case *array.String:
		if decimal {
			numbers := make([]*big.Rat, x.Len())
			for i := range numbers {
				if err := p.ended(i); err != nil {
					return nil, err
				}
				if n, ok := parseNumber(x.Value(i)); ok && !x.IsNull(i) {
					numbers[i] = n
				} else {
					numbers[i] = new(big.Rat)
				}
			}
			value = func(i, j int32) int { return numbers[i].Cmp(numbers[j]) }
			break
		}
		value = func(i, j int32) int { return strings.Compare(x.Value(int(i)), x.Value(int(j))) }
	}
	if a.NullN() == 0 {
		return value, nil
	}
	return func(i, j int32) int {
		switch in, jn := a.IsNull(int(i)), a.IsNull(int(j)); {
		case in && jn:
			return 0
		case in:
			return -1
		case jn:
			return 1
		}
		return value(i, j)
	}, nil
}
