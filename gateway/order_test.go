package gateway

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPushedOrder asks statements that sort, pushed and not.
func TestPushedOrder(t *testing.T) {
	w := newSQLWorld(t)
	r := rand.New(rand.NewPCG(7, 1))
	w.fillRandomly(r, 150)
	w.must("CREATE VIEW v AS SELECT event, time AS at, n * 2 AS twice, s FROM events WHERE n IS NULL OR n < 10")
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''", "SET time_zone = '+00:00'")
	}
	pushed := []string{
		"SELECT * FROM events ORDER BY time DESC, _ingest_id LIMIT 10",
		"SELECT event, time FROM events ORDER BY time, _ingest_id",
		"SELECT event, n, d, m, t, b, s, j FROM events ORDER BY n, d DESC, m, t DESC, b, s, _ingest_id LIMIT 25",
		"SELECT event, n, d, m, t, b, s, j FROM events ORDER BY m DESC, t, _ingest_id LIMIT 25 OFFSET 5",
		"SELECT event, n FROM events_all ORDER BY d, _ingest_id DESC LIMIT 7",
		"SELECT event FROM events ORDER BY s DESC, _ingest_id LIMIT 40",
		"SELECT event, n + 1 AS more FROM events ORDER BY n + 1 DESC, _ingest_id LIMIT 9",
		"SELECT event, UPPER(s) AS u FROM events WHERE n > 1 AND s LIKE '%a%' ORDER BY time, _ingest_id",
		"SELECT x.event, x.time FROM (SELECT event, time, _ingest_id AS id FROM events WHERE n IS NOT NULL) AS x ORDER BY x.time DESC, x.id LIMIT 12",
		"SELECT at, twice FROM v ORDER BY at, twice, s, event LIMIT 30",
		"SELECT e.event FROM events e WHERE e.distinct_id = 'u1' ORDER BY e.time, _ingest_id",
		"SELECT event, 'x' AS k, properties FROM events ORDER BY _ingested_at DESC, _ingest_id LIMIT 3",
		"SELECT time FROM events WHERE distinct_id IN (SELECT 'u1') ORDER BY time, _ingest_id",
		"SELECT (SELECT y.event FROM events y WHERE y.distinct_id = x.distinct_id ORDER BY y.time DESC, y._ingest_id LIMIT 1) AS last, x.insert_id FROM events x ORDER BY x._ingest_id LIMIT 6",
		"SELECT event FROM events ORDER BY time, _ingest_id LIMIT 0",
		"SELECT event FROM events WHERE FALSE ORDER BY time",
		"SELECT event FROM events ORDER BY RAND() * 0, _ingest_id LIMIT 3",
		"SELECT event, j FROM events ORDER BY j, _ingest_id LIMIT 30",
		"SELECT SQL_CALC_FOUND_ROWS event FROM events ORDER BY time, _ingest_id LIMIT 3",
		"SELECT event FROM events ORDER BY s COLLATE utf8mb4_0900_ai_ci, _ingest_id LIMIT 5",
		"(SELECT event FROM events ORDER BY time, _ingest_id LIMIT 3) UNION ALL (SELECT event FROM events ORDER BY time DESC, _ingest_id LIMIT 3)",
		"SELECT a.event FROM (SELECT event, n FROM events ORDER BY time, _ingest_id LIMIT 5) a JOIN (SELECT 1 AS one) b ORDER BY a.n, a.event",
	}
	for _, q := range pushed {
		want, wantErr := stock.answer(q)
		got, err := w.answer(q)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s\npushed: %v\nstock: %v", q, err, wantErr)
			continue
		}
		if lines(got) != lines(want) {
			t.Errorf("%s\npushed gives %d rows, stock %d:\n%s\n---\n%s", q, len(got), len(want), lines(got), lines(want))
		}
	}
	_, plan, err := w.query("EXPLAIN FORMAT=TREE " + pushed[0])
	if err != nil || !strings.Contains(lines(plan), "PushedSort") {
		t.Errorf("not pushed: %v\n%s", err, lines(plan))
	}
	n := 0
	for _, q := range pushed {
		if pushesSort(w, q) {
			n++
		} else {
			t.Log("not pushed: ", q)
		}
	}
	if n < 12 {
		t.Errorf("%d of %d statements are pushed", n, len(pushed))
	}
}

// pushesSort reports whether a statement has something that is pushed.
func pushesSort(w *sqlWorld, q string) bool {
	_, rows, err := w.query("EXPLAIN FORMAT=TREE " + q)
	return err == nil && strings.Contains(lines(rows), "Pushed")
}

// TestPushedOrders asks random orders.
func TestPushedOrders(t *testing.T) {
	w := newSQLWorld(t)
	r := rand.New(rand.NewPCG(rand.Uint64(), 2))
	w.fillRandomly(r, 120)
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''", "SET time_zone = '+00:00'")
	}
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	for range 150 {
		var order []string
		for range 1 + r.IntN(3) {
			order = append(order, pick("n", "b", "d", "m", "time", "t", "s", "event")+pick("", " DESC"))
		}
		order = append(order, "_ingest_id")
		q := "SELECT " + pick("*", "event, n, s", "insert_id, time, n, d", "n + 1, UPPER(s), time") + " FROM " + pick("events", "events_all") +
			pick("", " WHERE n > 0", " WHERE distinct_id = 'u1'", " WHERE time > '2020-01-01'", " WHERE s LIKE '%a%' OR d < 1") +
			" ORDER BY " + strings.Join(slices.Compact(order), ", ") + pick("", " LIMIT 5", " LIMIT 20", " LIMIT 3 OFFSET 4")
		want, wantErr := stock.answer(q)
		got, err := w.answer(q)
		if (err == nil) != (wantErr == nil) || lines(got) != lines(want) {
			t.Errorf("%s\npushed gives %d rows, stock %d: %v, %v\n%s\n---\n%s", q, len(got), len(want), err, wantErr, lines(got), lines(want))
		}
	}
}
