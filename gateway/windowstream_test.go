package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestStreamedWindowsChangeNoAnswer compares windows whose rows come in order from
// where the data is with those that the SQL library sorts.
func TestStreamedWindowsChangeNoAnswer(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 100
	}
	w := newSQLWorld(t)
	seed := rand.Uint64()
	if s := testSeed(); s != 0 {
		seed = s
	}
	r := rand.New(rand.NewPCG(seed, 2))
	w.fillRandomly(r, 150)
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''", "SET time_zone = '+00:00'")
	}
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	bound := func(way string, n ...string) string {
		return one("UNBOUNDED "+way, "CURRENT ROW", one(n...)+" PRECEDING", one(n...)+" FOLLOWING")
	}
	frame := func(order string) string {
		words, n := "ROWS", []string{"0", "1", "2", "5"}
		switch {
		case order == "":
			return ""
		case strings.HasPrefix(order, "ORDER BY time DESC") || order == "ORDER BY time":
			words, n = "RANGE", []string{"INTERVAL 1 DAY", "INTERVAL 90 MINUTE", "INTERVAL 0 SECOND"}
		case strings.HasPrefix(order, "ORDER BY n") && !strings.Contains(order, ","):
			words, n = "RANGE", []string{"0", "1", "3"}
		case !strings.Contains(order, "_ingest_id"):
			return ""
		}
		if r.IntN(3) == 0 {
			return ""
		}
		return " " + words + " BETWEEN " + bound("PRECEDING", n...) + " AND " + bound("FOLLOWING", n...)
	}
	over := func(partition, order string) string {
		if order != "" && r.IntN(4) == 0 {
			order = one("", order)
		}
		function, of := one("COUNT(*)", "SUM(n)", "AVG(n)", "SUM(d)", "AVG(d)", "SUM(m)", "AVG(m)", "SUM(b)", "MIN(event)", "MAX(time)", "MIN(n)", "MAX(d)", "MIN(m)", "COUNT(s)",
			"COUNT(DISTINCT n)", "MAX(CONCAT(event, 'x'))", "SUM(n + 1)", "SUM(s)", "RANK()", "DENSE_RANK()", "PERCENT_RANK()", "CUME_DIST()"), frame(order)
		if strings.Contains(order, "_ingest_id") && r.IntN(2) == 0 {
			function = one("ROW_NUMBER()", "NTILE(3)", "NTILE(100)", "LAG(time)", "LAG(n, 2)", "LAG(n, 1, 0)", "LAG(s, 3, 'none')", "LAG(d)", "LEAD(event)", "LEAD(b, 2)", "LAG(j)",
				"FIRST_VALUE(event)", "LAST_VALUE(n)", "FIRST_VALUE(m)", "NTH_VALUE(time, 2)", "LAST_VALUE(UPPER(event))")
		}
		if strings.HasSuffix(function, "()") || strings.HasPrefix(function, "NTILE") || strings.HasPrefix(function, "L") && !strings.HasPrefix(function, "LAST") {
			of = ""
		}
		return fmt.Sprintf("%s OVER (%s %s%s)", function, partition, order, of)
	}
	pushed, grouped, together := 0, 0, 0
	for range rounds {
		partition := one("", "PARTITION BY event", "PARTITION BY distinct_id", "PARTITION BY n, event", "PARTITION BY DATE(time)")
		columns := []string{"insert_id", "event"}
		order := one("", "ORDER BY time, _ingest_id", "ORDER BY time, _ingest_id", "ORDER BY n DESC, _ingest_id DESC", "ORDER BY d", "ORDER BY time DESC", "ORDER BY n", "ORDER BY time", "ORDER BY s DESC, n, _ingest_id", "ORDER BY LENGTH(event)")
		for range 1 + r.IntN(3) {
			columns = append(columns, over(partition, order))
		}
		if r.IntN(8) == 0 {
			columns = append(columns, over("PARTITION BY s", order), over(partition, "ORDER BY d"))
		}
		q := "SELECT " + strings.Join(columns, ", ") + " FROM events" + one(" WHERE n < 100", "", " WHERE n > 2", " WHERE event LIKE '%a%'", " WHERE distinct_id = 'nobody'")
		if doubles := strings.Contains(q, "(d)") || strings.Contains(q, "SUM(s)"); !doubles && r.IntN(3) == 0 { // those may differ in the last digit
			for i := range columns {
				columns[i] += fmt.Sprintf(" AS c%d", i)
			}
			rows := "SELECT " + strings.Join(columns, ", ") + q[strings.Index(q, " FROM events"):]
			q = one("SELECT c1, COUNT(*), COUNT(c2), MIN(c2), MAX(c2)", "SELECT c1, SUM(c2), AVG(c2)", "SELECT c1, COUNT(DISTINCT c2)") +
				" FROM (" + rows + ") w" + one("", " WHERE c2 = 1", " WHERE c2 IS NOT NULL", " WHERE c2 > 1 AND c1 <> 'e3'") + " GROUP BY c1" + one("", " HAVING COUNT(*) > 2")
			if r.IntN(3) == 0 {
				q = "SELECT c2, COUNT(*) FROM (" + rows + ") w GROUP BY c2"
			}
			grouped++
		}
		if strings.Contains(q, "ORDER BY n RANGE") { // the SQL library adds to the greatest integer
			q = strings.Replace(q, " FROM events", " FROM (SELECT * FROM events WHERE n < 100 OR n IS NULL) events", 1)
		}
		want, err := stock.answer(q)
		got, gotErr := w.answer(q)
		if (err == nil) != (gotErr == nil) {
			t.Fatalf("seed %d: %s\nstreamed: %v\nstock: %v", seed, q, gotErr, err)
		}
		if g, p := sortedAnswer(got), sortedAnswer(want); !sameAnswers(g, p) {
			for i := range min(len(g), len(p)) {
				if !sameAnswers(g[i:i+1], p[i:i+1]) {
					t.Fatalf("seed %d: %s\nrow %d, streamed: %s, stock: %s", seed, q, i, lines(g[i:i+1]), lines(p[i:i+1]))
				}
			}
			t.Fatalf("seed %d: %s\n%d rows, stock gives %d", seed, q, len(g), len(p))
		}
		if w.pushes(q) {
			pushed++
			if strings.Contains(q, " w") && w.groupsWindows(q) {
				together++
			}
		}
	}
	if together < grouped/3 {
		t.Errorf("of %d groupings of windows %d were made of batches", grouped, together)
	}
	if pushed < rounds/2 {
		t.Errorf("of %d windows %d were streamed", rounds, pushed)
	}
}

