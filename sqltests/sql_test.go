// Package sqltests runs arbor as its users see it. Its SQL files, testdata/*.test,
// say what statements answer, and hold on every shape of storage: it must not
// matter whether events are in logs or in indexed files.
//
// A file is a list of commands of datadriven's, each with its answer. What they
// take is said at run; `make rewrite` writes the answers anew.
package sqltests

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/go-sql-driver/mysql"

	"arbor/cluster"
	"arbor/engine/vfs"
	"arbor/gateway"
	"arbor/sqltests/oracle"
	"arbor/sqltests/stack"
)

// member is a gateway with some storage below it.
type member struct {
	gateway *gateway.Gateway
	// index indexes all that is in logs.
	index func(closeDays bool) error
	// reopen restarts the member; nil where there is nothing to restart.
	reopen func() *gateway.Gateway
	// move goes on with the moves of a cluster that does not stand still; nil where
	// nothing moves.
	move func()
	// skips says which statements are left out; nil where all are run.
	skips func(statement string) bool
}

// shape is a way in which events are stored.
type shape struct {
	name string
	open func(t *testing.T) *member
	// after is run after each command, which are counted from 1.
	after func(m *member, n int) error
}

var shapes = []shape{
	{"model", openModel, func(*member, int) error { return nil }},
	{"logs", openStack, func(*member, int) error { return nil }},
	{"indexed", openStack, func(m *member, _ int) error { return m.index(true) }},
	{"after every statement", openStack, func(m *member, _ int) error { return m.index(false) }},
	{"mixed", openStack, func(m *member, n int) error {
		switch {
		case n%7 == 6:
			return m.index(true)
		case n%3 == 2:
			return m.index(false)
		}
		return nil
	}},
	{"three members", openThree, sometimes},
	{"three members with slots", openSlots, sometimes},
}

// openThree opens three members, each event on two of them. The first one's gateway
// has every question answered elsewhere.
func openThree(t *testing.T) *member { return openGroup(t, 1) }

// openSlots spreads users over slots besides, so that each of the members has a part
// of the answers.
func openSlots(t *testing.T) *member { return openGroup(t, 5) }

func openGroup(t *testing.T, slots uint16) *member {
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 2, Slots: slots, Far: true})
	m := memberOf(t, g, 3)
	m.index = func(closeDays bool) error { return g.Members[0].Cluster.Index(context.Background(), 0, closeDays) }
	return m
}

// sometimes indexes now and then.
func sometimes(m *member, n int) error {
	if n%5 == 4 {
		return m.index(n%10 == 9)
	}
	return nil
}

// showSlots are the files whose answers have the number of a user's slot, or how many
// there are.
var showSlots = []string{"arbor", "explain", "system_columns", "views"}

// openModel opens a gateway over the model that says what is right.
func openModel(t *testing.T) *member {
	model := oracle.New(nil)
	log := slog.New(slog.DiscardHandler)
	metadata, err := cluster.OpenMetadata(vfs.NewMem(), "catalog", log)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.New(metadata, model)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), metadata.Close()); err != nil {
			t.Error(err)
		}
	})
	g := gateway.New(gateway.Options{Cluster: c, Logger: log, Now: func() time.Time { return stack.Start }})
	return &member{gateway: g, index: func(bool) error { return nil }}
}

// openStack opens a gateway over the engine.
func openStack(t *testing.T) *member {
	s := stack.New(t)
	return &member{
		gateway: s.Gateway,
		index: func(closeDays bool) error {
			return s.Cluster.Index(context.Background(), 0, closeDays)
		},
		reopen: func() *gateway.Gateway {
			s.Reopen(t)
			return s.Gateway
		},
	}
}

// wide are the shapes on which the statements of BI tools are run, which are many.
var wide = map[string]bool{"logs": true, "indexed": true}

func TestSQL(t *testing.T) {
	tools, err := filepath.Glob("testdata/bi/*.test")
	if err != nil || len(tools) == 0 {
		t.Fatalf("no testdata of tools: %v", err)
	}
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, s := range slices.Concat(shapes, clusterShapes) {
		t.Run(s.name, func(t *testing.T) {
			for n, file := range files {
				name := strings.TrimSuffix(filepath.Base(file), ".test")
				t.Run(name, func(t *testing.T) {
					if s.name == "three members with slots" && slices.Contains(showSlots, name) {
						t.Skip("it shows slots")
					}
					if waitsForTurn(s, n) {
						t.Skip("it has its turn on another day, and with -mixed-turn=-1")
					}
					r := newRunner(t, s)
					datadriven.RunTest(t, file, r.run)
					if s.name == arrowShape && name == "select" && r.arrow < 50 {
						t.Errorf("%d queries were compared with their answer in Arrow", r.arrow)
					}
				})
			}
			if !wide[s.name] {
				return
			}
			for _, file := range tools {
				t.Run("bi "+strings.TrimSuffix(filepath.Base(file), ".test"), func(t *testing.T) {
					r := newRunner(t, s)
					datadriven.RunTest(t, file, r.run)
				})
			}
		})
	}
}

// runner runs a file's commands.
type runner struct {
	shape  shape
	member *member
	server *server
	// arrow counts the queries whose answer in Arrow was compared.
	arrow    int
	sessions map[string]*session
	values   map[string]string // of let
	count    int
}

// session is a client's connection.
type session struct {
	pool *sql.DB
	conn *sql.Conn
	// database is what the last USE named.
	database string
}

