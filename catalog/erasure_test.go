package catalog

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testKey = EraseKey{1, 2, 3}

func beginErasure(id uint64, user string) BeginErasure {
	return BeginErasure{Project: 1, ID: IngestID{Time: id}, Bucket: 3, Key: testKey, User: testKey.HashUser(1, user)}
}

// erasures are the changes of two erasures, one of which is done.
func erasures() []Change {
	k := ShardKey{Project: 1, Day: 19_000, Bucket: 3}
	return []Change{
		beginErasure(10, "ann"),
		CountErasure{ID: IngestID{Time: 10}, Before: RecordSum{5, 6, 7}, Removed: RecordSum{2, 3, 4}, Shards: []ErasedShard{{k, 2}}},
		CountErasedRows{ID: IngestID{Time: 10}, Rows: 7},
		EndErasure{ID: IngestID{Time: 10}, At: 99},
		beginErasure(20, "bob"),
		CountErasure{ID: IngestID{Time: 20}, Before: RecordSum{5, 6, 7}, Removed: RecordSum{1, 1, 1}, Shards: []ErasedShard{{ShardKey{Project: 1, Day: 18_999, Bucket: 3}, 1}, {k, 4}}},
	}
}

func TestErasuresAreKept(t *testing.T) {
	c := shop(t)
	if v := c.Encode()[len(catalogKind)]; v != formatVersion {
		t.Errorf("without erasures a catalog is of version %d", v)
	}
	for _, change := range erasures() {
		got, err := DecodeChange(EncodeChange(change))
		if diff := cmp.Diff(change, got); diff != "" || err != nil {
			t.Errorf("%T: %v (-want +got):\n%s", change, err, diff)
		}
		c = apply(t, c, change)
		d, err := DecodeCatalog(c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, d, same); diff != "" {
			t.Errorf("after %T (-want +got):\n%s", change, diff)
		}
		for _, user := range []string{"ann", "bob", "cid"} {
			if got, want := upTo(d.Suppressed(1, 3), user), upTo(c.Suppressed(1, 3), user); got != want {
				t.Errorf("after %T %s is suppressed up to %s, and up to %s once decoded", change, user, want, got)
			}
		}
	}
	if v := c.Encode()[len(catalogKind)]; v != rowsVersion {
		t.Errorf("with erased rows a catalog is of version %d", v)
	}
	bare := *c
	bare.Erasures = []Erasure{c.Erasures[1]}
	if v := bare.Encode()[len(catalogKind)]; v != erasureVersion {
		t.Errorf("with erasures a catalog is of version %d", v)
	}
	staged := *c
	staged.Stage = &Stage{From: 1, To: 2, Members: []MemberKey{{1}}}
	d, err := DecodeCatalog(staged.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&staged, d, same); diff != "" {
		t.Errorf("with a stage (-want +got):\n%s", diff)
	}
	for user, want := range map[string][2]uint64{"ann": {10, 0}, "bob": {20, 20}, "cid": {0, 0}} {
		if got := [2]uint64{upTo(c.Suppressed(1, 3), user).Time, upTo(c.Erasing(1, 3), user).Time}; got != want {
			t.Errorf("%s is suppressed and being erased up to %d, want %d", user, got, want)
		}
	}
	if c.Suppressed(1, 2) != nil || c.Suppressed(2, 3) != nil {
		t.Error("other buckets and projects are suppressed too")
	}
	for day, want := range map[Day]uint64{18_999: 1, 19_000: 6, 19_001: 0} {
		if got := c.ErasedEvents(ShardKey{Project: 1, Day: day, Bucket: 3}); got != want {
			t.Errorf("of day %d %d events were erased, want %d", day, got, want)
		}
	}
	c = apply(t, apply(t, c, DropProject{ID: 1, At: 1}), PurgeProject{ID: 1})
	if len(c.Erasures)+len(c.Erased) > 0 || c.Suppressed(1, 3) != nil {
		t.Error("a purged project's erasures stay")
	}
}

func upTo(s *Suppression, user string) (id IngestID) {
	if s != nil {
		id = s.UpTo(user)
	}
	return id
}

func TestErasuresThatCannotBe(t *testing.T) {
	c := shop(t)
	for _, change := range erasures() {
		c = apply(t, c, change)
	}
	other := beginErasure(30, "cid")
	other.Key[0]++
	outside := beginErasure(30, "cid")
	outside.Bucket = 4
	noKey := beginErasure(30, "cid")
	noKey.Key = EraseKey{}
	for name, of := range map[string]struct {
		change Change
		want   error
	}{
		"pending already": {beginErasure(30, "bob"), ErrErasurePending},
		"an id twice":     {beginErasure(10, "cid"), ErrErasurePending},
		"another key":     {other, ErrEraseKey},
		"no key":          {noKey, ErrEraseKey},
		"no such bucket":  {outside, ErrLimit},
		"counted twice":   {CountErasure{ID: IngestID{Time: 20}}, ErrNoErasure},
		"never begun":     {CountErasure{ID: IngestID{Time: 30}}, ErrNoErasure},
		"ended twice":     {EndErasure{ID: IngestID{Time: 10}}, ErrNoErasure},
		"rows too late":   {CountErasedRows{ID: IngestID{Time: 10}, Rows: 1}, ErrNoErasure},
	} {
		if _, err := c.Apply(of.change); !errors.Is(err, of.want) {
			t.Errorf("%s: %v, want %v", name, err, of.want)
		}
	}
	if _, err := c.Apply(beginErasure(30, "ann")); err != nil {
		t.Errorf("a user who was erased cannot be erased again: %v", err)
	}
}

func TestErasuresAreLimited(t *testing.T) {
	c := shop(t)
	c.Erasures = make([]Erasure, MaxErasures-1)
	for i := range c.Erasures {
		c.Erasures[i] = Erasure{Project: 1, ID: IngestID{Time: uint64(i + 100)}, State: ErasureDone}
	}
	c = apply(t, c, beginErasure(10, "ann"))
	if _, err := c.Apply(beginErasure(11, "bob")); !errors.Is(err, ErrLimit) {
		t.Errorf("one erasure too many: %v", err)
	}
}
