package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
)

// noon is a moment of day 20,000 in microseconds.
const noon = 20_000*catalog.DayMicros + 12*3600*catalog.Second

var shard = catalog.ShardKey{Project: 1, Day: 20_000}

func id(n int) catalog.IngestID { return catalog.IngestID{Time: uint64(n)} }

// e is event n of user ann: a "click" at noon with insert id "i", unless
// changed.
func e(n int, change ...func(*event.Event)) Record {
	ev := &event.Event{ID: id(n), Name: "click", Time: noon, DistinctID: "ann", InsertID: "i"}
	for _, c := range change {
		c(ev)
	}
	return Record{Shard: shard, Event: ev}
}

func del(n int, targets ...int) Record {
	d := &event.Delete{ID: id(n)}
	for _, t := range targets {
		d.Targets = append(d.Targets, id(t))
	}
	return Record{Shard: shard, Delete: d}
}

func undo(n, of int) Record {
	return Record{Shard: shard, Undo: &event.Undo{ID: id(n), Delete: id(of)}}
}

func name(s string) func(*event.Event)     { return func(e *event.Event) { e.Name = s } }
func user(s string) func(*event.Event)     { return func(e *event.Event) { e.DistinctID = s } }
func insertID(s string) func(*event.Event) { return func(e *event.Event) { e.InsertID = s } }
func later(us int64) func(*event.Event)    { return func(e *event.Event) { e.Time += us } }
func at(us int64) func(*event.Event)       { return func(e *event.Event) { e.Time = us } }
func serverTime(e *event.Event)            { e.ServerTime = true }
func plan(v catalog.Value) func(*event.Event) {
	return func(e *event.Event) { e.Properties = []event.Property{{Name: "plan", Value: v}} }
}

var (
	day     = catalog.Policy{}
	off     = catalog.Policy{Disabled: true}
	exact   = catalog.Policy{Key: catalog.KeyExact}
	idOnly  = catalog.Policy{Key: catalog.KeyID}
	last    = catalog.Policy{Survivor: catalog.SurvivorLast}
	keepAll = catalog.Policy{Conflict: catalog.ConflictKeep}
	content = catalog.Policy{Missing: catalog.MissingContent}
)

