package gateway

import "testing"

func TestUnionsOfConstantsAreSorted(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, `(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 DESC LIMIT 1`, "2")
	mustQuery(t, c, `SELECT 1 UNION ALL SELECT 3 UNION ALL SELECT 2 ORDER BY 1 DESC`, "3\n2\n1")
	mustQuery(t, c, `SELECT 'x', 5 UNION ALL SELECT 'y', 6 ORDER BY 2 DESC`, "y|6\nx|5")
	mustQuery(t, c, `SELECT 5, k, 5 FROM words UNION SELECT 7, 'b', 6 ORDER BY 1 DESC, 2 DESC, 3`, "7|b|6\n5|a|5\n5|A|5\n5|NULL|5")
	mustQuery(t, c, `SELECT 2 UNION SELECT 1 ORDER BY 1`, "1\n2")
	mustQuery(t, c, `SELECT * FROM (SELECT 1 UNION ALL SELECT 2 ORDER BY 1 DESC LIMIT 1) x`, "2")
	mustQuery(t, c, `SELECT * FROM words WHERE n IN (SELECT 1 UNION SELECT 2 ORDER BY 1)  AND n = 1`, "A|1|1.10|0.5")
}
