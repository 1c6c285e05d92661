package gateway

import (
	"bytes"
	"context"
	"fmt"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/tables"
)

// userColumn is the column by which a row of a mutable table is a user's, in whatever
// table of a project: people has it, and so has every table that is joined with events
// as they are.
const userColumn = "distinct_id"

// rowReader removes the rows of erased users for the cluster.
type rowReader struct{ gateway *Gateway }

var _ cluster.RowReader = rowReader{}

// RemoveRows removes rows of the users that of suppresses.
func (r rowReader) RemoveRows(ctx context.Context, draft *tables.Draft, project catalog.ProjectID, of *catalog.Suppression, most int) (rows int, more bool, err error) {
	sctx := sql.NewContext(ctx, sql.WithSession(withVariables(sql.NewBaseSession)))
	var searched []*tables.Table
	for _, t := range draft.All(uint32(project)) {
		shape, err := r.gateway.shapes.shape(t.Definition)
		if err != nil {
			return 0, false, fmt.Errorf("table %s: %w", t.Name, err)
		}
		column := shape.named(userColumn)
		if column < 0 {
			continue
		}
		searched = append(searched, t)
		e := &mutableEditor{table: &mutableTable{gateway: r.gateway, id: t.ID, name: t.Name, shape: shape}, draft: draft, shape: shape}
		removed, left, err := e.removeUsers(sctx, t, column, of, most-rows)
		if err != nil {
			return 0, false, fmt.Errorf("table %s: %w", t.Name, err)
		}
		if rows += removed; left {
			return rows, true, nil
		}
	}
	for _, t := range searched {
		if err := draft.Define(t.ID, t.Name, t.Definition); err != nil {
			return 0, false, err
		}
	}
	return rows, false, nil
}

// removeUsers removes rows whose column names a user that of suppresses.
func (e *mutableEditor) removeUsers(ctx *sql.Context, t *tables.Table, column int, of *catalog.Suppression, most int) (rows int, more bool, err error) {
	wanted := make([]bool, len(e.shape.Columns))
	wanted[column] = true
	for key, value := range t.Seek([]byte{rowPrefix}) {
		if rows%checkEvery == 0 && ctx.Err() != nil {
			return rows, true, ctx.Err()
		}
		row, err := e.shape.readRow(value, wanted)
		if err != nil {
			return rows, true, err
		}
		user, ok, err := userOfRow(ctx, row[column])
		if err != nil {
			return rows, true, err
		}
		if !ok || of.UpTo(user).IsZero() {
			continue
		}
		if rows == most {
			return rows, true, nil
		}
		if row, err = e.shape.readRow(value, nil); err != nil {
			return rows, true, err
		}
		if err := e.remove(ctx, bytes.Clone(key), row); err != nil {
			return rows, true, err
		}
		rows++
	}
	return rows, false, nil
}

// userOfRow is the text of a column that names a user.
func userOfRow(ctx *sql.Context, v any) (user string, ok bool, err error) {
	switch v := v.(type) {
	case nil:
		return "", false, nil
	case string:
		return v, true, nil
	case []byte:
		return string(v), true, nil
	}
	text, _, err := types.LongText.Convert(ctx, v)
	if err != nil {
		return "", false, err
	}
	user, ok = text.(string)
	return user, ok, nil
}

// suppressedProfile reports whether an update that was taken in under an id is of a user
// who was erased since. A replay's comes back with the id that it had.
func (g *Gateway) suppressedProfile(of []*catalog.Project, id catalog.IngestID, user string) bool {
	c := g.cluster.Catalog()
	for _, p := range of {
		s := c.Suppressed(p.ID, p.Shard(0, user, "").Bucket)
		if s != nil && id.Compare(s.UpTo(user)) <= 0 {
			return true
		}
	}
	return false
}
