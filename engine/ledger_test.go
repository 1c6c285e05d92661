package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// ledgerWorld is an engine whose disk is tampered with while it is closed. Its
// events are of two days, so that one shard can fail and the other must not.
type ledgerWorld struct {
	t       testing.TB
	disk    *vfs.Mem
	faulty  *vfs.Faulty
	options Options
	now     time.Time
	events  *sample
	e       *Engine
}

func newLedgerWorld(t testing.TB) *ledgerWorld {
	w := &ledgerWorld{t: t, now: time.Unix(1_800_000_000, 0), events: newSample()}
	w.options = Options{Dir: "data", Catalog: sampleCatalog(), Manual: true, SegmentBytes: 2 << 10,
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now }}
	w.use(vfs.NewMem())
	return w
}

func (w *ledgerWorld) use(disk *vfs.Mem) {
	w.disk, w.faulty = disk, vfs.NewFaulty(disk)
	w.options.FS = w.faulty
}

func (w *ledgerWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *ledgerWorld) open() {
	w.t.Helper()
	e, err := Open(context.Background(), w.options)
	w.must(err)
	w.e = e
}

func (w *ledgerWorld) reopen() {
	w.t.Helper()
	w.must(w.e.Close())
	w.open()
}

// add appends ten events of a day.
func (w *ledgerWorld) add(day catalog.Day) error {
	w.events.day = day
	record, err := event.AppendBatch(nil, w.events.batch(10))
	w.must(err)
	return w.e.Append(context.Background(), [][]byte{record})
}

func (w *ledgerWorld) index(closeDays bool) error {
	w.now = w.now.Add(time.Second)
	return w.e.Index(context.Background(), 0, closeDays)
}

// count is how many events of a day there are.
func (w *ledgerWorld) count(day catalog.Day) (int64, error) {
	from, to := catalog.Int(day.Start()), catalog.Int(day.Start()+catalog.DayMicros-1)
	stats, err := w.e.Scan(context.Background(), &exec.Fragment{
		Project: sampleProject, Copies: true, Columns: []exec.Column{{Source: exec.SourceTime, Type: catalog.TypeDatetime}},
		Filter: &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
			{Op: exec.OpMoreEq, Values: []catalog.Value{from}}, {Op: exec.OpLessEq, Values: []catalog.Value{to}}}},
	}, func(*exec.Batch) error { return nil })
	return stats.RowsGiven, err
}

func (w *ledgerWorld) want(day catalog.Day, n int64) {
	w.t.Helper()
	if got, err := w.count(day); err != nil || got != n {
		w.t.Errorf("%d events of %s, want %d; %v", got, day, n, err)
	}
}

