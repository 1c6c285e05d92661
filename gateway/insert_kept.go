package gateway

import (
	"fmt"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
)

// keptInsert is what there is to know of an INSERT whose plan is kept: its columns, and
// how their values are read. It is worked out when the plan is first used again, by the
// connection that has the plan.
type keptInsert struct {
	node    *plan.InsertInto
	table   *eventsTable
	schema  sql.Schema
	columns []insertColumn
	order   []int
	values  []literalValue // scratch
	quick   quickRows
}

// repeatInsert runs an INSERT by its kept plan. Of what the library does around a plan
// nothing but the transaction is left to do: what it asks of users, tables and values
// was asked when the plan was made, by the same privileges and the same catalog.
func (h *handler) repeatInsert(ctx *sql.Context, p *keptPlan, rows *literalRows) (schema sql.Schema, iter sql.RowIter, err error) {
	n, ok := p.node.(*plan.InsertInto)
	if !ok || h.engine.IsReadOnly() {
		if schema, iter, _, err = h.engine.PrepQueryPlanForExecution(ctx, p.text, p.node, p.flags); err == nil && !rows.taken {
			iter.Close(ctx)
			err = errRowsLost
		}
		return schema, iter, err
	}
	defer func() {
		if err != nil && !ctx.GetIgnoreAutoCommit() {
			if auto, e := plan.IsSessionAutocommit(ctx); e == nil && auto {
				ctx.SetTransaction(nil)
			}
		}
	}()
	if err := ctx.ValidateSession(ctx); err != nil {
		return nil, nil, err
	}
	s := sessionOf(ctx)
	if ctx.GetTransaction() == nil {
		tx, err := s.StartTransaction(ctx, sql.ReadWrite)
		if err != nil {
			return nil, nil, err
		}
		ctx.SetTransaction(tx)
	}
	s.noteWrite()
	if iter, err = h.events.insertKept(ctx, p, n, rows); err != nil {
		return nil, nil, err
	}
	if iter, err = rowexec.AddTransactionCommittingIter(ctx, p.flags, iter); err != nil {
		return nil, nil, err
	}
	return p.insert.schema, iter, nil
}

// insertKept stores rows as the plan says.
func (g *Gateway) insertKept(ctx *sql.Context, p *keptPlan, n *plan.InsertInto, rows *literalRows) (sql.RowIter, error) {
	var in *insertion
	if k := p.insert; k != nil {
		in = g.newInsertion(ctx, k.node, k.table)
		in.columns, in.order, in.values, in.quick = k.columns, k.order, k.values, k.quick
	} else {
		t, ok := eventsBelow(n.Destination)
		if !ok {
			return nil, fmt.Errorf("a kept plan inserts into %T", n.Destination)
		}
		in = g.newInsertion(ctx, n, t)
		if _, err := in.bind(ctx, n, t); err != nil {
			return nil, err
		}
		in.orderColumns()
		p.insert = &keptInsert{n, t, n.Schema(ctx), in.columns, in.order, in.values, in.quick}
	}
	defer func() {
		in.loan.end()
		clear(in.values) // the statement's texts
		clear(in.quick.properties[:cap(in.quick.properties)])
	}()
	rows.taken, in.literals, in.whole = true, rows, true
	notePushed(ctx)
	if err := in.runLiterals(ctx); err != nil {
		return nil, err
	}
	return in.result(ctx), nil
}
