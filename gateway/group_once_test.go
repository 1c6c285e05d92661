package gateway

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestGroupsThatSeeEachValueOnce compares them, beside aggregates that look at every
// row, with groups of rows, and sees that what they do not understand stays there.
func TestGroupsThatSeeEachValueOnce(t *testing.T) {
	w := newSQLWorld(t)
	w.fillRandomly(rand.New(rand.NewPCG(3, 1)), 300)
	w.must("CREATE VIEW v AS SELECT event, n AS number, s FROM events WHERE n IS NULL OR n < 100")
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''")
	}
	for query, pushes := range map[string]bool{
		"SELECT event, SUM(DISTINCT n), AVG(DISTINCT n), SUM(DISTINCT d), COUNT(*), COUNT(n), SUM(n), AVG(m), STDDEV(n) FROM events GROUP BY event":            true,
		"SELECT GROUP_CONCAT(DISTINCT s ORDER BY s DESC SEPARATOR '/'), MIN(n), MAX(time), BIT_XOR(n), BIT_OR(n), MEDIAN(n), COUNT(DISTINCT s, n) FROM events": true,
		"SELECT b, n % 3, GROUP_CONCAT(DISTINCT UPPER(s) ORDER BY UPPER(s)), COUNT(*) FROM events WHERE n > 1 GROUP BY b, n % 3":                               true,
		"SELECT SUM(DISTINCT number), GROUP_CONCAT(DISTINCT event ORDER BY event) FROM v":                                                                      true,
		"SELECT SUM(DISTINCT n) AS a FROM events GROUP BY event HAVING COUNT(*) > 3 AND a IS NOT NULL ORDER BY a LIMIT 2":                                      true,
		"SELECT SUM(DISTINCT n), COUNT(*) FROM events WHERE event = 'nothing'":                                                                                 true,
		"SELECT event, SUM(DISTINCT n) FROM events WHERE event = 'nothing' GROUP BY event":                                                                     true,
		"SELECT distinct_id, AVG(DISTINCT n) FROM events_all GROUP BY distinct_id":                                                                             true,
		"SELECT SUM(DISTINCT 2), COUNT(1), AVG(DISTINCT NULL) FROM events":                                                                                     true,
		"SELECT SUM(DISTINCT 2), COUNT(*), AVG(DISTINCT 3), GROUP_CONCAT(DISTINCT 'x') FROM events WHERE event = 'nothing'":                                    true,
		"SELECT SUM(DISTINCT 2), COUNT(*) FROM events WHERE event = 'nothing' GROUP BY 1 + 1":                                                                  true,
		"SELECT a.event, (SELECT SUM(DISTINCT n) FROM events b WHERE b.event = a.event) FROM events a WHERE a.n = 1":                                           false,
		"SELECT COUNT(*), JSON_ARRAYAGG(1), SUM(DISTINCT n) FROM events":                                                                                       false,
		"SELECT LENGTH(GROUP_CONCAT(event)), SUM(DISTINCT n) FROM events":                                                                                      true,
		"SELECT event, GROUP_CONCAT(s ORDER BY s SEPARATOR '/'), COUNT(*), COUNT(s) FROM events GROUP BY event":                                                true,
		"SELECT b, GROUP_CONCAT(n ORDER BY n DESC, s), SUM(n), AVG(DISTINCT n) FROM events GROUP BY b":                                                         true,
		"SELECT event, GROUP_CONCAT(UPPER(s), n ORDER BY UPPER(s), n DESC SEPARATOR '') FROM events_all WHERE n < 9 GROUP BY event":                            true,
		"SELECT distinct_id, GROUP_CONCAT(event ORDER BY event), GROUP_CONCAT(DISTINCT event ORDER BY event DESC) FROM events GROUP BY distinct_id":            true,
		"SELECT GROUP_CONCAT('x'), GROUP_CONCAT(NULL), COUNT(*) FROM events":                                                                                   true,
		"SELECT GROUP_CONCAT('x'), COUNT(*) FROM events WHERE event = 'nothing'":                                                                               true,
		"SELECT GROUP_CONCAT(insert_id ORDER BY insert_id) FROM events":                                                                                        true,
		"SELECT event, GROUP_CONCAT(n ORDER BY time, _ingest_id) FROM events GROUP BY event":                                                                   true,
		"SELECT a.event, SUM(DISTINCT b.n) FROM events a JOIN events b ON a.insert_id = b.insert_id GROUP BY a.event":                                          false,
		"SELECT GROUP_CONCAT(DISTINCT event ORDER BY event), SUM(DISTINCT n + RAND() * 0) FROM events":                                                         false,
	} {
		plan := w.likeStock(stock, query)
		if got := strings.Contains(plan, "PushedGroup"); got != pushes && !strings.Contains(query, "JOIN") {
			t.Errorf("%s is pushed: %v, want %v\n%s", query, got, pushes, plan)
		}
	}
	for _, most := range []string{"4", "5", "21", "100"} {
		for _, x := range []*sqlWorld{w, stock} {
			x.must("SET group_concat_max_len = " + most)
		}
		for _, query := range []string{
			"SELECT event, GROUP_CONCAT(s ORDER BY s DESC SEPARATOR ' — ') FROM events GROUP BY event",
			"SELECT GROUP_CONCAT(n ORDER BY n), GROUP_CONCAT(event ORDER BY event DESC SEPARATOR '') FROM events",
			"SELECT b, GROUP_CONCAT(n ORDER BY time, _ingest_id) FROM events GROUP BY b",
			"SELECT b, GROUP_CONCAT(DISTINCT n ORDER BY n) FROM events GROUP BY b",
		} {
			want, err := stock.answer(query)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := w.answer(query); err != nil || !sameAnswers(sortedAnswer(got), sortedAnswer(want)) {
				t.Errorf("%s of %s bytes gives %v\n%s\nand row by row\n%s", query, most, err, lines(got), lines(want))
			}
		}
	}
	// Values that one collects come in an order, as the group's keys do.
	w.must("CREATE DATABASE other", "USE other", "INSERT INTO events (event, time, distinct_id) VALUES ('c', '2026-01-10', 'x'), ('a', '2026-01-11', 'x'), ('b', '2026-01-10', 'y'), ('a', '2026-01-10', 'x')")
	w.want("SELECT GROUP_CONCAT(DISTINCT event), COUNT(*) FROM events", "a,b,c 4")
}
