package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"arbor/engine/event"
	"arbor/engine/vfs"
)

// BenchmarkDuplicates counts the duplicates of records of 1,000 events: of which there are
// none, where all is in the log and where a file has as many events of the day, which was
// built before or found at the start; and where each record has some copies of events in the
// file. An operation is one event.
func BenchmarkDuplicates(b *testing.B) {
	const events = 1000
	for _, bb := range []struct {
		name            string
		indexed, copies int
		found           bool
	}{{name: "logged"}, {name: "file built", indexed: 100_000}, {name: "file found", indexed: 100_000, found: true}, {name: "some in file", indexed: 100_000, copies: 20}} {
		b.Run(bb.name, func(b *testing.B) {
			disk := vfs.NewMem()
			e := openSample(b, disk, "data")
			s := newSample()
			var old []event.Event
			if bb.indexed > 0 {
				s.fill(b, e, bb.indexed, 2000)
				batch := s.batch(2000)
				old = batch.Events
				record, err := event.AppendBatch(nil, batch)
				if err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(e.Append(testContext, [][]byte{record}), e.Index(testContext, 0, true)); err != nil {
					b.Fatal(err)
				}
			}
			if bb.found {
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
				e = openSample(b, disk, "data")
			}
			counting := time.Duration(0)
			for done := 0; done < b.N; done += events {
				batch := s.batch(events)
				for i := range batch.Events {
					batch.Events[i].InsertID = fmt.Sprintf("%08x-%04x", done, i)
				}
				for i := range bb.copies {
					id := batch.Events[i].ID
					batch.Events[i] = old[(done/events*bb.copies+i)%len(old)]
					batch.Events[i].ID = id
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
				if bb.found {
					if err := e.makeIDFilters(testContext); err != nil {
						b.Fatal(err)
					}
				}
				counting += cpuTime() - start
			}
			b.ReportMetric(float64(counting.Nanoseconds())/float64((b.N+events-1)/events*events), "cpu-ns/event")
		})
	}
}
