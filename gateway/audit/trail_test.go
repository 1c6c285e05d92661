package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"arbor/engine/vfs"
)

const large = 1 << 30

// open opens a trail whose clock ticks a second a line.
func open(t *testing.T, fs vfs.FS, most int64) *Trail {
	t.Helper()
	trail, err := openAt(fs, most)
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

func openAt(fs vfs.FS, most int64) (*Trail, error) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	return Open(Options{FS: fs, Dir: "audit", MaxBytes: func() int64 { return most }, Now: func() time.Time {
		at = at.Add(time.Second)
		return at
	}})
}

func read(t *testing.T, trail *Trail) []Record {
	t.Helper()
	records, err := trail.Read()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func texts(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "%d %s %s %s %d\n", r.ID, r.Kind, r.Statement, r.Outcome, r.Code)
	}
	return b.String()
}

func TestRecordsHaveTheirOutcomes(t *testing.T) {
	fs := vfs.NewMem()
	trail := open(t, fs, large)
	if got := read(t, trail); len(got) != 0 {
		t.Fatalf("a new trail has %v", got)
	}
	if names, _ := fs.List("audit"); len(names) != 0 {
		t.Fatalf("files before there is anything to write: %v", names)
	}
	note(t, trail, Record{Kind: "login", Outcome: OK})
	dropped := begin(t, trail, "DROP TABLE a")
	granted := begin(t, trail, "GRANT b")
	begin(t, trail, "DROP TABLE c")
	end(t, trail, granted, OK, 0)
	end(t, trail, dropped, Failed, 1051)
	want := "1 login  ok 0\n2 ddl DROP TABLE a failed 1051\n3 ddl GRANT b ok 0\n4 ddl DROP TABLE c unknown 0\n"
	if got := texts(read(t, trail)); got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	if err := trail.Note(Record{}); !errors.Is(err, errClosed) {
		t.Fatalf("a closed trail answers %v", err)
	}
	again := open(t, fs, large)
	defer again.Close()
	note(t, again, Record{Kind: "login", Outcome: OK})
	if got := texts(read(t, again)); got != want+"5 login  ok 0\n" {
		t.Fatalf("after another start\n%s", got)
	}
}

