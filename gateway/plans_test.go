package gateway

import (
	"context"
	gosql "database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
)

// planClient is one connection, whose reused plans are counted.
type planClient struct {
	*testing.T
	w    *sqlWorld
	conn *gosql.Conn
}

func newPlanClient(t *testing.T, w *sqlWorld, user, address string) *planClient {
	t.Helper()
	db, err := gosql.Open("mysql", user+"@tcp("+address+")/?interpolateParams=true")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); db.Close() })
	return &planClient{t, w, conn}
}

func (c *planClient) exec(statements ...string) {
	c.Helper()
	for _, s := range statements {
		if _, err := c.conn.ExecContext(context.Background(), s); err != nil {
			c.Fatalf("%s: %v", s, err)
		}
	}
}

// rows runs a statement, and reports whether it ran by a plan of before.
func (c *planClient) rows(statement string) (text string, reused bool, err error) {
	c.Helper()
	before := c.w.engine.plans.reused.Load()
	rows, err := c.conn.QueryContext(context.Background(), statement)
	if err != nil {
		return "", false, err
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	var lines []string
	for rows.Next() {
		values, into := make([]gosql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			c.Fatal(err)
		}
		var line []string
		for _, v := range values {
			line = append(line, v.String)
		}
		lines = append(lines, strings.Join(line, " "))
	}
	return strings.Join(lines, ", "), c.w.engine.plans.reused.Load() > before, rows.Err()
}

// want runs a statement that gives these rows, by a plan of before or not.
func (c *planClient) want(statement, want string, reused bool) {
	c.Helper()
	got, again, err := c.rows(statement)
	if err != nil || got != want || again != reused {
		c.Errorf("%s\ngives %q, reused %v, %v\nwant  %q, reused %v", statement, got, again, err, want, reused)
	}
}

// TestPlansAreReused changes what a plan depends on, one after the other.
func TestPlansAreReused(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE DATABASE other", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT",
		"CREATE VIEW ev AS SELECT event, time, n FROM events",
		"CREATE VIEW ordered AS SELECT event, time, distinct_id, n, _ingest_id FROM events",
		"CREATE VIEW today AS SELECT event FROM events WHERE time > NOW() - INTERVAL 1 DAY",
		"INSERT INTO events (event, time, n) VALUES ('a', '2026-01-10', 1), ('b', '2026-01-11', 2)")
	address := w.listen()
	c := newPlanClient(t, w, "root", address)
	c.exec("USE shop")

	const count = "SELECT COUNT(*) FROM ev"
	c.want(count, "2", false)
	c.want(count, "2", true)
	c.want(count, "2", true)
	c.exec("INSERT INTO events (event, time, n) VALUES ('c', '2026-01-12', 3)")
	c.want(count, "3", true)
	c.exec("SET NAMES utf8mb4")
	c.want(count, "3", false) // the driver's collation was another
	c.exec("SET NAMES utf8mb4")
	c.want(count, "3", true)

	// Other forms of plans, and everything they read.
	for _, q := range []struct{ statement, rows string }{
		{"SELECT event, SUM(n) s FROM ev GROUP BY event HAVING s > 1 ORDER BY s DESC LIMIT 5", "c 3, b 2"},
		{"SELECT event, n + 1 FROM ev WHERE n < 3 ORDER BY time DESC", "b 3, a 2"},
		{"SELECT UPPER(event) FROM events WHERE n = 2", "B"},
		{"SELECT event FROM events WHERE n > 1 LIMIT 1", "b"},
		{"SELECT COUNT(*) FROM (SELECT event, COUNT(*) FROM ev GROUP BY event) x", "3"},
		{"SELECT DISTINCT DATE_FORMAT(time, '%m') FROM ev", "01"},
		{"SELECT * FROM ev WHERE event = 'a'", "a 2026-01-10 00:00:00.000000 1"},
		{"SELECT COUNT(*) FROM ordered", "3"},
		{"SELECT LENGTH(MIN(_ingest_id)) FROM events", "32"},
		{"SELECT level, COUNT(*) FROM (SELECT WINDOW_FUNNEL(864000, event = 'a', event = 'b') AS level FROM ordered GROUP BY distinct_id) f GROUP BY level", "2 1"},
		{"SELECT RETENTION(event = 'a', n = 2), SESSIONS(1800), SESSION_SECONDS(864000), SEQUENCE_COUNT('(?1)(?2)', n = 1, n = 2), SEQUENCE_MATCH('(?1)(?2)', n = 2, n = 1), FIRST_TOUCH(event), LAST_TOUCH(n) FROM events", "3 3 172800 1 0 a 3"},
	} {
		c.want(q.statement, q.rows, false)
		c.want(q.statement, q.rows, true)
	}

	// The catalog.
	c.exec("CREATE OR REPLACE VIEW ev AS SELECT event, time, n FROM events WHERE n > 1")
	c.want(count, "2", false)
	c.want(count, "2", true)
	const all = "SELECT * FROM events WHERE n = 1"
	first, _, err := c.rows(all)
	if err != nil {
		t.Fatal(err)
	}
	c.want(all, first, true)
	c.exec(`INSERT INTO events (event, properties) VALUES ('d', '{"new": 1}')`)
	second, again, err := c.rows(all)
	if err != nil || again || len(strings.Fields(second)) != len(strings.Fields(first)) || second == first {
		t.Errorf("with a new column: %q, reused %v, %v; before it %q", second, again, err, first)
	}

	// The database and the variables.
	c.want("SELECT COUNT(*) FROM events", "4", false)
	c.exec("USE other")
	c.want("SELECT COUNT(*) FROM events", "0", false)
	c.exec("USE shop")
	c.want("SELECT COUNT(*) FROM events", "4", true)
	const moment = "SELECT FROM_UNIXTIME(UNIX_TIMESTAMP('2026-01-10 00:00:00')), HOUR(FROM_UNIXTIME(0)) FROM events WHERE n = 1"
	c.exec("SET time_zone = '+02:00'")
	c.want(moment, "2026-01-10 00:00:00 2", false)
	c.want(moment, "2026-01-10 00:00:00 2", true)
	c.exec("SET time_zone = '+05:00'")
	c.want(moment, "2026-01-10 00:00:00 5", false)
	c.exec("INSERT INTO events (event, time, insert_id) VALUES ('r', '2026-01-10', 'x'), ('r', '2026-01-10', 'x')")
	const retried = "SELECT COUNT(*) FROM events WHERE event = 'r'"
	c.want(retried, "1", false)
	c.exec("SET arbor_dedupe = 0")
	c.want(retried, "2", false)
	c.want(retried, "2", true)
	c.exec("SET arbor_dedupe = 1")
	c.want(retried, "1", false)
	c.want(retried, "1", true)
	newPlanClient(t, w, "root", address).exec("SET GLOBAL max_connections = 1000")
	c.want(retried, "1", false)
	c.want(retried, "1", true)

	// What depends on when it is asked, or warns.
	for _, q := range []string{
		"SELECT COUNT(*) FROM today",
		"SELECT COUNT(*) FROM events WHERE time > NOW()",
		"SELECT MAX(NOW() > time) FROM events",
		"SELECT event, SUM(n) OVER () FROM ev WHERE n = 2",
		"SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'nothing'",
		"SELECT COUNT(*) FROM arbor.projects",
		"SELECT COUNT(_ingest_id) FROM events AS OF '2036-01-01 00:00:00'",
		"SELECT COUNT(*) FROM events AS OF '2036-01-01 00:00:00'",
	} {
		for range 3 {
			if _, again, err := c.rows(q); err != nil || again {
				t.Errorf("%s: reused %v, %v", q, again, err)
			}
		}
	}
	for _, q := range []string{
		"SELECT COUNT(*) FROM events WHERE n = 'word'",
		"SELECT COUNT(*) FROM events WHERE n > '1x' + 0",
		"SELECT event + 1 FROM ev WHERE n = 2",
		"SELECT CAST('1x' AS SIGNED) + n FROM ev WHERE n = 2",
		"SELECT /*+ MAX_EXECUTION_TIME(1000) */ COUNT(*) FROM (SELECT /*+ MAX_EXECUTION_TIME(1000) */ event FROM ev) x",
	} {
		first := ""
		for i := range 3 {
			if _, _, err := c.rows(q); err != nil {
				t.Fatal(err)
			}
			if got, _, err := c.rows("SHOW WARNINGS"); err != nil || i > 0 && got != first {
				t.Errorf("%s: the %d. time it warns %q, %v, the first time %q", q, i+1, got, err, first)
			} else if i == 0 {
				first = got
			}
		}
	}
	c.want(retried, "1", true)
	c.want("SHOW WARNINGS", "", false)
}

