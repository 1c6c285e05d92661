package bench

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sys/unix"

	"arbor/catalog"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
	"arbor/sqltests/bench/dataset"
)

// fileRows is the size of the indexed file that is measured: a day of a week of
// one million events by default; 1430000 is a day of ten million.
var fileRows = flag.Int("file-rows", 143_000, "rows of the indexed file that is measured")

// dayOfRows is a day of the data set in the order of an indexed file. Requests
// hold 2000 events each, as bulk imports send them, or just one.
func dayOfRows(b testing.TB, perRequest int) []indexfile.Row {
	g := dataset.New(dataset.Options{Seed: 1, Lines: *fileRows, Days: 1})
	rows := make([]indexfile.Row, 0, *fileRows)
	request := uint64(0)
	for n := 0; ; n++ {
		a, ok := g.Next()
		if !ok {
			break
		}
		if n%perRequest == 0 {
			request = max(request+1, uint64(a.At)*1000)
		}
		a.Event.ID = catalog.IngestID{Time: request, Edge: 0x5eed, Index: uint32(n % perRequest)}
		rows = append(rows, indexfile.Row(a.Event))
	}
	slices.SortFunc(rows, func(x, y indexfile.Row) int { return x.Compare(&y) })
	return rows
}

func writeFile(b testing.TB, fs vfs.FS, dir string, rows []indexfile.Row) {
	builder := indexfile.NewBuilder(indexfile.BuilderOptions{Rows: len(rows)})
	for i := range rows {
		if err := builder.Add(&rows[i]); err != nil {
			b.Fatal(err)
		}
	}
	if err := builder.Write(fs, dir, "file", indexfile.Meta{}); err != nil {
		b.Fatal(err)
	}
}

// openDay writes a day to a real disk and maps it.
func openDay(b testing.TB, perRequest int) *indexfile.Reader {
	dir := b.TempDir()
	writeFile(b, vfs.OS(), dir, dayOfRows(b, perRequest))
	r, err := indexfile.Open(vfs.OS(), dir+"/file")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	return r
}

// perRow starts to measure; what it returns reports the cost of a row, on the
// clock and of CPU, which other work on the machine disturbs less.
func perRow(b *testing.B, rows int) (report func()) {
	start := cpuTime(b)
	return func() {
		total := float64(b.N) * float64(rows)
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/total, "ns/row")
		b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/total, "cpu-ns/row")
	}
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkBuild(b *testing.B) {
	rows := dayOfRows(b, 2000)
	b.ReportAllocs()
	defer perRow(b, len(rows))()
	for b.Loop() {
		writeFile(b, vfs.NewMem(), ".", rows)
	}
}

