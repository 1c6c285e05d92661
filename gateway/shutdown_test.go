package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// A statement that does not look at its context keeps no server from ending.
func TestShutdownLeavesWhatDoesNotEnd(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	deaf := &testTable{name: "deaf", schema: sql.Schema{column("deaf", "i", types.Int64)},
		next: func(ctx *sql.Context, i int) (sql.Row, error) {
			close(running)
			<-release
			return nil, errors.New("too late")
		}}
	s := startServer(t, serverOptions{tables: []*testTable{deaf}, mysql: MySQLOptions{Grace: time.Millisecond, StopGrace: time.Millisecond}})
	c := s.conn()
	failed := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), "SELECT i FROM deaf")
		failed <- err
	}()
	<-running
	s.stop()
	err := <-s.done
	s.done = nil
	if !errors.Is(err, ErrStillRunning) {
		t.Errorf("serve: %v, want %v", err, ErrStillRunning)
	}
	if <-failed == nil {
		t.Error("the client is told that the statement has succeeded")
	}
	close(release)
}
