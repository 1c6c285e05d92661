package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"arbor/catalog"
	"arbor/engine/event"
)

// query asks POST /query as a client on this machine would.
func (w *httpWorld) query(t testing.TB, target, body string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Auth" {
			user, password, _ := strings.Cut(header[i+1], ":")
			r.SetBasicAuth(user, password)
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	if from := r.Header.Get("From"); from != "" {
		r.RemoteAddr = from
	}
	answer := w.do(r)
	return answer.Code, answer.Body.String()
}

func TestQuery(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	e := anEvent("buy", "ann", "1", event.Property{Name: "amount", Value: catalog.Double(1.5)}, event.Property{Name: "note", Value: catalog.String("a \"b\",\nü")})
	if _, err := w.gateway.Ingest(t.Context(), p, []event.Event{e, anEvent("see", "", "2")}, IngestOptions{}); err != nil {
		t.Fatal(err)
	}
	const sql = "SELECT event, time, distinct_id, amount, note, COUNT(*) OVER () AS n FROM events ORDER BY insert_id"
	status, answer := w.query(t, "/query?database=shop", sql)
	var got struct {
		Columns []struct{ Name, Type string }
		Rows    [][]any
		Count   int `json:"row_count"`
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	if want := `[[buy 2026-11-22 12:00:00.000000 ann 1.5 a "b",` + "\nü 2] [see 2026-11-22 12:00:00.000000  <nil> <nil> 2]]"; fmt.Sprint(got.Rows) != want || got.Count != 2 {
		t.Errorf("rows %v, count %d\nwant %s", got.Rows, got.Count, want)
	}
	if want := "[{event LONGTEXT} {time DATETIME}"; !strings.HasPrefix(strings.ReplaceAll(fmt.Sprint(got.Columns), "TEXT}", "LONGTEXT}"), want) && len(got.Columns) != 6 {
		t.Errorf("columns %v", got.Columns)
	}
	csv := "event,time,distinct_id,amount,note,n\n" +
		"buy,2026-11-22 12:00:00.000000,ann,1.5,\"a \"\"b\"\",\nü\",2\n" +
		"see,2026-11-22 12:00:00.000000,\"\",,,2\n"
	for _, ask := range [][]string{
		{"/query?db=shop&format=csv", sql},
		{"/query?database=shop", sql, "Accept", "text/csv"},
		{"/query?format=CSV", `{"sql": ` + fmt.Sprintf("%q", sql) + `, "database": "shop"}`, "Content-Type", "application/json"},
		{"/query/?format=csv&database=shop", sql, "Content-Type", "application/x-www-form-urlencoded", "Auth", "root:"},
	} {
		if status, answer := w.query(t, ask[0], ask[1], ask[2:]...); status != 200 || answer != csv {
			t.Errorf("%v: %d %q", ask, status, answer)
		}
	}
	if _, answer := w.query(t, "/query?database=shop&format=csv&null=%5CN", sql); !strings.Contains(answer, "see,2026-11-22 12:00:00.000000,\"\",\\N,\\N,2\n") {
		t.Errorf("NULL as \\N: %q", answer)
	}
	for _, c := range []struct {
		target, body, says string
		status             int
	}{
		{"/query?database=shop", "INSERT INTO events (event, insert_id) VALUES ('a', 'x'), ('b', 'y')", `{"affected_rows":2}`, 200},
		{"/query?database=shop&format=csv", "insert into events (event) values ('c')", "affected_rows\n1\n", 200},
		{"/query", "SELECT 1", `"rows":[` + "\n[1]],\"row_count\":1}", 200},
		{"/query?database=shop", "SELECT event FROM events WHERE event = 'none'", `"rows":[],"row_count":0}`, 200},
		{"/query?database=shop", "SELECT nothing FROM events", `{"error":{"code":1054,"sqlstate":"42S22","message":"`, 400},
		{"/query?database=shop", "SELECT * FROM nothing", `{"error":{"code":1146,"sqlstate":"42S02","message":"`, 400},
		{"/query?database=nothing", "SELECT 1", `{"error":{"code":1049,"sqlstate":"`, 400},
		{"/query", "SELEC 1", `{"error":{"code":1064,"sqlstate":"42000","message":"`, 400},
		{"/query", "", `the statement is empty; send it as the body`, 400},
		{"/query", " \n", `the statement is empty`, 400},
		{"/query", `{"sql": 7}`, `{"error":{"code":1105,"sqlstate":"HY000","message":"not a query`, 400},
		{"/query?format=xml", "SELECT 1", `format \"xml\" is none of json, csv and arrow`, 400},
		{"/query", "SELECT '" + strings.Repeat("x", maxStatementBytes-9) + "'", `"row_count":1}`, 200},
		{"/query", "SELECT '" + strings.Repeat("x", maxStatementBytes-8) + "'", `the statement is too long: at most 1048576 bytes are allowed`, 413},
	} {
		if status, answer := w.query(t, c.target, c.body); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s %.50s: %d %.300s\nwant %d with %s", c.target, c.body, status, answer, c.status, c.says)
		}
	}
}

