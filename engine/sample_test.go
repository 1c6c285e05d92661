package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// sample makes events as a web shop's look: zipfian users, thirty names, UUIDs
// for insert ids, a dozen properties. One in fifty is a retry of an earlier one.
type sample struct {
	rng     *rand.Rand
	users   *rand.Zipf
	day     catalog.Day
	request uint64
	past    []event.Event
}

func newSample() *sample {
	rng := rand.New(rand.NewPCG(1, 2))
	return &sample{rng: rng, users: rand.NewZipf(rng, 1.2, 20, 60_000), day: 20_000, request: 1_728_000_000_000_000_000}
}

const sampleProject = 7

func sampleCatalog() *catalog.Catalog {
	return &catalog.Catalog{NextProject: 8, Projects: []*catalog.Project{{ID: sampleProject, Name: "shop", Buckets: 1}}}
}

// batch makes a request of n events.
func (s *sample) batch(n int) *event.Batch {
	s.request += 1_000_000
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: s.day}}
	for i := range n {
		e := s.next()
		e.ID = catalog.IngestID{Time: s.request, Edge: 9, Index: uint32(i)}
		b.Events = append(b.Events, e)
	}
	return b
}

func (s *sample) next() event.Event {
	if len(s.past) > 1000 && s.rng.IntN(50) == 0 {
		return s.past[s.rng.IntN(len(s.past))]
	}
	user := s.users.Uint64()
	rng := rand.New(rand.NewPCG(user, 3)) // what stays with the user
	pick := func(r *rand.Rand, of ...string) catalog.Value { return catalog.String(of[r.IntN(len(of))]) }
	e := event.Event{
		Name:       fmt.Sprintf("event_%02d", int(30*math.Pow(s.rng.Float64(), 2))),
		Time:       s.day.Start() + s.rng.Int64N(catalog.DayMicros/1000)*1000,
		DistinctID: fmt.Sprintf("user-%08x", user*0x9e3779b1),
		InsertID:   fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", s.rng.Uint32(), s.rng.Uint32()&0xffff, s.rng.Uint32()&0xfff, s.rng.Uint32()&0xfff, s.rng.Uint64()>>16),
		Properties: []event.Property{
			{Name: "$browser", Value: pick(rng, "Chrome", "Safari", "Firefox", "Edge")},
			{Name: "$os", Value: pick(rng, "Windows", "iOS", "Android", "Mac OS X", "Linux")},
			{Name: "country", Value: pick(rng, "US", "IN", "GB", "BR", "DE", "FR", "CA", "JP")},
			{Name: "plan", Value: pick(rng, "free", "free", "pro", "team")},
			{Name: "screen_w", Value: catalog.Int(int64(pick(rng, "a", "bb", "ccc").Text[0]) * 16)},
			{Name: "url", Value: catalog.String(fmt.Sprintf("/products/%d", int(20_000*math.Pow(s.rng.Float64(), 3))))},
		},
	}
	if s.rng.IntN(3) == 0 {
		e.Properties = append(e.Properties[:3:3], append([]event.Property{{Name: "price", Value: catalog.Double(float64(s.rng.IntN(10000)) / 100)}}, e.Properties[3:]...)...)
		e.Properties[3], e.Properties[4] = e.Properties[4], e.Properties[3]
	}
	if len(s.past) < 50_000 {
		s.past = append(s.past, e)
	} else {
		s.past[s.rng.IntN(len(s.past))] = e
	}
	return e
}

// openSample opens an engine that does nothing by itself.
func openSample(tb testing.TB, fs vfs.FS, dir string) *Engine {
	tb.Helper()
	e, err := Open(context.Background(), Options{FS: fs, Dir: dir, Catalog: sampleCatalog(), Manual: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// fill appends n events in requests of each.
func (s *sample) fill(tb testing.TB, e *Engine, n, each int) {
	tb.Helper()
	var records [][]byte
	for done := 0; done < n; done += each {
		record, err := event.AppendBatch(nil, s.batch(min(each, n-done)))
		if err != nil {
			tb.Fatal(err)
		}
		if records = append(records, record); len(records) == 16 || done+each >= n {
			if err := e.Append(context.Background(), records); err != nil {
				tb.Fatal(err)
			}
			records = nil
		}
	}
}
