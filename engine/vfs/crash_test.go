package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const seeds = 200

// outcomes crashes a file system with many seeds at one fraction, and gives what
// describe says of the disks, sorted, each once.
func outcomes(m *Mem, unsynced float64, describe func(*Mem) string) (all []string) {
	for seed := range uint64(seeds) {
		all = append(all, describe(m.CrashClone(rand.New(rand.NewPCG(seed, 1)), unsynced)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func wantOutcomes(t *testing.T, m *Mem, unsynced float64, describe func(*Mem) string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := outcomes(m, unsynced, describe); !slices.Equal(got, want) {
		t.Fatalf("at %v a crash leaves %q, want %q", unsynced, got, want)
	}
}

// files describes a disk by the content of the named files.
func files(t *testing.T, names ...string) func(*Mem) string {
	return func(m *Mem) string {
		var s []string
		for _, name := range names {
			s = append(s, content(t, m, name))
		}
		return strings.Join(s, " ")
	}
}

func TestCrashNames(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("d"))
	write(t, m, "d/a", "old")
	wantOutcomes(t, m, 0, files(t, "d/a"), "absent")
	wantOutcomes(t, m, .5, files(t, "d/a"), "absent", "old")
	wantOutcomes(t, m, 1, files(t, "d/a"), "old")
	must(t, m.SyncDir("d"))
	wantOutcomes(t, m, 0, files(t, "d/a"), "old")

	// A rename over a file is kept whole or not at all.
	write(t, m, "d/b", "new")
	must(t, m.SyncDir("d"))
	must(t, m.Rename("d/b", "d/a"))
	wantOutcomes(t, m, 0, files(t, "d/a", "d/b"), "old new")
	wantOutcomes(t, m, .5, files(t, "d/a", "d/b"), "old new", "new absent")
	must(t, m.SyncDir("d"))
	wantOutcomes(t, m, 0, files(t, "d/a", "d/b"), "new absent")

	// A removed file may come back until the directory is synced.
	must(t, m.Remove("d/a"))
	wantOutcomes(t, m, .5, files(t, "d/a"), "new", "absent")
	must(t, m.SyncDir("d"))
	wantOutcomes(t, m, .5, files(t, "d/a"), "absent")
}

func TestCrashRenameBetweenDirectories(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("from"))
	must(t, m.MkdirAll("to"))
	write(t, m, "from/a", "text")
	must(t, m.SyncDir("from"))
	must(t, m.Rename("from/a", "to/a"))
	must(t, m.SyncDir("from"))
	wantOutcomes(t, m, .5, files(t, "from/a", "to/a"), "text absent", "absent text")
	must(t, m.SyncDir("to"))
	wantOutcomes(t, m, .5, files(t, "from/a", "to/a"), "absent text")
}

func TestCrashKeepsOrderOfOneName(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("d"))
	must(t, m.MkdirAll("trash"))
	write(t, m, "d/a", "first")
	must(t, m.SyncDir("d"))
	// The second a cannot be on disk while the first is not in the trash.
	must(t, m.Rename("d/a", "trash/a"))
	write(t, m, "d/a", "second")
	wantOutcomes(t, m, .5, files(t, "d/a", "trash/a"), "first absent", "absent first", "second first")
	must(t, m.SyncDir("d"))
	wantOutcomes(t, m, .5, files(t, "d/a", "trash/a"), "second first")
}

func TestCrashMkdirAllIsDurable(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/x/y/z"))
	c := m.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	if _, err := c.Stat("x/y/z"); err != nil {
		t.Fatal(err)
	}
}

func TestCrashData(t *testing.T) {
	m := NewMem()
	f, err := m.Create("a")
	must(t, err)
	must(t, m.SyncDir("/"))
	wantOutcomes(t, m, 1, files(t, "a"), "")
	put := func(s string) {
		_, err := f.Write([]byte(s))
		must(t, err)
	}
	put("one")
	wantOutcomes(t, m, 0, files(t, "a"), "")
	wantOutcomes(t, m, 1, files(t, "a"), "one")
	must(t, f.Sync())
	wantOutcomes(t, m, 0, files(t, "a"), "one")

	// Of what is added later the file may hold a part, or zeros in its place.
	put("two")
	wantOutcomes(t, m, 0, files(t, "a"), "one")
	wantOutcomes(t, m, .5, files(t, "a"),
		"one", "onet", "onetw", "onetwo", "one\x00", "one\x00\x00", "one\x00\x00\x00")
	must(t, f.Sync())

	// A cut may not have happened, and what is written after it not either.
	must(t, f.Truncate(3))
	wantOutcomes(t, m, .5, files(t, "a"), "one", "onetwo")
	put("2")
	wantOutcomes(t, m, 0, files(t, "a"), "onetwo")
	wantOutcomes(t, m, 1, files(t, "a"), "one2")
	wantOutcomes(t, m, .5, files(t, "a"), "onetwo", "one2", "one2wo", "onet")
	must(t, f.Sync())
	wantOutcomes(t, m, .5, files(t, "a"), "one2")
	must(t, f.Truncate(6))
	must(t, f.Sync())
	wantOutcomes(t, m, 0, files(t, "a"), "one2\x00\x00")
}

// What was cut off may be on disk still, even where something else was written
// since, as long as there was no sync in between.
func TestCrashBringsBackWhatWasCut(t *testing.T) {
	for _, synced := range []bool{false, true} {
		m := NewMem()
		f, err := m.Create("a")
		must(t, err)
		must(t, m.SyncDir("/"))
		_, err = f.Write(bytes.Repeat([]byte("A"), 2*sectorSize))
		must(t, err)
		must(t, f.Truncate(0))
		if synced {
			must(t, f.Sync())
		}
		_, err = f.Write(bytes.Repeat([]byte("B"), 2*sectorSize))
		must(t, err)
		mixed := slices.ContainsFunc(outcomes(m, .5, files(t, "a")), func(s string) bool {
			return strings.HasPrefix(s, "A") && strings.HasSuffix(s, "B")
		})
		if mixed == synced {
			t.Fatalf("synced after the cut: %v, and old and new are mixed: %v", synced, mixed)
		}
	}
}

// What was synced holds, and each sector of the rest is new, old or zero.
func TestCrashSectors(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	m := NewMem()
	f, err := m.Create("a")
	must(t, err)
	must(t, m.SyncDir("/"))
	var all []byte
	synced := 0
	for i := range 300 {
		b := bytes.Repeat([]byte{byte(1 + i%255)}, rng.IntN(3000))
		_, err := f.Write(b)
		must(t, err)
		all = append(all, b...)
		if rng.IntN(3) == 0 {
			must(t, f.Sync())
			synced = len(all)
		}
		got := []byte(content(t, m.CrashClone(rng, rng.Float64()), "a"))
		if len(got) < synced || len(got) > len(all) || !bytes.Equal(got[:synced], all[:synced]) {
			t.Fatalf("step %d: %d bytes, of %d synced and %d written", i, len(got), synced, len(all))
		}
		for at := synced; at < len(got); {
			end := min(at-at%sectorSize+sectorSize, len(got))
			if !bytes.Equal(got[at:end], all[at:end]) && len(bytes.Trim(got[at:end], "\x00")) > 0 {
				t.Fatalf("step %d: sector at %d is neither new nor empty", i, at)
			}
			at = end
		}
	}
}

// A clone is another disk: what happens to one does not show in the other.
func TestCrashCloneIsApart(t *testing.T) {
	m := NewMem()
	write(t, m, "a", "text")
	must(t, m.SyncDir("/"))
	_, err := m.Lock("lock")
	must(t, err)
	c := m.CrashClone(rand.New(rand.NewPCG(1, 1)), 1)
	write(t, c, "a", "other")
	if got := content(t, m, "a"); got != "text" {
		t.Fatalf("original became %q", got)
	}
	_, err = c.Lock("lock")
	must(t, err)
}

func TestFaulty(t *testing.T) {
	full := errors.New("disk is full")
	run := func(f *Faulty) error {
		file, err := f.Create("a")
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := file.Write([]byte("abcdef")); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		if err := file.Truncate(5); err != nil {
			return err
		}
		if err := f.MkdirAll("d"); err != nil {
			return err
		}
		if err := f.Rename("a", "d/a"); err != nil {
			return err
		}
		if err := f.SyncDir("d"); err != nil {
			return err
		}
		if l, err := f.Lock("lock"); err != nil {
			return err
		} else if err := l.Close(); err != nil {
			return err
		}
		return f.Remove("lock")
	}
	counted := NewFaulty(NewMem())
	must(t, run(counted))
	if n := counted.Operations(); n != 9 {
		t.Fatalf("%d operations, want 9", n)
	}
	for k := int64(1); k <= 9; k++ {
		m := NewMem()
		f := NewFaulty(m)
		f.FailAt(k, full)
		err := run(f)
		wantErr(t, err, full)
		if f.Operations() != k {
			t.Fatalf("stopped after %d operations, want %d", f.Operations(), k)
		}
		if k == 2 && content(t, m, "a") != "abc" {
			t.Fatalf("a failed write left %q", content(t, m, "a"))
		}
		must(t, run(f)) // only the k-th fails

		m = NewMem()
		f = NewFaulty(m)
		f.CrashAt(k)
		wantErr(t, run(f), ErrCrashed)
		wantErr(t, run(f), ErrCrashed)
		_, err = f.Stat("a")
		wantErr(t, err, ErrCrashed)
		_, err = f.List("/")
		wantErr(t, err, ErrCrashed)
		_, err = f.Open("a")
		wantErr(t, err, ErrCrashed)
		if k == 2 && content(t, m, "a") != "" {
			t.Fatalf("a write at the crash left %q", content(t, m, "a"))
		}
	}
}

// An open file of a machine that stands still neither reads nor writes.
func TestFaultyOpenFile(t *testing.T) {
	f := NewFaulty(NewMem())
	file, err := f.Create("a")
	must(t, err)
	f.FailFrom(2, fmt.Errorf("no"))
	if n, err := file.Write([]byte("abcd")); n != 2 || err == nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	f.CrashAt(4)
	must(t, file.Sync())
	wantErr(t, file.Truncate(1), ErrCrashed)
	_, err = file.ReadAt(make([]byte, 1), 0)
	wantErr(t, err, ErrCrashed)
	_, err = file.Size()
	wantErr(t, err, ErrCrashed)
	_, err = file.Map()
	wantErr(t, err, ErrCrashed)
	_, err = file.Write([]byte("x"))
	wantErr(t, err, ErrCrashed)
	must(t, file.Close())
}
