package event

import (
	"fmt"
	"slices"

	"arbor/catalog"
)

// Suppress takes the events that were erased out of records which come again: of the
// users that the catalog names, those with an ingest id at or below the erasure's.
// Records without any are given as they are, and those that nothing is left of not at
// all.
func Suppress(c *catalog.Catalog, records [][]byte) ([][]byte, error) {
	left, owned, dropped := records, false, 0
	for i, rec := range records {
		shard, err := ShardOf(rec)
		if err != nil {
			continue // whoever stores it says what is wrong
		}
		s := c.Suppressed(shard.Project, shard.Bucket)
		if s == nil {
			continue
		}
		kept, err := suppressIn(s, rec)
		if err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i, len(records), err)
		}
		if len(kept) == len(rec) {
			continue
		}
		if !owned {
			left, owned = slices.Clone(records), true
		}
		if kept == nil {
			left = slices.Delete(left, i-dropped, i-dropped+1)
			dropped++
			continue
		}
		left[i-dropped] = kept
	}
	return left, nil
}

// Strip is Suppress for one record that has a name: where nothing is left of it, it is
// empty, since its name has to be held.
func Strip(c *catalog.Catalog, rec []byte) ([]byte, error) {
	shard, err := ShardOf(rec)
	if err != nil {
		return rec, nil // whoever stores it says what is wrong
	}
	s := c.Suppressed(shard.Project, shard.Bucket)
	if s == nil {
		return rec, nil
	}
	kept, err := suppressIn(s, rec)
	if err != nil || kept != nil {
		return kept, err
	}
	return AppendBatch(nil, &Batch{Shard: shard})
}

// suppressIn gives the record itself where nothing of it was erased, and nil where
// all was.
func suppressIn(s *catalog.Suppression, rec []byte) ([]byte, error) {
	h, err := DecodeHeader(rec)
	if err != nil || h.Events == 0 || h.FirstID.Compare(s.Newest()) > 0 {
		return rec, err
	}
	var b Batch
	if err := DecodeBatch(rec, &b); err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(b.Events, func(e Event) bool { return e.ID.Compare(s.UpTo(e.DistinctID)) <= 0 })
	if len(kept) == h.Events {
		return rec, nil
	}
	if b.Events = kept; len(b.Events)+len(b.Deletes)+len(b.Undos) == 0 {
		return nil, nil
	}
	return AppendBatch(nil, &b)
}
