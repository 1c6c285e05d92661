package replication

import (
	"context"
	"sync"
	"time"

	"arbor/cluster/protocol"
)

// pace lets so many bytes a second pass.
type pace struct {
	mu sync.Mutex // guards paid
	// paid is until when the bytes that have passed are enough.
	paid time.Time
}

// aheadBytes is how much may be asked for before what came before is paid for: so that
// batches get their turn beside files, pieces of which always wait.
const aheadBytes = 2 * protocol.FetchBytes

// next counts bytes at a rate, and gives how long they have to wait. Time in which nothing
// passed is not made up for.
func (p *pace) next(now time.Time, n int, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paid.Before(now) {
		p.paid = now
	}
	wait := p.paid.Sub(now)
	p.paid = p.paid.Add(lasts(n, rate))
	return wait
}

// admit counts bytes, unless too many are ahead of them.
func (p *pace) admit(now time.Time, n int, rate int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paid.Before(now) {
		p.paid = now
	}
	if p.paid.Sub(now) > lasts(aheadBytes, rate) {
		return false
	}
	p.paid = p.paid.Add(lasts(n, rate))
	return true
}

// correct counts bytes that have passed, or takes back some that were counted.
func (p *pace) correct(n int, rate int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paid = p.paid.Add(lasts(n, rate))
}

// lasts is for how long so many bytes are enough.
func lasts(n int, rate int64) time.Duration {
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}

// moveRate is the rate that is in force; 0 for none.
func (d *Driver) moveRate() int64 {
	if d.o.MoveRate == nil {
		return 0
	}
	return max(d.o.MoveRate(), 0)
}

// Pass waits until so many bytes of a file may be taken. Who sends them waits with it.
func (d *Driver) Pass(ctx context.Context, n int) error {
	rate := d.moveRate()
	if rate == 0 {
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

// Admit is protocol.Pace's.
func (d *Driver) Admit(bytes int) bool {
	rate := d.moveRate()
	return rate == 0 || d.pace.admit(time.Now(), bytes, rate)
}

// Correct is protocol.Pace's.
func (d *Driver) Correct(bytes int) {
	if rate := d.moveRate(); rate > 0 {
		d.pace.correct(bytes, rate)
	}
}
