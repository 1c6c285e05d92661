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
// is not made up for. It is bytes that are owed, not time: another rate is in force for what
// was counted before it too. The zero value is ready.
type Pace struct {
	mu sync.Mutex // guards what follows
	// counted are all bytes that were ever counted, and paid are those of them that time
	// has paid for, by the last look at the clock. The rest is owed.
	counted, paid float64
	looked        time.Time
}

// worthWaiting is the shortest wait: below that a timer costs more than it is good for, and
// the next piece waits for both.
const worthWaiting = 10 * time.Millisecond

// looksAgain is after how long who waits asks for the rate again.
const looksAgain = time.Second

// Wait counts bytes, and waits until those before them are paid for. The rate may become
// another one meanwhile; 0 is without bound. An error is that of ctx.
func (p *Pace) Wait(ctx context.Context, bytes int, rate func() int64) error {
	now := rate()
	before := p.count(bytes, now)
	for {
		wait := p.lacks(before, now)
		if wait < worthWaiting || ctx.Err() != nil {
			return ctx.Err()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		now = rate()
	}
}

// count gives how many bytes were counted before these.
func (p *Pace) count(bytes int, rate int64) (before float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look(rate)
	before = p.counted
	p.counted += float64(bytes)
	return before
}

// lacks is how long to wait for so many bytes to be paid for, or to look again.
func (p *Pace) lacks(before float64, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look(rate)
	if before <= p.paid {
		return 0
	}
	seconds := (before - p.paid) / float64(rate)
	return time.Duration(min(seconds, looksAgain.Seconds()) * float64(time.Second))
}

// look pays for what is owed with the time since the last look. The caller has the lock.
func (p *Pace) look(rate int64) {
	now := time.Now()
	if rate <= 0 {
		p.paid = p.counted
	} else {
		p.paid = min(p.paid+now.Sub(p.looked).Seconds()*float64(rate), p.counted)
	}
	p.looked = now
}

// Admit counts bytes that are about to be asked for, or says that it is too early: that
// more than so many are ahead of them. It does not wait.
func (p *Pace) Admit(bytes, ahead int, rate int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look(rate)
	if p.counted-p.paid > float64(ahead) {
		return false
	}
	p.counted += float64(bytes)
	return true
}

// Correct counts by how many bytes more came than were admitted, or less.
func (p *Pace) Correct(bytes int, rate int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look(rate)
	if bytes > 0 {
		p.counted += float64(bytes)
	} else {
		// Not taken from counted: who waits does so for a place in it.
		p.paid = min(p.paid-float64(bytes), p.counted)
	}
}

// Always is a rate for Wait that stays.
func Always(rate int64) func() int64 { return func() int64 { return rate } }

// Lasts is for how long so many bytes are enough.
func Lasts(bytes int, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}
