package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/gateway/track"
)

// A stamper's ids grow, whatever its clock does and whoever asks.
func TestStamperNeverRepeats(t *testing.T) {
	now := testNow
	s := NewStamper(func() time.Time { return now })
	last := s.Stamp()
	for _, step := range []time.Duration{0, time.Nanosecond, -time.Hour, 2 * time.Hour, 0} {
		now = now.Add(step)
		id := s.Stamp()
		if id.Compare(last) <= 0 {
			t.Fatalf("after a step of %v: %v is not after %v", step, id, last)
		}
		if id.Edge != last.Edge || id.Index != 0 {
			t.Fatalf("edge %d then %d, index %d", last.Edge, id.Edge, id.Index)
		}
		last = id
	}
	before := NewStamper(func() time.Time { return time.Unix(-5, 0) })
	if id := before.Stamp(); id.IsZero() || id.Time > 1<<32 {
		t.Fatalf("a clock before 1970 gives %v", id)
	}
	var mu sync.Mutex
	seen := make(map[catalog.IngestID]bool)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				id := s.Stamp()
				mu.Lock()
				if seen[id] {
					t.Errorf("%v twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func anEvent(name, user, id string, properties ...event.Property) event.Event {
	return event.Event{Name: name, Time: testNow.UnixMicro(), DistinctID: user, InsertID: id, Properties: properties}
}

func TestIngestRefusesRecordByRecord(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	long := strings.Repeat("x", 256)
	many := make([]event.Property, event.MaxProperties+1)
	for i := range many {
		many[i] = event.Property{Name: fmt.Sprintf("p%05d", i)}
	}
	late := anEvent("late", "u", "i")
	late.Time += MaxFuture + 1
	justNotLate := anEvent("just not late", "u", "i")
	justNotLate.Time += MaxFuture
	cases := []struct {
		name  string
		event event.Event
		field string // "" when it is good
	}{
		{"good", anEvent("e", "u", "i"), ""},
		{"no name", anEvent("", "u", "i"), "event"},
		{"name at the limit", anEvent(long[:event.MaxEventName], "u", "i"), ""},
		{"name past the limit", anEvent(long[:event.MaxEventName+1], "u", "i"), "event"},
		{"user at the limit", anEvent("e", long[:event.MaxDistinctID], "i"), ""},
		{"user past the limit", anEvent("e", long[:event.MaxDistinctID+1], "i"), "properties.distinct_id"},
		{"id at the limit", anEvent("e", "u", long[:event.MaxInsertID]), ""},
		{"id past the limit", anEvent("e", "u", long[:event.MaxInsertID+1]), "properties.$insert_id"},
		{"properties at the limit", anEvent("e", "u", "i", many[1:]...), ""},
		{"properties past the limit", anEvent("e", "u", "i", many...), "properties"},
		{"name of a property at the limit", anEvent("e", "u", "i", event.Property{Name: long[:event.MaxPropertyName]}), ""},
		{"name of a property past the limit", anEvent("e", "u", "i", event.Property{Name: long[:event.MaxPropertyName+1]}), "properties." + long[:80] + "…"},
		{"too large", anEvent("e", "u", "i", event.Property{Name: "p", Value: catalog.String(strings.Repeat("x", event.MaxEventBytes))}), "properties.p"},
		{"not UTF-8", anEvent("e", "u", "i", event.Property{Name: "p", Value: catalog.String("\xff")}), "properties.p"},
		{"no insert id", anEvent("e", "u", ""), ""},
		{"48 hours ahead", justNotLate, ""},
		{"more than 48 hours ahead", late, "properties.time"},
	}
	events := make([]event.Event, len(cases))
	for i, c := range cases {
		events[i] = c.event
	}
	done, err := w.gateway.Ingest(t.Context(), p, events, IngestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refused := make(map[int]RecordError)
	for _, r := range done.Rejected {
		refused[r.Index] = r
	}
	for i, c := range cases {
		if got := refused[i]; got.Field != c.field || c.field != "" && got.InsertID != c.event.InsertID {
			t.Errorf("%s: refused for %q with insert id %q, want %q", c.name, got.Field, got.InsertID, c.field)
		}
	}
	if want := len(cases) - len(refused); done.Stored != want || len(w.model.Records()) != want || done.Unidentified != 1 {
		t.Errorf("stored %d (%d without an id), the model has %d, want %d", done.Stored, done.Unidentified, len(w.model.Records()), want)
	}
	for _, r := range w.model.Records() {
		c := cases[r.Event.ID.Index]
		if r.Event.Name != c.event.Name || r.Event.ID.Time != done.ID.Time || r.Event.ID.Edge != done.ID.Edge {
			t.Errorf("%s: stored as %q with id %v of request %v", c.name, r.Event.Name, r.Event.ID, done.ID)
		}
	}
}

func TestIngestAtomicStoresAllOrNothing(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	_, err := w.gateway.Ingest(t.Context(), p, []event.Event{anEvent("a", "u", "1"), anEvent("", "u", "2"), anEvent("", "u", "3")}, IngestOptions{Atomic: true})
	var first *RecordError
	if !errors.Is(err, ErrRefused) || !errors.As(err, &first) || first.Index != 1 || first.InsertID != "2" {
		t.Errorf("error %v, want ErrRefused for event 1", err)
	}
	if n := len(w.model.Records()); n != 0 {
		t.Errorf("%d events were stored", n)
	}
	if p, _ := w.gateway.Catalog().Project("shop"); len(p.Columns) != 0 {
		t.Errorf("columns of refused events: %v", p.Columns)
	}
}

func TestIdempotencyKeyLimits(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	key := strings.Repeat("k", MaxIdempotencyKey)
	o := IngestOptions{IdempotencyKey: key, FirstIndex: 4_294_967_294, RequireInsertID: true}
	done, err := w.gateway.Ingest(t.Context(), p, []event.Event{anEvent("a", "u", ""), anEvent("b", "u", "")}, o)
	if err != nil || done.Stored != 2 {
		t.Fatalf("a key of %d bytes: stored %d, %v, %v", len(key), done.Stored, done.Rejected, err)
	}
	if id := w.model.Records()[1].Event.InsertID; id != key+":4294967295" {
		t.Errorf("insert id %q", id)
	}
	for _, bad := range []string{key + "k", "a b", "a\n", "é", "\x00"} {
		if _, err := w.gateway.Ingest(t.Context(), p, []event.Event{anEvent("a", "u", "")}, IngestOptions{IdempotencyKey: bad}); !errors.Is(err, ErrIdempotencyKey) {
			t.Errorf("key %.20q…: %v", bad, err)
		}
	}
}

// The columns that events need are there before the events are, also when many
// requests need them at once.
func TestIngestAddsColumns(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			value := catalog.Int(int64(i))
			if i%2 == 1 {
				value = catalog.String("text")
			}
			e := anEvent("e", "u", fmt.Sprint(i), event.Property{Name: fmt.Sprintf("p%02d", i%4), Value: value}, event.Property{Name: "x", Value: value})
			if _, err := w.gateway.Ingest(t.Context(), p, []event.Event{e}, IngestOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	p, _ = w.gateway.Catalog().Project("shop")
	got := make(map[string]string)
	for _, c := range p.Columns {
		got[c.Name] = c.Type.String()
	}
	want := map[string]string{"p00": "int", "p01": "string", "p02": "int", "p03": "string", "x": "string"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("columns %v, want %v", got, want)
	}
}

// A dropped project takes no events, even from a request that began before.
func TestIngestIntoADroppedProject(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	if _, err := w.gateway.cluster.Change(t.Context(), catalog.DropProject{ID: p.ID, At: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.gateway.Ingest(t.Context(), p, []event.Event{anEvent("a", "u", "1")}, IngestOptions{}); !errors.Is(err, catalog.ErrNoProject) {
		t.Errorf("error %v", err)
	}
}

// Whatever a request holds, each of its events is stored once, in its shard, in
// records that are not too large, and in order.
func TestIngestPartsByShardAndSize(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	r := rand.New(rand.NewPCG(1, 1))
	large := strings.Repeat("x", 300<<10)
	var events []event.Event
	for i := range 3000 {
		e := anEvent("e", fmt.Sprint("u", r.IntN(50)), fmt.Sprint(i))
		e.Time -= r.Int64N(5) * catalog.DayMicros
		if i%50 == 0 {
			e.Properties = []event.Property{{Name: "p", Value: catalog.String(large)}}
		}
		events = append(events, e)
	}
	done, err := w.gateway.Ingest(t.Context(), p, events, IngestOptions{})
	if err != nil || done.Stored != len(events) {
		t.Fatal(done.Stored, err)
	}
	seen := make([]bool, len(events))
	for _, record := range done.Records {
		if len(record) > recordBytes+event.MaxEventBytes {
			t.Errorf("a record of %d bytes", len(record))
		}
		var b event.Batch
		if err := event.DecodeBatch(record, &b); err != nil {
			t.Fatal(err)
		}
		last := -1
		for i := range b.Events {
			e := &b.Events[i]
			index := int(e.ID.Index)
			if seen[index] || index <= last || e.InsertID != fmt.Sprint(index) || p.Shard(e.Time, e.DistinctID, e.InsertID) != b.Shard {
				t.Fatalf("event %d (insert id %s) after %d in shard %v", index, e.InsertID, last, b.Shard)
			}
			seen[index], last = true, index
		}
	}
	for i := range seen {
		if !seen[i] {
			t.Fatalf("event %d is in no record", i)
		}
	}
}

// BenchmarkIngest takes in requests, from checks to records; the storage behind
// it only counts. "decoded" also decodes them from lines.
func BenchmarkIngest(b *testing.B) {
	w := newHTTPWorld(b, Options{})
	w.storage("odd") // appending costs nothing and says so
	p := w.project(b, "shop")
	c := w.gateway.beginCollection()
	defer w.gateway.endCollection(c)
	for _, n := range []struct {
		name    string
		events  int
		decoded bool
	}{{"checked", 2000, false}, {"decoded", 2000, true}, {"one", 1, true}} {
		text, decoded, events := sampleLines(n.events), n.decoded, n.events
		b.Run(n.name, func(b *testing.B) {
			var all []event.Event
			keep := func(r *track.Record) error {
				e := r.Event
				e.Properties = slices.Clone(e.Properties)
				all = append(all, e)
				return nil
			}
			if _, err := c.decoder.Decode([][]byte{text}, trackOptions, keep); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.intake.begin(w.gateway, IngestOptions{}, decoded); err != nil {
					b.Fatal(err)
				}
				part := c.intake.part(p)
				if decoded {
					take := func(r *track.Record) error { return c.intake.add(part, &r.Event, r.Index, r.Kind) }
					if _, err := c.decoder.Decode([][]byte{text}, trackOptions, take); err != nil {
						b.Fatal(err)
					}
				} else {
					for i := range all {
						if err := c.intake.add(part, &all[i], uint32(i), 0); err != nil {
							b.Fatal(err)
						}
					}
				}
				if _, err := c.intake.store(b.Context()); !errors.Is(err, errStorage) {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
		})
	}
}

// The answer that is written by hand is the one that encoding/json writes.
func TestImportedAllIsJSON(t *testing.T) {
	for _, n := range []int{0, 1, 2000} {
		want := string(jsonText(importReply{Code: 200, Stored: &n, Status: "OK"})) + "\n"
		if got := string(importedAll(n)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A request whose events are all of different shards takes more memory than its
// bytes, and the budget of requests knows.
func TestShardsOfARequestTakeFromTheBudget(t *testing.T) {
	const events = 1000
	w := newHTTPWorld(t, Options{MaxInflightBytes: 1 << 20})
	w.project(t, "shop")
	body := func(step int64) *strings.Reader {
		var b strings.Builder
		for i := range int64(events) {
			fmt.Fprintf(&b, `{"event":"e","properties":{"token":"token-shop","time":%d}}`+"\n", testNow.Unix()-i*step)
		}
		return strings.NewReader(b.String())
	}
	if status, answer := w.post("/track", body(1)); status != http.StatusOK {
		t.Errorf("events of one day: %d %s", status, answer)
	}
	if status, answer := w.post("/track", body(86_400)); status != http.StatusTooManyRequests {
		t.Errorf("events of %d days: %d %s, want 429", events, status, answer)
	}
	if used := w.gateway.bodies.used.Load(); used != 0 || len(w.model.Records()) != events {
		t.Errorf("%d bytes were not given back, %d events are stored, want %d", used, len(w.model.Records()), events)
	}
}
