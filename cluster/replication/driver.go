package replication

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"arbor/cluster/protocol"
	"arbor/engine/dot"
	"arbor/pace"
)

// Errors of a driver. Those of package protocol are passed on, too.
var (
	// ErrClosed: the driver was closed.
	ErrClosed = errors.New("replication is closed")
	// ErrBroken: this member's disk cannot be believed any more.
	ErrBroken = errors.New("this member's replicas are broken")
	// ErrTooLarge: a record is longer than a message may be.
	ErrTooLarge = errors.New("record is too large")
)

// Limits.
const (
	// MaxWritingBytes of records may be on their way from this member's clients, or
	// one write if that is more; then writes get ErrBusy.
	MaxWritingBytes = 256 << 20
	// MaxArrivingBytes of records may be on their way to this member's disk from
	// other members; what comes then is dropped, and sent again by the protocol.
	MaxArrivingBytes = 256 << 20
	// MaxScans are executed for other members at once. One more is refused, and its
	// buckets are scanned elsewhere.
	MaxScans = 128

	// tickEvery is how often the machines look at the time.
	tickEvery = 50 * time.Millisecond
	// Tasks of each kind that are carried out at once. Others wait.
	appendsAtOnce   = 256
	savesAtOnce     = 64
	fetchesAtOnce   = 4
	adoptionsAtOnce = 2
)

// Transport carries messages and scans to other members: a peer.Node.
type Transport interface {
	protocol.Transport
	// Stream sends a request and hands the pieces of its answer to take, whose
	// error ends it.
	Stream(ctx context.Context, to protocol.MemberID, call string, request []byte, take func([]byte) error) error
}

// Faults carry errors of plans from member to member.
type Faults interface {
	// Encode gives an error's bytes, if every replica would answer the plan with it;
	// else the plan is tried elsewhere.
	Encode(err error) (fault []byte, ok bool)
	// Decode gives the error again.
	Decode(fault []byte) error
}

// Options of a driver. All but Prefer, Synced, MoveRate, Damaged, Logger and Faults are needed.
type Options struct {
	Member protocol.MemberID
	// Generation is the member's in the metadata. It was raised before if the
	// directory is empty, or lost anything.
	Generation uint32
	Storage    protocol.Storage
	Ledger     protocol.Ledger
	Scanner    protocol.Scanner
	// Prefer ranks members for scans, the least first; nil prefers this one.
	Prefer func(protocol.MemberID) int
	// Synced is told what the mover has to hear, of this member's replicas every
	// second while it is so, and what others send to this member for it. It is
	// brought to whoever leads the metadata, as the message that protocol.Encode
	// makes of it, if that is another member. It may not wait.
	Synced func(protocol.Synced)
	// Broken is told once, by a goroutine of its own, that this member's disk cannot be
	// believed any more. It has to see to it that the generation counts no more (consensus.Lost) and to
	// end the process: until the generation was raised the member may not come back.
	Broken func(error)
	// Lost is asked by Open if the storage lost something: it has the metadata count
	// the generation no more (consensus.Lost), and gives the one that follows. If it is
	// nil, Open fails then.
	Lost   func(context.Context, *protocol.LostError) (generation uint32, err error)
	Faults Faults
	// MoveRate is how many bytes a second are taken from others at most, of files and of
	// batches for buckets that are new here together; nil, or 0, is without bound. It is asked again and again.
	MoveRate func() int64
	// Damaged says which buckets have something that cannot be read until it is repaired:
	// protocol.Holder.Damaged. It may not wait; nil is none.
	Damaged func(protocol.Bucket) bool
	Logger  *slog.Logger
}

// Driver is a member's part of the replication. Its methods may be called from
// many goroutines.
type Driver struct {
	o     Options
	start time.Time

	appends, saves, fetches, adoptions *pool

	scans      chan struct{} // holds a token for each scan for others
	ctx        context.Context
	stop       context.CancelFunc
	running    sync.WaitGroup // scans, files and the ticker
	transport  atomic.Pointer[Transport]
	alone      atomic.Pointer[bitset]
	arriving   atomic.Int64 // bytes of Append tasks
	dropped    atomic.Uint64
	pace       pace.Pace // of what is taken from others
	maxWriting int       // MaxWritingBytes, but in tests

	// mu guards what follows. Nothing waits under it.
	mu        sync.Mutex
	writer    *protocol.Writer
	reader    *protocol.Reader
	holder    *protocol.Holder
	configs   *protocol.Configs
	closed    bool
	broken    error
	number    uint64
	writing   int // bytes
	writes    map[uint64]*writing
	questions map[uint64]*question
	attempts  map[protocol.Call]*attempt
	outboxes  map[asked]*outbox
}

