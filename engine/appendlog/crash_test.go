package appendlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"arbor/engine/vfs"
)

// call is one Append of a history.
type call struct {
	texts []string
	// acked is set when Append returned nil. A call that failed may be there, as
	// a whole, unless absent is set.
	acked, absent bool
	// retired is set when its segment may have been moved to the trash.
	retired bool
	segment uint64
}

// history runs operations on a log and remembers what was acknowledged. It is
// deterministic: the same seed does the same.
type history struct {
	fs    vfs.FS
	rng   *rand.Rand
	log   *Log
	calls []*call
	// where holds the call of each text that was appended.
	where map[string]*call
	// segments holds the calls of each segment.
	segments map[uint64][]*call
	// last is the position of the last payload that was acknowledged.
	last Position
}

func newHistory(fs vfs.FS, seed uint64) *history {
	return &history{fs: fs, rng: rand.New(rand.NewPCG(seed, 0)), where: map[string]*call{}, segments: map[uint64][]*call{}}
}

func (h *history) options() Options {
	opts := options(h.fs)
	opts.SegmentBytes = 700
	opts.salt = h.rng.Uint64
	return opts
}

// open opens the log and compares what it holds with what was acknowledged.
func (h *history) open() error {
	c := new(content)
	l, err := Open(h.options(), c.replay)
	if err != nil {
		return err
	}
	h.log = l
	return h.check(c.payloads)
}

// check says whether payloads are calls in order, each whole, and none that was
// acknowledged is missing.
func (h *history) check(payloads []string) error {
	i := 0
	for n, c := range h.calls {
		found := i < len(payloads) && h.where[payloads[i]] == c
		switch {
		case found && c.absent:
			return fmt.Errorf("call %d is there, and was said not to be", n)
		case !found && c.acked && !c.retired:
			return fmt.Errorf("call %d was acknowledged and is lost", n)
		case !found && c.acked && !exists(h.fs, "trash/"+SegmentName(c.segment)):
			return fmt.Errorf("call %d was retired and is not in the trash", n)
		case found && strings.Join(payloads[i:min(i+len(c.texts), len(payloads))], "|") != strings.Join(c.texts, "|"):
			return fmt.Errorf("call %d is there in part: %q of %q", n, payloads[i:], c.texts)
		case found:
			i += len(c.texts)
		}
	}
	if i < len(payloads) {
		return fmt.Errorf("payload %q is there again, or out of order", payloads[i])
	}
	return nil
}

func exists(fs vfs.FS, name string) bool {
	_, err := fs.Stat(name)
	return err == nil
}

func (h *history) append() error {
	c := &call{}
	for i := range 1 + h.rng.IntN(3) {
		text := fmt.Sprintf("%d.%d %s", len(h.calls), i, strings.Repeat("z", h.rng.IntN(300)))
		c.texts = append(c.texts, text)
		h.where[text] = c
	}
	h.calls = append(h.calls, c)
	positions, err := h.log.Append(context.Background(), payloads(c.texts...))
	if err != nil {
		return err
	}
	c.acked = true
	for i, pos := range positions {
		got, err := h.log.ReadAt(pos, nil)
		if err != nil || string(got) != c.texts[i] {
			return fmt.Errorf("read %v back: %q, %w", pos, got, err)
		}
	}
	first := positions[0]
	if first.Segment < h.last.Segment || first.Segment == h.last.Segment && first.Offset <= h.last.Offset {
		return fmt.Errorf("position %v comes after %v", first, h.last)
	}
	h.last = positions[len(positions)-1]
	c.segment = first.Segment
	h.segments[c.segment] = append(h.segments[c.segment], c)
	return nil
}

// retire moves one of the sealed segments, not always the oldest, to the trash.
func (h *history) retire() error {
	infos := h.log.Segments()
	if len(infos) == 0 {
		return nil
	}
	s := infos[h.rng.IntN(len(infos))]
	if !s.Sealed {
		return nil
	}
	for _, c := range h.segments[s.ID] {
		c.retired = true
	}
	return h.log.Retire(context.Background(), s.ID, "trash")
}

