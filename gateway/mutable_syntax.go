package gateway

import (
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// checkRename refuses to rename a table of a database that is not the session's: the
// library would take the session's for it. It refuses indexes of events, too, of which the
// library would first say what is wrong with their columns.
func (r *rewriter) checkRename(statement sqlparser.Statement) error {
	if alter, ok := statement.(*sqlparser.AlterTable); ok {
		for _, ddl := range alter.Statements {
			if s := ddl.IndexSpec; s != nil && s.Type != sqlparser.PrimaryStr && isEventsTable(alter.Table.Name.String()) {
				return refuseIndex()
			}
			if len(ddl.ToTables) == 0 {
				continue
			}
			ddl := *ddl
			ddl.FromTables = sqlparser.TableNames{alter.Table}
			if err := r.checkRename(&ddl); err != nil {
				return err
			}
		}
		return nil
	}
	ddl, ok := statement.(*sqlparser.DDL)
	if !ok || ddl.Action != sqlparser.RenameStr {
		return nil
	}
	for _, names := range []sqlparser.TableNames{ddl.FromTables, ddl.ToTables} {
		for _, name := range names {
			if database := name.DbQualifier.String(); database != "" && database != r.database {
				return unsupported("RENAME TABLE %s.%s: a table is renamed in the session's database; USE %s first", database, name.Name.String(), database)
			}
		}
	}
	return nil
}

// everyRow is a LIMIT that no table reaches.
const everyRow = "9223372036854775807"

// boundDelete keeps the library from making a TRUNCATE of a DELETE of all rows of a
// mutable table: it would look for the table in the session's database.
func boundDelete(d *sqlparser.Delete) {
	if d.Where != nil || d.Limit != nil || len(d.OrderBy) > 0 || len(d.Targets) > 0 || len(d.TableExprs) != 1 {
		return
	}
	t, ok := d.TableExprs[0].(*sqlparser.AliasedTableExpr)
	if !ok {
		return
	}
	if name, ok := t.Expr.(sqlparser.TableName); ok && !isEventsTable(name.Name.String()) {
		d.Limit = &sqlparser.Limit{Rowcount: sqlparser.NewIntVal([]byte(everyRow))}
	}
}
