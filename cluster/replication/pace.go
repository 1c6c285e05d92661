package replication

import (
	"context"
	"sync"
	"time"
)

// pace lets so many bytes a second pass.
type pace struct {
	mu sync.Mutex // guards paid
	// paid is until when the bytes that have passed are enough.
	paid time.Time
}

// next counts bytes at a rate, and gives how long they have to wait. Time in which nothing
// passed is not made up for.
func (p *pace) next(now time.Time, n int, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paid.Before(now) {
		p.paid = now
	}
	wait := p.paid.Sub(now)
	p.paid = p.paid.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return wait
}

// pass waits until so many bytes of a file may be taken. Who sends them waits with it.
func (d *Driver) pass(ctx context.Context, n int) error {
	if d.o.MoveRate == nil {
		return nil
	}
	rate := d.o.MoveRate()
	if rate <= 0 {
		return nil
	}
	wait := d.pace.next(time.Now(), n, rate)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
