package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// oddShop makes events whose properties are all that columns find hard: rare,
// late, of mixed kinds, null, of many numbers, of numbers and then texts.
type oddShop struct {
	rng     *rand.Rand
	request uint64
	made    int
}

func (o *oddShop) value(kinds ...catalog.Kind) catalog.Value {
	switch kinds[o.rng.IntN(len(kinds))] {
	case catalog.KindBool:
		return catalog.Bool(o.rng.IntN(2) == 0)
	case catalog.KindInt:
		return catalog.Int(o.rng.Int64N(300) - 100)
	case catalog.KindDouble:
		return catalog.Double([]float64{0.5, -2.25, 1e300, math.Copysign(0, -1)}[o.rng.IntN(4)])
	case catalog.KindNumber:
		return catalog.Number([]string{"1.50", "123456789012345678901", "-0.10"}[o.rng.IntN(3)])
	case catalog.KindString:
		return catalog.String([]string{"", "17", "true", "2026-01-02 03:04:05", "naïve \"quotes\"", "x"}[o.rng.IntN(6)])
	case catalog.KindJSON:
		return catalog.JSON([]string{`[1,"a"]`, `{"b":null}`}[o.rng.IntN(2)])
	}
	return catalog.Null
}

func (o *oddShop) event(i int) event.Event {
	e := event.Event{
		ID:   catalog.IngestID{Time: o.request, Edge: 3, Index: uint32(i)},
		Name: fmt.Sprintf("event %d", o.rng.IntN(5)), Time: catalog.Day(20_000).Start() + o.rng.Int64N(catalog.DayMicros),
		ServerTime: o.rng.IntN(4) == 0, DistinctID: fmt.Sprintf("user %d", o.rng.IntN(40+o.made/10)),
	}
	switch o.rng.IntN(4) {
	case 0: // none
	case 1:
		e.InsertID = fmt.Sprintf("text %d", o.rng.IntN(1000))
	case 2:
		e.InsertID = fmt.Sprintf("%032x", o.rng.IntN(1000))
	case 3:
		e.InsertID = fmt.Sprintf("%08X-0000-4000-8000-ABCDEF%06X", o.rng.IntN(1000), o.rng.IntN(10))
	}
	add := func(one int, name string, v catalog.Value) {
		if o.rng.IntN(one) == 0 {
			e.Properties = append(e.Properties, event.Property{Name: name, Value: v})
		}
	}
	late := catalog.Int(o.rng.Int64())
	if (o.made > 1500 && o.made < 1700 || o.made > 20_000) && o.rng.IntN(5) == 0 {
		late = catalog.String(fmt.Sprintf("late %d", o.rng.IntN(3)))
	}
	all := o.value(catalog.KindString)
	if o.made > 1000 && o.rng.IntN(20) == 0 {
		all = o.value(catalog.KindNumber, catalog.KindJSON, catalog.KindInt)
	}
	add(1, "all", all)
	add(3, "any", o.value(catalog.KindNull, catalog.KindBool, catalog.KindInt, catalog.KindDouble, catalog.KindNumber, catalog.KindString, catalog.KindJSON))
	add(1, "int", catalog.Int(o.rng.Int64N(20)))
	add(1, "late", late)
	add(1, "many", catalog.Double(o.rng.Float64()))
	add(2, "mixed", o.value(catalog.KindInt, catalog.KindDouble, catalog.KindNull))
	add(1, "numbers", [2]catalog.Value{catalog.Int(o.rng.Int64()), catalog.Double(o.rng.NormFloat64())}[o.rng.IntN(2)])
	add(3000, "rare", o.value(catalog.KindBool))
	add(2, "words", catalog.String(fmt.Sprintf("word %d", o.rng.IntN(1+o.made/2))))
	o.made++
	return e
}

// record makes a batch of n events, some of which come twice.
func (o *oddShop) record(tb testing.TB, n int) []byte {
	tb.Helper()
	o.request += 1_000_000
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20_000}}
	for i := range n {
		e := o.event(i)
		if i > 10 && o.rng.IntN(20) == 0 {
			e = b.Events[o.rng.IntN(i)]
			e.ID.Index = uint32(i)
		}
		b.Events = append(b.Events, e)
	}
	if n > 100 {
		b.Deletes = []event.Delete{{ID: catalog.IngestID{Time: o.request, Edge: 4}}}
		for i := 7; i < n; i += 19 {
			b.Deletes[0].Targets = append(b.Deletes[0].Targets, b.Events[i].ID)
		}
	}
	record, err := event.AppendBatch(nil, b)
	if err != nil {
		tb.Fatal(err)
	}
	return record
}

func newOddShop() *oddShop {
	return &oddShop{rng: rand.New(rand.NewPCG(5, 6)), request: 1_728_000_000_000_000_000}
}

// oddColumns are all sources, and the odd properties in all types.
func oddColumns() (columns []exec.Column) {
	for s := exec.SourceEvent; s <= exec.SourceShard; s++ {
		if s != exec.SourceFile { // it tells a file from the log
			columns = append(columns, exec.Column{Source: s})
		}
	}
	for _, name := range []string{"all", "any", "int", "late", "many", "mixed", "never", "numbers", "rare", "words"} {
		for t := catalog.TypeNull; t <= catalog.TypeDecimal; t++ {
			c := exec.Column{Property: name, Type: t}
			if t == catalog.TypeDecimal {
				c.Precision, c.Scale = 20, 2
			}
			columns = append(columns, c)
		}
	}
	return columns
}
