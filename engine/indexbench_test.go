package engine

import (
	"context"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/sqltests/bench/dataset"
)

// BenchmarkIndex builds and proves a file of a day of the standard data set that
// was logged in requests of 2,000 events, as the indexer does, and throws it away.
// It reports the processor's time an event.
func BenchmarkIndex(b *testing.B) {
	e := openSample(b, vfs.OS(), b.TempDir())
	*benchEvents = min(*benchEvents, maxBuildEvents)
	g := dataset.New(dataset.Options{Lines: *benchEvents, Days: 1})
	for n, request := 0, uint64(1_790_000_000_000_000_000); n < *benchEvents; request += 1_000_000 {
		batch := &event.Batch{}
		for i := range uint32(2000) {
			a, ok := g.Next()
			if !ok {
				break
			}
			batch.Shard = catalog.ShardKey{Project: sampleProject, Day: catalog.DayOf(a.Event.Time)}
			a.Event.ID = catalog.IngestID{Time: request, Edge: 9, Index: i}
			batch.Events = append(batch.Events, a.Event)
			n++
		}
		record, err := event.AppendBatch(nil, batch)
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			b.Fatal(err)
		}
	}
	v, err := sampleShard(e).view(e)
	if err != nil {
		b.Fatal(err)
	}
	logs := v.logs
	v.release()
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime()
	for range b.N {
		b.ReportMetric(float64(tryBuild(b, e, true, logs, false))/float64(*benchEvents), "bytes/event")
	}
	reportCPU(b, start)
}
