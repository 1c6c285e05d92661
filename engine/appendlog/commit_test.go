package appendlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"arbor/engine/vfs"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stalled opens a log on a disk whose syncs wait for a word on the channel, once
// the first segment is made.
func stalled(t *testing.T) (l *Log, f *vfs.Faulty, release chan struct{}, syncs *atomic.Int64) {
	t.Helper()
	f = vfs.NewFaulty(vfs.NewMem())
	opts := options(f)
	opts.SegmentBytes = 1 << 20
	l, _ = open(t, opts)
	add(t, l, "first")
	release, syncs = make(chan struct{}), new(atomic.Int64)
	f.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			// Faulty counts while we wait, so nobody else may want it.
			syncs.Add(1)
			<-release
		}
		return nil
	})
	return l, f, release, syncs
}

// Those who come while a group is synced share the next one.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, release, syncs := stalled(t)
		var appends sync.WaitGroup
		for i := range 51 {
			appends.Go(func() { add(t, l, fmt.Sprint("caller ", i), "and more") })
			if i == 0 {
				synctest.Wait() // the first is alone in its group
			}
		}
		synctest.Wait()
		release <- struct{}{}
		release <- struct{}{}
		appends.Wait()
		if n := syncs.Load(); n != 2 {
			t.Fatalf("%d syncs for 1 and 50 callers, want 2", n)
		}
		if info := l.Segments()[0]; info.Frames != 103 {
			t.Fatalf("%d frames, want 103", info.Frames)
		}
		close(release)
		must(t, l.Close())
	})
}

// A caller that gives up while it queues has appended nothing; one that gives up
// while the disk syncs may have.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f, release, _ := stalled(t)
		ctx, cancel := context.WithCancel(t.Context())
		payload := []byte("taken")
		done := make(chan error, 2)
		appendTo := func(payload []byte) {
			_, err := l.Append(ctx, [][]byte{payload})
			done <- err
		}
		go appendTo(payload)
		synctest.Wait()
		go appendTo([]byte("queued"))
		synctest.Wait()
		cancel()
		errs := []string{(<-done).Error(), (<-done).Error()}
		slices.Sort(errs)
		if !strings.Contains(errs[0], "may be written") || !strings.Contains(errs[1], "nothing was written") {
			t.Fatalf("errors %q", errs)
		}
		copy(payload, "XXXXX") // ours again, although the sync goes on
		_, err := l.Append(ctx, payloads("too late"))
		wantErr(t, err, context.Canceled)
		wantErr(t, l.Rotate(ctx), context.Canceled)
		close(release)
		must(t, l.Close())
		_, c := open(t, options(f))
		if want := []string{"first", "taken"}; !slices.Equal(c.payloads, want) {
			t.Fatalf("log holds %q, want %q", c.payloads, want)
		}
	})
}

// Close waits for appends that a leader has, and refuses later ones.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f, release, _ := stalled(t)
		appended := make(chan error, 1)
		go func() {
			_, err := l.Append(t.Context(), payloads("under way"))
			appended <- err
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- l.Close() }()
		synctest.Wait()
		wantErr(t, l.Rotate(t.Context()), ErrClosed)
		close(release)
		must(t, <-appended)
		must(t, <-closed)
		_, c := open(t, options(f))
		if len(c.payloads) != 2 {
			t.Fatalf("log holds %q", c.payloads)
		}
	})
}

// A sync that fails breaks the log for all who wait and all who come, and what it
// acknowledged before is there when it is opened again.
func TestBroken(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	l, _ := open(t, options(f))
	pos := add(t, l, "kept")
	f.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return fs.ErrPermission
		}
		return nil
	})
	_, err := l.Append(t.Context(), payloads("lost"))
	wantErr(t, err, ErrBroken)
	wantErr(t, err, fs.ErrPermission)
	f.Inject(nil)
	_, err = l.Append(t.Context(), payloads("refused"))
	wantErr(t, err, ErrBroken)
	wantErr(t, l.Rotate(t.Context()), ErrBroken)
	got, err := l.ReadAt(pos[0], nil)
	must(t, err)
	if string(got) != "kept" {
		t.Fatalf("read %q", got)
	}
	must(t, l.Close())
	l, c := open(t, options(f))
	if c.payloads[0] != "kept" {
		t.Fatalf("log holds %q", c.payloads)
	}
	add(t, l, "on again")
	must(t, l.Close())
}

// A disk that is full for a while costs the appends of that while, no segments,
// and nothing else.
func TestDiskFull(t *testing.T) {
	full := errors.New("disk is full")
	f := vfs.NewFaulty(vfs.NewMem())
	opts := options(f)
	l, _ := open(t, opts)
	for i := range 3 {
		add(t, l, fmt.Sprint("good ", i), strings.Repeat("x", 400))
		f.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite {
				return full
			}
			return nil
		})
		for range 20 {
			_, err := l.Append(t.Context(), payloads(strings.Repeat("bad", 30)))
			wantErr(t, err, full)
		}
		f.Inject(nil)
	}
	if n := len(l.Segments()); n != 3 {
		t.Fatalf("%d segments, want 3: %+v", n, l.Segments())
	}
	must(t, l.Close())
	l, c := open(t, opts)
	if len(c.payloads) != 6 || len(l.Findings()) > 0 {
		t.Fatalf("log holds %q, findings %v", c.payloads, l.Findings())
	}
}

// Many callers append, give up, read, rotate and retire at once. Run with -race.
func TestConcurrent(t *testing.T) {
	m := vfs.NewMem()
	opts := options(m)
	opts.SegmentBytes = 4096
	l, _ := open(t, opts)
	var mu sync.Mutex
	acked := map[string]Position{}
	var writers, others sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			buf := make([]byte, 0, 100)
			for i := range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					go cancel()
				}
				first, second := fmt.Sprintf("%d/%d", w, i), fmt.Sprintf("%d/%d again", w, i)
				buf = append(append(buf[:0], first...), second...)
				pos, err := l.Append(ctx, [][]byte{buf[:len(first)], buf[len(first):]})
				cancel()
				if err != nil {
					wantErr(t, err, context.Canceled)
					continue
				}
				if pos[1].Segment != pos[0].Segment || pos[1].Offset != pos[0].Offset+frameHeaderSize+int64(len(first)) {
					t.Errorf("payloads of one call are apart: %v", pos)
				}
				mu.Lock()
				acked[first], acked[second] = pos[0], pos[1]
				mu.Unlock()
				if got, err := l.ReadAt(pos[1], nil); err != nil && !errors.Is(err, ErrNoSegment) || err == nil && string(got) != second {
					t.Errorf("read %q, %v", got, err)
				}
			}
		})
	}
	stop := make(chan struct{})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if i%2 == 0 {
				must(t, l.Rotate(t.Context()))
			}
			if infos := l.Segments(); len(infos) > 4 {
				must(t, l.Retire(t.Context(), infos[0].ID, "trash"))
			}
		}
	})
	writers.Wait()
	close(stop)
	others.Wait()
	must(t, l.Close())

	_, c := open(t, opts)
	found := map[string]Position{}
	for i, text := range c.payloads {
		found[text] = c.positions[i]
	}
	if len(found) != len(c.payloads) {
		t.Fatal("a payload is there twice")
	}
	for text, pos := range acked {
		if at, ok := found[text]; ok && at != pos || !ok && !exists(m, "trash/"+SegmentName(pos.Segment)) {
			t.Fatalf("%q was acknowledged at %v, and is at %v", text, pos, at)
		}
	}
}
