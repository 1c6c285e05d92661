package siphon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"arbor/engine/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func testOptions(fs vfs.FS) Options {
	o := Options{Upstreams: []*url.URL{{Scheme: "http", Host: "gateway"}}, FS: fs, Dir: "siphon", Key: []byte("0123456789abcdef"), Logger: quiet}
	if err := o.validate(); err != nil {
		panic(err)
	}
	return o
}

func mustSpool(t *testing.T, o Options) *spool {
	t.Helper()
	s, err := openSpool(o, 7)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// copyOf is a request on its way to the spool.
func copyOf(r Request) *copyJob {
	b := appendHead(nil, r.Stamp, r.Method, r.URI, r.Header)
	body := len(b)
	b = append(b, r.Body...)
	finish(b, body, r.Status)
	return &copyJob{record: b, done: make(chan error, 1)}
}

// bodies are those of all requests in all segments, sealed or not, sorted.
func bodies(t *testing.T, fs vfs.FS) (all []string) {
	t.Helper()
	names, err := fs.List("siphon")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, _, ok := parseName(name); !ok {
			continue
		}
		content, err := directory{fs, "siphon"}.Read(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		err = readSegment(content, path.Ext(name) != sealedSuffix, func(r Request) error { all = append(all, string(r.Body)); return nil })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	slices.Sort(all)
	return all
}

func TestSpoolKeeps(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem)
	o.SegmentBytes = 500
	s := mustSpool(t, o)
	var want []string
	var all sync.WaitGroup
	for i := range 50 {
		body := fmt.Sprintf("body %02d", i)
		want = append(want, body)
		all.Go(func() {
			if err := s.keep(copyOf(testRequest(i, body))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 10 { // one by one, since those that wait together share a segment
		body := fmt.Sprintf("last %d", i)
		want = append(want, body)
		if err := s.keep(copyOf(testRequest(i, body))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openSpool(o, 8); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second siphon on the directory: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.keep(copyOf(testRequest(0, "late"))); !errors.Is(err, errSpoolClosed) {
		t.Errorf("after Close: %v", err)
	}
	if got := bodies(t, mem); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	names, err := Directory(mem, "siphon").Segments(t.Context())
	if err != nil || len(names) < 2 {
		t.Errorf("segments %v, %v: want several, all sealed", names, err)
	}
}

// TestSpoolCrash stops the world at every file operation: what keep said is
// durable is there afterwards, and the next siphon goes on.
func TestSpoolCrash(t *testing.T) {
	run := func(fs vfs.FS) (kept []string) {
		o := testOptions(fs)
		o.SegmentBytes = 300
		s, err := openSpool(o, 7)
		if err != nil {
			return nil
		}
		for i := range 6 {
			body := fmt.Sprintf("body %02d", i)
			if s.keep(copyOf(testRequest(i, body))) == nil {
				kept = append(kept, body)
			}
		}
		s.Close()
		return kept
	}
	counter := vfs.NewFaulty(vfs.NewMem())
	if kept := run(counter); len(kept) != 6 {
		t.Fatalf("kept %v", kept)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for k := int64(1); k <= counter.Operations(); k++ {
		mem := vfs.NewMem()
		faulty := vfs.NewFaulty(mem)
		faulty.CrashAt(k)
		kept := run(faulty)
		for _, unsynced := range []float64{0, 0.5, 1} {
			after := mem.CrashClone(rng, unsynced)
			s, err := openSpool(testOptions(after), 8)
			if err != nil {
				t.Fatalf("crash at operation %d: open: %v", k, err)
			}
			if err := s.keep(copyOf(testRequest(99, "later"))); err != nil {
				t.Fatalf("crash at operation %d: keep: %v", k, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			got := bodies(t, after)
			for _, body := range append(kept, "later") {
				if !slices.Contains(got, body) {
					t.Fatalf("crash at operation %d, %v of the unsynced bytes kept: %q is gone; there are %q", k, unsynced, body, got)
				}
			}
		}
	}
}

// TestSpoolFails makes every file operation fail once: a copy is then made in
// another file, or keep says that it was not.
func TestSpoolFails(t *testing.T) {
	counter := vfs.NewFaulty(vfs.NewMem())
	use := func(fs vfs.FS) (kept []string, s *spool, err error) {
		o := testOptions(fs)
		o.SegmentBytes = 300
		if s, err = openSpool(o, 7); err != nil {
			return nil, nil, err
		}
		for i := range 6 {
			body := fmt.Sprintf("body %02d", i)
			if s.keep(copyOf(testRequest(i, body))) == nil {
				kept = append(kept, body)
			}
		}
		return kept, s, s.Close()
	}
	if _, _, err := use(counter); err != nil {
		t.Fatal(err)
	}
	for k := int64(1); k <= counter.Operations(); k++ {
		mem := vfs.NewMem()
		faulty := vfs.NewFaulty(mem)
		faulty.FailAt(k, errors.New("disk says no"))
		kept, s, _ := use(faulty)
		if s != nil && len(kept) < 5 {
			t.Errorf("operation %d failed once: only %v were kept", k, kept)
		}
		if s == nil {
			continue
		}
		got := bodies(t, mem)
		for _, body := range kept {
			if !slices.Contains(got, body) {
				t.Errorf("operation %d failed once: %q is gone", k, body)
			}
		}
	}
}

func TestSpoolSaysWhenItFails(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem())
	s := mustSpool(t, testOptions(faulty))
	faulty.FailFrom(faulty.Operations()+1, errors.New("disk is gone"))
	if err := s.keep(copyOf(testRequest(1, "a"))); err == nil || !s.failing.Load() {
		t.Errorf("error %v, failing %v", err, s.failing.Load())
	}
	faulty.Inject(nil)
	if err := s.keep(copyOf(testRequest(1, "b"))); err != nil || s.failing.Load() {
		t.Errorf("after it came back: error %v, failing %v", err, s.failing.Load())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpoolExpires runs in fake time: segments end by age, and go when they are
// old, or when there is too much of them, the oldest first.
func TestSpoolExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		o := testOptions(mem)
		o.Retention = time.Hour
		s := mustSpool(t, o)
		keep := func(body string) {
			if err := s.keep(copyOf(testRequest(1, body))); err != nil {
				t.Fatal(err)
			}
		}
		keep("old")
		time.Sleep(2 * DefaultSegmentAge)
		if names, _ := Directory(mem, "siphon").Segments(t.Context()); len(names) != 1 {
			t.Errorf("segments %v: the first should be sealed by age", names)
		}
		time.Sleep(30 * time.Minute)
		keep("young")
		time.Sleep(31 * time.Minute)
		if got := bodies(t, mem); !slices.Equal(got, []string{"young"}) {
			t.Errorf("after an hour: %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		o.MaxBytes = s.bytes.Load()
		s = mustSpool(t, o)
		keep("newer") // one more than MaxBytes allows
		time.Sleep(2 * DefaultSegmentAge)
		if got := bodies(t, mem); !slices.Equal(got, []string{"newer"}) || s.removed.Load() != 1 {
			t.Errorf("past the limit: %v, %d removed early", got, s.removed.Load())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSpoolAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		o := testOptions(mem)
		s := mustSpool(t, o)
		if err := s.keep(copyOf(testRequest(1, "a"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * DefaultSegmentAge)
		s.Close()
		o.MaxBytes = s.bytes.Load() // exactly what there is
		s = mustSpool(t, o)
		time.Sleep(2 * DefaultSegmentAge)
		s.Close()
		if got := bodies(t, mem); len(got) != 1 {
			t.Errorf("at the limit: %v", got)
		}
		names, _ := mem.List("siphon")
		if n := len(slices.DeleteFunc(names, func(s string) bool { return path.Ext(s) != sealedSuffix })); n != 1 {
			t.Errorf("segments %v", names)
		}
	})
}

func TestStampsNeverRepeat(t *testing.T) {
	back := []time.Time{time.Unix(100, 0), time.Unix(50, 0), time.Unix(100, 0)}
	i := -1
	s := newStamper(func() time.Time { i++; return back[min(i, 2)] })
	var last Stamp
	for range 5 {
		next := s.stamp()
		if next.Time <= last.Time {
			t.Fatalf("stamp %v after %v", next, last)
		}
		last = next
	}
	h := http.Header{}
	last.sign(h, []byte("k"), "", "", "")
	if h.Get(headerID) == "" || h.Get(headerTime) == "" || len(h.Get(headerMAC)) != 64 {
		t.Errorf("headers %v", h)
	}
}
