package engine

import (
	"context"

	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// Events with insert ids that a filter names are looked for among the packed ids, and
// nothing else is read of the others. The filter is asked about those that were found, as
// about any rows.

// foundGap is how many rows that were not found are read between two that were: to begin
// to read has a price.
const foundGap = 128

// scanFound gives those of the rows [lo, hi) of a source whose insert ids are looked for.
func (w *worker) scanFound(ctx context.Context, p *part, f source, lo, hi int) error {
	if hi-lo <= foundGap {
		return w.scanRows(ctx, p, f, lo, hi)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	found, err := f.withInserts(w.scan.inserts, lo, hi, w.found[:0])
	w.found = found
	if err != nil {
		return err
	}
	if p.file != inLog {
		w.countBytes(f, &exec.Column{Source: exec.SourceInsertID}, nil, lo, hi)
	}
	at := lo // of what is not given or pruned yet
	for i := 0; i < len(found); {
		from, end := int(found[i]), int(found[i])+1
		for i++; i < len(found) && int(found[i])-end < foundGap; i++ {
			end = int(found[i]) + 1
		}
		w.stats.RowsPruned += int64(from - at)
		if err := w.scanRows(ctx, p, f, from, end); err != nil {
			return err
		}
		at = end
	}
	w.stats.RowsPruned += int64(hi - at)
	return nil
}

// withInserts looks for insert ids in a file.
func (f *file) withInserts(s *indexfile.InsertSearch, lo, hi int, rows []uint32) ([]uint32, error) {
	return f.reader.FindInsertIDs(s, lo, hi, rows)
}

// withInserts looks for insert ids among the keys and texts that the tail has.
func (h *heldRows) withInserts(s *indexfile.InsertSearch, lo, hi int, rows []uint32) ([]uint32, error) {
	known, texts := h.view.tail.columns.known()
	for row := lo; row < hi; row++ {
		n := known.at(uint32(row))
		found := false
		switch n.form {
		case indexfile.FormNone:
		case indexfile.FormText:
			size := int(texts[n.text])
			found = s.HasText(textOf(texts[n.text+1:][:size]))
		default:
			found = s.HasKey(indexfile.InsertKey{Hi: n.insert.hi, Lo: n.insert.lo, Form: n.form})
		}
		if found {
			rows = append(rows, uint32(row))
		}
	}
	return rows, nil
}
