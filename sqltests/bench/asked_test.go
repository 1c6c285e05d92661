package bench

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"arbor/sqltests/server"
)

// peoplesQuestions are asked as people ask them, of the standard data set.
var peoplesQuestions = []struct{ name, sql string }{
	{"count", "SELECT COUNT(*) FROM events"},
	{"per-day", "SELECT DATE(time) AS day, COUNT(*) FROM events GROUP BY day"},
	{"by-event", "SELECT event, COUNT(*) AS n FROM events GROUP BY event ORDER BY n DESC, event LIMIT 10"},
	{"users", "SELECT COUNT(DISTINCT distinct_id) FROM events"},
	{"users-per-day", "SELECT DATE(time) AS day, COUNT(DISTINCT distinct_id) FROM events GROUP BY day"},
	{"sums", "SELECT plan, mp_country_code, SUM(price), AVG(price) FROM events GROUP BY plan, mp_country_code"},
	{"urls", "SELECT url, COUNT(*) AS n FROM events WHERE event = 'item viewed' GROUP BY url ORDER BY n DESC, url LIMIT 20"},
	{"funnel", "SELECT level, COUNT(*) FROM (SELECT WINDOW_FUNNEL(time, 86400, event = 'item viewed', event = 'item added', event = 'order placed') AS level FROM events GROUP BY distinct_id) AS f GROUP BY level"},
	{"percentiles", "SELECT event, PERCENTILE_CONT(price, 0.5), PERCENTILE_CONT(price, 0.99) FROM events WHERE price IS NOT NULL GROUP BY event"},
	{"like", "SELECT COUNT(*) FROM events WHERE url LIKE '%checkout%'"},
	{"user", "SELECT time, event, url FROM events WHERE distinct_id = (SELECT distinct_id FROM events ORDER BY time DESC, _ingest_id DESC LIMIT 1) ORDER BY time, _ingest_id"},
	{"newest", "SELECT * FROM events ORDER BY time DESC, _ingest_id DESC LIMIT 100"},
}

// askedAgain is how often a question is asked after the first time.
const askedAgain = 20

// BenchmarkAsked asks the real binary: for the first time after a start whose files no page of
// memory holds any more, for the first time after a start with the files in memory, and again.
// Files of the machine are put out of memory as far as the kernel does so when asked.
func BenchmarkAsked(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, *indexed, 0)
	server.Binary(b)
	for _, q := range peoplesQuestions {
		b.Run(q.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			for b.Loop() {
				forget(b, dir)
				wall, cpu := askFresh(b, dir, q.sql, 0)
				b.ReportMetric(wall, "ms-cold")
				b.ReportMetric(cpu, "cpu-ms-cold")
				wall, cpu = askFresh(b, dir, q.sql, 0)
				b.ReportMetric(wall, "ms-first")
				b.ReportMetric(cpu, "cpu-ms-first")
				wall, cpu = askFresh(b, dir, q.sql, askedAgain)
				b.ReportMetric(wall, "ms-again")
				b.ReportMetric(cpu, "cpu-ms-again")
			}
		})
	}
}

// askFresh starts a server and says what a question took it, in milliseconds by the clock and of
// the processor: for the first time, or on the mean of so many times after it.
func askFresh(b *testing.B, dir, question string, again int) (wall, cpu float64) {
	b.Helper()
	s := server.StartOver(b, dir)
	defer s.Stop(b)
	db, err := sql.Open("mysql", s.DSN("shop"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if again > 0 {
		drain(b, conn, question)
	}
	began, used := time.Now(), processTime(b, s.PID())
	for range max(again, 1) {
		drain(b, conn, question)
	}
	times := float64(max(again, 1))
	return float64(time.Since(began).Microseconds()) / 1000 / times, float64((processTime(b, s.PID()) - used).Milliseconds()) / times
}

// drain asks, and reads all rows of the answer, of which there must be one.
func drain(b *testing.B, conn *sql.Conn, question string) {
	b.Helper()
	rows, err := conn.QueryContext(context.Background(), question)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n == 0 {
		b.Fatalf("%d rows of %s: %v", n, question, err)
	}
}

// forget asks the kernel to keep none of the directory's files in memory.
func forget(b *testing.B, dir string) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fdatasync(int(f.Fd())); err != nil { // what is not on the disk stays
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
	if err != nil {
		b.Fatal(fmt.Errorf("files stay in memory: %w", err))
	}
}