// groupsWindows reports whether a statement groups what windows give by column.
func (w *sqlWorld) groupsWindows(q string) bool {
	_, rows, err := w.query("EXPLAIN FORMAT=TREE " + q)
	return err == nil && strings.Contains(lines(rows), "PushedGroup") && strings.Contains(lines(rows), "windows: ")
}

// The moments that an aggregate's window is sorted by stay moments, and frames by their
// distance count microseconds, whoever computes them.
func TestWindowFramesOfMoments(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, distinct_id, properties) VALUES
		('a', '2026-01-10 10:00:00.25', 'u', '{"n": 1}'), ('b', '2026-01-10 10:00:01.5', 'u', '{"n": 2}'), ('c', '2026-01-10 10:00:01.75', 'u', '{"n": 4}')`)
	stock := w.stockGroups()
	stock.must("USE shop")
	for _, x := range []*sqlWorld{w, stock} {
		for order, want := range map[string][]string{"": {"1 1", "2 3", "2 7"}, " DESC": {"2 7", "2 6", "1 4"}} {
			x.want("SELECT COUNT(*) OVER (ORDER BY time"+order+" RANGE BETWEEN INTERVAL 1250000 MICROSECOND PRECEDING AND CURRENT ROW), SUM(n) OVER (ORDER BY time"+order+
				" RANGE BETWEEN INTERVAL 2 SECOND PRECEDING AND CURRENT ROW) FROM events ORDER BY time", want...)
		}
	}
	if !w.pushes("SELECT SUM(n) OVER (ORDER BY time RANGE BETWEEN INTERVAL 2 SECOND PRECEDING AND CURRENT ROW) FROM events") {
		t.Error("is not pushed")
	}
}

// Rows of a window that are wanted in its own order are not sorted again, and others are.
func TestOrderOfWindows(t *testing.T) {
	w := newSQLWorld(t)
	w.fillRandomly(rand.New(rand.NewPCG(5, 6)), 150)
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''", "SET time_zone = '+00:00'")
	}
	rows := "SELECT distinct_id, time, _ingest_id, n AS x, ROW_NUMBER() OVER (PARTITION BY distinct_id ORDER BY time, _ingest_id) AS r, SUM(n) OVER (PARTITION BY distinct_id) AS s FROM events"
	for order, sorts := range map[string]bool{
		"distinct_id, r": false, "distinct_id, time, _ingest_id": false, "distinct_id, r, s": false, "distinct_id, r LIMIT 7 OFFSET 3": true,
		"distinct_id DESC, r": true, "r, distinct_id": true, "distinct_id, time DESC, _ingest_id": true, "distinct_id, x, _ingest_id": true, "s, _ingest_id": true, "time, _ingest_id": true,
	} {
		q := rows + " ORDER BY " + order
		want, err := stock.answer(q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.answer(q)
		if err != nil || !sameAnswers(got, want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", q, err, lines(got), lines(want))
		}
		_, plan, err := w.query("EXPLAIN FORMAT=TREE " + q)
		if err != nil || strings.Contains(lines(plan), "Sort(") != sorts && strings.Contains(lines(plan), "TopN(") != sorts {
			t.Errorf("%s: %v\n%s", q, err, lines(plan))
		}
	}
}
