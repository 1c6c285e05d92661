package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/sqltests/oracle"
)

// executorOf is the executor of the world's engine.
func (w *sqlWorld) executor() *executor {
	return w.engine.gms.Analyzer.ExecBuilder.PriorityBuilder.(*executor)
}

// byColumn reports whether a statement's rows can be had as batches.
func (w *sqlWorld) byColumn(statement string) bool {
	w.t.Helper()
	ctx := w.context()
	_, iter, _, err := w.engine.gms.Query(ctx, statement)
	if err != nil {
		w.t.Fatalf("%s\n%v", statement, err)
	}
	b, _ := batchesOf(iter)
	if err := iter.Close(ctx); err != nil {
		w.t.Errorf("%s\n%v", statement, err)
	}
	return b != nil
}

// serve gives a client of the world's engine over a socket, in the database shop.
func (w *sqlWorld) serve(t *testing.T) *rawClient {
	t.Helper()
	w.must("CREATE DATABASE test")
	s := serveEngine(t, w.engine, serverOptions{})
	c := dialRaw(t, s.address)
	c.login()
	c.command([]byte("\x02shop"))
	c.read()
	return c
}

// packets are those of a result, with their headers.
func (c *rawClient) packets() [][]byte {
	c.t.Helper()
	var all [][]byte
	for ends := 0; ; {
		p := c.read()
		all = append(all, append([]byte{byte(len(p)), byte(len(p) >> 8), byte(len(p) >> 16), c.sequence - 1}, p...))
		switch {
		case len(p) == 0: // the end of a row of just as many bytes as packets hold
		case p[0] == packetError, len(all) == 1 && p[0] == packetOK:
			return all
		case p[0] == packetEnd && len(p) < packetEndMax:
			if ends++; ends == 2 {
				return all
			}
		}
	}
}

