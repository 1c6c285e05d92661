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
	"arbor/engine/exec"
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
	// unparted is set where answers are not asked for in parts, too.
	unparted bool
	ctx      context.Context
	subject  subject
	model    *oracle.Model
	catalog  *catalog.Catalog
	now      time.Time
	world    world
	// dashboard are the questions that are asked again and again.
	dashboard []*exec.Fragment

	stamped map[catalog.IngestID]bool
	events  []event.Event // all that were ever sent, with their ids
	sent    []record      // acknowledged
	doubt   []record      // neither acknowledged nor refused for good
	// doubtful is the catalog that a change in doubt would have made.
	doubtful *catalog.Catalog
	deletes  []shardID
	// knownQuarantined are the events that were quarantined when the engine was
	// opened; alarms are those since.
	knownQuarantined int
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

// projects are those of every history, one of them with several buckets a day.
var projects = []catalog.CreateProject{
	{Name: "one", Token: "token-of-one", Secret: "secret-of-one", Buckets: 1},
	{Name: "two", Token: "token-of-two", Secret: "secret-of-two", Buckets: 3},
}

// newSubject opens a subject for a history, with an empty catalog. The clock is
// the history's.
type newSubject func(ctx context.Context, now func() time.Time) (subject, error)

// live runs the ops of a history and compares after each.
func live(ctx context.Context, open newSubject, s story) (history *run, err error) {
	r, err := begin(ctx, open, s.world)
	if err != nil {
		return r, err
	}
	r.dashboard = someDashboard(rand.New(rand.NewPCG(s.seed, 2)))
	defer func() { err = r.end(recover(), err) }()
	for i, o := range s.ops {
		rng := rand.New(rand.NewPCG(o.seed, 1))
		r.logf("%d: %s", i, o.kind)
		if err := r.do(o, rng); err != nil && r.subject.Failed() {
			// A log that could not be synced takes nothing until it is opened again.
			r.detail("%v", err)
			if err := r.recover(rng); err != nil {
				return r, fmt.Errorf("op %d (%s), opened again: %w", i, o.kind, err)
			}
		} else if err != nil {
			return r, fmt.Errorf("op %d (%s): %w", i, o.kind, err)
		}
		if err := r.compare(rng); err != nil {
			return r, fmt.Errorf("after op %d (%s): %w", i, o.kind, err)
		}
	}
	return r, nil
}

// begin opens a subject with nothing in it.
func begin(ctx context.Context, open newSubject, w world) (*run, error) {
	r := &run{ctx: ctx, catalog: &catalog.Catalog{}, now: start, world: w, stamped: map[catalog.IngestID]bool{}}
	r.model = oracle.New(r.catalog)
	r.model.Functions = nameFunctions{}
	var err error
	if r.subject, err = open(ctx, func() time.Time { return r.now }); err != nil {
		return r, fmt.Errorf("open: %w", err)
	}
	for _, p := range projects {
		p.At = start.UnixMicro()
		if err := r.change(p); err != nil {
			return r, fmt.Errorf("create project %s: %w", p.Name, err)
		}
	}
	return r, nil
}

// end closes the subject. panicked is what recover gave.
func (r *run) end(panicked any, err error) error {
	if panicked != nil {
		// The engine may hold locks; it is left as it is.
		return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
	}
	return errors.Join(err, r.subject.Close())
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
		r.now = r.now.Add(time.Millisecond)
		if !r.stamped[id] {
			r.stamped[id] = true
			return id
		}
	}
}

// someID is an id of about the time of the histories.
func someID(rng *rand.Rand) catalog.IngestID {
	return catalog.IngestID{Time: uint64(start.UnixNano() + rng.Int64N(int64(40*time.Millisecond))), Edge: 2}
}

// String is the history as far as it came.
func (r *run) String() string { return strings.Join(r.log, "\n") }
