package torture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/protocol"
	"arbor/engine"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/sqltests/oracle"
)

// replica is a member's storage over a real engine, beside what it must hold: the
// records that were sent, by bucket and dot, as the simulator's disk has them.
type replica struct {
	w        *replicaWorld
	disk     *vfs.Mem
	full     *vfs.Faulty // over the disk
	engine   *engine.Engine
	storage  *cluster.Replicas
	holds    map[protocol.Bucket]map[dot.Dot]record
	recorded map[protocol.Bucket]protocol.Record
}

// replicaWorld is some replicas, and all that was ever sent.
type replicaWorld struct {
	t        *testing.T
	rng      *rand.Rand
	now      time.Time
	catalog  *catalog.Catalog
	world    world
	replicas []*replica
	stream   dot.Stream
	next     map[protocol.Bucket]uint64
	events   []event.Event
	ids      map[catalog.ShardKey][]catalog.IngestID
	deletes  map[catalog.ShardKey][]catalog.IngestID
	requests uint64
	did      map[string]int
}

func newReplicaWorld(t *testing.T, seed uint64) *replicaWorld {
	w := &replicaWorld{t: t, rng: rand.New(rand.NewPCG(seed, 22)), now: start, catalog: &catalog.Catalog{}, world: world{days: []catalog.Day{20_000, 20_001}, projects: 2},
		stream: dot.Stream{9, 8, 7}, next: map[protocol.Bucket]uint64{}, ids: map[catalog.ShardKey][]catalog.IngestID{}, deletes: map[catalog.ShardKey][]catalog.IngestID{}, did: map[string]int{}}
	for _, p := range projects {
		next, err := w.catalog.Apply(p)
		w.must(err)
		w.catalog = next
	}
	for range 3 {
		r := &replica{w: w, disk: vfs.NewMem(), holds: map[protocol.Bucket]map[dot.Dot]record{}, recorded: map[protocol.Bucket]protocol.Record{}}
		r.open()
		w.replicas = append(w.replicas, r)
	}
	return w
}

