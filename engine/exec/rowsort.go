package exec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// A RowSort gives rows that come in batches, such as those of a join, in the order of a
// fragment. Of each batch it keeps what may be wanted, as copies, and lets the rest go:
//
//	batch ──filter──▶ columns of the order ──▶ keys ──▶ those before the worst ──▶ a piece
//
// With a limit no more is kept than a few times as many rows as are wanted. Without one all
// rows are, but where they come by the first columns of the order already those of one part,
// which have the same values there.

// ErrEnough says that as many rows as are wanted were given.
var ErrEnough = errors.New("as many rows as are wanted were given")

// RowSortPlan says how rows are sorted.
type RowSortPlan struct {
	// Fragment has the columns of the batches, and what is asked of them: Filter, Computed,
	// Order and Limit. Without an order the rows stay in the one in which they come.
	Fragment *Fragment
	Options  Options
	// Come says by how many columns of the order, from the first, the rows come.
	Come int
	// Take counts memory; it fails if there is too much.
	Take func(bytes int64) error
	// Ended is asked now and then, and gives the reason for which no more is to be done.
	Ended func() error
}

const (
	// sortedRowBytes is about what a kept row takes beside its key and columns.
	sortedRowBytes = 64
	// partRows is how many rows are given at once at least, of those that come in parts.
	partRows = 1 << 13
	// spareRows is how many rows more than twice those wanted are kept before the worst go.
	spareRows = 1 << 12
	// maxSortDomains is how many bytes of values computed so far are remembered.
	maxSortDomains = 32 << 20
	// maxBatchText is how much text a batch may have, before it is given in two halves.
	maxBatchText = 64 << 20
)

// RowSort sorts. For one goroutine.
type RowSort struct {
	spec    *RowSortPlan
	yield   func(*Batch) error
	plan    *Plan
	filter  *Filter
	rows    *Rows
	taker   Taker
	visible []int // the answer's columns, as numbers of the fragment's
	order   []int // likewise those of the order
	types   []catalog.Type
	read    []bool // which of Fragment.Columns the answer is made of

	limit  int64 // how many rows are still wanted; less than 0 for all
	list   []keptRow
	worst  []byte // the key of the last row that is wanted; nil as long as there are fewer
	seen   uint64 // rows that were kept
	pieces []*keptPiece
	copied int64 // rows of the pieces
	held   int64
	last   []catalog.Value // of the row before, in the columns by which rows come
	at     []int32
	key    []byte
}

// keptRow is a row with its place in the order.
type keptRow struct {
	first uint64 // of the key, by which most rows are told apart
	key   []byte
	came  uint64 // which decides between equal ones
	piece *keptPiece
	row   int32
}

// keptPiece is some rows' columns of the answer. Before they are copied it stands for the
// batch at hand.
type keptPiece struct {
	columns []arrow.Array
	bytes   int64
}

func (r *keptRow) compare(o *keptRow) int {
	if r.first != o.first {
		return cmp.Compare(r.first, o.first)
	}
	if c := bytes.Compare(r.key, o.key); c != 0 {
		return c
	}
	return cmp.Compare(r.came, o.came)
}

// NewRowSort gives batches of the fragment's visible columns to yield, each valid until that
// returns.
func NewRowSort(p *RowSortPlan, yield func(*Batch) error) (*RowSort, error) {
	f := p.Fragment
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if f.Group != nil || p.Come < 0 || p.Come > len(f.Order) {
		return nil, fmt.Errorf("%w: a sort of groups, or of rows that come by %d of %d columns", ErrFragment, p.Come, len(f.Order))
	}
	s := &RowSort{spec: p, yield: yield, read: make([]bool, len(f.Columns)), limit: -1}
	if f.Limit > 0 {
		s.limit = f.Limit
	}
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			s.visible, s.read[i] = append(s.visible, i), true
		}
	}
	for i := range f.Computed {
		if c := &f.Computed[i]; !c.Hidden {
			s.visible = append(s.visible, len(f.Columns)+i)
			for _, a := range c.Args {
				s.read[a] = true
			}
		}
	}
	for i, o := range f.Order {
		column := s.visible[o.Column]
		if i < p.Come && column >= len(f.Columns) {
			return nil, fmt.Errorf("%w: rows that come by a computed column", ErrFragment)
		}
		t, _, _ := f.ColumnType(column)
		s.order, s.types = append(s.order, column), append(s.types, t)
	}
	return s, s.begin()
}

