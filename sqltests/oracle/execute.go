package oracle

import (
	"context"
	"slices"

	"arbor/engine/exec"
)

// Execute gives the answer of a fragment with a group or an order, as
// cluster.Local does: it scans what the fragment reads, and filters and groups or
// sorts it in one place.
func (m *Model) Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	if f.Group == nil {
		return m.sort(ctx, f, yield)
	}
	plan, err := exec.NewPlan(f, exec.Options{Functions: m.Functions})
	if err != nil {
		return exec.ScanStats{}, err
	}
	g, err := exec.NewGrouper(plan)
	if err != nil {
		return exec.ScanStats{}, err
	}
	rows := *f
	rows.Group, rows.Order, rows.Limit, rows.Filter, rows.Computed = nil, nil, 0, nil, nil
	rows.Columns = slices.Clone(f.Columns)
	for i := range rows.Columns {
		rows.Columns[i].Hidden = false
	}
	filter, r := plan.NewFilter(), exec.NewRows(plan)
	stats, err := m.Scan(ctx, &rows, func(b *exec.Batch) error { return g.AddBatch(r, filter, b) })
	if err != nil {
		return stats, err
	}
	return stats, g.Answer(yield)
}
