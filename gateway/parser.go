package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
)

// The parser stands between the stock one and the engine for two things that
// go-mysql-server has no other seam for.
//
// System columns (_ingest_id and its kin) are read when they are named and stay
// out of SELECT *. The planner knows hidden columns only by a prefix that no
// name can be written with. So a table shows its system columns only to a
// statement whose text names one: there the parser marks the tables, with an AS
// OF that nobody can write (systemMark), and writes the columns of * out, for
// the tables that would show more. All other statements pass untouched.
//
// Functions over events in their order get the columns that order them
// (writeOrders), which is to name a system column.
//
// OPTIMIZE TABLE and CHECK TABLE, which the stock grammar lacks, become nodes of
// our own (adminStatement).

// parserOverride is the parser that the engine is built with.
func (g *Gateway) parserOverride() sql.Parser {
	return &parser{Parser: sql.NewMysqlParser(), gateway: g}
}

type parser struct {
	sql.Parser
	gateway *Gateway
}

func (p *parser) ParseSimple(query string) (sqlparser.Statement, error) {
	if statement, _, err := p.admin(query); statement != nil || err != nil {
		return statement, err
	}
	statement, err := p.Parser.ParseSimple(query)
	if err != nil {
		return nil, err
	}
	return statement, p.rewrite(context.Background(), statement, query)
}

func (p *parser) Parse(ctx *sql.Context, query string, multi bool) (sqlparser.Statement, string, string, error) {
	return p.ParseWithOptions(ctx, query, ';', multi, sql.LoadSqlMode(ctx).ParserOptions())
}

func (p *parser) ParseWithOptions(ctx context.Context, query string, delimiter rune, multi bool, options sqlparser.ParserOptions) (sqlparser.Statement, string, string, error) {
	if statement, length, err := p.admin(query); statement != nil || err != nil {
		if !multi && strings.Trim(query[length:], "; \t\r\n") != "" {
			return nil, "", "", fmt.Errorf("syntax error at position %d: only one statement is allowed", length)
		}
		return statement, query[:length], strings.TrimLeft(query[length:], "; \t\r\n"), err
	}
	statement, parsed, rest, err := p.Parser.ParseWithOptions(ctx, query, delimiter, multi, options)
	if err != nil {
		return nil, parsed, rest, err
	}
	return statement, parsed, rest, p.rewrite(ctx, statement, parsed)
}

func (p *parser) ParseOneWithOptions(ctx context.Context, query string, options sqlparser.ParserOptions) (sqlparser.Statement, int, error) {
	if statement, length, err := p.admin(query); statement != nil || err != nil {
		return statement, length, err
	}
	statement, next, err := p.Parser.ParseOneWithOptions(ctx, query, options)
	if err != nil {
		return nil, next, err
	}
	return statement, next, p.rewrite(ctx, statement, query)
}

// namesSystemColumn reports whether a statement's text holds the name of a
// system column, in whatever sense: more tables marked do no harm.
func namesSystemColumn(text string) bool {
	if !strings.Contains(text, "_") {
		return false
	}
	lower := strings.ToLower(text)
	for _, name := range catalog.SystemColumns {
		for rest := lower; ; {
			i := strings.Index(rest, name)
			if i < 0 {
				break
			}
			end := i + len(name)
			if (i == 0 || !inName(rest[i-1])) && (end == len(rest) || !inName(rest[end])) {
				return true
			}
			rest = rest[end:]
		}
	}
	return false
}

// inName reports whether a name can go on with that byte without being quoted.
func inName(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z'
}

// rewrite makes the system columns readable where the statement names one.
func (p *parser) rewrite(ctx context.Context, statement sqlparser.Statement, text string) error {
	r := &rewriter{catalog: p.gateway.Catalog()}
	if c, ok := ctx.(*sql.Context); ok {
		r.catalog = p.gateway.catalogFor(c)
		r.database = c.GetCurrentDatabase()
	}
	if view, ok := statement.(*sqlparser.DDL); ok && view.ViewSpec != nil {
		r.placeView(ctx, view, text)
	}
	if err := r.checkRename(statement); err != nil {
		return err
	}
	deletes, isDelete := deleteOf(statement)
	if isDelete {
		boundDelete(deletes)
		var leaves []sqlparser.TableExpr
		for _, t := range deletes.TableExprs {
			leaves = appendLeaves(leaves, t, new(bool))
		}
		for _, leaf := range leaves {
			if t, ok := leaf.(*sqlparser.AliasedTableExpr); ok {
				r.mark(t)
			}
		}
	}
	system, ordered := namesSystemColumn(text), selects(statement) && namesOrdered(text)
	if !system && !ordered {
		return nil
	}
	r.findCTEs(statement)
	if ordered {
		written, err := r.writeOrders(statement)
		if err != nil {
			return err
		}
		system = system || written
	}
	if !system {
		return nil
	}
	return r.walk(statement)
}

// deleteOf is the DELETE that a statement is or explains. It reads the system
// columns of its tables, to know what to delete.
func deleteOf(statement sqlparser.Statement) (*sqlparser.Delete, bool) {
	if e, ok := statement.(*sqlparser.Explain); ok {
		return deleteOf(e.Statement)
	}
	d, ok := statement.(*sqlparser.Delete)
	return d, ok
}

// rewriter walks a statement's tree and changes it in place.
type rewriter struct {
	catalog  *catalog.Catalog
	database string          // where names without a database are
	ctes     map[string]bool // names of common table expressions, in lower case
	// withs are their SELECTs, where there is one of a name and it is no UNION.
	withs map[string]*sqlparser.Select
	// defines are the names of those of whose definition a SELECT is a part: to
	// it they mean something else.
	defines map[*sqlparser.Select]map[string]bool
}

