package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	gosql "database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	driver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
)

// The tests of the MySQL server run it over a loopback socket, with a provider
// of a few small tables in the place of arbor's.

// testProvider has one database, test, whose tables are given.
type testProvider struct {
	mu     sync.Mutex // guards names
	names  []string
	tables map[string]*testTable
}

func (p *testProvider) database(name string) sql.Database {
	return &testDatabase{name: name, provider: p}
}

func (p *testProvider) Database(_ *sql.Context, name string) (sql.Database, error) {
	if !p.HasDatabase(nil, name) {
		return nil, sql.ErrDatabaseNotFound.New(name)
	}
	return p.database(name), nil
}

func (p *testProvider) HasDatabase(_ *sql.Context, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.names, name)
}

func (p *testProvider) AllDatabases(*sql.Context) []sql.Database {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []sql.Database
	for _, n := range p.names {
		all = append(all, p.database(n))
	}
	return all
}

func (p *testProvider) CreateDatabase(_ *sql.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = append(p.names, name)
	return nil
}

func (p *testProvider) DropDatabase(_ *sql.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = slices.DeleteFunc(p.names, func(n string) bool { return n == name })
	return nil
}

func (p *testProvider) Function(_ *sql.Context, _, name string) (sql.Function, bool) {
	return ownFunction(name)
}

type testDatabase struct {
	name     string
	provider *testProvider
}

func (d *testDatabase) Name() string { return d.name }

func (d *testDatabase) GetTableInsensitive(_ *sql.Context, name string) (sql.Table, bool, error) {
	if d.name != "test" {
		return nil, false, nil
	}
	t, ok := d.provider.tables[strings.ToLower(name)]
	return t, ok, nil
}

func (d *testDatabase) GetTableNames(*sql.Context) ([]string, error) {
	var names []string
	for n := range d.provider.tables {
		names = append(names, n)
	}
	return names, nil
}

// testTable gives rows that next makes, and takes rows without keeping them.
type testTable struct {
	name   string
	schema sql.Schema
	next   func(ctx *sql.Context, i int) (sql.Row, error)
	insert func(ctx *sql.Context, row sql.Row) error
}

// rowsOf makes a table of fixed rows.
func rowsOf(name string, schema sql.Schema, rows ...sql.Row) *testTable {
	return &testTable{name: name, schema: schema, next: func(_ *sql.Context, i int) (sql.Row, error) {
		if i >= len(rows) {
			return nil, io.EOF
		}
		return rows[i], nil
	}}
}

func column(table, name string, t sql.Type) *sql.Column {
	return &sql.Column{Name: name, Type: t, Source: table, Nullable: true}
}

func (t *testTable) Name() string                   { return t.name }
func (t *testTable) String() string                 { return t.name }
func (t *testTable) Schema(*sql.Context) sql.Schema { return t.schema }
func (t *testTable) Collation() sql.CollationID     { return sql.Collation_Default }

func (t *testTable) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(testPartition{}), nil
}

func (t *testTable) PartitionRows(*sql.Context, sql.Partition) (sql.RowIter, error) {
	return &testRows{table: t}, nil
}

func (t *testTable) Inserter(*sql.Context) sql.RowInserter { return &testInserter{t} }

func (t *testTable) Updater(*sql.Context) sql.RowUpdater { return &testInserter{t} }

func (i *testInserter) Update(*sql.Context, sql.Row, sql.Row) error { return nil }

type testPartition struct{}

func (testPartition) Key() []byte { return []byte("only") }

type testRows struct {
	table *testTable
	i     int
}

func (r *testRows) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := r.table.next(ctx, r.i)
	r.i++
	return row, err
}

func (r *testRows) Close(*sql.Context) error { return nil }

type testInserter struct{ table *testTable }

func (i *testInserter) StatementBegin(*sql.Context)              {}
func (i *testInserter) DiscardChanges(*sql.Context, error) error { return nil }
func (i *testInserter) StatementComplete(*sql.Context) error     { return nil }
func (i *testInserter) Close(*sql.Context) error                 { return nil }
func (i *testInserter) Insert(ctx *sql.Context, row sql.Row) error {
	if i.table.insert == nil {
		return nil
	}
	return i.table.insert(ctx, row)
}

// memoryGrants keeps grants in memory.
type memoryGrants struct {
	mu   sync.Mutex // guards what follows
	blob []byte
	fail error
}

func (m *memoryGrants) Grants() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blob
}

func (m *memoryGrants) ReplaceGrants(_ context.Context, before, blob []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if !bytes.Equal(m.blob, before) {
		return catalog.ErrGrantsChanged
	}
	m.blob = blob
	return nil
}

// testServer is a MySQL server over a loopback socket.
type testServer struct {
	t        *testing.T
	engine   *sqlEngine
	provider *testProvider
	grants   *memoryGrants
	address  string
	log      *testLog
	stop     context.CancelFunc
	done     chan error
}

// testLog is what the server logs.
type testLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type serverOptions struct {
	tables []*testTable
	mysql  MySQLOptions
	limits queryLimits
	grants *memoryGrants
	listen func(net.Listener) net.Listener
}

