package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"arbor/catalog"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBatchLimits(t *testing.T) {
	shard := catalog.ShardKey{Project: 1, Day: catalog.DayOf(start)}
	id := catalog.IngestID{Time: 1}
	for name, test := range map[string]struct {
		limit int
		make  func(n int) *Batch
	}{
		"MaxBatchEvents": {MaxBatchEvents, func(n int) *Batch {
			b := &Batch{Shard: shard, Events: make([]Event, n)}
			for i := range b.Events {
				b.Events[i] = Event{ID: id, Name: "e", Time: start}
			}
			return b
		}},
		"MaxBatchDeletes": {MaxBatchDeletes, func(n int) *Batch {
			b := &Batch{Shard: shard, Deletes: make([]Delete, n)}
			for i := range b.Deletes {
				b.Deletes[i].ID = id
			}
			return b
		}},
		"MaxBatchDeletes of undos": {MaxBatchDeletes, func(n int) *Batch {
			b := &Batch{Shard: shard, Undos: make([]Undo, n)}
			for i := range b.Undos {
				b.Undos[i].ID = id
			}
			return b
		}},
		"MaxBatchTargets": {MaxBatchTargets, func(n int) *Batch {
			return &Batch{Shard: shard, Deletes: []Delete{{ID: id, Targets: make([]catalog.IngestID, n-1)}, {ID: id, Targets: make([]catalog.IngestID, 1)}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got Batch
			b := test.make(test.limit)
			if err := DecodeBatch(mustEncode(t, b), &got); err != nil {
				t.Fatalf("at the limit: %v", err)
			}
			if len(got.Events) != len(b.Events) || len(got.Deletes) != len(b.Deletes) || len(got.Undos) != len(b.Undos) {
				t.Fatal("at the limit some are lost")
			}
			if _, err := AppendBatch(nil, test.make(test.limit+1)); !errors.Is(err, ErrLimit) {
				t.Fatalf("one past: %v", err)
			}
		})
	}
}

func TestMaxBatchBytes(t *testing.T) {
	long := strings.Repeat("x", MaxEventBytes-100)
	b := &Batch{Shard: catalog.ShardKey{Day: catalog.DayOf(start)}}
	e := func(text string) Event {
		return Event{ID: catalog.IngestID{Time: 1}, Name: "e", Time: start, Properties: []Property{{Name: "p", Value: catalog.String(text)}}}
	}
	for range MaxBatchBytes / MaxEventBytes {
		b.Events = append(b.Events, e(long))
	}
	b.Events = append(b.Events, e(""))
	rec := mustEncode(t, b)
	// The last event's text fills what is left, but for the 2 bytes that its
	// length takes, since some thousands of bytes are left.
	last := &b.Events[len(b.Events)-1].Properties[0].Value
	last.Text = strings.Repeat("y", MaxBatchBytes-len(rec)-2)
	rec = mustEncode(t, b)
	if len(rec) != MaxBatchBytes {
		t.Fatalf("%d bytes", len(rec))
	}
	if err := DecodeBatch(rec, &Batch{}); err != nil {
		t.Fatalf("at the limit: %v", err)
	}
	last.Text += "y"
	if _, err := AppendBatch(nil, b); !errors.Is(err, ErrLimit) {
		t.Fatalf("one past: %v", err)
	}
	if _, err := DecodeHeader(append(rec, 0)); !errors.Is(err, ErrLimit) {
		t.Fatalf("one past, decoded: %v", err)
	}
}

func TestAppendBatchRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		want  error
		spoil func(b *Batch)
	}{
		"no id":            {ErrInvalid, func(b *Batch) { b.Events[1].ID = catalog.IngestID{} }},
		"delete has no id": {ErrInvalid, func(b *Batch) { b.Deletes = []Delete{{}} }},
		"undo has no id":   {ErrInvalid, func(b *Batch) { b.Undos = []Undo{{}} }},
		"the day before":   {ErrInvalid, func(b *Batch) { b.Events[1].Time = start - 1 }},
		"the day after":    {ErrInvalid, func(b *Batch) { b.Events[1].Time = start + catalog.DayMicros }},
		"unsorted":         {ErrInvalid, func(b *Batch) { p := b.Events[2].Properties; p[0], p[1] = p[1], p[0] }},
		"twice":            {ErrInvalid, func(b *Batch) { p := b.Events[2].Properties; p[1].Name = p[0].Name }},
		"unknown kind":     {ErrInvalid, func(b *Batch) { b.Events[2].Properties[3].Value.Kind = 7 }},
		"name":             {ErrLimit, func(b *Batch) { b.Events[1].Name = strings.Repeat("x", MaxEventName+1) }},
		"distinct id":      {ErrLimit, func(b *Batch) { b.Events[1].DistinctID = strings.Repeat("x", MaxDistinctID+1) }},
		"insert id":        {ErrLimit, func(b *Batch) { b.Events[1].InsertID = strings.Repeat("x", MaxInsertID+1) }},
		"properties":       {ErrLimit, func(b *Batch) { b.Events[1].Properties = make([]Property, MaxProperties+1) }},
		"property's name":  {ErrLimit, func(b *Batch) { b.Events[2].Properties[11].Name = strings.Repeat("x", MaxPropertyName+1) }},
		"value":            {ErrLimit, func(b *Batch) { b.Events[2].Properties[0].Value = catalog.String(strings.Repeat("x", MaxEventBytes+1)) }},
	} {
		b := typical(3)
		test.spoil(b)
		dst := []byte("before")
		got, err := AppendBatch(dst, b)
		if !errors.Is(err, test.want) || string(got) != "before" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestAppendBatchAppends(t *testing.T) {
	b := typical(3)
	dst, err := AppendBatch([]byte("before"), b)
	if err != nil || string(dst[:6]) != "before" {
		t.Fatal(err)
	}
	var got Batch
	if err := DecodeBatch(dst[6:], &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, &got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatal(diff)
	}
}

func TestHeader(t *testing.T) {
	b := goldenBatches()["several"]
	h, err := DecodeHeader(mustEncode(t, b))
	want := Header{Shard: b.Shard, Events: 5, Properties: 7, MinTime: start, MaxTime: start + 7_000_001,
		FirstID: catalog.IngestID{Time: 1, Edge: 2, Index: 2}, LastID: b.Events[2].ID}
	if h != want || err != nil {
		t.Errorf("got %+v, %v", h, err)
	}
	if h, err := DecodeHeader(mustEncode(t, &Batch{Shard: b.Shard})); h != (Header{Shard: b.Shard}) || err != nil {
		t.Errorf("empty: got %+v, %v", h, err)
	}
}

// TestDamageIsFound flips and cuts every byte of records.
func TestDamageIsFound(t *testing.T) {
	for name, b := range goldenBatches() {
		rec := mustEncode(t, b)
		var into Batch
		for at := range rec {
			for _, flip := range []byte{1, 0x80, 0xff} {
				rec[at] ^= flip
				if err := DecodeBatch(rec, &into); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: byte %d ^ %#x: %v", name, at, flip, err)
				}
				if _, err := DecodeHeader(rec); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: byte %d ^ %#x: header: %v", name, at, flip, err)
				}
				rec[at] ^= flip
			}
			if err := DecodeBatch(rec[:at], &into); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: cut at %d: %v", name, at, err)
			}
		}
		if err := DecodeBatch(append(rec, 0), &into); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: a byte more: %v", name, err)
		}
	}
}

