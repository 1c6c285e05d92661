package replication

import (
	"context"
	"sync"

	"arbor/cluster/protocol"
)

// run has a task carried out.
func (d *Driver) run(t *protocol.Task) {
	task := *t
	switch {
	case task.Append != nil:
		d.arriving.Add(bytesOf(task.Append))
		d.appends.run(func() { d.append(&task) })
	case task.Fetch != nil:
		d.fetches.run(func() {
			fetched, err := d.o.Storage.Fetch(d.ctx, task.Bucket, *task.Fetch, protocol.FetchBytes)
			d.complete(task.Number, protocol.Result{Fetched: fetched, Err: err})
		})
	case task.Adopt != nil:
		d.adoptions.run(func() { d.adopt(&task) })
	case task.Scan != nil:
		d.scanHere(&task)
	case task.Save != nil:
		d.saves.run(func() {
			err := d.o.Ledger.Save(context.Background(), task.Bucket, *task.Save)
			d.do(func(e *protocol.Effects, now protocol.Moment) {
				d.holder.Complete(e, now, task.Number, protocol.Result{Err: err})
				d.lookWhoIsAlone()
			})
		})
	case task.Drop:
		d.saves.run(func() {
			d.complete(task.Number, protocol.Result{Err: d.o.Storage.Drop(context.Background(), task.Bucket)})
		})
	}
}

// append stores batches. Nobody's context bounds it: a write that was begun is
// waited for, since what became of it has to be known.
func (d *Driver) append(t *protocol.Task) {
	outcomes, err := d.o.Storage.Append(context.Background(), t.Bucket, t.Append)
	d.arriving.Add(-bytesOf(t.Append))
	d.complete(t.Number, protocol.Result{Outcomes: outcomes, Err: err})
}

// complete brings a task's end back.
func (d *Driver) complete(number uint64, r protocol.Result) {
	d.do(func(e *protocol.Effects, now protocol.Moment) { d.holder.Complete(e, now, number, r) })
}

func bytesOf(batches []protocol.Batch) (n int64) {
	for i := range batches {
		n += int64(len(batches[i].Record))
	}
	return n
}

// pool carries out so many things at once, in the order in which they come. What
// waits is small: bytes are counted elsewhere.
type pool struct {
	most    int
	mu      sync.Mutex // guards what follows
	waiting []func()
	running int
	closed  bool
	workers sync.WaitGroup
}

func newPool(most int) *pool { return &pool{most: most} }

// run has f carried out, unless the pool is closed.
func (p *pool) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
	case p.running < p.most:
		p.running++
		p.workers.Go(func() { p.work(f) })
	default:
		p.waiting = append(p.waiting, f)
	}
}

// work carries out f, and then what waits.
func (p *pool) work(f func()) {
	for f != nil {
		f()
		p.mu.Lock()
		if f = nil; len(p.waiting) > 0 && !p.closed {
			f = p.waiting[0]
			p.waiting[0] = nil
			p.waiting = p.waiting[1:]
		} else {
			p.running--
		}
		p.mu.Unlock()
	}
}

// close forgets what waits, and waits for what runs.
func (p *pool) close() {
	p.mu.Lock()
	p.closed, p.waiting = true, nil
	p.mu.Unlock()
	p.workers.Wait()
}
