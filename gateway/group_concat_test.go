package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestConcatsInOrder compares GROUP_CONCATs that want rows in an order, of rows that come
// in it, with those that sort a group's rows.
func TestConcatsInOrder(t *testing.T) {
	w := newSQLWorld(t)
	w.fillRandomly(rand.New(rand.NewPCG(5, 1)), 300)
	w.must("CREATE VIEW v AS SELECT event, distinct_id AS u, time, n AS number, s FROM events WHERE n IS NULL OR n < 100")
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''")
	}
	for query, pushes := range map[string]bool{
		"SELECT distinct_id, GROUP_CONCAT(event ORDER BY time, _ingest_id SEPARATOR ' > ') AS path, COUNT(*), SUM(n), MAX(time) FROM events GROUP BY distinct_id":                    true,
		"SELECT distinct_id, GROUP_CONCAT(s ORDER BY time DESC, _ingest_id DESC), GROUP_CONCAT(n ORDER BY time DESC, _ingest_id DESC SEPARATOR '') FROM events GROUP BY distinct_id": true,
		"SELECT GROUP_CONCAT(s ORDER BY time, _ingest_id) FROM events":                                                                                                                true,
		"SELECT GROUP_CONCAT(UPPER(s), n ORDER BY time, _ingest_id) FROM events_all WHERE n < 9 OR s IS NULL":                                                                         true,
		"SELECT GROUP_CONCAT(s ORDER BY time, _ingest_id), COUNT(*) FROM events WHERE event = 'nothing'":                                                                              true,
		"SELECT event, GROUP_CONCAT(s ORDER BY time, _ingest_id) FROM events WHERE event = 'nothing' GROUP BY event":                                                                  true,
		"SELECT DATE(time), b, GROUP_CONCAT(DISTINCT_ID ORDER BY n, time, _ingest_id) FROM events GROUP BY DATE(time), b":                                                             true,
		"SELECT event, GROUP_CONCAT(d ORDER BY time, _ingest_id), GROUP_CONCAT(time ORDER BY time, _ingest_id), GROUP_CONCAT(m ORDER BY time, _ingest_id) FROM events GROUP BY event": true,
		"SELECT u, GROUP_CONCAT(event ORDER BY time, event, s, number) FROM v GROUP BY u HAVING COUNT(*) > 2 ORDER BY u DESC LIMIT 5":                                                 true,
		"SELECT path, COUNT(*) FROM (SELECT GROUP_CONCAT(event ORDER BY time, _ingest_id) AS path FROM events GROUP BY distinct_id) p GROUP BY path":                                  true,
		"SELECT distinct_id, GROUP_CONCAT(CONCAT(event, ':', s) ORDER BY time, _ingest_id) FROM events WHERE time >= '2026-01-11' GROUP BY distinct_id":                               true,
		"SELECT distinct_id, GROUP_CONCAT(s ORDER BY time, _ingest_id), GROUP_CONCAT(event ORDER BY time DESC, _ingest_id) FROM events GROUP BY distinct_id":                          false,
		"SELECT a.distinct_id, GROUP_CONCAT(a.event ORDER BY a.time, a._ingest_id) FROM events a JOIN events b ON a.insert_id = b.insert_id GROUP BY a.distinct_id":                   true,
		"SELECT distinct_id, GROUP_CONCAT(event ORDER BY time, _ingest_id), JSON_ARRAYAGG(1) FROM events GROUP BY distinct_id":                                                        false,
	} {
		plan := w.likeStock(stock, query)
		if got := strings.Contains(plan, "CONCAT CUT"); got != pushes {
			t.Errorf("%s is given rows in order: %v, want %v\n%s", query, got, pushes, plan)
		}
	}

	// Lengths at which a text or a separator is cut, or a character would be.
	w.must("CREATE DATABASE other", "USE other", "INSERT INTO events (event, time, distinct_id) VALUES ('ab', '2026-01-10', 'x'), ('é', '2026-01-11', 'x'), ('cd', '2026-01-12', 'x'), ('ab', '2026-01-10', 'y')")
	const path = "SELECT distinct_id, GROUP_CONCAT(event ORDER BY time SEPARATOR '--') FROM events GROUP BY distinct_id ORDER BY distinct_id"
	for most, want := range map[int]string{4: "ab-- ab Row 2 was cut by GROUP_CONCAT()", 5: "ab-- ab Row 2 was cut by GROUP_CONCAT()", 6: "ab--é ab Row 3 was cut by GROUP_CONCAT()", 7: "ab--é- ab Row 3 was cut by GROUP_CONCAT()", 9: "ab--é--c ab Row 3 was cut by GROUP_CONCAT()", 10: "ab--é--cd ab"} {
		w.must(fmt.Sprint("SET group_concat_max_len = ", most))
		_, rows, err := w.query(path)
		if err != nil {
			t.Fatal(err)
		}
		got := rows[0][1] + " " + rows[1][1]
		for _, warning := range w.session.Warnings() {
			got += " " + warning.Message
		}
		if got != want {
			t.Errorf("at most %d bytes: %s, want %s", most, got, want)
		}
	}
}
