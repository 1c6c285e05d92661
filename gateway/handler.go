package gateway

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// handler is what the protocol library calls for each command of a client. The
// SQL library's own handler keeps the connections and their sessions; running
// statements and sending results is done here, because its way holds whole
// results in memory, drops the connection when an error comes after the first
// rows, and tells clients about panics.
//
// The calls for one connection come one after the other, except that an
// execution with a cursor runs beside the commands that read it.
type handler struct {
	stock  mysql.Handler
	engine *sqle.Engine
	// sessions makes the contexts of statements.
	sessions *server.SessionManager
	grants   *grants
	logger   *slog.Logger
	// base is canceled when the server stops without waiting any longer.
	base context.Context
	// memory is what the rows that a statement holds may take; see queryLimits.
	memory int64
	// events is whose tables' rows may be read beside the plan; nil is for none.
	events *Gateway
	// plans is what the connections' plans have in common.
	plans *planServer
	// watchDelay is how long a statement runs before its client is watched.
	watchDelay time.Duration
	users      userConnections
	// logins writes log-ins down.
	logins *loginAudit
	// auth is how clients log in.
	auth *logins
}

// userConnections count the connections of each user.
type userConnections struct {
	mu    sync.Mutex // guards count
	count map[mysqlUser]int
}

// add counts a connection, unless the user has as many as it may.
func (u *userConnections) add(user mysqlUser, most int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if most > 0 && u.count[user] >= most {
		return mysql.NewSQLError(codeUserLimit, stateSyntax, "User '%s' has exceeded the 'max_user_connections' resource (current value: %d)", user.name, most)
	}
	if u.count == nil {
		u.count = make(map[mysqlUser]int)
	}
	u.count[user]++
	return nil
}

// remove counts a connection out.
func (u *userConnections) remove(user mysqlUser) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count[user]--; u.count[user] == 0 {
		delete(u.count, user)
	}
}

// codeUserLimit is MySQL's ER_USER_LIMIT_REACHED.
const codeUserLimit = 1226

// addUser counts the connection among its user's.
func (h *handler) addUser(c *mysql.Conn) error {
	if h.events == nil {
		return nil
	}
	user := userOf(c)
	if err := h.users.add(user, h.events.Catalog().MaxUserConnections()); err != nil {
		return err
	}
	connectionOf(c).user = &user
	return nil
}

var _ mysql.Handler = (*handler)(nil)

// connection is what the handler keeps of a client.
type connection struct {
	// statements are the prepared ones, by the protocol's ids.
	statements map[uint32]sqlparser.Statement
	// warnings is the number of warnings of the last statement.
	warnings atomic.Uint32
	// session is held while a statement uses the session. One with a cursor gives
	// it up while it waits for its client, which may send other commands then.
	session sync.Mutex
	// plans are those of its statements.
	plans keptPlans
	// user is the one whose connections it is counted among, nil before it is.
	user *mysqlUser
}

// mysqlUser is an account whose connections are counted.
type mysqlUser struct{ name, host string }

func connectionOf(c *mysql.Conn) *connection { return c.ClientData.(*connection) }

// NewConnection is called before the client is known.
func (h *handler) NewConnection(c *mysql.Conn) {
	c.ClientData = &connection{statements: make(map[uint32]sqlparser.Statement), plans: keptPlans{server: h.plans}}
	c.StatusFlags |= mysql.ServerStatusAutocommit
	if w, ok := c.Conn.(*wire); ok {
		w.changeUser = func(user, database string) error { return h.changeUser(c, user, database) }
	}
	h.stock.NewConnection(c)
}

// ConnectionAborted is called when a login fails.
func (h *handler) ConnectionAborted(c *mysql.Conn, reason string) error {
	h.logger.Debug("login failed", "client", c.RemoteAddr().String(), "reason", reason)
	return h.stock.ConnectionAborted(c, reason)
}

// ConnectionAuthenticated is called when the client is known.
func (h *handler) ConnectionAuthenticated(c *mysql.Conn) (err error) {
	defer h.guard(&err)
	w := wireOf(c)
	user := userOf(c)
	defer func() {
		if err != nil {
			h.logins.refused(c, user.name, err)
			return
		}
		h.logins.succeeded(c, user.name, user.host)
	}()
	if w.needsTLS() && w.TLS() == nil {
		return errInsecureTransport
	}
	if err := h.addUser(c); err != nil {
		return err
	}
	if err := h.stock.ConnectionAuthenticated(c); err != nil {
		return h.clientError(err)
	}
	w.authenticated()
	return nil
}

