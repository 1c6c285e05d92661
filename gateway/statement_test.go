package gateway

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestStatementSnapshot changes the columns while a statement runs.
func TestStatementSnapshot(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, properties) VALUES ('a', '{"p": 1}')`)
	ctx := w.context()
	before := w.gateway.catalogFor(ctx)
	other := w.as("root")
	other.must(`INSERT INTO shop.events (event, properties) VALUES ('b', '{"q": 2}')`)
	if got := w.gateway.catalogFor(ctx); got != before {
		t.Error("the running statement sees the change")
	}
	if got := w.gateway.catalogFor(w.context()); got == before {
		t.Error("the next statement does not see the change")
	}

	ctx = w.context()
	schema, rows, _, err := w.engine.gms.Query(ctx, "SELECT * FROM events")
	if err != nil {
		t.Fatal(err)
	}
	other.must(`INSERT INTO shop.events (event, properties) VALUES ('c', '{"r": 3}')`)
	width := 0
	if row, err := rows.Next(ctx); err != nil {
		t.Error(err)
	} else {
		width = len(row)
	}
	if err := rows.Close(ctx); err != nil {
		t.Error(err)
	}
	if width != len(schema) {
		t.Errorf("a row has %d values, the schema %d columns", width, len(schema))
	}
	w.want("SELECT COUNT(r) FROM events", "1")
}

// TestOwnChanges has statements see what they themselves have changed.
func TestOwnChanges(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN a BIGINT, ADD COLUMN b DOUBLE", "ALTER TABLE events MODIFY COLUMN a DECIMAL(10,2), ADD COLUMN c TEXT")
	w.want("SELECT name, type FROM arbor.columns ORDER BY name", "a decimal(10,2)", "b double", "c longtext")
}

func TestExplainAnalyze(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop",
		"INSERT INTO events (event, time, insert_id) VALUES ('a', '2026-01-10', '1'), ('a', '2026-01-10', '1'), ('b', '2026-01-11', '2'), ('c', '2026-01-12', '3')")
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"SELECT event FROM events WHERE time < '2026-01-12'", []string{`columns: \[event, time\]`, `scans: 1,`, `as duplicates: 1.* given: 2`, `the rest is not known of 1 scans`, `time: [0-9.]+ ms, bytes given: [1-9]`}},
		{"SELECT COUNT(*), GROUP_CONCAT(DISTINCT event ORDER BY event) FROM events", []string{`PushedGroup\(shop.events\)`, `keys: \[event\]`, `given: 3`, `time: [0-9.]+ ms, bytes given: [1-9]`}},
		{"SELECT COUNT(*) FROM events e WHERE EXISTS (SELECT 1 FROM events_all a WHERE a.insert_id = e.insert_id AND a._duplicate)", []string{`PushedGroup\(shop.events\)`, `filter: insert_id = '1'`, `joined with 1 rows of:`, `PushedDistinct\(shop.events_all\)`, `filter: _duplicate = true`, `(?s)scans: 1,.*scans: 1,`}},
		{"SELECT COUNT(*) FROM events e WHERE EXISTS (SELECT 1 FROM events_all a WHERE a.insert_id > e.insert_id AND a._duplicate)", []string{`Scan\(shop.events\)`, `Scan\(shop.events_all\)`, `scans: 3,`, `given: 3`}},
	} {
		rows := w.must("EXPLAIN ANALYZE " + c.query)
		var lines []string
		for _, r := range rows {
			lines = append(lines, r[len(r)-1])
		}
		text := strings.Join(lines, "\n")
		for _, want := range c.want {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("%s\nlacks %s:\n%s", c.query, want, text)
			}
		}
	}
	w.refused("EXPLAIN ANALYZE INSERT INTO events (event) VALUES ('x')", 1064)
	w.refused("EXPLAIN ANALYZE DELETE FROM events", 1064)
	w.want("SELECT COUNT(*) FROM events", "3")
}

func TestLimitOfDelete(t *testing.T) {
	w := newSQLWorld(t)
	w.gateway.maxDeleted = 4
	w.must("CREATE DATABASE shop", "USE shop")
	fill := func(n int) {
		for i := range n {
			w.must(fmt.Sprintf("INSERT INTO events (event, time, insert_id) VALUES ('a', '2026-01-10', '%d')", i))
		}
	}
	fill(5)
	w.refused("DELETE FROM events WHERE event = 'a'", 1105, "DELETE of more than 4 copies")
	w.want("SELECT COUNT(*) FROM events", "5")
	w.want("DELETE FROM events WHERE insert_id < '4'", "OK 4")
	fill(2)
	w.must("INSERT INTO events (event, time, insert_id) VALUES ('a', '2026-01-10', '4'), ('a', '2026-01-10', '4')")
	w.refused("DELETE FROM events WHERE event = 'a'", 1105)
	w.want("SELECT COUNT(*) FROM events_all", "5")
	w.refused("DELETE a, b FROM events a JOIN events_all b ON a.insert_id = b.insert_id", 1105)
	w.want("DELETE FROM events WHERE insert_id = '0'", "OK 1")
	w.want("DELETE FROM events WHERE event = 'a'", "OK 2")
	w.want("SELECT COUNT(*) FROM events_all", "0")
	fill(5)
	w.want("DELETE FROM events", "OK 5") // which truncates
}
