package event

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// start is a moment of the day that test events are on.
const start = int64(20000) * catalog.DayMicros

// typical makes events such as SDKs send: 12 properties, 3 shapes.
func typical(n int) *Batch {
	b := &Batch{Shard: catalog.ShardKey{Project: 7, Day: catalog.DayOf(start), Bucket: 3}}
	for i := range n {
		e := Event{
			ID:         catalog.IngestID{Time: 1_728_000_000_000_000_000, Edge: 0xed6e, Index: uint32(i)},
			Name:       []string{"page viewed", "signed up", "bought"}[i%3],
			Time:       start + int64(i)*1_234_000,
			DistinctID: fmt.Sprintf("user-%05d", i*7919%5000),
			InsertID:   fmt.Sprintf("%08x-0000-4000-8000-%012x", i*2654435761, i),
			Properties: []Property{
				{Name: "$browser", Value: catalog.String("Firefox")},
				{Name: "$browser_version", Value: catalog.Int(143)},
				{Name: "$city", Value: catalog.String("Zürich")},
				{Name: "$current_url", Value: catalog.String(fmt.Sprintf("https://example.com/products/%d?from=mail", i%1000))},
				{Name: "$os", Value: catalog.String("Linux")},
				{Name: "$screen_height", Value: catalog.Int(1080)},
				{Name: "$screen_width", Value: catalog.Int(1920)},
				{Name: "amount", Value: catalog.Double(19.99 + float64(i))},
				{Name: "logged in", Value: catalog.Bool(i%2 == 0)},
				{Name: "mp_country_code", Value: catalog.String("CH")},
				{Name: "mp_lib", Value: catalog.String("web")},
				{Name: []string{"plan", "coupon", "referrer"}[i%3], Value: catalog.Null},
			},
		}
		b.Events = append(b.Events, e)
		sortProperties(&b.Events[i])
	}
	return b
}

func sortProperties(e *Event) {
	for i := 1; i < len(e.Properties); i++ {
		for j := i; j > 0 && e.Properties[j].Name < e.Properties[j-1].Name; j-- {
			e.Properties[j], e.Properties[j-1] = e.Properties[j-1], e.Properties[j]
		}
	}
}

func mustEncode(t testing.TB, b *Batch) []byte {
	t.Helper()
	rec, err := AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestDecodeGivesBackTheBatch(t *testing.T) {
	var into Batch // one for all, so that what an earlier batch left would show
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		b := randomBatch(r, i%40)
		rec := mustEncode(t, b)
		if err := DecodeBatch(rec, &into); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		if diff := cmp.Diff(b, &into, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("batch %d (-sent +got):\n%s", i, diff)
		}
		h, err := DecodeHeader(rec)
		if err != nil || h.Shard != b.Shard || h.Events != len(b.Events) || h.Deletes != len(b.Deletes) || h.Undos != len(b.Undos) {
			t.Fatalf("batch %d: header %+v, %v", i, h, err)
		}
	}
}

// randomBatch draws events of a few names, users and properties, of all kinds.
func randomBatch(r *rand.Rand, n int) *Batch {
	day := catalog.Day(r.IntN(40000) - 20000)
	b := &Batch{Shard: catalog.ShardKey{Project: catalog.ProjectID(r.Uint32()), Day: day, Bucket: uint16(r.IntN(1024))}}
	id := catalog.IngestID{Time: r.Uint64() | 1, Edge: r.Uint32(), Index: r.Uint32()}
	text := func(most int) string {
		return fmt.Sprintf("%0*x", most, r.Uint32())[:r.IntN(most)+1]
	}
	for range n {
		id.Index += uint32(r.IntN(3))
		if r.IntN(8) == 0 {
			id.Time += r.Uint64N(1000)
		}
		e := Event{
			ID: id, Name: fmt.Sprint("event ", r.IntN(4)), Time: day.Start() + r.Int64N(catalog.DayMicros),
			ServerTime: r.IntN(5) == 0, DistinctID: fmt.Sprint("u", r.IntN(5)), InsertID: text(40),
		}
		if r.IntN(2) == 0 {
			e.Time -= e.Time % 1000
		}
		if r.IntN(4) == 0 {
			e.InsertID = ""
		}
		for p := range r.IntN(6) {
			if r.IntN(3) > 0 {
				e.Properties = append(e.Properties, Property{Name: fmt.Sprint("p", p), Value: randomValue(r, text)})
			}
		}
		b.Events = append(b.Events, e)
	}
	for range r.IntN(3) {
		d := Delete{ID: id}
		for range r.IntN(4) {
			d.Targets = append(d.Targets, catalog.IngestID{Time: r.Uint64(), Edge: r.Uint32(), Index: r.Uint32()})
		}
		b.Deletes = append(b.Deletes, d)
	}
	for range r.IntN(3) {
		b.Undos = append(b.Undos, Undo{ID: id, Delete: catalog.IngestID{Time: r.Uint64()}})
	}
	return b
}

func randomValue(r *rand.Rand, text func(int) string) catalog.Value {
	switch r.IntN(8) {
	case 0:
		return catalog.Null
	case 1:
		return catalog.Bool(r.IntN(2) == 0)
	case 2:
		return catalog.Int(int64(r.Uint64()) >> r.IntN(64))
	case 3:
		return catalog.Double(r.NormFloat64())
	case 4:
		return catalog.Number(fmt.Sprintf("%d.500", r.IntN(100)))
	case 5:
		return catalog.JSON(fmt.Sprintf(`{"a":[%d]}`, r.IntN(1e6)))
	case 6:
		return catalog.String("")
	default:
		return catalog.String(text(100))
	}
}
