package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// sorter takes a worker's rows. It keeps the first of them, a heap with the last of
// them on top, or all.
type sorter struct {
	order  *ordering
	worker *worker
	// emit is given the rows as they come instead, for a user's events.
	emit func(context.Context, *exec.Batch) error

	rows  []sortedRow
	room  []byte // where the next keys of rows that are kept go
	held  int64  // what the rows take of the query's memory
	key   []byte
	at    []int32
	times []int64
	kept  []uint32 // the numbers of the rows at hand, where they were gathered
	taker exec.Taker
	// pieces are rows to be merged.
	pieces []userPiece
}

func newSorter(w *worker) *sorter { return &sorter{order: w.scan.order, worker: w} }

// hold counts memory that the rows take.
func (s *sorter) hold(n int64) error {
	s.held += n
	return s.order.hold(n)
}

// sortedRun is how many rows are sorted before anyone looks whether the query has ended.
const sortedRun = 1 << 14

// finish sorts the rows in runs and leaves these to the scan. If the query has ended
// it leaves nothing, which whoever merges them finds out too.
func (s *sorter) finish() {
	var runs [][]sortedRow
	for rows := s.rows; len(rows) > 0; {
		if s.order.scan.plan.Ended() != nil {
			return
		}
		run := rows[:min(sortedRun, len(rows))]
		slices.SortFunc(run, compareSorted)
		runs, rows = append(runs, run), rows[len(run):]
	}
	scan := s.worker.scan
	scan.mu.Lock()
	defer scan.mu.Unlock()
	s.order.lists = append(s.order.lists, runs...)
	s.order.pieces = append(s.order.pieces, s.pieces...)
	s.order.held += s.held
}

func compareSorted(a, b sortedRow) int {
	for i := range a.first {
		if a.first[i] != b.first[i] {
			return cmp.Compare(a.first[i], b.first[i])
		}
	}
	return bytes.Compare(a.key, b.key)
}

// firstBytes are those of a key, of which each has more: what decides between equal ones.
func firstBytes(key []byte) [2]uint64 {
	return [2]uint64{binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])}
}

// sort sorts all rows.
func (s *sorter) sort() error {
	return exec.SortUntil(s.order.scan.plan, s.rows, compareSorted)
}

// blockCanWin holds what the zone maps know of the order's first column in a block
// against the worst row of those that are kept.
func (s *sorter) blockCanWin(f *file, block int) (bool, error) {
	o := s.order
	if o.top == 0 || o.worst.Load() == nil || !o.plain {
		return true, nil
	}
	c := &o.scan.fragment.Columns[o.columns[0]]
	var have indexfile.Range
	var err error
	switch {
	case c.Source == exec.SourceTime:
		least, greatest, err := f.reader.BlockTime(block)
		return err != nil || o.canWin(catalog.Int(least), catalog.Int(greatest)), err
	case c.Source == exec.SourceEvent:
		have, err = f.reader.BlockEvent(block)
	case c.Source == exec.SourceProperty && o.scan.fragment.Order[0].Descending:
		// Ascending, a null wins, and there may be some.
		have, err = f.reader.BlockRange(block, c.Property, c.Type, c.Precision, c.Scale)
	default:
		return true, nil
	}
	switch {
	case err != nil || !have.Known:
		return true, err
	case have.Empty:
		return o.canWin(catalog.Null, catalog.Null), nil
	}
	return o.canWin(have.Min, have.Max), nil
}

// source takes the selected rows of [lo, hi) of a source, of which there are so many.
func (s *sorter) source(ctx context.Context, p *part, f source, lo, hi, kept int) error {
	w, o := s.worker, s.order
	m := p.marks()
	whole := func(column int) (arrow.Array, error) {
		if w.filter != nil && o.scan.uses[column] {
			return w.columns[column], nil
		}
		return w.column(p, f, m, &o.scan.fragment.Columns[column], lo, hi, nil)
	}
	tie, err := ties(p, f, m, lo, hi)
	if err != nil {
		return err
	}
	if o.top > 0 && s.emit == nil && o.plain {
		arrays := make([]arrow.Array, len(o.columns))
		for i, column := range o.columns {
			// The first rows keep their keys alone, so times may be read over each other.
			if f, ok := f.(*file); ok && o.scan.fragment.Columns[column].Source == exec.SourceTime && i == 0 {
				times, err := f.reader.Times()
				if err != nil {
					return err
				}
				arrays[i], s.times = times.Array(s.times, lo, hi)
				w.countBytes(f, &o.scan.fragment.Columns[column], arrays[i], lo, hi)
				continue
			}
			if arrays[i], err = whole(column); err != nil {
				return err
			}
		}
		selected := w.selected
		if kept == hi-lo {
			selected = nil
		}
		return s.push(p, arrays, selected, hi-lo, func(i int32) uint32 { return uint32(lo) + uint32(i) }, tie)
	}
	w.runs = w.selected.AppendRuns(w.runs[:0])
	first, end := w.runs[0].Lo, w.runs[len(w.runs)-1].Hi
	s.kept = s.kept[:0]
	for _, r := range w.runs {
		for i := r.Lo; i < r.Hi; i++ {
			s.kept = append(s.kept, uint32(lo+i))
		}
	}
	w.shiftRuns(first)
	s.taker = exec.Taker{} // what it gives is kept
	return s.take(ctx, p, kept, func(column int) (a arrow.Array, err error) {
		if w.filter != nil && o.scan.uses[column] {
			a = array.NewSlice(w.columns[column], int64(first), int64(end))
		} else if a, err = w.column(p, f, m, &o.scan.fragment.Columns[column], lo+first, lo+end, w.runs); err != nil {
			return nil, err
		}
		if kept == end-first {
			return a, nil
		}
		return s.taker.Take(a, w.runs, kept)
	}, tie)
}

