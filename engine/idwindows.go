package engine

import (
	"context"
	"slices"

	"arbor/catalog"
)

// idWindow is a range of ingest ids, bounds included.
type idWindow struct{ least, greatest catalog.IngestID }

func (w idWindow) has(id catalog.IngestID) bool {
	return id.Compare(w.least) >= 0 && id.Compare(w.greatest) <= 0
}

// meets reports whether an id may be in both ranges.
func (w idWindow) meets(least, greatest catalog.IngestID) bool {
	return least.Compare(w.greatest) <= 0 && greatest.Compare(w.least) >= 0
}

// each calls f for the ids of a file that are in the window.
func (w idWindow) each(ctx context.Context, of *file, f func(catalog.IngestID)) error {
	if !w.meets(of.minID, of.maxID) {
		return nil
	}
	for row := range of.rows() {
		if row%pieceRows == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		id, err := of.reader.IngestID(row)
		if err != nil {
			return err
		}
		if w.has(id) {
			f(id)
		}
	}
	return nil
}

const (
	// idBytes is about what an id takes in a table of those that were met.
	idBytes = 48
	// sampleRows is of how many rows one is looked at, to tell how ids are spread.
	sampleRows = 256
)

// idWindows are ranges that hold all ids that may be in several of the files, with
// about so many rows each at most. A file's own ids differ, or it says which are
// damaged: it was looked into when it was built. So files that were logged one after
// the other need no window at all.
func idWindows(files []*file, rows int) ([]idWindow, error) {
	spans := make([]idWindow, len(files))
	for i, f := range files {
		spans[i] = idWindow{f.minID, f.maxID}
	}
	shared := sharedIDs(spans)
	if len(shared) == 0 {
		return nil, nil
	}
	every := min(sampleRows, max(rows/8, 1))
	var sample []catalog.IngestID
	for _, f := range files {
		for row := 0; row < f.rows(); row += every {
			id, err := f.reader.IngestID(row)
			if err != nil {
				return nil, err
			}
			sample = append(sample, id)
		}
	}
	slices.SortFunc(sample, catalog.IngestID.Compare)
	return splitWindows(shared, sample, max(rows/every, 1)), nil
}

// splitWindows splits windows so that each has so many of the sample at most, which
// is sorted; an id stays in one window.
func splitWindows(windows []idWindow, sample []catalog.IngestID, most int) (split []idWindow) {
	for _, w := range windows {
		at, _ := slices.BinarySearchFunc(sample, w.least, catalog.IngestID.Compare)
		for at += most; at < len(sample) && sample[at].Compare(w.greatest) <= 0; at += most {
			if before := sample[at-1]; before.Compare(w.least) >= 0 && before != sample[at] {
				split = append(split, idWindow{w.least, before})
				w.least = next(before)
			}
		}
		split = append(split, w)
	}
	return split
}

// next is the id after one that is not the last.
func next(id catalog.IngestID) catalog.IngestID {
	if id.Index++; id.Index == 0 {
		if id.Edge++; id.Edge == 0 {
			id.Time++
		}
	}
	return id
}

// sharedIDs are the ranges in which two of the spans have ids, ascending.
func sharedIDs(spans []idWindow) (shared []idWindow) {
	slices.SortFunc(spans, func(a, b idWindow) int { return a.least.Compare(b.least) })
	var end catalog.IngestID // the greatest id so far
	for i, s := range spans {
		if i > 0 && s.least.Compare(end) <= 0 {
			w := idWindow{s.least, end}
			if s.greatest.Compare(end) < 0 {
				w.greatest = s.greatest
			}
			if n := len(shared); n > 0 && w.least.Compare(shared[n-1].greatest) <= 0 {
				if w.greatest.Compare(shared[n-1].greatest) > 0 {
					shared[n-1].greatest = w.greatest
				}
			} else {
				shared = append(shared, w)
			}
		}
		if s.greatest.Compare(end) > 0 {
			end = s.greatest
		}
	}
	return shared
}
