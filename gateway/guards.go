package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"
)

// refuse gives an error for a node that must not run: because the client may
// not, where the SQL library does not ask, or because it would be done wrongly.
func (x *executor) refuse(ctx *sql.Context, n sql.Node) error {
	if s := sessionOf(ctx); s != nil && writes(n) && lasts(n) {
		s.noteWrite()
	}
	switch n := n.(type) {
	case *plan.Set:
		return x.refuseSet(ctx, n)
	case *plan.Into:
		return refuseOutfile(n)
	case *plan.LoadData:
		if !n.Local {
			return notSupported("LOAD DATA INFILE reads on the server, which it may not; use LOAD DATA LOCAL INFILE")
		}
	case *plan.InsertInto:
		return x.refuseInsert(ctx, n)
	case *plan.Kill:
		return x.refuseKill(ctx, n)
	case *plan.CreateDB, *plan.CreateSchema, *plan.DropDB, *plan.DropSchema:
		return x.refuseDatabase(ctx, n)
	case *plan.GrantRole:
		return x.refuseGrantRole(n)
	case *plan.DropRole:
		return x.refuseDropRole(ctx, roleNames(n.Roles))
	case *plan.ShowGrants:
		return x.refuseShowGrants(ctx, n)
	case *plan.ResolvedTable:
		if s := sessionOf(ctx); s != nil {
			s.plans.read(n)
		}
		return x.refuseRead(ctx, n)
	}
	return nil
}

func notSupported(format string, args ...any) error {
	return mysql.NewSQLError(codeNotSupported, stateSyntax, format, args...)
}

// writes reports whether a node changes what is stored.
func writes(n sql.Node) bool {
	switch n.(type) {
	case *plan.InsertInto, *plan.DeleteFrom, *plan.Update, *plan.Truncate:
		return true
	}
	return false
}

// lasts reports whether what a node changes cannot be taken back: only mutable tables
// have transactions.
func lasts(n sql.Node) bool {
	mutable, lasting := false, false
	look := func(t sql.Table) {
		if isMutable(t) {
			mutable = true
		} else {
			lasting = true
		}
	}
	switch n := n.(type) {
	case *plan.DeleteFrom:
		for _, target := range n.GetDeleteTargets() {
			inspectTables(target, look)
		}
	case *plan.Update: // of a join perhaps; only mutable tables can be updated
		inspectTables(n.Child, look)
		return !mutable
	default:
		inspectTables(n, look)
	}
	return lasting
}

// has reports whether the client has a privilege on everything.
func (x *executor) has(ctx *sql.Context, p sql.PrivilegeType) bool {
	return x.db.UserHasPrivileges(ctx, sql.NewPrivilegedOperation(sql.PrivilegeCheckSubject{}, p))
}

// hasDynamic reports whether the client has one of MySQL's named privileges.
func (x *executor) hasDynamic(ctx *sql.Context, name string) bool {
	return x.db.UserHasPrivileges(ctx, sql.NewDynamicPrivilegedOperation(name))
}

// refuseSet lets only administrators change what is every session's.
func (x *executor) refuseSet(ctx *sql.Context, n *plan.Set) error {
	for _, e := range n.Exprs {
		set, ok := e.(*expression.SetField)
		if !ok {
			continue
		}
		v, ok := set.LeftChild.(*expression.SystemVar)
		if !ok || v.Scope == nil {
			continue
		}
		switch scope := v.Scope.(type) {
		case *sql.MysqlScope:
			switch scope.Type {
			case sql.SystemVariableScope_Persist, sql.SystemVariableScope_PersistOnly, sql.SystemVariableScope_ResetPersist:
				return notSupported("SET PERSIST is not supported: variables last as long as the server; set them at each start")
			case sql.SystemVariableScope_Global:
				if !x.has(ctx, sql.PrivilegeType_Super) && !x.hasDynamic(ctx, "system_variables_admin") {
					return mysql.NewSQLError(codeSpecificAccess, stateSyntax,
						"Access denied; you need (at least one of) the SUPER or SYSTEM_VARIABLES_ADMIN privilege(s) for this operation")
				}
			}
		}
	}
	return nil
}

// setsGlobal reports whether a SET changes a variable of all sessions.
func setsGlobal(n *plan.Set) bool {
	return slices.ContainsFunc(n.Exprs, func(e sql.Expression) bool {
		set, ok := e.(*expression.SetField)
		if !ok {
			return false
		}
		v, ok := set.LeftChild.(*expression.SystemVar)
		if !ok || v.Scope == nil {
			return false
		}
		scope, ok := v.Scope.(*sql.MysqlScope)
		return !ok || scope.Type == sql.SystemVariableScope_Global
	})
}

// refuseInsert refuses ON DUPLICATE KEY UPDATE where it cannot be, and where the
// client may not update.
func (x *executor) refuseInsert(ctx *sql.Context, n *plan.InsertInto) error {
	if n.OnDupExprs == nil || !n.OnDupExprs.HasUpdates() {
		return nil
	}
	table, database := insertTarget(n)
	if isEventsTable(table) {
		return notSupported("ON DUPLICATE KEY UPDATE is not possible on events: a second event with the same insert_id is kept as a duplicate and changes nothing; use plain INSERT, or REPLACE")
	}
	subject := sql.PrivilegeCheckSubject{Database: database, Table: table}
	if !x.db.UserHasPrivileges(ctx, sql.NewPrivilegedOperation(subject, sql.PrivilegeType_Update)) {
		return commandDenied(ctx, "UPDATE", table)
	}
	return nil
}

func insertTarget(n *plan.InsertInto) (table, database string) {
	if t, ok := n.Destination.(sql.Nameable); ok {
		table = strings.ToLower(t.Name())
	}
	if d := n.Database(); d != nil {
		database = d.Name()
	}
	return table, database
}

// refuseKill lets clients end their own statements, and administrators those of all.
func (x *executor) refuseKill(ctx *sql.Context, n *plan.Kill) error {
	for _, p := range ctx.ProcessList.Processes() {
		if p.Connection != n.ConnID {
			continue
		}
		if p.User == ctx.Session.Client().User || x.has(ctx, sql.PrivilegeType_Super) || x.hasDynamic(ctx, "connection_admin") {
			return nil
		}
		return mysql.NewSQLError(codeNotOwner, stateGeneral, "You are not owner of thread %d", n.ConnID)
	}
	return mysql.NewSQLError(codeUnknownThread, stateGeneral, "Unknown thread id: %d", n.ConnID)
}
