package protocol

import (
	"errors"
	"fmt"
	"slices"

	"arbor/engine/dot"
)

// Errors of writes and queries.
var (
	// ErrNoQuorum: too few replicas answered. What was to be written may or may not
	// be stored, and writing it again is right.
	ErrNoQuorum = errors.New("no quorum of replicas")
	// ErrBusy: more is under way than the limit allows.
	ErrBusy = errors.New("too much is under way")
)

// MaxWrites is how many writes a Writer has under way.
const MaxWrites = 1 << 16

// groupBytes is how many bytes of records one message brings, or one record if
// that is more.
const groupBytes = 8 << 20

// Writer brings records to all replicas of their buckets. A write is
// acknowledged when majorities of every active set of the bucket, and as many as its
// records want, have synced it, all at one epoch; it goes on through changes of the config under the same dots.
type Writer struct {
	process dot.Stream
	configs *Configs
	bug     bug

	seqs   map[Bucket]uint64
	number uint64
	writes map[uint64]*write // by the id of the caller
	calls  map[Call]*group
}

// write is what a caller waits for: a group for each bucket, or several where its
// records are more than groupBytes.
type write struct {
	id     uint64
	begun  Moment
	groups []*group
	open   int
}

// group is the batches of one bucket in a write.
type group struct {
	write   *write
	call    Call
	bucket  Bucket
	least   int // how many have to sync it, if that is more than majorities
	batches []Batch
	bytes   int
	config  Config
	sent    Moment
	acks    map[Replica]bool
	refused map[Replica]Status
	done    bool
}

// Item is a record and the bucket that its shard falls into. Least is how many members
// have to sync it before it is acknowledged, if that is more than majorities are.
type Item struct {
	Bucket Bucket
	Least  int
	Record []byte
}

// NewWriter makes a writer. Process is drawn anew at each start.
func NewWriter(process dot.Stream, configs *Configs) *Writer {
	return &Writer{process: process, configs: configs, seqs: map[Bucket]uint64{}, writes: map[uint64]*write{}, calls: map[Call]*group{}}
}

// Write sends records out. Written with this id says how it ended. The records
// are the writer's until then.
func (w *Writer) Write(e *Effects, now Moment, id uint64, items []Item) {
	if len(w.writes) >= MaxWrites || w.writes[id] != nil {
		e.Written = append(e.Written, Written{id, ErrBusy})
		return
	}
	wr := &write{id: id, begun: now}
	for _, item := range items {
		at := slices.IndexFunc(wr.groups, func(g *group) bool {
			return g.bucket == item.Bucket && g.bytes+len(item.Record) <= groupBytes
		})
		if at < 0 {
			at = len(wr.groups)
			w.number++
			wr.groups = append(wr.groups, &group{write: wr, call: Call{w.process, w.number}, bucket: item.Bucket})
		}
		w.seqs[item.Bucket]++
		g := wr.groups[at]
		g.batches = append(g.batches, Batch{dot.Dot{Stream: w.process, Seq: w.seqs[item.Bucket]}, item.Record})
		g.bytes += len(item.Record)
		if g.least = max(g.least, item.Least); w.bug == bugLeastIgnored {
			g.least = 0
		}
	}
	if wr.open = len(wr.groups); wr.open == 0 {
		e.Written = append(e.Written, Written{ID: id})
		return
	}
	w.writes[id] = wr
	for _, g := range wr.groups {
		w.calls[g.call] = g
	}
	for _, g := range wr.groups {
		if w.writes[id] != nil {
			w.send(e, now, g)
		}
	}
}

