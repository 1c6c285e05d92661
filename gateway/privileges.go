package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
)

// privilegesOf are the session's privileges, nil where users are not checked at
// all. A statement of a checked user never gets here before they were loaded.
func privilegesOf(ctx *sql.Context) sql.PrivilegeSet {
	set, _ := ctx.GetPrivilegeSet()
	return set
}

// sees reports whether the user may know of a database: by any privilege in it,
// or any global one.
func sees(ctx *sql.Context, database string) bool {
	set := privilegesOf(ctx)
	return set == nil || set.Count() > 0 || set.Database(database).HasPrivileges()
}

// may reports whether the user has a privilege in a database, or globally.
func may(ctx *sql.Context, database string, privilege sql.PrivilegeType) bool {
	set := privilegesOf(ctx)
	return set == nil || set.Has(sql.PrivilegeType_Super) || set.Has(privilege) ||
		database != "" && set.Database(database).Has(privilege)
}

// mayAdminister reports whether the user may see a project's token and secret
// and change them: SUPER, or GRANT OPTION in its database.
func mayAdminister(ctx *sql.Context, database string) bool {
	return may(ctx, database, sql.PrivilegeType_GrantOption)
}

// requirePrivilege refuses a procedure to who lacks a privilege.
func requirePrivilege(ctx *sql.Context, database string, privilege sql.PrivilegeType) error {
	if may(ctx, database, privilege) {
		return nil
	}
	where := "*.*"
	if database != "" {
		where = "`" + database + "`.*"
	}
	return refuse(erSpecificDenied, "42000", "Access denied; you need the %s privilege on %s for this operation", privilege, where)
}
