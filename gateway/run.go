package gateway

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
)

// maxGrantTries bounds how often a statement that changes users is tried, when
// others change them at the same time.
const maxGrantTries = 16

// request is one statement of a client, or the first of several.
type request struct {
	text     string
	several  bool                             // more may follow in text
	prepared sqlparser.Statement              // it was parsed before
	insert   insertRequest                    // for an INSERT whose rows are read beside its plan
	bindings map[string]*querypb.BindVariable // values of its placeholders
	cursor   bool                             // its rows are fetched step by step
	binary   bool                             // its rows are wanted in the binary protocol
}

// run executes a statement and sends its result. An error that comes after the
// first rows takes the place of the packet that would have ended them.
func (h *handler) run(c *mysql.Conn, st request, send mysql.ResultSpoolFn) (rest string, err error) {
	w := wireOf(c)
	if w.tooBig() {
		return "", errPacketTooLarge
	}
	out := &output{conn: c, wire: w, send: send, cursor: st.cursor, binary: st.binary}
	rest, err = h.attempt(c, st, out)
	for tries := 1; tries < maxGrantTries && errors.Is(err, catalog.ErrGrantsChanged) && !out.begun && !out.closed; tries++ {
		rest, err = h.attempt(c, st, out)
	}
	if errors.Is(err, errRepeat) && out.repeatable() {
		rest, err = h.repeatAlone(c, st, out)
	}
	if err == nil {
		out.audited.end(h, nil)
		return rest, nil
	}
	failure := h.clientError(err).(*mysql.SQLError)
	out.audited.end(h, failure)
	switch {
	case st.cursor:
		w.failCursor(failure)
		if out.begun {
			return "", nil
		}
	case out.begun:
		if err := c.FlushBuffer(); err != nil {
			return "", err
		}
		w.failResult(failure)
		return "", nil
	}
	return "", failure
}

// maxConflictTries bounds how often a statement that is its own transaction is tried,
// when others change the same rows.
const maxConflictTries = 64

// repeatAlone repeats a statement that another one has disturbed; of those that are
// repeated one runs at a time.
func (h *handler) repeatAlone(c *mysql.Conn, st request, out *output) (rest string, err error) {
	select {
	case h.events.contended <- struct{}{}:
	case <-h.base.Done():
		return "", errShutdown
	}
	defer func() { <-h.events.contended }()
	for tries := 1; ; tries++ {
		out.closed = false
		rest, err = h.attempt(c, st, out)
		if tries == maxConflictTries || !errors.Is(err, errRepeat) || !out.repeatable() {
			return rest, err
		}
	}
}

// attempt executes a statement into out.
func (h *handler) attempt(c *mysql.Conn, st request, out *output) (rest string, err error) {
	k := connectionOf(c)
	k.session.Lock()
	defer k.session.Unlock()
	defer h.guard(&err)
	ctx, cancel := context.WithCancelCause(withAllowance(h.base, queryMemory(h.events, h.memory)))
	defer cancel(nil)

	sctx, err := h.sessions.NewContextWithQuery(ctx, c, st.text)
	if err != nil {
		return "", err
	}
	sctx.ApplyOpts(sql.WithServices(sql.Services{
		KillConnection: h.sessions.KillConnection,
		LoadInfile:     loadInfile(c),
	}))
	watch := watchClient(c, h.watchDelay, cancel)
	defer watch.stop()
	if st.cursor {
		out.first = watch.stop // from then on the client's commands are read elsewhere
	}
	if sctx, err = sctx.ProcessList.BeginQuery(sctx, st.text); err != nil {
		return "", err
	}
	defer sctx.ProcessList.EndQuery(sctx)
	if err := h.grants.refresh(sctx); err != nil {
		return "", err
	}
	h.grants.prime(sctx)
	defer func() {
		if stopped := interruption(sctx); stopped != nil && !out.closed {
			err = stopped
		}
		if s := sessionOf(sctx); s != nil && err != nil {
			s.returnTables()
		}
		if changed := errors.Is(err, catalog.ErrGrantsChanged) || errors.Is(err, errRepeat); err != nil {
			told := h.clientError(err)
			noteFailure(sctx, told.(*mysql.SQLError))
			if !changed { // which run has to see
				err = told
			}
		}
		k.warnings.Store(uint32(sctx.Session.WarningCount()))
		if repairErr := h.grants.repair(sctx); repairErr != nil {
			h.logger.Error("take back a change of users", "error", repairErr)
		}
	}()
	if s := sessionOf(sctx); s != nil {
		s.markTables()
		k.plans.begin(s)
		defer k.plans.spoil()
		key, ok := h.planKey(sctx, &st)
		if st.insert.rows != nil {
			defer st.insert.rows.release()
		}
		if ok {
			if p := k.plans.find(sctx, key); p != nil {
				return "", h.repeat(sctx, p, st.insert.rows, out, cancel)
			}
		}
	}
	return h.execute(sctx, c, st, out, cancel)
}