// userOf is the account that a client has logged in as.
func userOf(c *mysql.Conn) mysqlUser {
	if u, ok := c.UserData.(sql.MysqlConnectionUser); ok {
		return mysqlUser{u.User, u.Host}
	}
	return mysqlUser{name: c.User}
}

// ConnectionClosed is called when the connection has ended.
func (h *handler) ConnectionClosed(c *mysql.Conn) {
	defer h.guard(nil)
	h.stock.ConnectionClosed(c)
	k := connectionOf(c)
	if k.user != nil {
		h.users.remove(*k.user)
	}
	k.session.Lock()
	defer k.session.Unlock()
	k.plans.forget()
}

// ComInitDB chooses the client's database.
func (h *handler) ComInitDB(c *mysql.Conn, database string) (err error) {
	defer h.guard(&err)
	if wireOf(c).tooBig() {
		return errPacketTooLarge
	}
	k := connectionOf(c)
	k.session.Lock()
	defer k.session.Unlock()
	if err := h.sessions.SetDB(h.base, c, database); err != nil {
		return h.clientError(err)
	}
	return nil
}

// ComQuery runs one statement.
func (h *handler) ComQuery(ctx context.Context, c *mysql.Conn, query string, send mysql.ResultSpoolFn) error {
	_, err := h.run(c, request{text: query}, send)
	return err
}

// ComMultiQuery runs the first of several statements and gives back the others.
func (h *handler) ComMultiQuery(ctx context.Context, c *mysql.Conn, query string, send mysql.ResultSpoolFn) (string, error) {
	return h.run(c, request{text: query, several: true}, send)
}

// ComStmtExecute runs a prepared statement.
func (h *handler) ComStmtExecute(ctx context.Context, c *mysql.Conn, prepare *mysql.PrepareData, send func(*sqltypes.Result) error) error {
	st := request{
		text:     sql.RemoveSpaceAndDelimiter(prepare.PrepareStmt, ';'),
		prepared: connectionOf(c).statements[prepare.StatementID],
		bindings: prepare.BindVars,
		binary:   true,
		cursor:   wireOf(c).asksCursor(),
	}
	_, err := h.run(c, st, func(r *sqltypes.Result, _ bool) error { return send(r) })
	return err
}

// ComPrepare prepares a statement and gives the columns of its result, none
// for a statement without rows.
func (h *handler) ComPrepare(ctx context.Context, c *mysql.Conn, query string, prepare *mysql.PrepareData) (fields []*querypb.Field, err error) {
	defer func() {
		if err != nil {
			delete(c.PrepareData, prepare.StatementID)
		}
	}()
	defer h.guard(&err)
	if len(c.PrepareData) > MaxPreparedStatements {
		return nil, mysql.NewSQLError(codeTooManyStatements, stateSyntax,
			"Can't create more than max_prepared_stmt_count statements (current value: %d)", MaxPreparedStatements)
	}
	if wireOf(c).tooBig() {
		return nil, errPacketTooLarge
	}
	if k := connectionOf(c); k.preparedBytes(c)+len(query) > MaxPreparedBytes {
		return nil, mysql.NewSQLError(codeTooManyStatements, stateSyntax, "Can't prepare statements of more than %d bytes together; close some", MaxPreparedBytes)
	}
	if query == unpreparable {
		return nil, h.clientError(sql.ErrUnsupportedPreparedStatement.New())
	}
	k := connectionOf(c)
	k.session.Lock()
	defer k.session.Unlock()
	sctx, err := h.sessions.NewContextWithQuery(h.base, c, query)
	if err != nil {
		return nil, h.clientError(err)
	}
	sctx, err = sctx.ProcessList.BeginOperation(sctx)
	if err != nil {
		return nil, h.clientError(err)
	}
	defer sctx.ProcessList.EndOperation(sctx)

	query, own := heldStatement(query)
	stmt, _, _, err := h.engine.Parser.Parse(sctx, query, false)
	if err != nil {
		failed := h.clientError(parseError(err))
		h.auditUnparsed(sctx, c, query, err, failed)
		return nil, failed
	}
	if own {
		prepare.PrepareStmt = query
	}
	node, err := h.engine.PrepareParsedQuery(sctx, preparing, query, stmt)
	if err != nil {
		return nil, h.clientError(err)
	}
	countParameters(stmt, prepare)
	k.keep(c, prepare.StatementID, stmt)
	rows := !answersOK(sctx, node)
	if t, ok := wireOf(c).taker.(planTaker); ok {
		if node, err = h.planned(sctx, stmt, node, prepare); err != nil {
			return nil, h.clientError(err)
		}
		t.prepared(columnsGiven(sctx, node, rows), !recurses(stmt))
	}
	if !rows {
		return nil, nil
	}
	return resultFields(sctx, node.Schema(sctx)), nil
}

