package exec

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// A merge join puts two sides together that both come in the order of a text, which is
// nearly always the user:
//
//	left    ann ann │ bob │ cid cid cid │ …      a batch at a time
//	right   ann     │ bob bob bob │ dan │ …      what one user has, at most
//
// Of the right side only the rows of one key are held, and copied only where they go on in
// the next batch. Pairs are noted as places and gathered when there are many, or when a
// batch that they refer to goes.

// JoinKind is what a join gives of the rows of its left side.
type JoinKind uint8

// The kinds of joins.
const (
	JoinInner JoinKind = iota // the pairs
	JoinLeft                  // the pairs, and rows without one with nulls
	JoinSemi                  // the rows that have a pair
	JoinAnti                  // the rows that have none
)

// JoinPlan says how two sides are joined.
type JoinPlan struct {
	Kind        JoinKind
	Left, Right JoinSide
	// Spans and Equals are what pairs have to fulfil beside equal keys.
	Spans  []JoinSpan
	Equals []JoinEqual
	// Columns are what comes out; of the right side nothing does for JoinSemi and
	// JoinAnti.
	Columns []JoinColumn
	// Filter is the filter of a fragment with Columns, which pairs have to fulfil; nil is
	// none.
	Filter *Plan
	// Weighs asks for the rows of the left side with how many pairs each has, as weights.
	// No column is of the right side then, and there is no filter.
	Weighs bool
	// Take counts memory; it fails if there is too much.
	Take func(bytes int64) error
	// Ended is asked now and then, and gives the reason for which no more is to be done.
	Ended func() error
}

// JoinSide is a side's columns, and which of them it is sorted by.
type JoinSide struct {
	Types []catalog.Type
	Key   int
	// Then is a column of moments without nulls that rows of one key are sorted by, less
	// than 0 for none.
	Then int
}

// JoinSpan is a condition on a moment of each side: that they are of certain spans, and the
// right one from Least to Greatest microseconds after the left one.
type JoinSpan struct {
	Left, Right     int // columns
	Least, Greatest int64
	OfLeft, OfRight MomentSpan
}

// JoinEqual says that a text of each side is the same.
type JoinEqual struct{ Left, Right int }

// MomentSpan is the moments from Least to Greatest.
type MomentSpan struct{ Least, Greatest int64 }

// AllMoments is no condition.
var AllMoments = MomentSpan{math.MinInt64, math.MaxInt64}

func (s MomentSpan) has(t int64) bool { return s.Least <= t && t <= s.Greatest }

// JoinColumn is a column of a side.
type JoinColumn struct {
	Right  bool
	Column int
}

// Join joins. For one goroutine.
type Join struct {
	plan  *JoinPlan
	right joinReader
	out   joinOutput
	spans []spanRows
	texts []textRows // of the left side's columns that are equal
	begun bool       // last is
	last  []byte     // the left side's last key
}

// spanRows are the moments that a span looks at in a left batch.
type spanRows struct {
	span *JoinSpan
	left moments
}

// NewJoin gives batches of what two sides have in common to yield. next gives the right
// side's batches, each valid until the next call, and nil after the last.
func NewJoin(p *JoinPlan, next func() (*Batch, error), yield func(*Batch) error) (*Join, error) {
	for _, s := range []*JoinSide{&p.Left, &p.Right} {
		if s.Key < 0 || s.Key >= len(s.Types) || s.Types[s.Key] != catalog.TypeString || s.Then >= len(s.Types) {
			return nil, fmt.Errorf("%w: a join by column %d of %d", ErrFragment, s.Key, len(s.Types))
		}
	}
	for _, c := range p.Columns {
		side := &p.Left
		if c.Right {
			side = &p.Right
		}
		if c.Column < 0 || c.Column >= len(side.Types) {
			return nil, fmt.Errorf("%w: column %d of a side of a join that has %d", ErrFragment, c.Column, len(side.Types))
		}
	}
	if p.Weighs && (p.Filter != nil || p.Kind != JoinInner && p.Kind != JoinLeft || slices.ContainsFunc(p.Columns, func(c JoinColumn) bool { return c.Right })) {
		return nil, fmt.Errorf("%w: a join that weighs its left side's rows and asks for more", ErrFragment)
	}
	j := &Join{plan: p, spans: make([]spanRows, len(p.Spans)), texts: make([]textRows, len(p.Equals))}
	for i := range p.Spans {
		j.spans[i].span = &p.Spans[i]
	}
	j.right = joinReader{plan: p, next: next, leaving: j.flush}
	j.out = newJoinOutput(p, yield)
	return j, nil
}

