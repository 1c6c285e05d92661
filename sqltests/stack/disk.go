package stack

import (
	"context"
	"errors"
	"slices"
	"sync"

	"arbor/cluster/protocol"
	"arbor/engine"
	"arbor/engine/dot"
)

// Disk keeps a member's batches under their dots, and its ledger, in memory: events
// are in the engine besides. It hangs when a test wants it to.
type Disk struct {
	engine *engine.Engine

	mu      sync.Mutex // guards what follows
	batches map[protocol.Bucket]map[dot.Dot][]byte
	records map[protocol.Bucket]protocol.Record
	gate    chan struct{}
}

var (
	_ protocol.Storage = (*Disk)(nil)
	_ protocol.Ledger  = (*Disk)(nil)
)

// NewDisk has nothing.
func NewDisk() *Disk {
	return &Disk{batches: map[protocol.Bucket]map[dot.Dot][]byte{}, records: map[protocol.Bucket]protocol.Record{}}
}

// Hang has appends wait until the func that it returns is called.
func (d *Disk) Hang() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	d.gate = gate
	return sync.OnceFunc(func() {
		d.mu.Lock()
		d.gate = nil
		d.mu.Unlock()
		close(gate)
	})
}

// Append stores what is new.
func (d *Disk) Append(ctx context.Context, bucket protocol.Bucket, batches []protocol.Batch) ([]protocol.Outcome, error) {
	outcomes := make([]protocol.Outcome, len(batches))
	var fresh [][]byte
	d.mu.Lock()
	if gate := d.gate; gate != nil {
		d.mu.Unlock()
		<-gate
		d.mu.Lock()
	}
	for i, b := range batches {
		known, ok := d.batches[bucket][b.Dot]
		switch {
		case !ok:
			fresh = append(fresh, b.Record)
			outcomes[i] = protocol.Stored
		case string(known) == string(b.Record):
			outcomes[i] = protocol.Stored
		default:
			outcomes[i] = protocol.Differs
		}
	}
	d.mu.Unlock()
	if err := d.engine.Append(ctx, fresh); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.batches[bucket] == nil {
		d.batches[bucket] = map[dot.Dot][]byte{}
	}
	for i, b := range batches {
		if outcomes[i] == protocol.Stored {
			d.batches[bucket][b.Dot] = slices.Clone(b.Record) // which is the caller's
		}
	}
	return outcomes, nil
}

// Dots are those of all batches.
func (d *Disk) Dots(context.Context) (map[protocol.Bucket]dot.Set, error) {
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

// Fetch gives batches.
func (d *Disk) Fetch(_ context.Context, bucket protocol.Bucket, want dot.Set, maxBytes int) (f protocol.Fetched, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bytes := 0
	for name, record := range d.batches[bucket] {
		if want.Contains(name) && (bytes == 0 || bytes+len(record) <= maxBytes) {
			bytes += len(record)
			f.Batches = append(f.Batches, protocol.Batch{Dot: name, Record: record})
		}
	}
	return f, nil
}

var errNoFile = errors.New("there is no file")

// ReadFile has no file.
func (d *Disk) ReadFile(context.Context, protocol.Bucket, string, func([]byte) error) error {
	return errNoFile
}

// Adopt is never asked, for no file is offered.
func (d *Disk) Adopt(context.Context, protocol.Bucket, protocol.FileOffer, protocol.ReadFile) (dot.Set, error) {
	return dot.Set{}, errNoFile
}

// Drop is for later than any test lasts.
func (d *Disk) Drop(context.Context, ...protocol.Bucket) error { return nil }

// Save keeps a record.
func (d *Disk) Save(_ context.Context, b protocol.Bucket, r protocol.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[b] = r
	return nil
}

// Load gives all records.
func (d *Disk) Load(context.Context) (map[protocol.Bucket]protocol.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[protocol.Bucket]protocol.Record{}
	for b, r := range d.records {
		all[b] = r
	}
	return all, nil
}
