package engine

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

var benchEvents = flag.Int("events", 2_000_000, "events of the file that benchmarks build and scan")

// sampleShard is the shard of all sample events.
func sampleShard(e *Engine) *shard { return e.allShards()[0] }

// BenchmarkIndexDedupe builds files with 2 % duplicates, looking for copies and
// not looking: the bar is 4 % of the time. "log" makes files of logged events,
// "merge" makes one of them.
func BenchmarkIndexDedupe(b *testing.B) {
	e := openSample(b, vfs.OS(), b.TempDir())
	newSample().fill(b, e, *benchEvents, 2000)
	v, err := sampleShard(e).view(e)
	if err != nil {
		b.Fatal(err)
	}
	logs := v.logs
	v.release()
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("log/dedupe=%v", on), func(b *testing.B) {
			start := cpuTime()
			for range b.N {
				total := int64(0)
				for refs := logs; len(refs) > 0; {
					n := buildable(refs)
					total += tryBuild(b, e, on, refs[:n], false)
					refs = refs[n:]
				}
				b.ReportMetric(float64(total)/float64(*benchEvents), "bytes/event")
			}
			reportCPU(b, start)
		})
	}
	if err := e.Index(context.Background(), 0, false); err != nil {
		b.Fatal(err)
	}
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("merge/dedupe=%v", on), func(b *testing.B) {
			start := cpuTime()
			for range b.N {
				total := tryBuild(b, e, on, nil, true)
				b.ReportMetric(float64(total)/float64(*benchEvents), "bytes/event")
			}
			reportCPU(b, start)
		})
	}
}

// BenchmarkIndexDedupeRatio takes turns, so that a machine that is shared
// disturbs both alike, and reports what looking for copies adds, in per cent of
// the processor's time: the medians of all rounds.
func BenchmarkIndexDedupeRatio(b *testing.B) {
	e := openSample(b, vfs.OS(), b.TempDir())
	newSample().fill(b, e, *benchEvents, 2000)
	v, err := sampleShard(e).view(e)
	if err != nil {
		b.Fatal(err)
	}
	logs := v.logs
	v.release()
	b.Run("log", func(b *testing.B) {
		takeTurns(b, func(on bool) { tryBuild(b, e, on, logs[:buildable(logs)], false) })
	})
	if err := e.Index(context.Background(), 0, false); err != nil {
		b.Fatal(err)
	}
	b.Run("merge", func(b *testing.B) { takeTurns(b, func(on bool) { tryBuild(b, e, on, nil, true) }) })
}

// takeTurns runs off and on, on and off, and reports the ratio.
func takeTurns(b *testing.B, run func(on bool)) {
	b.Helper()
	var spent [2][]float64
	for i := range b.N {
		for turn := range 2 {
			on := (i+turn)%2 == 1
			runtime.GC()
			start := cpuTime()
			run(on)
			k := 0
			if on {
				k = 1
			}
			spent[k] = append(spent[k], float64(cpuTime()-start))
		}
	}
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	b.ReportMetric(100*(median(spent[1])/median(spent[0])-1), "%overhead")
}

// tryBuild builds and proves a file, throws it away, and returns its size.
func tryBuild(b *testing.B, e *Engine, dedupe bool, refs []logRef, merge bool) int64 {
	b.Helper()
	v, err := sampleShard(e).view(e)
	if err != nil {
		b.Fatal(err)
	}
	defer v.release()
	e.ignoreDuplicates = !dedupe
	defer func() { e.ignoreDuplicates = false }()
	w := &build{engine: e, view: v, refs: refs, job: e.jobs.start("benchmark", v.shard.key, 0)}
	if merge {
		w.sources = v.files.files
	}
	defer w.release()
	defer w.discard()
	ctx := context.Background()
	for _, step := range []func(context.Context) error{w.open, w.census, w.write, w.prove} {
		if err := step(ctx); err != nil {
			b.Fatal(err)
		}
	}
	info, err := e.fs.Stat(v.shard.dir + "/" + w.newName())
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// BenchmarkScanDedupe scans a closed file with 2 % duplicates, hiding them and
// not hiding them: the bar is 1 % of the time. "count" reads no column, "read"
// four, all values of which are looked at, and "filter" has one to hold against
// a constant.
func BenchmarkScanDedupe(b *testing.B) {
	e := openSample(b, vfs.OS(), b.TempDir())
	newSample().fill(b, e, *benchEvents, 2000)
	if err := e.Index(context.Background(), 0, true); err != nil {
		b.Fatal(err)
	}
	for _, f := range scanned {
		for _, on := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/dedupe=%v", f.name, on), func(b *testing.B) {
				start := cpuTime()
				for range b.N {
					scanOnce(b, e, f.fragment, on)
				}
				reportCPU(b, start)
			})
		}
	}
}

// BenchmarkScanDedupeRatio is to BenchmarkScanDedupe what
// BenchmarkIndexDedupeRatio is to BenchmarkIndexDedupe.
func BenchmarkScanDedupeRatio(b *testing.B) {
	e := openSample(b, vfs.OS(), b.TempDir())
	newSample().fill(b, e, *benchEvents, 2000)
	if err := e.Index(context.Background(), 0, true); err != nil {
		b.Fatal(err)
	}
	for _, f := range scanned {
		b.Run(f.name, func(b *testing.B) {
			takeTurns(b, func(on bool) {
				for range 10 {
					scanOnce(b, e, f.fragment, on)
				}
			})
		})
	}
}

var scannedColumns = []exec.Column{
	{Source: exec.SourceEvent}, {Source: exec.SourceTime}, {Source: exec.SourceProperty, Property: "country", Type: catalog.TypeString},
	{Source: exec.SourceProperty, Property: "price", Type: catalog.TypeDouble},
}

// scanned are the fragments that benchmarks scan.
var scanned = []struct {
	name     string
	fragment exec.Fragment
}{
	{"count", exec.Fragment{Project: sampleProject}},
	{"read", exec.Fragment{Project: sampleProject, Columns: scannedColumns}},
	{"filter", exec.Fragment{Project: sampleProject, Columns: scannedColumns, Filter: &exec.Expr{Op: exec.OpEqual, Column: 2, Values: []catalog.Value{catalog.String("US")}}}},
}

func scanOnce(b *testing.B, e *Engine, f exec.Fragment, dedupe bool) {
	b.Helper()
	f.Copies, f.Runs = !dedupe, true
	sum := 0.0
	if _, err := e.Scan(context.Background(), &f, func(batch *exec.Batch) error {
		sum += lookAt(batch)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

// lookAt reads every value of a batch that is meant.
func lookAt(b *exec.Batch) (sum float64) {
	runs := b.Runs
	if runs == nil {
		runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
	}
	for _, c := range b.Columns {
		switch a := c.(type) {
		case *array.Dictionary:
			for _, r := range runs {
				for i := r.Lo; i < r.Hi; i++ {
					sum += float64(a.GetValueIndex(i))
				}
			}
		case *array.Timestamp:
			values := a.TimestampValues()
			for _, r := range runs {
				for _, t := range values[r.Lo:r.Hi] {
					sum += float64(t)
				}
			}
		case *array.Float64:
			values := a.Float64Values()
			for _, r := range runs {
				for i := r.Lo; i < r.Hi; i++ {
					if a.IsValid(i) {
						sum += values[i]
					}
				}
			}
		}
	}
	return sum
}

// cpuTime is what the process has used of its processors. The machine may be
// shared, so that it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU reports the processor's time an event.
func reportCPU(b *testing.B, start time.Duration) {
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N)/float64(*benchEvents), "cpu-ns/event")
}
