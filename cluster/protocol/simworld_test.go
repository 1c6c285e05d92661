package protocol

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"arbor/engine/dot"
)

// Bugs of what is around the machines, which the simulator plays itself.
const (
	bugAckBeforeSync   bug = "AckBeforeSync"
	bugCompactDropsNew bug = "CompactDropsNew"
	bugAdoptNoPhysID   bug = "AdoptNoPhysID"
	bugWipeSameID      bug = "WipeSameID"
	bugAdoptTwice      bug = "AdoptTwice"
	bugAdoptBeforeSync bug = "AdoptBeforeSync"
	bugDamagedAnswers  bug = "DamagedAnswers"
)

// swarm are the rates of one seed. Most seeds have some of the faults only, so
// that one does not hide another.
type swarm struct {
	nodes, buckets, replicas                       int
	loss, dup                                      float64
	delay                                          time.Duration
	slowDisk                                       time.Duration
	tick                                           time.Duration
	write, read                                    time.Duration // between two
	crash, cut, reconfigure, index, full, loseDisk time.Duration // between two, 0 for never
	news                                           time.Duration // until a member hears of a config
	copying                                        time.Duration // of a file, at most
	keeps                                          float64       // how often what is indexed is still there as batches
	drop                                           time.Duration // how long what was left stays
	rot                                            time.Duration // between two damaged files, 0 for never
	metadataCut                                    bool
	encode                                         bool
}

func newSwarm(r *rand.Rand) swarm {
	often := func(from, to time.Duration, of float64) time.Duration {
		if r.Float64() >= of {
			return 0
		}
		return from + time.Duration(r.Int64N(int64(to-from)))
	}
	s := swarm{
		nodes: 3 + r.IntN(4), buckets: 1 + r.IntN(3),
		delay:    time.Duration(1+r.IntN(40)) * time.Millisecond,
		slowDisk: time.Duration(1+r.IntN(60)) * time.Millisecond,
		tick:     time.Duration(50+r.IntN(150)) * time.Millisecond,
		write:    time.Duration(50+r.IntN(200)) * time.Millisecond,
		read:     time.Duration(100+r.IntN(300)) * time.Millisecond,
		crash:    often(time.Second, 8*time.Second, 0.7), cut: often(time.Second, 6*time.Second, 0.7),
		reconfigure: often(400*time.Millisecond, 4*time.Second, 0.8), index: often(100*time.Millisecond, 2*time.Second, 0.7),
		full: often(2*time.Second, 10*time.Second, 0.3), loseDisk: often(2*time.Second, 8*time.Second, 0.5),
		news:        time.Duration(20+r.IntN(500)) * time.Millisecond,
		metadataCut: r.IntN(2) == 0, encode: r.IntN(4) == 0,
	}
	s.replicas = 1 + r.IntN(min(5, s.nodes))
	if r.IntN(2) == 0 {
		s.replicas = 3
	}
	if r.IntN(2) == 0 {
		s.news *= 10
		s.read /= 5
	}
	if r.IntN(3) > 0 {
		s.loss = r.Float64() * 0.2
	}
	if r.IntN(2) == 0 {
		s.dup = r.Float64() * 0.2
	}
	return s
}