func (h *history) reopen() error {
	if err := h.log.Close(); err != nil {
		return err
	}
	return h.open()
}

// step does one operation, mostly an append.
func (h *history) step() error {
	switch n := h.rng.IntN(20); {
	case n < 14:
		return h.append()
	case n < 15:
		return h.log.Rotate(context.Background())
	case n < 18:
		return h.retire()
	default:
		return h.reopen()
	}
}

func (h *history) run(steps int) error {
	if err := h.open(); err != nil {
		return err
	}
	for range steps {
		if err := h.step(); err != nil {
			return err
		}
	}
	return h.log.Close()
}

var fractions = []float64{0, .1, .5, .9, 1}

const historySteps = 30

// skipShort leaves out, under the race detector, what one goroutine does alone and what
// would take long there.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one goroutine, and not in short mode")
	}
}

// The power is cut at every k-th operation, and once more a few operations after
// the restart: what was acknowledged is there, each call whole or not at all,
// and the log goes on.
func TestCrashAtEveryOperation(t *testing.T) {
	skipShort(t)
	crashes := 0
	for seed := range uint64(4) {
		for k := int64(1); ; k++ {
			m := vfs.NewMem()
			f := vfs.NewFaulty(m)
			f.CrashAt(k)
			h := newHistory(f, seed)
			err := h.run(historySteps)
			if err == nil {
				break // k is past the last operation
			}
			if !errors.Is(err, vfs.ErrCrashed) {
				t.Fatalf("seed %d, crash at %d: %v", seed, k, err)
			}
			for _, fraction := range fractions {
				crashes++
				restart(t, m, *h, fmt.Sprintf("seed %d, crash at %d, %v kept", seed, k, fraction), fraction)
			}
		}
	}
	t.Logf("%d crashes", crashes)
}

// The process is killed at every k-th operation, so that what it wrote is still
// in the kernel's memory when it starts again; later the power is cut. What the
// second process has read, and built upon, is there.
func TestKillAtEveryOperation(t *testing.T) {
	skipShort(t)
	for _, fraction := range fractions {
		for k := int64(1); ; k++ {
			m := vfs.NewMem()
			f := vfs.NewFaulty(m)
			f.CrashAt(k)
			h := newHistory(f, uint64(fraction*100))
			if err := h.run(historySteps); err == nil {
				break
			}
			h.fs = m
			if err := h.open(); err != nil {
				t.Fatalf("killed at %d: %v", k, err)
			}
			if err := h.append(); err != nil {
				t.Fatalf("killed at %d: %v", k, err)
			}
			h.fs = m.CrashClone(h.rng, fraction)
			if err := h.run(3); err != nil {
				t.Fatalf("killed at %d, then a crash that keeps %v: %v", k, fraction, err)
			}
		}
	}
}

// restart opens a crashed log, appends to it, cuts the power again at some
// operation, and opens it for good.
func restart(t *testing.T, m *vfs.Mem, h history, what string, fraction float64) {
	t.Helper()
	h.rng = rand.New(rand.NewPCG(uint64(len(h.calls)), uint64(fraction*100)))
	h.copyCalls()
	m = m.CrashClone(h.rng, fraction)
	f := vfs.NewFaulty(m)
	f.CrashAt(1 + h.rng.Int64N(12))
	h.fs = f
	if err := h.run(4); err != nil && !errors.Is(err, vfs.ErrCrashed) {
		t.Fatalf("%s: %v", what, err)
	}
	h.fs = m.CrashClone(h.rng, h.rng.Float64())
	if err := h.run(3); err != nil {
		t.Fatalf("%s, and again: %v", what, err)
	}
}