// In want, a row is its event's number; a duplicate adds its kind's first
// letter and its survivor's number.
var visibleTests = []struct {
	name     string
	policy   catalog.Policy
	records  []Record
	truncate []catalog.Truncation
	asOf     int
	want     string
}{
	{name: "nothing", want: ""},
	{name: "one event", records: []Record{e(1)}, want: "1"},
	{name: "a retry", records: []Record{e(1), e(2), e(3)}, want: "1 2r1 3r1"},
	{name: "a conflict", records: []Record{e(1), e(2, plan(catalog.Int(1)))}, want: "1 2c1"},
	{name: "kinds are against the survivor, not the neighbour", records: []Record{e(1), e(2, plan(catalog.Int(1))), e(3, plan(catalog.Int(1))), e(4)}, want: "1 2c1 3c1 4r1"},
	{name: "1 and 1.0 and \"1\" are three payloads", records: []Record{e(1, plan(catalog.Int(1))), e(2, plan(catalog.Number("1.0"))), e(3, plan(catalog.String("1"))), e(4, plan(catalog.Int(1)))}, want: "1 2c1 3c1 4r1"},
	{name: "null is not the same as absent", records: []Record{e(1), e(2, plan(catalog.Null))}, want: "1 2c1"},
	{name: "other time of the same day is a conflict", records: []Record{e(1), e(2, later(1))}, want: "1 2c1"},

	// KEY
	{name: "DAY: the name is in the key", records: []Record{e(1), e(2, name("view"))}, want: "1 2"},
	{name: "DAY: the user is in the key", records: []Record{e(1), e(2, user("bob"))}, want: "1 2"},
	{name: "DAY: the insert id is in the key", records: []Record{e(1), e(2, insertID("j"))}, want: "1 2"},
	{name: "DAY: keys compare by bytes", records: []Record{e(1), e(2, user("Ann")), e(3, insertID("I")), e(4, insertID("i ")), e(5, name("Click"))}, want: "1 2 3 4 5"},
	{name: "DAY: parts do not run into each other", records: []Record{e(1, user("a"), insertID("bc")), e(2, user("ab"), insertID("c"))}, want: "1 2"},
	{name: "EXACT: other millisecond", policy: exact, records: []Record{e(1), e(2, later(1000))}, want: "1 2"},
	{name: "EXACT: same millisecond, other microsecond", policy: exact, records: []Record{e(1), e(2, later(999)), e(3)}, want: "1 2c1 3r1"},
	{name: "EXACT: the name is in the key", policy: exact, records: []Record{e(1), e(2, name("view"))}, want: "1 2"},
	{name: "EXACT: milliseconds before 1970 round down", policy: exact, records: []Record{
		e(1, at(-1)), e(2, at(-1000)), e(3, at(-1001))}, want: "1 2c1 3"},
	{name: "ID: the name is not in the key", policy: idOnly, records: []Record{e(1), e(2, name("view")), e(3, user("bob")), e(4)}, want: "1 2c1 3 4r1"},

	// SURVIVOR
	{name: "LAST", policy: last, records: []Record{e(1), e(2, plan(catalog.Int(1))), e(3)}, want: "1r3 2c3 3"},
	{name: "FIRST is by ingest id", records: []Record{e(9), e(3, plan(catalog.Int(1))), e(5)}, want: "3 5c3 9c3"},

	// CONFLICT
	{name: "KEEP: each payload has a survivor", policy: keepAll, records: []Record{e(1), e(2, plan(catalog.Int(1))), e(3), e(4, plan(catalog.Int(1)))}, want: "1 2 3r1 4r2"},
	{name: "KEEP with LAST", policy: catalog.Policy{Conflict: catalog.ConflictKeep, Survivor: catalog.SurvivorLast},
		records: []Record{e(1), e(2, plan(catalog.Int(1))), e(3), e(4, plan(catalog.Int(1)))}, want: "1r3 2r4 3 4"},

	// MISSING
	{name: "NONE: no insert id, no duplicate", records: []Record{e(1, insertID("")), e(2, insertID(""))}, want: "1 2"},
	{name: "CONTENT", policy: content, records: []Record{e(1, insertID("")), e(2, insertID("")), e(3, insertID(""), plan(catalog.Int(1))), e(4, insertID(""), later(1)), e(5, insertID(""), user("bob")), e(6, insertID(""), name("view"))}, want: "1 2r1 3 4 5 6"},
	{name: "CONTENT leaves insert ids alone", policy: content, records: []Record{e(1), e(2, insertID("")), e(3)}, want: "1 2 3r1"},
	{name: "CONTENT under KEY=ID still has the name", policy: catalog.Policy{Missing: catalog.MissingContent, Key: catalog.KeyID},
		records: []Record{e(1, insertID("")), e(2, insertID(""), name("view")), e(3, insertID(""))}, want: "1 2 3r1"},
	{name: "CONTENT of the empty user", policy: content, records: []Record{e(1, insertID(""), user("")), e(2, insertID(""), user(""))}, want: "1 2r1"},

	// ENABLED
	{name: "off", policy: off, records: []Record{e(1), e(2), e(3, plan(catalog.Int(1)))}, want: "1 2 3"},
	{name: "off beats CONTENT", policy: catalog.Policy{Disabled: true, Missing: catalog.MissingContent}, records: []Record{e(1, insertID("")), e(2, insertID(""))}, want: "1 2"},

	// server time
	{name: "the server's time is not the client's payload", records: []Record{e(1, serverTime), e(2, serverTime, later(5_000_000))}, want: "1 2r1"},
	{name: "that the server's time was taken is", records: []Record{e(1, serverTime), e(2)}, want: "1 2c1"},

	// the empty user
	{name: "the empty user's copies", records: []Record{e(1, user("")), e(2, user("")), e(3, user(""), insertID("j"))}, want: "1 2r1 3"},

	// physical identity
	{name: "a physical repeat is not a duplicate", records: []Record{e(1), e(1), e(1)}, want: "1"},
	{name: "one id, two events: both set aside", records: []Record{e(1), e(1, plan(catalog.Int(1))), e(2)}, want: "2 quarantined=2"},
	{name: "one id, two events, one repeated", records: []Record{e(1), e(1), e(1, plan(catalog.Int(1))), e(2)}, want: "2 quarantined=2"},
	{name: "one id, two times of the server", records: []Record{e(1, serverTime), e(1, serverTime, later(1))}, want: "quarantined=2"},
	{name: "quarantine of a survivor frees its copies", records: []Record{e(1), e(1, name("view")), e(2), e(3)}, want: "2 3r2 quarantined=2"},

	// deletes
	{name: "delete", records: []Record{e(1), e(2, user("bob")), del(3, 1)}, want: "2 deleted=1"},
	{name: "delete of the survivor alone shows the next copy", records: []Record{e(1), e(2), e(3), del(4, 1)}, want: "2 3r2 deleted=1"},
	{name: "delete of all copies", records: []Record{e(1), e(2), del(3, 1, 2)}, want: "deleted=2"},
	{name: "re-import after a delete is visible", records: []Record{e(1), e(2), del(3, 1, 2), e(4)}, want: "4 deleted=2"},
	{name: "re-import after a delete under LAST", policy: last, records: []Record{e(1), e(2), del(3, 1, 2), e(4), e(5)}, want: "4r5 5 deleted=2"},
	{name: "delete of what is not there", records: []Record{e(1), del(2, 9)}, want: "1"},
	{name: "two deletes, one undone", records: []Record{e(1), del(2, 1), del(3, 1), undo(4, 2)}, want: "deleted=1"},
	{name: "undo", records: []Record{e(1), e(2), del(3, 1, 2), undo(4, 3)}, want: "1 2r1"},
	{name: "undo after a re-import", records: []Record{e(1), del(3, 1), e(4), undo(5, 3)}, want: "1 4r1"},
	{name: "undo of nothing", records: []Record{e(1), undo(2, 9)}, want: "1"},
	{name: "delete again after an undo", records: []Record{e(1), del(2, 1), undo(3, 2), del(4, 1)}, want: "deleted=1"},
	{name: "a delete in several records", records: []Record{e(1), e(2), del(3, 1), del(3, 2)}, want: "deleted=2"},
	{name: "an undo takes all records of a delete back", records: []Record{e(1), e(2), del(3, 1), del(3, 2), undo(4, 3)}, want: "1 2r1"},
	{name: "a quarantined event is not deleted too", records: []Record{e(1), e(1, name("view")), del(2, 1)}, want: "quarantined=2"},
	{name: "deletes work with dedupe off", policy: off, records: []Record{e(1), e(2), del(3, 1)}, want: "2 deleted=1"},
	{name: "a delete in another shard is another's", records: []Record{e(1), {Shard: catalog.ShardKey{Project: 1, Day: 20_001}, Delete: del(2, 1).Delete}}, want: "1"},

	// as of
	{name: "as of before all", records: []Record{e(2), e(3)}, asOf: 1, want: ""},
	{name: "as of the very event", records: []Record{e(2), e(3)}, asOf: 2, want: "2"},
	{name: "as of before the survivor of LAST", policy: last, records: []Record{e(1), e(2), e(3)}, asOf: 2, want: "1r2 2"},
	{name: "as of before the delete", records: []Record{e(1), del(2, 1), undo(4, 2)}, asOf: 1, want: "1"},
	{name: "as of the delete", records: []Record{e(1), del(2, 1), undo(4, 2)}, asOf: 2, want: "deleted=1"},
	{name: "as of after the delete, before the undo", records: []Record{e(1), del(2, 1), undo(4, 2)}, asOf: 3, want: "deleted=1"},
	{name: "as of the undo", records: []Record{e(1), del(2, 1), undo(4, 2)}, asOf: 4, want: "1"},
	{name: "as of does not hide damage", records: []Record{e(1), e(1, name("view")), e(2)}, asOf: 1, want: "quarantined=2"},
	{name: "as of before the damage", records: []Record{e(1), e(2, user("bob")), e(2, name("view"))}, asOf: 1, want: "1"},

	// truncations
	{name: "truncate", records: []Record{e(1), e(2), e(3)}, truncate: []catalog.Truncation{{ID: id(9), UpTo: id(2)}}, want: "3 deleted=2"},
	{name: "truncate, undone", records: []Record{e(1), e(2)}, truncate: []catalog.Truncation{{ID: id(9), UpTo: id(2), Undone: true}}, want: "1 2r1"},
	{name: "truncate, as of before it", records: []Record{e(1), e(2)}, truncate: []catalog.Truncation{{ID: id(3), UpTo: id(2)}}, asOf: 2, want: "1 2r1"},
	{name: "truncate, as of it", records: []Record{e(1), e(2)}, truncate: []catalog.Truncation{{ID: id(3), UpTo: id(2)}}, asOf: 3, want: "deleted=2"},
	{name: "truncated and deleted counts once", records: []Record{e(1), del(2, 1)}, truncate: []catalog.Truncation{{ID: id(3), UpTo: id(2)}}, want: "deleted=1"},
	{name: "two truncations, one undone", records: []Record{e(1), e(2), e(3)},
		truncate: []catalog.Truncation{{ID: id(9), UpTo: id(2), Undone: true}, {ID: id(10), UpTo: id(1)}}, want: "2 3r2 deleted=1"},
}

