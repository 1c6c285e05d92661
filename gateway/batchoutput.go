package gateway

import (
	"errors"

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

// batchSender sends the parts of a result.
type batchSender struct {
	*output
	fields []*querypb.Field
	held   []byte // the newest part, which goes with what follows it
}

// run sends all parts of a result but the last.
func (s *batchSender) run(ctx *sql.Context, e *rowEncoder, b batchRows) (err error) {
	working, cancel := ctx.NewSubContext()
	defer cancel()
	e.ctx = working
	parts, used := make(chan []byte, partsAhead), make(chan []byte, partsAhead+2)
	var failure error // written before parts is closed
	go func() {       // ends with its rows, or with working
		defer close(parts)
		send := func(part []byte) ([]byte, error) {
			select {
			case parts <- part:
			case <-working.Done():
				return nil, working.Err()
			}
			select {
			case part = <-used:
				return part[:0], nil
			default:
				return make([]byte, 0, resultBytes+resultBytes/4), nil
			}
		}
		var part []byte
		failure = b.batches(working, func(batch *exec.Batch) (err error) {
			part, err = e.encode(batch, part, send)
			return err
		})
		if len(part) > 0 && working.Err() == nil {
			parts <- part
		}
	}()
	for part := range parts {
		if err == nil {
			err = s.next(part, used)
		}
		if err != nil {
			cancel() // and wait for the end of parts
		}
	}
	if err != nil {
		return err
	}
	return failure
}

// next sends the part before part, whose memory it gives to used.
func (s *batchSender) next(part []byte, used chan<- []byte) error {
	sent := s.held
	s.held = part
	if sent == nil {
		return nil
	}
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.wire.sendRows(sent); err != nil {
		return err
	}
	if cap(sent) <= keepBuffer {
		select {
		case used <- sent:
		default:
		}
	}
	return nil
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
