package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// Statements about accounts that the SQL library's grammar lacks: SET ROLE, SET DEFAULT
// ROLE, SET PASSWORD, ALTER USER … ACCOUNT LOCK, and ALTER USER of oneself.

// accountStatement is one of them as a node of the plan.
type accountStatement struct {
	what string // as it is shown in a plan
	run  func(ctx *sql.Context) error
}

var (
	_ sqlparser.Injectable = (*accountStatement)(nil)
	_ sql.ExecSourceRel    = (*accountStatement)(nil)
)

// accountChange marks the statements that change an account, which are written down.
type accountChange struct{ *accountStatement }

// WithResolvedChildren gives the statement as a node of the plan.
func (a accountChange) WithResolvedChildren(context.Context, []any) (any, error) {
	return a.accountStatement, nil
}

// WithResolvedChildren gives the statement as a node of the plan.
func (a *accountStatement) WithResolvedChildren(context.Context, []any) (any, error) { return a, nil }

func (a *accountStatement) String() string                 { return a.what }
func (a *accountStatement) Resolved() bool                 { return true }
func (a *accountStatement) IsReadOnly() bool               { return false }
func (a *accountStatement) Children() []sql.Node           { return nil }
func (a *accountStatement) Schema(*sql.Context) sql.Schema { return types.OkResultSchema }

// WithChildren takes none.
func (a *accountStatement) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(a, len(children), 0)
	}
	return a, nil
}

// RowIter runs the statement.
func (a *accountStatement) RowIter(ctx *sql.Context, _ sql.Row) (sql.RowIter, error) {
	if err := a.run(ctx); err != nil {
		return nil, err
	}
	return sql.RowsToRowIter(sql.NewRow(types.NewOkResult(0))), nil
}

// accountParser reads one of the statements.
type accountParser struct {
	*wordScanner
	users *mysql_db.MySQLDb
	// self is the session's account.
	self sqlparser.AccountName
}

// accountStatementOf parses text as such a statement. It gives nil for any other, and the
// length of what it read.
func (p *strictParser) accountStatementOf(ctx context.Context, text string) (sqlparser.Statement, int, error) {
	w := &wordScanner{text: text}
	if !w.word("SET") && !w.word("ALTER") {
		return nil, 0, nil
	}
	users, ok := p.users.(*mysql_db.MySQLDb)
	c, known := ctx.(*sql.Context)
	if !ok || !known {
		return nil, 0, nil
	}
	client := c.Session.Client()
	a := &accountParser{wordScanner: &wordScanner{text: text}, users: users, self: sqlparser.AccountName{Name: client.User, Host: client.Address}}
	s, err := a.statement()
	if s == nil && err == nil {
		return nil, 0, nil
	}
	if a.space(); err == nil && a.at < len(text) && text[a.at] != ';' {
		err = fmt.Errorf("syntax error at position %d near '%s'", a.at, clip(text[a.at:]))
	}
	return s, a.at, err
}

func (a *accountParser) statement() (sqlparser.Statement, error) {
	switch {
	case a.word("SET"):
		switch {
		case a.word("ROLE"):
			return a.setRole()
		case a.word("DEFAULT"):
			if a.word("ROLE") {
				return a.setDefaultRole()
			}
		case a.word("PASSWORD"):
			return a.setPassword()
		}
	case a.word("ALTER"):
		if a.word("USER") {
			return a.alterUser()
		}
	}
	return nil, nil
}

// anyone lets everybody run a statement.
func anyone(s *accountStatement) sqlparser.Statement {
	return sqlparser.InjectedStatement{Statement: s,
		Auth: sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore}}
}

// setRole is SET ROLE: which of the roles that the user was granted count in the session.
func (a *accountParser) setRole() (sqlparser.Statement, error) {
	roles := &activeRoles{}
	var except bool
	switch {
	case a.word("DEFAULT"):
		roles = nil
	case a.word("NONE"):
	case a.word("ALL"):
		roles.except = true
		except = a.word("EXCEPT")
	default:
		roles.only = make(map[roleName]bool)
	}
	if except || roles != nil && roles.only != nil {
		names, err := a.accounts()
		if err != nil {
			return nil, err
		}
		roles.only = make(map[roleName]bool)
		for _, n := range names {
			roles.only[roleName{n.Name, n.Host}] = true
		}
	}
	users := a.users
	return anyone(&accountStatement{what: "SET ROLE", run: func(ctx *sql.Context) error { return setRoles(ctx, users, roles) }}), nil
}

// setPassword is SET PASSWORD, which is an ALTER USER.
func (a *accountParser) setPassword() (sqlparser.Statement, error) {
	account := a.self
	if a.word("FOR") {
		var err error
		if account, err = a.account(); err != nil {
			return nil, err
		}
	}
	if !a.symbol('=') {
		return nil, nil
	}
	password, ok := a.quoted()
	if !ok {
		return nil, notSupported("SET PASSWORD wants a password in quotes: SET PASSWORD = 'secret'")
	}
	if a.word("REPLACE") || a.word("RETAIN") {
		return nil, notSupported("SET PASSWORD … REPLACE and RETAIN are not supported; SET PASSWORD = 'secret' is enough")
	}
	return alterPassword(account, &sqlparser.Authentication{Password: password}), nil
}

// alterPassword is the library's ALTER USER … IDENTIFIED BY.
func alterPassword(account sqlparser.AccountName, auth *sqlparser.Authentication) sqlparser.Statement {
	return &sqlparser.DDL{Action: sqlparser.AlterStr, User: account, Authentication: auth,
		Auth: sqlparser.AuthInformation{AuthType: sqlparser.AuthType_ALTER_USER, TargetType: sqlparser.AuthTargetType_Ignore,
			TargetNames: []string{account.Name, account.Host}}}
}

