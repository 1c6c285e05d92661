package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
)

// OPTIMIZE TABLE indexes what a project has in logs, with FINAL it also makes
// each shard's files one; CHECK TABLE reads everything again and compares it
// with its checksums. Both answer as MySQL does: Table, Op, Msg_type, Msg_text.

// adminStatement is one of them.
type adminStatement struct {
	gateway *Gateway
	op      string // optimize or check
	tables  []sqlparser.TableName
	final   bool
}

var (
	_ sqlparser.Injectable = (*adminStatement)(nil)
	_ sql.ExecSourceRel    = (*adminStatement)(nil)
)

// admin parses text as an adminStatement. It gives nil for any other statement,
// and the length of what it read.
func (p *parser) admin(text string) (sqlparser.Statement, int, error) {
	s := &wordScanner{text: text}
	a := &adminStatement{gateway: p.gateway}
	privilege := sqlparser.AuthType_SELECT
	switch {
	case s.word("OPTIMIZE"):
		a.op = "optimize"
		privilege = sqlparser.AuthType_INSERT
		_ = s.word("NO_WRITE_TO_BINLOG") || s.word("LOCAL")
	case s.word("CHECK"):
		a.op = "check"
	default:
		return nil, 0, nil
	}
	if !s.word("TABLE") && !s.word("TABLES") {
		return nil, 0, nil
	}
	auth := sqlparser.AuthInformation{AuthType: privilege, TargetType: sqlparser.AuthTargetType_MultipleTableIdentifiers}
	for {
		table, ok := s.table()
		if !ok {
			return nil, s.at, fmt.Errorf("syntax error at position %d near '%s': want a table's name", s.at, clip(text[s.at:]))
		}
		a.tables = append(a.tables, table)
		auth.TargetNames = append(auth.TargetNames, table.DbQualifier.String(), table.Name.String())
		if !s.symbol(',') {
			break
		}
	}
	if a.op == "optimize" {
		a.final = s.word("FINAL")
	} else {
		for s.word("QUICK") || s.word("FAST") || s.word("MEDIUM") || s.word("EXTENDED") || s.word("CHANGED") {
		}
	}
	if s.space(); s.at < len(text) && text[s.at] != ';' {
		return nil, s.at, fmt.Errorf("syntax error at position %d near '%s'", s.at, clip(text[s.at:]))
	}
	return sqlparser.InjectedStatement{Auth: auth, Statement: a}, s.at, nil
}

// wordScanner reads a statement's text word by word.
type wordScanner struct {
	text string
	at   int
}

// space skips white space and comments.
func (w *wordScanner) space() {
	for w.at < len(w.text) {
		rest := w.text[w.at:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			w.at++
		case strings.HasPrefix(rest, "/*") && !strings.HasPrefix(rest, "/*!"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return
			}
			w.at += end + 2
		case rest[0] == '#' || strings.HasPrefix(rest, "-- "):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest) - 1
			}
			w.at += end + 1
		default:
			return
		}
	}
}

// word takes a word if it is next, in any case.
func (w *wordScanner) word(want string) bool {
	w.space()
	end := w.at + len(want)
	if end > len(w.text) || !strings.EqualFold(w.text[w.at:end], want) || end < len(w.text) && inName(w.text[end]|0x20) {
		return false
	}
	w.at = end
	return true
}

func (w *wordScanner) symbol(want byte) bool {
	w.space()
	if w.at >= len(w.text) || w.text[w.at] != want {
		return false
	}
	w.at++
	return true
}

// table takes [database.]table.
func (w *wordScanner) table() (sqlparser.TableName, bool) {
	first, ok := w.name()
	if !ok {
		return sqlparser.TableName{}, false
	}
	if !w.symbol('.') {
		return sqlparser.TableName{Name: sqlparser.NewTableIdent(first)}, true
	}
	second, ok := w.name()
	return sqlparser.TableName{DbQualifier: sqlparser.NewTableIdent(first), Name: sqlparser.NewTableIdent(second)}, ok
}

