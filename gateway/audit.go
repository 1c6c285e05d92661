package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"
	driver "github.com/go-sql-driver/mysql"

	"arbor/catalog"
	"arbor/gateway/audit"
)

// AuditTrail is where is written down who did what. main plugs it in; the gateway
// touches no file.
type AuditTrail interface {
	// Note writes a record down, and Begin one of something that is about to be done,
	// which is on disk when it returns. End says how that ended.
	Note(audit.Record) error
	Begin(audit.Record) (id uint64, err error)
	End(id uint64, outcome string, code uint16) error
}

// Kinds of what is written down.
const (
	auditLogin   = "login"
	auditUser    = "user"    // users, their privileges and passwords
	auditRole    = "role"    // roles, and who has which
	auditSchema  = "ddl"     // databases, tables, views, columns, indexes; TRUNCATE
	auditSetting = "setting" // of the server, and global variables
	auditCall    = "call"    // other procedures
	auditToken   = "token"   // new tokens and secrets
	auditErasure = "erasure"
	auditDelete  = "delete"
	auditExport  = "export"
	auditRestore = "restore" // of events from a backup
	auditAdmin   = "admin"   // OPTIMIZE, CHECK, FLUSH, KILL
)

// auditEntry is a statement that was written down before it runs.
type auditEntry struct {
	trail AuditTrail
	id    uint64
}

// auditStatement writes a statement down if it is of the kind, before it runs. One that
// cannot be written down does not run.
func (h *handler) auditStatement(ctx *sql.Context, c *mysql.Conn, stmt sqlparser.Statement, text string, given map[string]*querypb.BindVariable) (*auditEntry, error) {
	if h.events == nil || h.events.audit == nil {
		return nil, nil
	}
	if run, ok := stmt.(*sqlparser.Execute); ok {
		s := sessionOf(ctx)
		if s == nil || s.named[run.Name] == nil {
			return nil, nil
		}
		stmt, given = s.named[run.Name], nil
		text = sqlparser.String(stmt)
	}
	kind := auditKind(stmt)
	if kind == "" {
		return nil, nil
	}
	if strings.Contains(text, "/*!") || strings.Contains(text, "/*M!") {
		text = sqlparser.String(stmt) // parts of it stand in comments
	}
	r := auditOf(ctx, c, kind)
	r.Project, r.ProjectID = h.events.auditProject(ctx, stmt)
	r.Statement = auditText(text, given, auditMaskOf(stmt))
	id, err := h.events.audit.Begin(r)
	if err != nil {
		return nil, mysql.NewSQLError(codeUnknown, stateGeneral, "The statement was not run, since it could not be written into the audit trail: %s", err)
	}
	return &auditEntry{h.events.audit, id}, nil
}

// end writes down how the statement ended.
func (e *auditEntry) end(h *handler, failure *mysql.SQLError) {
	if e == nil {
		return
	}
	if failure == nil {
		e.ended(h.logger, nil)
		return
	}
	e.ended(h.logger, failure)
}

// ended writes down how it ended.
func (e *auditEntry) ended(logger *slog.Logger, err error) {
	if e == nil {
		return
	}
	outcome, code := audit.OK, uint16(0)
	if err != nil {
		outcome = audit.Failed
		var failure *mysql.SQLError
		var driven *driver.MySQLError
		switch {
		case errors.As(err, &failure):
			code = uint16(failure.Num)
		case errors.As(err, &driven):
			code = driven.Number
		}
	}
	if err := e.trail.End(e.id, outcome, code); err != nil {
		logger.Error("write an end into the audit trail", "record", e.id, "error", err)
	}
}

// auditExport writes an export down, before it begins.
func (g *Gateway) auditExport(r *http.Request, p *catalog.Project) (*auditEntry, error) {
	if g.audit == nil {
		return nil, nil
	}
	user, password, _ := r.BasicAuth()
	if by, ok := g.secretProject(user, password); ok {
		user = readerName(by)
	}
	what := []string{"GET /api/2.0/export"}
	for _, name := range []string{"from_date", "to_date", "event", "limit"} {
		if v := r.Form.Get(name); v != "" {
			what = append(what, name+"="+v)
		}
	}
	if r.Form.Get("where") != "" {
		what = append(what, "where="+masked)
	}
	id, err := g.audit.Begin(audit.Record{Kind: auditExport, User: user, Address: hostOf(remoteAddr(r)), Via: "http",
		Project: p.Name, ProjectID: uint32(p.ID), Statement: strings.Join(what, " ")})
	if err != nil {
		return nil, fmt.Errorf("write the export into the audit trail: %w", err)
	}
	return &auditEntry{g.audit, id}, nil
}

// auditOf is a record of what a connection's user does.
func auditOf(ctx *sql.Context, c *mysql.Conn, kind string) audit.Record {
	client := ctx.Session.Client()
	return audit.Record{Kind: kind, User: client.User, Host: client.Address, Address: hostOf(c.RemoteAddr()),
		Via: viaOf(c), Connection: c.ConnectionID}
}

