package torture

import (
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/sqltests/oracle"
)

// TestReference holds the oracle against the rules written a second time.
func TestReference(t *testing.T) {
	skipShort(t)
	survey(t, openModel(rules{}.visible, nil), *firstSeed, min(*histories/5, 100))
}

// mutantSeeds bounds how many histories a mutant may survive.
const mutantSeeds = 150

// TestMutants tests the harness: each mistake in the rules must be noticed.
func TestMutants(t *testing.T) {
	skipShort(t)
	for _, m := range mutants {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			mustBeCaught(t, openModel(rules{mutant: m}.visible, nil))
		})
	}
}

// mustBeCaught wants a history in which the subject is found out.
func mustBeCaught(t *testing.T, open newSubject) {
	t.Helper()
	for seed := range uint64(mutantSeeds) {
		if _, err := live(t.Context(), open, story{seed, everywhere, makeOps(seed, 25)}); err != nil {
			t.Logf("caught in history %d: %s", seed, strings.SplitN(err.Error(), "\n", 2)[0])
			return
		}
	}
	t.Errorf("not caught in %d histories", mutantSeeds)
}

// mistakes are what an engine could do to its records at a certain time.
var mistakes = []struct {
	name string
	when string
	make func([]oracle.Record) []oracle.Record
}{
	{"indexing drops an event", "index", func(r []oracle.Record) []oracle.Record { return dropLast(r, isEvent) }},
	{"indexing drops a delete", "index", func(r []oracle.Record) []oracle.Record { return dropLast(r, isDelete) }},
	{"indexing drops an undo", "index", func(r []oracle.Record) []oracle.Record { return dropLast(r, isUndo) }},
	{"indexing doubles an event under a new id", "index", func(r []oracle.Record) []oracle.Record {
		return changeLast(r, true, func(e *event.Event) { e.ID.Edge++ })
	}},
	{"indexing changes a value", "index", func(r []oracle.Record) []oracle.Record {
		return changeLast(r, false, func(e *event.Event) {
			e.Properties = append(slices.Clone(e.Properties), event.Property{Name: "~", Value: catalog.Int(1)})
		})
	}},
	{"indexing changes a time by a microsecond", "index", func(r []oracle.Record) []oracle.Record {
		return changeLast(r, false, func(e *event.Event) { e.Time ^= 1 })
	}},
	{"indexing forgets who took the time", "index", func(r []oracle.Record) []oracle.Record {
		return changeLast(r, false, func(e *event.Event) { e.ServerTime = !e.ServerTime })
	}},
	{"indexing swaps two ids", "index", func(r []oracle.Record) []oracle.Record {
		if len(r) < 2 || r[0].Event == nil || r[1].Event == nil || r[0].Shard != r[1].Shard {
			return r
		}
		a, b := *r[0].Event, *r[1].Event
		a.ID, b.ID = b.ID, a.ID
		return append([]oracle.Record{{Shard: r[0].Shard, Event: &a}, {Shard: r[0].Shard, Event: &b}}, r[2:]...)
	}},
	{"opening again loses the last record", "reopen", func(r []oracle.Record) []oracle.Record { return r[:max(0, len(r)-1)] }},
	{"a crash loses the last record", "crash", func(r []oracle.Record) []oracle.Record { return r[:max(0, len(r)-1)] }},
	{"a crash loses all", "crash", func([]oracle.Record) []oracle.Record { return nil }},
}

// TestMistakes tests the harness with mistakes in what is kept.
func TestMistakes(t *testing.T) {
	skipShort(t)
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			mustBeCaught(t, openModel(oracle.Visible, func(when string, records []oracle.Record) []oracle.Record {
				if when != m.when {
					return records
				}
				return m.make(records)
			}))
		})
	}
}

func isEvent(r oracle.Record) bool  { return r.Event != nil }
func isDelete(r oracle.Record) bool { return r.Delete != nil }
func isUndo(r oracle.Record) bool   { return r.Undo != nil }

func dropLast(records []oracle.Record, is func(oracle.Record) bool) []oracle.Record {
	for i := range slices.Backward(records) {
		if is(records[i]) {
			return slices.Delete(slices.Clone(records), i, i+1)
		}
	}
	return records
}

// changeLast changes the last event, or adds a changed copy.
func changeLast(records []oracle.Record, add bool, change func(*event.Event)) []oracle.Record {
	records = slices.Clone(records)
	for i, r := range slices.Backward(records) {
		if r.Event == nil {
			continue
		}
		e := *r.Event
		change(&e)
		r.Event = &e
		if add {
			return append(records, r)
		}
		records[i] = r
		return records
	}
	return records
}
