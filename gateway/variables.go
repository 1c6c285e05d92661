package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	_ "github.com/dolthub/go-mysql-server/sql/variables" // makes sql.SystemVariables

	"arbor/catalog"
)

// The session variables, which SET changes for one session only.
const (
	// variableDedupe is on, or off to see every copy of every event.
	variableDedupe = "arbor_dedupe"
	// variableAsOf is a moment or an ingest id: SELECT sees what had been taken
	// in by then. Empty means now.
	variableAsOf = "arbor_as_of"
	// variableIdempotencyKey gives the events of each INSERT that have no insert
	// id one made of the key and their place in the statement.
	variableIdempotencyKey = "arbor_idempotency_key"
)

var registerOnce sync.Once

// registerVariables adds the session variables to go-mysql-server's registry,
// which is the process's own. It runs before the first session is made.
func (g *Gateway) registerVariables() {
	registerOnce.Do(func() {
		session := sql.GetMysqlScope(sql.SystemVariableScope_Session)
		sql.SystemVariables.AddSystemVariables([]sql.SystemVariable{
			&sql.MysqlSystemVariable{Name: variableDedupe, Scope: session, Dynamic: true,
				Type: types.NewSystemBoolType(variableDedupe), Default: int8(1)},
			&sql.MysqlSystemVariable{Name: variableAsOf, Scope: session, Dynamic: true,
				Type: newCheckedVariable(variableAsOf, checkAsOf), Default: ""},
			&sql.MysqlSystemVariable{Name: variableIdempotencyKey, Scope: session, Dynamic: true,
				Type: newCheckedVariable(variableIdempotencyKey, checkIdempotencyVariable), Default: ""},
			// Older programs ask for these, which MySQL had for long.
			fixedVariable("have_ssl", "YES"), fixedVariable("have_openssl", "YES"), fixedVariable("have_query_cache", "NO"),
			fixedVariable("query_cache_type", "OFF"), fixedVariable("query_cache_size", "0"),
		})
	})
}

// fixedVariable is a variable of the server that only tells something.
func fixedVariable(name, value string) sql.SystemVariable {
	return &sql.MysqlSystemVariable{Name: name, Scope: sql.GetMysqlScope(sql.SystemVariableScope_Global), Type: types.NewSystemStringType(name), Default: value}
}

// stringVariable is what go-mysql-server's type of string variables satisfies.
type stringVariable interface {
	sql.SystemVariableType
	sql.StringType
}

// checkedVariable is the type of a string variable with a check of its own.
type checkedVariable struct {
	stringVariable
	check func(value any) (string, error)
}

func newCheckedVariable(name string, check func(any) (string, error)) sql.SystemVariableType {
	return checkedVariable{stringVariable: types.NewSystemStringType(name).(stringVariable), check: check}
}

// Convert checks a value that SET gives; NULL is the empty string.
func (t checkedVariable) Convert(_ context.Context, v any) (any, sql.ConvertInRange, error) {
	if v == nil {
		return "", sql.InRange, nil
	}
	s, err := t.check(v)
	return s, sql.InRange, err
}

// Equals compares by the variable's name, since functions do not compare.
func (t checkedVariable) Equals(other sql.Type) bool {
	o, ok := other.(checkedVariable)
	return ok && t.stringVariable.Equals(o.stringVariable)
}

func checkAsOf(v any) (string, error) {
	if s, ok := v.(string); ok && s == "" {
		return "", nil
	}
	id, err := parseAsOf(v)
	if err != nil {
		return "", refuseVariable(variableAsOf, v, err)
	}
	if t, ok := v.(time.Time); ok {
		return t.UTC().Format(datetimeLayout), nil
	}
	if id.IsZero() {
		return "", nil
	}
	return strings.TrimSpace(fmt.Sprint(v)), nil
}

func checkIdempotencyVariable(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		s = fmt.Sprint(v)
	}
	if err := checkIdempotencyKey(s); err != nil {
		return "", refuseVariable(variableIdempotencyKey, v, err)
	}
	return s, nil
}

