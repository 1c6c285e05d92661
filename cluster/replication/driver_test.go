package replication

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"arbor/cluster/protocol"
)

// until looks again and again, until what is to come has come.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// rounds are how many faults each world of TestEventsCountOnce has.
var rounds = flag.Int("rounds", 8, "how many faults")

func item(b int, record string) protocol.Item {
	return protocol.Item{Bucket: protocol.Bucket(b), Record: []byte(record)}
}

func TestAMemberAloneAsksNobody(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t, 1, 4, 0, 1)
	d := w.drivers[1]
	until(t, "it has its buckets", func() bool { return d.Alone(w.buckets()) })
	for i := range 10 {
		if err := d.Append(t.Context(), []protocol.Item{item(i%4, fmt.Sprint("a", i)), item(i%3, fmt.Sprint("b", i))}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.ask(d)
	if err != nil || len(got) != 20 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	if w.net.sent != 0 {
		t.Errorf("%d messages", w.net.sent)
	}
	if d.Alone([]protocol.Bucket{0, 4}) {
		t.Error("it holds a bucket that nobody gave it")
	}
	s := d.Status()
	if len(s.Replicas) != 4 || s.Writes+s.Queries+s.Scans+s.WritingBytes+s.ArrivingBytes != 0 || !s.Replicas[1].CaughtUp {
		t.Errorf("status %+v", s)
	}
	w.kill(1)
}

// TestFenceHoldsForAMemberAlone: a change of the config that comes while the disk
// works takes the acknowledgement away until the new replicas have the records.
func TestFenceHoldsForAMemberAlone(t *testing.T) {
	w := newWorld(t, 2, 1, 0, 1)
	one := w.drivers[1]
	until(t, "it has its buckets", func() bool { return one.Alone(w.buckets()) })
	release := w.disks[1].hang()
	releaseTwo := w.disks[2].hang()
	done := make(chan error, 1)
	go func() { done <- one.Append(t.Context(), []protocol.Item{item(0, "record")}) }()
	waits := func(d *disk) bool { d.mu.Lock(); defer d.mu.Unlock(); return d.waiting > 0 }
	until(t, "the disk works", func() bool { return waits(w.disks[1]) })
	w.change(2)
	if one.Alone(w.buckets()) {
		t.Error("it is alone after it heard of the change")
	}
	release()
	until(t, "the second member's disk works", func() bool { return waits(w.disks[2]) })
	select {
	case err := <-done:
		t.Fatalf("acknowledged by one of both configs: %v", err)
	default:
	}
	releaseTwo()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	until(t, "the change has ended", func() bool { return !w.move() })
	w.kill(1)
	if got, err := w.ask(w.drivers[2]); err != nil || !slices.Equal(got, []string{"record"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLimitsOfWrites(t *testing.T) {
	w := newWorld(t, 1, 1, 0, 1)
	d := w.drivers[1]
	until(t, "it has its buckets", func() bool { return d.Alone(w.buckets()) })
	long := make([]byte, maxRecordBytes)
	if !testing.Short() {
		if err := d.Append(t.Context(), []protocol.Item{{Record: long}}); err != nil {
			t.Errorf("the longest record: %v", err)
		}
	}
	if err := d.Append(t.Context(), []protocol.Item{{Record: append(long, 0)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
	d.maxWriting = 4 << 10
	release := w.disks[1].hang()
	half := slices.Repeat([]protocol.Item{{Record: make([]byte, 1<<10)}}, 2)
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- d.Append(context.Background(), half) }()
	}
	until(t, "both are under way", func() bool { return d.Status().WritingBytes == d.maxWriting })
	if err := d.Append(t.Context(), []protocol.Item{item(0, "x")}); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("one byte too much: %v", err)
	}
	release()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := d.Append(t.Context(), []protocol.Item{item(0, "x")}); err != nil {
		t.Errorf("after they ended: %v", err)
	}
}

func TestWaitingEnds(t *testing.T) {
	w := newWorld(t, 3, 1, 0, 1, 2, 3)
	w.isolate(1, true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	d := w.drivers[1]
	go func() { done <- d.Append(ctx, []protocol.Item{item(0, "x")}) }()
	go func() {
		_, err := d.Query(ctx, nil, w.buckets(), func() (Part, error) { return &rows{}, nil })
		done <- err
	}()
	until(t, "both are under way", func() bool { s := d.Status(); return s.Writes == 1 && s.Queries == 1 })
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	go func() { done <- d.Append(t.Context(), []protocol.Item{item(0, "y")}) }()
	go func() { _, err := w.ask(d); done <- err }()
	until(t, "both are under way", func() bool { s := d.Status(); return s.Writes >= 1 && s.Queries == 1 })
	w.kill(1)
	for range 2 {
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
}

func TestNoQuorumIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1, 0, 1, 2, 3)
	w.isolate(1, true)
	done := make(chan error, 2)
	go func() { done <- w.drivers[1].Append(t.Context(), []protocol.Item{item(0, "x")}) }()
	_, err := w.ask(w.drivers[1])
	if !errors.Is(err, protocol.ErrIncomplete) || !strings.Contains(err.Error(), "[0]") {
		t.Errorf("query: %v", err)
	}
	if err := <-done; !errors.Is(err, protocol.ErrNoQuorum) {
		t.Errorf("write: %v", err)
	}
}

func TestBrokenDiskEndsTheReplica(t *testing.T) {
	w := newWorld(t, 3, 1, 0, 1, 2, 3)
	w.disks[1].mu.Lock()
	w.disks[1].fail = errors.New("input/output error")
	w.disks[1].mu.Unlock()
	if err := w.drivers[2].Append(t.Context(), []protocol.Item{item(0, "x")}); err != nil {
		t.Fatalf("two of three have it: %v", err)
	}
	until(t, "the process is told", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.broken[1] != nil })
	if err := w.drivers[1].Append(t.Context(), []protocol.Item{item(0, "y")}); !errors.Is(err, ErrBroken) {
		t.Errorf("a write there: %v", err)
	}
	if _, err := w.ask(w.drivers[1]); !errors.Is(err, ErrBroken) {
		t.Errorf("a query there: %v", err)
	}
	if got, err := w.ask(w.drivers[3]); err != nil || !slices.Equal(got, []string{"x"}) {
		t.Errorf("elsewhere: %q, %v", got, err)
	}
}

// TestFaultsOfPlans: what every replica would say ends a query at once; what one
// says has another one asked.
func TestFaultsOfPlans(t *testing.T) {
	w := newWorld(t, 3, 1, 0, 2, 3)
	if err := w.drivers[1].Append(t.Context(), []protocol.Item{item(0, "x")}); err != nil {
		t.Fatal(err)
	}
	set := func(i int, err error) { w.disks[i].mu.Lock(); w.disks[i].scan = err; w.disks[i].mu.Unlock() }
	set(2, errors.New("a file is damaged"))
	if got, err := w.ask(w.drivers[2]); err != nil || len(got) != 1 {
		t.Errorf("one of two is damaged: %q, %v", got, err)
	}
	set(2, errFault)
	set(3, fmt.Errorf("scan: %w", errFault))
	if _, err := w.ask(w.drivers[2]); !errors.Is(err, errFault) {
		t.Errorf("a plan that is wrong, here: %v", err)
	}
	if _, err := w.ask(w.drivers[1]); !errors.Is(err, errFault) {
		t.Errorf("a plan that is wrong, elsewhere: %v", err)
	}
	refuse := errors.New("too much")
	set(2, nil)
	set(3, nil)
	for _, d := range w.up() {
		_, err := d.Query(t.Context(), nil, w.buckets(), func() (Part, error) { return nil, refuse })
		if !errors.Is(err, refuse) {
			t.Errorf("who asked takes no more: %v", err)
		}
	}
}

// TestEventsCountOnce plays members that die, come back, are cut off, hang and hand
// buckets over, under clients that write and ask everywhere.
func TestEventsCountOnce(t *testing.T) {
	for _, members := range []int{3, 5} {
		for _, loss := range []float64{0, 0.05} {
			t.Run(fmt.Sprintf("%d members, %v lost", members, loss), func(t *testing.T) {
				t.Parallel()
				old := []int{1, 2, 3}
				w := newWorld(t, members, 3, loss, old...)
				c := &checker{w: w, acked: map[string]bool{}, submitted: map[string]bool{}, ctx: t.Context(), giveUp: func() {}}
				c.play(t, members)
			})
		}
	}
}

// checker knows what was submitted and what was acknowledged.
type checker struct {
	w                *world
	mu               sync.Mutex // guards what follows
	ctx              context.Context
	giveUp           context.CancelFunc // has those who wait give up
	acked, submitted map[string]bool
	writes, answers  int
}

// play has clients run beside faults, and looks at the end whether all is there.
func (c *checker) play(t *testing.T, members int) {
	w := c.w
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for k := range 12 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(k), 7))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				c.write(t, r, fmt.Sprintf("%d:%d", k, n))
			}
		})
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(k), 8))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if up := w.up(); len(up) > 0 {
					c.ask(t, up[r.IntN(len(up))])
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(uint64(members), 9))
	rounds := *rounds
	if testing.Short() {
		rounds = min(rounds, 4)
	}
	for round := range rounds {
		victim := 1 + r.IntN(members)
		var undo func()
		switch round % 4 {
		case 0:
			w.kill(victim)
			undo = func() { w.start(victim) }
		case 1:
			w.isolate(victim, true)
			undo = func() { w.isolate(victim, false) }
		case 2:
			undo = w.disks[victim].hang()
		case 3:
			to := []int{1 + r.IntN(members), 0, 0}
			to[1] = 1 + to[0]%members
			to[2] = 1 + to[1]%members
			w.change(to...)
			undo = func() {}
		}
		c.pass(t, 20, 6)
		undo()
		c.pass(t, 10, 3)
	}
	close(stop)
	c.giveUp()
	clients.Wait()
	c.ctx = t.Context()
	w.net.mu.Lock()
	w.net.loss = 0
	w.net.mu.Unlock()
	until(t, "the changes have ended", func() bool { return !w.move() })
	for _, d := range w.up() {
		got := c.ask(t, d)
		if got == nil {
			t.Error("no answer after all faults have ended")
		}
	}
	t.Logf("%d writes acknowledged of %d, %d answers", len(c.acked), len(c.submitted), c.answers)
}

