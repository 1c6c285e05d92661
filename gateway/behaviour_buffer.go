package gateway

import (
	"fmt"
	"math"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// behaviourBuffer is the state of a behavioural function in one group: its
// events, which come in any order.
type behaviourBuffer struct {
	order, conds []sql.Expression
	events       *exec.BehaviourEvents
	holding      *holding
	held         int64
}

// NewBuffer makes the state of one group.
func (b *behaviour) NewBuffer(ctx *sql.Context) (sql.AggregationBuffer, error) {
	if b.made == nil {
		next := *b
		if err := next.make(ctx); err != nil {
			return nil, err
		}
		b = &next
	}
	buffer := &behaviourBuffer{events: exec.NewBehaviourEvents(b.made), holding: newHolding(ctx)}
	var err error
	if buffer.order, err = cloneAll(ctx, b.order); err != nil {
		return nil, err
	}
	buffer.conds, err = cloneAll(ctx, b.conds)
	return buffer, err
}

func cloneAll(ctx *sql.Context, exprs []sql.Expression) ([]sql.Expression, error) {
	cloned := make([]sql.Expression, len(exprs))
	for i, e := range exprs {
		var err error
		if cloned[i], err = transform.Clone(ctx, e); err != nil {
			return nil, err
		}
	}
	return cloned, nil
}

// Update adds a row. One without a moment is no event: an outer join makes such.
func (b *behaviourBuffer) Update(ctx *sql.Context, row sql.Row) error {
	at, id, ok, err := evalOrder(ctx, b.order, row)
	if err != nil || !ok {
		return err
	}
	var mask uint64
	for i, e := range b.conds {
		v, err := e.Eval(ctx, row)
		if err != nil {
			return err
		}
		if v, err = sql.UnwrapAny(ctx, v); err != nil {
			return err
		}
		if v == nil {
			continue
		}
		met, err := sql.ConvertToBool(ctx, v)
		if err != nil {
			return err
		}
		if met {
			mask |= 1 << i
		}
	}
	b.events.Add(at, id, mask)
	if n := b.events.Bytes(); n > b.held {
		err = b.holding.take(n - b.held)
		b.held = n
	}
	return err
}

// Eval is the value of the group.
func (b *behaviourBuffer) Eval(ctx *sql.Context) (any, error) {
	v, err := b.events.ValueUntil(ctx)
	if err != nil {
		return nil, err
	}
	switch v.Kind {
	case catalog.KindInt:
		return v.Int(), nil
	case catalog.KindDouble:
		return v.Double(), nil
	default:
		return nil, nil
	}
}

// Dispose frees the events.
func (b *behaviourBuffer) Dispose(ctx *sql.Context) {
	for _, e := range b.order {
		expression.Dispose(ctx, e)
	}
	for _, e := range b.conds {
		expression.Dispose(ctx, e)
	}
	b.holding.release()
}

// evalOrder gives the place of a row in the order of events. Without an order all
// rows have the same place. It is not ok where the moment is NULL.
func evalOrder(ctx *sql.Context, order []sql.Expression, row sql.Row) (at int64, id catalog.IngestID, ok bool, err error) {
	if len(order) == 0 {
		return 0, id, true, nil
	}
	v, err := order[0].Eval(ctx, row)
	if err != nil || v == nil {
		return 0, id, false, err
	}
	if at, ok, err = microseconds(ctx, v); err != nil || !ok || len(order) == 1 {
		return at, id, ok, err
	}
	if v, err = order[1].Eval(ctx, row); err != nil {
		return 0, id, false, err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return 0, id, false, err
	}
	text, isText := v.(string)
	if !isText {
		return 0, id, false, refuse(erWrongArguments, stateGeneral, "%s cannot order events of the same time: it must be the column _ingest_id", order[1])
	}
	if id, err = catalog.ParseIngestID(text); err != nil {
		return 0, id, false, refuse(erWrongArguments, stateGeneral, "%s cannot order events of the same time: %s", order[1], err)
	}
	return at, id, true, nil
}

// microseconds is a moment, since 1970. Numbers are seconds.
func microseconds(ctx *sql.Context, v any) (int64, bool, error) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return 0, false, err
	}
	switch t := v.(type) {
	case nil:
		return 0, false, nil
	case time.Time:
		return t.UnixMicro(), true, nil
	case string, []byte:
		converted, _, err := types.DatetimeMaxPrecision.Convert(ctx, t)
		if err != nil {
			return 0, false, err
		}
		at, ok := converted.(time.Time)
		return at.UnixMicro(), ok, nil
	}
	const most = exec.MaxSeconds
	if n, ok := asInteger(v); ok && -most <= n && n <= most {
		return n * 1_000_000, true, nil
	}
	f, err := asDouble(ctx, v)
	if err != nil || !(math.Abs(f) <= most) {
		return 0, false, refuse(erWrongArguments, stateGeneral, "%s is no time that events can be ordered by", fmt.Sprint(v))
	}
	return int64(math.Round(f * 1e6)), true, nil
}
