package event

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// walked reads a record by a Walker, and holds each event's canonical bytes and shape
// against what its parts say.
func walked(t *testing.T, w *Walker, rec []byte) (*Batch, error) {
	t.Helper()
	if err := w.Begin(rec); err != nil {
		return nil, err
	}
	b := &Batch{}
	var shapes []string
	for e := w.Next(); e != nil; e = w.Next() {
		if want := AppendCanonical(nil, e); !bytes.Equal(w.Canonical(), want) {
			t.Fatalf("event %d: canonical bytes\n%x, want\n%x", len(b.Events), w.Canonical(), want)
		}
		shape := fmt.Sprintf("%q", e.Name)
		for i := range e.Properties {
			shape += fmt.Sprintf(" %q", e.Properties[i].Name)
		}
		if w.Shape() == len(shapes) {
			shapes = append(shapes, shape)
		}
		if shapes[w.Shape()] != shape {
			t.Fatalf("event %d: shape %d is %s, and was %s", len(b.Events), w.Shape(), shape, shapes[w.Shape()])
		}
		own := *e
		own.Properties = slices.Clone(e.Properties)
		b.Events = append(b.Events, own)
	}
	var rest Batch
	err := w.End(&rest)
	b.Shard, b.Deletes, b.Undos = rest.Shard, rest.Deletes, rest.Undos
	return b, err
}

// TestWalkerGivesBackTheBatch reads many records by one Walker, so that what an earlier
// one left would show.
func TestWalkerGivesBackTheBatch(t *testing.T) {
	var w Walker
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 400 {
		b := randomBatch(r, i%60)
		if i%9 == 0 {
			b = typical(i % 50)
		}
		for k := range b.Events { // names and texts around what is copied at once
			for p := range b.Events[k].Properties {
				if v := &b.Events[k].Properties[p].Value; v.Kind == catalog.KindString && r.IntN(3) == 0 {
					v.Text = strings.Repeat("x", r.IntN(100)) + strings.Repeat("y", r.IntN(20_000)*r.IntN(2)*r.IntN(2))
				}
			}
			if r.IntN(4) == 0 {
				b.Events[k].Properties = append(b.Events[k].Properties, Property{Name: "~" + strings.Repeat("z", r.IntN(60)), Value: catalog.Int(int64(k))})
			}
		}
		got, err := walked(t, &w, mustEncode(t, b))
		if err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		if diff := cmp.Diff(b, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("batch %d (-sent +got):\n%s", i, diff)
		}
		checkSkim(t, fmt.Sprint("batch ", i), &w, mustEncode(t, b))
	}
}

// TestWalkerAllocatesNothing: not for an event, once it has grown.
func TestWalkerAllocatesNothing(t *testing.T) {
	rec := mustEncode(t, typical(1000))
	var w Walker
	var rest Batch
	walk := func() {
		if err := w.Begin(rec); err != nil {
			t.Fatal(err)
		}
		for w.Next() != nil {
		}
		if err := w.End(&rest); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(50, walk); n > 2 {
		t.Errorf("%v allocations for 1000 events", n)
	}
}
