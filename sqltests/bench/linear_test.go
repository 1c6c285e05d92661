package bench

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/sqltests/bench/dataset"
)

var (
	held  = flag.Int("held", 1_000_000, "events that BenchmarkHeld comes to in ten steps")
	shard = flag.Int("shard", 1_000_000, "events of the shard that BenchmarkLargeShard builds")
)

// opened opens an engine that indexes when it is told to, with one project.
func opened(b *testing.B) (*cluster.Cluster, *engine.Engine) {
	b.Helper()
	ctx, log, dir := context.Background(), slog.New(slog.DiscardHandler), b.TempDir()
	metadata, err := cluster.OpenMetadata(vfs.OS(), filepath.Join(dir, "catalog"), log)
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(ctx, engine.Options{FS: vfs.OS(), Dir: dir, Logger: log, Catalog: metadata.Catalog(), Manual: true})
	if err != nil {
		b.Fatal(err)
	}
	c := cluster.New(metadata, e)
	if _, err := c.Change(ctx, catalog.CreateProject{Name: "shop", Token: "token", Secret: "secret", At: 1}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, err := range []error{c.Close(), e.Close(), metadata.Close()} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	return c, e
}

// requests makes the records of requests of 2,000 events each, one shard's events
// in each record.
type requests struct {
	b       *testing.B
	g       *dataset.Generator
	project *catalog.Project
	time    uint64
}

// next are the records of the next request, and how many events they have.
func (r *requests) next() (records [][]byte, events int) {
	byShard := map[catalog.ShardKey][]event.Event{}
	for i := range uint32(2000) {
		a, ok := r.g.Next()
		if !ok {
			break
		}
		a.Event.ID = catalog.IngestID{Time: r.time, Edge: 7, Index: i}
		key := r.project.Shard(a.Event.Time, a.Event.DistinctID, a.Event.InsertID)
		byShard[key] = append(byShard[key], a.Event)
		events++
	}
	r.time += 1_000_000
	for key, events := range byShard {
		record, err := event.AppendBatch(nil, &event.Batch{Shard: key, Events: events})
		if err != nil {
			r.b.Fatal(err)
		}
		records = append(records, record)
	}
	return records, events
}

// BenchmarkHeld appends and indexes ever more events and reports what the last
// tenth cost of the processor's time: if that depends on how many are held already,
// ingestion is not linear. Days are as the indexer leaves them, not closed.
func BenchmarkHeld(b *testing.B) {
	for b.Loop() {
		c, _ := opened(b)
		ctx := context.Background()
		p, _ := c.Catalog().Project("shop")
		r := &requests{b: b, g: dataset.New(dataset.Options{Lines: *held}), project: p, time: 1_790_000_000_000_000_000}
		for step := 1; step <= 10; step++ {
			var appending, indexing time.Duration
			events := 0
			for events < *held/10 {
				records, n := r.next()
				if n == 0 {
					break
				}
				events += n
				start := cpuTime(b)
				if err := c.Append(ctx, records); err != nil {
					b.Fatal(err)
				}
				appending += cpuTime(b) - start
			}
			start := cpuTime(b)
			if err := c.Index(ctx, p.ID, false); err != nil {
				b.Fatal(err)
			}
			indexing += cpuTime(b) - start
			if step == 1 || step == 5 || step == 10 {
				runtime.GC()
				anonymous, _ := memory(b, os.Getpid())
				name := fmt.Sprintf("%d%%", step*10)
				b.ReportMetric(float64(appending.Nanoseconds())/float64(events), "append-ns/event-"+name)
				b.ReportMetric(float64(indexing.Nanoseconds())/float64(events), "index-ns/event-"+name)
				b.ReportMetric(anonymous, "MB-"+name)
			}
		}
	}
}

// BenchmarkProjects sends the same number of events to more and more projects, in
// requests of 100 over the handler, and indexes them.
func BenchmarkProjects(b *testing.B) {
	const events, each = 200_000, 100
	bodies := importBodies(b, 20, each, func(body []byte) []byte { return body })
	for _, projects := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("%d", projects), func(b *testing.B) {
			for b.Loop() {
				g, c := openGatewayOver(b, false)
				ctx, handler := context.Background(), g.HTTPHandler()
				for k := range projects {
					if _, err := c.Change(ctx, catalog.CreateProject{Name: fmt.Sprintf("p%d", k), Token: fmt.Sprintf("t%d", k), Secret: fmt.Sprintf("s%d", k), At: 1}); err != nil {
						b.Fatal(err)
					}
				}
				start := cpuTime(b)
				var clients sync.WaitGroup
				for client := range 2 {
					clients.Go(func() {
						for i := client; i < events/each; i += 2 {
							r := httptest.NewRequest(http.MethodPost, "/import?strict=1", bytes.NewReader(bodies[i%len(bodies)]))
							r.SetBasicAuth(fmt.Sprintf("t%d", i%projects), "")
							answer := httptest.NewRecorder()
							handler.ServeHTTP(answer, r)
							if answer.Code != http.StatusOK {
								b.Errorf("%d: %s", answer.Code, answer.Body)
								return
							}
						}
					})
				}
				clients.Wait()
				took := cpuTime(b)
				b.ReportMetric(float64((took-start).Nanoseconds())/events, "import-ns/event")
				if err := c.Index(ctx, 0, false); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((cpuTime(b)-took).Nanoseconds())/events, "index-ns/event")
				runtime.GC()
				anonymous, _ := memory(b, os.Getpid())
				b.ReportMetric(anonymous, "MB")
			}
		})
	}
}

// BenchmarkLargeShard indexes the events of one shard and makes one file of them,
// and reports the most memory that the process had of its own meanwhile, above what
// it had before.
func BenchmarkLargeShard(b *testing.B) {
	for b.Loop() {
		c, _ := opened(b)
		ctx := context.Background()
		p, _ := c.Catalog().Project("shop")
		g := dataset.New(dataset.Options{Lines: *shard, Days: 1})
		r := &requests{b: b, g: g, project: p, time: 1_790_000_000_000_000_000}
		for sent := 0; sent < *shard; {
			records, n := r.next()
			if n == 0 {
				break
			}
			sent += n
			if err := c.Append(ctx, records); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		before, _ := memory(b, os.Getpid())
		most := make(chan float64)
		stop := make(chan struct{})
		go func() {
			greatest := 0.0
			for {
				select {
				case <-stop:
					most <- greatest
					return
				case <-time.After(20 * time.Millisecond):
					now, _ := memory(b, os.Getpid())
					greatest = max(greatest, now)
				}
			}
		}()
		start := cpuTime(b)
		if err := c.Index(ctx, p.ID, true); err != nil {
			b.Fatal(err)
		}
		took := cpuTime(b) - start
		close(stop)
		b.ReportMetric(<-most-before, "MB-most")
		b.ReportMetric(float64(took.Nanoseconds())/float64(*shard), "cpu-ns/event")
	}
}
