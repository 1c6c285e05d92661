package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
)

// systemDatabase is the database of tables about arbor itself.
const systemDatabase = "arbor"

// newProjectBuckets is how many user buckets a day of a new project has. One is
// what a single member wants: a file has one dictionary of everything, and scans
// are spread over the days.
const newProjectBuckets = 1

// provider gives go-mysql-server its databases: the live projects and arbor. It
// keeps nothing: what exists is what the catalog says.
type provider struct{ gateway *Gateway }

var (
	_ sql.MutableDatabaseProvider         = (*provider)(nil)
	_ sql.ExternalStoredProcedureProvider = (*provider)(nil)
	_ sql.FunctionProvider                = (*provider)(nil)
)

// newProvider makes the provider that the engine is built with.
func (g *Gateway) newProvider() sql.DatabaseProvider {
	g.registerVariables()
	installNamedColumns()
	return &provider{gateway: g}
}

// Database returns a live project, by its exact name, or arbor.
func (p *provider) Database(ctx *sql.Context, name string) (sql.Database, error) {
	if h, ok := ctx.Session.(statementHolder); ok {
		h.current().lend("")
	}
	if d, ok := p.gateway.systemDatabaseNamed(name); ok {
		return d, nil
	}
	if project, ok := p.gateway.catalogFor(ctx).Project(name); ok {
		return &database{gateway: p.gateway, project: project}, nil
	}
	return nil, sql.ErrDatabaseNotFound.New(name)
}

// HasDatabase takes a name in any case: go-mysql-server asks in lower case
// before it creates or drops one. No two projects differ only in case.
func (p *provider) HasDatabase(ctx *sql.Context, name string) bool {
	if _, ok := p.gateway.systemDatabaseNamed(name); ok {
		return true
	}
	for _, project := range p.gateway.catalogFor(ctx).Projects {
		if project.DroppedAt == 0 && strings.EqualFold(project.Name, name) {
			return true
		}
	}
	return false
}

// AllDatabases lists the live projects and arbor. The databases that tools probe
// are there when they are named.
func (p *provider) AllDatabases(ctx *sql.Context) []sql.Database {
	own, _ := p.gateway.systemDatabaseNamed(systemDatabase)
	all := []sql.Database{own}
	for _, project := range p.gateway.catalogFor(ctx).Projects {
		if project.DroppedAt == 0 {
			all = append(all, &database{gateway: p.gateway, project: project})
		}
	}
	return all
}

// CreateDatabase makes a project, with a token and a secret of its own.
func (p *provider) CreateDatabase(ctx *sql.Context, name string) error {
	_, err := p.gateway.change(ctx, catalog.CreateProject{
		Name: name, Token: newToken(), Secret: newToken(), Buckets: newProjectBuckets,
		At: p.gateway.now().UnixMicro(),
	})
	if errors.Is(err, catalog.ErrProjectExists) {
		return sql.ErrDatabaseExists.New(name)
	}
	return catalogError(err)
}

// DropDatabase marks a project as dropped; its data stays for a while, and
// CALL arbor.undrop_database brings it back.
func (p *provider) DropDatabase(ctx *sql.Context, name string) error {
	if d, ok := p.gateway.systemDatabaseNamed(name); ok {
		return refuse(erReadOnlyTable, "HY000", "database '%s' is arbor's own and cannot be dropped", d.name)
	}
	project, ok := p.gateway.catalogFor(ctx).Project(name)
	if !ok {
		return sql.ErrDatabaseNotFound.New(name)
	}
	_, err := p.gateway.change(ctx, catalog.DropProject{ID: project.ID, At: p.gateway.now().UnixMicro()})
	return catalogError(err)
}

// Function gives the functions that stand in for go-mysql-server's own.
func (p *provider) Function(_ *sql.Context, _, name string) (sql.Function, bool) {
	return p.gateway.function(name)
}

// ExternalStoredProcedure gives the procedure of that name; all of them belong
// to arbor, whatever database the call names.
func (p *provider) ExternalStoredProcedure(_ *sql.Context, name string, params int) (*sql.ExternalStoredProcedureDetails, error) {
	return p.gateway.procedure(name, params)
}

// ExternalStoredProcedures lists the forms of a procedure.
func (p *provider) ExternalStoredProcedures(_ *sql.Context, name string) ([]sql.ExternalStoredProcedureDetails, error) {
	return p.gateway.procedureForms(name), nil
}

// newToken makes a token or a secret: 32 hexadecimal digits, as Mixpanel's.
func newToken() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}
