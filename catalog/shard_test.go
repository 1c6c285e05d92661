package catalog

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestDayOf(t *testing.T) {
	for _, test := range []struct {
		time int64
		day  Day
		text string
	}{
		{0, 0, "1970-01-01"},
		{DayMicros - 1, 0, "1970-01-01"},
		{DayMicros, 1, "1970-01-02"},
		{-1, -1, "1969-12-31"},
		{-DayMicros, -1, "1969-12-31"},
		{-DayMicros - 1, -2, "1969-12-30"},
		{1_709_164_800_000_000, 19782, "2024-02-29"},
		{MinDatetime, -719162, "0001-01-01"},
		{MaxDatetime, 2932896, "9999-12-31"},
	} {
		d := DayOf(test.time)
		if d != test.day || d.String() != test.text || d.Start() > test.time || (d+1).Start() <= test.time {
			t.Errorf("%d is on %d, %s", test.time, int(d), d)
		}
	}
	for _, time := range []int64{math.MinInt64, math.MaxInt64} {
		if d := DayOf(time); (d < 0) != (time < 0) {
			t.Errorf("%d is on %d", time, int(d))
		}
	}
}

// TestUserBucketNeverChanges: another function would part duplicates from their
// originals in every project there is.
func TestUserBucketNeverChanges(t *testing.T) {
	var got strings.Builder
	for _, user := range []string{"", "a", "b", "user-1", "user-2", "é", "1234567890123456789012345678901234567890"} {
		for _, count := range []uint16{0, 1, 2, 7, 1024} {
			fmt.Fprint(&got, UserBucket(user, "insert", count), " ")
		}
	}
	const want = "0 0 0 2 954 0 0 1 1 603 0 0 0 2 720 0 0 1 2 453 0 0 1 5 59 0 0 1 4 571 0 0 1 1 869 "
	if got.String() != want {
		t.Errorf("got %s\nwant %s", got.String(), want)
	}
	h := fnv.New64a()
	h.Write([]byte("user-1"))
	if fnv64("user-1") != h.Sum64() {
		t.Error("fnv64 is not FNV-1a")
	}
	if UserBucket("", "x", 1024) != UserBucket("x", "y", 1024) {
		t.Error("an event without a user is not placed by its insert id")
	}
}

func TestUserBucketSpreads(t *testing.T) {
	const users, count = 100_000, 64
	var load [count]int
	for i := range users {
		load[UserBucket(fmt.Sprint("user-", i), "", count)]++
	}
	for b, n := range load {
		if n < users/count*8/10 || n > users/count*12/10 {
			t.Errorf("bucket %d has %d of %d users", b, n, users)
		}
	}
}

func TestShardKey(t *testing.T) {
	p := &Project{ID: 7, Buckets: 16}
	k := p.Shard(DayMicros+5, "ann", "i")
	if want := (ShardKey{7, 1, UserBucket("ann", "", 16)}); k != want || k.String() != fmt.Sprintf("7/1970-01-02/%d", k.Bucket) {
		t.Errorf("got %s", k)
	}
	keys := []ShardKey{{1, -1, 0}, {1, 0, 0}, {1, 0, 1}, {1, 2, 0}, {2, -5, 9}}
	for i, a := range keys {
		for j, b := range keys {
			if a.Compare(b) != cmp.Compare(i, j) {
				t.Errorf("%s and %s compare as %d", a, b, a.Compare(b))
			}
		}
	}
}

func TestIngestID(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func() IngestID {
		return IngestID{Time: r.Uint64() >> r.IntN(64), Edge: r.Uint32N(3), Index: r.Uint32N(3)}
	}
	for range 2000 {
		a, b := random(), random()
		want := a.Compare(b)
		ab, _ := a.AppendBinary(nil)
		bb, _ := b.AppendBinary(nil)
		if cmp.Compare(string(ab), string(bb)) != want || cmp.Compare(a.String(), b.String()) != want || b.Compare(a) != -want {
			t.Fatalf("%s and %s compare as %d", a, b, want)
		}
		back, err := ParseIngestID(a.String())
		if back != a || err != nil || IngestIDFromBytes(ab) != a || len(ab) != IngestIDSize {
			t.Fatalf("%s comes back as %s, %v", a, back, err)
		}
		if a.Compare(MaxIngestID) > 0 || a.IsZero() != (a == IngestID{}) {
			t.Fatal(a)
		}
	}
	for _, s := range []string{"", "0", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("g", 32)} {
		if id, err := ParseIngestID(s); err == nil {
			t.Errorf("%q is %s", s, id)
		}
	}
	if got := (IngestID{Time: 1_500_000_000}).At().String(); got != "1970-01-01 00:00:01.5 +0000 UTC" {
		t.Error(got)
	}
}