// TestResealedDamageIsHarmless flips every byte and makes the checksum good
// again: what is still decoded must be a batch that can be encoded.
func TestResealedDamageIsHarmless(t *testing.T) {
	for name, b := range goldenBatches() {
		rec := mustEncode(t, b)
		for at := headerOffset; at < len(rec); at++ {
			for _, flip := range []byte{1, 2, 4, 8, 16, 32, 64, 128, 255} {
				rec[at] ^= flip
				checkDecodable(t, name, reseal(rec))
				rec[at] ^= flip
			}
		}
	}
}

// reseal makes a record's checksum good.
func reseal(rec []byte) []byte {
	binary.LittleEndian.PutUint32(rec[sumOffset:], checksum(rec))
	return rec
}

// checkDecodable holds a record with a good checksum to: an error by name, or a
// batch that comes back from being encoded.
func checkDecodable(t *testing.T, what string, rec []byte) {
	t.Helper()
	got := typical(2) // dirty
	err := DecodeBatch(rec, got)
	var w Walker
	events, walkErr := walked(t, &w, rec)
	if fmt.Sprint(walkErr) != fmt.Sprint(err) {
		t.Fatalf("%s: walked: %v, decoded: %v", what, walkErr, err)
	}
	checkSkim(t, what, &w, rec)
	if err == nil {
		if diff := cmp.Diff(got, events, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("%s: decoded and walked:\n%s", what, diff)
		}
	}
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("%s: %v", what, err)
		}
		return
	}
	h, err := DecodeHeader(rec)
	if err != nil || h.Events != len(got.Events) || h.Shard != got.Shard {
		t.Fatalf("%s: header %+v, %v", what, h, err)
	}
	again, err := AppendBatch(nil, got)
	if err != nil {
		t.Fatalf("%s: encoded again: %v", what, err)
	}
	var back Batch
	if err := DecodeBatch(again, &back); err != nil {
		t.Fatalf("%s: decoded again: %v", what, err)
	}
	if diff := cmp.Diff(got, &back, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
		t.Fatalf("%s:\n%s", what, diff)
	}
}

