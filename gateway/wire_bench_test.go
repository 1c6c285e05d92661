package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// cpuTime is the processor time that the process has taken.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchBatches has a project with a few properties, whose scans give batches of
// ready-made columns, so that what is measured is the gateway alone.
func benchBatches(b *testing.B, batches, rows int) (*sqlWorld, *rawClient) {
	b.Helper()
	arrays := make(map[catalog.Type]arrow.Array)
	for kind, value := range map[catalog.Type]func(i int) catalog.Value{
		catalog.TypeInt:      func(i int) catalog.Value { return catalog.Int(int64(i) * 977) },
		catalog.TypeDouble:   func(i int) catalog.Value { return catalog.Double(float64(i%10_000) / 100) },
		catalog.TypeDatetime: func(i int) catalog.Value { return catalog.Int(1_767_000_000_000_000 + int64(i)*1_234_567) },
		catalog.TypeString: func(i int) catalog.Value {
			return catalog.String([]string{"page viewed", "item bought", "signed up", "video played"}[i%4])
		},
	} {
		column := make([]catalog.Value, rows)
		for i := range column {
			column[i] = value(i)
		}
		arrays[kind] = oracle.Array(kind, column, 3)
	}
	w := newSQLWorldOver(b, func(m *oracle.Model) cluster.Local {
		return &scans{m, func(_ context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			batch := &exec.Batch{Rows: rows}
			for i := range f.Columns {
				if !f.Columns[i].Hidden {
					batch.Columns = append(batch.Columns, arrays[f.Columns[i].Result()])
				}
			}
			for range batches {
				if err := yield(batch); err != nil {
					return exec.ScanStats{}, err
				}
			}
			return exec.ScanStats{}, nil
		}}
	})
	w.must("CREATE DATABASE test", "USE test", "ALTER TABLE events ADD COLUMN n BIGINT, ADD COLUMN d DOUBLE, ADD COLUMN url TEXT, ADD COLUMN country TEXT, ADD COLUMN os TEXT")
	c := dialRaw(b, w.listen())
	c.in = bufio.NewReaderSize(c.conn, 1<<20)
	c.login()
	return w, c
}

// BenchmarkResult sends a million rows of five columns over a socket, by column and
// by row. The time is of processors, for the server and a client that only drains.
func BenchmarkResult(b *testing.B) {
	const batches, rows = 16, 1 << 16
	for _, q := range []struct{ name, statement string }{
		{"plain", "SELECT event, time, distinct_id, n, d FROM events"},
		{"computed", "SELECT UPPER(event), time, distinct_id, n, CONCAT(url, '/') FROM events"},
	} {
		for _, way := range []string{"column", "row"} {
			b.Run(q.name+"/"+way, func(b *testing.B) {
				w, c := benchBatches(b, batches, rows)
				w.executor().rowsOnly.Store(way == "row")
				size := c.drain(0, q.statement)
				start := cpuTime(b)
				for b.Loop() {
					c.drain(size, q.statement)
				}
				b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/(batches*rows), "cpu-ns/row")
				b.ReportMetric(0, "ns/op")
			})
		}
		b.Run(q.name+"/arrow", func(b *testing.B) {
			w, _ := benchBatches(b, batches, rows)
			server := httptest.NewServer(w.gateway.HTTPHandler())
			defer server.Close()
			start := cpuTime(b)
			for b.Loop() {
				answer, err := http.Post(server.URL+"/query?database=test&format=arrow", "", strings.NewReader(q.statement))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
					b.Fatal(answer.Status, err)
				}
				answer.Body.Close()
			}
			b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/(batches*rows), "cpu-ns/row")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// drain runs a statement whose result has that many bytes; 0 finds out how many.
func (c *rawClient) drain(size int, statement string) int {
	c.command(append([]byte{3}, statement...))
	if size > 0 {
		if _, err := io.CopyN(io.Discard, c.in, int64(size)); err != nil {
			c.t.Fatal(err)
		}
		return size
	}
	for ends := 0; ends < 2; {
		p := c.read()
		size += len(p) + packetHeader
		if p[0] == packetError {
			c.t.Fatalf("%s: %q", statement, p)
		}
		if p[0] == packetEnd && len(p) < packetEndMax {
			ends++
		}
	}
	return size
}

// BenchmarkSmallQuery runs statements that give next to nothing, from text to the
// end of the result; the time is of processors, with the client's. A statement that is
// asked again has a plan already.
func BenchmarkSmallQuery(b *testing.B) {
	for _, q := range []struct{ name, statement string }{
		{"one", "SELECT 1"},
		{"version", "SELECT @@version"},
		{"point", "SELECT event, time, n, d FROM events WHERE distinct_id = 'item bought' AND event = 'page viewed' AND time >= '2026-01-01' LIMIT 10"},
		{"count", "SELECT COUNT(*) FROM ev"},
		{"day", "SELECT DATE_FORMAT(ts, '%Y-%m-%d') AS day, COUNT(*) FROM ev GROUP BY day"},
		{"filtered", "SELECT event, COUNT(*) AS c FROM ev WHERE country = 'US' AND ts >= '2026-01-03' AND ts < '2026-01-06' GROUP BY event ORDER BY c DESC, event"},
		{"newest", "SELECT event, ts, n, d FROM ev ORDER BY ts DESC LIMIT 10"},
	} {
		b.Run(q.name, func(b *testing.B) {
			w, c := benchBatches(b, 1, 5)
			w.must("CREATE VIEW ev AS SELECT event, time AS ts, distinct_id, n, d, url, country, os FROM events")
			for _, again := range []bool{false, true} {
				b.Run(map[bool]string{false: "first", true: "again"}[again], func(b *testing.B) {
					i := 0
					text := func() string {
						if i++; again {
							return q.statement
						}
						return fmt.Sprintf("SELECT /* %07d */ %s", i, strings.TrimPrefix(q.statement, "SELECT ")) // it was not there before
					}
					size := c.drain(0, text())
					start := cpuTime(b)
					for b.Loop() {
						c.drain(size, text())
					}
					b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/1000, "cpu-µs/query")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}
