package event

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// skimmed reads a record by Walker.Skim.
func skimmed(w *Walker, rec []byte) (*Batch, error) {
	if err := w.Begin(rec); err != nil {
		return nil, err
	}
	b := &Batch{}
	for e := w.Skim(); e != nil; e = w.Skim() {
		own := *e
		own.Properties = nil
		b.Events = append(b.Events, own)
	}
	var rest Batch
	err := w.End(&rest)
	b.Shard, b.Deletes, b.Undos = rest.Shard, rest.Deletes, rest.Undos
	return b, err
}

// checkSkim holds what is skimmed of a record to what is decoded of it.
func checkSkim(t *testing.T, what string, w *Walker, rec []byte) {
	t.Helper()
	var whole Batch
	err := DecodeBatch(rec, &whole)
	got, skimErr := skimmed(w, rec)
	if (skimErr == nil) != (err == nil) || skimErr != nil && !errors.Is(skimErr, ErrCorrupt) && !errors.Is(skimErr, ErrVersion) {
		t.Fatalf("%s: skimmed: %v, decoded: %v", what, skimErr, err)
	}
	if err != nil {
		return
	}
	for i := range whole.Events {
		whole.Events[i].Properties = nil
	}
	if diff := cmp.Diff(&whole, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-decoded +skimmed):\n%s", what, diff)
	}
}

// TestSkimAllocatesNothing: not for an event, once it has grown.
func TestSkimAllocatesNothing(t *testing.T) {
	rec := mustEncode(t, typical(1000))
	var w Walker
	var rest Batch
	skim := func() {
		if err := w.Begin(rec); err != nil {
			t.Fatal(err)
		}
		for w.Skim() != nil {
		}
		if err := w.End(&rest); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(50, skim); n > 2 {
		t.Errorf("%v allocations for 1000 events", n)
	}
}

func BenchmarkSkim(b *testing.B) {
	batch := typical(1000)
	rec, err := AppendBatch(nil, batch)
	if err != nil {
		b.Fatal(err)
	}
	var w Walker
	var rest Batch
	for range b.N / 1000 {
		if err := w.Begin(rec); err != nil {
			b.Fatal(err)
		}
		for w.Skim() != nil {
		}
		if err := w.End(&rest); err != nil {
			b.Fatal(err)
		}
	}
}