// TestVisible runs the table in several orders, with and without repeats: the
// answer is a function of the set.
func TestVisible(t *testing.T) {
	for _, tt := range visibleTests {
		t.Run(tt.name, func(t *testing.T) {
			policyOf := func(catalog.Day) catalog.Policy { return tt.policy }
			for seed := range uint64(10) {
				records := disorder(tt.records, rand.New(rand.NewPCG(seed, 1)), seed > 0)
				if got := show(Visible(records, policyOf, tt.truncate, id(tt.asOf))); got != tt.want {
					t.Fatalf("order %d: got %q, want %q", seed, got, tt.want)
				}
			}
		})
	}
}

// TestVisibleShards: copies in different shards never meet, and each day has
// its own policy.
func TestVisibleShards(t *testing.T) {
	tomorrow := catalog.ShardKey{Project: 1, Day: 20_001}
	records := []Record{e(1), e(2), e(3, later(catalog.DayMicros)), e(4, later(catalog.DayMicros)), e(1, later(catalog.DayMicros))}
	for i := range records {
		records[i].Shard.Day = catalog.DayOf(records[i].Event.Time)
	}
	got := Visible(records, func(d catalog.Day) catalog.Policy {
		if d == tomorrow.Day {
			return last
		}
		return day
	}, nil, catalog.IngestID{})
	if want := "1 2r1 1r4 3r4 4"; show(got) != want {
		t.Fatalf("got %q, want %q", show(got), want)
	}
}

// disorder shuffles the records and, if asked, repeats some.
func disorder(records []Record, rng *rand.Rand, repeat bool) []Record {
	out := slices.Clone(records)
	for range len(records) {
		if repeat && rng.IntN(2) == 0 {
			out = append(out, records[rng.IntN(len(records))])
		}
	}
	if repeat {
		rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

func show(a Answer) string {
	var parts []string
	for _, r := range a.Rows {
		s := fmt.Sprint(r.Event.ID.Time)
		if r.Duplicate() {
			s += fmt.Sprintf("%c%d", r.Kind[0], r.DupOf.Time)
		}
		parts = append(parts, s)
	}
	if n := len(a.Deleted); n > 0 {
		parts = append(parts, fmt.Sprintf("deleted=%d", n))
	}
	if n := len(a.Quarantined); n > 0 {
		parts = append(parts, fmt.Sprintf("quarantined=%d", n))
	}
	return strings.Join(parts, " ")
}