// alterUser is ALTER USER with options, or of oneself; what the grammar knows is left to it.
func (a *accountParser) alterUser() (sqlparser.Statement, error) {
	ifExists := a.word("IF")
	if ifExists && !a.word("EXISTS") {
		return nil, nil
	}
	self := a.word("USER") || a.word("CURRENT_USER")
	account := a.self
	switch {
	case self:
		if a.symbol('(') && !a.symbol(')') {
			return nil, a.wants(")")
		}
	default:
		var err error
		if account, err = a.account(); err != nil {
			return nil, nil
		}
	}
	switch {
	case a.word("ACCOUNT"):
		lock := a.word("LOCK")
		if !lock && !a.word("UNLOCK") {
			return nil, a.wants("LOCK or UNLOCK")
		}
		users := a.users
		s := &accountStatement{what: "ALTER USER", run: func(ctx *sql.Context) error { return lockAccount(ctx, users, account, lock, ifExists) }}
		return sqlparser.InjectedStatement{Statement: accountChange{s},
			Auth: sqlparser.AuthInformation{AuthType: sqlparser.AuthType_CREATE_USER, TargetType: sqlparser.AuthTargetType_Global}}, nil
	case a.word("PASSWORD"), a.word("FAILED_LOGIN_ATTEMPTS"), a.word("PASSWORD_LOCK_TIME"):
		return nil, notSupported("ALTER USER … PASSWORD EXPIRE and FAILED_LOGIN_ATTEMPTS are not supported: give the user another password, or lock it with ACCOUNT LOCK; the settings login_failures and login_lock_time say when failed log-ins lock an account")
	case a.word("DEFAULT"):
		if !a.word("ROLE") {
			return nil, a.wants("ROLE")
		}
		roles, err := a.chosenRoles()
		if err != nil {
			return nil, err
		}
		return a.changeDefaultRoles("ALTER USER", []sqlparser.AccountName{account}, roles), nil
	case a.word("REQUIRE"), a.word("ATTRIBUTE"), a.word("COMMENT"):
		return nil, notSupported("ALTER USER … REQUIRE, ATTRIBUTE and COMMENT are not supported; DROP USER and CREATE USER with it")
	case self && a.word("IDENTIFIED"):
		if !a.word("BY") {
			return nil, notSupported("ALTER USER USER() is possible with IDENTIFIED BY 'secret' only")
		}
		password, ok := a.quoted()
		if !ok {
			return nil, a.wants("a password in quotes")
		}
		return alterPassword(account, &sqlparser.Authentication{Password: password}), nil
	}
	return nil, nil
}

func (a *accountParser) wants(what string) error {
	return fmt.Errorf("syntax error at position %d near '%s': want %s", a.at, clip(a.text[a.at:]), what)
}

// accounts takes a list of accounts.
func (a *accountParser) accounts() (list []sqlparser.AccountName, err error) {
	for {
		n, err := a.account()
		if err != nil {
			return nil, err
		}
		if list = append(list, n); !a.symbol(',') {
			return list, nil
		}
	}
}

// account takes user@host, in which both may be in quotes.
func (a *accountParser) account() (sqlparser.AccountName, error) {
	user, ok := a.part()
	if !ok {
		return sqlparser.AccountName{}, a.wants("an account")
	}
	n := sqlparser.AccountName{Name: user, Host: "%"}
	if a.at < len(a.text) && a.text[a.at] == '@' {
		a.at++
		if n.Host, ok = a.part(); !ok {
			return n, a.wants("a host")
		}
	}
	return n, nil
}

// part takes a name or a string.
func (a *accountParser) part() (string, bool) {
	if s, ok := a.quoted(); ok {
		return s, true
	}
	if a.at < len(a.text) && a.text[a.at] == '`' {
		return a.name()
	}
	start := a.at
	for a.at < len(a.text) && (inName(lower(a.text[a.at])) || a.text[a.at] == '.' || a.text[a.at] == '-' || a.text[a.at] == '%') {
		a.at++
	}
	return a.text[start:a.at], a.at > start
}

// quoted takes a string in quotes, and reads its escapes.
func (a *accountParser) quoted() (string, bool) {
	a.space()
	if a.at >= len(a.text) || a.text[a.at] != '\'' && a.text[a.at] != '"' {
		return "", false
	}
	quote := a.text[a.at]
	var b strings.Builder
	for i := a.at + 1; i < len(a.text); i++ {
		switch c := a.text[i]; {
		case c == '\\' && i+1 < len(a.text):
			i++
			b.WriteByte(unescaped(a.text[i]))
		case c == quote && i+1 < len(a.text) && a.text[i+1] == quote:
			i++
			b.WriteByte(quote)
		case c == quote:
			a.at = i + 1
			return b.String(), true
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// lockAccount locks an account or unlocks it.
func lockAccount(ctx *sql.Context, users *mysql_db.MySQLDb, account sqlparser.AccountName, lock, ifExists bool) error {
	ed := users.Editor()
	defer ed.Close()
	u, ok := ed.GetUser(mysql_db.UserPrimaryKey{Host: account.Host, User: account.Name})
	if !ok || u.IsRole || u.IsEphemeral {
		if ifExists {
			return nil
		}
		return mysql.NewSQLError(1396, stateGeneral, "Operation ALTER USER failed for '%s'@'%s'", account.Name, account.Host)
	}
	u.Locked = lock // in place: PutUser of another one would keep both
	ed.PutUser(u)
	return users.Persist(ctx, ed)
}
