package gateway

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// SHOW ERRORS and SHOW COUNT(*) WARNINGS or ERRORS, which the SQL library parses
// and does not know.

// diagnostics is such a statement in a form that it does know, nil for others.
func diagnostics(s sqlparser.Statement) sqlparser.Statement {
	show, ok := s.(*sqlparser.Show)
	if !ok {
		return nil
	}
	kind := strings.ToLower(show.Type)
	errors := kind == "errors"
	if !errors && (kind != "warnings" || !show.CountStar) {
		return nil
	}
	return sqlparser.InjectedStatement{
		Auth:      sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Statement: diagnosticsMark{errors: errors, count: show.CountStar},
	}
}

// diagnosticsMark makes the planned statement.
type diagnosticsMark struct{ errors, count bool }

// String is the statement.
func (m diagnosticsMark) String() string {
	switch {
	case m.errors && m.count:
		return "SHOW COUNT(*) ERRORS"
	case m.errors:
		return "SHOW ERRORS"
	}
	return "SHOW COUNT(*) WARNINGS"
}

// WithResolvedChildren takes the warnings before the statement's beginning clears them.
func (m diagnosticsMark) WithResolvedChildren(ctx context.Context, _ []any) (any, error) {
	c, ok := ctx.(*sql.Context)
	if !ok {
		return nil, sql.ErrInvalidType.New("context")
	}
	return &showDiagnostics{diagnosticsMark: m, all: c.Session.Warnings()}, nil
}

// showDiagnostics shows the errors of the statement before, or counts.
type showDiagnostics struct {
	diagnosticsMark
	all []*sql.Warning
}

var _ sql.ExecSourceRel = (*showDiagnostics)(nil)

// Schema has the columns of SHOW WARNINGS, or one count.
func (s *showDiagnostics) Schema(*sql.Context) sql.Schema {
	if !s.count {
		return plan.ShowWarnings(nil).Schema(nil)
	}
	name := "@@session.warning_count"
	if s.errors {
		name = "@@session.error_count"
	}
	return sql.Schema{{Name: name, Type: types.Int64}}
}

// Resolved is true.
func (s *showDiagnostics) Resolved() bool { return true }

// IsReadOnly is true.
func (s *showDiagnostics) IsReadOnly() bool { return true }

// Children are none.
func (s *showDiagnostics) Children() []sql.Node { return nil }

// WithChildren takes none.
func (s *showDiagnostics) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(s, len(children), 0)
	}
	return s, nil
}

// RowIter gives the rows, and keeps the warnings for the next one who asks.
func (s *showDiagnostics) RowIter(ctx *sql.Context, _ sql.Row) (sql.RowIter, error) {
	var rows []sql.Row
	for i := len(s.all) - 1; i >= 0; i-- { // the session gives the last one first
		ctx.Session.Warn(s.all[i])
	}
	for _, w := range s.all {
		if !s.errors || strings.EqualFold(w.Level, "Error") {
			rows = append(rows, sql.Row{w.Level, w.Code, w.Message})
		}
	}
	if s.count {
		rows = []sql.Row{{int64(len(rows))}}
	}
	return sql.RowsToRowIter(rows...), nil
}
