package bench

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"arbor/sqltests/server"
)

var against = flag.String("against", "", "another arbor `binary`, which BenchmarkServed measures in turn with this tree's")

// servedRounds is how often the servers that are compared take turns.
const servedRounds = 6

// BenchmarkServed sends events to a server that is a process of its own, over sockets,
// and reports what that process takes for an event that is durable and acknowledged: the
// processor's time for its own code and inside the kernel, and pages that it touched for
// the first time. The client does not count. An operation is one event.
//
// With -args -against=BINARY two servers take turns, and their quotient is reported.
func BenchmarkServed(b *testing.B) {
	same := func(body []byte) []byte { return body }
	for _, c := range []struct {
		name                    string
		requests, events, conns int
		compress                func([]byte) []byte
	}{
		{"2000 from 2", 50, 2000, 2, same},
		{"gzip", 50, 2000, 2, gzipped},
		{"zstd", 50, 2000, 2, zstdCompressed},
		{"10 from 16", 2000, 10, 16, same},
		{"1 from 64", 10_000, 1, 64, same},
	} {
		b.Run("import/"+c.name, func(b *testing.B) {
			bodies := importBodies(b, c.requests, c.events, c.compress)
			inTurn(b, func(s *server.Server) (send func(events int)) {
				token := s.QueryOne(b, "SELECT token FROM arbor.tokens WHERE project = 'shop'")
				return importer(b, s, token, bodies, c.events, c.conns)
			})
		})
	}
	for _, c := range []struct {
		name        string
		rows, conns int
		prepared    bool
	}{
		{"2000 rows from 2", 2000, 2, false},
		{"1000 rows", 1000, 1, false},
		{"100 rows", 100, 1, false},
		{"100 rows prepared", 100, 1, true},
		{"1 row", 1, 1, false},
		{"1 row from 16", 1, 16, false},
	} {
		b.Run("insert/"+c.name, func(b *testing.B) {
			inTurn(b, func(s *server.Server) (send func(events int)) {
				return inserter(b, s, c.rows, c.conns, c.prepared)
			})
		})
	}
	b.Run("load", func(b *testing.B) {
		inTurn(b, func(s *server.Server) (send func(events int)) { return loader(b, s) })
	})
}

// inTurn measures this tree's server, and the one it is compared with.
func inTurn(b *testing.B, client func(*server.Server) (send func(events int))) {
	b.Helper()
	binaries := []string{server.Binary(b)}
	if *against != "" {
		binaries = append(binaries, *against)
	}
	servers, sends, spent := make([]*server.Server, len(binaries)), make([]func(int), len(binaries)), make([]usage, len(binaries))
	for i, binary := range binaries {
		servers[i] = server.StartBinary(b, binary)
		servers[i].Exec(b, "CREATE DATABASE shop", "CALL arbor.set_setting('seal_after_age', '168h')", "CALL arbor.set_setting('seal_after_bytes', '1GiB')")
		sends[i] = client(servers[i])
		sends[i](max(1, b.N/servedRounds/4)) // buffers, plans and columns are there then
	}
	b.ResetTimer()
	for range servedRounds {
		for i := range servers {
			before := usageOf(b, servers[i].PID())
			sends[i]((b.N + servedRounds - 1) / servedRounds)
			spent[i].add(usageOf(b, servers[i].PID()), before)
		}
	}
	b.StopTimer()
	for i, name := range []string{"", "-against"}[:len(spent)] {
		spent[i].report(b, name)
	}
	if len(spent) == 2 {
		b.ReportMetric(float64(spent[0].total())/float64(max(1, spent[1].total())), "of-against")
	}
}

// usage is what a process took.
type usage struct {
	user, system time.Duration
	faults       int64
}

func (u *usage) total() time.Duration { return u.user + u.system }

func (u *usage) add(after, before usage) {
	u.user += after.user - before.user
	u.system += after.system - before.system
	u.faults += after.faults - before.faults
}

func (u *usage) report(b *testing.B, name string) {
	n := float64((b.N + servedRounds - 1) / servedRounds * servedRounds)
	b.ReportMetric(float64(u.user)/n, "user-ns/event"+name)
	b.ReportMetric(float64(u.system)/n, "system-ns/event"+name)
	b.ReportMetric(float64(u.total())/n, "cpu-ns/event"+name)
	b.ReportMetric(1000*float64(u.faults)/n, "faults/1000"+name)
}

