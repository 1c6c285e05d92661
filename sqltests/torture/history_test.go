package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/sqltests/oracle"
)

// op is one step of a history. Everything it does follows from its seed and
// from the state that it finds, so that a history without some of its ops is a
// history too.
type op struct {
	kind opKind
	seed uint64
}

type opKind string

// opKinds are what can happen, with how often it does.
var opKinds = []struct {
	kind   opKind
	weight int
	do     func(*run, *rand.Rand) error
}{
	{"append", 30, (*run).append},
	{"replay", 6, (*run).replay},
	{"delete", 9, (*run).delete},
	{"undo", 4, (*run).undo},
	{"damage", 1, (*run).damage},
	{"policy", 5, (*run).policy},
	{"truncate", 2, (*run).truncate},
	{"settings", 1, (*run).settings},
	{"index", 12, (*run).index},
	{"close", 6, (*run).close},
	{"tick", 8, (*run).tick},
	{"reopen", 4, (*run).reopen},
	{"crash", 4, (*run).crash},
	{"fail in append", 3, (*run).failInAppend},
	{"fail in index", 4, (*run).failInIndex},
}

// makeOps draws a history.
func makeOps(seed uint64, count int) []op {
	rng := rand.New(rand.NewPCG(seed, 0))
	var kinds []opKind
	for _, k := range opKinds {
		kinds = append(kinds, slices.Repeat([]opKind{k.kind}, k.weight)...)
	}
	ops := []op{{"append", rng.Uint64()}}
	for len(ops) < count {
		ops = append(ops, op{kinds[rng.IntN(len(kinds))], rng.Uint64()})
	}
	return ops
}

// run is a history while it happens: the engine, the list that it is compared
// with, and what the ops need to remember.
type run struct {
	ctx     context.Context
	subject subject
	model   *oracle.Model
	catalog *catalog.Catalog
	now     time.Time

	stamped map[catalog.IngestID]bool
	events  []event.Event // all that were ever sent, with their ids
	sent    []record      // acknowledged
	doubt   []record      // neither acknowledged nor refused for good
	deletes []shardID
	// log says what happened, one line an op.
	log []string
}

// record is an encoded batch, with what went in.
type record struct {
	shard   catalog.ShardKey
	bytes   []byte
	records []oracle.Record
}

// shardID names a delete.
type shardID struct {
	shard catalog.ShardKey
	id    catalog.IngestID
}

// start is when histories begin: noon of day 20,001.
var start = time.UnixMicro(catalog.Day(20_001).Start() + 12*3600*catalog.Second).UTC()

// newCatalog has two projects, one of them with several buckets a day.
func newCatalog() *catalog.Catalog {
	return &catalog.Catalog{Version: 1, NextProject: 3, Settings: map[string]string{}, Projects: []*catalog.Project{
		{ID: 1, Name: "one", Token: "token1", Secret: "secret1", Buckets: 1},
		{ID: 2, Name: "two", Token: "token2", Secret: "secret2", Buckets: 3},
	}}
}

// newSubject opens a subject for a history. The clock is the history's.
type newSubject func(c *catalog.Catalog, now func() time.Time) (subject, error)

// live runs the ops of a history and compares after each.
func live(ctx context.Context, open newSubject, ops []op) (history *run, err error) {
	r := &run{ctx: ctx, catalog: newCatalog(), now: start, stamped: map[catalog.IngestID]bool{}}
	r.model = oracle.New(r.catalog)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		history = r
	}()
	if r.subject, err = open(r.catalog, func() time.Time { return r.now }); err != nil {
		return r, fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, r.subject.Close()) }()
	for i, o := range ops {
		r.now = r.now.Add(time.Millisecond)
		rng := rand.New(rand.NewPCG(o.seed, 1))
		r.logf("%d: %s", i, o.kind)
		if err := r.do(o, rng); err != nil {
			return r, fmt.Errorf("op %d (%s): %w", i, o.kind, err)
		}
		if err := r.compare(rng); err != nil {
			return r, fmt.Errorf("after op %d (%s): %w", i, o.kind, err)
		}
	}
	return r, nil
}

func (r *run) do(o op, rng *rand.Rand) error {
	for _, k := range opKinds {
		if k.kind == o.kind {
			return k.do(r, rng)
		}
	}
	panic("no op " + string(o.kind))
}

func (r *run) logf(format string, args ...any) { r.log = append(r.log, fmt.Sprintf(format, args...)) }

// detail adds to the last line of the log.
func (r *run) detail(format string, args ...any) {
	r.log[len(r.log)-1] += "\n     " + fmt.Sprintf(format, args...)
}

// stamp makes the ingest id of a request's first record: mostly now, sometimes
// from an edge whose request comes late.
func (r *run) stamp(rng *rand.Rand) catalog.IngestID {
	for {
		t := r.now.UnixNano()
		if rng.IntN(5) == 0 {
			t -= rng.Int64N(int64(time.Second))
		}
		id := catalog.IngestID{Time: uint64(t), Edge: 1 + rng.Uint32N(3)}
		if !r.stamped[id] {
			r.stamped[id] = true
			return id
		}
		r.now = r.now.Add(time.Nanosecond)
	}
}

// someID is an id of about the time of the histories.
func someID(rng *rand.Rand) catalog.IngestID {
	return catalog.IngestID{Time: uint64(start.UnixNano() + rng.Int64N(int64(40*time.Millisecond))), Edge: 2}
}

// String is the history as far as it came.
func (r *run) String() string { return strings.Join(r.log, "\n") }
