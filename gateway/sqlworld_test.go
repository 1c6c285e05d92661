package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/cluster"
	"arbor/engine/vfs"
	"arbor/sqltests/oracle"
)

// sqlWorld is a gateway with the SQL library's engine over a model in the place
// of storage, and one session, asked without sockets.
type sqlWorld struct {
	t       testing.TB
	gateway *Gateway
	engine  *sqlEngine
	model   *oracle.Model
	session *session
	now     time.Time
	pids    atomic.Uint64
}

func newSQLWorld(t testing.TB) *sqlWorld {
	t.Helper()
	return newSQLWorldOver(t, func(m *oracle.Model) cluster.Local { return m })
}

// newSQLWorldOver puts something between the cluster and the model.
func newSQLWorldOver(t testing.TB, over func(*oracle.Model) cluster.Local) *sqlWorld {
	t.Helper()
	w := &sqlWorld{t: t, model: oracle.New(nil), now: time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)}
	w.model.Functions = NewFunctions()
	log := slog.New(slog.DiscardHandler)
	metadata, err := cluster.OpenMetadata(vfs.NewMem(), "catalog", log)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.New(metadata, over(w.model))
	t.Cleanup(func() { c.Close(); metadata.Close() })
	w.gateway = New(Options{Cluster: c, Logger: log, Now: func() time.Time {
		w.now = w.now.Add(time.Millisecond)
		return w.now
	}})
	w.engine, err = newSQLEngine(sqlEngineOptions{
		Provider: w.gateway.newProvider(), Parser: w.gateway.parserOverride(), Builder: w.gateway, Grants: w.gateway, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.session = newSession("test", sql.Client{User: "root", Address: "localhost"}, 1)
	return w
}

// listen serves the world to MySQL clients until the test ends, and gives the address.
func (w *sqlWorld) listen() string {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	o := MySQLOptions{Listener: l, Grace: time.Millisecond}
	if err := o.validate(); err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.engine.serve(ctx, o) }()
	w.t.Cleanup(func() { stop(); <-done })
	return l.Addr().String()
}

func (w *sqlWorld) context() *sql.Context {
	return sql.NewContext(context.Background(), sql.WithSession(w.session), sql.WithPid(w.pids.Add(1)),
		sql.WithProcessList(w.engine.gms.ProcessList))
}

// as is the world asked by another user.
func (w *sqlWorld) as(user string) *sqlWorld {
	other := &sqlWorld{t: w.t, gateway: w.gateway, engine: w.engine, model: w.model, now: w.now}
	other.session = newSession("test", sql.Client{User: user, Address: "localhost"}, 3)
	return other
}

// query runs a statement and gives its rows as text.
func (w *sqlWorld) query(statement string) (columns []string, rows [][]string, err error) {
	ctx := w.context()
	schema, iter, _, err := w.engine.gms.Query(ctx, statement)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range schema {
		columns = append(columns, c.Name)
	}
	for {
		row, err := iter.Next(ctx)
		if err == io.EOF {
			return columns, rows, iter.Close(ctx)
		}
		if err != nil {
			iter.Close(ctx)
			return nil, nil, err
		}
		var texts []string
		for i, v := range row {
			texts = append(texts, w.text(ctx, schema[i].Type, v))
		}
		rows = append(rows, texts)
	}
}

func (w *sqlWorld) text(ctx *sql.Context, t sql.Type, v any) string {
	if ok, is := v.(types.OkResult); is {
		s := fmt.Sprintf("OK %d", ok.RowsAffected)
		if ok.Info != nil {
			s += " " + ok.Info.String()
		}
		return s
	}
	value, err := t.SQL(ctx, nil, v)
	if err != nil {
		w.t.Fatalf("value %v of type %s: %v", v, t, err)
	}
	if value = asPrinted(value); value.IsNull() {
		return "NULL"
	}
	return value.ToString()
}

// must runs statements that have to succeed, and gives the last one's rows.
func (w *sqlWorld) must(statements ...string) [][]string {
	w.t.Helper()
	var rows [][]string
	for _, s := range statements {
		var err error
		if _, rows, err = w.query(s); err != nil {
			w.t.Fatalf("%s\n%v", s, err)
		}
	}
	return rows
}

// want runs a query and compares its rows, one a line, values parted by a space.
func (w *sqlWorld) want(query string, lines ...string) {
	w.t.Helper()
	_, rows, err := w.query(query)
	if err != nil {
		w.t.Errorf("%s\n%v", query, err)
		return
	}
	var got []string
	for _, r := range rows {
		got = append(got, strings.Join(r, " "))
	}
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		w.t.Errorf("%s\ngot\n  %s\nwant\n  %s", query, strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

// refused runs a statement that has to fail with that code and those words.
func (w *sqlWorld) refused(statement string, code int, words ...string) {
	w.t.Helper()
	_, _, err := w.query(statement)
	if err == nil {
		w.t.Errorf("%s\nwas not refused", statement)
		return
	}
	got := sqlError(err, func(string, error) {})
	if got.Num != code {
		w.t.Errorf("%s\ngot error %d %q, want %d", statement, got.Num, got.Message, code)
	}
	for _, word := range words {
		if !strings.Contains(got.Message, word) {
			w.t.Errorf("%s\nerror %q does not say %q", statement, got.Message, word)
		}
	}
}
