package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
)

// grantStore keeps users and privileges, encoded by the SQL library.
type grantStore interface {
	// Grants are what was stored last, empty before anything was. The bytes are
	// never changed.
	Grants() []byte
	// ReplaceGrants makes new ones durable if what was stored last is still before;
	// otherwise the error is catalog.ErrGrantsChanged.
	ReplaceGrants(ctx context.Context, before, blob []byte) error
}

// Grants are the users and privileges of the catalog.
func (g *Gateway) Grants() []byte { return g.Catalog().Grants }

// ReplaceGrants makes users and privileges durable on the cluster.
func (g *Gateway) ReplaceGrants(ctx context.Context, before, blob []byte) error {
	_, err := g.cluster.Change(ctx, catalog.ReplaceGrants{Over: catalog.GrantsSum(before), Blob: blob})
	return err
}

// grants is the SQL library's table of users over a grantStore. Every change is
// durable before it is answered. Other gateways change what is stored, too: before
// each login and statement it is looked at, and loaded anew if it is another.
type grants struct {
	db    *mysql_db.MySQLDb
	store grantStore
	// stale is set when a change could not be stored: the library has made it
	// in memory by then, and it must be taken back. The library's lock guards it.
	stale bool
	// loaded is what was stored when the table was loaded, or stored, last. It is
	// written under the library's lock.
	loaded atomic.Pointer[[]byte]
}

// openGrants loads what is stored into db, or, where nothing is, makes the user
// root@localhost without a password.
func openGrants(ctx *sql.Context, db *mysql_db.MySQLDb, store grantStore) (*grants, error) {
	gr := &grants{db: db, store: store}
	gr.loaded.Store(new([]byte))
	db.SetPersister(gr)
	db.SetEnabled(true)
	return gr, gr.reload(ctx)
}

// version numbers the privileges of the session's user; not ok if it is gone. What the
// session remembers stays when its user is dropped, and the library then gives an empty
// set. So where it gives any privilege, the number in the session is that of now; else
// they are looked up anew.
func (gr *grants) version(ctx *sql.Context) (n uint64, ok bool) {
	if _, n = ctx.Session.GetPrivilegeSet(); n != 0 && gr.db.UserActivePrivilegeSet(ctx).HasPrivileges() {
		_, n = ctx.Session.GetPrivilegeSet()
		return n, true
	}
	ctx.Session.SetPrivilegeSet(nil, 0)
	gr.db.UserActivePrivilegeSet(ctx)
	_, n = ctx.Session.GetPrivilegeSet()
	return n, n != 0
}

// refresh loads what another gateway has stored.
func (gr *grants) refresh(ctx *sql.Context) error {
	stored, loaded := gr.store.Grants(), *gr.loaded.Load()
	if len(stored) == len(loaded) && (len(stored) == 0 || &stored[0] == &loaded[0] || bytes.Equal(stored, loaded)) {
		return nil
	}
	return gr.reload(ctx)
}

// reload makes what is stored the state of the table.
func (gr *grants) reload(ctx *sql.Context) error {
	ed := gr.db.Editor()
	defer ed.Close()
	gr.stale = false
	blob := gr.store.Grants()
	gr.loaded.Store(&blob)
	if len(blob) > 0 {
		if err := gr.db.OverwriteUsersAndGrantData(ctx, ed, blob); err != nil {
			return fmt.Errorf("load users and privileges: %w", err)
		}
		return nil
	}
	var users []mysql_db.UserPrimaryKey
	ed.VisitUsers(func(u *mysql_db.User) {
		users = append(users, mysql_db.UserPrimaryKey{Host: u.Host, User: u.User})
	})
	for _, u := range users {
		ed.RemoveUser(u)
	}
	gr.db.AddSuperUser(ed, "root", "localhost", "")
	root, _ := ed.GetUser(mysql_db.UserPrimaryKey{Host: "localhost", User: "root"})
	root.Plugin = string(mysql.CachingSha2Password)
	ed.PutUser(root)
	return nil
}

// Persist is called by the library, under its lock, with all users after a change.
func (gr *grants) Persist(ctx *sql.Context, blob []byte) error {
	if len(blob) > catalog.MaxGrants {
		gr.stale = true
		return fmt.Errorf("users and privileges take %d bytes, at most %d are possible", len(blob), catalog.MaxGrants)
	}
	blob = bytes.Clone(blob)
	if err := gr.store.ReplaceGrants(ctx, *gr.loaded.Load(), blob); err != nil {
		gr.stale = true
		return fmt.Errorf("store users and privileges: %w", err)
	}
	gr.loaded.Store(&blob)
	return nil
}

