package sqltests

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql/driver"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"arbor/gateway"
	"arbor/sqltests/stack"
)

// flightOf serves a member's Flight SQL and gives a client of it.
func flightOf(t testing.TB, s *stack.Stack) (*flightsql.Client, string) {
	t.Helper()
	return flightAt(t, s.Gateway, nil, insecure.NewCredentials())
}

// flightAt serves a gateway's Flight SQL, encrypted or not, and gives a client of it.
func flightAt(t testing.TB, g *gateway.Gateway, encrypted *tls.Config, c credentials.TransportCredentials) (*flightsql.Client, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- g.ServeFlight(ctx, gateway.FlightOptions{Listener: l, TLS: encrypted, Grace: time.Minute})
	}()
	client, err := flightsql.NewClient(l.Addr().String(), nil, nil, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client, l.Addr().String()
}

// flightRows reads all that a ticket gives, as lines.
func flightRows(ctx context.Context, c *flightsql.Client, info *flight.FlightInfo) (lines []string, err error) {
	r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		return nil, err
	}
	defer r.Release()
	for r.Next() {
		record := r.Record()
		for row := range int(record.NumRows()) {
			var fields []string
			for i, column := range record.Columns() {
				if column.IsNull(row) || column.DataType().ID() == arrow.NULL {
					fields = append(fields, "NULL")
					continue
				}
				fields = append(fields, arrowText(record.Schema().Field(i), column, row))
			}
			lines = append(lines, strings.Join(fields, "|"))
		}
	}
	return lines, r.Err()
}

func flightAsk(ctx context.Context, c *flightsql.Client, statement string) ([]string, error) {
	info, err := c.Execute(ctx, statement)
	if err != nil {
		return nil, err
	}
	return flightRows(ctx, c, info)
}

func wantFlight(t *testing.T, ctx context.Context, c *flightsql.Client, statement string, want ...string) {
	t.Helper()
	if got, err := flightAsk(ctx, c, statement); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s gives %q, %v; want %q", statement, got, err, want)
	}
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s gives %s, %v; want %s", what, got, err, want)
	}
}

// flightStack is a member with some events, and a client.
func flightStack(t testing.TB) (*stack.Stack, *flightsql.Client, string) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, `[{"event":"Buy","properties":{"time":1767225600,"distinct_id":"ann","$insert_id":"1","price":25,"name":"ü"}},
		{"event":"Buy","properties":{"time":1767225600,"distinct_id":"ann","$insert_id":"1","price":25,"name":"ü"}},
		{"event":"See","properties":{"time":1767225700,"distinct_id":"bob","$insert_id":"2","price":17.5}}]`)
	c, address := flightOf(t, s)
	return s, c, address
}

func TestFlightStatements(t *testing.T) {
	_, c, address := flightStack(t)
	ctx := context.Background()
	wantFlight(t, ctx, c, "SELECT distinct_id, event, price, name, time FROM shop.events ORDER BY time", "ann|Buy|25|ü|2026-01-01 00:00:00.000000", "bob|See|17.5|NULL|2026-01-01 00:01:40.000000")
	wantFlight(t, ctx, c, "SELECT event, COUNT(*) FROM shop.events GROUP BY event ORDER BY event", "Buy|1", "See|1")
	wantFlight(t, ctx, c, "SELECT event FROM shop.events WHERE price > 1000")
	wantFlight(t, metadata.AppendToOutgoingContext(ctx, "database", "shop"), c, "SELECT COUNT(*), DATABASE() FROM events_all", "3|shop")
	wantFlight(t, metadata.AppendToOutgoingContext(ctx, "dictionary", "1"), c, "SELECT event FROM shop.events ORDER BY event", "Buy", "See")
	if n, err := c.ExecuteUpdate(ctx, "INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('New', '2026-01-02', 'cid', '3'), ('New', '2026-01-02', 'cid', '4')"); err != nil || n != 2 {
		t.Errorf("INSERT gives %d, %v", n, err)
	}
	wantFlight(t, ctx, c, "INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('New', '2026-01-02', 'cid', '5')", "1")
	wantFlight(t, ctx, c, "SELECT COUNT(*) FROM shop.events WHERE event = 'New'", "3")
	for statement, want := range map[string]codes.Code{
		"SELEC 1": codes.InvalidArgument, "SELECT nothing FROM shop.events": codes.InvalidArgument, "": codes.InvalidArgument,
		"SELECT /*+ MAX_EXECUTION_TIME(50) */ SLEEP(600)": codes.DeadlineExceeded,
		"SELECT 1" + strings.Repeat(" ", 1<<20):           codes.ResourceExhausted,
	} {
		_, err := flightAsk(ctx, c, statement)
		wantCode(t, statement[:min(len(statement), 60)], err, want)
	}
	schema, err := c.GetExecuteSchema(ctx, "SELECT event, price FROM shop.events")
	if err != nil {
		t.Fatal(err)
	}
	shape, err := flight.DeserializeSchema(schema.GetSchema(), memory.DefaultAllocator)
	if err != nil || shape.NumFields() != 2 || shape.Field(1).Type.ID() != arrow.FLOAT64 {
		t.Errorf("schema is %s, %v", shape, err)
	}
	// The library's driver for database/sql is a client of its own.
	db, err := sql.Open("flightsql", (&driver.DriverConfig{Address: address, Timeout: time.Minute}).DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var event string
	var price float64
	if err := db.QueryRow("SELECT event, price FROM shop.events WHERE distinct_id = ?", "bob").Scan(&event, &price); err != nil || event != "See" || price != 17.5 {
		t.Errorf("database/sql gives %q, %v, %v", event, price, err)
	}
}

// parameters makes a record of one row for each of some values of one type, and more columns alike.
func parameters(columns ...arrow.Array) arrow.Record {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: fmt.Sprint("p", i), Type: c.DataType(), Nullable: true}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(columns[0].Len()))
}

