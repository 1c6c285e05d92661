package event

import (
	"testing"

	"arbor/catalog"
)

// TestSuppressTakesOutWhatWasErased: the user's events up to the erasure's id, and
// nothing else; a record that nothing is left of is not there any more.
func TestSuppressTakesOutWhatWasErased(t *testing.T) {
	c := &catalog.Catalog{}
	key := catalog.EraseKey{1}
	for _, change := range []catalog.Change{
		catalog.CreateProject{Name: "shop", Buckets: 2, Token: "t", Secret: "s"},
		catalog.BeginErasure{Project: 1, Bucket: 1, ID: catalog.IngestID{Time: 10}, Key: key, User: key.HashUser(1, "ann")},
		catalog.CountErasure{ID: catalog.IngestID{Time: 10}},
		catalog.EndErasure{ID: catalog.IngestID{Time: 10}, At: 1},
	} {
		var err error
		if c, err = c.Apply(change); err != nil {
			t.Fatal(err)
		}
	}
	record := func(bucket uint16, events ...Event) []byte {
		rec, err := AppendBatch(nil, &Batch{Shard: catalog.ShardKey{Project: 1, Bucket: bucket}, Events: events})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	at := func(user string, id uint64) Event {
		return Event{Name: "click", DistinctID: user, ID: catalog.IngestID{Time: id}}
	}
	records := [][]byte{
		record(1, at("ann", 8), at("bob", 8)),
		record(1, at("bob", 7), at("ann", 7)),
		record(1, at("ann", 10)),
		record(1, at("ann", 9), at("bob", 9), at("ann", 11)),
		record(0, at("ann", 9)), // not where ann's events are
		record(1, at("ann", 11)),
		record(1, at("ann", 1), at("ann", 2)),
		[]byte("no record"),
	}
	want := [][]byte{record(1, at("bob", 8)), record(1, at("bob", 7)), record(1, at("bob", 9), at("ann", 11)), records[4], records[5], records[7]}
	got, err := Suppress(c, records)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d records are left, want %d: %v", len(got), len(want), err)
	}
	for i := range want {
		if string(got[i]) != string(want[i]) {
			t.Errorf("record %d is\n%x, want\n%x", i, got[i], want[i])
		}
	}
	if len(records) != 8 || string(records[2]) != string(record(1, at("ann", 10))) {
		t.Error("the caller's records were changed")
	}
	if same, err := Suppress(&catalog.Catalog{}, records); err != nil || &same[0] != &records[0] {
		t.Errorf("without erasures the records are others: %v", err)
	}
}