// insertRequest is an INSERT whose rows are read beside its plan.
type insertRequest struct {
	rows *literalRows // nil for other statements
	// head is the text up to the end of the first row. For a prepared statement it is
	// empty, and cut has the first row alone, with the values of its placeholders.
	head     string
	cut      *sqlparser.Insert
	bindings map[string]*querypb.BindVariable
}

// planKey looks whether a statement is an INSERT whose rows can be read beside its plan,
// and says by what its plan is kept, if it may be.
func (h *handler) planKey(ctx *sql.Context, st *request) (key planKey, ok bool) {
	in := &st.insert
	switch {
	case st.cursor:
		return key, false
	case st.prepared != nil:
		if h.events == nil {
			return key, false
		}
		in.cut, in.bindings, in.rows = h.events.literalRowsOf(ctx, st.prepared, st.bindings)
		if in.rows == nil {
			return key, false
		}
		return planKey{st.text, preparedKinds + in.rows.kinds()}, true
	case h.events != nil:
		if head, rows := splitValues(st.text); rows != nil {
			in.head, in.rows = head, &literalRows{literals: rows}
			return planKey{head[:valuesStart(head)], rows.kinds()}, len(head) <= MaxKeptText
		}
	}
	return planKey{text: st.text}, true
}

// preparedKinds begins the kinds of a statement that was prepared, whose text has
// placeholders.
const preparedKinds = "?"

// repeat runs a statement by a plan of before. rows are those of an INSERT.
func (h *handler) repeat(ctx *sql.Context, p *keptPlan, rows *literalRows, out *output, cancel context.CancelCauseFunc) error {
	counter := "Com_select"
	if rows != nil {
		s := sessionOf(ctx)
		if err := s.admit(ctx, p.statement); err != nil {
			return err
		}
		counter, s.literals = "Com_insert", rows
		defer func() { s.literals = nil }()
	}
	if limit := h.executionLimit(ctx, p.statement); limit > 0 {
		timer := time.AfterFunc(limit, func() { cancel(errTimeout) })
		defer timer.Stop()
	}
	sql.IncrementStatusVariable(ctx, "Questions", 1)
	sql.IncrementStatusVariable(ctx, counter, 1)
	ctx.ClearWarnings()
	if rows != nil {
		schema, iter, err := h.repeatInsert(ctx, p, rows)
		if err != nil {
			return err
		}
		warnOfHints(ctx, p.statement, p.text)
		return out.result(ctx, schema, iter)
	}
	schema, iter, _, err := h.engine.PrepQueryPlanForExecution(ctx, p.text, p.node, p.flags)
	if err != nil {
		return err
	}
	warnOfHints(ctx, p.statement, p.text)
	return out.result(ctx, schema, iter)
}

// execute parses, plans and runs a statement.
func (h *handler) execute(ctx *sql.Context, c *mysql.Conn, st request, out *output, cancel context.CancelCauseFunc) (string, error) {
	stmt, text, rest := st.prepared, st.text, ""
	rows := st.insert.rows
	if stmt == nil && rows != nil {
		if stmt = h.parseHead(ctx, st.insert); stmt == nil {
			sessionOf(ctx).plans.spoil()
			rows = nil
		}
	}
	if stmt == nil {
		var err error
		stmt, text, rest, err = h.engine.Parser.Parse(ctx, st.text, st.several)
		if err != nil {
			if errors.Is(err, sqlparser.ErrEmpty) {
				return "", errEmptyQuery
			}
			err = parseError(err)
			h.auditUnparsed(ctx, c, st.text, err, h.clientError(err))
			return "", err
		}
	}
	out.more = rest != ""
	if out.audited == nil {
		var err error
		if out.audited, err = h.auditStatement(ctx, c, stmt, text, st.bindings); err != nil {
			return "", err
		}
	}
	given := st.bindings
	if st.insert.cut != nil {
		stmt, given = st.insert.cut, st.insert.bindings
	}
	if s := sessionOf(ctx); s != nil {
		if err := s.admit(ctx, stmt); err != nil {
			return "", err
		}
		insert, load, err := h.fileLoadOf(ctx, c, stmt)
		if err != nil {
			return "", err
		}
		if load != nil {
			stmt, s.load = insert, load
			out.consumed = true
			defer func() { s.load = nil }()
		}
		if rows == nil && load == nil && h.events != nil {
			if cut, first, found := h.events.literalRowsOf(ctx, stmt, given); found != nil {
				stmt, given, rows = cut, first, found
			}
		}
		s.literals = rows
		defer func() { s.literals = nil }()
		if st.prepared != nil {
			defer s.execute(text, stmt)()
		}
	}
	bindings, err := bindingExprs(given)
	if err != nil {
		return "", err
	}
	if hasEscape(given) {
		mend(stmt, true)
	}
	if limit := h.executionLimit(ctx, stmt); limit > 0 {
		timer := time.AfterFunc(limit, func() { cancel(errTimeout) })
		defer timer.Stop()
	}
	schema, iter, flags, err := h.engine.QueryWithBindings(ctx, text, stmt, bindings, &sql.QueryFlags{})
	_, out.set = stmt.(*sqlparser.Set)
	if err != nil {
		if out.set && sql.ErrColumnNotFound.Is(err) {
			err = sql.ErrUnknownSystemVariable.New(quoted("", "")(err.Error()))
		}
		return "", h.prepareError(ctx, c, stmt, st.text, err)
	}
	if rows != nil && !rows.taken {
		iter.Close(ctx)
		return "", errRowsLost
	}
	warnOfHints(ctx, stmt, text)
	if err := out.result(ctx, schema, iter); err != nil {
		return rest, err
	}
	if s := sessionOf(ctx); s != nil && s.plans != nil && rest == "" && (st.prepared == nil || st.insert.cut != nil) {
		s.plans.keep(stmt, flags)
	}
	return rest, nil
}