// begin makes the plan, which remembers what was computed.
func (s *RowSort) begin() (err error) {
	if s.plan, err = NewPlan(s.spec.Fragment, s.spec.Options); err != nil {
		return err
	}
	s.filter, s.rows = s.plan.NewFilter(), NewRows(s.plan)
	return nil
}

// forget begins anew with what was computed, if that is much.
func (s *RowSort) forget() error {
	size := int64(0)
	for _, d := range s.plan.domains {
		size += d.Bytes()
	}
	if size <= maxSortDomains {
		return nil
	}
	return s.begin()
}

// Add takes a batch. ErrEnough says that no more is wanted.
func (s *RowSort) Add(b *Batch) error {
	if s.limit == 0 {
		return ErrEnough
	}
	if b.Runs != nil || b.Weights != nil || len(b.Columns) != len(s.spec.Fragment.Columns) {
		return fmt.Errorf("%w: %d columns, want %d, in one run", ErrArray, len(b.Columns), len(s.spec.Fragment.Columns))
	}
	if err := s.spec.Ended(); err != nil {
		return err
	}
	columns, rows, err := s.passing(b)
	if err != nil || rows == 0 {
		return err
	}
	if len(s.order) == 0 {
		err = s.pass(columns, rows)
	} else {
		err = s.sort(columns, rows)
	}
	if err != nil {
		return err
	}
	return s.forget()
}

// Finish gives what is left.
func (s *RowSort) Finish() error {
	if err := s.give(); err != nil && err != ErrEnough {
		return err
	}
	return nil
}

// passing are the columns of the rows that pass the filter.
func (s *RowSort) passing(b *Batch) ([]arrow.Array, int, error) {
	if s.filter == nil || b.Rows == 0 {
		return b.Columns, b.Rows, nil
	}
	selected := NewBitmap(b.Rows)
	selected.Fill(b.Rows)
	if err := s.filter.Select(b.Columns, b.Rows, selected); err != nil {
		return nil, 0, err
	}
	n := selected.Count()
	if n == b.Rows || n == 0 {
		return b.Columns, n, nil
	}
	s.taker.Reset()
	runs, columns := selected.AppendRuns(nil), make([]arrow.Array, len(b.Columns))
	for i, a := range b.Columns {
		if !s.read[i] && !s.ordersBy(i) {
			continue
		}
		var err error
		if columns[i], err = s.taker.Take(a, runs, n); err != nil {
			return nil, 0, err
		}
	}
	return columns, n, nil
}

// ordersBy reports whether the order is made of a column.
func (s *RowSort) ordersBy(column int) bool {
	f := s.spec.Fragment
	return slices.ContainsFunc(s.order, func(o int) bool {
		return o == column || o >= len(f.Columns) && slices.Contains(f.Computed[o-len(f.Columns)].Args, column)
	})
}

// pass gives rows as they come.
func (s *RowSort) pass(columns []arrow.Array, rows int) error {
	out, err := s.answer(columns, rows)
	if err != nil {
		return err
	}
	for i, column := range s.visible {
		if t, _, _ := s.spec.Fragment.ColumnType(column); column >= len(s.spec.Fragment.Columns) {
			out[i] = asBatchColumn(out[i], t)
		}
	}
	b := &Batch{Columns: out, Rows: rows}
	if s.limit >= 0 && int64(rows) > s.limit {
		b.Cut(int(s.limit))
	}
	if err := s.yield(b); err != nil {
		return err
	}
	return s.gave(b.Rows)
}

// gave counts rows that were given.
func (s *RowSort) gave(rows int) error {
	if s.limit < 0 {
		return nil
	}
	if s.limit -= int64(rows); s.limit == 0 {
		return ErrEnough
	}
	return nil
}

