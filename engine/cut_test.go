package engine

import (
	"context"
	"io"
	"os"
	"path"
	"sync"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/filesum"
	"arbor/engine/vfs"
)

// copyCut writes a cut's files into a directory of its own.
func copyCut(t testing.TB, c *Cut, fs vfs.FS, dir string) {
	t.Helper()
	write := func(f *CutFile) {
		at := path.Join(dir, f.Path)
		if err := fs.MkdirAll(path.Dir(at)); err != nil {
			t.Fatal(err)
		}
		w, err := fs.Create(at)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(w, f.Content())
		if err != nil || n != f.Size {
			t.Fatalf("%s: %d bytes of %d, %v", f.Path, n, f.Size, err)
		}
		want, _, err := filesum.Of(f.Content())
		if sums, e := f.Sum(testContext, func(int) error { return nil }); err != nil || e != nil || sums != want {
			t.Fatalf("%s has the sums %v, said are %v: %v, %v", f.Path, want, sums, err, e)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range c.Shards {
		for _, f := range s.Files {
			write(f)
		}
	}
	for _, f := range c.Log {
		write(f)
	}
}

// mustEqualCut opens a copy of a cut and compares what each shard comes to.
func mustEqualCut(t *testing.T, c *Cut) (records uint64) {
	t.Helper()
	fs := vfs.NewMem()
	copyCut(t, c, fs, "data")
	opts := memOptions(fs)
	opts.Catalog = c.Catalog
	e, err := Open(testContext, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := map[catalog.ShardKey]event.Digest{}
	visible := int64(0)
	for _, s := range c.Shards {
		d, n, err := s.Reckon(testContext)
		if err != nil {
			t.Fatal(err)
		}
		if d != (event.Digest{}) {
			want[s.Key] = d
		}
		visible += n
		records += d.Count
	}
	for _, s := range e.allShards() {
		v, err := s.view(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.digest(testContext, c.Catalog)
		v.release()
		if err != nil {
			t.Fatal(err)
		}
		if got != want[s.key] {
			t.Errorf("shard %s of the copy comes to %s, the cut to %s", s.key, got, want[s.key])
		}
		delete(want, s.key)
	}
	for k, d := range want {
		t.Errorf("shard %s, %s, is not in the copy", k, d)
	}
	shown := int64(0)
	for _, s := range e.allShards() {
		v, err := s.view(e)
		if err != nil {
			t.Fatal(err)
		}
		acc, err := v.account(testContext, c.Catalog)
		v.release()
		if err != nil {
			t.Fatal(err)
		}
		shown += acc.visible()
	}
	if shown != visible {
		t.Errorf("the copy shows %d events, the cut %d", shown, visible)
	}
	return records
}

// takeCut takes a cut that is released with the test, if not before.
func takeCut(t *testing.T, e *Engine) (c *Cut, release func()) {
	t.Helper()
	c, err := e.Cut(testContext)
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(c.Release)
	t.Cleanup(release)
	return c, release
}

// TestCutOfData: a copy of a cut, opened, is what was stored when it was made, in the
// log, in files and in both, whatever happens to the files until it is copied.
func TestCutOfData(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s, other := newSample(), newSample()
	other.day++
	other.request += 1e15
	c, release := takeCut(t, e)
	if n := mustEqualCut(t, c); n != 0 {
		t.Errorf("%d records of nothing", n)
	}
	release()
	s.fill(t, e, 3000, 100)
	c, release = takeCut(t, e)
	if n := mustEqualCut(t, c); n != 3000 {
		t.Errorf("%d records, want 3000 in the log", n)
	}
	// What the cut refers to is indexed, merged and moved away meanwhile.
	later := func() {
		s.fill(t, e, 2000, 100)
		other.fill(t, e, 500, 100)
		if err := e.Index(testContext, 0, true); err != nil {
			t.Fatal(err)
		}
		if err := e.trash.empty(testContext, 0); err != nil {
			t.Fatal(err)
		}
	}
	later()
	if n := mustEqualCut(t, c); n != 3000 {
		t.Errorf("%d records, want the 3000 of before", n)
	}
	release()
	c, release = takeCut(t, e)
	later()
	if n := mustEqualCut(t, c); n != 5500 {
		t.Errorf("%d records, want 5500", n)
	}
	release()
	s.fill(t, e, 700, 100)
	c, release = takeCut(t, e)
	if n := mustEqualCut(t, c); n != 8700 {
		t.Errorf("%d records in files and the log, want 8700", n)
	}
	release()
	if err := e.Index(testContext, 0, true); err != nil {
		t.Fatal(err)
	}
	if segments := e.log.Segments(); len(segments) != 1 {
		t.Errorf("%d segments are held after all cuts were released", len(segments))
	}
}

// TestCutBesideWriting: cuts that are made while events come and are indexed each
// hold a whole number of requests, and never fewer than the one before.
func TestCutBesideWriting(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	ctx, stop := context.WithCancel(testContext)
	var busy sync.WaitGroup
	t.Cleanup(func() {
		stop()
		busy.Wait()
	})
	busy.Add(2)
	go func() { // ends with ctx
		defer busy.Done()
		s := newSample()
		for n := 0; n < 200 && ctx.Err() == nil; n++ {
			s.fill(t, e, 100, 10)
		}
	}()
	go func() { // ends with ctx
		defer busy.Done()
		for i := 0; ctx.Err() == nil; i++ {
			if err := e.Index(ctx, 0, i%4 == 3); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	last := uint64(0)
	for range 8 {
		c, release := takeCut(t, e)
		n := mustEqualCut(t, c)
		release()
		if n%10 != 0 || n < last {
			t.Errorf("a cut of %d records after one of %d", n, last)
		}
		last = n
	}
}

// TestCutOfDamage: a shard that is damaged is named, and no other is kept away.
func TestCutOfDamage(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	s.fill(t, e, 100, 10)
	other := newSample()
	other.day++
	other.fill(t, e, 50, 10)
	if err := e.Index(testContext, 0, true); err != nil {
		t.Fatal(err)
	}
	e.allShards()[0].fail(ErrDamaged)
	c, _ := takeCut(t, e)
	if len(c.Damaged) != 1 || c.Damaged[0].Key != e.allShards()[0].key {
		t.Errorf("damaged: %v", c.Damaged)
	}
	if n := mustEqualCut(t, c); n != 50 {
		t.Errorf("%d records, want the 50 of the other shard", n)
	}

	// As files: those of the damaged shard that can be read are there besides.
	other.fill(t, e, 20, 10)
	files, err := e.CutFiles(testContext, anySlot)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Release()
	records := map[catalog.ShardKey]uint64{}
	for _, s := range files.Shards {
		records[s.Shard] = s.Digest.Count
		for _, f := range s.Files {
			if hash, quick, err := f.Sum(testContext); err != nil || len(hash) != 64 || len(quick) != 32 {
				t.Error(hash, quick, err)
			}
		}
	}
	first, second := e.allShards()[0].key, e.allShards()[1].key
	if len(files.Damaged) != 1 || files.Damaged[0].Key != first || records[first] != 100 || records[second] != 70 {
		t.Errorf("damaged %v, records %v", files.Damaged, records)
	}
}

// TestCutOfDamagedBytes plants each damage in a file of a real disk while a cut has it, proven by
// this process or by one before: no sums are given of it, and no process ends.
func TestCutOfDamagedBytes(t *testing.T) {
	skipShort(t)
	plants := map[string]func(t *testing.T, at, other string){
		"nothing": nil,
		"a flipped bit": func(t *testing.T, at, _ string) {
			rewriteInPlace(t, at, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
		"a flipped bit of the footer": func(t *testing.T, at, _ string) {
			rewriteInPlace(t, at, func(b []byte) []byte { b[len(b)-50] ^= 1; return b })
		},
		"a file that was cut": func(t *testing.T, at, _ string) {
			if err := os.Truncate(at, 100); err != nil {
				t.Fatal(err)
			}
		},
		"another shard's file": func(t *testing.T, at, other string) {
			b, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			rewriteInPlace(t, at, func([]byte) []byte { return b })
		},
	}
	for what, plant := range plants {
		// Sums are this process's, an earlier one's by the ledger, or nobody's.
		for _, reopened := range []string{"", "by the ledger", "by nobody"} {
			dir := t.TempDir()
			opts := memOptions(vfs.OS())
			opts.Dir = path.Join(dir, "data")
			open := func() *Engine {
				e, err := Open(testContext, opts)
				if err != nil {
					t.Fatal(err)
				}
				return e
			}
			e := open()
			s, other := newSample(), newSample()
			other.day++
			other.request += 1e15
			s.fill(t, e, 2000, 50)
			other.fill(t, e, 3000, 50)
			if err := e.Index(testContext, 0, false); err != nil {
				t.Fatal(err)
			}
			if reopened != "" {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				if reopened == "by nobody" {
					if err := os.RemoveAll(path.Join(opts.Dir, "ledger")); err != nil {
						t.Fatal(err)
					}
				}
				e = open()
			}
			c, err := e.Cut(testContext)
			if err != nil {
				t.Fatal(err)
			}
			files := []*CutFile{c.Shards[0].Files[0], c.Shards[1].Files[0]}
			if sums := files[0].sums; (sums == nil) != (reopened == "by nobody") || sums != nil && (sums.Quick == "") != (reopened == "by the ledger") {
				t.Errorf("reopened %q: known sums are %v", reopened, sums)
			}
			want, _, err := filesum.Of(files[0].Content())
			if err != nil {
				t.Fatal(err)
			}
			if plant != nil {
				plant(t, path.Join(opts.Dir, files[0].Path), path.Join(opts.Dir, files[1].Path))
			}
			read := 0
			sums, err := files[0].Sum(testContext, func(n int) error { read += n; return nil })
			if plant == nil && (err != nil || sums != want || int64(read) != files[0].Size) {
				t.Errorf("reopened %q: sums %v of %d bytes, want %v: %v", reopened, sums, read, want, err)
			}
			if plant != nil && !isDamage(err) {
				t.Errorf("%s, reopened %q: %v", what, reopened, err)
			}
			if _, err := files[1].Sum(testContext, func(int) error { return nil }); err != nil {
				t.Errorf("%s: the file beside it: %v", what, err)
			}
			c.Release()
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSumsOfAnotherFile: sums that are on record of a file are not taken for another one's
// that lies in its place, although that is sound and of the same shard.
func TestSumsOfAnotherFile(t *testing.T) {
	w := newLedgerWorld(t)
	w.open()
	for range 2 {
		w.must(w.add(dayOne))
		w.must(w.index(false))
	}
	w.must(w.e.Close())
	files := w.files("data/shards")
	first, second := readWhole(t, w.disk, files[0]), readWhole(t, w.disk, files[1])
	w.overwrite(files[0], second)
	w.overwrite(files[1], first)
	w.open()
	c, err := w.e.Cut(testContext)
	w.must(err)
	for i, f := range c.Shards[0].Files {
		want, _, err := filesum.Of(f.Content())
		w.must(err)
		if got, err := f.Sum(testContext, func(int) error { return nil }); f.sums != nil || err != nil || got != want {
			t.Errorf("file %d: %v, known were %v; want %v, %v", i, got, f.sums, want, err)
		}
	}
	c.Release()
	w.must(w.e.Close())
}

// rewriteInPlace changes a file without giving it another inode.
func rewriteInPlace(t *testing.T, at string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(at)
	if err == nil {
		err = os.WriteFile(at, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
