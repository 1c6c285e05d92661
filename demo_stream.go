package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// The demo's shop: what its users do, on what, and how much of it.
const (
	demoBatchEvents = 500
	demoUsers       = 5_000
	demoAnonymous   = 200
	demoConflicts   = 0.0005 // of events: an SDK's bug gives an id out twice
	demoRepeated    = 0.02   // of batches: a client's queue sends a batch again, much later
	demoDays        = 7
)

var (
	demoEvents   = []string{"Page View", "Page View", "Page View", "Page View", "Search", "Add to Cart", "Add to Cart", "Purchase", "Sign Up"}
	demoSystems  = []string{"iOS", "iOS", "Android", "Android", "Windows", "Mac OS X", "Linux"}
	demoPlans    = []string{"free", "free", "free", "pro", "team"}
	demoProducts = []string{"mug", "lamp", "chair", "desk", "rug", "clock", "vase", "shelf"}
)

// demoTruth is what was really made and sent, counted by the sender.
type demoTruth struct {
	mu sync.Mutex // guards copies and retries while batches are under way

	events, anonymous, conflicts int64
	copies, retries              int64
	purchases, cents             int64
	users                        map[string]bool
	lostAcknowledgements         int64
}

// visible is how many events a user of the database should see.
func (t *demoTruth) visible() int64 { return t.events + t.anonymous }

// addCopies counts a batch that was sent that often. Of each event's copies the
// first is the event; a conflicting copy sent again is one more conflict.
func (t *demoTruth) addCopies(b demoBatch, sent int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copies += int64(b.events) * int64(sent)
	t.conflicts += int64(b.conflicts) * int64(sent)
	t.retries += int64(b.events-b.conflicts) * int64(sent)
	if !b.repeated {
		t.retries -= int64(b.events - b.conflicts)
	}
}

// demoBatch is the body of one request.
type demoBatch struct {
	body              []byte
	events, conflicts int
	repeated          bool // sent before, as a whole
}

// demoStream makes the same events for the same seed and start.
type demoStream struct {
	rng    *rand.Rand
	events int
	end    time.Time
	truth  *demoTruth
}

func newDemoStream(seed uint64, events int, end time.Time) *demoStream {
	return &demoStream{
		rng: rand.New(rand.NewPCG(seed, 2)), events: events, end: end.Add(-time.Minute),
		truth: &demoTruth{users: map[string]bool{}},
	}
}

// each gives the stream's batches in the order of the events' times, now and
// then one of the earlier ones again. A conflicting copy is put behind its
// original in the same batch, so that it is the later one however often the
// batch is sent.
func (s *demoStream) each(send func(demoBatch) error) error {
	var earlier []demoBatch
	for made := 0; made < s.events; {
		b := demoBatch{body: []byte{'['}}
		for b.events < demoBatchEvents && made < s.events {
			e := s.next(made)
			b.add(e.json(""))
			made++
			if s.rng.Float64() < demoConflicts {
				b.add(e.json(`,"attempt":2`))
				b.conflicts++
			}
		}
		b.body = append(b.body, ']')
		if err := send(b); err != nil {
			return err
		}
		if b.conflicts == 0 {
			earlier = append(earlier, b)
		}
		if len(earlier) > 0 && s.rng.Float64() < demoRepeated {
			again := earlier[s.rng.IntN(len(earlier))]
			again.repeated = true
			if err := send(again); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *demoBatch) add(event []byte) {
	if b.events > 0 {
		b.body = append(b.body, ',')
	}
	b.body = append(b.body, event...)
	b.events++
}

// demoEvent is one thing a user of the shop did.
type demoEvent struct {
	name, user, id, system, plan, product string
	at                                    time.Time
	cents                                 int64
}

// next makes event number n and counts it.
func (s *demoStream) next(n int) demoEvent {
	span := demoDays * 24 * time.Hour
	user := s.rng.IntN(demoUsers)
	user = user * user / demoUsers // few users do much, many do little
	e := demoEvent{
		name: demoEvents[s.rng.IntN(len(demoEvents))], user: "user-" + strconv.Itoa(user),
		id:     fmt.Sprintf("%08x-%08x", n, s.rng.Uint32()),
		system: demoSystems[user%len(demoSystems)], plan: demoPlans[user%len(demoPlans)],
		product: demoProducts[s.rng.IntN(len(demoProducts))],
		at:      s.end.Add(-span + span/time.Duration(s.events)*time.Duration(n)),
		cents:   199 + s.rng.Int64N(20_000),
	}
	s.truth.events++
	s.truth.users[e.user] = true
	if e.name == "Purchase" {
		s.truth.purchases++
		s.truth.cents += e.cents
	}
	return e
}

// withoutInsertID is a batch of events that nobody can tell from their copies.
func (s *demoStream) withoutInsertID() demoBatch {
	b := demoBatch{body: []byte{'['}}
	for range demoAnonymous {
		e := s.next(s.events - 1)
		s.truth.events--
		s.truth.anonymous++
		e.id = ""
		b.add(e.json(""))
	}
	b.body = append(b.body, ']')
	return b
}

// json is the event as an SDK sends it, with more properties if given.
func (e demoEvent) json(more string) []byte {
	b := fmt.Appendf(nil, `{"event":%q,"properties":{"time":%d,"distinct_id":%q,"$os":%q,"plan":%q,"product":%q`,
		e.name, e.at.UnixMilli(), e.user, e.system, e.plan, e.product)
	if e.id != "" {
		b = fmt.Appendf(b, `,"$insert_id":%q`, e.id)
	}
	if e.name == "Purchase" || e.name == "Add to Cart" {
		b = fmt.Appendf(b, `,"price_cents":%d`, e.cents)
	}
	if e.name == "Search" {
		b = fmt.Appendf(b, `,"results":%d`, e.cents%50)
	}
	return append(append(b, more...), "}}"...)
}
