// Package dataset makes the events that the benchmarks measure: what an online
// shop's apps send in a week, in the order in which it arrives. The same options
// always give the same events.
//
// The shape: 30 event names, 200,000 users and 20,000 pages, each by a Zipf law,
// so that a few are met all the time and most hardly ever; a user keeps one
// device, country and plan; times lag behind arrival, by seconds mostly, by
// hours sometimes; insert ids are random UUIDs. Two lines in a hundred are a
// retry, the same event again: minutes later mostly, hours or days later
// sometimes. One event in 10,000 bears the insert id of an event of somebody
// else, and is no duplicate.
package dataset

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"arbor/catalog"
	"arbor/engine/event"
)

// Options say which data set is made. The zero value of each field has a default.
type Options struct {
	Seed  uint64
	Lines int   // events that arrive, retries included; default 100,000
	Days  int   // default 7
	Users int   // default 200,000
	Pages int   // default 20,000
	Start int64 // the first moment, microseconds; default 2026-11-02 00:00 UTC
	// RetryEvery makes one line in so many a retry; default 50, below 0 none.
	RetryEvery int
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Lines, 100_000}, {&o.Days, 7}, {&o.Users, 200_000}, {&o.Pages, 20_000}, {&o.RetryEvery, 50}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Start == 0 {
		o.Start = 20_759 * catalog.DayMicros
	}
}

// Arrival is an event that arrives.
type Arrival struct {
	// At is the moment of arrival, in microseconds; arrivals are in its order.
	At int64
	// Retry is set when the same event has arrived before.
	Retry bool
	// Event is what the client sent; its ID is zero, for the receiver to stamp.
	Event event.Event
}

// Generator makes the arrivals one by one. It is for one goroutine.
type Generator struct {
	options Options
	random  *rand.Rand
	users   []user
	pages   []page
	pick    struct{ user, name, page, source sampler }
	clock   float64 // arrival of the next new event, in microseconds since Start
	made    int
	retries retryQueue
	recent  [512]string // insert ids, for the few that are used again
	fresh   int
}

// New prepares a data set.
func New(o Options) *Generator {
	o.setDefaults()
	g := &Generator{options: o, random: rand.New(rand.NewPCG(o.Seed, 0x6172626f72))}
	g.users = make([]user, o.Users)
	for i := range g.users {
		g.users[i] = makeUser(g.random, i)
	}
	g.pages = make([]page, o.Pages)
	for i := range g.pages {
		g.pages[i] = makePage(g.random, i)
	}
	g.pick.user = newSampler(zipf(o.Users, 0.9, 20))
	g.pick.name = newSampler(zipf(len(eventNames), 1, 1))
	g.pick.page = newSampler(zipf(o.Pages, 1, 3))
	g.pick.source = newSampler(zipf(len(sources), 1, 1))
	return g
}

// Next gives the next arrival, or false after the last.
func (g *Generator) Next() (Arrival, bool) {
	if g.made == g.options.Lines {
		return Arrival{}, false
	}
	g.made++
	if len(g.retries) > 0 && g.retries[0].At <= g.options.Start+int64(g.clock) {
		return heap.Pop(&g.retries).(Arrival), true
	}
	a := Arrival{At: g.options.Start + int64(g.clock)}
	g.clock += g.gap()
	a.Event = g.event(a.At)
	if g.options.RetryEvery > 0 && g.random.IntN(g.options.RetryEvery) == 0 {
		again := a
		again.Retry = true
		again.At += 1 + g.retryAfter()
		heap.Push(&g.retries, again)
	}
	return a, true
}

// gap is the time to the next new event. Nights are quiet: the rate follows the
// hour, and its mean is 1.25 times what it is at midnight.
func (g *Generator) gap() float64 {
	span := float64(g.options.Days) * float64(catalog.DayMicros)
	hour := 2 * math.Pi * g.clock / float64(catalog.DayMicros)
	next := min(g.clock+1.25*span/float64(g.options.Lines)*(1+0.6*math.Sin(hour)), span-1)
	return next - g.clock
}

// event makes a new event that arrives at that moment.
func (g *Generator) event(at int64) event.Event {
	r := g.random
	u, p := &g.users[g.pick.user.next(r)], &g.pages[g.pick.page.next(r)]
	name := eventNames[g.pick.name.next(r)]
	e := event.Event{Name: name.text, Time: g.sentAt(at), DistinctID: u.id, InsertID: g.insertID()}
	e.Properties = append(make([]event.Property, 0, 8),
		event.Property{Name: "$browser", Value: u.browser},
		event.Property{Name: "$os", Value: u.system},
		event.Property{Name: "mp_country_code", Value: u.country},
		event.Property{Name: "plan", Value: u.plan})
	if name.priced {
		e.Properties = append(e.Properties, event.Property{Name: "price", Value: price(p.cents * discounts[r.IntN(len(discounts))] / 100)})
	}
	e.Properties = append(e.Properties,
		event.Property{Name: "screen_w", Value: u.screen},
		event.Property{Name: "url", Value: p.url})
	if r.IntN(2) == 0 {
		e.Properties = append(e.Properties, event.Property{Name: "utm_source", Value: catalog.String(sources[g.pick.source.next(r)])})
	}
	return e
}

// sentAt is a client's clock, in whole milliseconds, some time before arrival.
func (g *Generator) sentAt(at int64) int64 {
	lag := 0.0
	switch x := g.random.IntN(100); {
	case x < 90:
		lag = g.random.ExpFloat64() * 3e6
	case x < 99:
		lag = g.random.ExpFloat64() * 60e6
	default:
		lag = g.random.Float64() * 6 * 3600e6
	}
	t := max(at-int64(lag), g.options.Start)
	return t - t%catalog.Millisecond
}

// retryAfter is how long a client waits before it sends again, in microseconds.
func (g *Generator) retryAfter() int64 {
	switch x := g.random.IntN(100); {
	case x < 80:
		return int64(g.random.ExpFloat64() * 90e6)
	case x < 95:
		return int64(g.random.ExpFloat64() * 7200e6)
	default:
		return catalog.DayMicros + g.random.Int64N(3*catalog.DayMicros)
	}
}

func (g *Generator) insertID() string {
	g.fresh++
	if g.fresh > len(g.recent) && g.random.IntN(10_000) == 0 {
		return g.recent[g.random.IntN(len(g.recent))]
	}
	id := uuid(g.random)
	g.recent[g.fresh%len(g.recent)] = id
	return id
}

func uuid(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	b[6], b[8] = b[6]&15|0x40, b[8]&63|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// retryQueue holds the retries to come, the next one first.
type retryQueue []Arrival

func (q retryQueue) Len() int           { return len(q) }
func (q retryQueue) Less(i, j int) bool { return q[i].At < q[j].At }
func (q retryQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *retryQueue) Push(x any)        { *q = append(*q, x.(Arrival)) }
func (q *retryQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
