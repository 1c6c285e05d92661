package torture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/engine/exec"
)

// tableLines gives some columns of a system table as sorted lines.
func tableLines(ctx context.Context, d describer, table, columns string) ([]string, error) {
	rows, err := tableRows(ctx, d, table, columns)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(columns)
	var lines []string
	for _, row := range rows {
		var line []string
		for i, v := range row {
			line = append(line, names[i]+"="+string(v.AppendJSON(nil)))
		}
		lines = append(lines, strings.Join(line, " "))
	}
	slices.Sort(lines)
	return lines, nil
}

func tableRows(ctx context.Context, d describer, table, columns string) ([][]catalog.Value, error) {
	t, err := d.Describe(ctx, table)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", table, err)
	}
	rows, err := pick(t, columns)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", table, err)
	}
	return rows, nil
}

// pick takes columns by name.
func pick(t *exec.Table, columns string) ([][]catalog.Value, error) {
	var at []int
	for _, name := range strings.Fields(columns) {
		i := slices.IndexFunc(t.Columns, func(c exec.TableColumn) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no column %s", name)
		}
		at = append(at, i)
	}
	var rows [][]catalog.Value
	for n, row := range t.Rows {
		if len(row) != len(t.Columns) {
			return nil, fmt.Errorf("row %d has %d values for %d columns", n, len(row), len(t.Columns))
		}
		var picked []catalog.Value
		for _, i := range at {
			picked = append(picked, row[i])
		}
		rows = append(rows, picked)
	}
	return rows, nil
}

func parseDay(s string) (catalog.Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("day %q: %w", s, err)
	}
	return catalog.DayOf(t.UnixMicro()), nil
}
