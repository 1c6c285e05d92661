// Package stack puts a whole member together inside a test, over files in memory
// and under a clock that the test moves: what main does, without sockets. It is
// asked as clients ask: events over HTTP, questions in SQL.
package stack

import (
	"context"
	"encoding/csv"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/vfs"
	"arbor/gateway"
)

// sortedRows has orders of few events sorted in parts, as those of many are.
const sortedRows = 64

// fewRows has workers scan few rows, as they scan many.
const fewRows = 16

// Stack is an open member.
type Stack struct {
	FS      vfs.FS
	Engine  *engine.Engine
	Cluster *cluster.Cluster
	Gateway *gateway.Gateway
	// Exports is where rows are written as files, from the next Open on.
	Exports gateway.Exports

	metadata *cluster.Metadata
	handler  http.Handler
	now      time.Time
	log      *slog.Logger
}

// Start is when a new stack's clock stands.
var Start = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// New opens a member over fresh files in memory. It is closed with the test.
func New(t testing.TB) *Stack {
	t.Helper()
	s := &Stack{FS: vfs.NewMem(), now: Start, log: slog.New(slog.DiscardHandler)}
	s.Open(t)
	t.Cleanup(func() { s.Close(t) })
	return s
}

// Now is the stack's clock.
func (s *Stack) Now() time.Time { return s.now }

// Advance moves the clock. Nothing may be running in the stack meanwhile.
func (s *Stack) Advance(d time.Duration) { s.now = s.now.Add(d) }

// Open opens the member over its files, as after a restart.
func (s *Stack) Open(t testing.TB) {
	t.Helper()
	metadata, err := cluster.OpenMetadata(s.FS, "data/catalog", s.log)
	if err != nil {
		t.Fatal(err)
	}
	s.metadata = metadata
	s.Engine, err = engine.Open(context.Background(), engine.Options{FS: s.FS, Dir: "data", Logger: s.log, Catalog: metadata.Catalog(), Now: s.Now, Manual: true, SortedRows: sortedRows, FewRows: fewRows, Functions: gateway.NewFunctions()})
	if err != nil {
		t.Fatal(err)
	}
	s.Cluster = cluster.New(metadata, s.Engine)
	s.Gateway = gateway.New(gateway.Options{Cluster: s.Cluster, Logger: s.log, Now: s.Now, Exports: s.Exports})
	s.handler = s.Gateway.HTTPHandler()
}

// Close closes the member; a second call does nothing.
func (s *Stack) Close(t testing.TB) {
	t.Helper()
	if s.Engine == nil {
		return
	}
	for _, c := range []func() error{s.Gateway.Close, s.Cluster.Close, s.Engine.Close, s.metadata.Close} {
		if err := c(); err != nil {
			t.Error(err)
		}
	}
	s.Engine = nil
}

// Reopen closes the member and opens it again.
func (s *Stack) Reopen(t testing.TB) {
	t.Helper()
	s.Close(t)
	s.Open(t)
}

// Tick lets the member do what is due by its clock: seal, index, close days,
// empty the trash. It returns when nothing more is due.
func (s *Stack) Tick(t testing.TB) {
	t.Helper()
	if err := s.Engine.Tick(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Purge forgets the dropped projects whose time has come, which must be so many.
func (s *Stack) Purge(t testing.TB, want int) {
	t.Helper()
	if n, err := s.Cluster.PurgeDropped(context.Background(), s.now); err != nil || n != want {
		t.Fatalf("purged %d projects, %v; want %d", n, err, want)
	}
}

// Handler answers HTTP requests.
func (s *Stack) Handler() http.Handler { return s.handler }

// Do sends an HTTP request as root from loopback.
func (s *Stack) Do(method, target, user, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:50000"
	req.SetBasicAuth(user, "")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	return w
}

// Query runs a statement and returns its rows as text, tab-separated, NULLs as \N.
func (s *Stack) Query(sql string) ([]string, error) {
	w := s.Do(http.MethodPost, "/query?format=csv&null=%5CN", "root", sql)
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("%d: %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	records, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(records) == 0 {
		return nil, err
	}
	var rows []string
	for _, r := range records[1:] {
		rows = append(rows, strings.Join(r, "\t"))
	}
	return rows, nil
}

// Rows is Query for statements that must succeed.
func (s *Stack) Rows(t testing.TB, sql string) []string {
	t.Helper()
	rows, err := s.Query(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// One is the only row of a statement that must succeed.
func (s *Stack) One(t testing.TB, sql string) string {
	t.Helper()
	rows := s.Rows(t, sql)
	if len(rows) != 1 {
		t.Fatalf("%s: %d rows, want one: %q", sql, len(rows), rows)
	}
	return rows[0]
}

// Project makes a project and returns its token.
func (s *Stack) Project(t testing.TB, name string) string {
	t.Helper()
	s.Rows(t, "CREATE DATABASE "+name)
	p, ok := s.Cluster.Catalog().Project(name)
	if !ok {
		t.Fatalf("project %s is not in the catalog", name)
	}
	return p.Token
}

// Change changes the catalog.
func (s *Stack) Change(t testing.TB, c catalog.Change) {
	t.Helper()
	if _, err := s.Cluster.Change(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// Import posts JSON to /import, which must store it all.
func (s *Stack) Import(t testing.TB, token, body string) {
	t.Helper()
	if w := s.Do(http.MethodPost, "/import", token, body); w.Code != http.StatusOK {
		t.Fatalf("import: %d %s", w.Code, w.Body)
	}
}