// TestAnswersAreKeptWithPlans asks the same again. Whoever has a plan that is an answer asks for
// it again, and it is the answer to what is there then.
func TestAnswersAreKeptWithPlans(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT", "CREATE VIEW ev AS SELECT event, time, n FROM events",
		"INSERT INTO events (event, time, n) VALUES ('a', '2026-01-10', 1), ('b', '2026-01-11', 2)")
	c := newPlanClient(t, w, "root", w.listen())
	c.exec("USE shop")
	for _, q := range []struct {
		statement, rows, more string
		answer                bool
	}{
		{"SELECT COUNT(*) FROM ev", "2", "3", true},
		{"SELECT event, SUM(n) + 1 AS s FROM ev GROUP BY event HAVING s > 1 ORDER BY s DESC LIMIT 5", "b 3, a 2", "c 4, b 3, a 2", false}, // HAVING is the library's
		{"SELECT event, COUNT(*) FROM ev WHERE n > 1 GROUP BY event ORDER BY event", "b 1", "b 1, c 1", false},                            // nor is the order of groups an answer,
		{"SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED) AS t, event FROM ev WHERE n < 3 ORDER BY time", "1768003200000 a, 1768089600000 b", "1768003200000 a, 1768089600000 b", true},
		{"SELECT event, n + 1 FROM ev ORDER BY time DESC LIMIT 2", "b 3, a 2", "c 4, b 3", true},
		{"SELECT event, n + 1 FROM ev ORDER BY time DESC LIMIT 1 OFFSET 1", "a 2", "b 3", true},
		{"SELECT DISTINCT DATE_FORMAT(time, '%m') FROM ev", "01", "01", true},
		{"SELECT event FROM ev WHERE n = 1", "a", "a", false}, // rows as they are
		{"SELECT COUNT(*) FROM (SELECT event, COUNT(*) FROM ev GROUP BY event) x", "2", "3", false},
	} {
		want := func(rows string, reused bool) {
			t.Helper()
			before := w.engine.plans.answers.Load()
			c.want(q.statement, rows, reused)
			if asked := w.engine.plans.answers.Load() > before; asked != (reused && q.answer) {
				t.Errorf("%s: an answer of before was asked for: %v", q.statement, asked)
			}
		}
		want(q.rows, false)
		want(q.rows, true)
		want(q.rows, true)
		c.exec("INSERT INTO events (event, time, n, insert_id) VALUES ('c', '2026-01-12', 3, 'c')")
		want(q.more, true)
		want(q.more, true)
		c.exec("DELETE FROM events WHERE event = 'c'")
		want(q.rows, true)
	}

	// What fails where the data is begins again without it, and has no plan then.
	const sum = "SELECT SUM(n + 1) FROM events"
	c.want(sum, "5", false)
	c.want(sum, "5", true)
	c.exec("INSERT INTO events (event, n) VALUES ('most', 9223372036854775807)")
	for range 2 {
		if rows, _, err := c.rows(sum); err == nil || !strings.Contains(err.Error(), "1690") {
			t.Errorf("%s gives %q, %v", sum, rows, err)
		}
	}
	c.exec("DELETE FROM events WHERE event = 'most'")
	c.want(sum, "5", false)
	c.want(sum, "5", true)
}

