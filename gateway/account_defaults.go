package gateway

import (
	"encoding/json"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// The default roles of a user, those that count at log-in. The SQL library keeps none, but
// it keeps a user's attributes, a JSON object, of which they are a member.

// defaultRolesKey is the name of that member, a list of pairs of a name and a host. Without
// it all roles of the user count.
const defaultRolesKey = "arbor_default_roles"

// defaultRoles are a user's; not ok where none were chosen.
func defaultRoles(u *mysql_db.User) (roles []roleName, ok bool) {
	if u.Attributes == nil {
		return nil, false
	}
	var attributes map[string]json.RawMessage
	if err := json.Unmarshal([]byte(*u.Attributes), &attributes); err != nil {
		return nil, false
	}
	text, ok := attributes[defaultRolesKey]
	if !ok {
		return nil, false
	}
	var pairs [][2]string
	if err := json.Unmarshal(text, &pairs); err != nil {
		return nil, true // what cannot be read gives no role
	}
	for _, p := range pairs {
		roles = append(roles, roleName{p[0], p[1]})
	}
	return roles, true
}

// attributesWith are a user's attributes with other default roles, all of them for nil.
func attributesWith(u *mysql_db.User, roles *[]roleName) (*string, error) {
	attributes := make(map[string]json.RawMessage)
	if u.Attributes != nil {
		if err := json.Unmarshal([]byte(*u.Attributes), &attributes); err != nil {
			return nil, err
		}
	}
	delete(attributes, defaultRolesKey)
	if roles != nil {
		pairs := make([][2]string, 0, len(*roles))
		for _, r := range *roles {
			pairs = append(pairs, [2]string{r.name, r.host})
		}
		text, err := json.Marshal(pairs)
		if err != nil {
			return nil, err
		}
		attributes[defaultRolesKey] = text
	}
	if len(attributes) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(attributes)
	out := string(text)
	return &out, err
}

// setDefaultRole is SET DEFAULT ROLE … TO ….
func (a *accountParser) setDefaultRole() (sqlparser.Statement, error) {
	roles, err := a.chosenRoles()
	if err != nil {
		return nil, err
	}
	if !a.word("TO") {
		return nil, a.wants("TO")
	}
	accounts, err := a.accounts()
	if err != nil {
		return nil, err
	}
	return a.changeDefaultRoles("SET DEFAULT ROLE", accounts, roles), nil
}

// chosenRoles takes ALL, for which it gives nil, NONE, or a list of roles.
func (a *accountParser) chosenRoles() (*[]roleName, error) {
	roles := []roleName{}
	switch {
	case a.word("ALL"):
		return nil, nil
	case a.word("NONE"):
		return &roles, nil
	}
	names, err := a.accounts()
	for _, n := range names {
		roles = append(roles, roleName{n.Name, n.Host})
	}
	return &roles, err
}

// changeDefaultRoles is a statement that does so. One's own everybody may choose.
func (a *accountParser) changeDefaultRoles(what string, accounts []sqlparser.AccountName, roles *[]roleName) sqlparser.Statement {
	users := a.users
	s := accountChange{&accountStatement{what: what, run: func(ctx *sql.Context) error { return setDefaultRoles(ctx, users, accounts, roles) }}}
	auth := sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore}
	for _, n := range accounts {
		if n.Name != a.self.Name || n.Host != a.self.Host {
			auth = sqlparser.AuthInformation{AuthType: sqlparser.AuthType_CREATE_USER, TargetType: sqlparser.AuthTargetType_Global}
		}
	}
	return sqlparser.InjectedStatement{Statement: s, Auth: auth}
}

// setDefaultRoles gives accounts other default roles, which they must have.
func setDefaultRoles(ctx *sql.Context, users *mysql_db.MySQLDb, accounts []sqlparser.AccountName, roles *[]roleName) error {
	ed := users.Editor()
	defer ed.Close()
	type change struct {
		user       *mysql_db.User
		attributes *string
	}
	var changes []change
	for _, n := range accounts {
		u, ok := ed.GetUser(mysql_db.UserPrimaryKey{Host: n.Host, User: n.Name})
		if !ok || u.IsRole || u.IsEphemeral {
			return mysql.NewSQLError(codeUnknownAccount, stateGeneral, "Unknown authorization ID %s", roleName{n.Name, n.Host})
		}
		var granted []roleName
		for _, edge := range ed.GetToUserRoleEdges(mysql_db.RoleEdgesToKey{ToHost: u.Host, ToUser: u.User}) {
			granted = append(granted, roleName{edge.FromUser, edge.FromHost})
		}
		if roles != nil {
			for _, r := range *roles {
				if !slices.Contains(granted, r) {
					return notGranted(r, roleName{n.Name, n.Host})
				}
			}
		}
		attributes, err := attributesWith(u, roles)
		if err != nil {
			return err
		}
		changes = append(changes, change{u, attributes})
	}
	// Nobody's are changed if somebody's cannot be. They change in place: PutUser of another
	// user would keep both.
	for i, c := range changes {
		changes[i].attributes, c.user.Attributes = c.user.Attributes, c.attributes
		ed.PutUser(c.user)
	}
	err := users.Persist(ctx, ed)
	if err != nil {
		for _, c := range slices.Backward(changes) {
			c.user.Attributes = c.attributes
			ed.PutUser(c.user)
		}
	}
	return err
}

// codeUnknownAccount is MySQL's ER_UNKNOWN_AUTHID.
const codeUnknownAccount = 3523
