package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// readArrow gives a stream's schema and its rows, printed.
func readArrow(t *testing.T, stream io.Reader) (*arrow.Schema, []string) {
	t.Helper()
	r, err := ipc.NewReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var rows []string
	for r.Next() {
		for row := range int(r.Record().NumRows()) {
			var values []string
			for _, c := range r.Record().Columns() {
				switch c := c.(type) { // the library prints decimals by floats
				case *array.Decimal128:
					values = append(values, c.Value(row).ToString(c.DataType().(*arrow.Decimal128Type).Scale))
				default:
					values = append(values, c.ValueStr(row))
				}
			}
			rows = append(rows, strings.Join(values, "|"))
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return r.Schema(), rows
}

func TestQueryArrow(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	p := w.project(t, "shop")
	e := anEvent("buy", "ann", "1", event.Property{Name: "amount", Value: catalog.Double(1.5)}, event.Property{Name: "n", Value: catalog.Int(1 << 53)},
		event.Property{Name: "note", Value: catalog.String("ü")}, event.Property{Name: "paid", Value: catalog.Bool(true)})
	if _, err := w.gateway.Ingest(t.Context(), p, []event.Event{e, e, anEvent("see", "", "2")}, IngestOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sql, schema, rows string }{
		{"SELECT event, time, distinct_id, insert_id, amount, note, paid, n FROM events ORDER BY insert_id",
			"event:dictionary<values=utf8, indices=int32, ordered=false>, time:timestamp[us, tz=UTC], distinct_id:utf8, insert_id:utf8, amount:float64, " +
				"note:dictionary<values=utf8, indices=int32, ordered=false>, paid:int8, n:int64",
			"buy|2026-11-22 12:00:00Z|ann|1|1.5|ü|1|9007199254740992 see|2026-11-22 12:00:00Z||2|(null)|(null)|(null)|(null)"},
		{"SELECT CAST('-0.05' AS DECIMAL(20,2)) a, CAST('12345678901234567890123456789012345678901.5' AS DECIMAL(42,1)) b, CAST('2026-01-02' AS DATE) c, CAST('-838:59:58.5' AS TIME(6)) d",
			"a:decimal(20, 2), b:decimal256(42, 1), c:date32, d:duration[us]",
			"-0.05|12345678901234567890123456789012345678901.5|2026-01-02|-3020398500000us"},
		{"SELECT NULL a, JSON_OBJECT('k', 1.50) b, x'00ff' c, 'x' d, 18446744073709551615 e, CAST('1969-12-31 23:59:59.5' AS DATETIME(6)) f",
			"a:null, b:utf8, c:binary, d:utf8, e:uint64, f:timestamp[us, tz=UTC]",
			`(null)|{"k": 1.50}|AP8=|x|18446744073709551615|1969-12-31 23:59:59.5Z`},
		{"SELECT event, COUNT(*) n FROM events GROUP BY event ORDER BY n DESC, event", "event:dictionary<values=utf8, indices=int32, ordered=false>, n:int64", "buy|1 see|1"},
		{"SELECT event FROM events WHERE event = 'none'", "event:dictionary<values=utf8, indices=int32, ordered=false>", ""},
		{"INSERT INTO events (event, insert_id) VALUES ('a', 'x'), ('b', 'y')", "affected_rows:int64", "2"},
		{"DELETE FROM events WHERE event = 'a'", "affected_rows:int64", "1"},
	} {
		status, answer := w.query(t, "/query?database=shop", c.sql, "Accept", "application/vnd.apache.arrow.stream")
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", c.sql, status, answer)
			continue
		}
		schema, rows := readArrow(t, strings.NewReader(answer))
		var fields []string
		for _, f := range schema.Fields() {
			fields = append(fields, f.Name+":"+f.Type.String())
		}
		if got := strings.Join(fields, ", "); got != c.schema {
			t.Errorf("%s:\nschema %s\nwant   %s", c.sql, got, c.schema)
		}
		if got := strings.Join(rows, " "); got != c.rows {
			t.Errorf("%s:\nrows %s\nwant %s", c.sql, got, c.rows)
		}
	}
	_, answer := w.query(t, "/query?database=shop&format=arrow&dictionary=0", "SELECT event, JSON_OBJECT() j FROM events LIMIT 1")
	schema, _ := readArrow(t, strings.NewReader(answer))
	if got := schema.Field(0).Type; got != arrow.DataType(arrow.BinaryTypes.String) {
		t.Errorf("without dictionaries an event's name is %s", got)
	}
	if name, _ := schema.Field(1).Metadata.GetValue("ARROW:extension:name"); name != "arrow.json" {
		t.Errorf("JSON is marked as %q", name)
	}
	for _, c := range []struct {
		sql, says string
		status    int
	}{
		{"SELECT nothing FROM events", `{"error":{"code":1054,"sqlstate":"42S22","message":"`, 400},
		{"SELEC", `{"error":{"code":1064`, 400},
	} {
		if status, answer := w.query(t, "/query?database=shop&format=arrow", c.sql); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s: %d %s", c.sql, status, answer)
		}
	}
	if status, _ := w.query(t, "/query?database=shop&format=arrow", "SELECT 1", "From", "192.0.2.7:99"); status != http.StatusUnauthorized {
		t.Errorf("without a password from elsewhere: %d", status)
	}
}

