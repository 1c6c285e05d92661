package audit

import (
	"context"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Table is the name of the table that Describe gives.
const Table = "audit"

var columns = []exec.TableColumn{
	{Name: "id", Type: catalog.TypeInt}, {Name: "at", Type: catalog.TypeDatetime}, {Name: "kind", Type: catalog.TypeString},
	{Name: "user", Type: catalog.TypeString}, {Name: "host", Type: catalog.TypeString}, {Name: "address", Type: catalog.TypeString},
	{Name: "via", Type: catalog.TypeString}, {Name: "connection", Type: catalog.TypeInt}, {Name: "project", Type: catalog.TypeString},
	{Name: "project_id", Type: catalog.TypeInt}, {Name: "statement", Type: catalog.TypeString}, {Name: "outcome", Type: catalog.TypeString},
	{Name: "code", Type: catalog.TypeInt},
}

// Describe gives what Read gives, as a table about the system. Without a trail it has no rows.
func (t *Trail) Describe(context.Context) (*exec.Table, error) {
	table := &exec.Table{Columns: columns}
	if t == nil {
		return table, nil
	}
	records, err := t.Read()
	if err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		table.Rows = append(table.Rows, []catalog.Value{
			catalog.Int(int64(r.ID)), catalog.Int(r.At.UnixMicro()), text(r.Kind), text(r.User), text(r.Host), text(r.Address),
			text(r.Via), number(int64(r.Connection)), text(r.Project), number(int64(r.ProjectID)), text(r.Statement), text(r.Outcome), number(int64(r.Code)),
		})
	}
	return table, nil
}

func text(s string) catalog.Value {
	if s == "" {
		return catalog.Null
	}
	return catalog.String(s)
}

func number(n int64) catalog.Value {
	if n == 0 {
		return catalog.Null
	}
	return catalog.Int(n)
}
