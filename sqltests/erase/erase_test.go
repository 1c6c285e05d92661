package erase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// filled is a disk with events, the records that they came in, and what others than the
// user see of it.
func filled(t testing.TB) (disk *vfs.Mem, records [][]byte, others, copies []string) {
	t.Helper()
	disk = vfs.NewMem()
	w, err := openWorld(disk)
	if err != nil {
		t.Fatal(err)
	}
	records = fill(t, w)
	mine, others := w.seen(t, false)
	all, copies := w.seen(t, true)
	if len(mine) == 0 || len(all) != storedOfUser {
		t.Fatalf("the user has %d visible of %d stored events", len(mine), len(all))
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	held := strings.Join(holders(t, disk), " ")
	for _, where := range []string{"data/log/", ",log/", "data/shards/", "data/trash/", "data/catalog/tables/log/"} {
		if !strings.Contains(held, where) {
			t.Fatalf("nothing of the user is in %s, so that the test would show little; it is in %s", where, held)
		}
	}
	asKeys := false
	for _, b := range files(t, disk, "data/catalog/tables") {
		asKeys = asKeys || bytes.Contains(b, asKey(user))
	}
	if !asKeys {
		t.Fatal("the user is in no key of a row as it is looked for")
	}
	return disk, records, others, copies
}

func clone(m *vfs.Mem) *vfs.Mem { return m.CrashClone(rand.New(rand.NewPCG(1, 1)), 1) }

// gone fails unless nothing is left of the user, and all of the others.
func gone(t testing.TB, w *world, others, copies []string) {
	t.Helper()
	for _, of := range []struct {
		copies bool
		want   []string
	}{{false, others}, {true, copies}} {
		mine, rest := w.seen(t, of.copies)
		if len(mine) > 0 || !slices.Equal(rest, of.want) {
			t.Fatalf("copies %t: %d events of the user are seen; the others' are\n%q, want\n%q", of.copies, len(mine), rest, of.want)
		}
	}
	if held := holders(t, w.fs); len(held) > 0 {
		t.Fatalf("something of the user is in %q", held)
	}
	e := w.cluster.Catalog().Erasures[0]
	before, removed := e.Before, e.Removed
	if e.State != catalog.ErasureDone || removed[0] != storedOfUser || before[0] <= removed[0] {
		t.Fatalf("the erasure is %s, removed %d records of %d", e.State, removed[0], before[0])
	}
	if profiles := w.profiles(t); e.Rows != 1 || !slices.Equal(profiles, []string{other}) {
		t.Fatalf("the erasure removed %d rows; %q have profiles", e.Rows, profiles)
	}
	var erased uint64
	for _, s := range w.cluster.Catalog().Erased {
		erased += s.Events
	}
	if erased != storedOfUser {
		t.Fatalf("the balance has %d erased events, want %d", erased, storedOfUser)
	}
	checked, err := w.cluster.Check(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range checked.Rows {
		for i, c := range checked.Columns {
			if c.Name == "ok" && !row[i].Bool() {
				t.Fatalf("check: %v", row)
			}
		}
	}
}

func TestEraseLeavesNothing(t *testing.T) {
	disk, records, others, copies := filled(t)
	w, err := openWorld(disk)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, _, err := w.cluster.EraseUser(ctx, erasure(w), clock); err != nil {
		t.Fatal(err)
	}
	gone(t, w, others, copies)

	// What the files of the touched shards hold is what the certificate leaves.
	e := w.cluster.Catalog().Erasures[0]
	before, removed := event.Digest{Count: e.Before[0], Hi: e.Before[1], Lo: e.Before[2]}, event.Digest{Count: e.Removed[0], Hi: e.Removed[1], Lo: e.Removed[2]}
	described, err := w.cluster.Describe(ctx, "digests")
	if err != nil {
		t.Fatal(err)
	}
	var after event.Digest
	for _, row := range described.Rows {
		if row[2].Int() != int64(e.Bucket) {
			continue
		}
		d, err := event.ParseDigest(row[4].Text)
		if err != nil {
			t.Fatal(err)
		}
		after = after.Add(d)
	}
	if want := before.Sub(removed); after != want {
		t.Errorf("the shards hold %s, the certificate leaves %s", after, want)
	}

	// The same records again bring nothing back, neither now nor after opening again.
	if err := w.cluster.Append(ctx, records); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cluster.Duplicates(ctx, records); err != nil {
		t.Fatal(err)
	}
	mine, rest := w.seen(t, false)
	if len(mine) > 0 || !slices.Equal(rest, others) {
		t.Errorf("after a replay %q of the user are seen, and %q of others", mine, rest)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if w, err = openWorld(disk); err != nil {
		t.Fatal(err)
	}
	if held := holders(t, disk); len(held) > 0 {
		t.Errorf("after a replay something of the user is in %q", held)
	}
	if err := w.cluster.Append(ctx, records); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Index(ctx, 0, true); err != nil {
		t.Fatal(err)
	}
	gone(t, w, others, mustCopies(t, w))

	// What comes later is new, also under an insert id of before.
	if err := w.cluster.Append(ctx, [][]byte{record(t, erasureTime+1, 0, bucketOf(user), of(user, "i1", "new"))}); err != nil {
		t.Fatal(err)
	}
	if mine, _ := w.seen(t, false); len(mine) != 1 {
		t.Errorf("after a new event the user has %q", mine)
	}
	// And may be erased again.
	again := erasure(w)
	again.ID.Time += 100
	if _, _, err := w.cluster.EraseUser(ctx, again, clock); err != nil {
		t.Fatal(err)
	}
	if mine, _ := w.seen(t, true); len(mine) != 0 {
		t.Errorf("after the second erasure the user has %q", mine)
	}
	if held := holders(t, disk); len(held) > 0 {
		t.Errorf("after the second erasure something of the user is in %q", held)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// mustCopies are the others' copies now: replays are physical repeats, which do not count.
func mustCopies(t testing.TB, w *world) []string {
	t.Helper()
	_, copies := w.seen(t, true)
	return copies
}

// TestEraseStoppedAnywhere stops an erasure at every operation on files, by a crash and by
// an error: from the moment that it is durable no query shows the user's events, and going
// on with it leaves nothing.
func TestEraseStoppedAnywhere(t *testing.T) {
	base, _, others, copies := filled(t)
	counting := vfs.NewFaulty(clone(base))
	w, err := openWorld(counting)
	if err != nil {
		t.Fatal(err)
	}
	first := counting.Operations()
	if _, _, err := w.cluster.EraseUser(context.Background(), erasure(w), clock); err != nil {
		t.Fatal(err)
	}
	last := counting.Operations()
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if last-first < 30 {
		t.Fatalf("an erasure takes %d operations on files", last-first)
	}
	step := int64(1)
	if testing.Short() {
		step = 7
	}
	for k := first + 1; k <= last; k += step {
		for _, crash := range []bool{true, false} {
			t.Run(fmt.Sprintf("operation %d, crash %t", k-first, crash), func(t *testing.T) { stopAt(t, base, k, crash, others, copies) })
		}
	}
}

var errDisk = errors.New("disk error")

func stopAt(t *testing.T, base *vfs.Mem, k int64, crash bool, others, copies []string) {
	ctx := context.Background()
	disk := clone(base)
	faulty := vfs.NewFaulty(disk)
	w, err := openWorld(faulty)
	if err != nil {
		t.Fatal(err)
	}
	if crash {
		faulty.CrashAt(k)
	} else {
		faulty.FailAt(k, errDisk)
	}
	_, _, failed := w.cluster.EraseUser(ctx, erasure(w), clock)
	faulty.Inject(func(vfs.Op) error { return nil })
	if !crash {
		checkHalfWay(t, w, others)
		if err := w.close(); err != nil && failed == nil {
			t.Fatal(err)
		}
	} else {
		// What the process has open stays as it is; the disk is what a crash leaves.
		disk = disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 7)), 0.5)
	}
	if w, err = openWorld(disk); err != nil {
		t.Fatal(err)
	}
	checkHalfWay(t, w, others)
	if len(w.cluster.Catalog().Erasures) == 0 {
		_, _, err = w.cluster.EraseUser(ctx, erasure(w), clock)
	} else {
		err = w.cluster.ResumeErasures(ctx, clock)
	}
	if err != nil {
		t.Fatal(err)
	}
	gone(t, w, others, copies)
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// checkHalfWay: all of the user's events are seen, or none, and none once the erasure is
// in force.
func checkHalfWay(t *testing.T, w *world, others []string) {
	t.Helper()
	all, _ := w.seen(t, true)
	mine, rest := w.seen(t, false)
	begun := len(w.cluster.Catalog().Erasures) > 0
	if begun && len(all)+len(mine) > 0 || !begun && len(all) != storedOfUser {
		t.Fatalf("erasure begun: %t; seen are %d of the user's copies and %d events", begun, len(all), len(mine))
	}
	if !slices.Equal(rest, others) {
		t.Fatalf("others see\n%q, want\n%q", rest, others)
	}
}

// TestEraseIsRefused: a bucket that is not there, another key, twice at once.
func TestEraseIsRefused(t *testing.T) {
	disk, _, _, _ := filled(t)
	w, err := openWorld(disk)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	wrong := erasure(w)
	wrong.Bucket = 2
	if _, _, err := w.cluster.EraseUser(ctx, wrong, clock); !errors.Is(err, catalog.ErrLimit) {
		t.Errorf("a bucket too great: %v", err)
	}
	if _, _, err := w.cluster.EraseUser(ctx, erasure(w), clock); err != nil {
		t.Fatal(err)
	}
	wrong = erasure(w)
	wrong.ID.Time++
	wrong.Key[0]++
	if _, _, err := w.cluster.EraseUser(ctx, wrong, clock); !errors.Is(err, catalog.ErrEraseKey) {
		t.Errorf("another key: %v", err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}