// TestPlansAskForPrivileges takes privileges away from one who has plans.
func TestPlansAskForPrivileges(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT", "CREATE VIEW ev AS SELECT event FROM events")
	address := w.listen()
	root := newPlanClient(t, w, "root", address)
	root.exec("CREATE USER ann@'%'", "GRANT SELECT ON shop.* TO ann@'%'", "CREATE USER bob@'%'", "GRANT SELECT ON shop.* TO bob@'%'")
	ann, bob := newPlanClient(t, w, "ann", address), newPlanClient(t, w, "bob", address)
	ann.exec("USE shop")
	bob.exec("USE shop")
	const count = "SELECT COUNT(*) FROM ev"
	for _, c := range []*planClient{ann, bob} {
		c.want(count, "0", false)
		c.want(count, "0", true)
	}
	root.exec("GRANT INSERT ON shop.* TO ann@'%'")
	ann.want(count, "0", false)
	ann.want(count, "0", true)
	root.exec("REVOKE SELECT ON shop.* FROM ann@'%'", "DROP USER bob@'%'")
	for _, c := range []*planClient{ann, bob} {
		if rows, again, err := c.rows(count); err == nil || again {
			t.Errorf("without a privilege the client gets %q, reused %v", rows, again)
		}
	}
}

// TestPlansAreBounded keeps as many plans as there may be, and one more.
func TestPlansAreBounded(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop")
	address := w.listen()
	c := newPlanClient(t, w, "root", address)
	c.exec("USE shop")
	statement := func(i int) string { return fmt.Sprintf("SELECT COUNT(*) + %d FROM events", i) }
	for i := range MaxKeptPlans {
		c.want(statement(i), fmt.Sprint(i), false)
	}
	for i := range MaxKeptPlans {
		c.want(statement(i), fmt.Sprint(i), true)
	}
	c.want(statement(MaxKeptPlans), fmt.Sprint(MaxKeptPlans), false)
	c.want(statement(0), "0", false) // it was the one that was used longest ago
	c.want(statement(0), "0", true)
	c.want(statement(2), "2", true)

	long := "SELECT COUNT(*) FROM events WHERE event = ''"
	long = strings.Replace(long, "''", "'"+strings.Repeat("x", MaxKeptText-len(long))+"'", 1)
	c.want(long, "0", false)
	c.want(long, "0", true)
	longer := strings.Replace(long, "x", "xx", 1)
	c.want(longer, "0", false)
	c.want(longer, "0", false)

	if n := w.engine.plans.kept.Load(); n != MaxKeptPlans {
		t.Errorf("%d plans are counted", n)
	}
	w.engine.plans.kept.Store(MaxKeptInAll - 1)
	d := newPlanClient(t, w, "root", address)
	d.exec("USE shop")
	d.want(statement(0), "0", false)
	d.want(statement(1), "1", false) // in the place of the other
	d.want(statement(0), "0", false)
	d.want(statement(0), "0", true)
	d.exec("SET sql_mode = ''")
	if n := w.engine.plans.kept.Load(); n != MaxKeptInAll-1 {
		t.Errorf("%d plans are counted after one was forgotten", n)
	}
}