// files are the names under a directory, and those under it.
func (w *ledgerWorld) files(dir string) (files []string) {
	names, err := w.disk.List(dir)
	w.must(err)
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			files = append(files, w.files(path.Join(dir, name))...)
		} else {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// alarmsOf gives the messages of alarms of a kind, all if it is empty.
func (w *ledgerWorld) alarmsOf(kind string) (messages []string) {
	for _, a := range w.e.alarms.all() {
		if kind == "" || a.kind == kind {
			messages = append(messages, a.message)
		}
	}
	return messages
}

const (
	dayOne = catalog.Day(20_000)
	dayTwo = catalog.Day(20_001)
)

// twoDays has 30 events of the first day in two files, 10 of the second in one,
// and 10 of each in the log.
func (w *ledgerWorld) twoDays() {
	w.t.Helper()
	w.open()
	for _, day := range []catalog.Day{dayOne, dayOne, dayTwo} {
		w.must(w.add(day))
	}
	w.must(w.index(true))
	w.must(w.add(dayOne))
	w.must(w.index(false))
	w.must(w.add(dayOne))
	w.must(w.add(dayTwo))
}

// TestMissingFile removes each indexed file, and each directory, while the engine
// is closed. Its shard fails and says which file, the other answers, nothing of
// it is taken for indexed, and the file put back heals it.
func TestMissingFile(t *testing.T) {
	w := newLedgerWorld(t)
	w.twoDays()
	w.must(w.e.Close())
	whole := w.disk
	files := w.files("data/shards")
	if len(files) != 3 {
		t.Fatalf("files %q", files)
	}
	for _, gone := range [][]string{{files[0]}, {files[1]}, {files[2]}, files[:2], files} {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			w.t = t
			w.use(whole.CrashClone(rand.New(rand.NewPCG(1, 1)), 1))
			missing := map[catalog.Day]bool{}
			for i, name := range gone {
				w.must(w.disk.Rename(name, fmt.Sprintf("data/aside%d", i)))
				missing[map[bool]catalog.Day{true: dayOne, false: dayTwo}[strings.Contains(name, dayOne.String())]] = true
			}
			if len(gone) > 1 { // the directory goes too, and all if all are gone
				for _, name := range gone {
					for dir := path.Dir(name); dir != "data"; dir = path.Dir(dir) {
						_ = w.disk.Remove(dir) // unless there is more in it
					}
				}
			}
			w.open()
			for range 2 { // until it is put back
				if alarms := w.alarmsOf(alarmMissing); len(alarms) != len(gone) {
					t.Errorf("alarms %q", alarms)
				}
				for day, n := range map[catalog.Day]int64{dayOne: 40, dayTwo: 20} {
					if !missing[day] {
						w.want(day, n)
						continue
					}
					_, err := w.count(day)
					if !errors.Is(err, ErrDamaged) || !strings.Contains(fmt.Sprint(err), path.Dir(gone[0])) && len(missing) == 1 ||
						!strings.Contains(fmt.Sprint(err), "put it back") {
						t.Errorf("%s: error %v", day, err)
					}
				}
				w.now = w.now.Add(1000 * time.Hour)
				_ = w.e.Tick(context.Background())
				_ = w.index(true)
				w.reopen()
			}
			w.must(w.e.Close())
			for i, name := range gone {
				w.must(w.disk.MkdirAll(path.Dir(name)))
				w.must(w.disk.Rename(fmt.Sprintf("data/aside%d", i), name))
			}
			w.open()
			if alarms := w.alarmsOf(""); len(alarms) > 0 {
				t.Errorf("alarms after it was put back: %q", alarms)
			}
			w.want(dayOne, 40)
			w.want(dayTwo, 20)
			w.must(w.index(true))
			w.want(dayOne, 40)
			w.must(w.e.Close())
		})
	}
}

// TestMissingSegment removes each segment of the log that holds anything. The
// engine does not open, and says which; if it is told to go on it does, once with
// an alarm.
func TestMissingSegment(t *testing.T) {
	w := newLedgerWorld(t)
	w.twoDays()
	for range 3 {
		for range 3 {
			w.must(w.add(dayOne))
		}
		w.reopen()
	}
	w.must(w.e.Close())
	whole := w.disk
	segments := w.files("data/log")
	if len(segments) < 5 {
		t.Fatalf("segments %q", segments)
	}
	for i, name := range segments {
		w.use(whole.CrashClone(rand.New(rand.NewPCG(1, 1)), 1))
		w.must(w.disk.Rename(name, "data/aside"))
		_, err := Open(context.Background(), w.options)
		if !errors.Is(err, appendlog.ErrCorrupt) || !strings.Contains(fmt.Sprint(err), name) || !strings.Contains(fmt.Sprint(err), "missing") {
			t.Fatalf("segment %d of %d: error %v", i+1, len(segments), err)
		}
		salvage := w.options
		salvage.OpenDamagedLog = true
		e, err := Open(context.Background(), salvage)
		w.must(err)
		w.e = e
		if alarms := w.alarmsOf(alarmLog); len(alarms) == 0 || !strings.Contains(alarms[0], "missing") {
			t.Errorf("alarms %q", alarms)
		}
		w.must(w.add(dayTwo))
		if n, err := w.count(dayTwo); err != nil || n != 20 && n != 30 {
			t.Errorf("%d events after going on without segment %d; %v", n, i+1, err)
		}
		w.must(w.e.Close())
		w.open()
		w.must(w.e.Close())

		w.use(whole.CrashClone(rand.New(rand.NewPCG(1, 1)), 1))
		w.open()
		if alarms := w.alarmsOf(""); len(alarms) > 0 {
			t.Errorf("alarms when all is there: %q", alarms)
		}
		w.must(w.e.Close())
	}
}

