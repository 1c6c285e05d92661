package torture

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"arbor/engine"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// everyOf is how many of a store's bytes there are for each that is tried: all are by
// the long form, and by the short one each time others.
func everyOf() (step, first int) {
	if *histories >= longHistories {
		return 1, 0
	}
	return shortStep, rand.IntN(shortStep)
}

const (
	longHistories = 1000
	shortStep     = 4
)

// TestEveryByteDamaged changes each byte of a small store, one at a time, and
// opens it. What is changed is detected, by an error that names the file, or
// harmless; never is an answer wrong.
func TestEveryByteDamaged(t *testing.T) {
	skipShort(t)
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed=%v", closed), func(t *testing.T) {
			r, disk, options := smallStore(t, closed)
			outcomes := map[string]int{}
			step, first := everyOf()
			for _, name := range fileNames(t, disk, "data") {
				whole := readFile(t, disk, name)
				for at := first; at < len(whole); at += step {
					rng := rand.New(rand.NewPCG(uint64(at), 5))
					damaged := bytes.Clone(whole)
					damaged[at] ^= byte(1 + rng.IntN(255))
					copied := disk.CrashClone(rng, 1)
					writeFile(t, copied, name, damaged)
					outcome, err := r.examine(copied, options(), path.Base(name))
					if err != nil {
						t.Fatalf("%s, byte %d of %d, %#x for %#x: %v", name, at, len(whole), damaged[at], whole[at], err)
					}
					kind := path.Ext(name)
					if path.Base(path.Dir(name)) == "ledger" {
						kind = "ledger" // what it says can be learnt from the rest
					}
					outcomes[kind+" "+outcome]++
				}
				t.Logf("%s: %d bytes", name, len(whole))
			}
			t.Logf("%v", outcomes)
			for _, kind := range []string{".log", ".idx"} {
				if outcomes[kind+" detected"]+outcomes[kind+" not opened"] < 10*outcomes[kind+" harmless"] {
					t.Errorf("most damage to %s files should be detected", kind)
				}
			}
		})
	}
}

// TestEveryFileCut cuts each file of a small store short, at every length, but
// for the newest segment of a log: its end is what a crash takes, before it was
// acknowledged, and nothing says that this was no crash.
func TestEveryFileCut(t *testing.T) {
	skipShort(t)
	r, disk, options := smallStore(t, true)
	names := fileNames(t, disk, "data")
	for i, name := range names {
		if isNewestSegment(names, i) {
			continue
		}
		whole := readFile(t, disk, name)
		outcomes := map[string]int{}
		step, first := everyOf()
		for size := first; size < len(whole); size += step {
			copied := disk.CrashClone(rand.New(rand.NewPCG(0, 0)), 1)
			writeFile(t, copied, name, whole[:size])
			outcome, err := r.examine(copied, options(), path.Base(name))
			if err != nil {
				t.Fatalf("%s cut to %d of %d bytes: %v", name, size, len(whole), err)
			}
			outcomes[outcome]++
		}
		t.Logf("%s: %d bytes, %v", name, len(whole), outcomes)
	}
}

// TestEveryFileRemoved takes whole files away. They are missed, but for the
// newest segment of a log, of which nothing speaks yet.
func TestEveryFileRemoved(t *testing.T) {
	skipShort(t)
	r, disk, options := smallStore(t, true)
	names := fileNames(t, disk, "data")
	for i, name := range names {
		if isNewestSegment(names, i) {
			continue
		}
		copied := disk.CrashClone(rand.New(rand.NewPCG(0, 0)), 1)
		if err := copied.Remove(name); err != nil {
			t.Fatal(err)
		}
		outcome, err := r.examine(copied, options(), "")
		if err != nil {
			t.Errorf("%s removed: %v", name, err)
		}
		t.Logf("%s removed: %s", name, outcome)
	}
}

// isNewestSegment reports whether file i is the last of a log's directory.
func isNewestSegment(names []string, i int) bool {
	return path.Ext(names[i]) == ".log" && (i+1 == len(names) || path.Dir(names[i+1]) != path.Dir(names[i]))
}

// smallStore makes a store with indexed files and a log. One that is not closed
// is as a power cut leaves it.
func smallStore(t *testing.T, closed bool) (*run, *vfs.Mem, func() engine.Options) {
	t.Helper()
	r, err := begin(t.Context(), openEngine, oneDay)
	if err != nil {
		t.Fatal(err)
	}
	m := r.subject.(*member)
	for i, act := range []func(*run, *rand.Rand) error{
		(*run).append, (*run).append, (*run).delete, closeAll, (*run).append, (*run).delete, indexAll,
		(*run).append, (*run).reopen, (*run).append, (*run).delete, (*run).undo, (*run).compareAll,
	} {
		r.logf("%d", i)
		if err := act(r, rand.New(rand.NewPCG(uint64(i), 6))); err != nil {
			t.Fatal(err)
		}
	}
	disk := m.disk.CrashClone(rand.New(rand.NewPCG(0, 0)), 0)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if closed {
		disk = m.disk
	}
	return r, disk, func() engine.Options { return engineOptions(func() time.Time { return r.now }) }
}

// examine opens a damaged disk and asks it everything, before and after
// indexing: any answer must be the right one. It says whether the damage was
// detected or harmless.
func (r *run) examine(disk *vfs.Mem, options engine.Options, file string) (outcome string, err error) {
	s, err := openOn(r.ctx, disk, options)
	if err != nil {
		_, err := detected(err, file)
		return "not opened", err
	}
	examined := *r
	examined.subject = s
	examined.unparted = true // parts read what wholes read, and there are as many examinations as bytes
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, act := range []func(*run, *rand.Rand) error{(*run).answers, closeAll, (*run).answers} {
		if err := act(&examined, rand.New(rand.NewPCG(1, 7))); errors.Is(err, errWrong) {
			return "", err
		} else if err != nil {
			return detected(err, file)
		}
	}
	return "harmless", nil
}

// detected expects the error to say where the damage is.
func detected(err error, file string) (string, error) {
	if !strings.Contains(err.Error(), file) {
		return "", fmt.Errorf("the error does not name %s: %w", file, err)
	}
	return "detected", nil
}

// answers asks for everything.
func (r *run) answers(rng *rand.Rand) error {
	if err := r.compareScan(everything(rng, 1, true)); err != nil {
		return err
	}
	if err := r.compareScan(everything(rng, 1, false)); err != nil {
		return err
	}
	if err := r.compareScan(&exec.Fragment{Project: 1, Columns: []exec.Column{{Source: exec.SourceIngestID}}, AsOf: r.someMoment(rng)}); err != nil {
		return err
	}
	if err := r.compareTable("balance", balanceColumns); err != nil {
		return err
	}
	if !bytes.Equal(r.subject.Catalog().Encode(), r.catalog.Encode()) {
		return fmt.Errorf("%w: the catalog is of version %d, want %d", errWrong, r.subject.Catalog().Version, r.catalog.Version)
	}
	return r.compareTable("digests", digestColumns)
}

// fileNames lists the files under a directory, without the lock.
func fileNames(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range names {
		full := path.Join(dir, name)
		switch {
		case strings.HasSuffix(name, "/"):
			files = append(files, fileNames(t, fs, full)...)
		case name != "LOCK":
			files = append(files, full)
		}
	}
	return files
}

func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), fs.SyncDir(path.Dir(name))); err != nil {
		t.Fatal(err)
	}
}
