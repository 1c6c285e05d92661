package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// TestScanWhileFilesAreSwapped stops a scan after its first batch, appends,
// indexes, closes the days and empties the trash, and lets it go on: it gives
// what was there when it began.
func TestScanWhileFilesAreSwapped(t *testing.T) {
	for seed := range uint64(20) {
		r, err := begin(t.Context(), openEngine, everywhere)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 8))
		for i, act := range []func(*run, *rand.Rand) error{(*run).append, (*run).append, indexAll, (*run).append, (*run).delete, (*run).append, indexAll, (*run).append} {
			r.logf("%d", i)
			if err := act(r, rng); err != nil {
				t.Fatal(err)
			}
		}
		for _, copies := range []bool{true, false} {
			f := everything(rng, 1, copies)
			want, err := scan(r.ctx, r.model, f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := scan(r.ctx, &interrupted{r.subject, func() error {
				for _, act := range []func(*run, *rand.Rand) error{(*run).append, indexAll, (*run).delete, (*run).truncate, (*run).policy, closeAll, emptyTrash} {
					if err := act(r, rng); err != nil {
						return err
					}
				}
				return nil
			}}, f)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if d := difference(want, got); d != "" {
				t.Fatalf("seed %d, copies=%v: a scan that began before (-want +got):\n%s", seed, copies, d)
			}
		}
		if err := r.compareAll(rng); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := r.end(nil, nil); err != nil {
			t.Fatalf("seed %d: close: %v", seed, err)
		}
	}
}

func emptyTrash(r *run, _ *rand.Rand) error { return r.later(100 * time.Hour) }

// interrupted does something after a scan's first batch.
type interrupted struct {
	scanner
	by func() error
}

func (i *interrupted) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	first := true
	return i.scanner.Scan(ctx, f, func(b *exec.Batch) error {
		if err := yield(b); err != nil || !first {
			return err
		}
		first = false
		return i.by()
	})
}

