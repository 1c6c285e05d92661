package exec

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// joinReader gives the rows of the right side by key.
type joinReader struct {
	plan *JoinPlan
	next func() (*Batch, error)
	// leaving is called before a batch goes.
	leaving func() error
	piece   *joinPiece // the batch at hand
	at      int        // the first row that was not looked at
	ended   bool

	last  []byte // the last key of the batch before
	key   []byte // of the block
	block []blockPart
	known bool // there is a block
	held  int64
	taker Taker
}

// joinPiece is a batch of the right side, or a copy of a part of one.
type joinPiece struct {
	columns []arrow.Array
	keys    textRows
	rows    int
	spans   []moments  // of each of the plan's spans
	texts   []textRows // of each of the plan's equal texts
	// number is the piece's, among those of which pairs are noted; less than 0 for none.
	number int32
}

// blockPart is the rows [lo, hi) of a piece, which have one key.
type blockPart struct {
	piece  *joinPiece
	lo, hi int
}

// key is a row's text; not ok for null.
func (r *textRows) key(row int) ([]byte, bool) {
	lo, hi, ok := r.at(row)
	return r.bytes[lo:hi], ok
}

// same reports whether two rows have the same text, or none.
func (r *textRows) same(a, b int) bool {
	x, xOK := r.key(a)
	y, yOK := r.key(b)
	return xOK == yOK && bytes.Equal(x, y)
}

func (p *JoinPlan) newPiece(columns []arrow.Array, rows int) (*joinPiece, error) {
	if len(columns) != len(p.Right.Types) {
		return nil, fmt.Errorf("%w: %d columns, want %d", ErrArray, len(columns), len(p.Right.Types))
	}
	piece := &joinPiece{columns: columns, rows: rows, spans: make([]moments, len(p.Spans)), number: -1}
	var err error
	if piece.keys, err = newTextRows(columns[p.Right.Key]); err != nil {
		return nil, err
	}
	for i := range p.Spans {
		if piece.spans[i], err = momentsOf(columns[p.Spans[i].Right]); err != nil {
			return nil, err
		}
	}
	for _, e := range p.Equals {
		t, err := newTextRows(columns[e.Right])
		if err != nil {
			return nil, err
		}
		piece.texts = append(piece.texts, t)
	}
	return piece, nil
}

func momentsOf(a arrow.Array) (moments, error) {
	t, ok := a.(*array.Timestamp)
	if !ok {
		return moments{}, fmt.Errorf("%w: %s, want moments", ErrArray, a.DataType())
	}
	return moments{array: a, values: t.TimestampValues(), nulls: a.NullN() > 0}, nil
}

// seek gives the rows of a key, valid until another one is asked for: keys are asked for in
// order.
func (r *joinReader) seek(key []byte) ([]blockPart, error) {
	if r.known && bytes.Equal(key, r.key) {
		return r.block, nil
	}
	if err := r.drop(); err != nil {
		return nil, err
	}
	r.known, r.key = true, append(r.key[:0], key...)
	for {
		if ok, err := r.more(); err != nil || !ok {
			return nil, err
		}
		r.at = r.first(func(k []byte) bool { return bytes.Compare(k, key) >= 0 })
		if r.at < r.piece.rows {
			break
		}
	}
	for {
		end := r.first(func(k []byte) bool { return bytes.Compare(k, key) > 0 })
		if end > r.at {
			r.block = append(r.block, blockPart{r.piece, r.at, end})
			r.at = end
		}
		if end < r.piece.rows {
			return r.block, nil
		}
		if err := r.keep(); err != nil {
			return nil, err
		}
		if ok, err := r.more(); err != nil || !ok {
			return r.block, err
		}
	}
}

// first is the first row from at on whose key fulfils what all behind it do, too.
func (r *joinReader) first(is func(key []byte) bool) int {
	fulfils := func(row int) bool {
		k, ok := r.piece.keys.key(row)
		return ok && is(k) // nulls come first
	}
	step, lo := 1, r.at
	for lo < r.piece.rows && !fulfils(lo) { // most are near
		if lo+step >= r.piece.rows || fulfils(lo+step) {
			n := min(step, r.piece.rows-lo)
			return lo + 1 + sort.Search(n-1, func(i int) bool { return fulfils(lo + 1 + i) })
		}
		lo += step
		step *= 2
	}
	return lo
}

// more has rows at hand; not ok after the last.
func (r *joinReader) more() (bool, error) {
	for r.piece == nil || r.at == r.piece.rows {
		if r.ended {
			return false, nil
		}
		if err := r.leaving(); err != nil {
			return false, err
		}
		r.piece, r.at = nil, 0
		b, err := r.next()
		if err != nil {
			return false, err
		}
		if b == nil {
			r.ended = true
			return false, nil
		}
		if b.Runs != nil {
			return false, fmt.Errorf("%w: the right side of a join in runs", ErrArray)
		}
		if r.piece, err = r.plan.newPiece(b.Columns, b.Rows); err != nil {
			return false, err
		}
		if b.Rows == 0 {
			continue
		}
		if first, _ := r.piece.keys.key(0); bytes.Compare(first, r.last) < 0 {
			return false, fmt.Errorf("%w: the right side of a join is not in order", ErrFragment)
		}
		last, _ := r.piece.keys.key(b.Rows - 1)
		r.last = append(r.last[:0], last...)
	}
	return true, nil
}

// keep copies the last part of the block, whose batch goes.
func (r *joinReader) keep() error {
	if len(r.block) == 0 {
		return nil
	}
	last := &r.block[len(r.block)-1]
	if last.piece != r.piece {
		return nil
	}
	if err := r.leaving(); err != nil { // which may refer to it
		return err
	}
	r.taker = Taker{} // what it gives is kept
	rows := last.hi - last.lo
	var columns []arrow.Array
	size := int64(0)
	for _, a := range r.piece.columns {
		c, err := r.taker.Take(a, []Run{{Lo: last.lo, Hi: last.hi}}, rows)
		if err != nil {
			return err
		}
		columns = append(columns, c)
		if d, ok := c.(*array.Dictionary); ok { // the words are others'
			size += arrayBytes(d.Indices())
		} else {
			size += arrayBytes(c)
		}
	}
	piece, err := r.plan.newPiece(columns, rows)
	if err != nil {
		return err
	}
	*last = blockPart{piece, 0, rows}
	r.held += size
	return r.plan.Take(size)
}

// drop forgets the block.
func (r *joinReader) drop() error {
	if r.held > 0 {
		if err := r.leaving(); err != nil {
			return err
		}
	}
	held := r.held
	r.block, r.known, r.held = r.block[:0], false, 0
	return r.plan.Take(-held)
}
