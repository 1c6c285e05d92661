package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"arbor/backup"
	"arbor/cluster"
	"arbor/engine/vfs"
	"arbor/gateway/siphon"
	"arbor/sqltests/bench/dataset"
)

// What keeps data, and brings it back, is measured by the processor's time a byte: the
// disks and stores here are memory.

// recoveryRequests are requests of the standard data set, of so many events each.
func recoveryRequests(b *testing.B, requests, events int) (bodies [][]byte, bytes int64) {
	b.Helper()
	g := dataset.New(dataset.Options{Lines: requests * events})
	for range requests {
		var body []byte
		for range events {
			a, ok := g.Next()
			if !ok {
				b.Fatal("the data set is too short")
			}
			body = append(dataset.AppendLine(body, &a.Event), '\n')
		}
		bodies, bytes = append(bodies, body), bytes+int64(len(body))
	}
	return bodies, bytes
}

// sendRequests posts all bodies, as many at once as a replay does.
func sendRequests(b *testing.B, to, token string, bodies [][]byte) {
	b.Helper()
	left := make(chan []byte, len(bodies))
	for _, body := range bodies {
		left <- body
	}
	close(left)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for body := range left {
				r, err := http.NewRequest(http.MethodPost, to+"/import", strings.NewReader(string(body)))
				if err != nil {
					b.Error(err)
					return
				}
				r.SetBasicAuth(token, "")
				r.Header.Set("Content-Type", "application/x-ndjson")
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					b.Error(answer.Status)
				}
			}
		})
	}
	clients.Wait()
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCore reports the share of a core that 100 MB a second take.
func reportCore(b *testing.B, cpu time.Duration, bytes int64) {
	b.ReportMetric(100*cpu.Seconds()/(float64(bytes)/100e6), "%-of-core-per-100MB/s")
}

// openRecovery is a server with 400,000 events in files.
func openRecovery(b *testing.B) *dayServer {
	b.Helper()
	s := openDay(b, vfs.NewMem(), nil, nil)
	fillRecovery(b, s)
	return s
}

