package gateway

import "testing"

// TestSubqueriesWithinAggregates: an aggregate whose argument holds a subquery is known
// wherever it stands, and keeps apart from one that differs in case.
func TestSubqueriesWithinAggregates(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, `SELECT COUNT(CASE WHEN n IN (SELECT n FROM words WHERE k = 'A') THEN 1 END) FROM words`, "2")
	mustQuery(t, c, `SELECT k, COUNT(CASE WHEN n IN (SELECT n FROM words WHERE n > 1) THEN 1 END) AS c FROM words GROUP BY k HAVING COUNT(CASE WHEN n IN (SELECT n FROM words WHERE n > 1) THEN 1 END) > 0 ORDER BY k`, "A|1\na|1")
	mustQuery(t, c, `SELECT k, 1 + SUM(EXISTS (SELECT 1 FROM words w WHERE w.n = words.n + 1)), MAX((SELECT MAX(w.n) FROM words w WHERE w.n < words.n)) FROM words GROUP BY k ORDER BY k`, "NULL|1|NULL\nA|2|2\na|1|1")
	mustQuery(t, c, `SELECT COUNT(CASE WHEN k IN (SELECT 'A') THEN 1 END), COUNT(CASE WHEN k IN (SELECT 'a') THEN 1 END) FROM words`, "2|1")
	mustQuery(t, c, `SELECT COUNT(CASE WHEN k IN (SELECT ?) THEN 1 END), COUNT(CASE WHEN k IN (SELECT ?) THEN 1 END) FROM words`, "2|1", "A", "a")
	mustQuery(t, c, `SELECT SUM(n + (SELECT 10)), SUM(n + (SELECT 10)) * 2, GROUP_CONCAT(n IN (SELECT 2) ORDER BY n) FROM words`, "37|74|0,1,0")
	failing(t, c, `SELECT GROUP_CONCAT((SELECT MAX(w.k) FROM words w WHERE w.n = words.n)) FROM words`, 1235, "derived table")
	failing(t, c, `SELECT n, COUNT(CASE WHEN n IN (SELECT 1) THEN 1 END) FROM words GROUP BY k`, 1055, "")
}
