package attacks

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// thousand is a table of a thousand numbers.
const thousand = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n<1000) "

// attackStatements has a user run what takes all memory or a processor for good.
func attackStatements(t *testing.T, a *target) {
	connector, err := mysql.NewConnector(withTimeout(a, "ann", "pw"))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	doubled := "WITH c0 AS (SELECT 1 AS n)"
	for i := 1; i <= 40; i++ {
		doubled += fmt.Sprintf(", c%d AS (SELECT n FROM c%d UNION ALL SELECT n FROM c%d)", i, i-1, i-1)
	}
	for _, test := range []struct {
		statement string
		codes     []uint16
	}{
		{thousand + "SELECT COUNT(*) FROM r a, r b, r c, r d", []uint16{3024}},
		{thousand + "SELECT a.n FROM r a, r b, r c ORDER BY RAND()", []uint16{3024, 3170}},
		{thousand + "SELECT COUNT(*) FROM (SELECT DISTINCT a.n, b.n, c.n FROM r a, r b, r c) x", []uint16{3024, 3170}},
		{thousand + "SELECT SUM(SLEEP(1)) FROM r", []uint16{3024}},
		{"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT COUNT(*) FROM r", []uint16{3636}},
		{"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT a.n FROM r a, (SELECT 1 UNION ALL SELECT 2) b) SELECT COUNT(*) FROM r", []uint16{3024, 3170}},
		{thousand + "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 1000000))) FROM r", []uint16{3170, 3024}},
		{thousand + "SELECT JSON_LENGTH(JSON_ARRAYAGG(CONCAT(n, REPEAT('x', 1000000)))) FROM r", []uint16{3170, 3024}},
		{doubled + " SELECT COUNT(*) FROM c40", []uint16{1436}},
		{"SELECT 1 FROM events WHERE event IN (" + strings.Repeat("1,", 1_000_000) + "1)", []uint16{1436}},
		{"SELECT 1 FROM events WHERE event = 'a'" + strings.Repeat(" OR event = 'a'", 100_000), []uint16{1436}},
		{"SELECT " + strings.Repeat("NOT ", 1_000_000) + "1", []uint16{1436}},
		{"SELECT " + strings.Repeat("(", 1_000_000) + "1" + strings.Repeat(")", 1_000_000), []uint16{1436, 1064}},
		{"SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 10_000), []uint16{1436}},
		{"SELECT " + strings.Repeat("(SELECT ", 1000) + "1" + strings.Repeat(")", 1000), []uint16{1436, 1064}},
		{"SELECT COUNT(*) FROM events" + strings.Repeat(" JOIN events USING (insert_id)", 100), []uint16{1116, 1066}},
		{"SELECT REPEAT('a', 1000000) REGEXP '((a{0,100}){0,10})(a|aa)+$'", []uint16{3699}},
		{"SELECT 'a' REGEXP REPEAT('(', 1000000)", []uint16{3694}},
		{"SELECT REGEXP_INSTR(REPEAT('a', 4000000), 'a*b|a', 1, 5000000)", []uint16{3024}},
		{"SELECT JSON_EXTRACT('{}', CONCAT('$', REPEAT('**', 1000000), '.a'))", []uint16{3143, 3024}},
		{"SELECT JSON_EXTRACT(CONCAT(REPEAT('[', 1000000), REPEAT(']', 1000000)), '$[0]')", []uint16{3141, 3024}},
		{"SELECT BENCHMARK(1000000000000, MD5('a'))", []uint16{3024}},
		{"SELECT SLEEP(1000000)", []uint16{3024}},
		{"SELECT CAST('x' AS BINARY(4294967295))", []uint16{1153}},
		{"SELECT LOAD_FILE('/etc/passwd')", []uint16{1235}},
		{"SELECT * FROM events INTO OUTFILE '/tmp/arbor-attack'", []uint16{1290, 1142}},
		{"LOAD DATA INFILE '/etc/passwd' INTO TABLE events", []uint16{1235, 1227, 1045}},
		{"SET GLOBAL max_allowed_packet = 1000000000", []uint16{1227}},
		{"CREATE FUNCTION f RETURNS STRING SONAME 'evil.so'", []uint16{1064, 1235, 1227, 1105}},
		{"INSTALL PLUGIN x SONAME 'evil.so'", []uint16{1064, 1235, 1227}},
		{"SHUTDOWN", []uint16{1064, 1235, 1227}},
	} {
		refused(t, db, test.statement, test.codes...)
	}
	for _, q := range []string{"REPEAT('x', 3000000000)", "REPLACE(REPEAT('x', 10000000), 'x', REPEAT('y', 1000000))", "REGEXP_REPLACE(REPEAT('a', 100000), 'a', REPEAT('b', 100000))", "CONCAT(REPEAT('x', 60000000), REPEAT('x', 60000000))", "SPACE(4000000000)", "LPAD('x', 4000000000, 'y')"} {
		var v sql.NullString
		if err := a.ann.QueryRow("SELECT " + q).Scan(&v); err != nil || v.Valid {
			t.Errorf("%s: %d bytes, %v", q, len(v.String), err)
		}
	}
}

// attackOtherProjects has ann ask, in every way there is, for what is in rival. She must
// not read it, and what she is told must be what she is told of a database that does
// not exist.
func attackOtherProjects(t *testing.T, a *target) {
	a.exec(t, "CREATE VIEW rival.v AS SELECT event FROM rival.events", "CREATE DATABASE third")
	defer a.exec(t, "DROP VIEW rival.v", "DROP DATABASE third")
	for _, q := range []string{
		"SELECT * FROM %s.events", "SELECT COUNT(*) FROM %s.events_all", "SELECT * FROM %s.v", "SELECT * FROM %s.nothing", "USE %s", "SHOW TABLES FROM %s", "SHOW FULL TABLES FROM %s", "SHOW COLUMNS FROM %s.events",
		"SHOW CREATE DATABASE %s", "SHOW CREATE TABLE %s.events", "SHOW CREATE VIEW %s.v", "SHOW INDEX FROM %s.events", "SHOW TABLE STATUS FROM %s", "DESCRIBE %s.events", "EXPLAIN SELECT * FROM %s.events",
		"EXPLAIN FORMAT=JSON SELECT * FROM %s.events", "EXPLAIN ANALYZE SELECT * FROM %s.events", "SELECT (SELECT event FROM %s.events LIMIT 1)", "SELECT 1 UNION SELECT event FROM %s.events", "SELECT * FROM events JOIN %s.events x ON 1=1",
		"WITH x AS (SELECT * FROM %s.events) SELECT * FROM x", "SELECT * FROM events WHERE EXISTS (SELECT 1 FROM %s.events WHERE event LIKE 'r%%')", "INSERT INTO events (event) SELECT event FROM %s.events", "INSERT INTO %s.events (event) VALUES ('x')",
		"DELETE FROM %s.events", "UPDATE %s.events SET event = 'x'", "TRUNCATE TABLE %s.events", "DROP TABLE %s.events", "DROP DATABASE %s", "ALTER TABLE %s.events ADD COLUMN x INT", "CREATE VIEW stolen AS SELECT * FROM %s.events",
		"CREATE VIEW %s.mine AS SELECT 1", "CREATE TABLE t AS SELECT * FROM %s.events", "CHECK TABLE %s.events", "OPTIMIZE TABLE %s.events", "ANALYZE TABLE %s.events", "LOCK TABLES %s.events READ", "GRANT SELECT ON %s.* TO ann",
		"CALL arbor.check_project('%s')", "CALL arbor.index_project('%s')", "CALL arbor.preview_policy('%s', 'KEY=EXACT')", "CALL arbor.rotate_token('%s')", "CALL arbor.set_policy('%s', 'KEY=EXACT')", "CALL arbor.undrop_database('%s')",
		"CALL arbor.undo_truncate('%s')", "CALL arbor.reset_policies('%s')", "CALL arbor.close_days('%s')", "PREPARE p FROM 'SELECT * FROM %s.events'", "SHOW TRIGGERS FROM %s", "SHOW EVENTS FROM %s", "RENAME TABLE %s.events TO shop.x",
		"SELECT * FROM events AS OF '2026-01-01', %s.events",
	} {
		rival, none := a.told(t, q, "rival"), a.told(t, q, "nosuch")
		if rival != none {
			t.Errorf("%s\nof another's database: %s\nof none:                %s", q, rival, none)
		}
	}
	if _, err := a.ann.Exec("DROP VIEW IF EXISTS stolen"); err != nil {
		t.Error(err)
	}
	// What lists everything lists nothing of others.
	tables := []string{"SHOW DATABASES", "SHOW PROCESSLIST", "SHOW TABLE STATUS", "SHOW STATUS", "SHOW WARNINGS", "SHOW GRANTS", "SELECT DATABASE()", "CALL arbor.check_project('shop')"}
	for _, schema := range []string{"information_schema", "arbor", "performance_schema", "sys"} {
		rows, err := a.root.Query("SELECT table_name FROM information_schema.tables WHERE table_schema = ?", schema)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			tables = append(tables, "SELECT * FROM "+schema+".`"+name+"`")
		}
		rows.Close()
	}
	if len(tables) < 60 {
		t.Errorf("only %d lists", len(tables))
	}
	for _, q := range tables {
		if text := everything(a.ann, q); strings.Contains(strings.ToLower(text), "rival") || strings.Contains(text, a.rival) || strings.Contains(text, "third") {
			t.Errorf("%s shows ann %s", q, around(text))
		}
	}
	for _, path := range []string{"/query?database=rival", "/query?database=nosuch"} {
		if status, answer := a.post(t, path, "SELECT * FROM events", "Authorization", "Basic "+basic("ann", "pw")); status != 403 || strings.Contains(answer, "secret") {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	secret := a.QueryOne(t, "SELECT secret FROM arbor.projects WHERE name = 'shop'")
	for _, q := range []string{"SELECT * FROM rival.events", "SHOW DATABASES", "SELECT * FROM information_schema.columns", "SELECT * FROM arbor.projects", "INSERT INTO events (event) VALUES ('x')"} {
		_, answer := a.post(t, "/query", q, "Authorization", "Basic "+basic(secret, ""))
		if strings.Contains(answer, "rivalsecret") || strings.Contains(answer, "third") || strings.Contains(answer, a.rival) || strings.Contains(answer, "affected_rows") {
			t.Errorf("a secret's holder asks %s: %s", q, answer)
		}
	}
	if status, answer := a.post(t, "/api/2.0/export?from_date=2026-01-01&to_date=2026-12-31&project_id=rival", "", "Authorization", "Basic "+basic(secret, "")); strings.Contains(answer, "rivalsecret") {
		t.Errorf("export: %d %s", status, answer)
	}
}

// told is what a statement about a database says, with the database's name taken out.
func (a *target) told(t *testing.T, statement, database string) string {
	t.Helper()
	text := everything(a.ann, fmt.Sprintf(statement, database))
	if strings.Contains(text, "rivalsecret") {
		t.Errorf("%s gives %s", statement, text)
	}
	return strings.ReplaceAll(text, database, "DB")
}

// everything is the rows or the error of a statement, as text.
func everything(db *sql.DB, statement string) string {
	rows, err := db.Query(statement)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.RawBytes)
		}
		if err := rows.Scan(values...); err != nil {
			return err.Error()
		}
		for _, v := range values {
			b.Write(*v.(*sql.RawBytes))
			b.WriteByte('|')
		}
		b.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return b.String()
}

func around(text string) string {
	at := max(strings.Index(strings.ToLower(text), "rival"), strings.Index(text, "third"), 0)
	return text[max(0, at-60):min(len(text), at+60)]
}
