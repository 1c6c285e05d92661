package engine

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// heldRows are the logged events of a view that its tail holds by column. Row
// numbers are event numbers; those of one call are in one chunk. A worker has its
// own.
type heldRows struct {
	view    *view
	buffer  []byte
	batch   event.Batch
	scratch []byte
	// readBytes are those of the batches that were read for the last column.
	readBytes int64
}

// column is a column of the rows [lo, hi), of which only those in runs, as numbers
// from lo on, are looked at; nil is all. The others may be null.
func (h *heldRows) column(p *part, m *marks, c *exec.Column, lo, hi int, runs []exec.Run) (arrow.Array, error) {
	switch c.Source {
	case exec.SourceDuplicate, exec.SourceDupOf, exec.SourceDupKind:
		return dupColumn(c.Source, m, lo, hi), nil
	case exec.SourceFile:
		return constantColumn("log", hi-lo), nil
	case exec.SourceShard:
		return constantColumn(p.view.shard.key.String(), hi-lo), nil
	case exec.SourceInsertID:
		return h.insertIDs(lo, hi)
	case exec.SourceIngestID:
		return h.ingestIDs(lo, hi), nil
	case exec.SourceIngestedAt:
		return h.ingestedAt(lo, hi), nil
	case exec.SourceRecord:
		return h.read(p, c, lo, hi, runs)
	case exec.SourceProperties:
		if h.one(c) {
			a, err := h.view.tail.columns.array(c, false, lo, hi)
			if !errors.Is(err, indexfile.ErrLimit) {
				return a, err
			}
		}
		return h.read(p, c, lo, hi, runs)
	case exec.SourceProperty:
		if !h.view.tail.columns.holds(c.Property) {
			return h.read(p, c, lo, hi, runs)
		}
	}
	return h.view.tail.columns.array(c, false, lo, hi)
}

// one reports whether objects of one property are wanted, which is held by column.
func (h *heldRows) one(c *exec.Column) bool {
	return c.Property != "" && h.view.tail.columns.holds(c.Property)
}

// vector is a column of the rows [lo, hi) for groups, read when it is needed.
func (h *heldRows) vector(w *worker, p *part, m *marks, c *exec.Column, lo, hi int) (exec.Vector, error) {
	columns := &h.view.tail.columns
	v := exec.LaterVector(c.Result(), hi-lo, func() (arrow.Array, error) {
		if c.Source == exec.SourceProperty && columns.holds(c.Property) {
			a, err := columns.array(c, true, lo, hi)
			if err == nil {
				w.countBytes(h, c, a, lo, hi)
			}
			return a, err
		}
		return w.column(p, h, m, c, lo, hi, nil)
	})
	switch c.Source {
	case exec.SourceTime:
		v = v.Between(columns.timeBounds(lo / logChunkRows))
	case exec.SourceInsertID:
		v = v.Costly().Packed(func(from, to int, out []exec.PackedText) error {
			h.packedInsertIDs(lo+from, lo+to, out)
			return nil
		})
	case exec.SourceIngestID:
		known, _ := columns.known()
		v = v.Costly().Packed(func(from, to int, out []exec.PackedText) error {
			for i := range out {
				out[i] = packedIngestID(known.at(uint32(lo + from + i)).id)
			}
			return nil
		})
	case exec.SourceProperties:
		if !h.one(c) {
			v = v.Costly()
		}
	}
	return v, nil
}

// canPass holds the filter's bounds of time against those of the rows' chunk.
func (h *heldRows) canPass(b *exec.Bounds, lo int) bool {
	least, greatest := h.view.tail.columns.timeBounds(lo / logChunkRows)
	return b.MinTime <= greatest && b.MaxTime >= least
}

