package engine

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"arbor/engine/vfs"
)

// TestScrub: what a build got wrong and nobody proved, and what the disk changed,
// fails its shard with an alarm; other shards go on.
func TestScrub(t *testing.T) {
	for _, planted := range []string{"nothing", "forgotten rows", "flipped bits"} {
		t.Run(planted, func(t *testing.T) {
			fs := vfs.NewMem()
			o := memOptions(fs)
			o.Faults = &Faults{}
			e, err := Open(testContext, o)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			s, other := newSample(), newSample()
			other.day++
			other.request += 1e15
			for range 2 {
				s.fill(t, e, 200, 50)
				other.fill(t, e, 100, 50)
				if err := e.Index(testContext, 0, false); err != nil {
					t.Fatal(err)
				}
			}
			want := ""
			switch planted {
			case "forgotten rows":
				want = "says that it holds 400:"
				o.Faults.Overwrite = true
			case "flipped bits":
				want = "checksum"
				o.Faults.Written = func(path string) { damage(t, fs, path) }
			}
			if want != "" {
				o.Faults.Unproven = true
				victim := e.allShards()[0]
				if err := e.indexer.run(testContext, task{kind: taskClose, shard: victim.key, files: victim.fileNames()}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Scrub(testContext, 0); err != nil {
				t.Fatal(err)
			}
			failed := 0
			for _, s := range e.allShards() {
				if s.failure() != nil {
					failed++
				}
			}
			alarms := e.alarms.all()
			if want == "" && (failed > 0 || len(alarms) > 0) {
				t.Errorf("%d shards failed, with alarms %v", failed, alarms)
			}
			if want != "" && (failed != 1 || len(alarms) != 1 || alarms[0].kind != alarmDamage || !strings.Contains(alarms[0].message, want)) {
				t.Errorf("%d shards failed, with alarms %v, want one with %q", failed, alarms, want)
			}
			if err := e.Scrub(testContext, 0); err != nil || len(e.alarms.all()) != len(alarms) {
				t.Errorf("the next pass: %v, %d alarms after %d", err, len(e.alarms.all()), len(alarms))
			}
		})
	}
}

// TestScrubLater plants damage after the first pass, which has read every value: the passes
// after it read checksums, and find each, by what lies under the file's name. What a faulty
// build wrote with right checksums is found when all is read again, and in files that are
// new.
func TestScrubLater(t *testing.T) {
	put := func(t *testing.T, fs vfs.FS, at string, b []byte) {
		w, err := fs.Create(at)
		if err == nil {
			_, err = w.Write(b)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	plants := map[string]struct {
		plant func(t *testing.T, fs *vfs.Mem, e *Engine, at, other string)
		want  string
	}{
		"nothing":       {func(*testing.T, *vfs.Mem, *Engine, string, string) {}, ""},
		"a flipped bit": {func(t *testing.T, fs *vfs.Mem, _ *Engine, at, _ string) { damage(t, fs, at) }, "checksum"},
		"a file that was cut": {func(t *testing.T, fs *vfs.Mem, _ *Engine, at, _ string) {
			b := contentOf(t, fs, at)
			put(t, fs, at, b[:len(b)/2])
		}, "trailer"},
		"another shard's file": {func(t *testing.T, fs *vfs.Mem, _ *Engine, at, other string) {
			put(t, fs, at, contentOf(t, fs, other))
		}, "another one than was opened"},
		"a file that was removed": {func(t *testing.T, fs *vfs.Mem, _ *Engine, at, _ string) {
			if err := fs.Remove(at); err != nil {
				t.Fatal(err)
			}
		}, "is not there any more"},
		"forgotten rows": {func(t *testing.T, fs *vfs.Mem, e *Engine, _, _ string) {
			e.opts.Faults.Overwrite, e.opts.Faults.Unproven = true, true
			victim := e.allShards()[0]
			if err := e.indexer.run(testContext, task{kind: taskClose, shard: victim.key, files: victim.fileNames()}); err != nil {
				t.Fatal(err)
			}
		}, "says that it holds 400:"},
	}
	for what, p := range plants {
		t.Run(what, func(t *testing.T) {
			fs := vfs.NewMem()
			o := memOptions(fs)
			o.Faults = &Faults{}
			e, err := Open(testContext, o)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			s, other := newSample(), newSample()
			other.day++
			other.request += 1e15
			for range 2 {
				s.fill(t, e, 200, 50)
				other.fill(t, e, 100, 50)
				if err := e.Index(testContext, 0, false); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Scrub(testContext, 0); err != nil || e.metrics.ScrubbedWhole.Load() == 0 {
				t.Fatalf("the first pass read %d bytes whole: %v", e.metrics.ScrubbedWhole.Load(), err)
			}
			whole, bytes := e.metrics.ScrubbedWhole.Load(), e.metrics.ScrubbedBytes.Load()
			shards := e.allShards()
			first := func(s *shard) string { return path.Join(s.dir, s.files()[0].name.String()) }
			p.plant(t, fs, e, first(shards[0]), first(shards[1]))
			if err := e.Scrub(testContext, 0); err != nil {
				t.Fatal(err)
			}
			alarms := e.alarms.all()
			if p.want == "" && (len(alarms) > 0 || shards[0].failure() != nil || e.metrics.ScrubbedWhole.Load() != whole || e.metrics.ScrubbedBytes.Load() != 2*bytes) {
				t.Errorf("a pass over what is sound: %v, %d bytes read whole after %d, %d read after %d", alarms, e.metrics.ScrubbedWhole.Load(), whole, e.metrics.ScrubbedBytes.Load(), bytes)
			}
			if p.want != "" && (shards[0].failure() == nil || shards[1].failure() != nil || len(alarms) != 1 || !strings.Contains(alarms[0].message, p.want)) {
				t.Errorf("the shards failed with %v and %v, alarms %v, want one with %q", shards[0].failure(), shards[1].failure(), alarms, p.want)
			}
		})
	}
}

// TestWholeDue: every value is read at first, when the time is over, and when the clock went
// back.
func TestWholeDue(t *testing.T) {
	now := time.UnixMicro(1768300000_000000)
	for _, c := range []struct {
		read time.Duration // ago; never if zero
		due  bool
	}{{0, true}, {time.Minute, false}, {time.Hour - time.Microsecond, false}, {time.Hour, true}, {-time.Second, true}} {
		f := &file{}
		if c.read != 0 {
			f.readWhole.Store(now.Add(-c.read).UnixMicro())
		}
		if due := f.wholeDue(now, time.Hour); due != c.due {
			t.Errorf("read whole %s ago: due %t", c.read, due)
		}
		if !f.wholeDue(now, 0) {
			t.Errorf("read whole %s ago: not due in every pass", c.read)
		}
	}
}

func contentOf(t *testing.T, fs vfs.FS, at string) []byte {
	t.Helper()
	f, err := fs.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestScrubEnds: a pass that is slow ends with its context.
func TestScrubEnds(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	newSample().fill(t, e, 100, 50)
	ctx, stop := context.WithCancel(testContext)
	stop()
	if err := e.Scrub(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a pass whose context has ended: %v", err)
	}
}
