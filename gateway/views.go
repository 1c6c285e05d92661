package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
)

// A view is the text of its CREATE VIEW, in the catalog. The planner parses it
// again whenever the view is read, as if the session had just written it: with
// the session's database for the names that have none, if it has one. So the
// planner gets the text with a mark in front, a comment that says whose view it
// is, and the parser puts that database where it is missing.

// maxViewReads is how many views a statement may read, those in views included.
// Views that read themselves, in a circle, end here.
const maxViewReads = 256

const (
	viewMark    = "/*arbor view of "
	viewMarkEnd = "*/"
)

func markedView(database string, v *catalog.View) sql.ViewDefinition {
	mark := viewMark + hex.EncodeToString([]byte(database)) + viewMarkEnd
	return sql.ViewDefinition{Name: v.Name, TextDefinition: v.Definition, CreateViewStatement: mark + v.Statement}
}

// viewOf is the database of the view that a marked text is the text of. Who
// writes a mark gets nothing by it: the view has to be there, word by word.
func (r *rewriter) viewOf(text string, view *sqlparser.DDL) (database string, ok bool) {
	text, ok = strings.CutPrefix(text, viewMark)
	if !ok {
		return "", false
	}
	name, text, ok := strings.Cut(text, viewMarkEnd)
	if !ok {
		return "", false
	}
	decoded, err := hex.DecodeString(name)
	if err != nil {
		return "", false
	}
	p, ok := r.catalog.Project(string(decoded))
	if !ok {
		return "", false
	}
	v, ok := p.View(view.ViewSpec.ViewName.Name.String())
	if !ok || sql.RemoveSpaceAndDelimiter(v.Statement, ';') != sql.RemoveSpaceAndDelimiter(text, ';') {
		return "", false
	}
	return p.Name, true
}

// placeView writes the database out that a CREATE VIEW is for. In the text of a
// view that is read, it does so for its tables too, and asks for no privilege to
// make the view: that was asked for when it was made.
func (r *rewriter) placeView(ctx context.Context, view *sqlparser.DDL, text string) {
	if database, ok := r.viewOf(text, view); ok {
		r.database = database
		view.ViewSpec.ViewName.DbQualifier = sqlparser.NewTableIdent(database)
		view.Auth = sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore}
		r.eachTable(view.ViewSpec.ViewExpr, func(t *sqlparser.AliasedTableExpr, name sqlparser.TableName) error {
			if name.DbQualifier.IsEmpty() {
				name.DbQualifier = sqlparser.NewTableIdent(database)
				t.Expr = name
				if names := t.Auth.TargetNames; len(names) == 2 && names[0] == "" {
					names[0] = database
				}
			}
			return nil
		})
		if c, ok := ctx.(*sql.Context); ok {
			if h, ok := c.Session.(statementHolder); ok {
				h.current().parsedView(database)
			}
		}
	}
	view.Table.DbQualifier = view.ViewSpec.ViewName.DbQualifier
}

// eachTable visits the tables that a tree reads. A name without a database that
// a common table expression bears too is left out, wherever it stands.
func (r *rewriter) eachTable(node sqlparser.SQLNode, each func(*sqlparser.AliasedTableExpr, sqlparser.TableName) error) error {
	r.findCTEs(node)
	return r.visit(func(n sqlparser.SQLNode) error {
		t, ok := n.(*sqlparser.AliasedTableExpr)
		if !ok || t == nil {
			return nil
		}
		name, ok := t.Expr.(sqlparser.TableName)
		if !ok || name.DbQualifier.IsEmpty() && (r.ctes[strings.ToLower(name.Name.String())] || strings.EqualFold(name.Name.String(), plan.DualTableName)) {
			return nil
		}
		return each(t, name)
	}, node)
}

// viewReads is what a statement keeps of the views that it reads.
type viewReads struct {
	count  int
	parses bool // the text of a view is parsed next because the view is read
	// lent is the database that the session says it is in, until one is looked
	// up. Empty means its own.
	lent string
}

// readsView counts a view that is read.
func (s *statement) readsView() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views.count++; s.views.count > maxViewReads {
		return refuse(erViewRecursion, "HY000", "the statement reads more than %d views: they may contain each other", maxViewReads)
	}
	s.views.parses = true
	return nil
}

// parsedView notes that the text of a view was parsed. information_schema does
// that for all there are, without reading them.
func (s *statement) parsedView(database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.views.parses {
		s.views.count = 0
	}
	s.views.parses, s.views.lent = false, database
}

func (s *statement) lend(database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views.lent = database
}

func (s *statement) lent() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.views.lent
}

// GetCurrentDatabase is the database that names without one are in. Before it
// goes on with a view, the planner wants some database to be the current one,
// though it makes no use of that: for a moment it is the view's.
func (s *session) GetCurrentDatabase() string {
	if lent := s.statement.lent(); lent != "" {
		return lent
	}
	return s.BaseSession.GetCurrentDatabase()
}