// happening is what comes at a time.
type happening struct {
	at  time.Duration
	seq uint64
	run func()
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// world is a cluster, its network, its disks, its metadata and its clients, in
// one goroutine.
type world struct {
	seed   uint64
	rand   *rand.Rand
	copies *rand.Rand // for what files are about, so that the rest stays as it was
	wants  *rand.Rand // of how many disks
	rots   *rand.Rand // of files
	paces  *rand.Rand // of what moves
	swarm  swarm
	bug    bug
	agenda agenda
	seq    uint64
	now    time.Duration
	quiet  bool // no more faults

	nodes     []*node
	buckets   []Bucket
	placement Placement
	mover     *Mover
	// generations are the metadata's counter for each member; lost are the
	// identities that were declared so.
	generations []uint32
	lost        map[Bucket]map[Replica]bool
	// dropped counts the disks that had an event and dropped its bucket, having left it.
	dropped    map[uint64]int
	blocked    map[[2]int]bool
	noMetadata map[int]bool

	events    uint64
	files     uint64 // names given
	bucketOf  map[uint64]Bucket
	acked     map[uint64]bool
	ackedIn   map[Bucket][]uint64
	contents  map[Bucket]map[dot.Dot]uint64
	writes    map[uint64]*clientWrite
	queries   map[uint64]*clientQuery
	calls     uint64
	violation error
	trace     uint64
	counts    map[string]int
}

type clientWrite struct {
	node   int
	boot   int
	events []uint64
	items  []Item
}

type clientQuery struct {
	node, boot int
	buckets    []Bucket
	acked      []uint64 // before it began
}

// node is a member: its disk, and its process while it runs.
type node struct {
	w      *world
	index  int
	id     MemberID
	disk   *disk
	up     bool
	boot   int
	rate   float64
	offset time.Duration
	full   bool

	stream  dot.Stream
	configs *Configs
	holder  *Holder
	writer  *Writer
	reader  *Reader
	indexes map[Bucket]bool
}

// near has every fourth query go to one replica of each bucket, whoever lacks least.
func (n *node) near(query uint64) func(Bucket) (MemberID, bool) {
	if query%4 != 0 {
		return nil
	}
	return func(b Bucket) (MemberID, bool) {
		at := (query/4 + uint64(b)) % uint64(len(n.w.nodes)+1)
		if at == uint64(len(n.w.nodes)) {
			return MemberID{}, false
		}
		return n.w.nodes[at].id, true
	}
}

func newWorld(seed uint64, planted bug) *world {
	w := &world{
		seed: seed, rand: rand.New(rand.NewPCG(seed, 20)), copies: rand.New(rand.NewPCG(seed, 21)), wants: rand.New(rand.NewPCG(seed, 22)), rots: rand.New(rand.NewPCG(seed, 24)), paces: rand.New(rand.NewPCG(seed, 25)), bug: planted, mover: NewMover(),
		lost: map[Bucket]map[Replica]bool{}, dropped: map[uint64]int{}, blocked: map[[2]int]bool{}, noMetadata: map[int]bool{},
		bucketOf: map[uint64]Bucket{}, acked: map[uint64]bool{}, ackedIn: map[Bucket][]uint64{}, contents: map[Bucket]map[dot.Dot]uint64{},
		writes: map[uint64]*clientWrite{}, queries: map[uint64]*clientQuery{}, counts: map[string]int{},
	}
	w.swarm = newSwarm(w.rand)
	w.swarm.copying, w.swarm.keeps = time.Duration(1+w.copies.IntN(3000))*time.Millisecond, float64(w.copies.IntN(3))/2
	if drops := rand.New(rand.NewPCG(seed, 23)); drops.IntN(2) == 0 { // apart, so that the rest stays as it was
		w.swarm.drop = time.Duration(drops.Int64N(int64(4 * time.Second)))
	} else {
		w.swarm.drop = dropAfter
	}
	if w.rots.IntN(3) == 0 {
		w.swarm.rot = time.Duration(1+w.rots.Int64N(6)) * time.Second
	}
	w.mover.bug = planted
	w.placement.Configs = make([]Config, w.swarm.buckets)
	w.generations = make([]uint32, w.swarm.nodes)
	for b := range w.swarm.buckets {
		w.buckets = append(w.buckets, Bucket(b))
		w.lost[Bucket(b)] = map[Replica]bool{}
		w.contents[Bucket(b)] = map[dot.Dot]uint64{}
	}
	for i := range w.swarm.nodes {
		n := &node{w: w, index: i, id: MemberID{byte(i + 1), 0xaa}, disk: newDisk()}
		n.rate, n.offset = 0.7+w.rand.Float64()*0.6, time.Duration(w.rand.Int64N(int64(time.Hour)))
		w.nodes = append(w.nodes, n)
		n.start()
	}
	for _, b := range w.buckets {
		c, err := w.placement.Begin(Begin{Bucket: b, New: w.someReplicas(b, w.swarm.replicas)})
		w.must(err)
		w.announce(b, c)
	}
	return w
}

func (w *world) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (w *world) after(d time.Duration, run func()) {
	w.seq++
	heap.Push(&w.agenda, happening{w.now + d, w.seq, run})
}

// violate notes the first thing that must not be.
func (w *world) violate(format string, args ...any) {
	if w.violation == nil {
		w.violation = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

// note makes the trace: a hash over what happened.
func (w *world) note(kind string, node int, what uint64) {
	w.counts[kind]++
	h := fnv.New64a()
	var b [8]byte
	for _, v := range []uint64{w.trace, uint64(w.now), uint64(node), what} {
		binary.LittleEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	h.Write([]byte(kind))
	w.trace = h.Sum64()
}

// someReplicas are random members under the identities that they have now.
func (w *world) someReplicas(b Bucket, n int) (rs []Replica) {
	for _, i := range w.rand.Perm(len(w.nodes))[:n] {
		rs = append(rs, w.identity(b, w.nodes[i]))
	}
	return rs
}

// identity is the one that a member has in a bucket, or will have.
func (w *world) identity(b Bucket, n *node) Replica {
	if g := n.disk.ledger[b].Generation; g > 0 {
		return Replica{n.id, g}
	}
	return Replica{n.id, w.generations[n.index]}
}

// run lets time pass until a violation or the end.
func (w *world) run(until time.Duration) {
	for w.violation == nil && len(w.agenda) > 0 && w.agenda[0].at <= until {
		h := heap.Pop(&w.agenda).(happening)
		w.now = h.at
		h.run()
	}
	w.now = max(w.now, until)
}

// announce brings a config to all members, sometime, if the metadata reaches them.
func (w *world) announce(b Bucket, c Config) {
	w.note("config", int(b), c.Epoch)
	w.checkConfig(b)
	for _, n := range w.nodes {
		n.hear(b, time.Duration(w.rand.Int64N(int64(w.swarm.news))))
	}
}

func (n *node) hear(b Bucket, in time.Duration) {
	w := n.w
	w.after(in, func() {
		if n.up && !w.noMetadata[n.index] {
			c := w.placement.Configs[b]
			n.do(func(e *Effects) {
				n.configs.Learn(e, b, c)
				n.holder.Learn(e, n.moment(), b, c)
			})
		}
	})
}

// moment is the node's own clock.
func (n *node) moment() Moment { return time.Duration(float64(n.w.now)*n.rate) + n.offset }

// start makes a process from the disk. A member whose disk has no generation asks
// the metadata for a new one.
func (n *node) start() {
	w := n.w
	n.giveUp()
	if n.disk.generation == 0 {
		if w.bug == bugWipeSameID && w.generations[n.index] > 0 {
			n.disk.generation = w.generations[n.index]
		} else {
			w.generations[n.index]++
			n.disk.generation = w.generations[n.index]
		}
	}
	n.boot++
	n.up = true
	for i := range n.stream {
		n.stream[i] = byte(w.rand.Uint32())
	}
	if w.bug == bugDotReuse {
		n.stream = dot.Stream{byte(n.index)}
	}
	n.indexes = map[Bucket]bool{}
	n.configs = NewConfigs()
	kept := n.disk.kept()
	n.holder = NewHolder(n.id, n.stream, n.disk.generation, kept)
	n.holder.dropAfter = w.swarm.drop
	if w.seed%3 == 1 {
		n.holder.Pace(someday{w})
	}
	n.holder.Damaged(func(b Bucket) bool { return n.disk.bucket(b).isRotten() })
	n.writer = NewWriter(n.stream, n.configs)
	n.reader = NewReader(n.stream, n.configs, func(m MemberID) int { return (int(m[0]) + n.index) % 5 })
	n.holder.bug, n.writer.bug, n.reader.bug = w.bug, w.bug, w.bug
	for _, b := range w.buckets {
		if k, ok := kept[b]; ok {
			n.configs.Learn(&Effects{}, b, k.Record.Config)
		}
		n.hear(b, time.Duration(w.rand.Int64N(int64(time.Second))))
	}
	w.note("start", n.index, uint64(n.boot))
	boot := n.boot
	var tick func()
	tick = func() {
		if n.boot != boot || !n.up {
			return
		}
		n.do(func(e *Effects) {
			n.holder.Tick(e, n.moment())
			n.writer.Tick(e, n.moment())
			n.reader.Tick(e, n.moment())
		})
		w.after(w.swarm.tick, tick)
	}
	w.after(time.Duration(w.rand.Int64N(int64(w.swarm.tick))), tick)
}

// stop ends the process; what it had not synced may be gone.
func (n *node) stop() {
	if !n.up {
		return
	}
	n.up = false
	n.w.note("stop", n.index, uint64(n.boot))
	n.disk.crash(n.w)
	for id, c := range n.w.writes {
		if c.node == n.index {
			delete(n.w.writes, id)
		}
	}
	for id, q := range n.w.queries {
		if q.node == n.index {
			delete(n.w.queries, id)
		}
	}
}

// do calls a machine and carries out what it wants.
func (n *node) do(step func(*Effects)) {
	var e Effects
	step(&e)
	w := n.w
	for _, x := range e.Alarms {
		w.violate("I11: an alarm: %s", x)
	}
	if e.Broken != nil {
		w.violate("a healthy disk broke: %v", e.Broken)
	}
	for _, x := range e.Learnt {
		n.do(func(e *Effects) { n.holder.Learn(e, n.moment(), x.Bucket, x.Config) })
	}
	for _, x := range e.Messages {
		w.checkMessage(n, x.Message)
		w.send(n, x)
	}
	for _, t := range e.Tasks {
		n.task(t)
	}
	for _, s := range e.Synced {
		w.checkSynced(n, s)
		if !w.noMetadata[n.index] {
			w.after(time.Duration(w.rand.Int64N(int64(200*time.Millisecond))), func() { w.mover.Synced(s) })
		}
	}
	for _, x := range e.Written {
		w.written(x)
	}
	for _, x := range e.Answered {
		w.answered(x)
	}
}

// send brings a message over, or not, or twice, late.
func (w *world) send(from *node, x Envelope) {
	to := w.nodes[x.To[0]-1]
	copies := 1
	if from != to && !w.quiet {
		if w.rand.Float64() < w.swarm.loss {
			copies = 0
		} else if w.rand.Float64() < w.swarm.dup {
			copies = 2
		}
	}
	w.note("message", to.index, uint64(x.Message.kind()))
	for range copies {
		delay := time.Duration(w.rand.Int64N(int64(w.swarm.delay)) + 1)
		if w.rand.IntN(50) == 0 && !w.quiet {
			delay *= 50
		}
		w.after(delay, func() {
			if to.up && !w.blocked[[2]int{from.index, to.index}] {
				to.receive(from.id, x.Message)
			}
		})
	}
}

func (n *node) receive(from MemberID, m Message) {
	if n.w.swarm.encode {
		decoded, err := Decode(Encode(m))
		n.w.must(err)
		m = decoded
	}
	n.do(func(e *Effects) {
		switch m := m.(type) {
		case *AppendReply:
			n.writer.Receive(e, n.moment(), m)
		case *ScanReply:
			n.reader.Part(e, n.moment(), m)
		case *SetsReply:
			n.reader.Sets(e, n.moment(), m)
			n.holder.Receive(e, n.moment(), from, m)
		default:
			n.holder.Receive(e, n.moment(), from, m)
		}
	})
}

// task carries out disk work, which takes its time.
func (n *node) task(t Task) {
	w, boot := n.w, n.boot
	in := func(d time.Duration, run func()) {
		w.after(d, func() {
			if n.boot == boot && n.up {
				run()
			}
		})
	}
	done := func(r Result) { n.do(func(e *Effects) { n.holder.Complete(e, n.moment(), t.Number, r) }) }
	wait := func() time.Duration {
		d := time.Duration(w.rand.Int64N(int64(w.swarm.slowDisk)) + 1)
		if w.rand.IntN(100) == 0 && !w.quiet {
			d *= 30
		}
		return d
	}
	w.note("task", n.index, t.Number)
	switch {
	case t.Append != nil:
		if n.full {
			in(wait(), func() { done(Result{Err: fmt.Errorf("append: %w", ErrFull)}) })
			return
		}
		if n.disk.rottenHas(t.Bucket, t.Append) {
			in(wait(), func() { done(Result{Err: fmt.Errorf("append: what is held is damaged: %w", ErrFull)}) })
			return
		}
		in(wait(), func() {
			fresh, outcomes := n.disk.write(t.Bucket, t.Append, w.bug)
			if w.bug == bugAckBeforeSync {
				done(Result{Outcomes: outcomes})
			}
			in(wait(), func() {
				for _, e := range fresh {
					e.synced = true
				}
				if w.bug != bugAckBeforeSync {
					done(Result{Outcomes: outcomes})
				}
			})
		})
	case t.Save != nil:
		record := *t.Save
		if n.full {
			in(wait(), func() { done(Result{Err: fmt.Errorf("save: %w", ErrFull)}) })
			return
		}
		in(wait(), func() {
			if w.bug != bugEpochNotSaved && record.Config.Epoch < n.disk.ledger[t.Bucket].Config.Epoch {
				w.violate("I6: the epoch of bucket %d went back", t.Bucket)
			}
			n.disk.ledger[t.Bucket] = record
			in(wait(), func() { done(Result{}) })
		})
	case t.Fetch != nil:
		in(wait(), func() {
			done(Result{Fetched: n.disk.fetch(t.Bucket, t.Fetch, w.copies.Float64() < w.swarm.keeps)})
		})
	case t.Adopt != nil:
		n.adopt(t, in, wait, done)
	case t.Scan != nil:
		part := n.disk.scan(t.Scan.Buckets, w.bug)
		rotten := w.bug != bugDamagedAnswers && slices.ContainsFunc(t.Scan.Buckets, func(b Bucket) bool { return n.disk.bucket(b).isRotten() })
		in(wait(), func() {
			if rotten {
				done(Result{Err: errors.New("scan: a file is damaged")})
				return
			}
			if w.rand.IntN(50) == 0 && !w.quiet {
				done(Result{Err: errors.New("scan: out of memory")})
				return
			}
			done(Result{Part: part})
		})
	case t.Drop:
		if n.full {
			in(wait(), func() { done(Result{Err: fmt.Errorf("drop: %w", ErrFull)}) })
			return
		}
		in(wait(), func() {
			for _, e := range n.disk.bucket(t.Bucket).all("") {
				w.dropped[e.event]++
			}
			delete(n.disk.buckets, t.Bucket)
			w.counts["dropped"]++
			done(Result{})
		})
	}
}

// members of a config who are lost.
func (w *world) lostOf(b Bucket, rs []Replica) (n int) {
	for _, r := range rs {
		if w.lost[b][r] {
			n++
		}
	}
	return n
}

func (w *world) nodeOf(r Replica) *node { return w.nodes[r.Member[0]-1] }

// holds says whether a replica, as who it is, has an event on disk.
func (w *world) holds(r Replica, b Bucket, event uint64) bool {
	n := w.nodeOf(r)
	return !w.lost[b][r] && n.disk.ledger[b].Generation == r.Generation && n.disk.bucket(b).has(event)
}

func (w *world) upNodes() (up []*node) {
	for _, n := range w.nodes {
		if n.up {
			up = append(up, n)
		}
	}
	return up
}