func (r *rewriter) findCTEs(node sqlparser.SQLNode) {
	r.ctes, r.withs, r.defines = map[string]bool{}, map[string]*sqlparser.Select{}, map[*sqlparser.Select]map[string]bool{}
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if cte, ok := n.(*sqlparser.CommonTableExpr); ok && cte != nil {
			name := strings.ToLower(cte.As.String())
			r.withs[name] = nil
			if q, ok := cte.Expr.(*sqlparser.Subquery); ok && !r.ctes[name] && len(cte.Columns) == 0 {
				r.withs[name] = plainSelectOf(q)
			}
			r.ctes[name] = true
			r.define(name, cte.Expr)
		}
		return true, nil
	}, node)
}

// define notes the SELECTs of a common table expression's definition.
func (r *rewriter) define(name string, definition sqlparser.SQLNode) {
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if s, ok := n.(*sqlparser.Select); ok && s != nil {
			if r.defines[s] == nil {
				r.defines[s] = map[string]bool{}
			}
			r.defines[s][name] = true
		}
		return true, nil
	}, definition)
}

// walk shows the system columns everywhere in a tree.
func (r *rewriter) walk(node sqlparser.SQLNode) error {
	return r.visit(func(n sqlparser.SQLNode) error {
		switch n := n.(type) {
		case *sqlparser.Select:
			if n != nil {
				return r.writeStarsOut(n)
			}
		case *sqlparser.AliasedTableExpr:
			if n != nil {
				r.mark(n)
			}
		}
		return nil
	}, node)
}

// visit visits a tree, with the branches that sqlparser.Walk leaves out.
func (r *rewriter) visit(each func(sqlparser.SQLNode) error, nodes ...sqlparser.SQLNode) error {
	return sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if err := each(n); err != nil {
			return false, err
		}
		switch n := n.(type) {
		case *sqlparser.Explain:
			return false, r.visit(each, n.Statement)
		case *sqlparser.SetOp:
			if n.With != nil {
				if err := r.visit(each, n.With); err != nil {
					return false, err
				}
			}
			return true, r.visit(each, n.OrderBy)
		case *sqlparser.Select:
			if n == nil {
				return false, nil
			}
			return true, r.visit(each, n.Window)
		}
		return true, nil
	}, nodes...)
}

// project is the project whose events the table expression reads, if it does.
func (r *rewriter) project(t sqlparser.TableExpr) (*catalog.Project, bool) {
	aliased, ok := t.(*sqlparser.AliasedTableExpr)
	if !ok {
		return nil, false
	}
	name, ok := aliased.Expr.(sqlparser.TableName)
	if !ok || !isEventsTable(name.Name.String()) {
		return nil, false
	}
	database := name.DbQualifier.String()
	if database == "" {
		database = r.database
	}
	return r.catalog.Project(database)
}

// mark lets a reference to events show the system columns. A common table
// expression of that name takes no notice of an AS OF.
func (r *rewriter) mark(t *sqlparser.AliasedTableExpr) {
	if _, ok := r.project(t); !ok {
		return
	}
	var children sqlparser.Exprs
	if t.AsOf != nil {
		if t.AsOf.Time == nil {
			return
		}
		if _, marked := t.AsOf.Time.(sqlparser.InjectedExpr); marked {
			return
		}
		children = sqlparser.Exprs{t.AsOf.Time}
	}
	t.AsOf = &sqlparser.AsOf{Time: sqlparser.InjectedExpr{
		Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Expression: systemMark{},
		Children:   children,
	}}
}

// writeStarsOut puts the columns that * stands for in its place, where a table
// shows its system columns besides.
func (r *rewriter) writeStarsOut(s *sqlparser.Select) error {
	if !hasStar(s.SelectExprs) {
		return nil
	}
	var leaves []sqlparser.TableExpr
	merged := false // a join makes two columns one
	for _, t := range s.From {
		leaves = appendLeaves(leaves, t, &merged)
	}
	if !r.anyEvents(leaves) {
		return nil
	}
	var out sqlparser.SelectExprs
	for _, e := range s.SelectExprs {
		star, ok := e.(*sqlparser.StarExpr)
		if !ok {
			out = append(out, e)
			continue
		}
		if star.TableName.IsEmpty() && merged {
			return fmt.Errorf("* of a NATURAL or USING join cannot stand beside a system column: name the columns that you want")
		}
		for _, leaf := range leaves {
			if star.TableName.IsEmpty() || names(leaf, star.TableName) {
				columns, err := r.columnsOf(leaf)
				if err != nil {
					return err
				}
				out = append(out, columns...)
			}
		}
	}
	s.SelectExprs = out
	return nil
}

// columnsOf is what * stands for in one table.
func (r *rewriter) columnsOf(t sqlparser.TableExpr) (sqlparser.SelectExprs, error) {
	q := qualifier(t)
	p, ok := r.project(t)
	if !ok {
		return sqlparser.SelectExprs{&sqlparser.StarExpr{TableName: q}}, nil
	}
	if name := t.(*sqlparser.AliasedTableExpr).Expr.(sqlparser.TableName); name.DbQualifier.IsEmpty() && r.ctes[strings.ToLower(name.Name.String())] {
		return nil, fmt.Errorf("* of %s cannot stand beside a system column where a common table expression bears that name too: name the columns that you want", name.Name.String())
	}
	var out sqlparser.SelectExprs
	for _, name := range visibleColumns(p) {
		out = append(out, &sqlparser.AliasedExpr{Expr: &sqlparser.ColName{Name: sqlparser.NewColIdent(name), Qualifier: q}})
	}
	return out, nil
}
