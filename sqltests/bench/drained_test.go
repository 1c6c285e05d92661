package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"arbor/sqltests/server"
)

// BenchmarkDrained asks the real binary over a socket, and reads the bytes of the answer and
// nothing more of them: what a question takes the server, without a client's part. It reports
// medians of the time to the first and to the last byte, and what the server takes of the
// processor, by the nanosecond.
//
// With -args -against=BINARY two servers take turns over copies of the data, and quotients are
// reported.
func BenchmarkDrained(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, *indexed, 0)
	servers := []*server.Server{server.StartOver(b, dir)}
	if *against != "" {
		servers[0].Stop(b)
		other := b.TempDir()
		if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
		servers[0].Run(b)
		servers = append(servers, server.StartBinaryOver(b, *against, other))
	}
	heaviest := servers[0].QueryOne(b, "SELECT distinct_id FROM shop.events GROUP BY distinct_id ORDER BY COUNT(*) DESC, distinct_id LIMIT 1")
	some := servers[0].QueryOne(b, "SELECT distinct_id FROM shop.events GROUP BY distinct_id HAVING COUNT(*) BETWEEN 200 AND 240 ORDER BY COUNT(*), distinct_id LIMIT 1")
	const events = "SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED) AS t, event, url, price, insert_id FROM events WHERE distinct_id = '%s' ORDER BY time"
	for _, q := range []struct{ name, sql string }{
		{"one", "SELECT 1"},
		{"count", "SELECT COUNT(*) FROM events"},
		{"user", fmt.Sprintf(events, some)},
		{"heaviest", fmt.Sprintf(events, heaviest)},
	} {
		b.Run(q.name, func(b *testing.B) {
			clients := make([]*drained, len(servers))
			for i, s := range servers {
				clients[i] = newDrained(b, s)
				clients[i].sizeOf(q.sql)
			}
			for b.Loop() {
				for _, c := range clients {
					c.ask(q.sql)
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, name := range []string{"", "-against"}[:len(clients)] {
				first, last, cpu := clients[i].medians()
				b.ReportMetric(first, "ms-first-byte"+name)
				b.ReportMetric(last, "ms-last-byte"+name)
				b.ReportMetric(cpu, "cpu-ms"+name)
			}
			if len(clients) == 2 {
				_, last, cpu := clients[0].medians()
				_, lastAgainst, cpuAgainst := clients[1].medians()
				b.ReportMetric(last/lastAgainst, "last-byte-of-against")
				b.ReportMetric(cpu/cpuAgainst, "cpu-of-against")
			}
		})
	}
}

// drained is a client that reads bytes.
type drained struct {
	b    *testing.B
	conn net.Conn
	in   *bufio.Reader
	pid  int
	size int64 // of the answer

	first, last, cpu []float64 // milliseconds
}

// Bytes of the protocol.
const (
	drainedEnd   = 0xfe
	drainedError = 0xff
	drainedQuery = 3
)

func newDrained(b *testing.B, s *server.Server) *drained {
	b.Helper()
	conn, err := net.Dial("tcp", s.MySQL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	d := &drained{b: b, conn: conn, in: bufio.NewReaderSize(conn, 1<<20), pid: s.PID()}
	d.read()
	const longPassword, connectDB, protocol41, transactions, secure, plugin = 1, 8, 1 << 9, 1 << 13, 1 << 15, 1 << 19
	login := binary.LittleEndian.AppendUint32(nil, longPassword|connectDB|protocol41|transactions|secure|plugin)
	login = binary.LittleEndian.AppendUint32(login, 1<<24)
	login = append(append(login, 255), make([]byte, 23)...)
	d.write(1, append(login, "root\x00\x00shop\x00mysql_native_password\x00"...))
	if p := d.read(); p[0] == drainedEnd { // another way to say that there is no password
		d.write(3, nil)
		d.read()
	}
	return d
}

func (d *drained) write(sequence byte, payload []byte) {
	n := len(payload)
	if _, err := d.conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}, payload...)); err != nil {
		d.b.Fatal(err)
	}
}

func (d *drained) read() []byte {
	var h [4]byte
	if _, err := io.ReadFull(d.in, h[:]); err != nil {
		d.b.Fatal(err)
	}
	p := make([]byte, int(h[0])|int(h[1])<<8|int(h[2])<<16)
	if _, err := io.ReadFull(d.in, p); err != nil {
		d.b.Fatal(err)
	}
	if len(p) > 0 && p[0] == drainedError {
		d.b.Fatalf("%q", p)
	}
	return p
}

// sizeOf finds out how many bytes the answer has, and has it asked again, so that there is a plan.
func (d *drained) sizeOf(question string) {
	for range 2 {
		d.size = 0
		d.write(0, append([]byte{drainedQuery}, question...))
		for ends := 0; ends < 2; {
			p := d.read()
			d.size += int64(len(p)) + 4
			if len(p) < 9 && p[0] == drainedEnd {
				ends++
			}
		}
	}
}

// ask asks once and notes what it took.
func (d *drained) ask(question string) {
	before, since := scheduled(d.b, d.pid), time.Now()
	d.write(0, append([]byte{drainedQuery}, question...))
	if _, err := d.in.Peek(1); err != nil {
		d.b.Fatal(err)
	}
	first := time.Since(since)
	if _, err := io.CopyN(io.Discard, d.in, d.size); err != nil {
		d.b.Fatal(err)
	}
	last := time.Since(since)
	d.first = append(d.first, float64(first)/1e6)
	d.last = append(d.last, float64(last)/1e6)
	d.cpu = append(d.cpu, float64(scheduled(d.b, d.pid)-before)/1e6)
}

// medians are those of the times; of the processor it is the mean, since what is done for a
// question may come after its answer.
func (d *drained) medians() (first, last, cpu float64) {
	for _, c := range d.cpu {
		cpu += c / float64(len(d.cpu))
	}
	median := func(x []float64) float64 { return slices.Sorted(slices.Values(x))[len(x)/2] }
	return median(d.first), median(d.last), cpu
}

// scheduled is how long the threads of a process have run.
func scheduled(b *testing.B, pid int) (sum time.Duration) {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		b.Skip("times are read from /proc, which has none")
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		nanoseconds, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(nanoseconds, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}
