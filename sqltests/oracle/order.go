package oracle

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/exec"
)

// sort gives the rows of a fragment with an order and without a group: those that
// the order does not tell apart by time and ingest id.
func (m *Model) sort(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	var stats exec.ScanStats
	columns, functions, err := m.withComputed(f)
	if err != nil {
		return stats, err
	}
	var visible []int
	for i, c := range columns {
		if !c.Hidden {
			visible = append(visible, i)
		}
	}
	type sortedRow struct {
		row    Row
		values []catalog.Value
	}
	var rows []sortedRow
	for _, row := range m.Answer(f.Project, f.AsOf, f.Policy).Rows {
		values := Values(row, f.Columns)
		if row.Duplicate() && !f.Copies {
			continue
		}
		values = append(values, make([]catalog.Value, len(functions))...)
		compute := func(filtered bool) error {
			for i, function := range functions {
				if asks(f.Filter, len(f.Columns)+i) == filtered {
					continue
				}
				var args []catalog.Value
				for _, a := range f.Computed[i].Args {
					args = append(args, values[a])
				}
				v, err := function.Eval(args)
				if err != nil {
					return fmt.Errorf("%w: %w", exec.ErrFunction, err)
				}
				values[len(f.Columns)+i] = v
			}
			return nil
		}
		if err := compute(false); err != nil {
			return stats, err
		}
		if f.Filter != nil && holds(f.Filter, columns, values) != yes {
			continue
		}
		if err := compute(true); err != nil { // others are of rows that pass alone
			return stats, err
		}
		rows = append(rows, sortedRow{row, values})
	}
	slices.SortFunc(rows, func(a, b sortedRow) int {
		for _, o := range f.Order {
			n := visible[o.Column]
			c := order(TypeOf(columns[n]), a.values[n], b.values[n])
			if o.Descending {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		one, _ := a.row.Event.ID.AppendBinary(nil)
		other, _ := b.row.Event.ID.AppendBinary(nil)
		return cmp.Or(cmp.Compare(a.row.Event.Time, b.row.Event.Time), bytes.Compare(one, other))
	})
	if f.Limit > 0 && int64(len(rows)) > f.Limit {
		rows = rows[:f.Limit]
	}
	stats.RowsGiven = int64(len(rows))
	for n := 0; len(rows) > 0; n++ {
		some := rows[:min(len(rows), m.BatchRows)]
		rows = rows[len(some):]
		values := make([][]catalog.Value, len(some))
		for i := range some {
			values[i] = some[i].values
		}
		if err := give(columns, values, n, yield); err != nil {
			return stats, err
		}
	}
	return stats, ctx.Err()
}

// asks reports whether a filter looks at a column.
func asks(x *exec.Expr, column int) bool {
	if x == nil {
		return false
	}
	return len(x.Args) == 0 && x.Column == column || slices.ContainsFunc(x.Args, func(a *exec.Expr) bool { return asks(a, column) })
}

// withComputed are the fragment's columns with the computed ones behind them, and
// the functions that give those.
func (m *Model) withComputed(f *exec.Fragment) ([]exec.Column, []exec.Function, error) {
	columns := slices.Clone(f.Columns)
	var functions []exec.Function
	if len(f.Computed) > 0 && m.Functions == nil {
		return nil, nil, fmt.Errorf("%w: the model knows none", exec.ErrFunction)
	}
	for _, c := range f.Computed {
		function, err := m.Functions.Function(c.Function)
		if err != nil {
			return nil, nil, err
		}
		functions = append(functions, function)
		columns = append(columns, exec.Column{Source: exec.SourceProperty, Type: c.Type, Precision: c.Precision, Scale: c.Scale, Hidden: c.Hidden})
	}
	return columns, functions, nil
}

// order compares two values of a type; null comes first.
func order(t catalog.Type, a, b catalog.Value) int {
	aNull, bNull := a.Kind == catalog.KindNull, b.Kind == catalog.KindNull
	switch {
	case aNull || bNull:
		return cmp.Compare(truthOf(!aNull), truthOf(!bNull))
	case t == catalog.TypeDouble:
		return cmp.Compare(a.Double(), b.Double())
	case t == catalog.TypeInt, t == catalog.TypeDatetime:
		return cmp.Compare(a.Int(), b.Int())
	case t == catalog.TypeBool:
		return cmp.Compare(truthOf(a.Bool()), truthOf(b.Bool()))
	case t == catalog.TypeDecimal:
		return rational(a).Cmp(rational(b))
	}
	return strings.Compare(a.Text, b.Text)
}