func TestKeepable(t *testing.T) {
	w := newSQLWorld(t)
	for statement, want := range map[string]bool{
		"SELECT COUNT(*) FROM events": true,
		"SELECT event, count(*) AS c FROM ev WHERE country = 'US' AND time >= '2026-11-11' AND n + 1 > 2 GROUP BY event HAVING c > 3 ORDER BY c DESC, event LIMIT 10": true,
		"SELECT DATE_FORMAT(time, '%Y-%m-%d') AS d, count(DISTINCT distinct_id) FROM events GROUP BY d":                                                               true,
		"SELECT SUM(n) FROM (SELECT COUNT(*) AS n FROM events GROUP BY event) x":                                                                                      true,
		"SELECT CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED) AS t, url FROM ev WHERE event IN ('a', 'b') AND url LIKE '%x%' AND NOT (n BETWEEN 1 AND 2 OR n IS NULL)":  true,
		"SELECT CASE WHEN n > 1 THEN 'a' ELSE TRIM(url) END, EXTRACT(YEAR FROM time), SUBSTRING(url, 1, 2), time + INTERVAL 1 DAY FROM events LIMIT 1 OFFSET 2":       true,
		"SELECT NOW()": false,
		"SELECT event FROM events WHERE time > NOW() - INTERVAL 1 DAY":          false,
		"SELECT event FROM events WHERE time > CURRENT_DATE":                    false,
		"SELECT event FROM events WHERE time > CURRENT_TIMESTAMP(3)":            false,
		"SELECT UNIX_TIMESTAMP() FROM events":                                   false,
		"SELECT RAND() FROM events":                                             false,
		"SELECT event FROM events WHERE RAND() < 0.5":                           false,
		"SELECT @a FROM events":                                                 false,
		"SELECT @@time_zone FROM events":                                        false,
		"SELECT event FROM events ORDER BY RAND()":                              false,
		"SELECT event FROM events WHERE n = (SELECT MAX(n) FROM events)":        false,
		"SELECT event FROM events WHERE EXISTS (SELECT 1 FROM events)":          false,
		"SELECT event FROM events AS OF '2026-01-01'":                           false,
		"WITH x AS (SELECT 1) SELECT * FROM x":                                  false,
		"SELECT 1 UNION SELECT 2":                                               false,
		"SELECT SQL_CALC_FOUND_ROWS event FROM events":                          false,
		"SELECT event FROM events FOR UPDATE":                                   false,
		"SELECT event INTO @a FROM events":                                      false,
		"SELECT CAST('10:00' AS TIME) FROM events":                              false,
		"SELECT event FROM events WHERE event REGEXP 'a'":                       false,
		"SELECT ROW_NUMBER() OVER (ORDER BY time) FROM events":                  false,
		"SELECT LAST_INSERT_ID(), USER(), DATABASE(), FOUND_ROWS() FROM events": false,
		"SELECT (SELECT n FROM events LIMIT 1) FROM (SELECT 1) x":               false,
		"INSERT INTO events (event) VALUES ('a')":                               false,
		"SET time_zone = '+00:00'":                                              false,
		"SHOW TABLES":                                                           false,
	} {
		stmt, _, _, err := w.engine.gms.Parser.Parse(w.context(), statement, false)
		if err != nil {
			t.Errorf("%s: %v", statement, err)
			continue
		}
		if got := keepable(stmt); got != want {
			t.Errorf("%s: keepable is %v", statement, got)
		}
	}
}

