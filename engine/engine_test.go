package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

var testContext = context.Background()

func memOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "data", Catalog: sampleCatalog(), Manual: true, Logger: slog.New(slog.DiscardHandler)}
}

func TestSecondProcess(t *testing.T) {
	fs := vfs.NewMem()
	openSample(t, fs, "data")
	_, err := Open(testContext, memOptions(fs))
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "data: ") {
		t.Errorf("a second engine on the directory: %v", err)
	}
}

func TestClosed(t *testing.T) {
	e, err := Open(testContext, memOptions(vfs.NewMem()))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	_, scanErr := e.Scan(testContext, &exec.Fragment{}, nil)
	_, describeErr := e.Describe(testContext, "shards")
	for _, err := range []error{e.Append(testContext, nil), scanErr, describeErr, e.Tick(testContext), e.Index(testContext, 0, true)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestBrokenLog: after a sync that failed, appends fail for good and reads go on.
func TestBrokenLog(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem())
	e := openSample(t, fs, "data")
	s := newSample()
	s.fill(t, e, 10, 5)
	fs.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	record, err := event.AppendBatch(nil, s.batch(5))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Append(testContext, [][]byte{record}); !errors.Is(err, appendlog.ErrBroken) {
		t.Errorf("append whose sync fails: %v", err)
	}
	fs.Inject(nil)
	if err := e.Append(testContext, [][]byte{record}); !errors.Is(err, appendlog.ErrBroken) {
		t.Errorf("append after that: %v", err)
	}
	if n := countEvents(t, e); n != 10 {
		t.Errorf("%d events, want 10", n)
	}
}

// TestBadRecords: a record that is damaged stops the append before anything is
// written.
func TestBadRecords(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	record, err := event.AppendBatch(nil, newSample().batch(5))
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(record)
	bad[len(bad)-1] ^= 1
	if err := e.Append(testContext, [][]byte{record, bad}); !errors.Is(err, event.ErrCorrupt) || !strings.Contains(err.Error(), "record 1 of 2") {
		t.Errorf("append of a damaged record: %v", err)
	}
	if n := countEvents(t, e); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}

// TestDamagedFile: a file that is damaged makes its shard's queries fail, by
// name, and no other's.
func TestDamagedFile(t *testing.T) {
	fs := vfs.NewMem()
	e, err := Open(testContext, memOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	s := newSample()
	s.fill(t, e, 20, 10)
	s.day++
	s.fill(t, e, 20, 10)
	if err := e.Index(testContext, 0, true); err != nil {
		t.Fatal(err)
	}
	victim := e.allShards()[0]
	name := victim.fileNames()[0].String()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, fs, path.Join(victim.dir, name))
	e = openSample(t, fs, "data")
	filter := func(day catalog.Day) *exec.Fragment {
		return &exec.Fragment{Project: sampleProject, Columns: []exec.Column{{Source: exec.SourceTime, Hidden: true}},
			Filter: &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
				{Op: exec.OpMoreEq, Values: []catalog.Value{catalog.Int(day.Start())}},
				{Op: exec.OpLess, Values: []catalog.Value{catalog.Int((day + 1).Start())}}}}}
	}
	ignore := func(*exec.Batch) error { return nil }
	for range 2 { // found at opening or at the first use, it stays
		if _, err := e.Scan(testContext, filter(victim.key.Day), ignore); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("scan of the damaged shard: %v", err)
		}
	}
	if _, err := e.Scan(testContext, &exec.Fragment{Project: sampleProject}, ignore); !errors.Is(err, ErrDamaged) {
		t.Errorf("scan of both shards: %v", err)
	}
	stats, err := e.Scan(testContext, filter(victim.key.Day+1), ignore)
	if err != nil || stats.RowsGiven != 20 {
		t.Errorf("scan of the other shard: %d rows, %v", stats.RowsGiven, err)
	}
	alarms, err := e.Describe(testContext, "alarms")
	if err != nil || len(alarms.Rows) != 1 || alarms.Rows[0][1].Text != alarmDamage {
		t.Errorf("alarms are %v, %v", alarms.Rows, err)
	}
	// Its neighbours can still be indexed and closed, and nothing of it moves.
	s.fill(t, e, 5, 5)
	if err := e.Index(testContext, 0, true); !errors.Is(err, ErrDamaged) {
		t.Errorf("index: %v", err)
	}
	if _, err := fs.Stat(path.Join(victim.dir, name)); err != nil {
		t.Errorf("the damaged file: %v", err)
	}
}