// ledgerPlay goes through all that the ledger follows; each act says how many
// events of the two days it adds.
var ledgerPlay = []struct {
	name     string
	one, two int64
	act      func(w *ledgerWorld) error
}{
	{"add", 10, 0, func(w *ledgerWorld) error { return w.add(dayOne) }},
	{"add", 0, 10, func(w *ledgerWorld) error { return w.add(dayTwo) }},
	{"index", 0, 0, func(w *ledgerWorld) error { return w.index(false) }},
	{"add", 10, 0, func(w *ledgerWorld) error { return w.add(dayOne) }},
	{"index", 0, 0, func(w *ledgerWorld) error { return w.index(false) }},
	{"merge", 0, 0, func(w *ledgerWorld) error { return w.index(true) }},
	{"add", 10, 0, func(w *ledgerWorld) error { return w.add(dayOne) }},
	{"add", 0, 10, func(w *ledgerWorld) error { return w.add(dayTwo) }},
	{"merge", 0, 0, func(w *ledgerWorld) error { return w.index(true) }},
	{"add", 10, 0, func(w *ledgerWorld) error { return w.add(dayOne) }},
	{"tick", 0, 0, func(w *ledgerWorld) error {
		w.now = w.now.Add(100 * time.Hour)
		return w.e.Tick(context.Background())
	}},
	{"purge", 0, 0, func(w *ledgerWorld) error {
		other := catalog.ShardKey{Project: 6, Day: dayOne}
		record, err := event.AppendBatch(nil, &event.Batch{Shard: other, Events: w.events.batch(3).Events})
		w.must(err)
		none := sampleCatalog()
		both := sampleCatalog()
		both.Projects = append([]*catalog.Project{{ID: 6, Name: "old", Buckets: 1}}, both.Projects...)
		w.e.SetCatalog(both)
		err = errors.Join(w.e.Append(context.Background(), [][]byte{record}), w.index(false))
		w.e.SetCatalog(none)
		return errors.Join(err, w.e.Tick(context.Background()))
	}},
	{"merge", 0, 0, func(w *ledgerWorld) error { return w.index(true) }},
}

// TestLedgerCrashes stops the machine at every operation on files, or has it fail
// once and cuts the power some acts later, and opens what is left: there is no
// false alarm, no shard fails, and nothing that was acknowledged is lost. With a
// ledger that is made short all the time, snapshots are stopped too. Errors come
// at every seventh operation, for the time's sake.
func TestLedgerCrashes(t *testing.T) {
	skipShort(t)
	for _, fault := range []error{vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC} {
		for _, maxEntries := range []int{maxLedgerEntries, 1} {
			k, step := int64(1), int64(7)
			if fault == vfs.ErrCrashed {
				step = 1
			}
			for ; crashLedger(t, k, fault, maxEntries, []float64{0, 0.5, 1}[k%3]) && !t.Failed(); k += step {
			}
			t.Logf("%v, at most %d entries: %d operations on files", fault, maxEntries, k-1)
		}
	}
}

func crashLedger(t *testing.T, k int64, fault error, maxEntries int, unsynced float64) (failed bool) {
	t.Helper()
	name := fmt.Sprintf("%v at operation %d, at most %d entries, %v unsynced", fault, k, maxEntries, unsynced)
	w := newLedgerWorld(t)
	w.open()
	w.e.ledger.maxEntries = maxEntries
	k += w.faulty.Operations()
	w.faulty.Inject(func(o vfs.Op) error {
		if o.N < k || fault == syscall.EIO && o.N > k {
			return nil
		}
		failed = true
		return fault
	})
	var least, most [2]int64
	rest := int(k % 5) // acts between the fault and the crash
	var trouble []string
	for _, act := range ledgerPlay {
		err := act.act(w)
		most[0], most[1] = most[0]+act.one, most[1]+act.two
		if err == nil {
			least[0], least[1] = least[0]+act.one, least[1]+act.two
		} else if !failed {
			t.Fatalf("%s: %s: %v", name, act.name, err)
		} else {
			trouble = append(trouble, act.name+": "+err.Error())
		}
		if failed && fault == vfs.ErrCrashed {
			break
		} else if failed {
			if w.faulty.Inject(nil); rest == 0 {
				break
			}
			rest--
		}
	}
	rng := rand.New(rand.NewPCG(uint64(k), 9))
	crashed := w.disk.CrashClone(rng, unsynced)
	_ = w.e.Close()
	for range 2 {
		w.use(crashed)
		w.open()
		w.e.ledger.maxEntries = maxEntries
		alarms := w.alarmsOf("")
		for i, day := range []catalog.Day{dayOne, dayTwo} {
			if n, err := w.count(day); err != nil || n < least[i] || n > most[i] {
				t.Errorf("%s: %d events of %s, want %d to %d; %v; before: %q", name, n, day, least[i], most[i], err, trouble)
			}
		}
		w.must(w.index(true))
		if alarms = append(alarms, w.alarmsOf("")...); len(alarms) > 0 {
			t.Errorf("%s: alarms %q; before: %q", name, alarms, trouble)
		}
		crashed = w.disk.CrashClone(rng, unsynced)
		_ = w.e.Close()
	}
	return failed
}