// name takes a name, quoted or not.
func (w *wordScanner) name() (string, bool) {
	w.space()
	if w.at < len(w.text) && w.text[w.at] == '`' {
		var name strings.Builder
		for i := w.at + 1; i < len(w.text); i++ {
			if w.text[i] != '`' {
				name.WriteByte(w.text[i])
				continue
			}
			if i+1 < len(w.text) && w.text[i+1] == '`' {
				name.WriteByte('`')
				i++
				continue
			}
			w.at = i + 1
			return name.String(), name.Len() > 0
		}
		return "", false
	}
	start := w.at
	for w.at < len(w.text) && inName(lower(w.text[w.at])) {
		w.at++
	}
	return w.text[start:w.at], w.at > start
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// WithResolvedChildren gives the statement as a node of the plan.
func (a *adminStatement) WithResolvedChildren(context.Context, []any) (any, error) { return a, nil }

func (a *adminStatement) String() string       { return strings.ToUpper(a.op) + " TABLE" }
func (a *adminStatement) Resolved() bool       { return true }
func (a *adminStatement) IsReadOnly() bool     { return a.op == "check" }
func (a *adminStatement) Children() []sql.Node { return nil }

// Schema is MySQL's.
func (a *adminStatement) Schema(*sql.Context) sql.Schema { return adminSchema }

var adminSchema = answerSchema(
	systemColumn{"Table", nameType, ""}, systemColumn{"Op", kindType, ""},
	systemColumn{"Msg_type", kindType, ""}, systemColumn{"Msg_text", stringType, ""})

// WithChildren takes none.
func (a *adminStatement) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(a, len(children), 0)
	}
	return a, nil
}

// RowIter runs the statement, table by table.
func (a *adminStatement) RowIter(ctx *sql.Context, _ sql.Row) (sql.RowIter, error) {
	var rows []sql.Row
	for _, table := range a.tables {
		database := table.DbQualifier.String()
		if database == "" {
			database = ctx.GetCurrentDatabase()
		}
		if database == "" {
			return nil, sql.ErrNoDatabaseSelected.New()
		}
		name := database + "." + table.Name.String()
		p, ok := a.gateway.catalogFor(ctx).Project(database)
		if ok && !isEventsTable(table.Name.String()) {
			if _, mutable := a.gateway.tablesOf(ctx).Table(uint32(p.ID), table.Name.String()); mutable {
				rows = append(rows, sql.Row{name, a.op, "status", "OK"}) // checked when it was read, and never in need of more
				continue
			}
		}
		if !ok || !isEventsTable(table.Name.String()) {
			rows = append(rows, sql.Row{name, a.op, "Error", fmt.Sprintf("Table '%s' doesn't exist", name)},
				sql.Row{name, a.op, "status", "Operation failed"})
			continue
		}
		found, err := a.run(ctx, p, name)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return sql.RowsToRowIter(rows...), nil
}

func (a *adminStatement) run(ctx *sql.Context, p *catalog.Project, name string) ([]sql.Row, error) {
	if a.op == "optimize" {
		if err := a.gateway.cluster.Index(ctx, p.ID, a.final); err != nil {
			return nil, err
		}
		return []sql.Row{{name, a.op, "status", "OK"}}, nil
	}
	checked, err := a.gateway.cluster.Check(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	places, corrupt := columnPlaces(checked), false
	var rows []sql.Row
	for _, values := range checked.Rows {
		problem := values[places["problem"]]
		if problem == catalog.Null {
			continue
		}
		kind := "warning" // it was repaired
		if !values[places["ok"]].Bool() {
			kind, corrupt = "error", true
		}
		rows = append(rows, sql.Row{name, a.op, kind, values[places["name"]].Text + ": " + problem.Text})
	}
	if corrupt {
		return append(rows, sql.Row{name, a.op, "error", "Corrupt"}), nil
	}
	return append(rows, sql.Row{name, a.op, "status", "OK"}), nil
}