const datetimeLayout = "2006-01-02 15:04:05.999999"

// parseAsOf reads what AS OF and arbor_as_of take: an ingest id, or a moment,
// in UTC, which stands for the last id that was stamped by then.
func parseAsOf(v any) (catalog.IngestID, error) {
	switch v := v.(type) {
	case time.Time:
		return lastIDAt(v.UnixMicro())
	case string:
		s := strings.TrimSpace(v)
		if id, err := catalog.ParseIngestID(strings.ToLower(s)); err == nil && !id.IsZero() {
			return id, nil
		}
		if micros, ok := catalog.ParseDatetime(s); ok {
			return lastIDAt(micros)
		}
	}
	return catalog.IngestID{}, fmt.Errorf("want a moment in UTC, such as '2026-05-01 12:00:00', or an ingest id of %d hexadecimal digits", 2*catalog.IngestIDSize)
}

// lastIDAt is the greatest ingest id whose time is at most that microsecond.
func lastIDAt(micros int64) (catalog.IngestID, error) {
	if micros < 0 {
		return catalog.IngestID{}, fmt.Errorf("the moment is before 1970: nothing had been taken in by then")
	}
	id := catalog.MaxIngestID
	if micros < 1<<63/1000 {
		id.Time = uint64(micros)*1000 + 999
	}
	return id, nil
}

// dedupeOff reports whether the session wants to see every copy.
func dedupeOff(ctx *sql.Context) bool {
	v, err := ctx.GetSessionVariable(ctx, variableDedupe)
	if err != nil {
		return false
	}
	on, err := sql.ConvertToBool(ctx, v)
	return err == nil && !on
}

// sessionAsOf is the session's arbor_as_of; zero means now.
func sessionAsOf(ctx *sql.Context) (catalog.IngestID, error) {
	s := sessionString(ctx, variableAsOf)
	if s == "" {
		return catalog.IngestID{}, nil
	}
	return parseAsOf(s)
}

func sessionString(ctx *sql.Context, name string) string {
	v, err := ctx.GetSessionVariable(ctx, name)
	if err != nil {
		return ""
	}
	s, _ := v.(string)
	return s
}

// statement is what a session keeps of the statement that runs: the catalog as
// it was when the statement first looked, so that all of its parts see the same
// columns. A session type has it by embedding; the zero value is ready.
type statement struct {
	mu      sync.Mutex // guards what follows
	pid     uint64
	began   time.Time
	catalog *catalog.Catalog
	views   viewReads
	columns columnCount
	// executed is set when the first node of its plan is.
	executed bool
}

func (s *statement) current() *statement { return s }

// statementHolder is a session that embeds a statement.
type statementHolder interface{ current() *statement }

// catalogFor is the catalog that the statement sees: the one in force when it
// first asked, or the newest where the session keeps none.
func (g *Gateway) catalogFor(ctx *sql.Context) *catalog.Catalog {
	h, ok := ctx.Session.(statementHolder)
	if !ok {
		return g.Catalog()
	}
	s := h.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalog == nil || s.pid != ctx.Pid() || !s.began.Equal(ctx.QueryTime()) {
		s.pid, s.began, s.catalog = ctx.Pid(), ctx.QueryTime(), g.Catalog()
		s.views, s.columns, s.executed = viewReads{}, columnCount{}, false
	}
	return s.catalog
}

// change makes a change of the catalog, which the statement sees from then on.
// Its errors still want catalogError.
func (g *Gateway) change(ctx *sql.Context, c catalog.Change) (*catalog.Catalog, error) {
	next, err := g.cluster.Change(ctx, c)
	if err != nil {
		return nil, err
	}
	if h, ok := ctx.Session.(statementHolder); ok {
		s := h.current()
		s.mu.Lock()
		s.catalog = next
		s.mu.Unlock()
	}
	return next, nil
}