// inserts runs a statement that stores so many rows, by a plan of before or not.
func (c *planClient) inserts(statement string, rows int64, reused bool, values ...any) {
	c.Helper()
	before := c.w.engine.plans.reused.Load()
	result, err := c.conn.ExecContext(context.Background(), statement, values...)
	if err != nil {
		c.Fatalf("%s: %v", statement, err)
	}
	got, err := result.RowsAffected()
	if again := c.w.engine.plans.reused.Load() > before; err != nil || got != rows || again != reused {
		c.Errorf("%s\ngives %d rows, reused %v, %v; want %d, reused %v", statement, got, again, err, rows, reused)
	}
}

// Rows are inserted by the plan of rows before, whatever their values and however many
// they are, unless the kinds of the first one's are others.
func TestPlansOfInsertsAreReused(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE DATABASE other", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT")
	address := w.listen()
	c := newPlanClient(t, w, "root", address)
	c.exec("USE shop")
	const into = "INSERT INTO events (event, time, n) VALUES "
	c.inserts(into+"('a', '2026-01-10', 1)", 1, false)
	c.inserts(into+"('b', '2026-01-11 10:00:00', 2)", 1, true)
	c.inserts(into+"('c', '2026-01-12', 3), ('d', '2026-01-12', NULL), ('e', '2026-01-12', '5')", 3, true)
	c.inserts(into+"('f', CONCAT('2026-01-', '12'), 6)", 1, false) // an expression is planned
	c.inserts(into+"('g', '2026-01-13', NULL)", 1, false)
	c.inserts(into+"('h', '2026-01-13', NULL)", 1, true)
	c.inserts("REPLACE INTO events (event, time, n) VALUES ('i', '2026-01-14', 9)", 1, false)
	c.inserts("INSERT INTO events (event, time) VALUES ('j', '2026-01-14')", 1, false)
	c.inserts("INSERT IGNORE INTO events (event, time, n) VALUES ('k', '2026-01-14', 'x')", 1, false)
	c.want("SHOW WARNINGS", "Warning 1366 Incorrect integer value: 'x' for column 'n' at row 1", false)
	c.inserts("INSERT IGNORE INTO events (event, time, n) VALUES ('l', '2026-01-14', 'y')", 1, true)
	c.want("SHOW WARNINGS", "Warning 1366 Incorrect integer value: 'y' for column 'n' at row 1", false)
	c.want("SELECT GROUP_CONCAT(event ORDER BY event), SUM(n) FROM events WHERE event <> 'f'", "a,b,c,d,e,g,h,i,j,k,l 20", false)

	// What a kept plan does not say of itself.
	c.exec("START TRANSACTION READ ONLY")
	if _, err := c.conn.ExecContext(context.Background(), into+"('no', '2026-01-10', 1)"); err == nil || !strings.Contains(err.Error(), "READ ONLY") {
		t.Errorf("in a transaction that only reads: %v", err)
	}
	c.exec("COMMIT")
	inserted := func() string {
		text, _, err := c.rows("SHOW STATUS LIKE 'Com_insert'")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := inserted()
	c.inserts(into+"('m', '2026-01-15', 1)", 1, true)
	if after := inserted(); after == before {
		t.Errorf("Com_insert stays %s", after)
	}

	// What it depends on.
	c.exec("USE other")
	if _, err := c.conn.ExecContext(context.Background(), into+"('no', '2026-01-10', 1)"); err == nil {
		t.Error("the other database has no column n")
	}
	c.exec("USE shop")
	c.inserts(into+"('n', '2026-01-15', 1)", 1, true)
	c.exec("ALTER TABLE events ADD COLUMN m BIGINT")
	c.inserts(into+"('o', '2026-01-15', 1)", 1, false)
	w.must("CREATE USER writer", "GRANT INSERT ON shop.* TO writer")
	writer := newPlanClient(t, w, "writer", address)
	writer.exec("USE shop")
	writer.inserts(into+"('p', '2026-01-15', 1)", 1, false)
	writer.inserts(into+"('q', '2026-01-15', 1)", 1, true)
	w.must("REVOKE INSERT ON shop.* FROM writer")
	if _, err := writer.conn.ExecContext(context.Background(), into+"('no', '2026-01-10', 1)"); err == nil {
		t.Error("writer inserts without the right to")
	}
	c.want("SELECT COUNT(*) FROM events WHERE event = 'no'", "0", false)
	if _, _, err := c.rows(into + "('" + strings.Repeat("x", MaxKeptText) + "', '2026-01-10', 1)"); err == nil {
		t.Error("an event's name of 8 KiB is taken")
	}
	c.inserts(into+"('r', '2026-01-15', 1)", 1, false) // privileges have changed
	c.inserts(into+"('s', '2026-01-15', 1)", 1, true)
}

// A prepared INSERT is planned once for each order of kinds that its first row has.
func TestPlansOfPreparedInsertsAreReused(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT")
	db, err := gosql.Open("mysql", "root@tcp("+w.listen()+")/shop")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &planClient{t, w, conn}
	const one, two = "INSERT INTO events (event, n, time) VALUES (?, ?, '2026-01-10')", "INSERT INTO events (event, n, time) VALUES (?, ?, '2026-01-10'), (?, 7, ?)"
	c.inserts(one, 1, false, "a", 1)
	c.inserts(one, 1, true, "b", 2)
	c.inserts(one, 1, false, "c", nil)
	c.inserts(two, 2, false, "d", 4, "e", "2026-01-11")
	c.inserts(two, 2, true, "f", 5, "g", "2026-01-12")
	c.inserts("INSERT INTO events (event, n, time) VALUES (?, 1 + ?, '2026-01-10')", 1, false, "h", 6)
	c.inserts("INSERT INTO events (event, n, time) VALUES (?, 1 + ?, '2026-01-10')", 1, false, "i", 6)
	c.want("SELECT GROUP_CONCAT(event ORDER BY event), SUM(n) FROM events", "a,b,c,d,e,f,g,h,i 40", false)
}
