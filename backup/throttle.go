package backup

import (
	"context"
	"io"

	"arbor/pace"
)

// throttle lets so many bytes a second pass, for all that share it.
type throttle struct {
	rate int64 // 0 is without bound
	pace pace.Pace
}

func (t *throttle) wait(ctx context.Context, n int) error {
	return t.pace.Wait(ctx, n, pace.Always(t.rate))
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
