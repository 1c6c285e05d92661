package bench

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

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
// project shop whose token is token.
func openGateway(b *testing.B) *gateway.Gateway {
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
	g := gateway.New(gateway.Options{Cluster: c, Logger: log})
	b.Cleanup(func() {
		for _, err := range []error{g.Close(), c.Close(), e.Close()} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	return g
}

// BenchmarkImport takes requests from the HTTP handler to the disk, synced: all
// that the server does but for the sockets. An operation is one event.
func BenchmarkImport(b *testing.B) {
	plain := func(body []byte) []byte { return body }
	for _, c := range []struct {
		name                    string
		requests, events, conns int
		compress                func([]byte) []byte
	}{
		{"batches", 50, 2000, 2, plain},
		{"batches from 16", 50, 2000, 16, plain},
		{"gzip", 50, 2000, 2, gzipped},
		{"zstd", 50, 2000, 2, zstdCompressed},
		{"tens from 16", 2000, 10, 16, plain},
		{"single from 64", 10_000, 1, 64, plain},
	} {
		b.Run(c.name, func(b *testing.B) {
			bodies := importBodies(b, c.requests, c.events, c.compress)
			handler := openGateway(b).HTTPHandler()
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