// Open makes a driver of what is on disk. It speaks to nobody before Start.
func Open(ctx context.Context, o Options) (*Driver, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Synced == nil {
		o.Synced = func(protocol.Synced) {}
	}
	if o.Prefer == nil {
		o.Prefer = func(m protocol.MemberID) int {
			if m == o.Member {
				return 0
			}
			return 1
		}
	}
	if o.Faults == nil {
		o.Faults = noFaults{}
	}
	records, err := o.Ledger.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the replicas of member %s: %w", o.Member, err)
	}
	dots, err := o.Storage.Dots(ctx)
	var lost *protocol.LostError
	if errors.As(err, &lost) && o.Lost != nil {
		o.Generation, err = o.forget(ctx, lost, records)
	}
	if err != nil {
		return nil, fmt.Errorf("open the replicas of member %s: %w", o.Member, err)
	}
	kept := map[protocol.Bucket]protocol.Kept{}
	configs := protocol.NewConfigs()
	for b, r := range records {
		kept[b] = protocol.Kept{Record: r, Dots: dots[b]}
		configs.Learn(&protocol.Effects{}, b, r.Config)
	}
	var process dot.Stream
	rand.Read(process[:]) // never gives an error
	d := &Driver{o: o, start: time.Now(), configs: configs, maxWriting: MaxWritingBytes,
		appends: newPool(appendsAtOnce), saves: newPool(savesAtOnce), fetches: newPool(fetchesAtOnce), adoptions: newPool(adoptionsAtOnce), scans: make(chan struct{}, MaxScans),
		writer: protocol.NewWriter(process, configs), reader: protocol.NewReader(process, configs, o.Prefer),
		holder: protocol.NewHolder(o.Member, process, o.Generation, kept),
		writes: map[uint64]*writing{}, questions: map[uint64]*question{}, attempts: map[protocol.Call]*attempt{}, outboxes: map[asked]*outbox{}}
	if o.MoveRate != nil {
		d.holder.Pace(d)
	}
	if o.Damaged != nil {
		d.holder.Damaged(o.Damaged)
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.lookWhoIsAlone()
	d.running.Go(d.tick)
	return d, nil
}

// forget gives up the buckets of which something was lost, under the generation that
// comes after it: the member holds nothing of them any more.
func (o *Options) forget(ctx context.Context, lost *protocol.LostError, records map[protocol.Bucket]protocol.Record) (uint32, error) {
	o.Logger.Error("what this member has of some buckets may be less than what it acknowledged: it gives them up, and gets them again from others",
		"buckets", len(lost.Buckets), "error", lost.Cause)
	generation, err := o.Lost(ctx, lost)
	if err != nil {
		return 0, errors.Join(lost, err)
	}
	for _, b := range lost.Buckets {
		if _, held := records[b]; !held {
			continue
		}
		if err := o.Ledger.Save(ctx, b, protocol.Record{}); err != nil {
			return 0, errors.Join(lost, err)
		}
		delete(records, b)
	}
	if err := o.Storage.Drop(ctx, lost.Buckets...); err != nil {
		return 0, errors.Join(lost, err)
	}
	return generation, nil
}

// Start lets the driver speak to others.
func (d *Driver) Start(t Transport) { d.transport.Store(&t) }

// Close ends all that is under way: writes may or may not be stored. It returns
// when nothing of the driver runs any more; the transport must not call it then.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	for id, w := range d.writes {
		w.end(ErrClosed)
		delete(d.writes, id)
	}
	for _, q := range d.questions {
		q.end(nil, ErrClosed)
	}
	d.mu.Unlock()
	d.stop()
	d.running.Wait()
	for _, p := range []*pool{d.appends, d.saves, d.fetches, d.adoptions} {
		p.close()
	}
	return nil
}

// tick lets the machines see the time until the driver is closed.
func (d *Driver) tick() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			d.do(func(e *protocol.Effects, now protocol.Moment) {
				d.holder.Tick(e, now)
				d.writer.Tick(e, now)
				d.reader.Tick(e, now)
			})
		case <-d.ctx.Done():
			return
		}
	}
}

// Learn takes the placement of the metadata.
func (d *Driver) Learn(p *protocol.Placement) {
	d.do(func(e *protocol.Effects, now protocol.Moment) {
		for b := range p.Configs {
			bucket, c := protocol.Bucket(b), p.Configs[b]
			if c.Epoch > 0 {
				d.configs.Learn(e, bucket, c)
				d.holder.Learn(e, now, bucket, c)
			}
		}
	})
}

// Config is the newest config of a bucket that the process has heard of.
func (d *Driver) Config(b protocol.Bucket) protocol.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.configs.Get(b)
}

// Receive takes a message: it is the transport's receiver.
func (d *Driver) Receive(from protocol.MemberID, message []byte) {
	m, err := protocol.Decode(message)
	if err != nil {
		d.o.Logger.Error("a member's message cannot be read", "member", from, "error", err)
		return
	}
	switch m.(type) {
	case *protocol.AppendRequest, *protocol.FetchReply:
		if d.arriving.Load()+int64(len(message)) > MaxArrivingBytes {
			d.dropped.Add(1)
			return // it comes again
		}
	case *protocol.ScanRequest, *protocol.ScanReply:
		return // they have a stream
	}
	d.do(func(e *protocol.Effects, now protocol.Moment) { d.deliver(e, now, from, m) })
}
