package gateway

import (
	"fmt"

	"arbor/catalog"
	"arbor/engine/event"
)

// A record, the unit of logging, is cut at whichever comes first. An event is at
// most event.MaxEventBytes, so a record stays far below event.MaxBatchBytes.
const (
	recordEvents = 1 << 14
	recordBytes  = 4 << 20
)

// byShard parts events into one batch a shard, in the order in which the
// shards first appear; inside a shard their order stays.
func byShard(project *catalog.Project, events []event.Event) []event.Batch {
	var batches []event.Batch
	var counts []int
	places := make(map[catalog.ShardKey]int)
	of := make([]int, len(events))
	var lastKey catalog.ShardKey
	last := -1
	for i := range events {
		e := &events[i]
		key := project.Shard(e.Time, e.DistinctID, e.InsertID)
		if last < 0 || key != lastKey {
			place, ok := places[key]
			if !ok {
				place = len(batches)
				places[key] = place
				batches = append(batches, event.Batch{Shard: key})
				counts = append(counts, 0)
			}
			last, lastKey = place, key
		}
		of[i] = last
		counts[last]++
	}
	if len(batches) == 1 {
		batches[0].Events = events
		return batches
	}
	sorted := make([]event.Event, len(events))
	start := 0
	for b := range batches {
		batches[b].Events = sorted[start : start : start+counts[b]]
		start += counts[b]
	}
	for i := range events {
		b := &batches[of[i]]
		b.Events = append(b.Events, events[i])
	}
	return batches
}

// appendRecords encodes a batch, as several records if it is too large for one.
func appendRecords(records [][]byte, b event.Batch) ([][]byte, error) {
	for rest := b.Events; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && n < recordEvents && size < recordBytes {
			size += roughSize(&rest[n])
			n++
		}
		record, err := event.AppendBatch(make([]byte, 0, size/2+64), &event.Batch{Shard: b.Shard, Events: rest[:n]})
		if err != nil {
			return nil, fmt.Errorf("encode events of shard %s: %w", b.Shard, err)
		}
		records = append(records, record)
		rest = rest[n:]
	}
	return records, nil
}

// roughSize is about what an event takes when encoded without a dictionary.
func roughSize(e *event.Event) int {
	n := 48 + len(e.Name) + len(e.DistinctID) + len(e.InsertID)
	for i := range e.Properties {
		p := &e.Properties[i]
		n += 12 + len(p.Name) + len(p.Value.Text)
	}
	return n
}