// pass waits for so many acknowledgements and answers more; then those who still
// wait, as for a member that is cut off, give up.
func (c *checker) pass(t *testing.T, writes, answers int) {
	c.mu.Lock()
	c.ctx, c.giveUp = context.WithCancel(t.Context())
	c.mu.Unlock()
	defer c.giveUp()
	count := func() (int, int) { c.mu.Lock(); defer c.mu.Unlock(); return c.writes, c.answers }
	w0, a0 := count()
	until(t, "clients get on", func() bool { c.w.move(); w, a := count(); return w >= w0+writes && a >= a0+answers })
}

// write writes a record somewhere, and elsewhere again if that fails: under one name
// it counts once, as an event does by its ingest id.
func (c *checker) write(t *testing.T, r *rand.Rand, record string) {
	up := c.w.up()
	if len(up) == 0 {
		return
	}
	c.mu.Lock()
	ctx := c.ctx
	c.submitted[record] = ctx.Err() == nil
	c.mu.Unlock()
	if ctx.Err() != nil {
		<-time.After(time.Millisecond)
		return
	}
	err := up[r.IntN(len(up))].Append(ctx, []protocol.Item{item(r.IntN(3), record)})
	if err != nil {
		if !errors.Is(err, protocol.ErrNoQuorum) && !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
			t.Errorf("write: %v", err)
		}
		return
	}
	c.mu.Lock()
	c.acked[record] = true
	c.writes++
	c.mu.Unlock()
}