// ties gives what decides between rows of [lo, hi) of a source.
func ties(p *part, f source, m *marks, lo, hi int) (func(dst []byte, row uint32) ([]byte, error), error) {
	if f, ok := f.(*file); ok {
		times, err := f.reader.Times()
		return func(dst []byte, row uint32) ([]byte, error) {
			id, err := f.reader.IngestID(int(row))
			if err != nil {
				return nil, err
			}
			return appendTie(dst, times.At(int(row)), id), nil
		}, err
	}
	a, err := f.column(p, m, &exec.Column{Source: exec.SourceTime}, lo, hi, nil)
	if err != nil {
		return nil, err
	}
	times := a.(*array.Timestamp).TimestampValues()
	known, _ := p.view.tail.columns.known()
	return func(dst []byte, row uint32) ([]byte, error) {
		return appendTie(dst, int64(times[int(row)-lo]), known.at(row).id), nil
	}, nil
}

// log takes logged events that are not held by column.
func (s *sorter) log(ctx context.Context, p *part, rows []logRow) error {
	s.kept = s.kept[:0]
	for i := range rows {
		s.kept = append(s.kept, rows[i].number)
	}
	first := 0
	tie := func(dst []byte, row uint32) ([]byte, error) {
		for rows[first].number != row { // rows come in order
			first = (first + 1) % len(rows)
		}
		e := rows[first].event
		return appendTie(dst, e.Time, e.ID), nil
	}
	return s.take(ctx, p, len(rows), func(column int) (arrow.Array, error) {
		return logColumn(p, &s.order.scan.fragment.Columns[column], rows), nil
	}, tie)
}

// appendTie appends what decides between rows that the order does not tell apart.
func appendTie(dst []byte, time int64, id catalog.IngestID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(time)^1<<63)
	dst, _ = id.AppendBinary(dst)
	return dst
}

// take takes n rows, all of the columns of which get gives; kept are their numbers.
func (s *sorter) take(ctx context.Context, p *part, n int, get func(column int) (arrow.Array, error), tie func([]byte, uint32) ([]byte, error)) error {
	o := s.order
	number := func(i int32) uint32 { return s.kept[i] }
	if o.top > 0 && s.emit == nil {
		arrays, err := o.orderArrays(s.worker.reads, n, get)
		if err != nil {
			return err
		}
		return s.push(p, arrays, nil, n, number, tie)
	}
	columns, err := o.answer(s.worker.reads, n, get)
	if err != nil {
		return err
	}
	if s.emit != nil {
		since := time.Now()
		defer func() { s.worker.away += time.Since(since) }()
		return s.emit(ctx, &exec.Batch{Columns: columns, Rows: n})
	}
	if o.merging && p.file != inLog {
		return s.keepPiece(p, &piece{columns}, n)
	}
	return s.keep(columns, n, tie)
}

// orderArrays are the columns of the order.
func (o *ordering) orderArrays(r *exec.Rows, n int, get func(column int) (arrow.Array, error)) ([]arrow.Array, error) {
	f := o.scan.fragment
	read := make([]arrow.Array, len(f.Columns))
	need := func(column int) (err error) {
		if read[column] == nil {
			read[column], err = get(column)
		}
		return err
	}
	arrays := make([]arrow.Array, len(o.columns))
	for i, column := range o.columns {
		if column < len(f.Columns) {
			if err := need(column); err != nil {
				return nil, err
			}
			arrays[i] = read[column]
			continue
		}
		k := column - len(f.Columns)
		for _, a := range f.Computed[k].Args {
			if err := need(a); err != nil {
				return nil, err
			}
		}
		a, err := r.Compute(k, read, n)
		if err != nil {
			return nil, err
		}
		arrays[i] = a
	}
	return arrays, nil
}

// lookRows is how many rows are compared with the same worst row.
const lookRows = 4096