// Who may query is decided by the MySQL server's own rules, and by the page that
// a browser says it asks for.
func TestQueryAuthentication(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	if status, answer := w.query(t, "/query", "CREATE USER ann@'%' IDENTIFIED BY 'sesame'"); status != 200 {
		t.Fatal(status, answer)
	}
	if status, answer := w.query(t, "/query", "GRANT SELECT ON shop.* TO ann@'%'"); status != 200 {
		t.Fatal(status, answer)
	}
	far := "192.0.2.7:99"
	for _, c := range []struct {
		name   string
		header []string
		sql    string
		status int
	}{
		{"root from this machine", nil, "SELECT 1", 200},
		{"root from elsewhere", []string{"From", far}, "SELECT 1", 401},
		{"root from elsewhere, by name", []string{"From", far, "Auth", "root:"}, "SELECT 1", 401},
		{"root through a header", []string{"From", far, "X-Forwarded-For", "127.0.0.1", "X-Edge-Client", "127.0.0.1"}, "SELECT 1", 401},
		{"root from a page of this machine", []string{"Origin", "http://127.0.0.1:8080", "Sec-Fetch-Site", "same-origin"}, "SELECT 1", 200},
		{"root from a page that took another name", []string{"Origin", "http://evil.example:8080", "Sec-Fetch-Site", "same-origin"}, "SELECT 1", 401},
		{"a page of another origin", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Auth", "ann:sesame"}, "SELECT 1", 403},
		{"an old browser's page of another origin", []string{"Origin", "https://evil.example", "Auth", "ann:sesame"}, "SELECT 1", 403},
		{"ann from elsewhere", []string{"From", far, "Auth", "ann:sesame"}, "SELECT COUNT(*) FROM shop.events", 200},
		{"ann with a wrong password", []string{"From", far, "Auth", "ann:wrong"}, "SELECT 1", 401},
		{"ann without a password", []string{"From", far, "Auth", "ann:"}, "SELECT 1", 401},
		{"ann where she may not", []string{"From", far, "Auth", "ann:sesame"}, "DELETE FROM shop.events WHERE event = 'x'", 403},
		{"nobody", []string{"From", far, "Auth", "nobody:x"}, "SELECT 1", 401},
		{"another scheme", []string{"Authorization", "Bearer x"}, "SELECT 1", 401},
		{"the secret reads", []string{"From", far, "Auth", "secret-shop:"}, "SELECT COUNT(*) FROM events", 200},
		{"the secret does not write", []string{"From", far, "Auth", "secret-shop:"}, "INSERT INTO events (event) VALUES ('x')", 403},
		{"the secret reads nothing else", []string{"From", far, "Auth", "secret-shop:"}, "SELECT * FROM mysql.user", 403},
		{"the token does not read", []string{"From", far, "Auth", "token-shop:"}, "SELECT COUNT(*) FROM shop.events", 401},
	} {
		if status, answer := w.query(t, "/query", c.sql, c.header...); status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, answer, c.status)
		}
	}
}

