package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"
)

// Roles. The SQL library keeps them, and counts those that a user was granted, but not
// what those were granted. Here a session has a set of privileges of its own: of the roles
// that count, and of all roles that they have. At log-in those count that SET DEFAULT ROLE
// named, or else all, as in MySQL with activate_all_roles_on_login; SET ROLE changes it.

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

// allRoles are all that a user has.
func allRoles(users *mysql_db.MySQLDb) *activeRoles { return &activeRoles{except: true, users: users} }

// rolesAtLogin are those that count when a client's session begins.
func rolesAtLogin(users *mysql_db.MySQLDb, client sql.Client) *activeRoles {
	rd := users.Reader()
	defer rd.Close()
	u := users.GetUser(rd, client.User, client.Address, false)
	if u == nil {
		return allRoles(users)
	}
	names, chosen := defaultRoles(u)
	if !chosen {
		return allRoles(users)
	}
	a := &activeRoles{only: make(map[roleName]bool), users: users}
	for _, n := range names {
		a.only[n] = true
	}
	return a
}

// activeRoles are those that count in the session; nil where users are not known.
func (s *session) activeRoles() *activeRoles {
	if s.roles == nil && s.users != nil {
		s.roles = rolesAtLogin(s.users, s.Client())
	}
	return s.roles
}

// rolesOf are the roles that a user was granted, in their order.
func rolesOf(rd *mysql_db.Reader, u *mysql_db.User) (roles []roleName) {
	for _, edge := range rd.GetToUserRoleEdges(mysql_db.RoleEdgesToKey{ToHost: u.Host, ToUser: u.User}) {
		roles = append(roles, roleName{edge.FromUser, edge.FromHost})
	}
	slices.SortFunc(roles, func(a, b roleName) int {
		return strings.Compare(a.name+"\x00"+a.host, b.name+"\x00"+b.host)
	})
	return roles
}

// setRoles makes roles, nil for those at log-in, the ones that count in the session.
func setRoles(ctx *sql.Context, users *mysql_db.MySQLDb, roles *activeRoles) error {
	s := sessionOf(ctx)
	if s == nil {
		return notSupported("SET ROLE is not possible here")
	}
	client := ctx.Session.Client()
	if roles == nil {
		roles = rolesAtLogin(users, client)
	} else {
		rd := users.Reader()
		defer rd.Close()
		u := users.GetUser(rd, client.User, client.Address, false)
		var granted []roleName
		if u != nil {
			granted = rolesOf(rd, u)
		}
		for r := range roles.only {
			if !roles.except && !slices.Contains(granted, r) {
				return notGranted(r, roleName{client.User, client.Address})
			}
		}
		roles = &activeRoles{only: roles.only, except: roles.except, users: users}
	}
	s.roles = roles
	s.SetPrivilegeSet(nil, 0)
	if s.plans != nil {
		s.plans.forget()
	}
	return nil
}

func (r roleName) String() string { return "`" + r.name + "`@`" + r.host + "`" }

func notGranted(r, to roleName) error {
	return mysql.NewSQLError(codeRoleNotGranted, stateGeneral, "%s is not granted to %s", r, to)
}

// codeRoleNotGranted is MySQL's ER_ROLE_NOT_GRANTED.
const codeRoleNotGranted = 3530

// GetPrivilegeSet gives the privileges that the library keeps in the session, with the
// roles that count. It is called without the library's lock.
func (s *session) GetPrivilegeSet() (sql.PrivilegeSet, uint64) {
	all, at := s.BaseSession.GetPrivilegeSet()
	roles := s.activeRoles()
	if roles == nil || at == 0 {
		return all, at
	}
	if roles.set == nil || roles.at != at {
		roles.set, roles.at = roles.privileges(s.Client()), at
	}
	return roles.set, at
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
	var counting []roleName
	for _, r := range rolesOf(rd, u) {
		if a.counts(r) {
			counting = append(counting, r)
		}
	}
	for _, role := range withGranted(rd, a.users, counting) {
		set.UnionWith(role.PrivilegeSet)
	}
	return set
}

// withGranted are roles, and all that they were granted, and so on, each once.
func withGranted(rd *mysql_db.Reader, users *mysql_db.MySQLDb, roles []roleName) (all []*mysql_db.User) {
	seen := make(map[roleName]bool)
	for len(roles) > 0 {
		r := roles[0]
		roles = roles[1:]
		role := users.GetUser(rd, r.name, r.host, true)
		if role == nil || seen[r] {
			continue
		}
		seen[r] = true
		all = append(all, role)
		roles = append(roles, rolesOf(rd, role)...)
	}
	return all
}

// prime has the library number the privileges before a statement asks for them: the first
// that asks after a change gets them with all roles.
func (gr *grants) prime(ctx *sql.Context) {
	if s := sessionOf(ctx); s != nil && s.users != nil {
		gr.db.UserActivePrivilegeSet(ctx)
	}
}

// currentRole is CURRENT_ROLE().
func currentRole(ctx *sql.Context, _ []sql.Expression, _ []any) (any, error) {
	s := sessionOf(ctx)
	if s == nil || s.users == nil {
		return "NONE", nil
	}
	client, roles := ctx.Session.Client(), s.activeRoles()
	rd := s.users.Reader()
	defer rd.Close()
	var names []string
	if u := s.users.GetUser(rd, client.User, client.Address, false); u != nil {
		for _, r := range rolesOf(rd, u) {
			if roles.counts(r) {
				names = append(names, r.String())
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

// refuseGrantRole keeps a role from being granted to itself, by way of others or not.
func (x *executor) refuseGrantRole(n *plan.GrantRole) error {
	rd := x.db.Reader()
	defer rd.Close()
	granted := roleNames(n.Roles)
	for _, to := range roleNames(n.TargetUsers) {
		u := x.db.GetUser(rd, to.name, to.host, true)
		if u == nil || !u.IsRole {
			continue
		}
		for _, r := range granted {
			for _, has := range withGranted(rd, x.db, []roleName{r}) {
				if has.User == u.User && has.Host == u.Host {
					return mysql.NewSQLError(codeRoleOfItself, stateGeneral, "User account %s is directly or indirectly granted to the role %s", to, r)
				}
			}
		}
	}
	return nil
}

// codeRoleOfItself is MySQL's ER_ROLE_GRANTED_TO_ITSELF.
const codeRoleOfItself = 4027