// TestScanGivenUp ends scans in the middle, by an error and by the context: that
// is what the scan returns, and nothing of it is left.
func TestScanGivenUp(t *testing.T) {
	r, err := begin(t.Context(), openEngine, everywhere)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 13))
	for _, act := range []func(*run, *rand.Rand) error{(*run).append, (*run).append, indexAll, (*run).append} {
		r.logf("act")
		if err := act(r, rng); err != nil {
			t.Fatal(err)
		}
	}
	enough := errors.New("enough")
	f := everything(rng, 1, true)
	if _, err := r.subject.Scan(r.ctx, f, func(*exec.Batch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("yield returned %v, the scan %v", enough, err)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	if _, err := r.subject.Scan(ctx, f, func(*exec.Batch) error { cancel(); return nil }); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in yield, the scan returned %v", err)
	}
	if _, err := r.subject.Scan(ctx, f, func(*exec.Batch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before, the scan returned %v", err)
	}
	if err := r.subject.Append(ctx, [][]byte{r.sent[0].bytes}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before, append returned %v", err)
	}
	if err := r.end(nil, r.compareAll(rng)); err != nil {
		t.Error(err)
	}
}

// How much TestScansBesideWrites does: the writers go on until there were enough
// scans beside them.
const (
	writers     = 2
	scanners    = 2
	enoughScans = 60
	minRequests = 150 // of a writer
	maxRequests = 1500
)

// traffic is what writers have begun to send and have been told is durable. A
// request's number is in its events.
type traffic struct {
	mu           sync.Mutex // guards what follows
	began, acked map[int]event.Batch
	scans        int
}

// TestScansBesideWrites runs writers, an indexer and scans at once; run it with
// -race. A scan sees every request that was acknowledged before it, whole; of
// the others each whole or not at all; none twice, and none that was not sent.
func TestScansBesideWrites(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var clock atomic.Int64
	clock.Store(start.UnixNano())
	now := func() time.Time { return time.Unix(0, clock.Add(int64(time.Second))).UTC() }
	s, err := openEngine(ctx, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Change(ctx, projects[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(ctx, catalog.SetSetting{Name: catalog.SettingTrashRetention, Value: "0s"}); err != nil {
		t.Fatal(err)
	}
	sent := &traffic{began: map[int]event.Batch{}, acked: map[int]event.Batch{}}
	var writing, working sync.WaitGroup
	done := make(chan struct{})
	errs := make(chan error, writers+scanners+2)
	for w := range writers {
		writing.Go(func() { errs <- sent.write(ctx, s, w) })
	}
	for range scanners {
		working.Go(func() { errs <- untilDone(done, func() error { return sent.observe(ctx, s) }) })
	}
	working.Go(func() {
		n := 0
		errs <- untilDone(done, func() error {
			n++
			return s.Index(ctx, 0, n%3 == 0)
		})
	})
	working.Go(func() { errs <- untilDone(done, func() error { return s.Tick(ctx) }) })
	writing.Wait()
	close(done)
	working.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(sent.observe(ctx, s), s.Index(ctx, 0, true), sent.observe(ctx, s), s.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("%d requests, %d scans", len(sent.acked), sent.scans)
}

// untilDone does something again and again, at least once.
func untilDone(done <-chan struct{}, do func() error) error {
	for {
		if err := do(); err != nil {
			return err
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// write sends requests one after the other.
func (c *traffic) write(ctx context.Context, s subject, writer int) error {
	for n := range maxRequests {
		number := n*writers + writer
		b := event.Batch{Shard: catalog.ShardKey{Project: 1, Day: 20_000 + catalog.Day(number%3)}}
		for i := range 1 + number%7 {
			b.Events = append(b.Events, event.Event{
				ID: catalog.IngestID{Time: uint64(start.UnixNano() + int64(n)), Edge: uint32(writer), Index: uint32(i)}, Name: "click",
				Time: b.Shard.Day.Start() + int64(i), DistinctID: users[i%2], InsertID: fmt.Sprintf("%d", number),
				Properties: []event.Property{{Name: "request", Value: catalog.Int(int64(number))}, {Name: "text", Value: catalog.String(strings.Repeat("x", number%300))}},
			})
		}
		rec, err := encode(&b)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.began[number] = b
		c.mu.Unlock()
		if err := s.Append(ctx, [][]byte{rec.bytes}); err != nil {
			return err
		}
		c.mu.Lock()
		c.acked[number] = b
		enough := c.scans >= enoughScans && n >= minRequests
		c.mu.Unlock()
		if enough {
			return nil
		}
		runtime.Gosched()
	}
	return nil
}

// observe scans and holds what it sees against what was acknowledged before and
// begun by then.
func (c *traffic) observe(ctx context.Context, s subject) error {
	c.mu.Lock()
	acked := make([]int, 0, len(c.acked))
	for n := range c.acked {
		acked = append(acked, n)
	}
	c.mu.Unlock()

	seen := map[int]map[string]int{}
	f := &exec.Fragment{Project: 1, Copies: true, Columns: []exec.Column{
		{Source: exec.SourceProperty, Property: "request", Type: catalog.TypeInt}, {Source: exec.SourceIngestID}, {Source: exec.SourceProperties}}}
	_, err := s.Scan(ctx, f, func(b *exec.Batch) error {
		var columns [2][]string
		for i, a := range []arrow.Array{b.Columns[1], b.Columns[2]} {
			texts, err := arrayValues(oracle.TypeOf(f.Columns[1+i]), a)
			if err != nil {
				return err
			}
			columns[i] = texts
		}
		for i, n := range b.Columns[0].(*array.Int64).Int64Values() {
			if seen[int(n)] == nil {
				seen[int(n)] = map[string]int{}
			}
			seen[int(n)][columns[0][i]+columns[1][i]]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range acked {
		if seen[n] == nil {
			return fmt.Errorf("request %d was acknowledged and is not seen", n)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scans++
	for n, rows := range seen {
		b, ok := c.began[n]
		if !ok || len(rows) != len(b.Events) {
			return fmt.Errorf("of request %d, %d events are seen and %d were sent", n, len(rows), len(b.Events))
		}
		for i := range b.Events {
			e := &b.Events[i]
			if count := rows[fmt.Sprintf("%q%q", e.ID.String(), oracle.Properties(e))]; count != 1 {
				return fmt.Errorf("event %d of request %d is seen %d times as it was sent", i, n, count)
			}
		}
	}
	return nil
}
