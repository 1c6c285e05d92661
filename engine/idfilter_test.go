package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// filterKeys are keys of ids of every form.
func filterKeys(prefix, n int) []indexfile.InsertKey {
	keys := make([]indexfile.InsertKey, 0, n)
	for i := range n {
		x := uint64(prefix)<<32 + uint64(i)
		id := fmt.Sprint("order-", x)
		switch i % 4 {
		case 0:
			id = fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(x), x)
		case 1:
			id = fmt.Sprintf("%032x", x)
		case 2:
			id = fmt.Sprintf("%032X", x*0x9e3779b97f4a7c15)
		}
		keys = append(keys, indexfile.InsertKeyOf(id))
	}
	return keys
}

// TestIDFilter holds what a filter says against what is in it: it never denies what is,
// and seldom admits what is not.
func TestIDFilter(t *testing.T) {
	skipShort(t)
	for _, rows := range []int{0, 1, 31, 32, 33, 100_000} {
		f := newIDFilter(rows)
		keys := filterKeys(1, rows)
		for _, k := range keys {
			f.add([]uint32{uint32(copyHashOf(keyHash(k)) >> 32)})
		}
		for _, k := range keys {
			if !f.may(copyHashOf(keyHash(k))) || !f.mayAny([]uint64{0, copyHashOf(keyHash(k))}) {
				t.Fatalf("with %d rows %v is denied, which was added", rows, k)
			}
		}
		wrong, others := 0, filterKeys(2, 100_000)
		for _, k := range others {
			if f.may(copyHashOf(keyHash(k))) {
				wrong++
			}
		}
		if wrong > len(others)/200 {
			t.Errorf("with %d rows %d of %d others are admitted", rows, wrong, len(others))
		}
		if f.some = true; !f.mayAny([]uint64{0}) {
			t.Error("a row without an insert id may be a copy of any")
		}
	}
	const rows = 1000
	takes := newIDFilter(rows).bytes()
	if newIDFilterWithin(rows, takes) == nil || newIDFilterWithin(rows, takes-1) != nil {
		t.Errorf("a filter of %d bytes is made within %d or not within %d", takes, takes-1, takes)
	}
	if !(*idFilter)(nil).mayAny([]uint64{0}) {
		t.Error("without a filter something is denied")
	}
}

// TestIDFiltersHaveALimit keeps filters of files up to the limit, and one more.
func TestIDFiltersHaveALimit(t *testing.T) {
	one := newIDFilter(1000)
	all := idFilters{most: 3 * one.bytes()}
	files := make([]*file, 5)
	for i := range files {
		files[i] = &file{filters: &all}
	}
	having := func() (n string) {
		for i, f := range files {
			if f.ids.Load() != nil {
				n += fmt.Sprint(i)
			}
		}
		return n
	}
	for i, want := range []string{"0", "01", "012", "123"} {
		all.keep(files[i], newIDFilter(1000))
		if got := having(); got != want {
			t.Errorf("after file %d those have filters: %s, want %s", i, got, want)
		}
	}
	all.keep(files[4], nil)
	files[2].filters.drop(files[2])
	files[4].filters.drop(files[4]) // which has none
	all.drop(files[0])              // which has none any more
	if got := having(); got != "13" || all.bytes != 2*one.bytes() {
		t.Errorf("those have filters: %s, of %d bytes, want 1 and 3 of %d", got, all.bytes, 2*one.bytes())
	}
	all.keep(files[4], newIDFilter(4000))
	if got := having(); got != "" || all.bytes != 0 {
		t.Errorf("those have filters: %s, of %d bytes; none has room", got, all.bytes)
	}
}

// TestFilterOfAnOldFile: a file that was there at the start gets the filter that it had when it
// was built, once a share of its rows were looked for in it, if there is room.
func TestFilterOfAnOldFile(t *testing.T) {
	skipShort(t)
	disk := vfs.NewMem()
	e := openSample(t, disk, "data")
	s := newSample()
	const rows = 3 * pieceRows / 2
	s.fill(t, e, rows-1, 1000)
	without := s.batch(1)
	without.Events[0].InsertID = ""
	record, err := event.AppendBatch(nil, without)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Append(testContext, [][]byte{record}), e.Index(testContext, 0, true)); err != nil {
		t.Fatal(err)
	}
	built := sampleShard(e).files()[0].ids.Load()
	if built == nil || !built.some {
		t.Fatal("the file was built without its filter")
	}
	for _, room := range []int64{built.bytes() - 1, 2*built.bytes() - 1, 2 * built.bytes()} {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = openSample(t, disk, "data")
		e.idFilters.most = room
		f := sampleShard(e).files()[0]
		for i, asked := range []int{rows/unfilteredShare - 1, 1, 1} {
			if f.filterFor(asked) != nil {
				t.Fatal("there is a filter that nobody made")
			}
			if wanted := len(e.idFilters.wanted); wanted != min(i, 1) {
				t.Fatalf("after asking %d times %d files are wanted to have a filter", i+1, wanted)
			}
		}
		for range 2 {
			if err := e.Tick(testContext); err != nil {
				t.Fatal(err)
			}
		}
		made := f.filterFor(1)
		if room < 2*built.bytes() {
			if made != nil || e.idFilters.bytes != 0 {
				t.Errorf("with room for %d bytes a filter of %d was made", room, built.bytes())
			}
			continue
		}
		if made == nil || !slices.Equal(made.blocks, built.blocks) || made.some != built.some || e.idFilters.bytes != built.bytes() {
			t.Error("the filter that was made is not the one that was built")
		}
	}
	other := &file{filters: &e.idFilters}
	e.idFilters.keep(other, newIDFilter(rows/2))
	f := sampleShard(e).files()[0]
	e.idFilters.drop(f)
	e.idFilters.want(f)
	if err := e.Tick(testContext); err != nil {
		t.Fatal(err)
	}
	if f.ids.Load() == nil || other.ids.Load() == nil {
		t.Error("there was room for both")
	}
	e.idFilters.drop(f)
	e.idFilters.keep(&file{filters: &e.idFilters}, newIDFilter(rows))
	e.idFilters.want(f)
	if err := e.Tick(testContext); err != nil {
		t.Fatal(err)
	}
	if f.ids.Load() != nil || other.ids.Load() == nil || len(e.idFilters.wanted) > 0 {
		t.Error("a filter was made that takes another's room")
	}
	e.idFilters.want(f)
	if e.idFilters.drop(f); len(e.idFilters.wanted) > 0 {
		t.Error("a file that is closed is to get a filter")
	}
	e.idFilters.want(&file{reader: f.reader, meta: indexfile.Meta{Shard: catalog.ShardKey{Project: 99}}})
	e.idFilters.most = 1 << 30
	if err := e.makeIDFilters(testContext); err != nil || e.existing(catalog.ShardKey{Project: 99}) != nil {
		t.Errorf("a shard that was dropped is there again: %v", err)
	}
}