// TestRecordsThatCannotBe: headers that say other than what follows are refused
// although the checksum holds.
func TestRecordsThatCannotBe(t *testing.T) {
	encode := func(b *Batch, spoil func(h *Header)) []byte {
		h, err := summarize(b)
		if err != nil && !errors.Is(err, ErrLimit) {
			t.Fatal(err)
		}
		spoil(&h)
		enc := encoders.New().(*encoder)
		enc.buf = append([]byte(recordMagic), recordVersion, 0, 0, 0, 0)
		enc.header(&h)
		if err := enc.events(&h, b.Events); err != nil {
			t.Fatal(err)
		}
		enc.deletes(b)
		return reseal(enc.buf)
	}
	several, deletes := goldenBatches()["several"], goldenBatches()["deletes"]
	for _, b := range []*Batch{several, deletes} {
		if err := DecodeBatch(encode(b, func(*Header) {}), &Batch{}); err != nil {
			t.Fatalf("unspoilt: %v", err)
		}
	}
	tooMany := &Batch{Deletes: []Delete{
		{ID: catalog.IngestID{Time: 1}, Targets: make([]catalog.IngestID, MaxBatchTargets)},
		{ID: catalog.IngestID{Time: 1}, Targets: make([]catalog.IngestID, 1)},
	}}
	next := func(id catalog.IngestID) catalog.IngestID { id.Index++; return id }
	for name, test := range map[string]struct {
		batch *Batch
		spoil func(h *Header)
	}{
		"an event before the first id":  {several, func(h *Header) { h.FirstID = next(h.FirstID) }},
		"an event after the last id":    {several, func(h *Header) { h.LastID.Index-- }},
		"a delete before the first id":  {deletes, func(h *Header) { h.FirstID = next(h.FirstID) }},
		"an undo after the last id":     {deletes, func(h *Header) { h.LastID.Index-- }},
		"no first id":                   {several, func(h *Header) { h.FirstID = catalog.IngestID{} }},
		"first and last id swapped":     {several, func(h *Header) { h.FirstID, h.LastID = h.LastID, h.FirstID }},
		"a property more":               {several, func(h *Header) { h.Properties++ }},
		"a property less":               {several, func(h *Header) { h.Properties-- }},
		"an event more":                 {several, func(h *Header) { h.Events++ }},
		"an event less":                 {several, func(h *Header) { h.Events-- }},
		"a delete more":                 {deletes, func(h *Header) { h.Deletes++ }},
		"an undo less":                  {deletes, func(h *Header) { h.Undos-- }},
		"an event after the last time":  {several, func(h *Header) { h.MaxTime-- }},
		"the last time a day later":     {several, func(h *Header) { h.MaxTime = start + catalog.DayMicros }},
		"the last time two days later":  {several, func(h *Header) { h.MaxTime = start + 2*catalog.DayMicros }},
		"the last time the next day":    {goldenBatches()["one"], func(h *Header) { h.MaxTime = start + catalog.DayMicros }},
		"another day":                   {several, func(h *Header) { h.Shard.Day++ }},
		"more targets than are allowed": {tooMany, func(*Header) {}},
	} {
		rec := encode(test.batch, test.spoil)
		if err := DecodeBatch(rec, &Batch{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := walked(t, &Walker{}, rec); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: walked: %v", name, err)
		}
	}
}

func TestNewerVersionIsRefusedByName(t *testing.T) {
	rec := mustEncode(t, typical(1))
	rec[len(recordMagic)] = 2
	err := DecodeBatch(reseal(rec), &Batch{})
	if !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "version 2") {
		t.Error(err)
	}
}