func (w *replicaWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (r *replica) open() {
	r.w.t.Helper()
	options := engineOptions(func() time.Time { return r.w.now })
	r.full = vfs.NewFaulty(r.disk)
	options.FS, options.Catalog = r.full, r.w.catalog
	e, err := engine.Open(r.w.t.Context(), options)
	r.w.must(err)
	r.engine = e
	r.storage, err = cluster.OpenReplicas(e, r.full, "replicas")
	r.w.must(err)
}

func (r *replica) close() { r.w.must(errors.Join(r.storage.Close(), r.engine.Close())) }

// batch makes a record of events, deletes and undos, and gives it its dot.
func (w *replicaWorld) batch() (protocol.Bucket, dot.Dot, record) {
	p := w.catalog.Projects[w.rng.IntN(2)]
	w.requests++
	first := w.world.fresh(w.rng)
	b := &event.Batch{Shard: p.Shard(first.Time, first.DistinctID, first.InsertID)}
	id := catalog.IngestID{Time: uint64(w.now.UnixNano()) + w.requests, Edge: 1}
	for range 1 + w.rng.IntN(6) {
		e := first
		if len(w.events) > 0 && w.rng.IntN(2) == 0 {
			e = w.world.copyOf(w.rng, w.events[w.rng.IntN(len(w.events))])
		} else if w.rng.IntN(2) == 0 {
			e = w.world.fresh(w.rng)
		}
		if p.Shard(e.Time, e.DistinctID, e.InsertID) != b.Shard {
			continue
		}
		id.Index++
		e.ID = id
		if known := w.ids[b.Shard]; len(known) > 0 && w.rng.IntN(8) == 0 {
			e.ID = known[w.rng.IntN(len(known))] // a bug somewhere gave an id twice
		}
		b.Events = append(b.Events, e)
	}
	if known := w.ids[b.Shard]; len(known) > 0 && w.rng.IntN(8) == 0 {
		id.Index++
		b.Deletes = append(b.Deletes, event.Delete{ID: id, Targets: []catalog.IngestID{known[w.rng.IntN(len(known))]}})
	}
	if known := w.deletes[b.Shard]; len(known) > 0 && w.rng.IntN(8) == 0 {
		id.Index++
		b.Undos = append(b.Undos, event.Undo{ID: id, Delete: known[w.rng.IntN(len(known))]})
	}
	for i := range b.Events {
		w.events = append(w.events, b.Events[i])
		w.ids[b.Shard] = append(w.ids[b.Shard], b.Events[i].ID)
	}
	for i := range b.Deletes {
		w.deletes[b.Shard] = append(w.deletes[b.Shard], b.Deletes[i].ID)
	}
	rec, err := encode(b)
	w.must(err)
	bucket := protocol.BucketOf(b.Shard)
	w.next[bucket]++
	return bucket, dot.Dot{Stream: w.stream, Seq: w.next[bucket]}, rec
}

// append stores batches at a replica, which is a holder of the bucket from the first
// on.
func (r *replica) append(bucket protocol.Bucket, batches map[dot.Dot]record) {
	r.w.t.Helper()
	if r.recorded[bucket].Generation == 0 {
		r.save(bucket, protocol.Record{Generation: 1, Synced: 1, Config: protocol.Config{Epoch: 1}})
	}
	var all []protocol.Batch
	for d, rec := range batches {
		all = append(all, protocol.Batch{Dot: d, Record: rec.bytes})
	}
	outcomes, err := r.storage.Append(r.w.t.Context(), bucket, all)
	r.w.must(err)
	if len(outcomes) != len(all) || slices.ContainsFunc(outcomes, func(o protocol.Outcome) bool { return o != protocol.Stored }) {
		r.w.t.Fatalf("outcomes %v", outcomes)
	}
	if r.holds[bucket] == nil {
		r.holds[bucket] = map[dot.Dot]record{}
	}
	maps.Copy(r.holds[bucket], batches)
}

func (r *replica) save(bucket protocol.Bucket, record protocol.Record) {
	r.w.must(r.storage.Save(r.w.t.Context(), bucket, record))
	r.recorded[bucket] = record
}

// pull takes one answer of another replica, as the machine does: batches, or a file.
func (r *replica) pull(from *replica, bucket protocol.Bucket, dots func(*replica) dot.Set) (some bool) {
	w := r.w
	theirs, mine := dots(from), dots(r)
	lacking := theirs.Minus(&mine)
	if lacking.IsEmpty() {
		return false
	}
	got, err := from.storage.Fetch(w.t.Context(), bucket, lacking, 1<<10)
	w.must(err)
	if len(got.Batches) > 0 {
		w.did["batches"]++
		batches := map[dot.Dot]record{}
		for _, b := range got.Batches {
			known, ok := from.holds[bucket][b.Dot]
			if !ok || string(known.bytes) != string(b.Record) {
				w.t.Fatalf("%v was fetched, and is other content", b.Dot)
			}
			batches[b.Dot] = known
		}
		r.append(bucket, batches)
		return true
	}
	if len(got.Files) == 0 {
		w.t.Fatalf("%v are lacking, and nothing is given", lacking)
	}
	w.did["files"]++
	if r.recorded[bucket].Generation == 0 {
		r.save(bucket, protocol.Record{Generation: 1, Synced: 1, Config: protocol.Config{Epoch: 1}})
	}
	file := got.Files[0]
	adopted, err := r.storage.Adopt(w.t.Context(), bucket, file, func(ctx context.Context, take func([]byte) error) error {
		return from.storage.ReadFile(ctx, bucket, file.Name, take)
	})
	w.must(err)
	if !adopted.Equal(&file.Dots) {
		w.t.Fatalf("adopted %v, offered %v", adopted, file.Dots)
	}
	if r.holds[bucket] == nil {
		r.holds[bucket] = map[dot.Dot]record{}
	}
	for d := range adopted.All() {
		r.holds[bucket][d] = from.holds[bucket][d]
	}
	return true
}

// set is what a replica must hold of a bucket.
func (r *replica) set(bucket protocol.Bucket) (s dot.Set) {
	for d := range r.holds[bucket] {
		s.Add(d)
	}
	return s
}

// check compares the sets, the records and the contents with what must be.
func (r *replica) check() {
	w := r.w
	w.t.Helper()
	dots, err := r.storage.Dots(w.t.Context())
	w.must(err)
	for _, b := range slices.Collect(maps.Keys(dots)) {
		if _, ok := r.holds[b]; !ok {
			w.t.Fatalf("bucket %d is held: %v", b, dots[b])
		}
	}
	model := oracle.New(w.catalog)
	for b := range r.holds {
		want, got := r.set(b), dots[b]
		if !got.Equal(&want) {
			w.t.Fatalf("bucket %d has %v, want %v", b, got, want)
		}
		for _, d := range slices.SortedFunc(maps.Keys(r.holds[b]), dot.Dot.Compare) {
			model.Add(r.holds[b][d].records...)
		}
	}
	saved, err := r.storage.Load(w.t.Context())
	w.must(err)
	if d := cmp.Diff(r.recorded, saved); d != "" {
		w.t.Fatalf("records (-want +got): %s", d)
	}
	for _, p := range w.catalog.Projects {
		for _, copies := range []bool{true, false} {
			f := everything(w.rng, p.ID, copies)
			got, err := scan(w.t.Context(), r.engine, f)
			w.must(err)
			want, err := scan(w.t.Context(), model, f)
			w.must(err)
			if d := difference(want, got); d != "" {
				w.t.Fatalf("project %d, copies %v (-want +got):\n%s", p.ID, copies, d)
			}
		}
	}
}

// step does something with some replica.
func (w *replicaWorld) step() {
	r := w.replicas[w.rng.IntN(len(w.replicas))]
	what := []string{"send", "send", "send", "send", "again", "index", "close", "later", "reopen", "crash", "pull", "pull", "drop", "other content"}[w.rng.IntN(14)]
	w.did[what]++
	switch what {
	case "send":
		for range 1 + w.rng.IntN(3) {
			bucket, d, rec := w.batch()
			for _, to := range w.replicas {
				if w.rng.IntN(2) == 0 {
					to.append(bucket, map[dot.Dot]record{d: rec})
				}
			}
		}
	case "again":
		for b, held := range r.holds {
			some := maps.Clone(held)
			maps.DeleteFunc(some, func(dot.Dot, record) bool { return w.rng.IntN(3) > 0 })
			if len(some) > 0 {
				r.append(b, some)
			}
		}
	case "other content":
		bucket, _, rec := w.batch()
		for d := range r.holds[bucket] {
			outcomes, err := r.storage.Append(w.t.Context(), bucket, []protocol.Batch{{Dot: d, Record: rec.bytes}})
			w.must(err)
			if len(rec.records) > 0 && !slices.Equal(outcomes, []protocol.Outcome{protocol.Differs}) {
				w.t.Fatalf("%v with other content: %v", d, outcomes)
			}
		}
	case "index":
		w.must(r.engine.Index(w.t.Context(), 0, false))
	case "close":
		w.must(r.engine.Index(w.t.Context(), 0, true))
	case "later":
		w.now = w.now.Add([]time.Duration{time.Minute, 10 * time.Hour, 100 * time.Hour}[w.rng.IntN(3)])
		w.must(r.engine.Tick(w.t.Context()))
	case "reopen":
		r.close()
		r.open()
	case "crash":
		before := r.disk
		r.disk = before.CrashClone(w.rng, float64(w.rng.IntN(3))/2)
		_ = errors.Join(r.storage.Close(), r.engine.Close())
		r.open()
	case "pull":
		from := w.replicas[w.rng.IntN(len(w.replicas))]
		for b := range from.holds {
			r.pull(from, b, func(x *replica) dot.Set { return x.set(b) })
		}
	case "drop":
		if w.rng.IntN(3) > 0 {
			return
		}
		for b := range r.holds {
			r.save(b, protocol.Record{})
			w.must(r.drop(b))
			delete(r.holds, b)
			break
		}
	}
	r.check()
}

// drop drops a bucket. The disk may be full from some operation on, as often as not
// several times, until there is room.
func (r *replica) drop(b protocol.Bucket) error {
	w := r.w
	for w.rng.IntN(3) > 0 {
		from := r.full.Operations() + 1 + w.rng.Int64N(6)
		r.full.Inject(func(op vfs.Op) error {
			switch op.Kind {
			case vfs.OpWrite, vfs.OpCreate, vfs.OpMkdirAll, vfs.OpRename:
				if op.N >= from {
					return syscall.ENOSPC
				}
			}
			return nil
		})
		err := r.storage.Drop(w.t.Context(), b)
		r.full.Inject(nil)
		switch {
		case errors.Is(err, protocol.ErrFull):
			w.did["drop, and no room"]++
		case err != nil:
			return fmt.Errorf("drop on a full disk: %w", err)
		}
	}
	return r.storage.Drop(w.t.Context(), b)
}

// converge lets every replica pull all, and compares them.
func (w *replicaWorld) converge() {
	for range 2 {
		for _, r := range w.replicas {
			for _, from := range w.replicas {
				for b := range from.holds {
					for r.pull(from, b, func(x *replica) dot.Set { return x.set(b) }) {
					}
				}
			}
		}
	}
	var first map[catalog.Slot]event.Content
	for i, r := range w.replicas {
		r.check()
		got, err := r.engine.Digests(w.t.Context(), func(catalog.Slot) bool { return true })
		w.must(err)
		if i == 0 {
			first = got
		} else if d := cmp.Diff(first, got); d != "" {
			w.t.Fatalf("replicas 0 and %d have equal sets and other content: %s", i, d)
		}
	}
}

// replicaSteps is how long a life is; replicaLives how many there are, but with
// -histories.
const (
	replicaSteps = 60
	replicaLives = 25
)

// TestReplicas does to the real storage what the simulator does to its own: the same
// operations give the same sets, and the contents are those of the batches. In the end
// all pull what they lack, and are equal in all that can be seen of them.
func TestReplicas(t *testing.T) {
	lives := max(replicaLives, *histories/20)
	if testing.Short() {
		lives = 3
	}
	did := map[string]int{}
	for seed := range lives {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newReplicaWorld(t, uint64(seed))
			for range replicaSteps {
				w.step()
			}
			w.converge()
			for _, r := range w.replicas {
				r.close()
			}
			for what, n := range w.did {
				did[what] += n
			}
		})
	}
	t.Logf("%d lives: %v", lives, did)
	if did["drop, and no room"] == 0 && !testing.Short() {
		t.Errorf("no disk was full while something was dropped: %v", did)
	}
	if did["files"] == 0 || did["batches"] == 0 {
		t.Errorf("nothing was fetched in some way: %v", did)
	}
}
