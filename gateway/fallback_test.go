package gateway

import (
	"errors"
	"strings"
	"testing"

	"arbor/engine/exec"
)

// fallbackWorlds are a world with texts of which some are no JSON, and its stock twin.
func fallbackWorlds(t *testing.T) (w, stock *sqlWorld) {
	w = newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, distinct_id, properties) VALUES
		('a', '2026-01-10', 'u', '{"doc": "{\\"x\\": 4}"}'), ('a', '2026-01-11', 'v', '{"doc": "{\\"x\\": 2}"}'),
		('a', '2026-01-12', 'u', '{"doc": "{\\"x\\": 3}"}'), ('a', '2026-01-12', 'v', '{"doc": "{\\"x\\": 1}"}'),
		('a', '2026-01-08', 'v', '{"doc": "{\\"x\\": 7}"}'), ('a', '2026-01-09', 't', '{"doc": "{\\"x\\": 9}"}'),
		('b', '2026-01-13', 'u', '{"doc": "no json"}')`)
	stock = w.stockGroups()
	stock.must("USE shop")
	return w, stock
}

// A condition that fails for rows that another one leaves out is left to the SQL library,
// which looks at them in order: by all that is pushed, and once.
func TestWhatFailsBeginsAgain(t *testing.T) {
	w, stock := fallbackWorlds(t)
	var why []error
	w.gateway.onFallback = func(err error) { why = append(why, err) }
	c := w.serve(t)
	where := " FROM events WHERE event = 'a' AND JSON_EXTRACT(doc, '$.x') > 1"
	for _, q := range []string{
		"SELECT COUNT(*)" + where,
		"SELECT distinct_id, COUNT(*)" + where + " GROUP BY distinct_id ORDER BY distinct_id",
		"SELECT doc, time" + where + " ORDER BY time DESC",
		"SELECT doc, time" + where + " ORDER BY distinct_id DESC, time LIMIT 3 OFFSET 1",
		"SELECT doc, LAG(time) OVER (PARTITION BY distinct_id ORDER BY time, _ingest_id)" + where + " ORDER BY time DESC, doc",
		"SELECT doc, RANK() OVER (ORDER BY time)" + where + " ORDER BY doc",
		"SELECT doc, NTILE(2) OVER (ORDER BY time, _ingest_id) AS half" + where + " ORDER BY half DESC, doc LIMIT 4",
		"SELECT doc, SUM(LENGTH(doc)) OVER (PARTITION BY distinct_id)" + where + " ORDER BY doc",
		"SELECT doc, RANK() OVER (PARTITION BY distinct_id ORDER BY time) AS r, RANK() OVER (PARTITION BY distinct_id ORDER BY doc) AS s" + where + " ORDER BY doc",
		"SELECT r, COUNT(*) FROM (SELECT RANK() OVER (PARTITION BY distinct_id ORDER BY time) AS r" + where + ") x GROUP BY r ORDER BY r",
	} {
		want, err := stock.answer(q)
		if err != nil || len(want) == 0 {
			t.Fatalf("%s: %v, %d rows", q, err, len(want))
		}
		if !w.pushes(q) {
			t.Errorf("%s\nis not pushed", q)
		}
		why = nil
		got, err := w.answer(q)
		if err != nil || lines(got) != lines(want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", q, err, lines(got), lines(want))
		}
		times := 1
		if strings.Contains(q, " x GROUP BY") { // the groups, then the windows
			times = 2
		}
		if len(why) != times || !errors.Is(why[0], exec.ErrFunction) {
			t.Errorf("%s\nfell back for %v", q, why)
		}
		w.bothWays(c, q)
	}
}

// The stock rows of a window are in the order asked for too, where those by column need no
// sorting.
func TestOrderOfWindowsThatBeginAgain(t *testing.T) {
	w, stock := fallbackWorlds(t)
	fallbacks := 0
	w.gateway.onFallback = func(error) { fallbacks++ }
	c := w.serve(t)
	where := " FROM events WHERE event = 'a' AND JSON_EXTRACT(doc, '$.x') > 0"
	ranked := "SELECT distinct_id, time, _ingest_id, ROW_NUMBER() OVER (PARTITION BY distinct_id ORDER BY time, _ingest_id) AS r, doc" + where
	for _, q := range []string{
		ranked + " ORDER BY distinct_id, r",
		ranked + " ORDER BY distinct_id, r, doc",
		ranked + " ORDER BY distinct_id, time, _ingest_id",
		"SELECT UPPER(doc), time, LAG(time) OVER (ORDER BY time DESC, _ingest_id DESC)" + where + " ORDER BY time DESC, _ingest_id DESC",
		"SELECT doc, ROW_NUMBER() OVER (ORDER BY time, _ingest_id) AS n" + where + " ORDER BY n",
	} {
		_, plan, err := w.query("EXPLAIN FORMAT=TREE " + q)
		if err != nil || strings.Contains(lines(plan), "Sort(") || !strings.Contains(lines(plan), "PushedWindow") {
			t.Errorf("%s: %v\n%s", q, err, lines(plan))
		}
		want, err := stock.answer(q)
		if err != nil || len(want) != 6 {
			t.Fatalf("%s: %v, %d rows", q, err, len(want))
		}
		fallbacks = 0
		got, err := w.answer(q)
		if err != nil || lines(got) != lines(want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", q, err, lines(got), lines(want))
		}
		if fallbacks != 1 {
			t.Errorf("%s\nfell back %d times", q, fallbacks)
		}
		w.bothWays(c, q)
	}
}
