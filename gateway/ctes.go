package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// The parser decides while it reads a statement which tables need a privilege.
// With WITH it decides wrongly: it lets everyone have a table, to read and to
// write, as soon as a common table expression bears the table's name or its
// database's. And it asks for a privilege where the recursive part of a common
// table expression names that itself.
//
// So the parsed statement is changed: names with a database are tables' (but see
// shadowed), what is written is a table, and what a recursive part reads of
// itself is none. As a second lock, no table's rows are read by who may not.

// correctAccess makes one node ask for the privileges that it needs. It is
// called for a node before those that the node holds.
func correctAccess(n any) {
	switch n := n.(type) {
	case *sqlparser.Insert:
		if n.Auth.AuthType == sqlparser.AuthType_IGNORE {
			n.Auth.AuthType = sqlparser.AuthType_INSERT
			if n.Action == sqlparser.ReplaceStr {
				n.Auth.AuthType = sqlparser.AuthType_REPLACE
			}
		}
	case *sqlparser.Delete:
		if n.With != nil {
			askAgain(n.TableExprs, sqlparser.AuthType_DELETE)
			askAgain(n, sqlparser.AuthType_SELECT)
		}
	case *sqlparser.Update:
		if n.With != nil {
			askAgain(n.TableExprs, sqlparser.AuthType_UPDATE)
			askAgain(n, sqlparser.AuthType_SELECT)
		}
	case *sqlparser.AliasedTableExpr:
		if name, ok := n.Expr.(sqlparser.TableName); ok && !name.DbQualifier.IsEmpty() {
			ask(n, name, sqlparser.AuthType_SELECT)
		}
	case *sqlparser.With:
		if !n.Recursive {
			return
		}
		for _, cte := range n.Ctes {
			if query, ok := cte.Expr.(*sqlparser.Subquery); ok {
				excuseRecursion(cte.As.String(), query.Select)
			}
		}
	}
}

// ask makes a table that needs no privilege need one.
func ask(t *sqlparser.AliasedTableExpr, name sqlparser.TableName, privilege string) {
	if t.Auth.AuthType == sqlparser.AuthType_IGNORE {
		t.Auth = sqlparser.AuthInformation{AuthType: privilege, TargetType: sqlparser.AuthTargetType_SingleTableIdentifier,
			TargetNames: []string{name.DbQualifier.String(), name.Name.String()}}
	}
}

// askAgain does so for all tables of a part of a statement that changes tables:
// the planner takes no notice of its WITH.
func askAgain(part sqlparser.SQLNode, privilege string) {
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if t, ok := n.(*sqlparser.AliasedTableExpr); ok {
			if name, ok := t.Expr.(sqlparser.TableName); ok {
				ask(t, name, privilege)
			}
		}
		return true, nil
	}, part)
}

// excuseRecursion lets the recursive part of a common table expression read it.
// Which part that is, the planner finds in the same way.
func excuseRecursion(name string, query sqlparser.SelectStatement) {
	union, ok := query.(*sqlparser.SetOp)
	if !ok {
		return
	}
	recursive := false
	var own []*sqlparser.AliasedTableExpr
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if t, ok := n.(*sqlparser.AliasedTableExpr); ok {
			if table, ok := t.Expr.(sqlparser.TableName); ok && strings.EqualFold(table.Name.String(), name) {
				recursive = true
				if table.DbQualifier.IsEmpty() {
					own = append(own, t)
				}
			}
		}
		return true, nil
	}, union.Right)
	if !recursive {
		return
	}
	for _, t := range own {
		t.Auth.AuthType = sqlparser.AuthType_IGNORE
	}
	excuseRecursion(name, union.Left)
}

// refuseRead refuses to read a table without a privilege for its rows.
func (x *executor) refuseRead(ctx *sql.Context, n *plan.ResolvedTable) error {
	database := ""
	if d := n.Database(); d != nil {
		database = d.Name()
	}
	if database == "" || database == sql.InformationSchemaDatabaseName || n.Name() == plan.DualTableName {
		return nil
	}
	subject := sql.PrivilegeCheckSubject{Database: database, Table: n.Name()}
	for _, p := range []sql.PrivilegeType{sql.PrivilegeType_Select, sql.PrivilegeType_Delete, sql.PrivilegeType_Update} {
		if x.db.UserHasPrivileges(ctx, sql.NewPrivilegedOperation(subject, p)) {
			return nil
		}
	}
	return commandDenied(ctx, "SELECT", n.Name())
}
