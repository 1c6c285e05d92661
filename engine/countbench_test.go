package engine

import (
	"fmt"
	"testing"
	"time"

	"arbor/engine/event"
	"arbor/engine/vfs"
)

// BenchmarkDuplicates counts the duplicates of records of 1,000 events, of which there
// are none: where all is in the log, and where a file has as many events of the day. An
// operation is one event.
func BenchmarkDuplicates(b *testing.B) {
	const events = 1000
	for _, indexed := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("events in files=%d", indexed), func(b *testing.B) {
			e := openSample(b, vfs.NewMem(), "data")
			s := newSample()
			if indexed > 0 {
				s.fill(b, e, indexed, 2000)
				if err := e.Index(testContext, 0, true); err != nil {
					b.Fatal(err)
				}
			}
			counting := time.Duration(0)
			for done := 0; done < b.N; done += events {
				batch := s.batch(events)
				for i := range batch.Events {
					batch.Events[i].InsertID = fmt.Sprintf("%08x-%04x", done, i)
				}
				record, err := event.AppendBatch(nil, batch)
				if err != nil {
					b.Fatal(err)
				}
				records := [][]byte{record}
				if err := e.Append(testContext, records); err != nil {
					b.Fatal(err)
				}
				start := cpuTime()
				if _, err := e.Duplicates(testContext, records); err != nil {
					b.Fatal(err)
				}
				counting += cpuTime() - start
			}
			b.ReportMetric(float64(counting.Nanoseconds())/float64((b.N+events-1)/events*events), "cpu-ns/event")
		})
	}
}
