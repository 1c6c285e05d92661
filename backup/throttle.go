package backup

import (
	"context"
	"io"
	"sync"
	"time"
)

// throttle lets so many bytes a second pass, for all that share it.
type throttle struct {
	rate int64 // 0 is without bound
	mu   sync.Mutex
	// free is when all that has passed is paid for.
	free time.Time
}

// maxDebt is how far ahead of its rate a throttle may be.
const maxDebt = 100 * time.Millisecond

func (t *throttle) wait(ctx context.Context, n int) error {
	if t == nil || t.rate <= 0 {
		return ctx.Err()
	}
	t.mu.Lock()
	now := time.Now()
	if t.free.Before(now) {
		t.free = now
	}
	t.free = t.free.Add(time.Duration(float64(n) / float64(t.rate) * float64(time.Second)))
	ahead := t.free.Sub(now)
	t.mu.Unlock()
	if ahead <= maxDebt {
		return ctx.Err()
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// throttled reads no faster than its throttle lets it, and tells how much.
type throttled struct {
	ctx  context.Context
	from io.Reader
	t    *throttle
	told func(n int64)
}

// throttledPiece is what is read at once: a rate of a few KB/s stays smooth.
const throttledPiece = 64 << 10

func (r *throttled) Read(b []byte) (int, error) {
	n, err := r.from.Read(b[:min(len(b), throttledPiece)])
	if n > 0 {
		if r.told != nil {
			r.told(int64(n))
		}
		if e := r.t.wait(r.ctx, n); e != nil {
			return n, e
		}
	}
	return n, err
}
