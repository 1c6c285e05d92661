package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

// watch ends a statement whose client has gone away.
type watch struct {
	timer *time.Timer
	end   context.CancelFunc
	done  chan struct{}
}

// watchClient begins to watch the client after a delay. Nothing may read from
// the connection until stop has returned.
func watchClient(c *mysql.Conn, delay time.Duration, cancel context.CancelCauseFunc) *watch {
	ctx, end := context.WithCancel(context.Background())
	k := &watch{end: end, done: make(chan struct{})}
	k.timer = time.AfterFunc(delay, func() {
		defer close(k.done)
		w := wireOf(c)
		w.watching.Store(true)
		defer w.watching.Store(false)
		err := c.WaitForClientActivity(ctx)
		if err != nil && !errors.Is(err, errSentAhead) && !errors.Is(err, mysql.ErrClientWroteWhileBusy) {
			cancel(errClientGone)
		}
	})
	return k
}

// stop ends the watch and waits for its end. It may be called again.
func (k *watch) stop() {
	k.end()
	if k.timer != nil && !k.timer.Stop() {
		<-k.done
	}
	k.timer = nil
}
