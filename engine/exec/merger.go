package exec

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Merger makes an answer of partials over disjoint shards that together are all
// that the fragment asks. The answer does not depend on the order in which they
// come, and is the one that one member with all shards would give. For one
// goroutine, but for its Parts, each of which has its own.
type Merger struct {
	plan    *Plan
	tied    *Fragment // for rows, what the members answer
	hash    uint64
	version byte
	whole   *Grouper // nil for rows
	parts   []*Part  // of rows
	stats   ScanStats
}

// NewMerger prepares for a fragment whose members are asked with any Buckets. Of the
// options only MaxBytes counts.
func NewMerger(f *Fragment, o Options) (*Merger, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	m := &Merger{tied: WithTies(f), hash: partialHash(f), version: partialVersion(f)}
	m.stats.Measured = f.Measured
	m.plan = &Plan{Fragment: f, maxBytes: o.MaxBytes, domains: make([]*Domain, f.columnCount())}
	for i := range m.plan.domains {
		t, _, _ := f.ColumnType(i)
		m.plan.domains[i] = NewDomain(t)
	}
	if f.Group != nil {
		var err error
		if m.whole, err = NewGrouper(m.plan); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Part takes one partial. Nothing of it counts before it is whole and Merger.Take
// was given it, so that a partial that breaks off is asked for again elsewhere.
type Part struct {
	merger *Merger
	number uint64
	groups *Grouper
	rows   []*Batch
	stats  ScanStats
	ended  bool
	held   int64
	bytes  int64 // of the pieces
	err    error
}

// NewPart begins a partial.
func (m *Merger) NewPart() (*Part, error) {
	p := &Part{merger: m}
	if m.whole != nil {
		var err error
		if p.groups, err = NewGrouper(m.plan); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Add takes the next piece, of which it keeps nothing. After an error the part is of
// no more use.
func (p *Part) Add(piece []byte) error {
	if p.err == nil {
		p.err = p.add(piece)
	}
	return p.err
}

func (p *Part) add(piece []byte) error {
	if p.ended {
		return fmt.Errorf("%w: a piece after the last", ErrPartial)
	}
	kind, body, err := pieceOf(piece, p.merger.version, p.merger.hash, p.number)
	if err != nil {
		return err
	}
	p.number++
	p.bytes += int64(len(piece))
	switch {
	case kind == pieceEnd:
		p.stats, err = endOf(body, p.merger.version)
		p.ended = err == nil
		return err
	case kind == pieceGroups && p.groups != nil:
		return p.groups.addPiece(body)
	case kind == pieceRows && p.groups == nil:
		b, err := readRows(body, p.merger.tied.answerTypes())
		if err != nil {
			return err
		}
		p.rows = append(p.rows, b)
		size := int64(2*len(body) + b.Rows*8*len(b.Columns))
		p.held += size
		return p.merger.plan.take(size)
	}
	return fmt.Errorf("%w: piece of kind %d", ErrPartial, kind)
}

// Ended reports whether the last piece was added.
func (p *Part) Ended() bool { return p.ended && p.err == nil }

// Drop gives back what a part holds that is not taken.
func (p *Part) Drop() {
	held := p.held
	if p.groups != nil {
		held += p.groups.taken
	}
	_ = p.merger.plan.take(-held)
	p.groups, p.rows, p.held, p.err = nil, nil, 0, fmt.Errorf("%w: it was dropped", ErrPartial)
}

// Take adds a whole part to the answer. It may not be used after.
func (m *Merger) Take(p *Part) error {
	if !p.Ended() || p.merger != m {
		return fmt.Errorf("%w: it is not whole", ErrPartial)
	}
	p.err = fmt.Errorf("%w: it was taken", ErrPartial)
	defer m.measure(time.Now())
	m.stats.Add(p.stats)
	m.stats.Partials++
	m.stats.BytesPartials += p.bytes
	if m.whole == nil {
		m.parts = append(m.parts, p)
		return nil
	}
	err := m.whole.Merge(p.groups)
	p.groups = nil
	return err
}

// Stats are the sums of what the members' scans did, but for the rows given, which
// are the answer's, once there is one.
func (m *Merger) Stats() ScanStats { return m.stats }

// measure counts the time since a moment as that of putting partials together.
func (m *Merger) measure(since time.Time) { m.stats.TimeMerge += time.Since(since).Nanoseconds() }

// Answer gives the answer, as Engine.Execute or Scan does. Batches stay valid. Call
// it once, after all parts were taken.
func (m *Merger) Answer(yield func(*Batch) error) error {
	m.stats.RowsGiven = 0
	since := time.Now()
	give := func(b *Batch) error {
		m.stats.RowsGiven += int64(b.Rows)
		m.measure(since)
		defer func() { since = time.Now() }()
		return yield(b)
	}
	defer func() { m.measure(since) }()
	switch f := m.plan.Fragment; {
	case m.whole != nil:
		return m.whole.Answer(give)
	case len(f.Order) > 0:
		return m.answerSorted(give)
	default:
		return m.answerRows(give)
	}
}

// answerRows gives rows as they came.
func (m *Merger) answerRows(yield func(*Batch) error) error {
	limit := m.plan.Fragment.Limit
	for _, p := range m.parts {
		for _, b := range p.rows {
			if limit > 0 {
				if left := limit - m.stats.RowsGiven; left <= 0 {
					return nil
				} else {
					b.Cut(int(min(left, int64(b.Rows))))
				}
			}
			if err := yield(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// mergedRow is a row with its place in the order.
type mergedRow struct {
	key []byte
	at  Place
}

// answerSorted gives rows in the order, and where it does not tell them apart by
// time and ingest id.
func (m *Merger) answerSorted(yield func(*Batch) error) error {
	f, types := m.plan.Fragment, m.tied.answerTypes()
	time := 0 // its place among the visible columns
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			time++
		}
	}
	order := append(slices.Clone(m.tied.Order), Order{Column: time}, Order{Column: time + 1})
	var batches []*Batch
	var rows []mergedRow
	for _, p := range m.parts {
		for _, b := range p.rows {
			var arrays []arrow.Array
			var keyTypes []catalog.Type
			for _, o := range order {
				arrays, keyTypes = append(arrays, b.Columns[o.Column]), append(keyTypes, types[o.Column])
			}
			keys, err := NewSortKeys(arrays, keyTypes, order)
			if err != nil {
				return err
			}
			size := int64(0)
			for row := range b.Rows {
				key := keys.Append(nil, row)
				size += int64(len(key)) + sizeOf[mergedRow]()
				rows = append(rows, mergedRow{key, Place{int32(len(batches)), int32(row)}})
			}
			if err := m.plan.take(size); err != nil {
				return err
			}
			batches = append(batches, b)
		}
	}
	slices.SortFunc(rows, func(a, b mergedRow) int { return bytes.Compare(a.key, b.key) })
	if f.Limit > 0 && f.Limit < int64(len(rows)) {
		rows = rows[:f.Limit]
	}
	for lo := 0; lo < len(rows); lo += MaxBatchRows {
		if err := giveMerged(batches, rows[lo:min(lo+MaxBatchRows, len(rows))], types, time, yield); err != nil {
			return err
		}
	}
	return nil
}

// mergedText is how much text a batch may have, before it is given in two halves.
const mergedText = 64 << 20

// giveMerged gives a batch of some rows, without their time and ingest id, which are
// the columns from number ties on.
func giveMerged(batches []*Batch, rows []mergedRow, types []catalog.Type, ties int, yield func(*Batch) error) error {
	at := make([]Place, len(rows))
	for i := range rows {
		at[i] = rows[i].at
	}
	out := &Batch{Rows: len(rows)}
	arrays := make([]arrow.Array, len(batches))
	text := 0
	for column, t := range types {
		if column == ties || column == ties+1 {
			continue
		}
		for i, b := range batches {
			arrays[i] = b.Columns[column]
		}
		if text += TextBytes(arrays, at); text > mergedText && len(rows) > 1 {
			half := len(rows) / 2
			if err := giveMerged(batches, rows[:half], types, ties, yield); err != nil {
				return err
			}
			return giveMerged(batches, rows[half:], types, ties, yield)
		}
		a, err := Gather(t, arrays, at)
		if err != nil {
			return err
		}
		out.Columns = append(out.Columns, asBatchColumn(a, t))
	}
	return yield(out)
}