// errRowsLost is about a plan that did not come to the table of its INSERT.
var errRowsLost = errors.New("the rows of an INSERT were lost on the way to its table")

// parseHead parses an INSERT up to the end of its first row; nil if its rows cannot be
// read beside it.
func (h *handler) parseHead(ctx *sql.Context, in insertRequest) sqlparser.Statement {
	head := in.head
	if len(head) <= MaxKeptText {
		head = strings.Clone(head) // the plan may be kept, and the text behind it should not be
	}
	stmt, _, _, err := h.engine.Parser.Parse(ctx, head, false)
	if err != nil {
		return nil // the whole text says it better
	}
	if values, ok := h.events.insertsRows(ctx, stmt); !ok || len(values.Values) != 1 || len(values.Values[0]) != in.rows.width {
		return nil
	}
	return stmt
}

// admit refuses what a session may not hold more of, or may not do now.
func (s *session) admit(ctx *sql.Context, stmt sqlparser.Statement) error {
	switch stmt.(type) {
	case *sqlparser.Prepare:
		if len(s.named) >= MaxPreparedStatements {
			return mysql.NewSQLError(codeTooManyStatements, stateSyntax,
				"Can't create more than max_prepared_stmt_count statements (current value: %d)", MaxPreparedStatements)
		}
	case *sqlparser.Insert, *sqlparser.Update, *sqlparser.Delete, *sqlparser.DDL, *sqlparser.DBDDL, *sqlparser.Load:
		if tx := ctx.GetTransaction(); tx != nil && tx.IsReadOnly() {
			return sql.ErrReadOnlyTransaction.New()
		}
	}
	return nil
}

// executionLimit is how long a SELECT may run: what it asks for, but no longer than
// the setting max_execution_time. 0 is no limit.
func (h *handler) executionLimit(ctx *sql.Context, stmt sqlparser.Statement) time.Duration {
	asked := executionLimit(ctx, stmt)
	if h.events == nil {
		return asked
	}
	most := h.events.Catalog().MaxExecutionTime()
	if _, ok := stmt.(sqlparser.SelectStatement); !ok || most == 0 || asked > 0 && asked < most {
		return asked
	}
	return most
}

// executionLimit is how long a SELECT may run: what its hint says, or else
// max_execution_time, which counts milliseconds. 0 is no limit.
func executionLimit(ctx *sql.Context, stmt sqlparser.Statement) time.Duration {
	if limit, ok := hintedTime(stmt); ok {
		return limit
	}
	if _, ok := stmt.(sqlparser.SelectStatement); !ok {
		return 0
	}
	v, err := ctx.GetSessionVariable(ctx, "max_execution_time")
	if err != nil {
		return 0
	}
	ms, _, err := types.Int64.Convert(ctx, v)
	if err != nil || ms == nil {
		return 0
	}
	return time.Duration(ms.(int64)) * time.Millisecond
}

// interruption is the reason for which a statement was stopped, nil if it was
// not. A statement that was stopped has failed, whatever it says: an iterator
// may have taken the end of its context for the end of its rows.
func interruption(ctx *sql.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	var made *mysql.SQLError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &made), errors.Is(cause, errClientGone):
		return cause
	default:
		return errInterrupted // KILL
	}
}

// noteFailure puts an error where SHOW WARNINGS finds it.
func noteFailure(ctx *sql.Context, err *mysql.SQLError) {
	ctx.Session.Warn(&sql.Warning{Level: "Error", Code: err.Num, Message: err.Message})
}

// bindingExprs gives the values of placeholders as expressions.
func bindingExprs(bindings map[string]*querypb.BindVariable) (map[string]sqlparser.Expr, error) {
	exprs := make(map[string]sqlparser.Expr, len(bindings))
	for name, b := range bindings {
		v, err := sqltypes.BindVariableToValue(b)
		if err != nil {
			return nil, err
		}
		if exprs[name], err = sqlparser.ExprFromValue(v); err != nil {
			return nil, err
		}
	}
	return exprs, nil
}

// hasEscape reports whether a placeholder's value may be a pattern with an
// escape character.
func hasEscape(bindings map[string]*querypb.BindVariable) bool {
	for _, b := range bindings {
		if bytes.IndexByte(b.Value, '\\') >= 0 {
			return true
		}
	}
	return false
}