// TestDecodeAllocatesNothing: not for an event, into a batch that has grown.
func TestDecodeAllocatesNothing(t *testing.T) {
	rec := mustEncode(t, typical(1000))
	var into Batch
	decode := func() {
		if err := DecodeBatch(rec, &into); err != nil {
			t.Fatal(err)
		}
	}
	// A garbage collection may empty the pool of decoders, and the race
	// detector does so at random.
	if n := testing.AllocsPerRun(50, decode); n > 20 {
		t.Errorf("%v allocations for 1000 events", n)
	}
}

// TestDecodedPropertiesAreApart: appending to one event's properties does not
// write into its neighbour's.
func TestDecodedPropertiesAreApart(t *testing.T) {
	b := typical(3)
	var got Batch
	if err := DecodeBatch(mustEncode(t, b), &got); err != nil {
		t.Fatal(err)
	}
	for i := range got.Events {
		_ = append(got.Events[i].Properties, Property{Name: "zzz"})
	}
	if diff := cmp.Diff(b, &got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatal(diff)
	}
}

// TestManyShapes: events of ever other properties, more than are compared.
func TestManyShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	b := typical(200)
	for i := range b.Events {
		b.Events[i].Name = "the same"
		p := b.Events[i].Properties
		kept := p[:0]
		for _, one := range p {
			if r.IntN(2) == 0 {
				kept = append(kept, one)
			}
		}
		b.Events[i].Properties = kept
	}
	var got Batch
	if err := DecodeBatch(mustEncode(t, b), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, &got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatal(diff)
	}
}

// FuzzDecodeBatch feeds what follows the checksum, under a good one.
func FuzzDecodeBatch(f *testing.F) {
	for _, b := range goldenBatches() {
		f.Add(mustEncode(f, b)[headerOffset:])
	}
	f.Add(mustEncode(f, typical(5))[headerOffset:])
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := append([]byte(recordMagic), recordVersion, 0, 0, 0, 0)
		checkDecodable(t, "fuzz", reseal(append(rec, body...)))
	})
}

// FuzzCheck: an event that Check allows can be encoded, and comes back.
func FuzzCheck(f *testing.F) {
	f.Add("bought", "ann", "i-1", int64(start), "plan", uint8(catalog.KindString), uint64(0), "pro")
	f.Add("bought", "", "", int64(-1), "cart", uint8(catalog.KindJSON), uint64(0), `{"a":["\"",1.5e3]}`)
	f.Add("bought", "", "", int64(0), "n", uint8(catalog.KindNumber), uint64(0), "-1.50e+400")
	f.Add("bought", "", "", int64(0), "n", uint8(catalog.KindDouble), uint64(1), "")
	f.Fuzz(func(t *testing.T, name, user, insert string, time int64, property string, kind uint8, bits uint64, text string) {
		v := catalog.Value{Kind: catalog.Kind(kind)}
		switch v.Kind {
		case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
			v.Bits = bits
		case catalog.KindNumber, catalog.KindString, catalog.KindJSON:
			v.Text = text
		}
		e := Event{ID: catalog.IngestID{Time: 1}, Name: name, DistinctID: user, InsertID: insert, Time: time,
			Properties: []Property{{Name: property, Value: v}}}
		if err := Check(&e); err != nil {
			var check *CheckError
			if !errors.As(err, &check) || !errors.Is(err, ErrLimit) && !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		b := &Batch{Shard: catalog.ShardKey{Day: catalog.DayOf(time)}, Events: []Event{e}}
		var got Batch
		if err := DecodeBatch(mustEncode(t, b), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, &got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(e, fromCanonical(AppendCanonical(nil, &got.Events[0])), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(Digest{Count: 3, Hi: 1, Lo: 2}.String())
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDigest(s)
		if err != nil {
			return
		}
		if again, err := ParseDigest(d.String()); again != d || err != nil {
			t.Fatalf("%q gives %s, which gives %s, %v", s, d, again, err)
		}
	})
}
