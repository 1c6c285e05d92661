package stack

import (
	"context"
	"sync"

	"arbor/cluster"
	"arbor/cluster/protocol"
)

// Disk is a member's storage and ledger, which hangs when a test wants it to.
type Disk struct {
	*cluster.Replicas

	mu   sync.Mutex // guards gate
	gate chan struct{}
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

// Append stores batches, when the disk does not hang.
func (d *Disk) Append(ctx context.Context, bucket protocol.Bucket, batches []protocol.Batch) ([]protocol.Outcome, error) {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return d.Replicas.Append(ctx, bucket, batches)
}