// viaOf is how a client came: by MySQL's protocol, or over HTTP.
func viaOf(c *mysql.Conn) string {
	if w, ok := c.Conn.(*wire); ok {
		if _, inside := w.Conn.(*pipe); inside {
			return "http"
		}
	}
	return "mysql"
}

// auditKind is the kind of a statement; empty for those that are not written down.
func auditKind(stmt sqlparser.Statement) string {
	switch s := stmt.(type) {
	case *sqlparser.CreateUser, *sqlparser.DropUser, *sqlparser.RenameUser, *sqlparser.GrantPrivilege, *sqlparser.RevokePrivilege,
		*sqlparser.GrantProxy, *sqlparser.RevokeProxy:
		return auditUser
	case *sqlparser.CreateRole, *sqlparser.DropRole, *sqlparser.GrantRole, *sqlparser.RevokeRole:
		return auditRole
	case *sqlparser.DDL:
		if s.Authentication != nil || !s.User.IsEmpty() {
			return auditUser
		}
		return auditSchema
	case *sqlparser.DBDDL, *sqlparser.AlterTable:
		return auditSchema
	case *sqlparser.Set:
		for _, e := range s.Exprs {
			switch {
			case strings.EqualFold(e.Name.Name.String(), "password"):
				return auditUser
			case e.Scope == sqlparser.SetScope_Global, e.Scope == sqlparser.SetScope_Persist, e.Scope == sqlparser.SetScope_PersistOnly,
				strings.HasPrefix(strings.ToLower(e.Name.Name.String()), "@@global."):
				return auditSetting
			}
		}
	case *sqlparser.Call:
		return auditCallKind(s)
	case *sqlparser.Delete:
		return auditDelete
	case *sqlparser.Explain:
		if s.Analyze {
			return auditKind(s.Statement)
		}
	case *sqlparser.Kill, *sqlparser.Flush:
		return auditAdmin
	case sqlparser.InjectedStatement:
		switch s.Statement.(type) {
		case *adminStatement:
			return auditAdmin
		case accountChange:
			return auditUser
		}
	}
	return ""
}

func auditCallKind(s *sqlparser.Call) string {
	switch strings.ToLower(s.ProcName.Name.String()) {
	case "rotate_token":
		return auditToken
	case "erase_user":
		return auditErasure
	case "export":
		return auditExport
	case "set_setting", "set_write_quorum", "stage", "promote", "rollback":
		return auditSetting
	}
	return auditCall
}

// auditProject is the one live project that a statement is about.
func (g *Gateway) auditProject(ctx *sql.Context, stmt sqlparser.Statement) (string, uint32) {
	names := make(map[string]bool)
	add := func(name string) {
		if name == "" {
			name = ctx.GetCurrentDatabase()
		}
		names[strings.ToLower(name)] = true
	}
	switch s := stmt.(type) {
	case *sqlparser.GrantPrivilege:
		add(s.PrivilegeLevel.Database)
	case *sqlparser.RevokePrivilege:
		add(s.PrivilegeLevel.Database)
	case *sqlparser.DBDDL:
		add(s.DBName)
	case *sqlparser.Call:
		add(g.auditCallProject(s))
	case sqlparser.InjectedStatement:
		if a, ok := s.Statement.(*adminStatement); ok {
			for _, t := range a.tables {
				add(t.DbQualifier.String())
			}
		}
	case *sqlparser.DDL, *sqlparser.AlterTable, *sqlparser.Delete, *sqlparser.Explain:
		addTableDatabases(reflect.ValueOf(stmt), add)
	}
	if len(names) != 1 {
		return "", 0
	}
	for name := range names {
		for _, p := range g.catalogFor(ctx).Projects {
			if p.DroppedAt == 0 && strings.EqualFold(p.Name, name) {
				return p.Name, uint32(p.ID)
			}
		}
		if _, ok := stmt.(*sqlparser.DBDDL); ok {
			return name, 0 // which it makes
		}
	}
	return "", 0
}

// auditCallProject is the project that a procedure is called for, "*" if it is for none.
func (g *Gateway) auditCallProject(s *sqlparser.Call) string {
	for _, p := range g.procedures() {
		if !strings.EqualFold(p.name, s.ProcName.Name.String()) || len(s.Params) == 0 ||
			!strings.HasPrefix(p.parameters, "project") && p.name != "undrop_database" {
			continue
		}
		if l, ok := s.Params[0].(*sqlparser.SQLVal); ok && l.Type == sqlparser.StrVal {
			return string(l.Val)
		}
	}
	return "*"
}

// addTableDatabases calls add for the database of each table that a syntax tree names.
func addTableDatabases(v reflect.Value, add func(string)) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			addTableDatabases(v.Elem(), add)
		}
	case reflect.Struct:
		if t, ok := v.Interface().(sqlparser.TableName); ok {
			if !t.IsEmpty() {
				add(t.DbQualifier.String())
			}
			return
		}
		if v.Type() == reflect.TypeFor[sqlparser.ColName]() {
			return // its table is among the others
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Type != authType {
				addTableDatabases(v.Field(i), add)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			addTableDatabases(v.Index(i), add)
		}
	}
}
