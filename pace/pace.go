// Package pace lets bytes pass at a rate: those of a backup, of a restore, and of what
// moves between members.
//
// golang.org/x/time/rate does the same for things that are counted before they come, and
// are never more at once than a burst. Here a piece may be longer than what passes in a
// second, the rate is another one whenever somebody sets it, and what was asked for is
// corrected when it has come.
package pace

import (
	"context"
	"sync"
	"time"
)

// Pace lets so many bytes a second pass, of all who share it. Time in which nothing passed
// is not made up for. The zero value is ready.
type Pace struct {
	mu sync.Mutex // guards paid
	// paid is until when the bytes that have passed are enough.
	paid time.Time
}

// worthWaiting is the shortest wait: below that a timer costs more than it is good for, and
// the next piece waits for both.
const worthWaiting = 10 * time.Millisecond

// Wait counts bytes, and waits until those before them are paid for. A rate of 0 is without
// bound. An error is that of ctx.
func (p *Pace) Wait(ctx context.Context, bytes int, rate int64) error {
	if rate <= 0 {
		return ctx.Err()
	}
	wait := p.count(time.Now(), bytes, rate)
	if wait < worthWaiting {
		return ctx.Err()
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

// count gives for how long the bytes before these are enough.
func (p *Pace) count(now time.Time, bytes int, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paid.Before(now) {
		p.paid = now
	}
	wait := p.paid.Sub(now)
	p.paid = p.paid.Add(Lasts(bytes, rate))
	return wait
}

// Admit counts bytes that are about to be asked for, or says that it is too early: that
// more than so many are ahead of them. It does not wait.
func (p *Pace) Admit(bytes, ahead int, rate int64) bool {
	if rate <= 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.paid.Before(now) {
		p.paid = now
	}
	if p.paid.Sub(now) > Lasts(ahead, rate) {
		return false
	}
	p.paid = p.paid.Add(Lasts(bytes, rate))
	return true
}

// Correct counts by how many bytes more came than were admitted, or less.
func (p *Pace) Correct(bytes int, rate int64) {
	if rate <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paid = p.paid.Add(Lasts(bytes, rate))
}

// Lasts is for how long so many bytes are enough.
func Lasts(bytes int, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}
