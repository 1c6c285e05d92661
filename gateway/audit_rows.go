package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
)

// auditColumns are those of arbor.audit.
var auditColumns = []systemColumn{
	{"id", countType, "the record's number, of its member"},
	{"at", datetimeType, "when"},
	{"kind", kindType, "login, user, role, ddl, setting, call, token, erasure, delete, export, admin, or syntax, which could not be parsed; gap where lines of the trail are missing or changed"},
	{"user", nameType, "who: the account's name"},
	{"host", nameType, "the account's host"},
	{"address", nameType, "the client's address"},
	{"via", kindType, "mysql or http"},
	{"connection", countType, "the connection's number"},
	{"project", nameType, "the one project that it is about; NULL for none or several"},
	{"statement", textType, "what was asked, without passwords, and without values of data"},
	{"outcome", kindType, "ok, failed, or unknown: it runs, or the server ended before it did"},
	{"code", types.Int32, "the error's code; NULL without one"},
	{"member", nameType, "whose record it is; NULL for a server that is alone"},
}

// auditRows are the rows of arbor.audit: all for those who may administer everything,
// those about a project for those who may administer that.
func auditRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	if g.audit == nil {
		return nil, nil
	}
	described, err := g.cluster.Describe(ctx, "audit")
	if err != nil {
		return nil, err
	}
	places := columnPlaces(described)
	project := places["project_id"]
	c := g.catalogFor(ctx)
	all := mayAdminister(ctx, "")
	var rows []sql.Row
	for _, values := range described.Rows {
		if !all {
			p, ok := c.ProjectByID(catalog.ProjectID(values[project].Int()))
			if values[project].Kind != catalog.KindInt || !ok || !mayAdminister(ctx, p.Name) {
				continue
			}
		}
		row := make(sql.Row, len(auditColumns))
		for i, column := range auditColumns {
			at, ok := places[column.name]
			if !ok {
				continue
			}
			if row[i], err = systemValue(values[at], described.Columns[at].Type, column.sqlType); err != nil {
				return nil, err
			}
			if n, ok := row[i].(int64); ok && column.sqlType == types.Int32 {
				row[i] = int32(n)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}