// createView runs a CREATE VIEW.
func (g *Gateway) createView(ctx *sql.Context, n *plan.CreateView) (sql.RowIter, error) {
	d, ok := projectDatabase(n.Database())
	if !ok {
		return nil, unsupported("CREATE VIEW in %s: views are the projects'", n.Database().Name())
	}
	_, exists := d.project.View(n.Name)
	switch {
	case n.IfNotExists && (exists || isEventsTable(n.Name) || d.hasMutable(ctx, n.Name)):
		return answerOK(ctx, types.NewOkResult(0)), nil
	case isEventsTable(n.Name) || d.hasMutable(ctx, n.Name):
		return nil, sql.ErrTableAlreadyExists.New(n.Name)
	case exists && !n.IsReplace:
		return nil, sql.ErrExistingView.New(d.project.Name, n.Name)
	}
	if err := g.checkView(ctx, d.project.Name, n.Name, n.CreateViewString); err != nil {
		return nil, err
	}
	if err := d.storeView(ctx, catalog.CreateView{
		Project: d.project.ID, Replace: n.IsReplace,
		View: catalog.View{Name: n.Name, Definition: n.Definition.TextDefinition, Statement: n.CreateViewString},
	}); err != nil {
		return nil, err
	}
	return answerOK(ctx, types.NewOkResult(0)), nil
}

// checkView refuses what would mean something else when the view is read, and a
// view that reads itself.
func (g *Gateway) checkView(ctx *sql.Context, database, name, text string) error {
	if sql.LoadSqlMode(ctx).ParserOptions() != (sqlparser.ParserOptions{}) {
		return unsupported("CREATE VIEW while sql_mode has ANSI_QUOTES or PIPES_AS_CONCAT, which are not kept with a view: SET sql_mode = '' first")
	}
	query, err := viewQuery(text)
	if err != nil {
		return err
	}
	r := &rewriter{catalog: g.catalogFor(ctx)}
	if current := ctx.GetCurrentDatabase(); current != database {
		if err := r.eachTable(query, func(_ *sqlparser.AliasedTableExpr, t sqlparser.TableName) error {
			if t.DbQualifier.IsEmpty() {
				return unsupported("CREATE VIEW in another database than the current one: write `%s`.`%s` for `%[2]s`", current, t.Name)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	found, err := r.reads(query, database, viewName{database: database, name: strings.ToLower(name)}, map[viewName]bool{})
	if err == nil && found {
		err = refuse(erViewRecursion, "HY000", "`%s`.`%s` contains view recursion", database, name)
	}
	return err
}

// viewQuery is the SELECT of a CREATE VIEW.
func viewQuery(text string) (sqlparser.SQLNode, error) {
	statement, err := sqlparser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse the text of a view: %w", err)
	}
	view, ok := statement.(*sqlparser.DDL)
	if !ok || view.ViewSpec == nil {
		return nil, fmt.Errorf("the text of a view is a %T", statement)
	}
	return view.ViewSpec.ViewExpr, nil
}

// viewName is a view of a database, in lower case.
type viewName struct{ database, name string }

// reads reports whether a query of a database reads a view, through whichever
// others. Views that were seen are not gone through again.
func (r *rewriter) reads(query sqlparser.SQLNode, database string, view viewName, seen map[viewName]bool) (bool, error) {
	found := false
	err := r.eachTable(query, func(_ *sqlparser.AliasedTableExpr, t sqlparser.TableName) error {
		read := viewName{database: database, name: strings.ToLower(t.Name.String())}
		if !t.DbQualifier.IsEmpty() {
			read.database = t.DbQualifier.String()
		}
		if found = found || read == view; found || seen[read] {
			return nil
		}
		seen[read] = true
		p, ok := r.catalog.Project(read.database)
		if !ok {
			return nil
		}
		v, ok := p.View(read.name)
		if !ok {
			return nil
		}
		query, err := viewQuery(v.Statement)
		if err != nil {
			return err
		}
		found, err = (&rewriter{catalog: r.catalog}).reads(query, read.database, view, seen)
		return err
	})
	return found, err
}

// projectDatabase is the project that a database is.
func projectDatabase(d sql.Database) (*database, bool) {
	if p, ok := d.(interface{ Unwrap() sql.Database }); ok {
		d = p.Unwrap()
	}
	project, ok := d.(*database)
	return project, ok
}

// CreateView stores a view in the catalog.
func (d *database) CreateView(ctx *sql.Context, name, selectStatement, createViewStmt string) error {
	return d.storeView(ctx, catalog.CreateView{
		Project: d.project.ID,
		View:    catalog.View{Name: name, Definition: selectStatement, Statement: createViewStmt},
	})
}

func (d *database) storeView(ctx *sql.Context, c catalog.CreateView) error {
	_, err := d.gateway.change(ctx, c)
	if errors.Is(err, catalog.ErrViewExists) {
		return sql.ErrExistingView.New(d.project.Name, c.View.Name)
	}
	return catalogError(err)
}

// DropView removes a view.
func (d *database) DropView(ctx *sql.Context, name string) error {
	_, err := d.gateway.change(ctx, catalog.DropView{Project: d.project.ID, Name: name})
	if errors.Is(err, catalog.ErrNoView) {
		return sql.ErrViewDoesNotExist.New(d.project.Name, name)
	}
	return catalogError(err)
}

// GetViewDefinition returns a view that is read.
func (d *database) GetViewDefinition(ctx *sql.Context, name string) (sql.ViewDefinition, bool, error) {
	v, ok := d.project.View(name)
	if !ok {
		return sql.ViewDefinition{}, false, nil
	}
	if h, ok := ctx.Session.(statementHolder); ok {
		if err := h.current().readsView(); err != nil {
			return sql.ViewDefinition{}, false, err
		}
	}
	return markedView(d.project.Name, v), true, nil
}

// AllViews lists the views.
func (d *database) AllViews(*sql.Context) ([]sql.ViewDefinition, error) {
	var all []sql.ViewDefinition
	for i := range d.project.Views {
		all = append(all, markedView(d.project.Name, &d.project.Views[i]))
	}
	return all, nil
}