// copyCalls makes a history that can go on without changing the one it is a copy of.
func (h *history) copyCalls() {
	old := h.calls
	h.calls, h.where = nil, map[string]*call{}
	segments := map[uint64][]*call{}
	copies := map[*call]*call{}
	for _, c := range old {
		d := *c
		copies[c] = &d
		h.calls = append(h.calls, &d)
		for _, text := range c.texts {
			h.where[text] = &d
		}
	}
	for id, calls := range h.segments {
		for _, c := range calls {
			segments[id] = append(segments[id], copies[c])
		}
	}
	h.segments = segments
}

// Every k-th operation fails, alone or with the two after it, and the callers go
// on: no call that failed is half there, none that was acknowledged is lost, and
// after a sync that failed nothing is acknowledged any more.
func TestFailAtEveryOperation(t *testing.T) {
	skipShort(t)
	for seed := range uint64(3) {
		for _, length := range []int64{1, 3} {
			for k := int64(1); ; k++ {
				what := fmt.Sprintf("seed %d, %d operations fail from %d", seed, length, k)
				m := vfs.NewMem()
				f := vfs.NewFaulty(m)
				syncFailed := false
				f.Inject(func(op vfs.Op) error {
					if op.N < k || op.N >= k+length {
						return nil
					}
					if op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncDir {
						syncFailed = syncFailed || op.Name != "trash" // the log does not depend on it
						return syscall.EIO
					}
					return syscall.ENOSPC
				})
				h := newHistory(f, seed)
				if !h.survive(t, what, &syncFailed) {
					break
				}
				for _, fraction := range fractions {
					after := *h
					after.copyCalls()
					after.fs = m.CrashClone(h.rng, fraction)
					if err := after.run(3); err != nil {
						t.Fatalf("%s, then a crash that keeps %v: %v", what, fraction, err)
					}
				}
			}
		}
	}
}

// A write fails half-way, the callers go on, and a few operations later the power
// is cut: what was left of the failed write is not taken for damage, even where
// it comes up again under the next group.
func TestFailThenCrash(t *testing.T) {
	skipShort(t)
	for k := int64(1); ; k++ {
		for later := range int64(8) {
			m := vfs.NewMem()
			f := vfs.NewFaulty(m)
			failed := false
			f.Inject(func(op vfs.Op) error {
				switch {
				case op.N == k && op.Kind == vfs.OpWrite:
					failed = true
					return syscall.ENOSPC
				case op.N > k+later:
					return vfs.ErrCrashed
				}
				return nil
			})
			h := newHistory(f, uint64(k))
			err := h.open()
			for range historySteps {
				if err == nil || errors.Is(err, syscall.ENOSPC) {
					err = h.append()
				}
			}
			if !errors.Is(err, vfs.ErrCrashed) {
				return // k is past the last operation
			}
			if !failed {
				break
			}
			for seed := range uint64(20) {
				after := *h
				after.copyCalls()
				after.rng = rand.New(rand.NewPCG(seed, uint64(k)))
				after.fs = m.CrashClone(after.rng, .3+.6*after.rng.Float64())
				if err := after.run(2); err != nil {
					t.Fatalf("write %d fails, crash %d later: %v", k, later, err)
				}
			}
		}
	}
}

// survive runs a history in which operations fail, and says whether any did.
func (h *history) survive(t *testing.T, what string, syncFailed *bool) (failed bool) {
	t.Helper()
	check := func(err error) bool {
		switch {
		case err == nil:
			return true
		case !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) && !errors.Is(err, ErrBroken):
			t.Fatalf("%s: %v", what, err)
		}
		failed = true
		return false
	}
	for !check(h.open()) {
		*syncFailed = false // the log was never open, so none is broken
	}
	for range historySteps {
		broken := *syncFailed
		err := h.append()
		c := h.calls[len(h.calls)-1]
		switch {
		case broken && !errors.Is(err, ErrBroken):
			t.Fatalf("%s: a sync has failed, and then an append returned %v", what, err)
		case !check(err):
			c.absent = !errors.Is(err, ErrBroken)
		}
		if h.rng.IntN(8) == 0 {
			check(h.retire())
		}
	}
	check(h.log.Close())
	for !check(h.open()) {
	}
	check(h.log.Close())
	return failed
}
