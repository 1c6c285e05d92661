package gateway

import (
	"io"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func TestAggregatesAreKnownWithCase(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, `SELECT SUM(k='A'), SUM(k='a') FROM words`, "2|1")
	mustQuery(t, c, `SELECT SUM(k=?), SUM(k=?) FROM words`, "2|1", "A", "a")
	mustQuery(t, c, `SELECT SUM(k='A') x FROM words HAVING SUM(k='a') = 1`, "2")
	mustQuery(t, c, `SELECT COUNT(CASE WHEN k='A' THEN 1 END), COUNT(CASE WHEN k='a' THEN 1 END) FROM words`, "2|1")
	mustQuery(t, c, `SELECT k, SUM(k='A') OVER (), SUM(k='a') OVER () FROM words ORDER BY n`, "NULL|2|1\nA|2|1\na|2|1\nA|2|1")
	mustQuery(t, c, `SELECT MAX(CONCAT(k,'X')), MAX(CONCAT(k,'x')) FROM words`, "aX|ax")
	mustQuery(t, c, `SELECT GROUP_CONCAT(n, 'X' ORDER BY n), GROUP_CONCAT(n, 'x' ORDER BY n) FROM words`, "1X,2X,4X|1x,2x,4x")
	mustQuery(t, c, `SELECT k='A', COUNT(*) FROM words WHERE k IS NOT NULL GROUP BY k='A' ORDER BY 1`, "0|1\n1|2")
	mustQuery(t, c, `SELECT k='A', k='a', COUNT(*) FROM words WHERE k IS NOT NULL GROUP BY k='A', k='a' ORDER BY 1`, "0|1|1\n1|0|2")
	mustQuery(t, c, `SELECT ROW_NUMBER() OVER (PARTITION BY k='A' ORDER BY n), COUNT(*) OVER (PARTITION BY k='a') FROM words WHERE n IS NOT NULL ORDER BY n`, "1|2\n1|1\n2|2")
	mustQuery(t, c, `SELECT SUM((SELECT 1 FROM words w WHERE w.k='A' AND w.n=1)), SUM((SELECT 1 FROM words w WHERE w.k='a' AND w.n=1)) FROM words`, "4|NULL")
	failing(t, c, `SELECT k='a', COUNT(*) FROM words GROUP BY k='A'`, 1055, "")
}

func TestSetOperationsAndDistinct(t *testing.T) {
	pairs := rowsOf("pairs", sql.Schema{column("pairs", "a", types.LongText), column("pairs", "b", types.LongText)},
		sql.Row{"a,", "b"}, sql.Row{"a", ",b"}, sql.Row{"x", nil}, sql.Row{nil, "x"}, sql.Row{"<nil>", "x"}, sql.Row{"a", ",b"},
		sql.Row{"p\x00", "q"}, sql.Row{"p", "\x00q"})
	c := startServer(t, serverOptions{tables: []*testTable{words(), pairs}}).conn()
	mustQuery(t, c, `SELECT COUNT(DISTINCT a, b) FROM pairs`, "5")
	mustQuery(t, c, `SELECT COUNT(DISTINCT a) FROM pairs`, "6")
	mustQuery(t, c, `SELECT COUNT(*) FROM (SELECT DISTINCT a, b FROM pairs) x`, "7")
	mustQuery(t, c, `SELECT COUNT(*) FROM (SELECT a, b FROM pairs GROUP BY a, b) x`, "7")
	mustQuery(t, c, `SELECT COUNT(*) FROM (SELECT a FROM pairs UNION SELECT a FROM pairs) x`, "7")
	mustQuery(t, c, `SELECT a FROM pairs WHERE a IS NULL INTERSECT SELECT '<nil>'`, "")
	mustQuery(t, c, `SELECT a FROM pairs WHERE a IS NULL EXCEPT SELECT '<nil>'`, "NULL")
	mustQuery(t, c, `SELECT n FROM words UNION ALL SELECT 3 ORDER BY 1 DESC LIMIT 2 OFFSET 1`, "3\n2")
	mustQuery(t, c, `SELECT k FROM words EXCEPT SELECT 'a' ORDER BY 1`, "NULL\nA")
	mustQuery(t, c, `SELECT k FROM words INTERSECT ALL SELECT k FROM words WHERE n < 4 ORDER BY 1`, "A\na")
	mustQuery(t, c, `SELECT SUM(DISTINCT n), AVG(DISTINCT n) FROM (SELECT n FROM words UNION ALL SELECT n FROM words) x`, "7|2.3333")
}

