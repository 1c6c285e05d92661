package engine

import (
	"context"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// What exec.Work counts of a fragment that is measured. Others are not asked to pay for it.

// begin begins work at rows, which ends with what it gives.
func (w *worker) begin() (end func()) {
	if !w.scan.fragment.Measured {
		return func() {}
	}
	since, away := time.Now(), w.away
	return func() { w.stats.TimeRows += (time.Since(since) - (w.away - away)).Nanoseconds() }
}

// give gives a batch; how long others take over it does not count.
func (w *worker) give(ctx context.Context, b *exec.Batch) error {
	since := time.Now()
	defer func() { w.away += time.Since(since) }()
	return w.scan.give(ctx, b)
}

// look notes that rows of a file are looked at.
func (w *worker) look(f *file) {
	if !w.scan.fragment.Measured {
		return
	}
	if w.looked == nil {
		w.looked = map[*file]bool{}
	}
	w.looked[f] = true
}

// zone counts the blocks that the rows [lo, hi) are in, which pass or not.
func (w *worker) zone(lo, hi int, passes bool) {
	blocks := int64((hi-1)/indexfile.BlockRows - lo/indexfile.BlockRows + 1)
	w.stats.Blocks += blocks
	if !passes {
		w.stats.BlocksPruned += blocks
	}
}

// prune counts rows that zones or bounds rule out.
func (w *worker) prune(rows int) {
	w.stats.RowsPruned += int64(rows)
	w.stats.RowsZone += int64(rows)
}

// countFound counts, of the duplicates among the rows [lo, hi) of a source, those that
// its file does not list.
func (w *worker) countFound(p *part, lo, hi int) error {
	if !w.scan.fragment.Measured || w.scan.fragment.Copies {
		return nil
	}
	hidden := between(p.marks().hidden, lo, hi)
	if p.file == inLog || len(hidden) == 0 {
		w.stats.RowsFound += int64(len(hidden))
		return nil
	}
	listed, err := p.view.files.files[p.file].reader.Duplicates()
	if err != nil {
		return err
	}
	listed = between(listed, lo, hi)
	for _, row := range hidden {
		for len(listed) > 0 && listed[0] < row {
			listed = listed[1:]
		}
		if len(listed) == 0 || listed[0] != row {
			w.stats.RowsFound++
		}
	}
	return nil
}

// column is a column of a source, whose bytes count.
func (w *worker) column(p *part, f source, m *marks, c *exec.Column, lo, hi int, runs []exec.Run) (arrow.Array, error) {
	a, err := f.column(p, m, c, lo, hi, runs)
	if err == nil {
		w.countBytes(f, c, a, lo, hi)
	}
	return a, err
}

// countBytes counts those of a column of the rows [lo, hi).
func (w *worker) countBytes(f source, c *exec.Column, a arrow.Array, lo, hi int) {
	if !w.scan.fragment.Measured {
		return
	}
	switch f := f.(type) {
	case *file:
		w.stats.BytesFiles += f.storedBytes(c) * int64(hi-lo) / int64(f.rows())
	case *heldRows:
		w.stats.BytesLog += f.readBytes
		if f.readBytes == 0 {
			w.stats.BytesMemory += heldBytes(a)
		}
		f.readBytes = 0
	}
}

// storedBytes is what stands for a column in the file.
func (f *file) storedBytes(c *exec.Column) int64 {
	switch c.Source {
	case exec.SourceProperty:
		return f.reader.PropertyBytes(c.Property)
	case exec.SourceProperties:
		if c.Property != "" {
			return f.reader.PropertyBytes(c.Property)
		}
		return f.reader.PropertiesBytes()
	case exec.SourceEvent:
		return f.reader.EventBytes()
	case exec.SourceDistinctID:
		return f.reader.UserBytes()
	case exec.SourceTime:
		return f.reader.TimeBytes()
	case exec.SourceTimeRaw:
		return f.reader.TimeBytes() + f.reader.ServerTimeBytes()
	case exec.SourceInsertID:
		return f.reader.InsertIDBytes()
	case exec.SourceIngestID, exec.SourceIngestedAt:
		return f.reader.IngestIDBytes()
	case exec.SourceRecord:
		return f.reader.Size()
	}
	return 0
}

// heldBytes is what an array's rows take, without the values of a dictionary.
func heldBytes(a arrow.Array) int64 {
	if d, ok := a.(*array.Dictionary); ok {
		a = d.Indices()
	}
	return (&exec.Batch{Columns: []arrow.Array{a}}).Bytes()
}

// finishWork adds the worker's to the scan's. The caller has mu.
func (s *scan) finishWork(w *worker) {
	s.stats.Work.Add(w.stats.Work)
	for f := range w.looked {
		if s.looked == nil {
			s.looked = map[*file]bool{}
		}
		s.looked[f] = true
	}
}