// push looks for rows that are among the first.
func (s *sorter) push(p *part, arrays []arrow.Array, selected exec.Bitmap, n int, number func(int32) uint32, tie func([]byte, uint32) ([]byte, error)) error {
	o := s.order
	keys, err := exec.NewSortKeys(arrays, o.types, o.scan.fragment.Order)
	if err != nil {
		return err
	}
	var at *part
	for lo := 0; lo < n; lo += lookRows {
		var worst []byte
		if w := o.worst.Load(); w != nil {
			worst = *w
		}
		s.at = keys.Candidates(s.at[:0], selected, lo, min(lo+lookRows, n), worst)
		for _, i := range s.at {
			if selected != nil && !selected.Has(int(i)) {
				continue
			}
			s.key = keys.Append(s.key[:0], int(i))
			full := len(s.rows) == o.top
			if full && bytes.Compare(s.key, s.rows[0].key) > 0 || worst != nil && bytes.Compare(s.key, worst) > 0 {
				continue
			}
			row := number(i)
			if s.key, err = tie(s.key, row); err != nil {
				return err
			}
			if full && bytes.Compare(s.key, s.rows[0].key) >= 0 {
				continue
			}
			if at == nil {
				at = new(part)
				*at = *p
			}
			if err := s.add(sortedRow{part: at, row: row}); err != nil {
				return err
			}
		}
	}
	return nil
}

// add puts a row, whose key is at hand, into the heap.
func (s *sorter) add(row sortedRow) error {
	o := s.order
	if len(s.rows) < o.top {
		row.key, row.first = slices.Clone(s.key), firstBytes(s.key)
		if err := s.hold(int64(cap(row.key)) + sortedBytes); err != nil {
			return err
		}
		s.rows = append(s.rows, row)
		for i := len(s.rows) - 1; i > 0; {
			parent := (i - 1) / 2
			if bytes.Compare(s.rows[parent].key, s.rows[i].key) >= 0 {
				break
			}
			s.rows[parent], s.rows[i] = s.rows[i], s.rows[parent]
			i = parent
		}
	} else {
		had := cap(s.rows[0].key)
		row.key, row.first = append(s.rows[0].key[:0], s.key...), firstBytes(s.key)
		if more := cap(row.key) - had; more > 0 {
			if err := s.hold(int64(more)); err != nil {
				return err
			}
		}
		s.rows[0] = row
		s.down()
	}
	if len(s.rows) == o.top {
		o.beat(s.rows[0].key)
	}
	return nil
}

// down moves the row on top of the heap to its place.
func (s *sorter) down() {
	rows := s.rows
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(rows) {
			return
		}
		if child+1 < len(rows) && bytes.Compare(rows[child+1].key, rows[child].key) > 0 {
			child++
		}
		if bytes.Compare(rows[child].key, rows[i].key) <= 0 {
			return
		}
		rows[i], rows[child] = rows[child], rows[i]
		i = child
	}
}

// roomBytes is how much room keys get at a time.
const roomBytes = 256 << 10

// keep keeps rows whole.
func (s *sorter) keep(columns []arrow.Array, n int, tie func([]byte, uint32) ([]byte, error)) error {
	o := s.order
	arrays := make([]arrow.Array, len(o.columns))
	for i, order := range o.scan.fragment.Order {
		arrays[i] = columns[order.Column]
	}
	keys, err := exec.NewSortKeys(arrays, o.types, o.scan.fragment.Order)
	if err != nil {
		return err
	}
	size := int64(n) * sortedBytes
	for _, a := range columns {
		size += arrayBytes(a)
	}
	if err := s.hold(size); err != nil {
		return err
	}
	kept := &piece{columns}
	for i := range n {
		s.key = keys.Append(s.key[:0], i)
		if s.key, err = tie(s.key, s.kept[i]); err != nil {
			return err
		}
		if len(s.key) > cap(s.room)-len(s.room) {
			s.room = make([]byte, 0, max(roomBytes, len(s.key)))
			if err := s.hold(int64(cap(s.room))); err != nil {
				return err
			}
		}
		from := len(s.room)
		s.room = append(s.room, s.key...)
		s.rows = append(s.rows, sortedRow{key: s.room[from:len(s.room):len(s.room)], first: firstBytes(s.key), piece: kept, row: uint32(i)})
	}
	return nil
}

// arrayBytes is what the rows of an array take, without a dictionary: that is the
// file's.
func arrayBytes(a arrow.Array) (n int64) {
	if s, ok := a.(*array.String); ok && s.Len() > 0 {
		offsets := s.ValueOffsets()
		return int64(offsets[s.Len()]-offsets[0]) + int64(4*s.Len())
	}
	return 8 * int64(a.Len())
}

// asBatchColumn gives a column the layout that exec.Batch asks for.
func asBatchColumn(a arrow.Array, t catalog.Type) arrow.Array {
	if s, ok := a.(*array.String); ok && t == catalog.TypeDecimal {
		return toDictionary(s)
	}
	return a
}
