package appendlog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"arbor/engine/vfs"
)

// One append is a batch of 100 events of about 100 bytes each, as encoded.
const (
	benchEvents = 100
	benchBytes  = 100 * benchEvents
)

// countedSyncs is the machine's file system, and how often it was asked to sync.
type countedSyncs struct {
	vfs.FS
	syncs atomic.Int64
}

func (c *countedSyncs) Create(name string) (vfs.File, error) {
	f, err := c.FS.Create(name)
	return &countedFile{f, &c.syncs}, err
}

type countedFile struct {
	vfs.File
	syncs *atomic.Int64
}

func (f *countedFile) Sync() error {
	f.syncs.Add(1)
	return f.File.Sync()
}

// benchLogs opens n logs on the machine's disk; each has its first segment.
func benchLogs(b *testing.B, n int) (logs []*Log, fs *countedSyncs) {
	b.Helper()
	dir, err := os.MkdirTemp("", "appendlog")
	must(b, err)
	b.Cleanup(func() { must(b, os.RemoveAll(dir)) })
	fs = &countedSyncs{FS: vfs.OS()}
	for i := range n {
		l, _ := open(b, Options{FS: fs, Dir: filepath.Join(dir, fmt.Sprint(i))})
		b.Cleanup(func() { must(b, l.Close()) })
		add(b, l, "first")
		logs = append(logs, l)
	}
	fs.syncs.Store(0)
	return logs, fs
}

func benchPayload() []byte {
	p := make([]byte, benchBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

// BenchmarkAppend is the measurement behind docs/decisions/0001: the same events
// to one shard and to 1,000 at once, into one log that all shards share and into
// one log per shard. In the first form 1,000 clients send one batch at a time,
// each to its shard; in the second one request after the other carries a small
// batch for every shard. One operation is 100 events.
func BenchmarkAppend(b *testing.B) {
	for _, shards := range []int{1, 1000} {
		b.Run(fmt.Sprintf("clients=1000/shards=%d/log-per=member", shards), func(b *testing.B) { benchClients(b, 1000, shards, 1) })
		b.Run(fmt.Sprintf("clients=1000/shards=%d/log-per=shard", shards), func(b *testing.B) { benchClients(b, 1000, shards, shards) })
	}
	b.Run("requests-to-all/shards=1000/log-per=member", func(b *testing.B) { benchRequests(b, 1) })
	b.Run("requests-to-all/shards=1000/log-per=shard", func(b *testing.B) { benchRequests(b, 1000) })
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d/shards=1/log-per=member", clients), func(b *testing.B) { benchClients(b, clients, 1, 1) })
	}
}

// positions are where each shard's batches are: what a member that shares one log
// among its shards has to keep.
type positions struct {
	mu      sync.Mutex
	byShard map[int][]Position
}

func (p *positions) add(shard int, pos []Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byShard[shard] = append(p.byShard[shard], pos...)
}

// benchClients has clients append batches, each to its shard.
func benchClients(b *testing.B, clients, shards, nlogs int) {
	logs, fs := benchLogs(b, nlogs)
	demultiplexed := positions{byShard: map[int][]Position{}}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(benchBytes)
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range clients {
		shard, payload := c%shards, [][]byte{benchPayload()}
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				pos, err := logs[shard%nlogs].Append(b.Context(), payload)
				if err != nil {
					b.Error(err)
				}
				demultiplexed.add(shard, pos)
			}
		})
	}
	wg.Wait()
	report(b, fs)
}

// benchRequests has one client send requests of ten events for each of 1,000
// shards: 100 operations each.
func benchRequests(b *testing.B, nlogs int) {
	const shards, perRequest = 1000, 100
	logs, fs := benchLogs(b, nlogs)
	payload := benchPayload()[:benchBytes*perRequest/shards]
	all := make([][]byte, shards/nlogs)
	for i := range all {
		all[i] = payload
	}
	b.SetBytes(benchBytes)
	b.ResetTimer()
	for done := 0; done < b.N; done += perRequest {
		var wg sync.WaitGroup
		for _, l := range logs {
			wg.Go(func() {
				if _, err := l.Append(b.Context(), all); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	report(b, fs)
}

func report(b *testing.B, fs *countedSyncs) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(fs.syncs.Load())/float64(b.N), "syncs/op")
}

// BenchmarkOpen replays a log of a million events. One operation is all of them.
func BenchmarkOpen(b *testing.B) {
	logs, _ := benchLogs(b, 1)
	payload := benchPayload()
	for range 10_000 / 100 {
		all := make([][]byte, 100)
		for i := range all {
			all[i] = payload
		}
		if _, err := logs[0].Append(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	opts := logs[0].opts
	must(b, logs[0].Close())
	b.SetBytes(10_000 * benchBytes)
	for b.Loop() {
		frames := 0
		l, err := Open(opts, func(Position, []byte) error { frames++; return nil })
		must(b, err)
		must(b, l.Close())
		if frames != 10_001 {
			b.Fatalf("%d frames", frames)
		}
	}
}