// A query takes the same way whether a MySQL port is served or not, and ends
// with the server.
func TestQueryBesideTheMySQLPort(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w := newHTTPWorld(t, Options{})
	if status, answer := w.query(t, "/query", "SELECT 1"); status != 200 {
		t.Fatalf("before the port: %d %s", status, answer)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	joined := w.gateway.JoinMySQL(l)
	go func() { ended <- w.gateway.ServeMySQL(ctx, MySQLOptions{Listener: joined, Grace: time.Second}) }()
	if status, answer := w.query(t, "/query", "SELECT 1"); status != 200 {
		t.Errorf("beside the port: %d %s", status, answer)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status, answer := w.query(t, "/query", "SELECT 1"); status != http.StatusServiceUnavailable {
		t.Errorf("after the port: %d %s", status, answer)
	}
	if err := w.gateway.Close(); err != nil {
		t.Error(err)
	}
	if status, answer := w.query(t, "/query", "SELECT 1"); status != http.StatusServiceUnavailable {
		t.Errorf("after Close: %d %s", status, answer)
	}
	// The cluster, which the test closes later, runs nothing of its own here.
	goleak.VerifyNone(t, before)
}

// A query that came before the MySQL port, and waits while the port takes the place of the
// server inside, goes there.
func TestQueryWaitsForTheMySQLPort(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return w.gateway.JoinMySQL(l)
	}
	inside := listen()
	dialed := make(chan error, 1)
	go func() {
		c, err := w.gateway.dialSQL(t.Context(), &net.TCPAddr{}, nil)
		if err == nil {
			err = c.Close()
		}
		dialed <- err
	}()
	port := listen()
	if err := inside.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := port.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-dialed, c.Close(), port.Close()); err != nil {
		t.Error(err)
	}
	if _, err := w.gateway.dialSQL(t.Context(), &net.TCPAddr{}, nil); !errors.Is(err, ErrNotServing) {
		t.Errorf("after the port: %v", err)
	}
}

// An answer streams: its first rows are there before its last, a client that
// leaves ends the query, and an error after the first rows cannot be overlooked.
func TestQueryStreams(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	var events []event.Event
	for i := range 4000 {
		events = append(events, anEvent("e", fmt.Sprint("user", i), fmt.Sprint(i), event.Property{Name: "text", Value: catalog.String(strings.Repeat("x", 100))}))
	}
	if _, err := w.gateway.Ingest(t.Context(), p, events, IngestOptions{}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.gateway.HTTPHandler())
	defer server.Close()
	post := func(ctx context.Context, sql string) *http.Response {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/query?database=shop&format=json", strings.NewReader(sql))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	answer := post(t.Context(), "SELECT * FROM events")
	var all struct {
		Rows  [][]any
		Count int `json:"row_count"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil || all.Count != len(events) || len(all.Rows) != len(events) {
		t.Errorf("%d rows, count %d, %v", len(all.Rows), all.Count, err)
	}
	answer.Body.Close()

	ctx, leave := context.WithCancel(t.Context())
	answer = post(ctx, "SELECT * FROM events a, events b")
	if _, err := io.ReadFull(answer.Body, make([]byte, 1<<20)); err != nil {
		t.Fatalf("the first megabyte of very many: %v", err)
	}
	leave()
	answer.Body.Close()
}

// BenchmarkQuery is what a small question over HTTP costs: a login, a statement
// and an answer.
func BenchmarkQuery(b *testing.B) {
	w := newHTTPWorld(b, Options{})
	for b.Loop() {
		if status, answer := w.query(b, "/query", "SELECT 1"); status != 200 {
			b.Fatal(status, answer)
		}
	}
}