// TestFilterIsMadeWhileAsked: events are looked for in a file while its filter is made.
func TestFilterIsMadeWhileAsked(t *testing.T) {
	disk := vfs.NewMem()
	e := openSample(t, disk, "data")
	newSample().fill(t, e, 500, 500)
	if err := errors.Join(e.Index(testContext, 0, true), e.Close()); err != nil {
		t.Fatal(err)
	}
	e = openSample(t, disk, "data")
	f := sampleShard(e).files()[0]
	var asking sync.WaitGroup
	asking.Go(func() {
		for f.filterFor(100) == nil {
			runtime.Gosched()
		}
	})
	for f.ids.Load() == nil {
		if err := e.Tick(testContext); err != nil {
			t.Fatal(err)
		}
	}
	asking.Wait()
}

// TestCopiesAcrossFilesWithFilters indexes the same events with filters and without: copies
// at the same time and at others, with insert ids of every form, ids that are in several
// files, and none, of which filters know nothing.
func TestCopiesAcrossFilesWithFilters(t *testing.T) {
	skipShort(t)
	for _, all := range []bool{true, false} {
		t.Run(fmt.Sprint("all have ids: ", all), func(t *testing.T) { testCopiesAcrossFiles(t, all) })
	}
}

func testCopiesAcrossFiles(t *testing.T, allHaveIDs bool) {
	with, without := openSample(t, vfs.NewMem(), "data"), openSample(t, vfs.NewMem(), "data")
	without.idFilters.most = 0
	s := newSample()
	var sent []event.Event
	for round := range 6 {
		for range 2 {
			b := s.batch(1500)
			for i := range b.Events {
				e := &b.Events[i]
				switch s.rng.IntN(10) {
				case 0:
					if e.InsertID = ""; allHaveIDs {
						e.InsertID = fmt.Sprint("order-", s.rng.IntN(2000))
					}
				case 1:
					e.InsertID = fmt.Sprint("order-", s.rng.IntN(2000))
				}
				if len(sent) > 0 && s.rng.IntN(5) == 0 {
					id := e.ID
					*e = sent[s.rng.IntN(len(sent))]
					e.ID = id
					if s.rng.IntN(3) == 0 {
						e.Time = s.day.Start() + s.rng.Int64N(catalog.DayMicros)
					}
				}
			}
			sent = append(sent, b.Events...)
			record, err := event.AppendBatch(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range []*Engine{with, without} {
				if err := e.Append(context.Background(), [][]byte{record}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, e := range []*Engine{with, without} {
			if err := e.Index(context.Background(), 0, false); err != nil {
				t.Fatal(err)
			}
		}
		a, b := crossOf(t, with), crossOf(t, without)
		if !slices.Equal(a, b) {
			t.Fatalf("in round %d, with filters %d rows have copies in other files, without %d, or others", round, len(a), len(b))
		}
		if round > 0 && len(a) == 0 {
			t.Error("no row has a copy in another file")
		}
	}
	for i, e := range []*Engine{with, without} {
		for _, f := range sampleShard(e).files() {
			if f.ids.Load() != nil != (i == 0) {
				t.Errorf("engine %d: file %s has a filter or none", i, f.name)
			}
		}
	}
}

// crossOf lists which rows of a shard's files have copies in which others.
func crossOf(t *testing.T, e *Engine) (all []string) {
	t.Helper()
	files := sampleShard(e).files()
	number := map[string]int{}
	for i, f := range files {
		number[f.name.String()] = i
	}
	for i, f := range files {
		cross, err := f.reader.Cross()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cross {
			key, err := f.reader.Cursor().InsertKey(int(c.Ordinal))
			if err != nil {
				t.Fatal(err)
			}
			other, err := files[number[c.File]].reader.Cursor().InsertKey(int(c.Other))
			if err != nil {
				t.Fatal(err)
			}
			if key != other {
				t.Errorf("a row of file %d and its copy in %d have the insert ids %v and %v", i, number[c.File], key, other)
			}
			all = append(all, fmt.Sprint(i, c.Ordinal, number[c.File], key, c.Same))
		}
	}
	slices.Sort(all)
	return all
}
