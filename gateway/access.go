package gateway

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// access is the SQL library's check of privileges, with MySQL's codes and words
// for what it denies.
type access struct{ sql.AuthorizationHandler }

// HandleAuth checks the privileges for a part of a statement.
func (a *access) HandleAuth(ctx *sql.Context, state sql.AuthorizationQueryState, auth sqlparser.AuthInformation) error {
	if auth.AuthType == sqlparser.AuthType_ALTER_USER {
		if err := a.alterUser(ctx, state, auth); err != nil {
			return err
		}
	}
	err := a.AuthorizationHandler.HandleAuth(ctx, state, auth)
	switch {
	case err == nil:
		return nil
	case sql.ErrDatabaseAccessDeniedForUser.Is(err):
		return databaseDenied(ctx, deniedDatabase(ctx, auth))
	case !sql.ErrTableAccessDeniedForUser.Is(err) && !sql.ErrPrivilegeCheckFailed.Is(err):
		return err
	}
	command := strings.ReplaceAll(auth.AuthType, "_", " ")
	switch auth.TargetType {
	case sqlparser.AuthTargetType_SingleTableIdentifier, sqlparser.AuthTargetType_TableColumn,
		sqlparser.AuthTargetType_MultipleTableIdentifiers:
		if len(auth.TargetNames) > 1 {
			return commandDenied(ctx, command, auth.TargetNames[1])
		}
	case sqlparser.AuthTargetType_DatabaseIdentifiers:
		return databaseDenied(ctx, deniedDatabase(ctx, auth))
	}
	return mysql.NewSQLError(codeSpecificAccess, stateSyntax,
		"Access denied; you need the %s privilege for this operation", command)
}

// alterUser lets users change their own account; the library would let them change every
// account of their name, at whatever host. Others need what CREATE USER needs.
func (a *access) alterUser(ctx *sql.Context, state sql.AuthorizationQueryState, auth sqlparser.AuthInformation) error {
	client := ctx.Session.Client()
	host := ""
	if len(auth.TargetNames) > 1 {
		host = auth.TargetNames[1]
	}
	if host == "" {
		host = "%"
	}
	if len(auth.TargetNames) > 0 && auth.TargetNames[0] == client.User && host == client.Address {
		return nil
	}
	if a.AuthorizationHandler.HandleAuth(ctx, state, sqlparser.AuthInformation{AuthType: sqlparser.AuthType_CREATE_USER, TargetType: sqlparser.AuthTargetType_Global}) == nil {
		return nil
	}
	return mysql.NewSQLError(codeSpecificAccess, stateSyntax, "Access denied; you need (at least one of) the CREATE USER privilege(s) for this operation")
}

// CheckDatabase checks whether the client may use a database at all.
func (a *access) CheckDatabase(ctx *sql.Context, state sql.AuthorizationQueryState, name string) error {
	err := a.AuthorizationHandler.CheckDatabase(ctx, state, name)
	if sql.ErrDatabaseAccessDeniedForUser.Is(err) {
		return databaseDenied(ctx, name)
	}
	return err
}

// CheckTable checks whether the client may use a table at all.
func (a *access) CheckTable(ctx *sql.Context, state sql.AuthorizationQueryState, database, schema, table string) error {
	err := a.AuthorizationHandler.CheckTable(ctx, state, database, schema, table)
	switch {
	case sql.ErrDatabaseAccessDeniedForUser.Is(err):
		return databaseDenied(ctx, database)
	case sql.ErrTableAccessDeniedForUser.Is(err):
		return commandDenied(ctx, "SELECT", table)
	}
	return err
}

// leaveAccess leaves it to the executor who may run a statement, for those that
// everyone may run in part: clients see and end what is their own. So it is with
// CREATE and DROP DATABASE, for which the library asks the wrong question.
func leaveAccess(s sqlparser.Statement) {
	switch s := s.(type) {
	case *sqlparser.Kill:
		s.Auth.AuthType = sqlparser.AuthType_IGNORE
	case *sqlparser.ShowGrants:
		s.Auth.AuthType = sqlparser.AuthType_IGNORE
	case *sqlparser.DBDDL:
		if s.Action != sqlparser.AlterStr {
			s.Auth.AuthType = sqlparser.AuthType_IGNORE
		}
	case *sqlparser.Show:
		if s.Auth.AuthType == sqlparser.AuthType_PROCESS {
			s.Auth.AuthType = sqlparser.AuthType_IGNORE
		}
	}
}

// ownGrants is SHOW GRANTS without FOR, which everyone may ask. The library lets
// only those see their privileges who may read all users.
func ownGrants(users sql.Database) sqlparser.Statement {
	return sqlparser.InjectedStatement{
		Auth:      sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Statement: grantsMark{users: users},
	}
}

// grantsMark makes the planned statement.
type grantsMark struct{ users sql.Database }

// String is the statement.
func (m grantsMark) String() string { return "SHOW GRANTS" }

// WithResolvedChildren plans it for the session's user.
func (m grantsMark) WithResolvedChildren(ctx context.Context, _ []any) (any, error) {
	c, ok := ctx.(*sql.Context)
	if !ok {
		return nil, sql.ErrInvalidType.New("context")
	}
	client := c.Session.Client()
	return &showGrants{ShowGrants: &plan.ShowGrants{CurrentUser: true, MySQLDb: m.users,
		For: &plan.UserName{Name: client.User, Host: client.Address, AnyHost: client.Address == "%"}}}, nil
}

// showGrants runs as the library's SHOW GRANTS.
type showGrants struct{ *plan.ShowGrants }

// RowIter is never called: the executor runs the library's statement.
func (s *showGrants) RowIter(*sql.Context, sql.Row) (sql.RowIter, error) {
	return sql.RowsToRowIter(), nil
}

func deniedDatabase(ctx *sql.Context, auth sqlparser.AuthInformation) string {
	if len(auth.TargetNames) > 0 && auth.TargetNames[0] != "" {
		return auth.TargetNames[0]
	}
	return ctx.GetCurrentDatabase()
}

// databaseDenied is MySQL's error 1044.
func databaseDenied(ctx *sql.Context, database string) error {
	c := ctx.Session.Client()
	return mysql.NewSQLError(mysql.ERDBAccessDenied, stateSyntax,
		"Access denied for user '%s'@'%s' to database '%s'", c.User, c.Address, database)
}

// commandDenied is MySQL's error 1142.
func commandDenied(ctx *sql.Context, command, table string) error {
	c := ctx.Session.Client()
	return mysql.NewSQLError(1142, stateSyntax,
		"%s command denied to user '%s'@'%s' for table '%s'", command, c.User, c.Address, table)
}
