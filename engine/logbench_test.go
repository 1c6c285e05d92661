package engine

import (
	"context"
	"slices"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// benchLogged is how many events the benchmarks of this file hold.
const benchLogged = 200_000

// asked are the questions that are put to the same events in the log and in a file.
var asked = []struct {
	name     string
	fragment exec.Fragment
}{
	{"count", exec.Fragment{Columns: scannedColumns, Group: countAll,
		Filter: &exec.Expr{Op: exec.OpEqual, Column: 2, Values: []catalog.Value{catalog.String("US")}}}},
	{"sum", exec.Fragment{Columns: scannedColumns, Group: &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggSum, Args: []int{3}}}}}},
	{"groups", exec.Fragment{Columns: scannedColumns, Group: &exec.Group{Keys: []int{0, 2}, Aggregates: countAll.Aggregates}}},
	{"users", exec.Fragment{Columns: []exec.Column{{Source: exec.SourceDistinctID}},
		Group: &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{0}}}}}},
	{"scan-sum", exec.Fragment{Columns: scannedColumns[3:], Runs: true}},
	{"scan-group", exec.Fragment{Columns: scannedColumns[:2], Runs: true}},
	{"scan-filter", exec.Fragment{Columns: scannedColumns, Runs: true,
		Filter: &exec.Expr{Op: exec.OpEqual, Column: 2, Values: []catalog.Value{catalog.String("US")}}}},
	{"scan-insert-ids", exec.Fragment{Columns: []exec.Column{{Source: exec.SourceInsertID}, {Source: exec.SourceIngestID}}, Runs: true}},
	{"scan-properties", exec.Fragment{Columns: []exec.Column{{Source: exec.SourceProperties}}, Runs: true}},
}

var countAll = &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggCount}}}

// ask puts a question and gives the sum of what came.
func ask(tb testing.TB, e *Engine, f exec.Fragment) (sum float64) {
	tb.Helper()
	f.Project = sampleProject
	run := e.Scan
	if f.Group != nil {
		run = e.Execute
	}
	if _, err := run(context.Background(), &f, func(b *exec.Batch) error {
		sum += lookAt(b)
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return sum
}

// BenchmarkLogged asks the same of the same events in the log and in a file, in
// turn, after a first question that makes either ready, and reports the log's
// time as a multiple of the file's.
func BenchmarkLogged(b *testing.B) {
	logged, indexed := openSample(b, vfs.OS(), b.TempDir()), openSample(b, vfs.OS(), b.TempDir())
	for _, e := range []*Engine{logged, indexed} {
		newSample().fill(b, e, benchLogged, 1000)
	}
	if err := indexed.Index(context.Background(), 0, true); err != nil {
		b.Fatal(err)
	}
	for _, q := range asked {
		b.Run(q.name, func(b *testing.B) {
			ask(b, logged, q.fragment)
			ask(b, indexed, q.fragment)
			var spent [2]float64
			b.ResetTimer()
			for i := range b.N {
				for turn := range 2 {
					k := (i + turn) % 2
					start := cpuTime()
					ask(b, []*Engine{indexed, logged}[k], q.fragment)
					spent[k] += float64(cpuTime() - start)
				}
			}
			b.ReportMetric(spent[0]/float64(b.N)/benchLogged, "file-ns/event")
			b.ReportMetric(spent[1]/float64(b.N)/benchLogged, "log-ns/event")
			b.ReportMetric(spent[1]/max(spent[0], 1), "log/file")
		})
	}
}

// BenchmarkLoggedFirst is the first question after 200,000 events came, and the
// count after one more insert.
func BenchmarkLoggedFirst(b *testing.B) {
	dir := b.TempDir()
	e := openSample(b, vfs.OS(), dir)
	s := newSample()
	s.fill(b, e, benchLogged, 1000)
	count := exec.Fragment{Group: countAll}
	b.Run("first", func(b *testing.B) {
		spent := time.Duration(0)
		for range b.N {
			b.StopTimer()
			shard := sampleShard(e)
			shard.mu.Lock()
			shard.now.tail.columns.drop()
			shard.now.tail = newTail(shard.now.files)
			shard.mu.Unlock()
			b.StartTimer()
			start := cpuTime()
			ask(b, e, count)
			spent += cpuTime() - start
		}
		b.ReportMetric(float64(spent)/float64(b.N)/benchLogged, "cpu-ns/event")
		b.ReportMetric(float64(sampleShard(e).now.tail.columns.size)/benchLogged, "column-bytes/event")
	})
	b.Run("after-insert", func(b *testing.B) {
		ask(b, e, count)
		spent := time.Duration(0)
		for range b.N {
			b.StopTimer()
			s.fill(b, e, 1, 1)
			b.StartTimer()
			start := cpuTime()
			ask(b, e, count)
			spent += cpuTime() - start
		}
		b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs")
	})
}

// BenchmarkAppendFollowed appends batches of 1,000 events, in turn, to an engine
// whose log nobody follows and to one that follows it, and reports the second's
// time as a multiple of the first's: the medians of all rounds.
func BenchmarkAppendFollowed(b *testing.B) {
	var engines [2]*Engine
	for i := range engines {
		opts := Options{FS: vfs.OS(), Dir: b.TempDir(), Catalog: sampleCatalog(), TickEvery: 1 << 40, Manual: i == 0}
		e, err := Open(context.Background(), opts)
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		engines[i] = e
	}
	s := newSample()
	var spent [2][]float64
	for round := range b.N {
		record, err := event.AppendBatch(nil, s.batch(1000))
		if err != nil {
			b.Fatal(err)
		}
		for turn := range engines {
			i := (round + turn) % 2
			start := time.Now()
			if err := engines[i].Append(context.Background(), [][]byte{record}); err != nil {
				b.Fatal(err)
			}
			spent[i] = append(spent[i], float64(time.Since(start)))
		}
	}
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	b.ReportMetric(median(spent[0]), "alone-ns")
	b.ReportMetric(median(spent[1])/median(spent[0]), "followed/alone")
}

// BenchmarkCarriedOver is the first question after half of 200,000 events, which were all
// known, are in a file: with what was known of the others, and without.
func BenchmarkCarriedOver(b *testing.B) {
	count := exec.Fragment{Group: countAll}
	var spent [2]time.Duration
	for i := range b.N {
		e := openSample(b, vfs.OS(), b.TempDir())
		newSample().fill(b, e, benchLogged, 1000)
		ask(b, e, count)
		shard := sampleShard(e)
		refs, err := e.indexer.due(context.Background(), shard)
		if err != nil {
			b.Fatal(err)
		}
		if err := e.indexer.build(context.Background(), shard, taskIndex, refs[:len(refs)/2], nil); err != nil {
			b.Fatal(err)
		}
		from := shard.now.tail.from.Load()
		for turn := range 2 {
			k := (i + turn) % 2
			shard.now.tail.columns.drop()
			shard.now.tail = newTail(shard.now.files)
			if k == 1 {
				shard.now.tail.from.Store(from)
			}
			start := cpuTime()
			ask(b, e, count)
			spent[k] += cpuTime() - start
		}
	}
	b.ReportMetric(float64(spent[0])/float64(b.N)/(benchLogged/2), "anew-ns/event")
	b.ReportMetric(float64(spent[1])/float64(b.N)/(benchLogged/2), "carried-ns/event")
}
