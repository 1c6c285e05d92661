package exec

import (
	"math"
	"slices"

	"arbor/catalog"
)

// Bounds are what a filter implies about the rows for which it is true. They
// serve to skip shards, files and blocks without looking at a row.
type Bounds struct {
	// MinTime and MaxTime hold the raw time, both ends included. If MinTime is
	// greater, no row passes.
	MinTime, MaxTime int64
	// Users are the only distinct ids that pass, sorted; nil means any.
	Users []string
	// Inserts are the only insert ids that pass, likewise.
	Inserts []string
	// Ranges bound columns of numbers, moments and texts, by their number in the
	// fragment. A row whose value is null or outside does not pass.
	Ranges map[int]Range
}

// Range is a closed interval of a column's values, in the order of its type. An
// end that is null is open.
type Range struct{ Min, Max catalog.Value }

// Everything are the bounds of a filter that says nothing.
func Everything() Bounds { return Bounds{MinTime: math.MinInt64, MaxTime: math.MaxInt64} }

// Empty reports whether no row can pass.
func (b *Bounds) Empty() bool {
	return b.MinTime > b.MaxTime || b.Users != nil && len(b.Users) == 0 || b.Inserts != nil && len(b.Inserts) == 0
}

// HasUser reports whether events of that user can pass.
func (b *Bounds) HasUser(distinctID string) bool { return canBe(b.Users, distinctID) }

// HasInsert reports whether events with that insert id can pass.
func (b *Bounds) HasInsert(id string) bool { return canBe(b.Inserts, id) }

// canBe reports whether a text is one of those that pass.
func canBe(only []string, text string) bool {
	if only == nil {
		return true
	}
	_, found := slices.BinarySearch(only, text)
	return found
}

// BoundsOf says what the fragment's filter implies. The fragment must be valid.
func BoundsOf(f *Fragment) Bounds {
	if f.Filter == nil {
		return Everything()
	}
	return boundsOf(f.Filter, f.Columns)
}

func boundsOf(x *Expr, columns []Column) Bounds {
	switch x.Op {
	case OpAnd:
		b := Everything()
		for _, a := range x.Args {
			b = intersect(b, boundsOf(a, columns), columns)
		}
		return b
	case OpOr:
		b := boundsOf(x.Args[0], columns)
		for _, a := range x.Args[1:] {
			b = unite(b, boundsOf(a, columns))
		}
		return b
	case OpNot, OpIsNull, OpTrue:
		return Everything()
	}
	if x.Column >= len(columns) { // a computed one
		return Everything()
	}
	return leafBounds(x, columns[x.Column])
}

// leafBounds are those of a comparison.
func leafBounds(x *Expr, c Column) Bounds {
	b := Everything()
	lo, hi, ok := interval(x, c.Result())
	if !ok {
		return b
	}
	switch c.Source {
	case SourceTime, SourceTimeRaw:
		b.MinTime, b.MaxTime = timeBounds(lo, hi)
	case SourceDistinctID:
		if x.Op == OpEqual || x.Op == OpIn {
			b.Users = texts(x.Values)
		}
	case SourceInsertID:
		if x.Op == OpEqual || x.Op == OpIn {
			b.Inserts = texts(x.Values)
		}
	}
	b.Ranges = map[int]Range{x.Column: {lo, hi}}
	return b
}

// interval is the closed interval that a comparison's values lie in; false
// where it says nothing of the kind.
func interval(x *Expr, t catalog.Type) (lo, hi catalog.Value, ok bool) {
	if x.Op == OpPrefix || x.Op == OpLike {
		if x.Values[0].Kind == catalog.KindNull {
			return lo, hi, false
		}
		prefix := x.Values[0].Text
		if x.Op == OpLike {
			prefix = parseLike(prefix).prefix()
		}
		if end := after(prefix); end != "" {
			hi = catalog.String(end)
		}
		return catalog.String(prefix), hi, true
	}
	first := true
	for _, v := range x.Values {
		if v.Kind == catalog.KindNull {
			continue // a comparison with null is never true
		}
		if first || compareValues(v, lo, t) < 0 {
			lo = v
		}
		if first || compareValues(v, hi, t) > 0 {
			hi = v
		}
		first = false
	}
	if first {
		return lo, hi, false
	}
	switch x.Op {
	case OpLess, OpLessEq:
		lo = catalog.Null
	case OpMore, OpMoreEq:
		hi = catalog.Null
	}
	return lo, hi, true
}

// timeBounds are the whole microseconds of a closed interval.
func timeBounds(lo, hi catalog.Value) (int64, int64) {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if lo.Kind == catalog.KindInt {
		from = lo.Int()
	}
	if hi.Kind == catalog.KindInt {
		to = hi.Int()
	}
	return from, to
}

// texts are the constants' texts, sorted, each once.
func texts(values []catalog.Value) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if v.Kind != catalog.KindNull {
			out = append(out, v.Text)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func intersect(a, b Bounds, columns []Column) Bounds {
	a.MinTime, a.MaxTime = max(a.MinTime, b.MinTime), min(a.MaxTime, b.MaxTime)
	a.Users, a.Inserts = inBoth(a.Users, b.Users), inBoth(a.Inserts, b.Inserts)
	for c, r := range b.Ranges {
		if a.Ranges == nil {
			a.Ranges = map[int]Range{}
		}
		if have, ok := a.Ranges[c]; ok {
			r = have.intersect(r, columns[c].Result())
		}
		a.Ranges[c] = r
	}
	return a
}

// inBoth are the texts that pass both of two.
func inBoth(a, b []string) []string {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	both := []string{}
	for _, t := range a {
		if canBe(b, t) {
			both = append(both, t)
		}
	}
	return both
}

// inEither are the texts that pass one of two.
func inEither(a, b []string) []string {
	if a == nil || b == nil {
		return nil
	}
	either := slices.Concat(a, b)
	slices.Sort(either)
	return slices.Compact(either)
}

func (r Range) intersect(o Range, t catalog.Type) Range {
	if r.Min.Kind == catalog.KindNull || o.Min.Kind != catalog.KindNull && compareValues(o.Min, r.Min, t) > 0 {
		r.Min = o.Min
	}
	if r.Max.Kind == catalog.KindNull || o.Max.Kind != catalog.KindNull && compareValues(o.Max, r.Max, t) < 0 {
		r.Max = o.Max
	}
	return r
}

// Meets reports whether some value can lie in r and between min and max, which
// are of type t and not null.
func (r Range) Meets(min, max catalog.Value, t catalog.Type) bool {
	return (r.Min.Kind == catalog.KindNull || compareValues(r.Min, max, t) <= 0) &&
		(r.Max.Kind == catalog.KindNull || compareValues(r.Max, min, t) >= 0)
}

func unite(a, b Bounds) Bounds {
	if a.Empty() {
		return b
	}
	if b.Empty() {
		return a
	}
	return Bounds{ // ranges of different branches are not worth uniting
		MinTime: min(a.MinTime, b.MinTime), MaxTime: max(a.MaxTime, b.MaxTime),
		Users: inEither(a.Users, b.Users), Inserts: inEither(a.Inserts, b.Inserts),
	}
}
