package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"
)

// refuseDatabase refuses to make or drop a database that the client may
// not. The SQL library looks at the session's database, where the statement may
// name another.
func (x *executor) refuseDatabase(ctx *sql.Context, n sql.Node) error {
	switch n := n.(type) {
	case *plan.CreateDB:
		return x.requireOn(ctx, n.DbName, sql.PrivilegeType_Create)
	case *plan.CreateSchema:
		return x.requireOn(ctx, n.DbName, sql.PrivilegeType_Create)
	case *plan.DropDB:
		return x.refuseDrop(ctx, n)
	case *plan.DropSchema:
		return x.refuseDrop(ctx, n.DropDB)
	}
	return nil
}

// requireOn requires a privilege in a database, whatever the session's is.
func (x *executor) requireOn(ctx *sql.Context, database string, p sql.PrivilegeType) error {
	subject := sql.PrivilegeCheckSubject{Database: database}
	if x.db.UserHasPrivileges(ctx, sql.NewPrivilegedOperation(subject, p)) {
		return nil
	}
	return databaseDenied(ctx, database)
}

func (x *executor) refuseDrop(ctx *sql.Context, n *plan.DropDB) error {
	if err := x.requireOn(ctx, n.DbName, sql.PrivilegeType_Drop); err != nil {
		return err
	}
	if strings.EqualFold(n.DbName, "mysql") || strings.EqualFold(n.DbName, sql.InformationSchemaDatabaseName) {
		return databaseDenied(ctx, n.DbName)
	}
	if n.IfExists {
		return nil
	}
	if _, err := n.Catalog.Database(ctx, n.DbName); sql.ErrDatabaseNotFound.Is(err) {
		return mysql.NewSQLError(mysql.ERDbDropExists, stateGeneral, "Can't drop database '%s'; database doesn't exist", n.DbName)
	}
	return nil
}

// refuseShowGrants lets clients see the privileges of others only if they may
// read the tables where these are.
func (x *executor) refuseShowGrants(ctx *sql.Context, n *plan.ShowGrants) error {
	if len(n.Using) > 0 {
		return notSupported("SHOW GRANTS … USING is not supported; SHOW GRANTS FOR the role shows what it gives")
	}
	client := ctx.Session.Client()
	if n.For == nil || n.CurrentUser {
		return nil
	}
	rd := x.db.Reader()
	self := x.db.GetUser(rd, client.User, client.Address, false)
	rd.Close()
	if self != nil && isAccount(self, n.For) {
		return nil
	}
	return x.requireOn(ctx, "mysql", sql.PrivilegeType_Select)
}

func isAccount(u *mysql_db.User, name *plan.UserName) bool {
	return u.User == name.Name && (u.Host == name.Host || name.AnyHost && u.Host == "%")
}
