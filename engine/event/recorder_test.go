package event

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
)

// record makes the batch's record by a Recorder. Kinds are given by name and
// properties' names where kinds is set.
func record(r *Recorder, b *Batch, kinds bool) ([]byte, error) {
	numbers := map[string]int{}
	r.Reset(b.Shard)
	for i := range b.Events {
		e, kind := &b.Events[i], 0
		if kinds {
			key := fmt.Sprintf("%q", e.Name)
			for _, p := range e.Properties {
				key += fmt.Sprintf(" %q", p.Name)
			}
			if numbers[key] == 0 {
				numbers[key] = len(numbers) + 1
			}
			kind = numbers[key]
		}
		if err := r.Add(e, kind); err != nil {
			return nil, err
		}
	}
	return r.AppendRecord([]byte("before"))
}

func TestRecorderMakesTheRecordOfAppendBatch(t *testing.T) {
	var recorder Recorder // one for all, so that what an earlier record left would show
	r := rand.New(rand.NewPCG(3, 4))
	batches := append(slices.Collect(maps.Values(goldenBatches())), &Batch{}, typical(1), typical(3000))
	for range 300 {
		batches = append(batches, randomBatch(r, r.IntN(60)))
	}
	for i, b := range batches {
		b := *b
		b.Deletes, b.Undos = nil, nil
		if r.IntN(2) == 0 {
			r.Shuffle(len(b.Events), func(i, j int) { b.Events[i], b.Events[j] = b.Events[j], b.Events[i] })
		}
		want := mustEncode(t, &b)
		for _, kinds := range []bool{false, true} {
			got, err := record(&recorder, &b, kinds)
			if err != nil {
				t.Fatalf("batch %d: %v", i, err)
			}
			if string(got[:6]) != "before" || !kinds && !bytes.Equal(got[6:], want) {
				t.Fatalf("batch %d, kinds %v:\n%x\nwant\n%x", i, kinds, got, want)
			}
			if room := recorder.Room(); len(got)-6 > room || recorder.Len() != len(b.Events) || recorder.Shard() != b.Shard {
				t.Fatalf("batch %d: %d bytes, more than the %d said; %d events of shard %s", i, len(got)-6, room, recorder.Len(), recorder.Shard())
			}
			var back Batch
			if err := DecodeBatch(got[6:], &back); err != nil {
				t.Fatalf("batch %d: %v", i, err)
			}
			// Which of several equal shapes is named may differ; what it means may not.
			if again := mustEncode(t, &back); !bytes.Equal(again, want) {
				t.Fatalf("batch %d, kinds %v: it decodes to another batch", i, kinds)
			}
		}
	}
}

// What AppendBatch refuses a Recorder refuses with the same error.
func TestRecorderRefuses(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, spoil := range map[string]func(b *Batch){
		"no id":           func(b *Batch) { b.Events[1].ID = catalog.IngestID{} },
		"the day before":  func(b *Batch) { b.Events[1].Time = start - 1 },
		"the day after":   func(b *Batch) { b.Events[1].Time = start + catalog.DayMicros },
		"unsorted":        func(b *Batch) { p := b.Events[2].Properties; p[0], p[1] = p[1], p[0] },
		"unknown kind":    func(b *Batch) { b.Events[2].Properties[3].Value.Kind = 7 },
		"name":            func(b *Batch) { b.Events[1].Name = long },
		"distinct id":     func(b *Batch) { b.Events[1].DistinctID = long },
		"insert id":       func(b *Batch) { b.Events[1].InsertID = long },
		"properties":      func(b *Batch) { b.Events[1].Properties = make([]Property, MaxProperties+1) },
		"property's name": func(b *Batch) { b.Events[2].Properties[11].Name = long },
		"value":           func(b *Batch) { b.Events[2].Properties[0].Value = catalog.String(strings.Repeat("x", MaxEventBytes+1)) },
	} {
		b := typical(3)
		spoil(b)
		_, want := AppendBatch(nil, b)
		_, got := record(&Recorder{}, b, false)
		if want == nil || got == nil || errors.Is(want, ErrLimit) != errors.Is(got, ErrLimit) || errors.Is(want, ErrInvalid) != errors.Is(got, ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	b := typical(1)
	var r Recorder
	r.Reset(b.Shard)
	for range MaxBatchEvents {
		if err := r.Add(&b.Events[0], 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.AppendRecord(nil); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := r.Add(&b.Events[0], 1); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AppendRecord(nil); !errors.Is(err, ErrLimit) {
		t.Errorf("one past: %v", err)
	}
}

// CheckLimits finds what Check finds in events that are well-formed.
func TestCheckLimitsAgreesWithCheck(t *testing.T) {
	long := strings.Repeat("x", 256)
	at := strings.Repeat("x", 255)
	for name, spoil := range map[string]func(e *Event){
		"good":                   func(*Event) {},
		"no name":                func(e *Event) { e.Name = "" },
		"name at":                func(e *Event) { e.Name = at },
		"name past":              func(e *Event) { e.Name = long },
		"distinct id":            func(e *Event) { e.DistinctID = long },
		"insert id":              func(e *Event) { e.InsertID = long },
		"time":                   func(e *Event) { e.Time = catalog.MaxDatetime + 1 },
		"property's name at":     func(e *Event) { e.Properties[len(e.Properties)-1].Name = "z" + at[1:] },
		"property's name past":   func(e *Event) { e.Properties[len(e.Properties)-1].Name = "z" + long },
		"properties":             func(e *Event) { e.Properties = make([]Property, MaxProperties+1) },
		"value of a whole event": func(e *Event) { e.Properties[0].Value = catalog.String(strings.Repeat("x", MaxEventBytes)) },
	} {
		e := typical(1).Events[0]
		spoil(&e)
		want, got := Check(&e), CheckLimits(&e)
		if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func BenchmarkRecorder(b *testing.B) {
	batch := typical(1000)
	var r Recorder
	var buf []byte
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(batch.Events) {
		r.Reset(batch.Shard)
		for j := range batch.Events {
			if err := r.Add(&batch.Events[j], j%3+1); err != nil {
				b.Fatal(err)
			}
		}
		buf, _ = r.AppendRecord(buf[:0])
	}
}