// BenchmarkRewrite builds a file from the rows of another, as closing a day does.
func BenchmarkRewrite(b *testing.B) {
	r := openDay(b, 2000)
	b.ReportAllocs()
	defer perRow(b, r.Rows())()
	for b.Loop() {
		builder := indexfile.NewBuilder(indexfile.BuilderOptions{Rows: r.Rows()})
		c := r.Cursor()
		var row indexfile.Row
		for i := range r.Rows() {
			if err := c.Row(i, &row); err != nil {
				b.Fatal(err)
			}
			if err := builder.Add(&row); err != nil {
				b.Fatal(err)
			}
		}
		if err := builder.Write(vfs.NewMem(), ".", "file", indexfile.Meta{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRow(b *testing.B) {
	r := openDay(b, 2000)
	b.Run("cursor", func(b *testing.B) {
		b.ReportAllocs()
		defer perRow(b, r.Rows())()
		for b.Loop() {
			c := r.Cursor()
			var row indexfile.Row
			for i := range r.Rows() {
				if err := c.Row(i, &row); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("key", func(b *testing.B) {
		var sum uint64
		defer perRow(b, r.Rows())()
		for b.Loop() {
			for i := range r.Rows() {
				k, err := r.InsertKey(i)
				if err != nil {
					b.Fatal(err)
				}
				sum += k.Lo
			}
		}
	})
}

// BenchmarkScanColumn makes the arrays of a whole file, a batch at a time.
func BenchmarkScanColumn(b *testing.B) {
	r := openDay(b, 2000)
	property := func(name string, t catalog.Type) func(lo, hi int) (arrow.Array, error) {
		return func(lo, hi int) (arrow.Array, error) { return r.PropertyArray(name, t, 0, 0, lo, hi) }
	}
	for _, c := range []struct {
		name  string
		array func(lo, hi int) (arrow.Array, error)
	}{
		{"event", r.EventArray}, {"time", r.TimeArray}, {"distinct_id", r.DistinctIDArray}, {"insert_id", r.InsertIDArray},
		{"plan", property("plan", catalog.TypeString)}, {"url", property("url", catalog.TypeString)},
		{"utm_source", property("utm_source", catalog.TypeString)}, {"price", property("price", catalog.TypeDouble)},
		{"screen_w", property("screen_w", catalog.TypeInt)}, {"properties", r.PropertiesArray},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer perRow(b, r.Rows())()
			for b.Loop() {
				for lo := 0; lo < r.Rows(); lo += indexfile.BlockRows {
					a, err := c.array(lo, min(lo+indexfile.BlockRows, r.Rows()))
					if err != nil {
						b.Fatal(err)
					}
					a.Release()
				}
			}
		})
	}
}

// BenchmarkFindUser looks up users all over a file.
func BenchmarkFindUser(b *testing.B) {
	r := openDay(b, 2000)
	var users []string
	for k := 0; k < r.Users(); k += 97 {
		id, _, _, err := r.User(k)
		if err != nil {
			b.Fatal(err)
		}
		users = append(users, id)
	}
	for i := 0; b.Loop(); i++ {
		if lo, hi, err := r.UserRange(users[i%len(users)]); err != nil || lo == hi {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens a file and reads one column of it, as the first query
// after a restart does.
func BenchmarkOpen(b *testing.B) {
	path := openDay(b, 2000).Path()
	for b.Loop() {
		r, err := indexfile.Open(vfs.OS(), path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.EventArray(0, r.Rows()); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// BenchmarkBytes prints the bytes that an event takes, by section, and reports
// their sum: with -benchtime 1x -v it is the table of docs/benchmarks.md.
func BenchmarkBytes(b *testing.B) {
	for _, perRequest := range []int{2000, 1} {
		b.Run(fmt.Sprintf("events-per-request=%d", perRequest), func(b *testing.B) {
			r := openDay(b, perRequest)
			for b.Loop() {
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(r.Size())/float64(r.Rows()), "bytes/event")
			if !testing.Verbose() {
				return
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
			for _, s := range r.Sections() {
				if s.Encoding != "pooled" {
					fmt.Fprintf(w, "%s\t%s\t%d\t%.3f\t\n", s.Name, s.Encoding, s.Bytes, float64(s.Bytes)/float64(r.Rows()))
				}
			}
			w.Flush()
		})
	}
}

// BenchmarkSparse is a file with 2,000 properties that 20 rows each have: what
// they cost in bytes, on opening, on scanning one and on reading all rows.
func BenchmarkSparse(b *testing.B) {
	rows := dayOfRows(b, 2000)
	r := rand.New(rand.NewPCG(1, 1))
	const properties, values = 2000, 20
	for p := range properties {
		name := fmt.Sprintf("z sparse property %04d", p)
		for range values {
			row := &rows[r.IntN(len(rows))]
			if last := row.Properties[len(row.Properties)-1].Name; last != name {
				v := catalog.String(fmt.Sprintf("value %d", r.IntN(1000)))
				row.Properties = append(slices.Clip(row.Properties), catalog.Property{Name: name, Value: v})
			}
		}
	}
	dir := b.TempDir()
	writeFile(b, vfs.OS(), dir, rows)
	path := dir + "/file"
	open := func(b *testing.B) *indexfile.Reader {
		r, err := indexfile.Open(vfs.OS(), path)
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			open(b).Close()
		}
		r := open(b)
		defer r.Close()
		pooled := int64(0)
		for _, s := range r.Sections() {
			if s.Name == "pool" {
				pooled = s.Bytes
			}
		}
		b.ReportMetric(float64(pooled)/(properties*values), "bytes/value")
	})
	file := open(b)
	defer file.Close()
	b.Run("scan", func(b *testing.B) {
		defer perRow(b, file.Rows())()
		for b.Loop() {
			for lo := 0; lo < file.Rows(); lo += indexfile.BlockRows {
				if _, err := file.PropertyArray("z sparse property 0777", catalog.TypeString, 0, 0, lo, min(lo+indexfile.BlockRows, file.Rows())); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("cursor", func(b *testing.B) {
		defer perRow(b, file.Rows())()
		for b.Loop() {
			c := file.Cursor()
			var row indexfile.Row
			for i := range file.Rows() {
				if err := c.Row(i, &row); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