// damage changes a byte in the middle of a file.
func damage(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	b[size/2] ^= 0x55
	w, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), w.Sync(), w.Close(), fs.SyncDir(path.Dir(name))); err != nil {
		t.Fatal(err)
	}
}

// TestRuns: batches with runs mean the same rows as batches without.
func TestRuns(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	s.fill(t, e, 3000, 300)
	if err := e.Index(testContext, 0, true); err != nil {
		t.Fatal(err)
	}
	s.fill(t, e, 2000, 100)
	for _, filter := range []*exec.Expr{nil,
		{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpEqual, Column: 1, Values: []catalog.Value{catalog.String("US")}}}},
		{Op: exec.OpEqual, Column: 1, Values: []catalog.Value{catalog.String("US")}}} {
		for _, limit := range []int64{0, 1000} {
			for _, copies := range []bool{false, true} {
				f := &exec.Fragment{Project: sampleProject, Copies: copies, Limit: limit, Filter: filter,
					Columns: []exec.Column{{Source: exec.SourceIngestID}, {Property: "country", Type: catalog.TypeString, Hidden: true}}}
				plain := idsOf(t, e, f)
				f.Runs = true
				withRuns := idsOf(t, e, f)
				if limit > 0 && len(plain) == len(withRuns) {
					continue // any rows will do
				}
				if !slices.Equal(plain, withRuns) {
					t.Errorf("filter %v, copies %v: %d rows, with runs %d or others", filter, copies, len(plain), len(withRuns))
				}
			}
		}
	}
}

// idsOf are the ingest ids that a fragment's first column gives, sorted.
func idsOf(t *testing.T, e *Engine, f *exec.Fragment) (ids []string) {
	t.Helper()
	stats, err := e.Scan(testContext, f, func(b *exec.Batch) error {
		runs := b.Runs
		if runs == nil {
			runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
		}
		for _, r := range runs {
			for i := r.Lo; i < r.Hi; i++ {
				ids = append(ids, strings.Clone(b.Columns[0].ValueStr(i))) // it holds until we return
			}
		}
		return nil
	})
	if err != nil || stats.RowsGiven != int64(len(ids)) {
		t.Fatalf("%d rows, %d said to be given, %v", len(ids), stats.RowsGiven, err)
	}
	slices.Sort(ids)
	return ids
}

// TestBackground: without Manual, what was appended is indexed by age.
func TestBackground(t *testing.T) {
	options := memOptions(vfs.NewMem())
	options.Manual, options.TickEvery = false, time.Millisecond
	options.Catalog.Settings = map[string]string{catalog.SettingSealAfterAge: "1ms"}
	e, err := Open(testContext, options)
	if err != nil {
		t.Fatal(err)
	}
	newSample().fill(t, e, 10, 5)
	deadline := time.Now().Add(30 * time.Second)
	for e.Metrics().SegmentsRetired.Load() == 0 {
		if time.Now().After(deadline) {
			t.Fatal("nothing was indexed and no log segment retired in half a minute")
		}
		if n := countEvents(t, e); n != 10 {
			t.Fatalf("%d events, want 10", n)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestDescribe: every table has as many values a row as columns.
func TestDescribe(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	s.fill(t, e, 2000, 100)
	if err := e.Index(testContext, 0, false); err != nil {
		t.Fatal(err)
	}
	s.fill(t, e, 500, 100)
	for name := range describedTables() {
		table, err := e.Describe(testContext, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, row := range table.Rows {
			if len(row) != len(table.Columns) {
				t.Errorf("%s: %d values in %d columns", name, len(row), len(table.Columns))
			}
		}
		t.Log(name, len(table.Rows), fmt.Sprint(table.Rows)[:min(200, len(fmt.Sprint(table.Rows)))])
	}
	if _, err := e.Describe(testContext, "nothing"); !errors.Is(err, ErrNoTable) {
		t.Errorf("no such table: %v", err)
	}
	checked, err := e.Check(testContext, sampleProject)
	if err != nil || len(checked.Rows) != 2 {
		t.Errorf("check: %v, %v", checked, err)
	}
	for _, row := range checked.Rows {
		if !row[6].Bool() {
			t.Errorf("check finds %v", row)
		}
	}
}