// bothWays runs a statement by column and by row, in both protocols, and compares
// what comes over the wire: all of it, or the error, for how many rows come before
// one is not settled.
func (w *sqlWorld) bothWays(c *rawClient, statement string) {
	c.t.Helper()
	run := func(rowsOnly bool) (text, prepared [][]byte) {
		w.executor().rowsOnly.Store(rowsOnly)
		c.command(append([]byte{3}, statement...))
		text = c.packets()
		id := c.prepare(statement)
		c.execute(id, 0)
		prepared = c.packets()
		c.command([]byte{0x19, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
		return text, prepared
	}
	rowText, rowPrepared := run(true)
	text, prepared := run(false)
	for _, p := range []struct {
		protocol  string
		row, have [][]byte
	}{{"text", rowText, text}, {"binary", rowPrepared, prepared}} {
		row, have := bytes.Join(p.row, nil), bytes.Join(p.have, nil)
		if last := p.row[len(p.row)-1]; last[packetHeader] == packetError {
			row, have = last[packetHeader:], p.have[len(p.have)-1][packetHeader:]
		}
		if !bytes.Equal(row, have) {
			at := 0
			for at < min(len(row), len(have)) && row[at] == have[at] {
				at++
			}
			clip := func(b []byte) []byte { return b[max(at-100, 0):min(at+200, len(b))] }
			c.t.Errorf("%s, %s protocol: %d bytes by row, %d by column, the same up to %d:\n%q\n%q", statement, p.protocol, len(row), len(have), at, clip(row), clip(have))
		}
	}
}

// What is executed by column, and what is not. Of each the bytes that the client
// gets are the same, whatever the layout of the batches.
var columnStatements = []struct {
	statement string
	byColumn  bool
}{
	{"SELECT * FROM events", true},
	{"SELECT * FROM events_all", true},
	{"SELECT event, time, distinct_id, insert_id, n, d, b, s, j, m, t, properties FROM events", true},
	{"SELECT t, m, j, s, b, d, n, insert_id FROM events e", true},
	{"SELECT _ingest_id, _ingested_at, _time_raw, _duplicate, _dup_of, _dup_kind, _file, _shard FROM events_all", true},
	{"SELECT n, n, s AS n, event event FROM events", true},
	{"SELECT 1 FROM events", true},
	{"SELECT x, j, m, t, x + 1, UPPER(x) FROM events", true},
	{"SELECT f, -f, f * 2, f + d, CAST(f AS CHAR) FROM events", true},
	{"SELECT x.f FROM (SELECT f, n FROM events) x", true},
	{"SELECT x.f * 2 FROM (SELECT f, n FROM events) x", false},
	{"SELECT 'ü', NULL, 1.5, 1e3, TRUE, X'00ff', DATE '2026-01-01', n FROM events", true},
	{"SELECT event FROM events WHERE FALSE", false},
	{"SELECT event, n FROM events WHERE event = 'nobody'", true},
	{"SELECT event, n FROM events WHERE event = 'e1' AND n > 3 AND time >= '2026-01-12'", true},
	{"SELECT event, d FROM events WHERE d > 0.3", true},
	{"SELECT event, s FROM events WHERE s LIKE '%word%' AND n IS NOT NULL", true},
	{"SELECT event FROM events WHERE n = 5 OR s LIKE '%d 5'", true},
	{"SELECT event FROM events WHERE CAST(s AS SIGNED) = 5", true},
	{"SELECT event FROM events WHERE m > 2.5 LIMIT 3", true},
	{"SELECT event, n FROM events LIMIT 0", true},
	{"SELECT event, n FROM events LIMIT 10", true},
	{"SELECT event, n FROM events LIMIT 10 OFFSET 9", true},
	{"SELECT event, n FROM events LIMIT 10 OFFSET 10000", true},
	{"SELECT event, n FROM events WHERE s LIKE '%o%' LIMIT 5 OFFSET 3", true},
	{"SELECT event, n FROM events WHERE n > 2 LIMIT 5 OFFSET 3", true},
	{"SELECT SQL_CALC_FOUND_ROWS event FROM events LIMIT 2", false},
	{"SELECT x.n, x.event FROM (SELECT event, n FROM events WHERE n > 2) x WHERE x.event > 'e2'", true},
	{"SELECT x.k + 1, x.event FROM (SELECT event, n AS k FROM events LIMIT 20) x LIMIT 7", true},
	{"SELECT y.k FROM (SELECT x.k FROM (SELECT n AS k, s FROM events LIMIT 30 OFFSET 2) x LIMIT 20 OFFSET 3) y LIMIT 9", true},
	{"SELECT x.k FROM (SELECT n AS k FROM events LIMIT 20) x WHERE x.k > 2", false},
	{"SELECT event, n, ROW_NUMBER() OVER w, RANK() OVER w, DENSE_RANK() OVER w, NTILE(3) OVER w, PERCENT_RANK() OVER w, CUME_DIST() OVER w FROM events WINDOW w AS (PARTITION BY event ORDER BY n, _ingest_id)", true},
	{"SELECT time, LAG(time) OVER w, LEAD(s, 2) OVER w, LAG(n, 1, 0) OVER w, FIRST_VALUE(m) OVER w, LAST_VALUE(b) OVER w, NTH_VALUE(d, 2) OVER w FROM events WINDOW w AS (PARTITION BY distinct_id ORDER BY time, _ingest_id)", true},
	{"SELECT COUNT(*) OVER w, COUNT(n) OVER w, SUM(n) OVER w, AVG(n) OVER w, SUM(m) OVER w, AVG(m) OVER w, MIN(d) OVER w, MAX(time) OVER w FROM events WINDOW w AS (PARTITION BY event ORDER BY time, _ingest_id ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING)", true},
	{"SELECT SUM(n) OVER (ORDER BY event, n) + 1, ROW_NUMBER() OVER (ORDER BY event, n, time, _ingest_id) * 2 FROM events LIMIT 50 OFFSET 3", true},
	{"SELECT SUM(b) OVER (PARTITION BY event), SUM(n) OVER (ORDER BY event, n) + 1, ROW_NUMBER() OVER (ORDER BY event, n) * 2 FROM events LIMIT 50 OFFSET 3", false},
	{"SELECT j, LAG(j) OVER (PARTITION BY event ORDER BY time, _ingest_id), TIMESTAMPDIFF(SECOND, LAG(time) OVER (PARTITION BY event ORDER BY time, _ingest_id), time) FROM events", true},
	{"SELECT event, n, ROW_NUMBER() OVER (PARTITION BY event ORDER BY time, _ingest_id) AS r FROM events ORDER BY event, r", true},
	{"SELECT RANK() OVER (PARTITION BY event ORDER BY n), RANK() OVER (PARTITION BY s ORDER BY n) FROM events", false},
	{"SELECT x.k + 1 FROM (SELECT n + 1 AS k FROM events) x", false},
	{"SELECT x.k, x.k FROM (SELECT n + 1 AS k FROM events) x", false},
	{"SELECT x.k, x.n FROM (SELECT n + 1 AS k, n FROM events) x", true},
	{"WITH c AS (SELECT s, n FROM events WHERE n > 1) SELECT n, s FROM c", true},
	{"SELECT * FROM v", true},
	{"SELECT user, n, loud FROM v WHERE n > 2", true},
	{"SELECT user FROM v WHERE loud LIKE 'WORD%'", true},
	{"SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED) AS t, UPPER(s) FROM events", true},
	{"SELECT UPPER(event), LENGTH(s), CONCAT(event, '-', s), s LIKE 'w%', s = 'word 1' FROM events", true},
	{"SELECT n + 1, n * 2.5, n / 3, d * 2, -d, n DIV 2, n % 3, n + d, m + 1, m * m, NOT b, b + 1 FROM events", true},
	{"SELECT IF(n > 3, 'big', NULL), CASE s WHEN 'word 1' THEN n ELSE d END, COALESCE(insert_id, 'none'), NULLIF(n, 3) FROM events", true},
	{"SELECT DATE(time), TIME(time), YEAR(time), HOUR(time), DATE_FORMAT(time, '%Y-%m'), time + INTERVAL 1 DAY, TIMEDIFF(time, t), TIMEDIFF(t, time) FROM events", true},
	{"SELECT JSON_EXTRACT(properties, '$.n'), j->'$.a', j->>'$.a', JSON_LENGTH(properties), JSON_OBJECT('a', m, 't', t) FROM events", true},
	{"SELECT CAST(s AS BINARY), HEX(s), CAST(n AS CHAR), CAST(n AS UNSIGNED), CAST(d AS DECIMAL(20, 3)), CAST(s AS DATE), CONVERT(s USING latin1) FROM events WHERE n >= 0", true},
	{"SELECT CAST(s AS SIGNED) FROM events", true},
	{"SELECT n > 3 AND s IS NULL, n IN (1, 2, NULL), event BETWEEN 'e1' AND 'e3', s REGEXP '[0-9]' FROM events", true},
	{"SELECT @@version, DATABASE(), event FROM events", true},
	{"SELECT @k, event FROM events", true},
	{"SELECT (SELECT MAX(n) FROM events), event FROM events", false},
	{"SELECT event FROM events WHERE n = (SELECT MAX(n) FROM events)", false},
	{"SELECT event FROM events ORDER BY n, s, event, time, distinct_id LIMIT 3", true},
	{"SELECT COUNT(*) FROM events", true},
	{"SELECT event, time, n, d, b, s, j, m, t, f, x, properties FROM events ORDER BY time, _ingest_id", true},
	{"SELECT f, -f, f * 2, event, 'k', NULL, n + 1, UPPER(s) FROM events ORDER BY f, n DESC, _ingest_id", true},
	{"SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED) AS u, event, s FROM events ORDER BY time DESC, _ingest_id LIMIT 9 OFFSET 4", true},
	{"SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED), CAST(1000 * UNIX_TIMESTAMP(t) AS SIGNED), CAST(UNIX_TIMESTAMP(t) AS SIGNED), CAST(UNIX_TIMESTAMP(t) * 1000000 AS SIGNED), CAST(UNIX_TIMESTAMP(t) * 10 AS SIGNED), CAST(UNIX_TIMESTAMP(time) * 1000 AS UNSIGNED) FROM events", true},
	{"SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED), CAST(UNIX_TIMESTAMP(t) * 1 AS SIGNED) FROM events ORDER BY time DESC, _ingest_id", true},
	{"SELECT x.f * 2, x.k FROM (SELECT f, n + 1 AS k FROM events ORDER BY time, _ingest_id LIMIT 20) x LIMIT 12 OFFSET 3", false},
	{"SELECT event FROM events ORDER BY time, _ingest_id LIMIT 3 OFFSET 1000", true},
	{"SELECT event, RAND() * 0 FROM events ORDER BY time, _ingest_id LIMIT 3", true},
	{"SELECT user, loud FROM v ORDER BY n DESC, loud, user LIMIT 11", true},
	{"SELECT event, COUNT(*), SUM(n), AVG(d), MIN(s), MAX(time), SUM(m), AVG(m), STD(n), MIN(f), SUM(f), COUNT(DISTINCT s), BIT_OR(n) FROM events GROUP BY event", true},
	{"SELECT COUNT(*) * 2, SUM(n) + 1, CONCAT(MAX(s), '!'), -SUM(f), MIN(t), MAX(b), MIN(m) FROM events WHERE n < 5 GROUP BY b", true},
	{"SELECT b, n > 2, DATE_FORMAT(time, '%Y-%m') AS month, COUNT(*) FROM events GROUP BY b, n > 2, month", true},
	{"SELECT event, COUNT(*) AS c FROM events GROUP BY event ORDER BY c DESC, event LIMIT 2", false},
	{"SELECT event, n FROM events GROUP BY event, n LIMIT 4", true},
	{"SELECT SUM(n) FROM events WHERE FALSE", false},
	{"SELECT SUM(n), COUNT(s), MAX(time) FROM events WHERE event = 'nobody'", true},
	{"SELECT event, COUNT(*) FROM events GROUP BY event HAVING COUNT(*) > 3", false},
	{"SELECT DISTINCT s, b FROM events", true},
	{"SELECT COUNT(*), (SELECT 1) FROM events", false},
	{"SELECT event, CAST(MAX(s) AS SIGNED) FROM events GROUP BY event", true},
	{"SELECT event, JSON_EXTRACT(CONCAT(event, 'x'), '$') FROM events ORDER BY time, _ingest_id", true}, // an error
	{"SELECT event, COUNT(*) FROM events WHERE JSON_EXTRACT(CONCAT(event, 'x'), '$') IS NULL GROUP BY event", true},
	{"SELECT DISTINCT event FROM events ORDER BY event", false},
	{"SELECT event FROM events WHERE time > 20260112", false},
	{"SELECT REPEAT(s, 2000) FROM events WHERE LENGTH(s) < 100", true},
	{"SELECT CAST(CONCAT(event, 'x') AS JSON) FROM events", true}, // an error at the first row
}

// columnWorld has events with every type of column, and NULLs in all of them.
func columnWorld(t testing.TB, n int) *sqlWorld {
	w := newSQLWorld(t)
	w.model.BatchRows = 7
	w.fillRandomly(rand.New(rand.NewPCG(1, 2)), n)
	w.must(`INSERT INTO events (event, time, properties) VALUES ('old', '0001-01-01 00:00:00.000001', '{"n": -9223372036854775808, "f": -0.0, "d": -0.0, "t": "0999-12-31 23:59:59.999999", "s": "`+strings.Repeat("long ", 60)+`"}'),
		('new', '2026-01-01', '{"n": 9223372036854775807, "f": 1e-300, "d": 0.25, "t": "9999-12-31 23:59:59.999999", "m": -0.01, "x": 5, "s": "𝄞 ä\\n"}'),
		('wide', '2026-01-01', '{"f": 123456789012345680000, "s": "`+strings.Repeat("x", 70000)+`"}'), ('t', '2026-01-01', '{"t": "1970-01-01 00:00:00.999999"}'), ('t', '1970-01-01 00:00:01.000499', '{"t": "2026-01-01 00:00:01.500000"}'),
		('t', '2026-01-01 00:00:00.999500', '{"t": "3001-01-18 23:59:59.999999"}'), ('t', '2026-01-01 23:59:59.999999', '{"t": "3001-01-19 00:00:00"}'), ('odd', '2026-01-01', '{"x": "text", "m": "x", "t": 5, "j": "text"}'), ('odd', '2026-01-02', '{"x": [1, {"a": null}], "m": 7, "t": "2026-01-01", "j": 5}')`,
		"CREATE VIEW v AS SELECT distinct_id AS user, n, s, UPPER(s) AS loud FROM events WHERE event <> 'e3'")
	return w
}

func TestBatchesSendWhatRowsDo(t *testing.T) {
	w := columnWorld(t, 60)
	c := w.serve(t)
	for _, s := range columnStatements {
		if s.statement != columnStatements[len(columnStatements)-1].statement && w.byColumn(s.statement) != s.byColumn {
			t.Errorf("%s\nby column: %t, want %t", s.statement, !s.byColumn, s.byColumn)
		}
	}
	for _, names := range []string{"SET NAMES utf8mb4", "SET character_set_results = NULL", "SET NAMES latin1", "SET time_zone = '+05:30'", "SET sql_select_limit = 4"} {
		if _, last := c.query(names); errorCode(last) != 0 {
			t.Fatalf("%s: %q", names, last)
		}
		for _, s := range columnStatements {
			w.bothWays(c, s.statement)
		}
	}
}

// Every condition, alone and beside another.
func TestConditionsKeepTheSameRows(t *testing.T) {
	w := columnWorld(t, 60)
	c := w.serve(t)
	r := rand.New(rand.NewPCG(3, 4))
	one := func() string {
		p := oracle.Predicates[r.IntN(len(oracle.Predicates))]
		var args []any
		for range strings.Count(p, "%d") {
			args = append(args, r.IntN(10))
		}
		return fmt.Sprintf(p, args...)
	}
	rounds := 3 * len(oracle.Predicates)
	if testing.Short() {
		rounds = len(oracle.Predicates)
	}
	for i := range rounds {
		where := strings.ReplaceAll(strings.ReplaceAll(oracle.Predicates[i%len(oracle.Predicates)], "%d", "1"), "%%", "%")
		if i >= len(oracle.Predicates) {
			where = fmt.Sprintf([]string{"(%s) AND (%s)", "(%s) OR (%s)", "NOT ((%s) AND (%s))"}[r.IntN(3)], one(), one())
		}
		w.bothWays(c, "SELECT event, n, d, s FROM events_all e WHERE "+where)
	}
}

// The rows that were sent are counted, and warnings given, as for any SELECT.
func TestBatchesCount(t *testing.T) {
	w := columnWorld(t, 60)
	c := w.serve(t)
	for _, q := range []string{"SELECT event FROM events", "SELECT event FROM events WHERE n > 3", "SELECT event FROM events LIMIT 5", "SELECT CAST(s AS SIGNED) FROM events WHERE s LIKE '%W%'"} {
		var seen [2][]byte
		for i, rowsOnly := range []bool{true, false} {
			w.executor().rowsOnly.Store(rowsOnly)
			c.query(q)
			for _, after := range []string{"SELECT FOUND_ROWS(), ROW_COUNT(), @@warning_count", "SHOW WARNINGS", "SHOW SESSION STATUS LIKE 'Com_select'"} {
				if after[:4] == "SHOW" && after[5] == 'S' && i == 0 {
					continue // it counts on
				}
				if after[5] == 'S' {
					c.query(after)
					continue
				}
				c.query(q)
				c.command(append([]byte{3}, after...))
				seen[i] = append(seen[i], bytes.Join(c.packets(), nil)...)
			}
		}
		if !bytes.Equal(seen[0], seen[1]) {
			t.Errorf("after %s: by row\n%q\nby column\n%q", q, seen[0], seen[1])
		}
	}
}

// Rows are rows for whoever asks for them: a cursor, and whoever takes them by Next.
func TestBatchRowsAreRowsToo(t *testing.T) {
	w := columnWorld(t, 60)
	ctx := w.context()
	_, iter, _, err := w.engine.gms.Query(ctx, "SELECT event, n FROM events")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := batchesOf(iter); b == nil {
		t.Error("not by column")
	}
	rows, err := sql.RowIterToRows(ctx, iter)
	if want := w.must("SELECT COUNT(*) FROM events")[0][0]; err != nil || fmt.Sprint(len(rows)) != want {
		t.Errorf("%d rows, %v; want %s", len(rows), err, want)
	}
	c := w.serve(t)
	id := c.prepare("SELECT event, n, s FROM events WHERE n > 1 LIMIT 20")
	c.execute(id, 1)
	for range 5 { // count, three columns, end
		c.read()
	}
	if got, last := c.fetch(id, 15); got != 15 || errorCode(last) != 0 {
		t.Errorf("fetched %d rows, %q", got, last)
	}
	if got, last := c.fetch(id, 15); got != 5 || errorCode(last) != 0 {
		t.Errorf("fetched %d more rows, %q", got, last)
	}
}

// Rows that take more than a packet, and just one.
func TestBatchesOfLongRows(t *testing.T) {
	w := columnWorld(t, 1)
	c := w.serve(t)
	const counted = 4 // bytes before a long text
	sizes := []int{1<<24 - 1 - counted, 1<<24 - 2 - counted, 1<<24 - counted}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, size := range sizes {
		w.bothWays(c, fmt.Sprintf("SELECT REPEAT('x', %d) FROM events LIMIT 1", size))
	}
}

// A function that fails where the data is, and not where rows pass the conditions,
// has the statement begin again with rows.
func TestBatchesBeginAgain(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, properties) VALUES
		('a', '2026-01-10', '{"s": "[1]"}'), ('b', '2026-01-11', '{"s": "no"}')`)
	var why atomic.Int32
	w.gateway.onFallback = func(error) { why.Add(1) }
	c := w.serve(t)
	for _, q := range []string{
		"SELECT JSON_EXTRACT(s, '$[0]') AS a, COUNT(*) FROM events WHERE event = 'a' GROUP BY a",
		"SELECT JSON_EXTRACT(s, '$[0]') AS a, COUNT(*) FROM events GROUP BY a",
		"SELECT COUNT(*) FROM events WHERE IF(event = 'a', JSON_EXTRACT(s, '$[0]'), 1) = 1",
		"SELECT event, JSON_EXTRACT(s, '$[0]') FROM events WHERE event = 'a' ORDER BY JSON_EXTRACT(s, '$[0]') + 0, time",
	} {
		w.bothWays(c, q)
	}
	if why.Load() == 0 {
		t.Error("nothing began again")
	}
}