// send sends a group to all who have not acknowledged it at the newest config.
func (w *Writer) send(e *Effects, now Moment, g *group) {
	if c := w.configs.Get(g.bucket); c.Epoch > g.config.Epoch {
		g.config, g.acks = c, map[Replica]bool{}
	}
	g.sent, g.refused = now, map[Replica]Status{}
	members := g.config.Members()
	if g.config.Epoch > 0 && len(members) < g.least {
		w.finish(e, g, fmt.Errorf("%w: bucket %d has to be synced by %d members, and is on %d: %v", ErrNoQuorum, g.bucket, g.least, len(members), g.config))
		return
	}
	for _, to := range members {
		if !g.acks[to] {
			e.send(to.Member, &AppendRequest{Call: g.call, To: to, Bucket: g.bucket, Config: g.config, Batches: g.batches})
		}
	}
}

// Receive takes a reply.
func (w *Writer) Receive(e *Effects, now Moment, m *AppendReply) {
	w.configs.Learn(e, m.Bucket, m.Config)
	g := w.calls[m.Call]
	if g == nil || g.done || g.bucket != m.Bucket {
		return
	}
	switch {
	case w.configs.Get(g.bucket).Epoch > g.config.Epoch:
		w.send(e, now, g) // acknowledgements of the earlier epoch do not count
	case m.Config.Epoch < g.config.Epoch || !g.config.Has(m.From):
	case m.Status == OK:
		g.acks[m.From] = true
		if g.config.QuorumOf(g.least, func(r Replica) bool { return g.acks[r] }) || w.bug == bugWriteOne {
			w.finish(e, g, nil)
		}
	default:
		g.refused[m.From] = m.Status
		w.refuse(e, g)
	}
}

// refuse ends a group early if so many replicas are full, or have something else
// under its names, that no quorum is left.
func (w *Writer) refuse(e *Effects, g *group) {
	final := func(r Replica) bool { return g.refused[r] == Full || g.refused[r] == Conflict }
	if !g.config.QuorumOf(g.least, func(r Replica) bool { return !final(r) }) {
		w.finish(e, g, fmt.Errorf("%w: bucket %d is refused by too many of %v, %d of which have no room now", ErrNoQuorum, g.bucket, g.config, g.full()))
	}
}

// full is how many replicas have no room for what comes: their disks are full, or too much
// waits there to be indexed.
func (g *group) full() (n int) {
	for _, status := range g.refused {
		if status == Full {
			n++
		}
	}
	return n
}

func (w *Writer) finish(e *Effects, g *group, err error) {
	g.done = true
	delete(w.calls, g.call)
	g.write.open--
	if err == nil && g.write.open > 0 || w.writes[g.write.id] == nil {
		return
	}
	w.forget(g.write)
	e.Written = append(e.Written, Written{g.write.id, err})
}

func (w *Writer) forget(wr *write) {
	delete(w.writes, wr.id)
	for _, g := range wr.groups {
		delete(w.calls, g.call)
	}
}

// Tick sends again what waits, and gives up what waited too long.
func (w *Writer) Tick(e *Effects, now Moment) {
	for _, id := range sortedKeys(w.writes) {
		wr := w.writes[id]
		for _, g := range wr.groups {
			switch {
			case g.done:
			case now-wr.begun >= writeGivesUpAfter:
				w.finish(e, g, fmt.Errorf("%w: bucket %d has %d acknowledgements of %v, and needs majorities and %d", ErrNoQuorum, g.bucket, len(g.acks), g.config, g.least))
			case now-g.sent >= writeAgainAfter || w.configs.Get(g.bucket).Epoch > g.config.Epoch:
				w.send(e, now, g)
			}
			if w.writes[id] == nil {
				break
			}
		}
	}
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Configs are the newest configs that a process has heard of: for sending, not
// for answering, so they need not be durable.
type Configs struct{ all map[Bucket]Config }

// NewConfigs knows none.
func NewConfigs() *Configs { return &Configs{all: map[Bucket]Config{}} }

// Get is the newest config of a bucket.
func (c *Configs) Get(b Bucket) Config { return c.all[b] }

// Learn takes a config, and passes it on if it is news.
func (c *Configs) Learn(e *Effects, b Bucket, config Config) {
	if config.Epoch > c.all[b].Epoch {
		c.all[b] = config
		e.Learnt = append(e.Learnt, Moved{b, config})
	}
}