// TestArrowRefusesTextThatIsNone: a reader of the stream would stumble over bytes that
// are not UTF-8, in a dictionary or not.
func TestArrowRefusesTextThatIsNone(t *testing.T) {
	for _, of := range []arrow.DataType{arrow.BinaryTypes.String, arrowDictionary} {
		c := newArrowColumn(of)
		if err := c.appendText([]byte("zoë")); err != nil {
			t.Errorf("%s: %v", of, err)
		}
		if err := c.appendText([]byte{0xff}); !errors.Is(err, errArrowValue) || !strings.Contains(err.Error(), "not UTF-8") {
			t.Errorf("%s: %v", of, err)
		}
		c.take().Release()
	}
}

// arrowBatches is a server whose scans give as many batches as told, and then fail if
// they are to.
func arrowBatches(t testing.TB, batches, rows int, failure error) (*sqlWorld, *httptest.Server) {
	names, times, users := make([]catalog.Value, rows), make([]catalog.Value, rows), make([]catalog.Value, rows)
	for i := range rows {
		names[i], times[i], users[i] = catalog.String(fmt.Sprint("event ", i%7)), catalog.Int(int64(i)*1e9), catalog.String(fmt.Sprint("user ", i))
	}
	arrays := map[exec.Source]arrow.Array{
		exec.SourceEvent:      oracle.Array(catalog.TypeString, names, 3),
		exec.SourceTime:       oracle.Array(catalog.TypeDatetime, times, 3),
		exec.SourceDistinctID: oracle.Array(catalog.TypeString, users, 0),
	}
	w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		return &scans{m, func(_ context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			batch := &exec.Batch{Rows: rows}
			if f.Runs {
				batch.Runs = []exec.Run{{Lo: 0, Hi: 1}, {Lo: 2, Hi: rows}} // without the second
			}
			for _, c := range f.Columns {
				if !c.Hidden {
					batch.Columns = append(batch.Columns, arrays[c.Source])
				}
			}
			for range batches {
				if err := yield(batch); err != nil {
					return exec.ScanStats{}, err
				}
			}
			return exec.ScanStats{}, failure
		}}
	})
	w.must("CREATE DATABASE shop")
	server := httptest.NewServer(w.gateway.HTTPHandler())
	t.Cleanup(server.Close)
	return w, server
}

func postArrow(ctx context.Context, t testing.TB, server *httptest.Server, sql string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/query?database=shop&format=arrow", strings.NewReader(sql))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

const arrowStatement = "SELECT event, time, distinct_id FROM events"

// All rows come, those of runs alone where there are runs, and what was sent of a
// stream that fails later has no end.
func TestQueryArrowStream(t *testing.T) {
	const batches, rows = 20, 5000
	_, server := arrowBatches(t, batches, rows, nil)
	answer := postArrow(t.Context(), t, server, arrowStatement)
	whole, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := ipc.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	count := 0
	for reader.Next() {
		names, users := reader.Record().Column(0).(*array.Dictionary), reader.Record().Column(2).(*array.String)
		times := reader.Record().Column(1).(*array.Timestamp)
		for row := range users.Len() {
			i := int(times.Value(row)) / 1e9
			name := names.Dictionary().(*array.String).Value(names.GetValueIndex(row))
			if users.Value(row) != fmt.Sprint("user ", i) || name != fmt.Sprint("event ", i%7) {
				t.Fatalf("row of %d: %s, %s", i, users.Value(row), name)
			}
			count++
		}
	}
	if reader.Err() != nil || count != batches*rows && count != batches*(rows-1) {
		t.Errorf("%d rows, %v", count, reader.Err())
	}

	_, failing := arrowBatches(t, batches, rows, errors.New("the disk is gone"))
	answer = postArrow(t.Context(), t, failing, arrowStatement)
	part, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err == nil || answer.StatusCode != http.StatusOK || len(part) == 0 {
		t.Fatalf("a stream that fails after %d bytes ended as if it were whole: %d, %v", len(part), answer.StatusCode, err)
	}
	if bytes.HasSuffix(part, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}) {
		t.Error("a stream that fails has an end")
	}
	_, early := arrowBatches(t, 0, rows, errors.New("the disk is gone"))
	answer = postArrow(t.Context(), t, early, arrowStatement)
	answer.Body.Close()
	if answer.StatusCode != http.StatusInternalServerError {
		t.Errorf("an error before the first row: %d", answer.StatusCode)
	}
}

// A client that leaves ends the statement, and what millions of rows take is not more
// than what few do.
func TestQueryArrowIsFlat(t *testing.T) {
	const batches, rows = 60, 1 << 14
	_, server := arrowBatches(t, batches, rows, nil)
	answer := postArrow(t.Context(), t, server, arrowStatement)
	var most, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	buffer, total := make([]byte, 1<<20), 0
	for i := 0; ; i++ {
		n, err := io.ReadFull(answer.Body, buffer)
		total += n
		if i == 15 { // about the middle
			runtime.GC()
			runtime.ReadMemStats(&most)
		}
		if err != nil {
			break
		}
	}
	answer.Body.Close()
	const allowed = 6 * arrowRecordBytes
	if grown := int64(most.HeapAlloc) - int64(before.HeapAlloc); most.HeapAlloc == 0 || grown > allowed || total < 2*allowed/3 {
		t.Errorf("%d bytes held in the middle of an answer of %d", grown, total)
	}
	ctx, leave := context.WithCancel(t.Context())
	answer = postArrow(ctx, t, server, "SELECT a.event FROM events a, events b")
	if _, err := io.ReadFull(answer.Body, make([]byte, 1<<20)); err != nil {
		t.Fatalf("the first megabyte of very many: %v", err)
	}
	leave()
	answer.Body.Close()
}
