package gateway

import (
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/cluster/tables"
)

// Limits of a session.
const (
	// MaxPreparedStatements is how many prepared statements a client may hold.
	MaxPreparedStatements = 4096
	// MaxPreparedBytes is how long their texts may be together. What the library keeps
	// of each is some tens of times longer.
	MaxPreparedBytes = 16 << 20
	// MaxUserVariables is how many bytes the values of a session's @variables may have
	// together.
	MaxUserVariables = 128 << 20
)

// session is one client's state in the SQL library: its user, database,
// variables, warnings and transaction. The library's own keeps every statement
// that was ever prepared; this one knows only those that still exist.
//
// A session serves one statement at a time.
type session struct {
	*sql.BaseSession
	statement
	// named are the statements of PREPARE name FROM.
	named map[string]sqlparser.Statement
	// running is the statement that is being executed under its text, while a
	// prepared one is.
	running     sqlparser.Statement
	runningText string
	// literals are rows of the INSERT that runs, which are not in its plan.
	literals *literalRows
	// load is the LOAD DATA that runs as an INSERT.
	load *fileLoad
	// roles are those that count, nil before they are asked for; users is where they are.
	roles *activeRoles
	users *mysql_db.MySQLDb
	// plans are the connection's; nil without one.
	plans *keptPlans
	// wrote is set when the open transaction has changed something, which stays.
	wrote bool
	// draft is the open transaction's on mutable tables, of drafter's; nil until it
	// asks for one. draftMark is where the statement that runs began in it.
	draft     *tables.Draft
	drafter   *Gateway
	draftMark int
	// savepoints are those of the open transaction.
	savepoints []savepoint
	// variableBytes are those of the values of @variables, and allVariables their sum.
	variableBytes map[string]int64
	allVariables  int64
}

var (
	_ sql.Session            = (*session)(nil)
	_ sql.TransactionSession = (*session)(nil)
)

// newSession makes the state of a client.
func newSession(server string, client sql.Client, id uint32) *session {
	base := withVariables(func() *sql.BaseSession { return sql.NewBaseSessionWithClientServer(server, client, id) })
	base.SetViewRegistry(sql.NewViewRegistry())
	base.SetIndexRegistry(sql.NewIndexRegistry())
	return &session{BaseSession: base, named: make(map[string]sqlparser.Statement)}
}

// PrepareQuery keeps a statement under a name.
func (s *session) PrepareQuery(name string, stmt sqlparser.Statement) {
	if name == preparing {
		return // the handler keeps those of the binary protocol
	}
	s.named[name] = stmt
}

// preparing is the name under which the handler prepares: none that SQL can give.
const preparing = "\x00"

// GetPreparedQuery finds the statement that was kept under a name.
func (s *session) GetPreparedQuery(name string) (sqlparser.Statement, bool) {
	if s.running != nil && name == s.runningText {
		return s.running, true
	}
	stmt, ok := s.named[name]
	return stmt, ok
}

// UnprepareQuery forgets a statement.
func (s *session) UnprepareQuery(name string) { delete(s.named, name) }

// CacheQuery keeps nothing: the library's cache has no limit.
func (s *session) CacheQuery(string, sqlparser.Statement) {}

// execute makes stmt the statement that text stands for until the returned
// function is called.
func (s *session) execute(text string, stmt sqlparser.Statement) (done func()) {
	s.runningText, s.running = text, stmt
	return func() { s.runningText, s.running = "", nil }
}

// SetUserVariable sets a @variable, within what a session may hold.
func (s *session) SetUserVariable(ctx *sql.Context, name string, value any, typ sql.Type) error {
	key := strings.ToLower(name)
	bytes := int64(len(key)) + valueBytes(value)
	if s.allVariables-s.variableBytes[key]+bytes > MaxUserVariables {
		return mysql.NewSQLError(codeCapacity, stateGeneral, "Memory capacity of %d bytes for '%s' exceeded. Set some of them to NULL", MaxUserVariables, "user variables")
	}
	if err := s.BaseSession.SetUserVariable(ctx, name, value, typ); err != nil {
		return err
	}
	if s.variableBytes == nil {
		s.variableBytes = make(map[string]int64)
	}
	s.allVariables += bytes - s.variableBytes[key]
	s.variableBytes[key] = bytes
	return nil
}

// SetSessionVariable sets a variable. Plans depend on them.
func (s *session) SetSessionVariable(ctx *sql.Context, name string, value any) error {
	return s.changeVariable(ctx, name, func() error { return s.BaseSession.SetSessionVariable(ctx, name, value) })
}

// InitSessionVariable sets a variable, also one that only the server may set.
func (s *session) InitSessionVariable(ctx *sql.Context, name string, value any) error {
	return s.changeVariable(ctx, name, func() error { return s.BaseSession.InitSessionVariable(ctx, name, value) })
}

// InitSessionVariableDefault sets a variable and its default.
func (s *session) InitSessionVariableDefault(ctx *sql.Context, name string, value any) error {
	return s.changeVariable(ctx, name, func() error { return s.BaseSession.InitSessionVariableDefault(ctx, name, value) })
}

// changeVariable forgets the session's plans if a variable is another one afterwards.
func (s *session) changeVariable(ctx *sql.Context, name string, set func() error) error {
	before, _ := s.GetSessionVariable(ctx, name)
	err := set()
	if after, _ := s.GetSessionVariable(ctx, name); s.plans != nil && !reflect.DeepEqual(before, after) {
		s.plans.forget()
	}
	return err
}

// transaction is a BEGIN that COMMIT or ROLLBACK ends. It holds nothing: every
// INSERT is durable when it is answered, inside a transaction as outside.
type transaction struct{ readOnly bool }

// String is the transaction's name in logs.
func (t *transaction) String() string { return "transaction" }

// IsReadOnly reports whether it was begun with READ ONLY.
func (t *transaction) IsReadOnly() bool { return t.readOnly }

// StartTransaction begins a transaction.
func (s *session) StartTransaction(ctx *sql.Context, c sql.TransactionCharacteristic) (sql.Transaction, error) {
	s.wrote, s.savepoints, s.draft = false, nil, nil
	return &transaction{readOnly: c == sql.ReadOnly}, nil
}

// CommitTransaction ends one: what it changed in mutable tables becomes durable, and
// what it wrote of events is so already.
func (s *session) CommitTransaction(ctx *sql.Context, tx sql.Transaction) error {
	s.wrote, s.savepoints = false, nil
	return s.commitTables(ctx)
}

// Rollback ends one. What it wrote of events stays, and a warning says so, in the
// words that MySQL has for tables without transactions.
func (s *session) Rollback(ctx *sql.Context, tx sql.Transaction) error {
	if s.wrote {
		ctx.Warn(codeIncompleteRollback, "Some non-transactional changed tables couldn't be rolled back")
	}
	s.wrote, s.savepoints, s.draft = false, nil, nil
	return nil
}

// sessionOf is the gateway's session of a context, nil if it has another one.
func sessionOf(ctx *sql.Context) *session {
	s, _ := ctx.Session.(*session)
	return s
}