// reopenRecovery is one that another process wrote the files of.
func reopenRecovery(b *testing.B) *dayServer {
	b.Helper()
	fs := vfs.NewMem()
	s, end, err := startDay(b.Context(), fs, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	fillRecovery(b, s)
	if err := end(); err != nil {
		b.Fatal(err)
	}
	return openDay(b, fs, nil, nil)
}

func fillRecovery(b *testing.B, s *dayServer) {
	b.Helper()
	post(b, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	project, _ := s.cluster.Catalog().Project("shop")
	bodies, _ := recoveryRequests(b, 200, 2000)
	sendRequests(b, s.url.String(), project.Token, bodies)
	if err := s.engine.Index(b.Context(), 0, true); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBackup copies everything to one place, and to two at once, of files that this
// process has written, and of those of an earlier one. An operation is a whole backup.
func BenchmarkBackup(b *testing.B) {
	for _, of := range []string{"own", "earlier"} {
		s := map[string]func(*testing.B) *dayServer{"own": openRecovery, "earlier": reopenRecovery}[of](b)
		benchmarkBackup(b, s, of)
	}
}

func benchmarkBackup(b *testing.B, s *dayServer, of string) {
	for _, places := range []int{1, 2} {
		b.Run(fmt.Sprintf("%s files to %d", of, places), func(b *testing.B) {
			var cpu, alone time.Duration
			var bytes int64
			for range b.N {
				var stores []*backup.Store
				for i := range places {
					stores = append(stores, &backup.Store{Name: fmt.Sprint(i), Bucket: memblob.OpenBucket(&memblob.Options{NoMD5: true})})
				}
				start := processorTime(b)
				made, err := backup.Run(b.Context(), backup.Options{Sources: []backup.Source{backupSource{s.engine, s.cluster.Tables}}, Stores: stores})
				if err != nil {
					b.Fatal(err)
				}
				cpu += processorTime(b) - start
				bytes += made.Stores[0].Bytes
				alone += time.Duration(places) * storeAlone(b, made.Manifest, stores[0])
			}
			b.SetBytes(bytes / int64(b.N))
			reportCore(b, cpu, bytes)
			b.ReportMetric(100*alone.Seconds()/(float64(bytes)/100e6), "%-of-which-the-stores")
		})
	}
}

// storeAlone is what a store in memory takes to be given the objects of a backup, and to
// give them back, where nobody looks at them: elsewhere it is another machine that does so.
func storeAlone(b *testing.B, m *backup.Manifest, from *backup.Store) time.Duration {
	b.Helper()
	to := memblob.OpenBucket(&memblob.Options{NoMD5: true})
	defer to.Close()
	var contents [][]byte
	for _, f := range m.Files() {
		content, err := from.Bucket.ReadAll(b.Context(), backup.FilesPrefix+f.Hash[:2]+"/"+f.Hash)
		if err != nil {
			b.Fatal(err)
		}
		contents = append(contents, content)
	}
	buf := make([]byte, 256<<10)
	start := processorTime(b)
	for i, content := range contents {
		w, err := to.NewWriter(b.Context(), fmt.Sprint(i), &blob.WriterOptions{ContentType: "application/octet-stream"})
		if err != nil {
			b.Fatal(err)
		}
		for at := 0; at < len(content); at += len(buf) {
			if _, err := w.Write(content[at:min(at+len(buf), len(content))]); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		r, err := to.NewReader(b.Context(), fmt.Sprint(i), nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
	return processorTime(b) - start
}

// BenchmarkRestore brings a backup back into an empty directory, each byte held against
// its hash. An operation is a whole restore.
func BenchmarkRestore(b *testing.B) {
	s := openRecovery(b)
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	made, err := backup.Run(b.Context(), backup.Options{Sources: []backup.Source{backupSource{s.engine, s.cluster.Tables}}, Stores: stores})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(made.Stores[0].Bytes)
	b.ResetTimer()
	var alone time.Duration
	for range b.N {
		alone += diskAlone(b, made.Manifest, stores[0])
	}
	start := processorTime(b)
	for range b.N {
		if _, err := backup.Restore(b.Context(), backup.RestoreOptions{Stores: stores, ID: made.ID, FS: vfs.NewMem(), Dir: "data", WriteCatalog: cluster.WriteCatalog, WriteTables: cluster.WriteTables}); err != nil {
			b.Fatal(err)
		}
	}
	cpu := processorTime(b) - start
	reportCore(b, cpu, int64(b.N)*made.Stores[0].Bytes)
	b.ReportMetric(100*alone.Seconds()/(float64(b.N)*float64(made.Stores[0].Bytes)/100e6), "%-of-which-store-and-disk")
}

// diskAlone is what store and disk in memory take to give the files of a backup and to be
// given them, where nobody looks at them.
func diskAlone(b *testing.B, m *backup.Manifest, from *backup.Store) time.Duration {
	b.Helper()
	fs, buf := vfs.NewMem(), make([]byte, 256<<10)
	start := processorTime(b)
	for i, f := range m.Files() {
		r, err := from.Bucket.NewReader(b.Context(), backup.FilesPrefix+f.Hash[:2]+"/"+f.Hash, nil)
		if err != nil {
			b.Fatal(err)
		}
		w, err := fs.Create(fmt.Sprint(i))
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf)
		if err := errors.Join(err, r.Close(), w.Sync(), w.Close()); err != nil {
			b.Fatal(err)
		}
	}
	return processorTime(b) - start
}

// BenchmarkScrub reads everything once, and holds it against its checksums, or every value
// against orders and digests. An operation is a whole pass.
func BenchmarkScrub(b *testing.B) {
	s := openRecovery(b)
	for _, whole := range []bool{true, false} {
		b.Run(map[bool]string{true: "whole", false: "checksums"}[whole], func(b *testing.B) { benchmarkScrub(b, s, whole) })
	}
}

func benchmarkScrub(b *testing.B, s *dayServer, whole bool) {
	post(b, s.url.String()+"/query", "root", fmt.Sprintf("CALL arbor.set_setting('scrub_whole_every', '%s')", map[bool]string{true: "0s", false: "720h"}[whole]))
	if err := s.engine.Scrub(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	before, bytes := s.engine.Metrics().ScrubbedBytes.Load(), int64(0)
	b.ResetTimer()
	start := processorTime(b)
	for range b.N {
		if err := s.engine.Scrub(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
	}
	cpu := processorTime(b) - start
	bytes = s.engine.Metrics().ScrubbedBytes.Load() - before
	b.SetBytes(bytes / int64(b.N))
	reportCore(b, cpu, bytes)
	b.ReportMetric(cpu.Hours()/(float64(bytes)/1e12), "core-hours/TB")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/400_000, "cpu-ns/event")
}

// BenchmarkReplay sends what a siphon kept to an empty server, and the same requests to
// another one as clients do, in turn. Clients and siphon are in this process, and count. An
// operation is both.
func BenchmarkReplay(b *testing.B) {
	bodies, _ := recoveryRequests(b, 100, 1000)
	taker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"code":200,"num_records_imported":1000,"status":"OK"}`)
	}))
	defer taker.Close()
	upstream, err := url.Parse(taker.URL)
	if err != nil {
		b.Fatal(err)
	}
	copies := vfs.NewMem()
	edge, err := siphon.New(siphon.Options{Upstreams: []*url.URL{upstream}, FS: copies, Dir: "siphon", Key: worstDayKey, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	front := httptest.NewServer(edge)
	const token = "as it was"
	sendRequests(b, front.URL, token, bodies)
	front.Close()
	if err := edge.Close(); err != nil {
		b.Fatal(err)
	}
	var clock, cpu [2]time.Duration
	measured := func(of int, do func(s *dayServer)) {
		s := openDay(b, vfs.NewMem(), nil, nil)
		post(b, s.url.String()+"/query", "root", "CREATE DATABASE shop")
		startCPU, start := processorTime(b), time.Now()
		do(s)
		clock[of] += time.Since(start)
		cpu[of] += processorTime(b) - startCPU
		if n := s.engine.Metrics().AppendedEvents.Load(); n != int64(len(bodies))*1000 {
			b.Fatalf("%d events were taken in", n)
		}
	}
	b.ResetTimer()
	for range b.N {
		measured(0, func(s *dayServer) {
			project, _ := s.cluster.Catalog().Project("shop")
			sendRequests(b, s.url.String(), project.Token, bodies)
		})
		measured(1, func(s *dayServer) {
			_, err := siphon.Replay(b.Context(), siphon.ReplayOptions{Source: siphon.Directory(copies, "siphon"), Server: s.url, Key: worstDayKey, OldTokens: map[string]string{token: "shop"}})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
	events := float64(b.N * len(bodies) * 1000)
	b.ReportMetric(float64(cpu[0].Nanoseconds())/events, "plain-cpu-ns/event")
	b.ReportMetric(float64(cpu[1].Nanoseconds())/events, "replay-cpu-ns/event")
	b.ReportMetric(100*float64(clock[0])/float64(clock[1]), "%-of-plain-rate")
	b.ReportMetric(100*float64(cpu[0])/float64(cpu[1]), "%-of-plain-rate-by-cpu")
}