// answer are the columns of the answer, of rows of the fragment's columns.
func (s *RowSort) answer(columns []arrow.Array, rows int) ([]arrow.Array, error) {
	first := len(s.spec.Fragment.Columns)
	out := make([]arrow.Array, len(s.visible))
	for i, column := range s.visible {
		if column < first {
			out[i] = columns[column]
			continue
		}
		var err error
		if out[i], err = s.rows.Compute(column-first, columns, rows); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sort takes rows, part by part.
func (s *RowSort) sort(columns []arrow.Array, rows int) error {
	arrays := make([]arrow.Array, len(s.order))
	for i, column := range s.order {
		if first := len(s.spec.Fragment.Columns); column < first {
			arrays[i] = columns[column]
		} else {
			var err error
			if arrays[i], err = s.rows.Compute(column-first, columns, rows); err != nil {
				return err
			}
		}
	}
	keys, err := NewSortKeys(arrays, s.types, s.spec.Fragment.Order)
	if err != nil {
		return err
	}
	if s.spec.Come == 0 {
		return s.keep(keys, columns, 0, rows)
	}
	begins, err := s.parts(arrays, rows)
	if err != nil {
		return err
	}
	lo := 0
	for _, at := range begins {
		if n := len(s.list) + at - lo; n < partRows && (s.limit < 0 || int64(n) < s.limit) {
			continue
		}
		if err := s.keep(keys, columns, lo, at); err != nil {
			return err
		}
		if err := s.give(); err != nil {
			return err
		}
		lo = at
	}
	return s.keep(keys, columns, lo, rows)
}

// parts are the rows that begin a part: those before are complete then.
func (s *RowSort) parts(arrays []arrow.Array, rows int) (begins []int, err error) {
	levels := make([]uint8, rows)
	for i := range levels {
		levels[i] = 1
	}
	begun := s.last != nil
	if !begun {
		s.last = make([]catalog.Value, s.spec.Come)
	}
	for i := range s.spec.Come {
		if err := markChanges(levels, 0, arrays[i], s.types[i]); err != nil {
			return nil, err
		}
		at, err := valuesOf(arrays[i], s.types[i])
		if err != nil {
			return nil, err
		}
		if begun && !sameKey(at(0), s.last[i], s.types[i]) {
			levels[0] = 0
		}
		s.last[i] = at(rows - 1)
		s.last[i].Text = strings.Clone(s.last[i].Text) // the batch goes
	}
	for i, level := range levels {
		if level == 0 {
			begins = append(begins, i)
		}
	}
	return begins, nil
}

// keep keeps those of the rows [lo, hi) that may be wanted.
func (s *RowSort) keep(keys *SortKeys, columns []arrow.Array, lo, hi int) error {
	here, first := &keptPiece{}, len(s.list)
	s.at = keys.Candidates(s.at[:0], nil, lo, hi, s.worst)
	var arena []byte
	for i, row := range s.at {
		s.key = keys.Append(s.key[:0], int(row))
		if s.worst != nil && bytes.Compare(s.key, s.worst) >= 0 {
			continue
		}
		r := keptRow{came: s.seen, piece: here, row: row}
		if s.limit < 0 { // all stay, and so may what they are parts of
			if cap(arena)-len(arena) < len(s.key) {
				arena = make([]byte, 0, max(min(1<<16, (len(s.at)-i)*len(s.key)), len(s.key)))
			}
			from := len(arena)
			arena = append(arena, s.key...)
			r.key = arena[from:len(arena):len(arena)]
		} else {
			r.key = slices.Clone(s.key)
		}
		var begin [8]byte
		copy(begin[:], r.key)
		r.first = binary.BigEndian.Uint64(begin[:])
		s.seen++
		s.list = append(s.list, r)
		if err := s.hold(sortedRowBytes + int64(len(r.key))); err != nil {
			return err
		}
		if s.limit >= 0 && (int64(len(s.list))-spareRows)/2 >= s.limit {
			if err := s.cut(); err != nil {
				return err
			}
			first = 0
		}
	}
	return s.copyRows(here, first, columns)
}

// hold counts memory.
func (s *RowSort) hold(n int64) error {
	s.held += n
	return s.spec.Take(n)
}

// cut leaves the rows that are wanted of those kept so far.
func (s *RowSort) cut() error {
	slices.SortFunc(s.list, func(a, b keptRow) int { return a.compare(&b) })
	if int64(len(s.list)) < s.limit {
		return nil
	}
	freed := int64(0)
	for i := range s.list[s.limit:] {
		freed -= sortedRowBytes + int64(len(s.list[int(s.limit)+i].key))
	}
	clear(s.list[s.limit:])
	s.list = s.list[:s.limit]
	s.worst = s.list[len(s.list)-1].key
	return s.hold(freed)
}

// copyRows makes a piece of those rows of the batch at hand that are kept, which are in the
// list from first on.
func (s *RowSort) copyRows(here *keptPiece, first int, columns []arrow.Array) error {
	var at []Place
	for i := first; i < len(s.list); i++ {
		if r := &s.list[i]; r.piece == here {
			at = append(at, Place{0, r.row})
			r.row = int32(len(at) - 1)
		}
	}
	if len(at) == 0 {
		return nil
	}
	read := make([]arrow.Array, len(columns))
	for i, a := range columns {
		if !s.read[i] {
			continue
		}
		var err error
		if read[i], err = Gather(s.spec.Fragment.Columns[i].Result(), []arrow.Array{a}, at); err != nil {
			return err
		}
	}
	var err error
	if here.columns, err = s.answer(read, len(at)); err != nil {
		return err
	}
	if err := s.addPiece(here, len(at)); err != nil {
		return err
	}
	if s.limit < 0 || (s.copied-4*spareRows)/4 <= s.limit {
		return nil
	}
	return s.compact()
}

func (s *RowSort) addPiece(p *keptPiece, rows int) error {
	for _, a := range p.columns {
		p.bytes += arrayBytes(a)
	}
	s.pieces, s.copied = append(s.pieces, p), s.copied+int64(rows)
	return s.hold(p.bytes)
}

// compact makes one piece of the rows that are kept.
func (s *RowSort) compact() error {
	if err := s.cut(); err != nil {
		return err
	}
	pieces, at := places(s.list)
	one := &keptPiece{}
	for i, column := range s.visible {
		a, err := s.gather(pieces, i, column, at)
		if err != nil {
			return err
		}
		one.columns = append(one.columns, a)
	}
	for i := range s.list {
		s.list[i].piece, s.list[i].row = one, int32(i)
	}
	freed := int64(0)
	for _, p := range s.pieces {
		freed -= p.bytes
	}
	clear(s.pieces)
	s.pieces, s.copied = s.pieces[:0], 0
	if err := s.hold(freed); err != nil {
		return err
	}
	return s.addPiece(one, len(s.list))
}

// places are the pieces of some rows, and where the rows are in them.
func places(rows []keptRow) (pieces []*keptPiece, at []Place) {
	numbers := map[*keptPiece]int32{}
	at = make([]Place, len(rows))
	for i := range rows {
		n, ok := numbers[rows[i].piece]
		if !ok {
			n = int32(len(pieces))
			numbers[rows[i].piece], pieces = n, append(pieces, rows[i].piece)
		}
		at[i] = Place{n, rows[i].row}
	}
	return pieces, at
}

// gather is column i of the answer for some rows.
func (s *RowSort) gather(pieces []*keptPiece, i, column int, at []Place) (arrow.Array, error) {
	arrays := make([]arrow.Array, len(pieces))
	for k, p := range pieces {
		arrays[k] = p.columns[i]
	}
	t, _, _ := s.spec.Fragment.ColumnType(column)
	return Gather(t, arrays, at)
}

// give gives the rows that are kept, in order.
func (s *RowSort) give() error {
	if len(s.list) == 0 {
		return nil
	}
	if err := s.spec.Ended(); err != nil {
		return err
	}
	slices.SortFunc(s.list, func(a, b keptRow) int { return a.compare(&b) })
	rows := s.list
	if s.limit >= 0 {
		rows = rows[:min(int64(len(rows)), s.limit)]
	}
	given := len(rows)
	for len(rows) > 0 {
		n := min(len(rows), MaxBatchRows)
		pieces, at := places(rows[:n])
		if err := s.giveRows(pieces, at); err != nil {
			return err
		}
		rows = rows[n:]
	}
	clear(s.list)
	clear(s.pieces)
	s.list, s.pieces, s.copied, s.worst = s.list[:0], s.pieces[:0], 0, nil
	if err := s.hold(-s.held); err != nil {
		return err
	}
	return s.gave(given)
}

// giveRows gives a batch.
func (s *RowSort) giveRows(pieces []*keptPiece, at []Place) error {
	b := &Batch{Rows: len(at)}
	text := 0
	arrays := make([]arrow.Array, len(pieces))
	for i, column := range s.visible {
		if len(at) > 1 {
			for k, p := range pieces {
				arrays[k] = p.columns[i]
			}
			if text += TextBytes(arrays, at); text > maxBatchText {
				half := len(at) / 2
				if err := s.giveRows(pieces, at[:half]); err != nil {
					return err
				}
				return s.giveRows(pieces, at[half:])
			}
		}
		a, err := s.gather(pieces, i, column, at)
		if err != nil {
			return err
		}
		t, _, _ := s.spec.Fragment.ColumnType(column)
		b.Columns = append(b.Columns, asBatchColumn(a, t))
	}
	return s.yield(b)
}