func TestSumsAreExact(t *testing.T) {
	big := rowsOf("big", sql.Schema{column("big", "n", types.Int64), column("big", "u", types.Uint64)},
		sql.Row{int64(9223372036854775807), uint64(18446744073709551615)}, sql.Row{int64(9223372036854775807), uint64(18446744073709551615)},
		sql.Row{int64(1), uint64(1)})
	c := startServer(t, serverOptions{tables: []*testTable{words(), big}}).conn()
	mustQuery(t, c, `SELECT SUM(n), AVG(n), SUM(u) FROM big`, "18446744073709551615|6148914691236517205.0000|36893488147419103231")
	mustQuery(t, c, `SELECT SUM(n), AVG(n), SUM(d), AVG(d), SUM(f), AVG(f) FROM words`, "7|2.3333|6.60|2.200000|1.75|0.5833333333333334")
	mustQuery(t, c, `SELECT SUM(k), SUM(NULL), SUM(n) FROM words WHERE n > 100`, "NULL|NULL|NULL")
	mustQuery(t, c, `SELECT STD(n), VARIANCE(n), STDDEV_SAMP(n), VAR_SAMP(n) FROM words`, "1.247219128924647|1.5555555555555554|1.5275252316519465|2.333333333333333")
	mustQuery(t, c, `SELECT STDDEV_SAMP(n), VAR_POP(n) FROM words WHERE n = 1`, "NULL|0")
	mustQuery(t, c, `SELECT n, SUM(n) OVER (ORDER BY n), SUM(n) OVER (ORDER BY n ROWS 1 PRECEDING), AVG(f) OVER (ORDER BY n DESC) FROM words WHERE n IS NOT NULL ORDER BY n`,
		"1|1|1|0.375\n2|3|3|0.25\n4|7|6|NULL")
	mustQuery(t, c, `SELECT SUM(n) / COUNT(*), SUM(n) * 1.5, COALESCE(SUM(n), 0) FROM words`, "1.7500|10.5|7")
}

func TestDeferredErrors(t *testing.T) {
	bad := &testTable{name: "bad", schema: sql.Schema{column("bad", "i", types.Int64), column("bad", "j", types.LongText)},
		next: func(_ *sql.Context, i int) (sql.Row, error) {
			if i == 20000 {
				return sql.Row{int64(i), "{"}, nil
			}
			if i > 30000 {
				return nil, io.EOF
			}
			return sql.Row{int64(i), `{"a":1}`}, nil
		}}
	s := startServer(t, serverOptions{tables: []*testTable{bad}})
	c := s.conn()
	for range 3 {
		failing(t, c, `SELECT i % 10, SUM(JSON_EXTRACT(j, '$.a')) FROM bad GROUP BY 1`, 3141, "")
	}
	// after the first rows
	failing(t, c, `SELECT i, JSON_EXTRACT(j, '$.a') FROM bad`, 3141, "")
	failing(t, c, `SELECT i, JSON_EXTRACT(j, '$.a') FROM bad WHERE i > ?`, 3141, "", 3)
	mustQuery(t, c, `SELECT 1`, "1")
	mustQuery(t, c, `SHOW WARNINGS`, "")
}

func TestNamesThatMySQLTakes(t *testing.T) {
	plans := rowsOf("plan", sql.Schema{column("plan", "plan", types.LongText), column("plan", "std", types.Int64)}, sql.Row{"pro", int64(3)})
	c := startServer(t, serverOptions{tables: []*testTable{plans}}).conn(withMultiStatements)
	mustQuery(t, c, `SELECT plan, std, 'plan' FROM plan WHERE plan = 'pro' /* plan */ GROUP BY plan, std`, "pro|3|plan")
	mustQuery(t, c, `SELECT plan, STD(std) FROM plan WHERE plan = ? GROUP BY plan`, "pro|0", "pro")
	mustExec(t, c, `INSERT INTO plan (plan, std) VALUES ('x', 1)`)
	mustExec(t, c, `INSERT INTO plan (plan, std) VALUES (?, ?)`, "x", 1)
	mustQuery(t, c, `SELECT plan FROM plan; SELECT 2`, "pro")
	failing(t, c, `SELECT plan, FROM plan`, 1064, "syntax; syntax error at position 23 near 'plan'")
	failing(t, c, `SELECT plan, FROM plan WHERE plan = ?`, 1064, "syntax; syntax error at position 27 near 'plan'", 1)
}