// TestLedgerDamaged changes each byte of the ledger, and removes it. That is
// harmless or an alarm; the data is there, and the next opening is quiet, and
// misses a file again.
func TestLedgerDamaged(t *testing.T) {
	skipShort(t)
	w := newLedgerWorld(t)
	w.twoDays()
	w.must(w.e.Close())
	whole := w.disk
	outcomes := map[string]int{}
	for _, name := range w.files("data/ledger") {
		content := readWhole(t, whole, name)
		for at := -1; at < len(content); at++ {
			w.use(whole.CrashClone(rand.New(rand.NewPCG(1, 1)), 1))
			if at < 0 {
				w.must(w.disk.Remove(name))
			} else {
				b := bytes.Clone(content)
				b[at] ^= byte(1 + at%255)
				writeWhole(t, w.disk, name, b)
			}
			w.open()
			outcome := "harmless"
			if len(w.alarmsOf(alarmDamage)) > 0 {
				outcome = "alarm"
			} else if len(w.alarmsOf("")) > 0 {
				outcome = "false alarm"
				t.Errorf("%s, byte %d: %q", name, at, w.alarmsOf(""))
			}
			outcomes[outcome]++
			w.want(dayOne, 40)
			w.want(dayTwo, 20)
			w.reopen()
			if alarms := w.alarmsOf(""); len(alarms) > 0 {
				t.Errorf("%s, byte %d, opened again: %q", name, at, alarms)
			}
			w.must(w.e.Close())
			w.must(w.disk.Remove(w.files("data/shards")[0]))
			w.open()
			if len(w.alarmsOf(alarmMissing)) != 1 {
				t.Errorf("%s, byte %d: a missing file is not missed: %q", name, at, w.alarmsOf(""))
			}
			w.must(w.e.Close())
		}
	}
	t.Log(outcomes)
	if outcomes["alarm"] < 10*outcomes["harmless"] {
		t.Errorf("most damage should be an alarm: %v", outcomes)
	}
}