// insertIDs writes the insert ids that the tail has keys and texts of.
func (h *heldRows) insertIDs(lo, hi int) (arrow.Array, error) {
	known, texts := h.view.tail.columns.known()
	b := newTexts(hi-lo, 36)
	for row := lo; row < hi; row++ {
		n := known.at(uint32(row))
		switch n.form {
		case indexfile.FormNone:
		case indexfile.FormText:
			size := int(texts[n.text])
			b.bytes = append(b.bytes, texts[n.text+1:][:size]...)
		default:
			b.bytes = indexfile.InsertKey{Hi: n.insert.hi, Lo: n.insert.lo, Form: n.form}.AppendID(b.bytes)
		}
		b.end(n.form != indexfile.FormNone)
	}
	return b.array(), nil
}

func (h *heldRows) ingestIDs(lo, hi int) arrow.Array {
	known, _ := h.view.tail.columns.known()
	b := newTexts(hi-lo, 2*catalog.IngestIDSize)
	var id [catalog.IngestIDSize]byte
	for row := lo; row < hi; row++ {
		bytes, _ := known.at(uint32(row)).id.AppendBinary(id[:0])
		b.bytes = hex.AppendEncode(b.bytes, bytes)
		b.end(true)
	}
	return b.array()
}

func (h *heldRows) ingestedAt(lo, hi int) arrow.Array {
	known, _ := h.view.tail.columns.known()
	times := make([]uint64, hi-lo)
	for i := range times {
		times[i] = known.at(uint32(lo+i)).id.Time / 1000
	}
	return fixedArray(columnType{t: catalog.TypeDatetime}, times, nil, 0)
}

// read makes a column of texts or a property from the log, but for the batches
// of which no row is looked at.
func (h *heldRows) read(p *part, c *exec.Column, lo, hi int, runs []exec.Run) (arrow.Array, error) {
	b := newColumnBuilder(c.Result(), hi-lo)
	size := 0
	batch, first := h.view.tail.columns.batchOf(lo)
	for row := lo; row < hi; batch++ {
		end := first + int(h.view.logs[batch].events)
		if !meet(runs, row-lo, min(end, hi)-lo) {
			for ; row < min(end, hi); row++ {
				b.append(catalog.Null, false)
			}
			first = end
			continue
		}
		if err := h.view.read(h.view.logs[batch], &h.buffer, &h.batch); err != nil {
			return nil, err
		}
		h.readBytes += int64(h.view.logs[batch].length)
		for ; row < min(end, hi); row++ {
			v, ok := logValue(p, c, &logRow{&h.batch.Events[row-first], uint32(row)}, &h.scratch)
			if size += len(v.Text); size > indexfile.MaxArrayBytes {
				return nil, fmt.Errorf("%d bytes of text in one array of logged events, ask for fewer rows: %w", size, indexfile.ErrLimit)
			}
			b.append(v, ok)
		}
		first = end
	}
	return b.array(), nil
}

// meet reports whether a run has rows in [lo, hi); nil has all.
func meet(runs []exec.Run, lo, hi int) bool {
	if runs == nil {
		return true
	}
	at, end := 0, len(runs)
	for at < end {
		if mid := (at + end) / 2; runs[mid].Hi <= lo {
			at = mid + 1
		} else {
			end = mid
		}
	}
	return at < len(runs) && runs[at].Lo < hi
}

// texts makes an array of texts.
type texts struct {
	bytes   []byte
	offsets []int32
	valid   []byte
	nulls   int
}

// newTexts expects n texts of at most so many bytes each, which an array can hold.
func newTexts(n, size int) *texts {
	return &texts{bytes: make([]byte, 0, n*size), offsets: append(make([]int32, 0, n+1), 0), valid: make([]byte, (n+7)/8)}
}

func (t *texts) end(valid bool) {
	if row := len(t.offsets) - 1; valid {
		t.valid[row>>3] |= 1 << (row & 7)
	} else {
		t.nulls++
	}
	t.offsets = append(t.offsets, int32(len(t.bytes)))
}

func (t *texts) array() arrow.Array {
	buffers := []*memory.Buffer{nil, bufferOf(t.offsets), memory.NewBufferBytes(t.bytes)}
	if t.nulls > 0 {
		buffers[0] = memory.NewBufferBytes(t.valid)
	}
	return array.NewStringData(array.NewData(arrow.BinaryTypes.String, len(t.offsets)-1, buffers, nil, t.nulls, 0))
}
