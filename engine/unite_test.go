package engine

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
)

// changed is a record with its batch changed.
func (r sampleRecords) changed(w *ledgerWorld, seq uint64, change func(*event.Batch)) []byte {
	w.t.Helper()
	var b event.Batch
	w.must(event.DecodeBatch(r[seq], &b))
	change(&b)
	record, err := event.AppendBatch(nil, &b)
	w.must(err)
	return record
}

// TestUnite: of two replicas that have other events under the same names, each takes in
// what it lacks, from files and from the log, and nothing twice.
func TestUnite(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		a, b := newLedgerWorld(t), newLedgerWorld(t)
		a.open()
		b.open()
		records := newSampleRecords(a, 5)
		half := records.changed(a, 3, func(b *event.Batch) { b.Events = b.Events[:5] })
		other := records.changed(a, 5, func(b *event.Batch) { b.Events = b.Events[4:] })
		records.name(a, 1, 3)
		a.name(named(5, other))
		records.name(b, 1, 5)
		b.name(named(3, half))
		if indexed {
			a.must(a.index(false))
			b.must(b.index(true))
		}
		for i, want := range []bool{true, false} {
			for _, pair := range [][2]*ledgerWorld{{a, b}, {b, a}} {
				to, from := pair[0], pair[1]
				united, err := to.e.Unite(context.Background(), shardOfDayOne, sourceOf(from, shardOfDayOne))
				if err != nil || united != want {
					t.Fatalf("round %d: united %v, %v", i, united, err)
				}
			}
		}
		for _, w := range []*ledgerWorld{a, b} {
			w.want(dayOne, 30)
			w.reopen()
			w.want(dayOne, 30)
			if alarms := w.alarmsOf(""); len(alarms) > 0 {
				t.Errorf("alarms %v", alarms)
			}
		}
		if !reflect.DeepEqual(a.contents(), b.contents()) {
			t.Errorf("%v and %v", a.contents(), b.contents())
		}
		a.must(a.e.Close())
		b.must(b.e.Close())
	}
}

// TestUniteConflict: where one ingest id has two events nothing is taken in and nothing
// is hidden.
func TestUniteConflict(t *testing.T) {
	a, b := newLedgerWorld(t), newLedgerWorld(t)
	a.open()
	b.open()
	records := newSampleRecords(a, 5)
	wrong := records.changed(a, 3, func(b *event.Batch) {
		b.Events = b.Events[:8]
		b.Events[2].Properties = []event.Property{{Name: "other", Value: catalog.String("bits")}}
	})
	records.name(a, 1, 3)
	records.name(b, 1)
	b.name(named(3, wrong))
	a.must(a.index(true))
	for _, pair := range [][2]*ledgerWorld{{a, b}, {b, a}} {
		to, from := pair[0], pair[1]
		before := to.contents()
		united, err := to.e.Unite(context.Background(), shardOfDayOne, sourceOf(from, shardOfDayOne))
		if !errors.Is(err, ErrConflict) || united {
			t.Errorf("united %v, %v", united, err)
		}
		if after := to.contents(); !reflect.DeepEqual(after, before) {
			t.Errorf("%v, was %v", after, before)
		}
		if alarms := to.alarmsOf(""); len(alarms) > 0 || len(to.e.Damaged()) > 0 {
			t.Errorf("alarms %v", alarms)
		}
	}
	a.must(a.e.Close())
	b.must(b.e.Close())
}
