package event

import (
	"errors"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func randomDigest(r *rand.Rand) Digest {
	return Digest{Count: r.Uint64() >> 20, Hi: r.Uint64(), Lo: r.Uint64()}
}

func TestDigestLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		a, b, c := randomDigest(r), randomDigest(r), randomDigest(r)
		if a.Add(b) != b.Add(a) {
			t.Fatalf("%s + %s depends on the order", a, b)
		}
		if a.Add(b).Add(c) != a.Add(b.Add(c)) {
			t.Fatalf("%s + %s + %s depends on the grouping", a, b, c)
		}
		if a.Add(b).Sub(b) != a || a.Sub(a) != (Digest{}) || a.Add(Digest{}) != a {
			t.Fatalf("%s + %s − %s is another", a, b, b)
		}
		if got, err := ParseDigest(a.String()); err != nil || got != a {
			t.Fatalf("%s: got %v, %v", a, got, err)
		}
	}
	carry := Digest{Count: 1, Lo: 1<<64 - 1}
	if got := carry.Add(Digest{Count: 1, Lo: 1}); got != (Digest{Count: 2, Hi: 1}) {
		t.Errorf("carry is lost: %s", got)
	}
	if got := (Digest{Hi: 1}).Sub(Digest{Lo: 1}); got != (Digest{Lo: 1<<64 - 1}) {
		t.Errorf("borrow is lost: %s", got)
	}
	for _, s := range []string{"", ":", "1:", "1", "-1:00000000000000000000000000000000", "1:0000", "1:0000000000000000000000000000000g", "1:000000000000000000000000000000000"} {
		if got, err := ParseDigest(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
}

// TestDigestOfASetIsOfAnyParts: the records' order and their parting into
// batches do not matter.
func TestDigestOfASetIsOfAnyParts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	b := randomBatch(r, 50)
	b.Deletes = append(b.Deletes, Delete{ID: catalog.IngestID{Time: 1}}, Delete{ID: catalog.IngestID{Time: 2}, Targets: []catalog.IngestID{{Time: 3}}})
	b.Undos = append(b.Undos, Undo{ID: catalog.IngestID{Time: 4}})
	var whole Digest
	whole.AddBatch(b)
	if whole.Count != uint64(len(b.Events)+len(b.Deletes)+len(b.Undos)) {
		t.Fatalf("counts %d", whole.Count)
	}
	r.Shuffle(len(b.Events), func(i, j int) { b.Events[i], b.Events[j] = b.Events[j], b.Events[i] })
	var parts Digest
	for cut := range 5 {
		var part Digest
		part.AddBatch(&Batch{Events: b.Events[cut*10 : cut*10+10]})
		parts = part.Add(parts)
	}
	var rest Digest
	rest.AddBatch(&Batch{Deletes: b.Deletes, Undos: b.Undos})
	if got := parts.Add(rest); got != whole {
		t.Fatalf("parts give %s, the whole is %s", got, whole)
	}
}

// changedEvents are an event and, by the field, events that differ in it alone.
func changedEvents() (*Event, map[string]*Event) {
	base := goldenBatches()["one"].Events[0]
	changed := map[string]*Event{}
	change := func(field string, f func(e *Event)) {
		e := base
		e.Properties = append([]Property(nil), base.Properties...)
		f(&e)
		changed[field] = &e
	}
	change("id time", func(e *Event) { e.ID.Time++ })
	change("id edge", func(e *Event) { e.ID.Edge++ })
	change("id index", func(e *Event) { e.ID.Index++ })
	change("name", func(e *Event) { e.Name += "x" })
	change("time", func(e *Event) { e.Time++ })
	change("server time", func(e *Event) { e.ServerTime = true })
	change("distinct id", func(e *Event) { e.DistinctID = "" })
	change("insert id", func(e *Event) { e.InsertID = "" })
	change("ids swapped", func(e *Event) { e.InsertID, e.DistinctID = e.DistinctID, e.InsertID })
	change("name and user parted elsewhere", func(e *Event) { e.Name, e.DistinctID = e.Name[:5], e.Name[5:]+e.DistinctID })
	change("property gone", func(e *Event) { e.Properties = e.Properties[1:] })
	for i, p := range base.Properties {
		change("name of "+p.Name, func(e *Event) { e.Properties[i].Name += "x" })
		change("value of "+p.Name, func(e *Event) {
			v := &e.Properties[i].Value
			switch v.Kind {
			case catalog.KindNull:
				v.Kind = catalog.KindString
			case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
				v.Bits ^= 1
			default:
				v.Text += "0"
			}
		})
		if p.Value.Kind >= catalog.KindNumber {
			change("kind of "+p.Name, func(e *Event) { e.Properties[i].Value.Kind ^= 1 })
		}
	}
	return &base, changed
}

// TestEveryFieldCounts: an event that differs in one field has another digest,
// and another payload too where the field is of the payload.
func TestEveryFieldCounts(t *testing.T) {
	base, changed := changedEvents()
	var want Digest
	want.AddEvent(base)
	wantHi, wantLo := PayloadHash(base)
	for field, e := range changed {
		var got Digest
		got.AddEvent(e)
		if got == want {
			t.Errorf("%s does not count in the digest", field)
		}
		hi, lo := PayloadHash(e)
		isID := field == "id time" || field == "id edge" || field == "id index"
		if same := hi == wantHi && lo == wantLo; same != isID {
			t.Errorf("%s: payload is the same: %v", field, same)
		}
	}
}

// TestServerTimeIsNoPayload: a retry without a time gets another one.
func TestServerTimeIsNoPayload(t *testing.T) {
	a := Event{Name: "e", Time: start, ServerTime: true, InsertID: "i"}
	b := a
	b.Time += 5
	aHi, aLo := PayloadHash(&a)
	bHi, bLo := PayloadHash(&b)
	if aHi != bHi || aLo != bLo {
		t.Error("the server's time is in the payload")
	}
	var da, db Digest
	da.AddEvent(&a)
	db.AddEvent(&b)
	if da == db {
		t.Error("the server's time is not in the digest")
	}
}

// TestDigestTellsKindsApart: a delete, an undo and an event of the same bytes
// are different records.
func TestDigestTellsKindsApart(t *testing.T) {
	id := catalog.IngestID{Time: 1, Edge: 2, Index: 3}
	var del, undo, targets, other Digest
	del.AddDelete(&Delete{ID: id})
	undo.AddUndo(&Undo{ID: id})
	targets.AddDelete(&Delete{ID: id, Targets: []catalog.IngestID{id}})
	other.AddUndo(&Undo{ID: id, Delete: id})
	seen := map[Digest]bool{del: true, undo: true, targets: true, other: true}
	if len(seen) != 4 {
		t.Error("two different records have one digest")
	}
}

func TestCanonicalBytesGiveTheEventBack(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 50 {
		for _, e := range randomBatch(r, 20).Events {
			b := AppendCanonical(nil, &e)
			if len(b) != CanonicalSize(&e) {
				t.Fatalf("%d bytes, CanonicalSize says %d", len(b), CanonicalSize(&e))
			}
			if diff := cmp.Diff(e, fromCanonical(b), cmpopts.EquateEmpty()); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}
