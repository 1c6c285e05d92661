package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"arbor/cluster/protocol"
	"arbor/engine/dot"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func id(n int) protocol.MemberID { return protocol.MemberID{0: byte(n), 15: byte(n)} }

func replicas(n ...int) (rs []protocol.Replica) {
	for _, i := range n {
		rs = append(rs, protocol.Replica{Member: id(i), Generation: 1})
	}
	return rs
}

// disk is a member's, in memory: what it has said to be stored stays. It fails and
// waits as tests want.
type disk struct {
	mu      sync.Mutex
	batches map[protocol.Bucket]map[dot.Dot]string
	ledger  map[protocol.Bucket]protocol.Record
	fail    error
	scan    error
	gate    chan struct{} // while there is one, appends wait until it is closed
	waiting int           // at the gate
}

func newDisk() *disk {
	return &disk{batches: map[protocol.Bucket]map[dot.Dot]string{}, ledger: map[protocol.Bucket]protocol.Record{}}
}

// hang has appends wait, and gives what lets them go on.
func (d *disk) hang() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	d.gate = gate
	return func() {
		d.mu.Lock()
		d.gate = nil
		d.mu.Unlock()
		close(gate)
	}
}

func (d *disk) Append(_ context.Context, b protocol.Bucket, batches []protocol.Batch) (out []protocol.Outcome, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if gate := d.gate; gate != nil {
		d.waiting++
		d.mu.Unlock()
		<-gate
		d.mu.Lock()
		d.waiting--
	}
	if d.fail != nil {
		return nil, d.fail
	}
	if d.batches[b] == nil {
		d.batches[b] = map[dot.Dot]string{}
	}
	for _, x := range batches {
		known, ok := d.batches[b][x.Dot]
		if ok && known != string(x.Record) {
			out = append(out, protocol.Differs)
			continue
		}
		d.batches[b][x.Dot] = string(x.Record)
		out = append(out, protocol.Stored)
	}
	return out, nil
}

func (d *disk) Dots(context.Context) (map[protocol.Bucket]dot.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[protocol.Bucket]dot.Set{}
	for b, batches := range d.batches {
		var s dot.Set
		for name := range batches {
			s.Add(name)
		}
		all[b] = s
	}
	return all, nil
}

func (d *disk) Fetch(_ context.Context, b protocol.Bucket, want dot.Set, _ int) (out protocol.Fetched, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, record := range d.batches[b] {
		if want.Contains(name) && len(out.Batches) < 50 {
			out.Batches = append(out.Batches, protocol.Batch{Dot: name, Record: []byte(record)})
		}
	}
	return out, nil
}

func (d *disk) Drop(_ context.Context, buckets ...protocol.Bucket) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range buckets {
		delete(d.batches, b)
	}
	return nil
}

// What the disk has is in no file.
var errNoFile = errors.New("there is no file")

func (d *disk) ReadFile(context.Context, protocol.Bucket, string, func([]byte) error) error {
	return errNoFile
}

func (d *disk) Adopt(context.Context, protocol.Bucket, protocol.FileOffer, protocol.ReadFile) (dot.Set, error) {
	return dot.Set{}, errNoFile
}

func (d *disk) Save(_ context.Context, b protocol.Bucket, r protocol.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Config.Epoch < d.ledger[b].Config.Epoch {
		return fmt.Errorf("epoch of bucket %d goes back", b)
	}
	d.ledger[b] = r
	return nil
}

func (d *disk) Load(context.Context) (map[protocol.Bucket]protocol.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[protocol.Bucket]protocol.Record{}
	for b, r := range d.ledger {
		all[b] = r
	}
	return all, nil
}