// planned is what a prepared SELECT without placeholders will execute: its columns may have
// other types than before it is planned.
func (h *handler) planned(ctx *sql.Context, stmt sqlparser.Statement, n sql.Node, p *mysql.PrepareData) (sql.Node, error) {
	if _, ok := stmt.(sqlparser.SelectStatement); !ok || p.ParamsCount > 0 {
		return n, nil
	}
	return h.engine.Analyzer.Analyze(ctx, n, nil, &sql.QueryFlags{})
}

// recurses reports whether a statement has a recursive common table expression, whose
// columns have their types only when it runs, if it is in a subquery.
func recurses(stmt sqlparser.Statement) (found bool) {
	_ = sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if w, ok := n.(*sqlparser.With); ok && w != nil {
			found = found || w.Recursive
		}
		return !found, nil
	}, stmt)
	return found
}

// preparedBytes is how long the texts of the prepared statements are that exist.
func (k *connection) preparedBytes(c *mysql.Conn) (n int) {
	for id := range k.statements {
		if p := c.PrepareData[id]; p != nil {
			n += len(p.PrepareStmt)
		}
	}
	return n
}

// keep remembers a prepared statement and forgets those the client has closed.
func (k *connection) keep(c *mysql.Conn, id uint32, stmt sqlparser.Statement) {
	k.statements[id] = stmt
	if len(k.statements) <= len(c.PrepareData) {
		return
	}
	for id := range k.statements {
		if c.PrepareData[id] == nil {
			delete(k.statements, id)
		}
	}
}

// countParameters counts a statement's placeholders: the protocol library takes
// strings that begin with ":v" for some.
func countParameters(stmt sqlparser.Statement, prepare *mysql.PrepareData) {
	count := uint16(0)
	if e, ok := stmt.(*sqlparser.Explain); ok {
		stmt = e.Statement // into which the walk does not go by itself
	}
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if v, ok := n.(*sqlparser.SQLVal); ok && v.Type == sqlparser.ValArg {
			count++
		}
		return true, nil
	}, stmt)
	if count == prepare.ParamsCount {
		return
	}
	prepare.ParamsCount = count
	prepare.ParamsType = make([]int32, count)
	prepare.BindVars = make(map[string]*querypb.BindVariable, count)
}

// answersOK reports whether a statement is answered by an OK and not by rows.
func answersOK(ctx *sql.Context, n sql.Node) bool {
	switch n := n.(type) {
	case *plan.InsertInto:
		return n.Returning == nil
	case *plan.Update, *plan.UpdateJoin, *plan.DeleteFrom:
		return true
	}
	return types.IsOkResultSchema(n.Schema(ctx))
}

// ComResetConnection makes the session new.
func (h *handler) ComResetConnection(c *mysql.Conn) (err error) {
	defer h.guard(&err)
	k := connectionOf(c)
	k.session.Lock()
	defer k.session.Unlock()
	clear(k.statements)
	return h.stock.ComResetConnection(c)
}

// WarningCount is the number of warnings of the last statement.
func (h *handler) WarningCount(c *mysql.Conn) uint16 { return uint16(connectionOf(c).warnings.Load()) }

// ParserOptionsForConnection are those that the session's SQL mode asks for.
func (h *handler) ParserOptionsForConnection(c *mysql.Conn) (sqlparser.ParserOptions, error) {
	return h.stock.ParserOptionsForConnection(c)
}

// guard turns a panic into an error that tells the client no more than an id.
// It is to be deferred.
func (h *handler) guard(err *error) {
	r := recover()
	if r == nil {
		return
	}
	id := faultID()
	h.logger.Error("panic in a MySQL command", "id", id, "panic", r, "stack", string(debug.Stack()))
	if err != nil {
		*err = mysql.NewSQLError(codeUnknown, stateGeneral,
			"Internal error %s; the server's log says more under this id", id)
	}
}

// clientError is err as a client gets it.
func (h *handler) clientError(err error) error {
	return sqlError(err, func(id string, err error) {
		h.logger.Error("internal error in a MySQL command", "id", id, "error", err)
	})
}