func newRunner(t *testing.T, s shape) *runner {
	r := &runner{shape: s, member: s.open(t), sessions: map[string]*session{}, values: map[string]string{}}
	r.server = serve(t, r.member.gateway)
	t.Cleanup(func() { r.disconnect(); r.server.stop(t) })
	return r
}

// server is a gateway's MySQL server on a loopback port.
type server struct {
	address string
	cancel  context.CancelFunc
	done    chan error
}

func serve(t *testing.T, g *gateway.Gateway) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{address: l.Addr().String(), cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- g.ServeMySQL(ctx, gateway.MySQLOptions{Listener: l}) }() // ends when ctx does
	return s
}

func (s *server) stop(t *testing.T) {
	s.cancel()
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

func (r *runner) disconnect() {
	for _, s := range r.sessions {
		s.conn.Close()
		s.pool.Close()
	}
	clear(r.sessions)
}

// session is the connection of a name, as a user; sessions of one name are one.
func (r *runner) session(t *testing.T, name, user string) *session {
	t.Helper()
	if s, ok := r.sessions[name]; ok {
		return s
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User = "tcp", r.server.address, user
	config.MultiStatements = false
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{pool: sql.OpenDB(connector)}
	if s.conn, err = s.pool.Conn(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.sessions[name] = s
	return s
}

// run runs one command:
//
//	statement [session=name] [user=name]   runs SQL, says how many rows it changed
//	query [sort] [columns] [session=…]     runs SQL, gives its rows, parted by |
//	prepared                               the first line is a JSON array of arguments
//	let name                               keeps the first value of a query as $name
//	index [close]                          indexes what is in logs
//	reopen                                 restarts the server
//
// Errors are shown as the client gets them.
func (r *runner) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if r.member.skips != nil && r.member.skips(strings.TrimSpace(d.Input)) {
		return d.Expected
	}
	if r.member.move != nil {
		r.member.move()
	}
	out := r.command(t, d)
	r.count++
	if err := r.shape.after(r.member, r.count); err != nil {
		t.Fatalf("%s: %v", d.Pos, err)
	}
	return out
}

func (r *runner) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	name, user := "", "root"
	d.MaybeScanArgs(t, "session", &name)
	d.MaybeScanArgs(t, "user", &user)
	switch d.Cmd {
	case "index":
		if err := r.member.index(d.HasArg("close")); err != nil {
			return err.Error() + "\n"
		}
		return ""
	case "reopen":
		if r.member.reopen != nil {
			r.disconnect()
			r.server.stop(t)
			r.server = serve(t, r.member.reopen())
		}
		return ""
	case "statement":
		return r.statement(t, r.session(t, name, user), d.Input)
	case "prepared":
		arguments, statement, _ := strings.Cut(d.Input, "\n")
		var args []any
		decoder := json.NewDecoder(strings.NewReader(arguments))
		decoder.UseNumber()
		if err := decoder.Decode(&args); err != nil {
			t.Fatalf("%s: arguments: %v", d.Pos, err)
		}
		return r.query(t, r.session(t, name, user), d, statement, args...)
	case "query":
		s := r.session(t, name, user)
		answer := r.query(t, s, d, d.Input)
		if r.shape.name == arrowShape && user == "root" && name == "" {
			r.compareArrow(t, s, r.expand(d.Input))
		}
		return answer
	case "let":
		var value string
		row := r.session(t, name, user).conn.QueryRowContext(context.Background(), r.expand(d.Input))
		if err := row.Scan(&value); err != nil {
			return shownError(err)
		}
		r.values["$"+d.CmdArgs[0].Key] = value
		return ""
	}
	t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	return ""
}

// expand puts the values of let into a statement.
func (r *runner) expand(statement string) string {
	for name, value := range r.values {
		statement = strings.ReplaceAll(statement, name, value)
	}
	return statement
}

func (r *runner) statement(t *testing.T, s *session, statement string) string {
	t.Helper()
	result, err := s.conn.ExecContext(context.Background(), r.expand(statement))
	if err != nil {
		return shownError(err)
	}
	if name, ok := strings.CutPrefix(strings.TrimSpace(statement), "USE "); ok {
		s.database = strings.Trim(name, "`;")
	}
	n, err := result.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("ok %d\n", n)
}

func (r *runner) query(t *testing.T, s *session, d *datadriven.TestData, statement string, args ...any) string {
	t.Helper()
	for i, a := range args {
		if n, ok := a.(json.Number); ok {
			if whole, err := n.Int64(); err == nil {
				args[i] = whole
			} else if args[i], err = n.Float64(); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows, err := s.conn.QueryContext(context.Background(), r.expand(statement), args...)
	if err != nil {
		return shownError(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = "NULL"
			if v.Valid {
				texts[i] = varying.ReplaceAllString(v.String, "…")
			}
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		return shownError(err)
	}
	if d.HasArg("sort") {
		slices.Sort(lines)
	}
	if d.HasArg("columns") {
		lines = append([]string{strings.Join(columns, "|")}, lines...)
	}
	if len(lines) == 0 {
		return "no rows\n"
	}
	return strings.Join(lines, "\n") + "\n"
}

// varying are ids and tokens, which differ from run to run.
var varying = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

func shownError(err error) string {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return "error: " + err.Error() + "\n"
	}
	return fmt.Sprintf("error %d (%s): %s\n", e.Number, e.SQLState[:], varying.ReplaceAllString(e.Message, "…"))
}