func texts(values ...string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(values, nil)
	return b.NewArray()
}

func ints(values ...int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(values, nil)
	return b.NewArray()
}

func TestFlightPrepared(t *testing.T) {
	_, c, _ := flightStack(t)
	ctx := context.Background()
	p, err := c.Prepare(ctx, "SELECT event, price + ? AS more FROM shop.events WHERE distinct_id = ?")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.DatasetSchema(); got.NumFields() != 2 || got.Field(0).Name != "event" || p.ParameterSchema().NumFields() != 2 {
		t.Errorf("prepared as %s with %s", got, p.ParameterSchema())
	}
	for _, user := range []string{"ann", "bob", "o'hara \\"} {
		p.SetParameters(parameters(ints(10), texts(user)))
		info, err := p.Execute(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, err := flightRows(ctx, c, info)
		if want := map[string]string{"ann": "Buy|35", "bob": "See|27.5"}[user]; err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %q", user, got, err, want)
		}
	}
	for what, record := range map[string]arrow.Record{
		"one value": parameters(ints(10)), "two rows": parameters(ints(1, 2), texts("a", "b")),
	} {
		p.SetParameters(record)
		info, err := p.Execute(ctx)
		if err == nil {
			_, err = flightRows(ctx, c, info)
		}
		wantCode(t, what, err, codes.InvalidArgument)
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	_, err = p.Execute(ctx)
	if err == nil {
		t.Error("a statement that was closed is executed")
	}
	u, err := c.Prepare(ctx, "INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES (?, '2026-01-03', 'dan', ?)")
	if err != nil {
		t.Fatal(err)
	}
	if n := u.DatasetSchema().NumFields(); n != 0 {
		t.Errorf("an INSERT is said to give %d columns", n)
	}
	u.SetParameters(parameters(texts("A", "B", "C"), ints(1, 2, 3)))
	if n, err := u.ExecuteUpdate(ctx); err != nil || n != 3 {
		t.Errorf("INSERT of three rows gives %d, %v", n, err)
	}
	wantFlight(t, ctx, c, "SELECT event, insert_id FROM shop.events WHERE distinct_id = 'dan' ORDER BY event", "A|1", "B|2", "C|3")
	_, err = c.Prepare(ctx, "SELECT nothing FROM shop.events")
	wantCode(t, "preparing what cannot be", err, codes.InvalidArgument)
}

// Parameters that are compressed would make the library take any memory that they name.
func TestFlightCompressedParameters(t *testing.T) {
	_, c, _ := flightStack(t)
	ctx := context.Background()
	p, err := c.Prepare(ctx, "SELECT ?")
	if err != nil {
		t.Fatal(err)
	}
	for what, options := range map[string][]ipc.Option{"plain": nil, "compressed": {ipc.WithLZ4()}} {
		stream, err := c.Client.DoPut(ctx)
		if err != nil {
			t.Fatal(err)
		}
		record := parameters(texts(strings.Repeat("x", 10_000)))
		p.SetParameters(record)
		info, err := p.Execute(ctx)
		if err != nil {
			t.Fatal(err)
		}
		w := flight.NewRecordWriter(stream, append(options, ipc.WithSchema(record.Schema()))...)
		w.SetFlightDescriptor(info.FlightDescriptor)
		if err := w.Write(record); err == nil {
			_ = w.Close()
		}
		_ = stream.CloseSend()
		_, err = stream.Recv()
		if what == "plain" && err != nil && err != io.EOF {
			t.Errorf("plain parameters give %v", err)
		}
		if what == "compressed" {
			wantCode(t, "compressed parameters", err, codes.InvalidArgument)
		}
	}
}

func TestFlightLogins(t *testing.T) {
	s, c, _ := flightStack(t)
	for _, statement := range []string{"CREATE USER eve IDENTIFIED BY 'first'", "GRANT SELECT ON shop.* TO eve", "CREATE DATABASE other"} {
		s.Rows(t, statement)
	}
	ctx := context.Background()
	_, err := c.Client.AuthenticateBasicToken(ctx, "eve", "wrong")
	wantCode(t, "a wrong password", err, codes.Unauthenticated)
	eve, err := c.Client.AuthenticateBasicToken(ctx, "eve", "first")
	if err != nil {
		t.Fatal(err)
	}
	wantFlight(t, eve, c, "SELECT COUNT(*) FROM shop.events", "2")
	_, err = flightAsk(eve, c, "SELECT COUNT(*) FROM other.events")
	wantCode(t, "another project", err, codes.PermissionDenied)
	_, err = c.ExecuteUpdate(eve, "INSERT INTO shop.events (event) VALUES ('x')")
	wantCode(t, "writing as a reader", err, codes.PermissionDenied)
	p, err := c.Prepare(ctx, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Execute(eve)
	wantCode(t, "a statement that root prepared", err, codes.InvalidArgument)
	s.Rows(t, "ALTER USER eve IDENTIFIED BY 'second'")
	_, err = flightAsk(eve, c, "SELECT COUNT(*) FROM shop.events")
	wantCode(t, "a token of before the password changed", err, codes.Unauthenticated)
	secret := secretOf(t, s, "shop")
	reader, err := c.Client.AuthenticateBasicToken(ctx, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	wantFlight(t, reader, c, "SELECT COUNT(*) FROM events", "2")
	for what, header := range map[string]string{"an unknown token": "Bearer x", "another kind": "Digest x", "no text": "Basic !"} {
		_, err := flightAsk(metadata.AppendToOutgoingContext(ctx, "authorization", header), c, "SELECT 1")
		wantCode(t, what, err, codes.Unauthenticated)
	}
	s.Advance(2 * time.Hour)
	_, err = flightAsk(reader, c, "SELECT 1")
	wantCode(t, "a token that was not used for long", err, codes.Unauthenticated)
}

// A statement ends by KILL, and when its client goes away.
func TestFlightEnds(t *testing.T) {
	s, c, _ := flightStack(t)
	running := func(text string) []string {
		return s.Rows(t, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '"+text+"%'")
	}
	await := func(text string, want int) []string {
		for {
			if ids := running(text); len(ids) == want {
				return ids
			}
			time.Sleep(time.Millisecond)
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := flightAsk(context.Background(), c, "SELECT SLEEP(600), 1")
		ended <- err
	}()
	s.Rows(t, "KILL QUERY "+await("SELECT SLEEP(600), 1", 1)[0])
	wantCode(t, "KILL", <-ended, codes.Canceled)
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		_, err := flightAsk(ctx, c, "SELECT SLEEP(600), 2")
		ended <- err
	}()
	await("SELECT SLEEP(600), 2", 1)
	leave()
	wantCode(t, "leaving", <-ended, codes.Canceled)
	await("SELECT SLEEP(600), 2", 0)
}

func TestFlightCatalog(t *testing.T) {
	s, c, _ := flightStack(t)
	s.Rows(t, "CREATE TABLE shop.plans (who VARCHAR(50), day DATE, seats INT, PRIMARY KEY (day, who))")
	ctx := context.Background()
	check := func(what string, info *flight.FlightInfo, err error, want ...string) {
		t.Helper()
		var got []string
		if err == nil {
			got, err = flightRows(ctx, c, info)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", what, got, err, want)
		}
	}
	shop, none := "shop", "no such"
	info, err := c.GetCatalogs(ctx)
	check("catalogs", info, err, "def")
	info, err = c.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{DbSchemaFilterPattern: &shop})
	check("schemas", info, err, "def|shop")
	info, err = c.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{Catalog: &none})
	check("schemas of no catalog", info, err)
	events := "events%"
	info, err = c.GetTables(ctx, &flightsql.GetTablesOpts{DbSchemaFilterPattern: &shop, TableNameFilterPattern: &events, TableTypes: []string{"BASE TABLE"}})
	check("tables", info, err, "def|shop|events|BASE TABLE", "def|shop|events_all|BASE TABLE")
	info, err = c.GetTableTypes(ctx)
	check("table types", info, err, "BASE TABLE", "SYSTEM VIEW", "VIEW")
	info, err = c.GetPrimaryKeys(ctx, flightsql.TableRef{DBSchema: &shop, Table: "plans"})
	check("primary key", info, err, "def|shop|plans|day|1|PRIMARY", "def|shop|plans|who|2|PRIMARY")
	plans := "plans"
	info, err = c.GetTables(ctx, &flightsql.GetTablesOpts{DbSchemaFilterPattern: &shop, TableNameFilterPattern: &plans, IncludeSchema: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil || !r.Next() {
		t.Fatalf("tables with columns: %v", err)
	}
	shape, err := flight.DeserializeSchema(r.Record().Column(4).(*array.Binary).Value(0), memory.DefaultAllocator)
	if err != nil || shape.NumFields() != 3 || shape.Field(1).Type.ID() != arrow.DATE32 {
		t.Errorf("plans has the columns %s, %v", shape, err)
	}
	r.Release()
	if info, err = c.GetSqlInfo(ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerName}); err != nil {
		t.Fatal(err)
	}
	if r, err = c.DoGet(ctx, info.Endpoint[0].Ticket); err != nil || !r.Next() || !strings.Contains(r.Record().Column(1).ValueStr(0), "arbor") {
		t.Errorf("the server's name: %v", err)
	}
	r.Release()
}

// cpu is what the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkArrow reads events in Arrow, by Flight and by /query, over TCP, with a
// client in the same process, whose time is in it.
func BenchmarkArrow(b *testing.B) {
	s := stack.New(b)
	token := s.Project(b, "shop")
	const events, request = 200_000, 2000
	for i := 0; i < events; i += request {
		var lines strings.Builder
		for n := i; n < i+request; n++ {
			fmt.Fprintf(&lines, `{"event":"e%d","properties":{"time":%d,"distinct_id":"user %d","$insert_id":"i%d","price":%d,"plan":"p%d"}}`+"\n",
				n%20, stack.Start.Unix()-int64(n), n%5000, n, n%1000, n%4)
		}
		s.Import(b, token, lines.String())
	}
	s.Rows(b, "CALL arbor.index_project('shop')")
	c, _ := flightOf(b, s)
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	const question = "SELECT event, time, distinct_id, price, plan FROM shop.events"
	measure := func(name string, read func() (int64, error)) {
		b.Run(name, func(b *testing.B) {
			start, rows := cpu(), int64(0)
			for range b.N {
				n, err := read()
				if err != nil || n != events {
					b.Fatalf("%d rows, %v", n, err)
				}
				rows += n
			}
			b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(rows), "cpu-ns/row")
			b.ReportMetric(float64(rows)/(cpu()-start).Seconds(), "rows/cpu-s")
		})
	}
	drain := func(r array.RecordReader) (rows int64, err error) {
		for r.Next() {
			rows += r.Record().NumRows()
		}
		return rows, nil
	}
	for _, dictionary := range []string{"0", "1"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "dictionary", dictionary)
		measure("flight/dictionary="+dictionary, func() (int64, error) {
			info, err := c.Execute(ctx, question)
			if err != nil {
				return 0, err
			}
			r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
			if err != nil {
				return 0, err
			}
			defer r.Release()
			return drain(r)
		})
		measure("query/dictionary="+dictionary, func() (int64, error) {
			res, err := http.Post(web.URL+"/query?format=arrow&dictionary="+dictionary, "text/plain", strings.NewReader(question))
			if err != nil {
				return 0, err
			}
			defer res.Body.Close()
			r, err := ipc.NewReader(res.Body)
			if err != nil {
				return 0, err
			}
			defer r.Release()
			return drain(r)
		})
	}
}