// Scan gives a piece for each bucket, and an empty one at the end.
func (d *disk) Scan(ctx context.Context, buckets []protocol.Bucket, plan []byte, send func([]byte) error) error {
	d.mu.Lock()
	if err := d.scan; err != nil {
		d.mu.Unlock()
		return err
	}
	var pieces []string
	for _, b := range buckets {
		var rows []string
		for _, record := range d.batches[b] {
			rows = append(rows, record)
		}
		pieces = append(pieces, strings.Join(rows, "\n"))
	}
	d.mu.Unlock()
	for _, p := range pieces {
		if err := send([]byte(string(plan) + "\n" + p)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rows is a part: the records that it counts.
type rows struct {
	records []string
	dropped bool
}

func (r *rows) Add(piece []byte) error {
	lines := strings.Split(string(piece), "\n")
	for _, l := range lines[1:] {
		if l != "" {
			r.records = append(r.records, l)
		}
	}
	return nil
}

func (r *rows) Drop() { r.dropped = true }

// faults carries errFault.
type faults struct{}

var errFault = errors.New("the plan is wrong")

func (faults) Encode(err error) ([]byte, bool) {
	return []byte(err.Error()), errors.Is(err, errFault)
}
func (faults) Decode(b []byte) error { return fmt.Errorf("%w (%s)", errFault, b) }

// network carries messages between drivers in one process, and loses them.
type network struct {
	mu      sync.Mutex
	rand    *rand.Rand
	loss    float64
	members map[protocol.MemberID]*Driver
	cut     map[[2]protocol.MemberID]bool
	sent    int
	under   sync.WaitGroup
}

// line is a member's end of the network.
type line struct {
	n    *network
	from protocol.MemberID
}

var errCut = errors.New("line is cut")

// reach gives the other end, unless the line is cut or has bad luck.
func (l line) reach(to protocol.MemberID) *Driver {
	n := l.n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent++
	if n.cut[[2]protocol.MemberID{l.from, to}] || n.rand.Float64() < n.loss || n.members[l.from] == nil {
		return nil
	}
	return n.members[to]
}

func (l line) Send(to protocol.MemberID, message []byte) {
	for range 2 { // now and then both arrive
		d := l.reach(to)
		if d != nil {
			l.n.under.Go(func() { d.Receive(l.from, message) })
		}
		l.n.mu.Lock()
		again := l.n.loss > 0 && (d == nil || l.n.rand.Float64() < l.n.loss)
		l.n.mu.Unlock()
		if !again {
			return
		}
	}
}

func (l line) Stream(ctx context.Context, to protocol.MemberID, call string, request []byte, take func([]byte) error) error {
	d := l.reach(to)
	if d == nil {
		return errCut
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	frames := make(chan []byte)
	done := make(chan error, 1)
	l.n.under.Go(func() {
		done <- d.ServeScan(ctx, l.from, request, func(b []byte) error {
			select {
			case frames <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for {
		select {
		case b := <-frames:
			if l.reach(to) == nil {
				return errCut
			}
			if err := take(b); err != nil {
				return err
			}
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// world is some members, their disks and the placement.
type world struct {
	t         testing.TB
	net       *network
	mu        sync.Mutex // guards what follows
	disks     map[int]*disk
	drivers   map[int]*Driver
	broken    map[int]error
	placement protocol.Placement
	mover     *protocol.Mover
	moveRate  int64 // of each
}

// newWorld starts so many members, of which some hold all buckets.
func newWorld(t testing.TB, members, buckets int, loss float64, old ...int) *world {
	w := &world{t: t, disks: map[int]*disk{}, drivers: map[int]*Driver{}, broken: map[int]error{}, mover: protocol.NewMover(),
		net: &network{rand: rand.New(rand.NewPCG(1, uint64(members))), loss: loss, members: map[protocol.MemberID]*Driver{}, cut: map[[2]protocol.MemberID]bool{}}}
	w.placement.Configs = make([]protocol.Config, buckets)
	for b := range buckets {
		if _, err := w.placement.Begin(protocol.Begin{Bucket: protocol.Bucket(b), New: replicas(old...)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= members; i++ {
		w.disks[i] = newDisk()
		w.start(i)
	}
	t.Cleanup(func() {
		for i := 1; i <= members; i++ {
			w.kill(i)
		}
		w.net.under.Wait()
	})
	return w
}

// start starts a member over its disk.
func (w *world) start(i int) *Driver {
	d, err := Open(w.t.Context(), Options{Member: id(i), Generation: 1, Storage: w.disks[i], Ledger: w.disks[i], Scanner: w.disks[i],
		Faults: faults{}, Logger: quiet, MoveRate: func() int64 { w.mu.Lock(); defer w.mu.Unlock(); return w.moveRate },
		Synced: func(s protocol.Synced) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.mover.Synced(s)
		},
		Broken: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.broken[i] = err
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	d.Start(line{w.net, id(i)})
	w.mu.Lock()
	d.Learn(w.copyOfPlacement())
	w.drivers[i] = d
	w.mu.Unlock()
	w.net.mu.Lock()
	w.net.members[id(i)] = d
	w.net.mu.Unlock()
	return d
}

func (w *world) copyOfPlacement() *protocol.Placement {
	return &protocol.Placement{Configs: append([]protocol.Config(nil), w.placement.Configs...)}
}

// kill ends a member; its disk stays.
func (w *world) kill(i int) {
	w.net.mu.Lock()
	delete(w.net.members, id(i))
	w.net.mu.Unlock()
	w.mu.Lock()
	d := w.drivers[i]
	delete(w.drivers, i)
	w.mu.Unlock()
	if d != nil {
		if err := d.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// up are the drivers that run.
func (w *world) up() (all []*Driver) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.drivers {
		all = append(all, d)
	}
	return all
}

// isolate cuts a member from all others, or joins it again.
func (w *world) isolate(i int, cut bool) {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	for o := range w.disks {
		w.net.cut[[2]protocol.MemberID{id(i), id(o)}] = cut
		w.net.cut[[2]protocol.MemberID{id(o), id(i)}] = cut
	}
}

// change begins a change of all buckets.
func (w *world) change(to ...int) {
	w.mu.Lock()
	for b, c := range w.placement.Configs {
		if _, err := w.placement.Begin(protocol.Begin{Bucket: protocol.Bucket(b), Epoch: c.Epoch, New: replicas(to...)}); err != nil {
			w.t.Error(err)
		}
	}
	w.mu.Unlock()
	w.announce()
}

// move ends the changes that are due, and says whether some are under way still.
func (w *world) move() (under bool) {
	w.mu.Lock()
	news := false
	for _, end := range w.mover.Due(0, &w.placement) {
		if _, err := w.placement.End(end); err != nil {
			w.t.Error(err)
		}
		news = true
	}
	for i := range w.placement.Configs {
		under = under || w.placement.Configs[i].Joint()
	}
	w.mu.Unlock()
	if news {
		w.announce()
	}
	return under
}

func (w *world) announce() {
	w.mu.Lock()
	p := w.copyOfPlacement()
	w.mu.Unlock()
	for _, d := range w.up() {
		d.Learn(p)
	}
}

func (w *world) buckets() (all []protocol.Bucket) {
	for b := range w.placement.Configs {
		all = append(all, protocol.Bucket(b))
	}
	return all
}

// ask asks a driver for all records.
func (w *world) ask(d *Driver) ([]string, error) { return w.askUntil(w.t.Context(), d) }

func (w *world) askUntil(ctx context.Context, d *Driver) ([]string, error) {
	parts, err := d.Query(ctx, []byte("plan"), w.buckets(), func() (Part, error) { return &rows{}, nil })
	var all []string
	for _, p := range parts {
		all = append(all, p.(*rows).records...)
	}
	return all, err
}