func note(t *testing.T, trail *Trail, r Record) {
	t.Helper()
	if err := trail.Note(r); err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, trail *Trail, statement string) uint64 {
	t.Helper()
	id, err := trail.Begin(Record{Kind: "ddl", Statement: statement})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func end(t *testing.T, trail *Trail, id uint64, outcome string, code uint16) {
	t.Helper()
	if err := trail.End(id, outcome, code); err != nil {
		t.Fatal(err)
	}
}

// TestATrailIsBounded: the oldest files go, and what is left can be read and is whole.
func TestATrailIsBounded(t *testing.T) {
	const most = 64 << 10
	fs := vfs.NewMem()
	for range 3 {
		trail := open(t, fs, most)
		for range 400 {
			end(t, trail, begin(t, trail, strings.Repeat("x", 200)), OK, 0)
		}
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
		all := int64(0)
		names, _ := fs.List("audit")
		for _, name := range names {
			info, err := fs.Stat(path.Join("audit", name))
			if err != nil {
				t.Fatal(err)
			}
			all += info.Size()
		}
		if all > most+most/parts || all < most*3/4 {
			t.Fatalf("%d bytes in %d files", all, len(names))
		}
	}
	trail := open(t, fs, most)
	defer trail.Close()
	records := read(t, trail)
	if last := records[len(records)-1]; last.ID != 1200 {
		t.Fatalf("the last record is %d", last.ID)
	}
	for i, r := range records {
		if r.Kind != "ddl" || i > 0 && (r.ID != records[i-1].ID+1 || r.Outcome != OK) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
}

// TestEveryChangedByteShows changes each byte of a trail, and takes each line out.
func TestEveryChangedByteShows(t *testing.T) {
	fs := vfs.NewMem()
	for range 2 {
		trail := open(t, fs, large)
		note(t, trail, Record{Kind: "login", User: "ann", Outcome: OK})
		end(t, trail, begin(t, trail, "DROP TABLE a"), OK, 0)
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := fs.List("audit")
	for n, name := range names {
		file := path.Join("audit", name)
		text := contents(t, fs, file)
		for at := range text {
			changed := bytes.Clone(text)
			changed[at] ^= 1
			last := n == len(names)-1 && at == len(text)-1 // the end of the last line, which may be torn
			if shows := gaps(t, fs, file, changed); !shows && !last {
				t.Errorf("%s: byte %d (%q) is another and does not show", name, at, text[at])
			}
		}
		lines := bytes.SplitAfter(text, []byte("\n"))
		for out := range lines[:len(lines)-1] {
			changed := bytes.Join(append(append([][]byte{}, lines[:out]...), lines[out+1:]...), nil)
			if last := n == len(names)-1 && out == len(lines)-2; !gaps(t, fs, file, changed) && !last {
				t.Errorf("%s: line %d is missing and does not show", name, out+1)
			}
		}
		write(t, fs, file, text)
	}
	trail := open(t, fs, large)
	defer trail.Close()
	if got := texts(read(t, trail)); strings.Contains(got, KindGap) {
		t.Fatalf("unchanged files have a gap:\n%s", got)
	}
	if err := fs.Remove(path.Join("audit", names[0])); err != nil {
		t.Fatal(err)
	}
	if got := texts(read(t, trail)); strings.Contains(got, KindGap) {
		t.Fatalf("without the oldest file there is a gap:\n%s", got)
	}
}

// gaps reports whether a reader sees that a file has other bytes.
func gaps(t *testing.T, fs vfs.FS, file string, text []byte) bool {
	write(t, fs, file, text)
	trail := open(t, fs, large)
	defer trail.Close()
	records, err := trail.Read()
	return err != nil || strings.Contains(texts(records), KindGap)
}

func contents(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

func write(t *testing.T, fs vfs.FS, name string, text []byte) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestWhatWasBegunIsThereAfterACrash cuts the power at every operation: what Begin has
// acknowledged is there, in its order and whole.
func TestWhatWasBegunIsThereAfterACrash(t *testing.T) {
	for k := int64(1); ; k++ {
		mem := vfs.NewMem()
		faulty := vfs.NewFaulty(mem)
		faulty.CrashAt(k)
		acked, crashed := history(faulty)
		clone := mem.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), 0.5)
		trail, err := openAt(clone, large)
		if err != nil {
			t.Fatalf("crash at operation %d: %v", k, err)
		}
		found := map[string]bool{}
		for _, r := range read(t, trail) {
			found[r.Statement] = true
		}
		for _, s := range acked {
			if !found[s] {
				t.Fatalf("crash at operation %d: %s was acknowledged and is gone", k, s)
			}
		}
		id, err := trail.Begin(Record{Kind: "ddl", Statement: "after"})
		if err != nil || id <= uint64(len(acked)) {
			t.Fatalf("crash at operation %d: then record %d, %v", k, id, err)
		}
		if records := read(t, trail); records[len(records)-1].Statement != "after" {
			t.Fatalf("crash at operation %d: the new record is not the last", k)
		}
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
		if !crashed {
			return
		}
	}
}

// TestAFailedWriteIsRefusedAndHarmsNothing makes each operation fail once.
func TestAFailedWriteIsRefusedAndHarmsNothing(t *testing.T) {
	broken := errors.New("no room")
	for k := int64(2); ; k++ { // the first makes the directory
		mem := vfs.NewMem()
		faulty := vfs.NewFaulty(mem)
		faulty.FailAt(k, broken)
		acked, failed := history(faulty)
		trail := open(t, mem, large)
		var found []string
		for _, r := range read(t, trail) {
			if r.Kind == KindGap {
				t.Fatalf("a failure of operation %d leaves a gap: %s", k, r.Statement)
			}
			found = append(found, r.Statement)
		}
		for _, s := range acked {
			if !strings.Contains(strings.Join(found, " "), s) {
				t.Fatalf("failure of operation %d: %s was acknowledged and is gone", k, s)
			}
		}
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
		if !failed {
			return
		}
	}
}

// history writes to a trail, opening it twice, and says what was acknowledged and
// whether anything failed.
func history(fs vfs.FS) (acked []string, failed bool) {
	for start := range 2 {
		trail, err := openAt(fs, large)
		if err != nil {
			return acked, true
		}
		for i := range 3 {
			s := fmt.Sprintf("statement-%d-%d", start, i)
			failed = trail.Note(Record{Kind: "login"}) != nil || failed
			id, err := trail.Begin(Record{Kind: "ddl", Statement: s})
			if err != nil {
				failed = true
				continue
			}
			acked = append(acked, s)
			failed = trail.End(id, OK, 0) != nil || failed
		}
		failed = trail.Close() != nil || failed
	}
	return acked, failed
}

// TestLongTextsAreCut holds a field at its limit and one past it.
func TestLongTextsAreCut(t *testing.T) {
	trail := open(t, vfs.NewMem(), large)
	defer trail.Close()
	begin(t, trail, strings.Repeat("a", MaxText))
	begin(t, trail, strings.Repeat("a", MaxText+1))
	begin(t, trail, "\xff\x00\n")
	got := read(t, trail)
	if got[0].Statement != strings.Repeat("a", MaxText) || got[1].Statement != strings.Repeat("a", MaxText)+"…" || got[2].Statement != "�\x00\n" {
		t.Fatalf("got %d and %d bytes and %q", len(got[0].Statement), len(got[1].Statement), got[2].Statement)
	}
}

// TestReadGivesTheNewest: of more records than MaxRead the oldest are left out.
func TestReadGivesTheNewest(t *testing.T) {
	var r reading
	r.places = map[uint64]int{}
	for id := uint64(1); id <= 2*MaxRead+10; id++ {
		r.add(line{Record: Record{ID: id}})
		r.add(line{Record: Record{Outcome: OK}, Ends: id - id%2})
	}
	all := r.all()
	if len(all) != MaxRead || all[len(all)-1].ID != 2*MaxRead+10 || all[0].ID != MaxRead+11 {
		t.Fatalf("%d records from %d to %d", len(all), all[0].ID, all[len(all)-1].ID)
	}
	for _, a := range all {
		if want := map[uint64]string{0: OK, 1: Unknown}[a.ID%2]; a.Outcome != want {
			t.Fatalf("record %d is %s", a.ID, a.Outcome)
		}
	}
}
