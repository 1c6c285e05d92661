package bench

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/vfs"
	"arbor/gateway"
	"arbor/sqltests/bench/dataset"
)

// importBodies makes requests of NDJSON with so many events each.
func importBodies(b *testing.B, requests, events int, compress func([]byte) []byte) [][]byte {
	b.Helper()
	g := dataset.New(dataset.Options{Lines: requests * events})
	bodies := make([][]byte, requests)
	for i := range bodies {
		var body []byte
		for range events {
			a, ok := g.Next()
			if !ok {
				b.Fatal("the data set is too short")
			}
			body = append(dataset.AppendLine(body, &a.Event), '\n')
		}
		bodies[i] = compress(body)
	}
	return bodies
}

// openGateway opens a gateway over an engine on the real file system, with a
// project shop whose token is token. The log is followed if asked, and nothing is
// indexed.
func openGateway(b *testing.B, followed bool) *gateway.Gateway {
	b.Helper()
	g, _ := openGatewayOver(b, followed)
	return g
}

// openGatewayOver also gives what the gateway is over.
func openGatewayOver(b *testing.B, followed bool) (*gateway.Gateway, *cluster.Cluster) {
	b.Helper()
	ctx, log, dir := context.Background(), slog.New(slog.DiscardHandler), b.TempDir()
	metadata, err := cluster.OpenMetadata(vfs.OS(), filepath.Join(dir, "catalog"), log)
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(ctx, engine.Options{FS: vfs.OS(), Dir: dir, Logger: log, Catalog: metadata.Catalog(), Manual: !followed, TickEvery: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	c := cluster.New(metadata, e)
	if _, err := c.Change(ctx, catalog.CreateProject{Name: "shop", Token: "token", Secret: "secret", At: 1}); err != nil {
		b.Fatal(err)
	}
	g := gateway.New(gateway.Options{Cluster: c, Logger: log})
	b.Cleanup(func() {
		for _, err := range []error{g.Close(), c.Close(), e.Close()} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	return g, c
}

// BenchmarkImport takes requests from the HTTP handler to the disk, synced: all
// that the server does but for the sockets. An operation is one event.
func BenchmarkImport(b *testing.B) {
	plain := func(body []byte) []byte { return body }
	for _, c := range []struct {
		name                    string
		requests, events, conns int
		compress                func([]byte) []byte
		followed                bool
	}{
		{"batches", 50, 2000, 2, plain, false},
		{"batches, followed", 50, 2000, 2, plain, true},
		{"batches from 16", 50, 2000, 16, plain, false},
		{"gzip", 50, 2000, 2, gzipped, false},
		{"zstd", 50, 2000, 2, zstdCompressed, false},
		{"tens from 16", 2000, 10, 16, plain, false},
		{"single from 64", 10_000, 1, 64, plain, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			bodies := importBodies(b, c.requests, c.events, c.compress)
			handler := openGateway(b, c.followed).HTTPHandler()
			b.ReportAllocs()
			b.ResetTimer()
			start := cpuTime(b)
			var next atomic.Int64
			var clients sync.WaitGroup
			for range c.conns {
				clients.Go(func() {
					for {
						i := next.Add(1) - 1
						if i*int64(c.events) >= int64(b.N) {
							return
						}
						r := httptest.NewRequest(http.MethodPost, "/import?strict=1", bytes.NewReader(bodies[i%int64(len(bodies))]))
						r.SetBasicAuth("token", "")
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
			b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/float64(next.Load()*int64(c.events)), "cpu-ns/event")
		})
	}
}

func gzipped(body []byte) []byte {
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
	w.Write(body)
	w.Close()
	return z.Bytes()
}

func zstdCompressed(body []byte) []byte {
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	defer w.Close()
	return w.EncodeAll(body, nil)
}

// insertColumns are those of the statements of BenchmarkInsert.
const insertColumns = "(event, time, distinct_id, insert_id, `$os`, mp_country_code, screen_w, price, url)"

// insertRows makes the rows of a statement, as text and as values.
func insertRows(n, from int) (text string, values []any) {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		k := from + i
		at := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(k%86_400_000) * time.Millisecond).Format("2006-01-02 15:04:05.000000")
		user, id, url := fmt.Sprintf("$device:%08x-36d5-4951-bed2-%012x", k*2654435761%1_000_000, k%200_000), fmt.Sprintf("%08x-cd45-418b-a4d1-%012x", k, k*7919), fmt.Sprintf("https://shop.example.com/products/ultra-light-water-bottle-%05d", k%20_000)
		fmt.Fprintf(&b, "('page_view','%s','%s','%s','Windows','US',%d,%d.25,'%s')", at, user, id, 320+k%2000, k%300, url)
		values = append(values, "page_view", at, user, id, "Windows", "US", 320+k%2000, float64(k%300)+0.25, url)
	}
	return b.String(), values
}

// BenchmarkInsert inserts over the MySQL protocol into a project that has the
// columns already. An operation is one row; the client's part is small, since
// the texts are made before.
func BenchmarkInsert(b *testing.B) {
	for _, c := range []struct {
		name     string
		rows     int
		prepared bool
	}{
		{"text of 1000", 1000, false},
		{"text of 100", 100, false},
		{"prepared of 100", 100, true},
		{"text of 1", 1, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := openGateway(b, false)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() {
				served <- g.ServeMySQL(ctx, gateway.MySQLOptions{Listener: l, MaxConnections: 10, Grace: time.Second})
			}()
			db, err := sql.Open("mysql", "root@tcp("+l.Addr().String()+")/shop?maxAllowedPacket=67108864")
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				db.Close()
				stop()
				if err := <-served; err != nil {
					b.Error(err)
				}
			}()
			statements := (b.N + c.rows - 1) / c.rows // no row comes twice
			placeholders := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?),", c.rows), ",")
			texts, values := make([]string, statements), make([][]any, statements)
			for i := range texts {
				texts[i], values[i] = insertRows(c.rows, i*c.rows)
				texts[i] = "INSERT INTO events " + insertColumns + " VALUES " + texts[i]
			}
			if _, err := db.Exec(`INSERT INTO events (event, properties) VALUES ('first', '{"$os":"x","mp_country_code":"US","screen_w":1,"price":1.5,"url":"u"}')`); err != nil {
				b.Fatal(err)
			}
			prepared, err := db.Prepare("INSERT INTO events " + insertColumns + " VALUES " + placeholders)
			if err != nil {
				b.Fatal(err)
			}
			defer prepared.Close()
			b.ReportAllocs()
			b.ResetTimer()
			start := cpuTime(b)
			done := 0
			for i := 0; done < b.N; i++ {
				if c.prepared {
					_, err = prepared.Exec(values[i]...)
				} else {
					_, err = db.Exec(texts[i])
				}
				if err != nil {
					b.Fatal(err)
				}
				done += c.rows
			}
			b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/float64(done), "cpu-ns/row")
		})
	}
}