func readWhole(t testing.TB, disk vfs.FS, name string) []byte {
	t.Helper()
	f, err := disk.Open(name)
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

func writeWhole(t testing.TB, disk vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := disk.Create(name)
	if err == nil {
		_, err = f.Write(b)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestLedgerIsBounded opens again and again, and swaps many times.
func TestLedgerIsBounded(t *testing.T) {
	skipShort(t)
	w := newLedgerWorld(t)
	w.open()
	w.e.ledger.maxEntries = 8
	for range 60 {
		w.must(w.add(dayOne))
		w.must(w.index(false))
		l := &w.e.ledger
		if most := max(l.maxEntries, 2*(len(l.files)+l.notes.len()+2)) + 2; l.entries > most { // a change has two
			t.Fatalf("%d entries of %d files", l.entries, len(l.files[shardOfDayOne]))
		}
	}
	for i := range 3 * maxLedgerSegments {
		w.must(w.add(dayOne))
		w.reopen()
		if n := len(w.files("data/ledger")); n > maxLedgerSegments+1 {
			t.Fatalf("%d segments after %d openings", n, i)
		}
	}
	w.want(dayOne, 10*60+30*maxLedgerSegments)
	if alarms := w.alarmsOf(""); len(alarms) > 0 {
		t.Errorf("alarms %q", alarms)
	}
	w.must(w.e.Close())
	w.must(w.disk.Remove(w.files("data/shards")[3]))
	w.open()
	if len(w.alarmsOf(alarmMissing)) != 1 {
		t.Error("a missing file is not missed")
	}
	w.must(w.e.Close())
}

// TestCatalogLost opens data with catalogs that never made its project.
func TestCatalogLost(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		for _, next := range []catalog.ProjectID{0, 1, sampleProject, sampleProject + 1} {
			w := newLedgerWorld(t)
			w.open()
			w.must(w.add(dayOne))
			if indexed {
				w.must(w.index(true))
			}
			w.must(w.e.Close())
			w.options.Catalog = &catalog.Catalog{NextProject: next}
			e, err := Open(context.Background(), w.options)
			if lost := next <= sampleProject; errors.Is(err, ErrCatalogLost) != lost || lost == (err == nil) {
				t.Errorf("indexed=%v, next project %d: %v", indexed, next, err)
			}
			if err == nil {
				w.must(e.Close())
			}
			w.options.Catalog = nil
			w.open()
			w.must(w.e.Close())
		}
	}
}

func ledgerSamples() []ledgerEntry {
	return []ledgerEntry{
		{kind: ledgerBegin},
		{kind: ledgerShard, shard: catalog.ShardKey{Project: 7, Day: 20_000, Bucket: 3}},
		{kind: ledgerShard, shard: catalog.ShardKey{Project: 1<<32 - 1, Day: -1, Bucket: 1<<16 - 1}, files: []fileName{{1_800_000_000_000_000, 0xdeadbeef}, {1_800_000_000_000_000, 0xdeadbef0}, {1_800_000_060_000_000, 1}}},
		{kind: ledgerLog, logged: loggedSegments{next: 7}},
		{kind: ledgerLog, logged: loggedSegments{next: 1 << 40, live: []uint64{1, 5, 6, 1 << 40}}},
		{kind: ledgerLost, lost: true},
		{kind: ledgerLost},
		{kind: ledgerDropped, shard: catalog.ShardKey{Project: 7, Day: 20_000, Bucket: 3}, drop: drop{cut{5, 1 << 20}, 1_800_000_000_000_000}},
		{kind: ledgerVoid, slot: catalog.Slot{Project: 7, Bucket: 300}, dots: dot.Of(dot.Dot{Stream: dot.Stream{9}, Seq: 4}, dot.Dot{Stream: dot.Stream{9}, Seq: 5})},
		{kind: ledgerBatches, shard: catalog.ShardKey{Project: 7, Day: 20_000, Bucket: 3}, file: fileName{1_800_000_000_000_000, 0xdeadbeef}, dots: dot.Of(dot.Dot{Stream: dot.Stream{9}, Seq: 4}, dot.Dot{Stream: dot.Stream{9}, Seq: 5})},
		{kind: ledgerBatches, shard: catalog.ShardKey{Project: 7, Day: 20_000, Bucket: 3}, file: fileName{1, 2}},
		{kind: ledgerSum, shard: catalog.ShardKey{Project: 7, Day: 20_000, Bucket: 3}, file: fileName{1_800_000_000_000_000, 0xdeadbeef}, sum: provenSum{0x0102030405060708, sha256.Sum256([]byte("arbor"))}},
	}
}

// TestLedgerGolden holds the encodings against the bytes that are on disks.
func TestLedgerGolden(t *testing.T) {
	want := strings.Fields(string(readWhole(t, vfs.OS(), "testdata/ledger.v1")))
	for i, e := range ledgerSamples() {
		b := e.encode()
		if got := fmt.Sprintf("%x", b); i >= len(want) || got != want[i] {
			t.Errorf("entry %d is encoded as\n%s", i, got)
		}
		back, err := decodeLedgerEntry(b)
		if err != nil || !sameEntry(back, e) {
			t.Errorf("%+v came back as %+v, %v", e, back, err)
		}
		for n := range b {
			if _, err := decodeLedgerEntry(b[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("entry %d cut to %d bytes: %v", i, n, err)
			}
		}
		b[0] = ledgerVersion + 1
		if _, err := decodeLedgerEntry(b); !errors.Is(err, event.ErrVersion) {
			t.Errorf("newer entry: %v", err)
		}
	}
	for _, bad := range []string{"\x00\x01", "\x01\x00", "\x01\x04", "\x01\x04\x01", "\x02\x04\x02", "\x02\x07", "\x01\x01\x00", "\x01\x03\x01\x01\x00", "\x01\x03\x01\xff\xff\xff\xff\xff\x0f"} {
		if _, err := decodeLedgerEntry([]byte(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func sameEntry(a, b ledgerEntry) bool {
	return a.kind == b.kind && a.shard == b.shard && slices.Equal(a.files, b.files) && a.logged.equal(b.logged) &&
		a.lost == b.lost && a.drop == b.drop && a.slot == b.slot && a.file == b.file && a.sum == b.sum && a.dots.Equal(&b.dots)
}

func FuzzLedgerEntry(f *testing.F) {
	for _, e := range ledgerSamples() {
		f.Add(e.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeLedgerEntry(b)
		if err != nil {
			return
		}
		again, err := decodeLedgerEntry(e.encode())
		if err != nil || !sameEntry(e, again) {
			t.Fatalf("%x is %+v, and that comes back as %+v, %v", b, e, again, err)
		}
	})
}
