package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"arbor/sqltests/server"
)

// BenchmarkFailover ends one of three members, as processes, by kill -9, or stops it by
// SIGSTOP, as a machine does that hangs, while clients write to and ask the two others;
// then it is there again. An operation is one such end. It reports medians and the worst:
// how long after the end the first write is acknowledged that was begun after it, the
// first answer comes that has all that was acknowledged before it was asked for, and the
// first change of the metadata is made; and how long the slowest write or question took
// that was under way at the end or began within the seconds after. No write may fail, and
// no answer may lack anything.
func BenchmarkFailover(b *testing.B) {
	all := startProcesses(b, 3)
	token := all.token(b)
	var sent, acked atomic.Int64
	for _, c := range []struct {
		name  string
		leads int
		by    syscall.Signal
	}{
		{"the leader is killed", 1, syscall.SIGKILL},
		{"another is killed", 0, syscall.SIGKILL},
		{"the leader hangs", 1, syscall.SIGSTOP},
	} {
		b.Run(c.name, func(b *testing.B) {
			times := map[string][]time.Duration{}
			for range b.N {
				all.settle(b, 3)
				// A member votes when it has been there for a while; before, nobody could decide
				// without the only one that does.
				all.wait(b, "SELECT SUM(votes) = 3 AND SUM(leader) = 1 FROM arbor.members")
				id, err := ask(b.Context(), all[0], fmt.Sprint("SELECT mysql FROM arbor.members WHERE leader = ", c.leads))
				if err != nil {
					b.Fatal(err)
				}
				victim := slices.IndexFunc(all, func(m *server.Server) bool { return m.MySQL == id })
				if victim < 0 {
					b.Fatalf("nobody is at %s", id)
				}
				f := &failover{b: b, token: token, by: c.by, sent: &sent, acked: &acked}
				f.play(all, victim)
				for what, took := range map[string]time.Duration{"write": f.write, "answer": f.answer, "change": f.change, "slowest-request": f.slowest} {
					times[what] = append(times[what], took)
				}
			}
			for what, list := range times {
				slices.Sort(list)
				b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, "ms-to-"+what)
				b.ReportMetric(float64(list[len(list)-1].Microseconds())/1000, "worst-ms-to-"+what)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// failover is one end of a member, and the clients beside it.
type failover struct {
	b           *testing.B
	token       string
	by          syscall.Signal
	sent, acked *atomic.Int64

	mu                             sync.Mutex // guards what follows
	ended                          time.Time
	write, answer, change, slowest time.Duration
}

// lookedFor is how long after the end requests are looked at, and changedWithin how long
// a change of the metadata may take besides; it bounds a failure.
const (
	lookedFor     = 4 * time.Second
	changedWithin = time.Minute
)

func (f *failover) changed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.change > 0
}

// play ends the victim, measures, and has it back.
func (f *failover) play(all processes, victim int) {
	ctx, stop := context.WithTimeout(f.b.Context(), settledWithin)
	defer stop()
	var clients sync.WaitGroup
	var over atomic.Bool
	for i, m := range all {
		if i == victim {
			continue
		}
		clients.Go(func() {
			for !over.Load() {
				f.send(ctx, m)
			}
		})
		clients.Go(func() {
			for !over.Load() {
				f.count(ctx, m)
			}
		})
		clients.Go(func() {
			for !over.Load() {
				f.alter(ctx, m)
			}
		})
	}
	pause(ctx, time.Second)
	f.mu.Lock()
	f.ended = time.Now()
	f.mu.Unlock()
	if f.by == syscall.SIGKILL {
		all[victim].Kill(f.b)
	} else if err := syscall.Kill(all[victim].PID(), f.by); err != nil {
		f.b.Fatal(err)
	}
	pause(ctx, lookedFor)
	for until := time.Now().Add(changedWithin); !f.changed() && time.Now().Before(until); {
		pause(ctx, 10*time.Millisecond)
	}
	over.Store(true)
	clients.Wait()
	if f.by == syscall.SIGKILL {
		all[victim].Run(f.b)
	} else if err := syscall.Kill(all[victim].PID(), syscall.SIGCONT); err != nil {
		f.b.Fatal(err)
	}
	if f.write == 0 || f.answer == 0 || f.change == 0 {
		f.b.Errorf("no write, no answer or no change: %v, %v, %v", f.write, f.answer, f.change)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// send writes one event, which must be acknowledged.
func (f *failover) send(ctx context.Context, m *server.Server) {
	n := f.sent.Add(1)
	body := fmt.Sprintf(`[{"event":"e","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"%d"}}]`, time.Now().Unix(), n%97, n)
	began := time.Now()
	if _, err := request(ctx, m, "/import?strict=1", f.token, []byte(body)); err != nil {
		f.b.Errorf("write: %v", err)
		return
	}
	f.acked.Add(1)
	f.note(began, &f.write)
}

// count asks how many events there are.
func (f *failover) count(ctx context.Context, m *server.Server) {
	least, began := f.acked.Load(), time.Now()
	answer, err := ask(ctx, m, "SELECT COUNT(*) FROM shop.events")
	if err != nil {
		f.b.Errorf("ask: %v", err)
		return
	}
	if got, err := strconv.ParseInt(answer, 10, 64); err != nil || got < least || got > f.sent.Load() {
		f.b.Errorf("%q events, %v: want between %d and %d", answer, err, least, f.sent.Load())
	}
	f.note(began, &f.answer)
}

// alter changes the metadata, now and then; it may be refused while nobody leads.
func (f *failover) alter(ctx context.Context, m *server.Server) {
	began := time.Now()
	if _, err := request(ctx, m, "/query", "root", []byte("CALL arbor.set_setting('backup_every', '24h')")); err == nil {
		f.mu.Lock()
		if !f.ended.IsZero() && began.After(f.ended) && f.change == 0 {
			f.change = time.Since(f.ended)
		}
		f.mu.Unlock()
	}
	pause(ctx, 20*time.Millisecond)
}

// note takes a request that has ended well.
func (f *failover) note(began time.Time, first *time.Duration) {
	ended := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended.IsZero() || ended.Before(f.ended) {
		return
	}
	f.slowest = max(f.slowest, ended.Sub(began))
	if !began.Before(f.ended) && (*first == 0 || ended.Sub(f.ended) < *first) {
		*first = ended.Sub(f.ended)
	}
}