func startServer(t *testing.T, o serverOptions) *testServer {
	t.Helper()
	provider := &testProvider{names: []string{"test"}, tables: map[string]*testTable{}}
	if o.grants == nil {
		o.grants = &memoryGrants{}
	}
	for _, table := range o.tables {
		provider.tables[table.name] = table
	}
	log := &testLog{}
	engine, err := newSQLEngine(sqlEngineOptions{Provider: provider, Grants: o.grants, Limits: o.limits,
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := serveEngine(t, engine, o)
	s.provider, s.grants, s.log = provider, o.grants, log
	return s
}

// serveEngine serves an engine over a loopback socket.
func serveEngine(t *testing.T, engine *sqlEngine, o serverOptions) *testServer {
	t.Helper()
	s := &testServer{t: t, engine: engine, done: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	if o.listen != nil {
		l = o.listen(l)
	}
	o.mysql.Listener = l
	if err := o.mysql.validate(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() { s.done <- s.engine.serve(ctx, o.mysql) }()
	t.Cleanup(s.close)
	return s
}

// close stops the server and waits for its end.
func (s *testServer) close() {
	s.stop()
	if s.done != nil {
		if err := <-s.done; err != nil {
			s.t.Errorf("serve: %v", err)
		}
		s.done = nil
	}
}

// open connects as a user, over TLS if a configuration is given.
func (s *testServer) open(user, password string, change ...func(*driver.Config)) *gosql.DB {
	s.t.Helper()
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", s.address, "test"
	c.AllowNativePasswords = true
	for _, f := range change {
		f(c)
	}
	connector, err := driver.NewConnector(c)
	if err != nil {
		s.t.Fatal(err)
	}
	db := gosql.OpenDB(connector)
	s.t.Cleanup(func() { db.Close() })
	return db
}

// conn is one connection as root.
func (s *testServer) conn(change ...func(*driver.Config)) *gosql.Conn {
	s.t.Helper()
	c, err := s.open("root", "", change...).Conn(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func withTLS(c *driver.Config) { c.TLS = &tls.Config{InsecureSkipVerify: true} }

// query runs a SELECT and gives its rows, a line each.
func rowsText(t *testing.T, c *gosql.Conn, q string, args ...any) (string, error) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), q, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return "", err
		}
		var line []string
		for _, v := range values {
			switch v := v.(type) {
			case nil:
				line = append(line, "NULL")
			case []byte:
				line = append(line, string(v))
			default:
				line = append(line, fmt.Sprint(v))
			}
		}
		lines = append(lines, strings.Join(line, "|"))
	}
	return strings.Join(lines, "\n"), rows.Err()
}

// mustQuery checks the rows of a SELECT.
func mustQuery(t *testing.T, c *gosql.Conn, q, want string, args ...any) {
	t.Helper()
	got, err := rowsText(t, c, q, args...)
	if err != nil {
		t.Errorf("%s: %v", q, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", q, diff)
	}
}

func mustExec(t *testing.T, c *gosql.Conn, q string, args ...any) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// wantError checks the code of an error and that its text has a part.
func wantError(t *testing.T, err error, code uint16, part string) {
	t.Helper()
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want error %d", err, code)
	}
	if e.Number != code || !strings.Contains(e.Message, part) {
		t.Errorf("got %v, want error %d with %q", e, code, part)
	}
}

// failing runs a statement that must fail.
func failing(t *testing.T, c *gosql.Conn, q string, code uint16, part string, args ...any) {
	t.Helper()
	_, err := rowsText(t, c, q, args...)
	if err == nil {
		t.Errorf("%s: no error, want %d", q, code)
		return
	}
	wantError(t, err, code, part)
}

// words is a table of strings and numbers.
func words() *testTable {
	return rowsOf("words", sql.Schema{
		column("words", "k", types.LongText), column("words", "n", types.Int64), column("words", "d", types.MustCreateDecimalType(10, 2)),
		column("words", "f", types.Float64),
	},
		sql.Row{"A", int64(1), decimal("1.10"), 0.5},
		sql.Row{"a", int64(2), decimal("2.20"), 0.25},
		sql.Row{"A", int64(4), decimal("3.30"), nil},
		sql.Row{nil, nil, nil, 1.0},
	)
}

func decimal(s string) any {
	d, _, err := types.InternalDecimalType.Convert(context.Background(), s)
	if err != nil {
		panic(err)
	}
	return d
}

// numbers is a table of the numbers from 0 up to n.
func numbers(n int) *testTable {
	return &testTable{name: "numbers", schema: sql.Schema{column("numbers", "i", types.Int64), column("numbers", "s", types.LongText)},
		next: func(_ *sql.Context, i int) (sql.Row, error) {
			if i >= n {
				return nil, io.EOF
			}
			return sql.Row{int64(i), fmt.Sprintf("row %d", i)}, nil
		}}
}

func (d *testDatabase) CreateView(*sql.Context, string, string, string) error { return nil }
func (d *testDatabase) DropView(*sql.Context, string) error                   { return nil }

func (d *testDatabase) GetViewDefinition(*sql.Context, string) (sql.ViewDefinition, bool, error) {
	return sql.ViewDefinition{}, false, nil
}

func (d *testDatabase) AllViews(*sql.Context) ([]sql.ViewDefinition, error) { return nil, nil }

func withMultiStatements(c *driver.Config) { c.MultiStatements = true }

func (d *testDatabase) GetTriggers(*sql.Context) ([]sql.TriggerDefinition, error) { return nil, nil }
func (d *testDatabase) CreateTrigger(*sql.Context, sql.TriggerDefinition) error   { return nil }
func (d *testDatabase) DropTrigger(*sql.Context, string) error                    { return nil }

// testTLS makes a certificate that nobody has signed.
func testTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (d *testDatabase) GetCollation(*sql.Context) sql.CollationID        { return sql.Collation_Default }
func (d *testDatabase) SetCollation(*sql.Context, sql.CollationID) error { return nil }
