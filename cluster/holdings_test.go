package cluster

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/event"
)

func TestHoldingsComeBack(t *testing.T) {
	all := []event.Holding{
		{Shard: catalog.ShardKey{Project: math.MaxUint32, Day: math.MinInt32, Bucket: math.MaxUint16}, Batches: math.MaxUint64, Catalog: math.MaxUint64,
			Content: event.Content{Records: event.Digest{Count: math.MaxUint64, Hi: 1, Lo: 2}, Hidden: event.Digest{Count: 3, Hi: 4, Lo: math.MaxUint64}, Accepted: math.MaxInt64, Deleted: 5, Quarantined: 6}},
		{Shard: catalog.ShardKey{Project: 1, Day: math.MaxInt32}},
		{},
	}
	b := appendHoldings(nil, all)
	got, err := decodeHoldings(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(all, got); d != "" {
		t.Error(d)
	}
	ends := 0
	for n := range b {
		switch part, err := decodeHoldings(b[:n]); {
		case err == nil && slices.Equal(part, all[:len(part)]):
			ends++
		case !errors.Is(err, errHoldings):
			t.Errorf("%d of %d bytes: %v, %v", n, len(b), part, err)
		}
	}
	if ends != len(all) {
		t.Errorf("%d beginnings can be read, want %d", ends, len(all))
	}

	names := map[catalog.ShardKey]uint64{all[0].Shard: all[0].Batches, all[1].Shard: 7, {}: 0}
	b = appendNames(nil, names)
	again, err := decodeNames(b)
	if d := cmp.Diff(names, again); err != nil || d != "" {
		t.Error(err, d)
	}
	if _, err := decodeNames(b[:len(b)-1]); !errors.Is(err, errHoldings) {
		t.Error(err)
	}
	for _, b := range [][]byte{nil, {0}, {holdingsVersion + 1}} {
		if _, err := decodeNames(b); err == nil {
			t.Errorf("%v can be read", b)
		}
		if _, err := decodeHoldings(b); err == nil {
			t.Errorf("%v can be read", b)
		}
	}
}

func TestBucketsAreComparedInTurn(t *testing.T) {
	if due := nextBuckets(nil, 7); len(due) != 0 {
		t.Error(due)
	}
	var all []replicated
	for b := range protocol.Bucket(comparedAtOnce + 3) {
		all = append(all, replicated{bucket: b * 2})
	}
	next, seen := protocol.Bucket(0), map[protocol.Bucket]int{}
	for range len(all) {
		due := nextBuckets(all, next)
		if len(due) != comparedAtOnce {
			t.Fatalf("%d are due", len(due))
		}
		for _, b := range due {
			seen[b]++
		}
		next = due[len(due)-1] + 1
	}
	for _, r := range all {
		if seen[r.bucket] != comparedAtOnce {
			t.Errorf("bucket %d was due %d times of %d", r.bucket, seen[r.bucket], comparedAtOnce)
		}
	}
	if due := nextBuckets(all[:3], 4); !slices.Equal(due, []protocol.Bucket{4, 0, 2}) {
		t.Error(due)
	}
}
