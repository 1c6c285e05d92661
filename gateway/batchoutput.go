package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"

	"arbor/engine/exec"
)

// partsAhead is how many parts of a result are made before the client takes them.
// While one is sent the next is encoded, and the scan goes on.
const partsAhead = 3

// batches sends a result whose rows come by column, and closes iter. It sends
// what result would. After errAsRows nothing is sent, and iter is open.
func (o *output) batches(ctx *sql.Context, schema sql.Schema, iter sql.RowIter, b batchRows, counts *plan.TrackedRowIter) error {
	s := &batchSender{output: o, fields: resultFields(ctx, schema)}
	e := newRowEncoder(ctx, schema, b.layout(), o.binary)
	err := s.run(ctx, e, b)
	if stopped := interruption(ctx); stopped != nil {
		err = stopped
	}
	if errors.Is(err, errAsRows) {
		return err
	}
	o.closed = true
	if closeErr := iter.Close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		if o.begun { // the rows before it are the client's
			if sendErr := s.last(); sendErr != nil {
				return sendErr
			}
		}
		return err
	}
	if counts != nil && counts.ShouldSetFoundRows {
		ctx.GetLastQueryInfo().FoundRows.Store(e.rows)
	}
	if err := setStatus(ctx, o.conn); err != nil {
		return err
	}
	connectionOf(o.conn).warnings.Store(uint32(ctx.Session.WarningCount()))
	return s.last()
}

// batchSender sends the parts of a result. The first ones leave as soon as they are full,
// while the scan goes on, by a goroutine of their own; a result of one part needs none.
type batchSender struct {
	*output
	fields []*querypb.Field
	held   []byte // the rows of the last part, which is not full: it goes with what follows it

	cancel context.CancelFunc // of the scan
	done   <-chan struct{}    // closed when it has been called
	parts  chan []byte        // full ones, nil before there is one
	used   chan []byte        // whose memory can be used again
	ended  chan struct{}      // closed when all parts were sent
	failed error              // of sending; written before ended is closed
}

// run sends all parts of a result but the last.
func (s *batchSender) run(ctx *sql.Context, e *rowEncoder, b batchRows) error {
	working, cancel := ctx.NewSubContext()
	defer cancel()
	e.ctx = working
	s.cancel, s.done = cancel, working.Done()
	err := s.scan(working, e, b)
	if s.failed != nil {
		return s.failed
	}
	if working.Err() != nil {
		s.held = nil
	}
	return err
}

// scan runs the scan, and ends when all full parts were sent.
func (s *batchSender) scan(ctx *sql.Context, e *rowEncoder, b batchRows) error {
	defer func() {
		if s.parts != nil {
			close(s.parts)
			<-s.ended
		}
	}()
	return b.batches(ctx, func(batch *exec.Batch) (err error) {
		s.held, err = e.encode(batch, s.held, s.full)
		return err
	})
}

// full has a part sent, and gives memory for the next one. It is called by the scan.
func (s *batchSender) full(part []byte) ([]byte, error) {
	if s.parts == nil {
		if err := s.begin(); err != nil {
			return nil, err
		}
		s.parts, s.used, s.ended = make(chan []byte, partsAhead), make(chan []byte, partsAhead+2), make(chan struct{})
		go s.sendParts()
	}
	select {
	case s.parts <- part:
	case <-s.done:
		return nil, context.Canceled
	}
	select {
	case part = <-s.used:
		return part[:0], nil
	default:
		return make([]byte, 0, resultBytes+resultBytes/4), nil
	}
}

// sendParts sends full parts until there are no more. When one cannot be sent, the scan
// ends, and the parts that come until then are dropped.
func (s *batchSender) sendParts() {
	defer close(s.ended)
	for part := range s.parts {
		if s.failed != nil {
			continue
		}
		if s.failed = s.sendPart(part); s.failed != nil {
			s.cancel()
			continue
		}
		if cap(part) <= keepBuffer {
			select {
			case s.used <- part:
			default:
			}
		}
	}
}

// sendPart sends a full part. A panic would end the process, in a goroutine of its own.
func (s *batchSender) sendPart(part []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while rows are sent: %v\n%s", p, debug.Stack())
		}
	}()
	return s.wire.sendRows(part)
}

// begin sends the columns, at the latest with the first rows.
func (s *batchSender) begin() error {
	if s.begun {
		return nil
	}
	s.wire.cork()
	defer s.wire.uncork()
	if err := s.part(&sqltypes.Result{Fields: s.fields}); err != nil {
		return err
	}
	return s.conn.FlushBuffer()
}

// last leaves the last part to the packet that ends the result.
func (s *batchSender) last() error {
	if err := s.begin(); err != nil {
		return err
	}
	held := s.held
	s.held = nil
	return s.wire.holdRows(held)
}