// Add takes a batch of the left side that comes after those before.
func (j *Join) Add(b *Batch) error {
	if b.Runs != nil || len(b.Columns) != len(j.plan.Left.Types) {
		return fmt.Errorf("%w: %d columns, want %d, in one run", ErrArray, len(b.Columns), len(j.plan.Left.Types))
	}
	if b.Rows == 0 {
		return nil
	}
	keys, err := newTextRows(b.Columns[j.plan.Left.Key])
	if err != nil {
		return err
	}
	for i := range j.spans {
		if j.spans[i].left, err = momentsOf(b.Columns[j.spans[i].span.Left]); err != nil {
			return err
		}
	}
	for i, e := range j.plan.Equals {
		if j.texts[i], err = newTextRows(b.Columns[e.Left]); err != nil {
			return err
		}
	}
	j.out.begin(b)
	for lo := 0; lo < b.Rows; {
		if err := j.plan.Ended(); err != nil {
			return err
		}
		key, known := keys.key(lo)
		hi := lo + 1
		for hi < b.Rows && keys.same(lo, hi) {
			hi++
		}
		var block []blockPart
		if known {
			if j.begun && bytes.Compare(key, j.last) < 0 {
				return fmt.Errorf("%w: the left side of a join is not in order", ErrFragment)
			}
			j.begun, j.last = true, append(j.last[:0], key...)
			if block, err = j.right.seek(key); err != nil {
				return err
			}
		}
		for row := lo; row < hi; row++ {
			if err := j.row(row, block); err != nil {
				return err
			}
		}
		lo = hi
	}
	return j.flush()
}

// Finish ends the join.
func (j *Join) Finish() error { return j.right.drop() }

func (j *Join) flush() error { return j.out.flush() }

// row finds what goes with a row of the left side.
func (j *Join) row(row int, block []blockPart) error {
	j.out.taken = false
	for i := range block {
		part := &block[i]
		lo, hi := part.lo, part.hi
		single := len(j.texts) == 0 // that what is left of the part fulfils all
		for k := range j.spans {
			s := &j.spans[k]
			t, ok := s.left.at(row)
			if !ok || !s.span.OfLeft.has(t) {
				lo = hi
				break
			}
			least, greatest := max(added(t, s.span.Least), s.span.OfRight.Least), min(added(t, s.span.Greatest), s.span.OfRight.Greatest)
			if s.span.Right != j.plan.Right.Then {
				single = false
				continue
			}
			times := part.piece.spans[k].values
			from, _ := slices.BinarySearch(times[lo:hi], arrow.Timestamp(least))
			lo += from
			if greatest < math.MaxInt64 {
				to, _ := slices.BinarySearch(times[lo:hi], arrow.Timestamp(greatest+1))
				hi = lo + to
			}
		}
		if lo >= hi {
			continue
		}
		if single {
			if enough, err := j.out.pairs(row, part.piece, lo, hi); err != nil || enough {
				return err
			}
			continue
		}
		for at := lo; at < hi; at++ {
			if !j.fulfils(row, part.piece, at) {
				continue
			}
			if enough, err := j.out.pairs(row, part.piece, at, at+1); err != nil || enough {
				return err
			}
		}
	}
	return j.out.endRow(row)
}

// fulfils reports whether a pair fulfils what is not found by the order of rows.
func (j *Join) fulfils(row int, p *joinPiece, at int) bool {
	for k := range j.spans {
		s := &j.spans[k]
		if s.span.Right == j.plan.Right.Then {
			continue
		}
		l, _ := s.left.at(row)
		r, ok := p.spans[k].at(at)
		if !ok || !s.span.OfRight.has(r) || r < added(l, s.span.Least) || r > added(l, s.span.Greatest) {
			return false
		}
	}
	for i := range j.texts {
		l, ok := j.texts[i].key(row)
		r, also := p.texts[i].key(at)
		if !ok || !also || !bytes.Equal(l, r) {
			return false
		}
	}
	return true
}

// added is a sum that stops at the ends of what an int64 holds.
func added(t, n int64) int64 {
	switch sum := t + n; {
	case n > 0 && sum < t:
		return math.MaxInt64
	case n < 0 && sum > t:
		return math.MinInt64
	default:
		return sum
	}
}

// moments are a column of them.
type moments struct {
	array  arrow.Array
	values []arrow.Timestamp
	nulls  bool
}

// at is the moment of a row; not ok for null.
func (m *moments) at(row int) (int64, bool) {
	if m.nulls && m.array.IsNull(row) {
		return 0, false
	}
	return int64(m.values[row]), true
}
