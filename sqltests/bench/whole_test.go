// Package bench measures arbor as a whole; the benchmarks of single rooms are
// beside their code. docs/benchmarks.md holds figures and the commands.
package bench

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/gateway"
	"arbor/sqltests/bench/dataset"
	"arbor/sqltests/server"
)

var (
	indexed   = flag.Int("indexed", 1_000_000, "events that are indexed before a benchmark starts")
	unindexed = flag.Int("unindexed", 100_000, "events that are left in the log")
)

// fill makes a data directory with a project shop and the events, and leaves it
// closed. Records have 2,000 events of a request, grouped by shard.
func fill(b *testing.B, dir string, indexed, unindexed int) {
	b.Helper()
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	metadata, err := cluster.OpenMetadata(vfs.OS(), filepath.Join(dir, "catalog"), log)
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(ctx, engine.Options{FS: vfs.OS(), Dir: dir, Logger: log, Catalog: metadata.Catalog(), Manual: true, Functions: gateway.NewFunctions()})
	if err != nil {
		b.Fatal(err)
	}
	c := cluster.New(metadata, e)
	if _, err := c.Change(ctx, catalog.CreateProject{Name: "shop", Token: "token", Secret: "secret", At: 1}); err != nil {
		b.Fatal(err)
	}
	// What is left in the log must stay there until it is measured.
	if _, err := c.Change(ctx, catalog.SetSetting{Name: catalog.SettingSealAfterAge, Value: "168h"}); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Change(ctx, catalog.SetSetting{Name: catalog.SettingSealAfterBytes, Value: "1GiB"}); err != nil {
		b.Fatal(err)
	}
	p, _ := c.Catalog().Project("shop")
	columns := map[catalog.Observed]bool{} // the gateway is who notes them, elsewhere
	g, edge, request := dataset.New(dataset.Options{Lines: indexed + unindexed}), rand.Uint32(), uint64(time.Now().UnixNano())
	for sent := 0; sent < indexed+unindexed; {
		byShard := map[catalog.ShardKey][]event.Event{}
		for i := uint32(0); i < 2000; i++ {
			a, ok := g.Next()
			if !ok {
				break
			}
			a.Event.ID = catalog.IngestID{Time: request, Edge: edge, Index: i}
			key := p.Shard(a.Event.Time, a.Event.DistinctID, a.Event.InsertID)
			byShard[key] = append(byShard[key], a.Event)
			for _, property := range a.Event.Properties {
				columns[catalog.Observed{Name: property.Name, Kind: property.Value.Kind}] = true
			}
			sent++
		}
		request++
		var records [][]byte
		for key, events := range byShard {
			record, err := event.AppendBatch(nil, &event.Batch{Shard: key, Events: events})
			if err != nil {
				b.Fatal(err)
			}
			records = append(records, record)
		}
		if err := c.Append(ctx, records); err != nil {
			b.Fatal(err)
		}
		// Index now and then, as a running server would, so that the last
		// events are the ones that stay in the log.
		if sent%2_000_000 == 0 || sent == indexed {
			if err := c.Index(ctx, p.ID, sent == indexed); err != nil {
				b.Fatal(err)
			}
		}
	}
	if _, err := c.Change(ctx, catalog.Observe{Project: p.ID, Properties: slices.Collect(maps.Keys(columns))}); err != nil {
		b.Fatal(err)
	}
	for _, close := range []func() error{c.Close, e.Close, metadata.Close} {
		if err := close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStorage reports the bytes an event takes once its day is closed.
func BenchmarkStorage(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		fill(b, dir, *indexed, 0)
		b.ReportMetric(float64(size(b, filepath.Join(dir, "shards")))/float64(*indexed), "bytes/event")
	}
}

// BenchmarkRestart reports how long the real binary takes from its start until
// it has answered a first question about everything, and the memory it holds.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, *indexed, *unindexed)
	server.Binary(b)
	for b.Loop() {
		start := time.Now()
		s := server.StartOver(b, dir)
		ready := time.Since(start)
		anonymous, file := memory(b, s.PID())
		total := s.QueryOne(b, "SELECT COUNT(*) FROM shop.events_all")
		answered := time.Since(start)
		if want := fmt.Sprint(*indexed + *unindexed); total != want {
			b.Fatalf("%s events after the restart, want %s", total, want)
		}
		s.Stop(b)
		million := float64(max(*unindexed, 1)) / 1e6
		b.ReportMetric(ready.Seconds()/million, "s-ready/M-unindexed")
		b.ReportMetric(answered.Seconds()/million, "s-answered/M-unindexed")
		b.ReportMetric(anonymous, "MB-anonymous")
		b.ReportMetric(file, "MB-mapped")
	}
}

// memory is what the process holds now, in megabytes: its own, and pages of
// files that the kernel may take back at any time.
func memory(b *testing.B, pid int) (anonymous, file float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("memory is read from /proc, which is not there")
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "RssAnon:":
			anonymous = kib / 1024
		case "RssFile:":
			file = kib / 1024
		}
	}
	return anonymous, file
}

func size(b *testing.B, dir string) (total int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}