// repair takes back a change that could not be stored.
func (gr *grants) repair(ctx *sql.Context) error {
	rd := gr.db.Reader()
	stale := gr.stale
	rd.Close()
	if !stale {
		return nil
	}
	return gr.reload(ctx)
}

// account is what a login needs to know of a user.
type account struct {
	name   string // user@host as the grants have it
	host   string
	plugin string
	secret string // the stored form of the password, empty for none
	tls    string // what REQUIRE asks for
	locked bool
	found  bool
}

// account finds the user that a client logs in as. For one that does not exist
// it makes an account that nothing opens, so that the two look alike.
func (gr *grants) account(user string, from net.Addr) account {
	host := hostOf(from)
	// What cannot be loaded leaves those of before; the next statement says so.
	_ = gr.refresh(sql.NewContext(context.Background(), sql.WithSession(withVariables(sql.NewBaseSession))))
	rd := gr.db.Reader()
	defer rd.Close()
	u := gr.db.GetUser(rd, user, host, false)
	if u == nil || u.IsRole {
		return account{name: user, host: host, plugin: string(mysql.CachingSha2Password), secret: decoySecret, locked: true}
	}
	return account{name: u.User, host: u.Host, plugin: u.Plugin, secret: u.AuthString,
		tls: u.SslType, locked: u.Locked, found: true}
}

// decoySecret is the password of users that do not exist: a salt of 20
// characters and a digest of 43 that no password has.
var decoySecret = "$A$005$" + strings.Repeat("a", 20+43)

// hostOf is a client's address without the port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// isLoopback reports whether a client is on this machine.
func isLoopback(a net.Addr) bool {
	ip := net.ParseIP(hostOf(a))
	return ip != nil && ip.IsLoopback()
}

// admit decides whether a client may log in to an account at all, before its
// password is looked at.
func (a *account) admit(c *mysql.Conn) error {
	switch {
	case a.found && a.secret == "" && !isLoopback(c.RemoteAddr()):
		// An account without a password opens only from this machine.
	case a.tls != "" && !c.TLSEnabled():
	case a.tls != "" && a.tls != "ANY":
		// A client's certificate cannot be looked at here.
	default:
		return nil
	}
	return a.denied(c, true)
}

// denied is MySQL's error 1045.
func (a *account) denied(c *mysql.Conn, password bool) error {
	using := "NO"
	if password {
		using = "YES"
	}
	host := hostOf(c.RemoteAddr())
	if isLoopback(c.RemoteAddr()) {
		host = "localhost"
	}
	return mysql.NewSQLError(mysql.ERAccessDeniedError, stateLogin,
		"Access denied for user '%s'@'%s' (using password: %s)", a.name, host, using)
}

// lockedError is MySQL's error 3118, for those who know the password.
func (a *account) lockedError(c *mysql.Conn) error {
	return mysql.NewSQLError(3118, stateGeneral, "Access denied for user '%s'@'%s'. Account is locked.", a.name, hostOf(c.RemoteAddr()))
}

// granted is who the client is from now on.
func (a *account) granted() mysql.Getter {
	return sql.MysqlConnectionUser{User: a.name, Host: a.host}
}

// refuseUserOptions refuses what CREATE USER may ask for and the SQL library would take
// and forget: a user who is thought to be locked must be.
func refuseUserOptions(u *sqlparser.CreateUser) error {
	switch {
	case u.Locked:
		return notSupported("CREATE USER … ACCOUNT LOCK is not supported; ALTER USER … ACCOUNT LOCK locks one that there is")
	case u.PasswordOptions != nil:
		return notSupported("CREATE USER … PASSWORD … and FAILED_LOGIN_ATTEMPTS are not supported; the settings login_failures and login_lock_time say when an account is locked")
	case u.AccountLimits != nil:
		return notSupported("CREATE USER … WITH MAX_… is not supported; the setting max_user_connections is for all users")
	case len(u.DefaultRoles) > 0:
		return notSupported("CREATE USER … DEFAULT ROLE is not supported: at log-in all roles of a user count; GRANT the role to the user")
	}
	return nil
}
