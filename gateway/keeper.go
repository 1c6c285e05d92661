package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Keeper keeps copies of what is stored elsewhere. main plugs it in, so that the
// gateway touches no file and no store.
type Keeper interface {
	// Backup makes a copy now, and gives a row for each place: store, backup,
	// objects and bytes that were sent, ok, and what went wrong if anything did.
	Backup(ctx context.Context) (*exec.Table, error)
	// Copies gives, for each of the shards and each store, the newest backup that has the
	// shard whole. Stores that have none, or do not answer, are left out.
	Copies(ctx context.Context, shards []catalog.ShardKey) map[catalog.ShardKey][]Copy
}

// Copy is a copy of a shard in a backup.
type Copy struct {
	Store, Backup string
	Events        int64
	// ReplayFrom is from when on a siphon has to replay what came later.
	ReplayFrom time.Time
}

var backupSchema = answerSchema(
	systemColumn{"store", stringType, ""}, systemColumn{"backup", stringType, ""}, systemColumn{"objects", countType, ""},
	systemColumn{"bytes", countType, ""}, systemColumn{"ok", flagType, ""}, systemColumn{"problem", stringType, ""})

func (g *Gateway) callBackup(ctx *sql.Context) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return nil, err
	}
	if g.keeper == nil {
		return nil, refuse(erWrongArguments, "HY000", "the server was not told where backups go: start it with --backup-to URL")
	}
	made, err := g.keeper.Backup(ctx)
	if err != nil {
		return nil, err
	}
	return tableAnswer(made, backupSchema)
}

// tableAnswer gives a described table's rows by the names of an answer's columns.
func tableAnswer(t *exec.Table, schema sql.Schema) (sql.RowIter, error) {
	places := columnPlaces(t)
	var rows []sql.Row
	for _, values := range t.Rows {
		row := make(sql.Row, len(schema))
		for i, c := range schema {
			at, ok := places[c.Name]
			if !ok {
				continue
			}
			var err error
			if row[i], err = systemValue(values[at], t.Columns[at].Type, c.Type); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.Name, err)
			}
		}
		rows = append(rows, row)
	}
	return sql.RowsToRowIter(rows...), nil
}
