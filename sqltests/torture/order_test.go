package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"arbor/catalog"
	"arbor/engine/exec"
)

// greatTop is a limit above that up to which only the columns of the order are
// kept.
const greatTop = 100_001

// someOrder draws a query that sorts.
func someOrder(rng *rand.Rand, project catalog.ProjectID, asOf catalog.IngestID) *exec.Fragment {
	f := someFragment(rng, project, asOf)
	for i := range f.Columns {
		if f.Columns[i].Source == exec.SourceFile { // differs between the engine and the model
			f.Columns[i].Source = exec.SourceEvent
		}
	}
	f.Limit = []int64{0, 1, 2, 5, 20, 20, greatTop - 1, greatTop}[rng.IntN(8)]
	time := len(f.Columns)
	f.Columns = append(f.Columns, exec.Column{Source: exec.SourceTime})
	var visible, answer []int
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			if i == time {
				answer = append(answer, len(visible))
			}
			visible = append(visible, i)
		}
	}
	byTime := exec.Order{Column: answer[0], Descending: rng.IntN(2) == 0}
	switch rng.IntN(4) {
	case 0:
		f.Order = []exec.Order{byTime}
	case 1: // a user's events
		f.Order = []exec.Order{{Column: byTime.Column}}
		user := len(f.Columns)
		f.Columns = append(f.Columns, exec.Column{Source: exec.SourceDistinctID, Hidden: rng.IntN(2) == 0})
		equal := &exec.Expr{Op: exec.OpEqual, Column: user, Values: constantsFor(rng, f.Columns[user])[:1]}
		if f.Filter != nil && rng.IntN(2) == 0 {
			equal = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{f.Filter, equal}}
		}
		f.Filter = equal
	default:
		for range 1 + rng.IntN(3) {
			f.Order = append(f.Order, exec.Order{Column: rng.IntN(len(visible)), Descending: rng.IntN(2) == 0})
		}
		if rng.IntN(2) == 0 {
			f.Order = append(f.Order, byTime)
		}
	}
	return f
}

// ordered gives a fragment's rows as lines of text, in their order, and holds the
// batches to what exec.Batch promises.
func ordered(ctx context.Context, s scanner, f *exec.Fragment) ([]string, error) {
	var lines []string
	var visible []exec.Column
	for _, c := range f.Columns {
		if !c.Hidden {
			visible = append(visible, c)
		}
	}
	stats, err := s.Execute(ctx, f, func(b *exec.Batch) error {
		if len(b.Columns) != len(visible) || b.Rows < 1 || b.Rows > exec.MaxBatchRows || b.Runs != nil {
			return fmt.Errorf("batch of %d columns and %d rows, want %d columns and 1 to %d rows", len(b.Columns), b.Rows, len(visible), exec.MaxBatchRows)
		}
		batch := make([]strings.Builder, b.Rows)
		for i, a := range b.Columns {
			if err := addColumn(batch, visible[i], a); err != nil {
				return fmt.Errorf("column %d (%s): %w", i, columnName(visible[i]), err)
			}
		}
		for i := range batch {
			lines = append(lines, batch[i].String())
		}
		return nil
	})
	if err == nil && stats.RowsGiven != int64(len(lines)) {
		err = fmt.Errorf("stats say that %d rows were given, %d were", stats.RowsGiven, len(lines))
	}
	return lines, err
}

// compareOrder asks both sides for rows in an order.
func (r *run) compareOrder(f *exec.Fragment) error {
	want, err := ordered(r.ctx, r.model, f)
	if err != nil {
		return fmt.Errorf("order of the model: %w", err)
	}
	got, err := ordered(r.ctx, r.subject, f)
	if err != nil {
		return fmt.Errorf("order of %s: %w", show(f), err)
	}
	if d := difference(want, got); d != "" {
		return fmt.Errorf("%w: order %+v limit %d of %s: %d rows, want %d (-want +got):\n%s", errWrong, f.Order, f.Limit, show(f), len(got), len(want), d)
	}
	return r.compareParts(f, want, ordered)
}