// ask asks for all, and compares: acknowledged before ≤ counted ≤ submitted, each once.
func (c *checker) ask(t *testing.T, d *Driver) map[string]bool {
	c.mu.Lock()
	var before []string
	for r := range c.acked {
		before = append(before, r)
	}
	ctx := c.ctx
	c.mu.Unlock()
	got, err := c.w.askUntil(ctx, d)
	if err != nil {
		if !errors.Is(err, protocol.ErrIncomplete) && !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
			t.Errorf("ask: %v", err)
		}
		return nil
	}
	seen := map[string]bool{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	for _, r := range got {
		if seen[r] || !c.submitted[r] {
			t.Errorf("%s is counted twice, or was never sent", r)
		}
		seen[r] = true
	}
	for _, r := range before {
		if !seen[r] {
			t.Errorf("%s was acknowledged before, and is not counted", r)
		}
	}
	return seen
}

// TestRecordsAreTheCallersAgain: who appended writes something else to the same memory,
// while a slow disk has not stored it yet.
func TestRecordsAreTheCallersAgain(t *testing.T) {
	w := newWorld(t, 3, 1, 0, 1, 2, 3)
	release := w.disks[1].hang()
	record := []byte("what was said")
	if err := w.drivers[1].Append(t.Context(), []protocol.Item{{Bucket: 0, Record: record}}); err != nil {
		t.Fatal(err)
	}
	copy(record, "something else")
	release()
	for i := 1; i <= 3; i++ {
		until(t, "all disks have it", func() bool {
			w.disks[i].mu.Lock()
			defer w.disks[i].mu.Unlock()
			for _, got := range w.disks[i].batches[0] {
				if got != "what was said" {
					t.Fatalf("disk %d has %q", i, got)
				}
				return true
			}
			return false
		})
	}
}