// usageOf reads what a process has taken so far, times in steps of 10 ms.
func usageOf(b *testing.B, pid int) usage {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("times are read from /proc, which is not there")
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold spaces
	fields := strings.Fields(rest)
	number := func(i int) int64 {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	const tick = time.Second / 100
	return usage{user: time.Duration(number(11)) * tick, system: time.Duration(number(12)) * tick, faults: number(7)}
}

// importer sends requests of /import over as many connections.
func importer(b *testing.B, s *server.Server, token string, bodies [][]byte, events, conns int) func(int) {
	b.Helper()
	requests := make([][]byte, len(bodies))
	for i, body := range bodies {
		head := fmt.Sprintf("POST /import?strict=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Basic %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n",
			s.HTTP, base64.StdEncoding.EncodeToString([]byte(token+":")), len(body))
		requests[i] = append([]byte(head), body...)
	}
	clients := make([]net.Conn, conns)
	readers := make([]*bufio.Reader, conns)
	for i := range clients {
		c, err := net.Dial("tcp", s.HTTP)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		clients[i], readers[i] = c, bufio.NewReader(c)
	}
	next := 0
	return func(n int) {
		var sent atomic.Int64
		var all sync.WaitGroup
		from := next
		for i := range clients {
			all.Go(func() {
				for {
					k := int(sent.Add(1)) - 1
					if k*events >= n {
						return
					}
					if _, err := clients[i].Write(requests[(from+k)%len(requests)]); err != nil {
						b.Error(err)
						return
					}
					answer, err := http.ReadResponse(readers[i], nil)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, answer.Body)
					if answer.StatusCode != http.StatusOK {
						b.Error(answer.Status)
						return
					}
				}
			})
		}
		all.Wait()
		next += (n + events - 1) / events
	}
}

// servedDB is a server's shop with the columns that rows of insertRows have.
func servedDB(b *testing.B, s *server.Server) *sql.DB {
	b.Helper()
	db, err := sql.Open("mysql", s.DSN("shop")+"?maxAllowedPacket=67108864")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`INSERT INTO events (event, properties) VALUES ('first', '{"$os":"x","mp_country_code":"US","screen_w":1,"price":1.5,"url":"u"}')`); err != nil {
		b.Fatal(err)
	}
	return db
}

// inserter inserts rows over as many connections; no row comes twice.
func inserter(b *testing.B, s *server.Server, rows, conns int, prepared bool) func(int) {
	b.Helper()
	db := servedDB(b, s)
	type client struct {
		conn     *sql.Conn
		prepared *sql.Stmt
	}
	clients := make([]client, conns)
	placeholders := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?),", rows), ",")
	for i := range clients {
		var err error
		if clients[i].conn, err = db.Conn(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { clients[i].conn.Close() })
		if prepared {
			if clients[i].prepared, err = clients[i].conn.PrepareContext(b.Context(), "INSERT INTO events "+insertColumns+" VALUES "+placeholders); err != nil {
				b.Fatal(err)
			}
		}
	}
	from := 0
	return func(n int) {
		var sent atomic.Int64
		var all sync.WaitGroup
		begin := from
		for _, c := range clients {
			all.Go(func() {
				for {
					k := int(sent.Add(1)) - 1
					if k*rows >= n {
						return
					}
					text, values := insertRows(rows, begin+k*rows)
					var err error
					if prepared {
						_, err = c.prepared.ExecContext(context.Background(), values...)
					} else {
						_, err = c.conn.ExecContext(context.Background(), "INSERT INTO events "+insertColumns+" VALUES "+text)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		from += (n + rows - 1) / rows * rows
	}
}

// loader loads rows with LOAD DATA LOCAL INFILE; no row comes twice.
func loader(b *testing.B, s *server.Server) func(int) {
	b.Helper()
	db := servedDB(b, s)
	from, file := 0, fmt.Sprint("served", s.PID())
	return func(n int) {
		text, _ := insertRows(n, from)
		text = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(text, "("), ")"), "),(", "\n")
		from += n
		mysql.RegisterReaderHandler(file, func() io.Reader { return strings.NewReader(text) })
		defer mysql.DeregisterReaderHandler(file)
		if _, err := db.Exec("LOAD DATA LOCAL INFILE 'Reader::" + file + "' INTO TABLE events FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\\'' " + insertColumns); err != nil {
			b.Fatal(err)
		}
	}
}
