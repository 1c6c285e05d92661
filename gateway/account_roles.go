package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"
)

// Roles. The SQL library keeps them, and counts all that a user was granted, as MySQL
// does with activate_all_roles_on_login. SET ROLE makes that fewer for a session: the
// session then gives the library a set of privileges that has only those.

// roleName is a role's account.
type roleName struct{ name, host string }

// activeRoles are the roles that count in a session: those of only, or all but those.
type activeRoles struct {
	only   map[roleName]bool
	except bool
	users  *mysql_db.MySQLDb
	// set is the privileges with them, made when the privileges had the number at.
	set sql.PrivilegeSet
	at  uint64
}

// counts reports whether a role counts.
func (a *activeRoles) counts(r roleName) bool { return a == nil || a.only[r] != a.except }

// rolesOf are the roles that a session's user was granted, in their order.
func rolesOf(rd *mysql_db.Reader, u *mysql_db.User) (roles []roleName) {
	for _, edge := range rd.GetToUserRoleEdges(mysql_db.RoleEdgesToKey{ToHost: u.Host, ToUser: u.User}) {
		roles = append(roles, roleName{edge.FromUser, edge.FromHost})
	}
	slices.SortFunc(roles, func(a, b roleName) int {
		return strings.Compare(a.name+"\x00"+a.host, b.name+"\x00"+b.host)
	})
	return roles
}

// setRoles makes roles, nil for all, the ones that count in the session.
func setRoles(ctx *sql.Context, users *mysql_db.MySQLDb, roles *activeRoles) error {
	s := sessionOf(ctx)
	if s == nil {
		return notSupported("SET ROLE is not possible here")
	}
	if roles != nil {
		client := ctx.Session.Client()
		rd := users.Reader()
		defer rd.Close()
		u := users.GetUser(rd, client.User, client.Address, false)
		var granted []roleName
		if u != nil {
			granted = rolesOf(rd, u)
		}
		for r := range roles.only {
			if !roles.except && !slices.Contains(granted, r) {
				return mysql.NewSQLError(codeRoleNotGranted, stateGeneral, "`%s`@`%s` is not granted to `%s`@`%s`", r.name, r.host, client.User, client.Address)
			}
		}
		roles.users = users
	}
	s.roles = roles
	s.SetPrivilegeSet(nil, 0)
	if s.plans != nil {
		s.plans.forget()
	}
	return nil
}

// codeRoleNotGranted is MySQL's ER_ROLE_NOT_GRANTED.
const codeRoleNotGranted = 3530

// GetPrivilegeSet gives the privileges that the library keeps in the session, with the
// roles that count. It is called without the library's lock.
func (s *session) GetPrivilegeSet() (sql.PrivilegeSet, uint64) {
	all, at := s.BaseSession.GetPrivilegeSet()
	if s.roles == nil || at == 0 {
		return all, at
	}
	if s.roles.set == nil || s.roles.at != at {
		s.roles.set, s.roles.at = s.roles.privileges(s.Client()), at
	}
	return s.roles.set, at
}

// privileges are those of a client with the roles that count.
func (a *activeRoles) privileges(client sql.Client) sql.PrivilegeSet {
	rd := a.users.Reader()
	defer rd.Close()
	u := a.users.GetUser(rd, client.User, client.Address, false)
	if u == nil {
		return mysql_db.NewPrivilegeSet()
	}
	set := u.PrivilegeSet.Copy()
	for _, r := range rolesOf(rd, u) {
		if role := a.users.GetUser(rd, r.name, r.host, true); role != nil && a.counts(r) {
			set.UnionWith(role.PrivilegeSet)
		}
	}
	return set
}

// prime has the library number the privileges before a statement asks for them: the first
// that asks after a change gets them with all roles.
func (gr *grants) prime(ctx *sql.Context) {
	if s := sessionOf(ctx); s != nil && s.roles != nil {
		gr.db.UserActivePrivilegeSet(ctx)
	}
}

// currentRole is CURRENT_ROLE().
func currentRole(ctx *sql.Context, _ []sql.Expression, _ []any) (any, error) {
	s := sessionOf(ctx)
	if s == nil || s.users == nil {
		return "NONE", nil
	}
	client := ctx.Session.Client()
	rd := s.users.Reader()
	defer rd.Close()
	var names []string
	if u := s.users.GetUser(rd, client.User, client.Address, false); u != nil {
		for _, r := range rolesOf(rd, u) {
			if s.roles.counts(r) {
				names = append(names, "`"+r.name+"`@`"+r.host+"`")
			}
		}
	}
	if len(names) == 0 {
		return "NONE", nil
	}
	return strings.Join(names, ","), nil
}

// roleNames are names as the library plans them.
func roleNames(names []plan.UserName) (roles []roleName) {
	for _, n := range names {
		r := roleName{n.Name, n.Host}
		if n.AnyHost {
			r.host = "%"
		}
		roles = append(roles, r)
	}
	return roles
}

// refuseDropRole keeps those who may drop roles from dropping users.
func (x *executor) refuseDropRole(ctx *sql.Context, roles []roleName) error {
	rd := x.db.Reader()
	defer rd.Close()
	for _, r := range roles {
		if u, ok := rd.GetUser(mysql_db.UserPrimaryKey{Host: r.host, User: r.name}); ok && !u.IsRole {
			return mysql.NewSQLError(1396, stateGeneral, "Operation DROP ROLE failed for '%s'@'%s': it is a user; DROP USER drops it", r.name, r.host)
		}
	}
	return nil
}

// refuseGrantRole keeps roles from being granted to roles: the library would note it, and
// it would give nobody anything.
func (x *executor) refuseGrantRole(n *plan.GrantRole) error {
	rd := x.db.Reader()
	defer rd.Close()
	for _, to := range roleNames(n.TargetUsers) {
		if u := x.db.GetUser(rd, to.name, to.host, true); u != nil && u.IsRole {
			return notSupported("a role cannot be granted to a role, which '%s'@'%s' is; grant it to the users", to.name, to.host)
		}
	}
	return nil
}
