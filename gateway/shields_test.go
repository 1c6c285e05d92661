package gateway

import (
	"io"
	"strings"
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
	mustQuery(t, c, `SELECT first.password FROM (SELECT 'x' AS password) first JOIN (SELECT 'x' AS password, 1 AS event) next USING (password)`, "x")
	failing(t, c, `SELECT plan, FROM plan`, 1064, "syntax; syntax error at position 23 near 'plan'")
	failing(t, c, `SELECT plan, FROM plan WHERE plan = ?`, 1064, "syntax; syntax error at position 23 near 'plan'", 1)
}

func TestWindowFrames(t *testing.T) {
	points := rowsOf("points", sql.Schema{column("points", "g", types.LongText), column("points", "x", types.Int64)},
		sql.Row{"a", int64(1)}, sql.Row{"a", int64(3)}, sql.Row{"b", int64(3)}, sql.Row{"b", int64(4)}, sql.Row{"b", int64(7)}, sql.Row{"a", nil})
	c := startServer(t, serverOptions{tables: []*testTable{points}}).conn()
	frame := func(over, want string) {
		t.Helper()
		got, err := rowsText(t, c, `SELECT COUNT(*) OVER w, COALESCE(SUM(x) OVER w, '-'), COALESCE(MIN(x) OVER w, '-'), COALESCE(FIRST_VALUE(x) OVER w, '-'), COALESCE(LAST_VALUE(x) OVER w, '-')
			FROM points WINDOW w AS (`+over+`) ORDER BY x IS NULL, x, g`)
		if got = strings.ReplaceAll(got, "\n", " "); err != nil || got != want {
			t.Errorf("%s: %s, %v; want\n%s", over, got, err, want)
		}
	}
	// rows: a1 a3 b3 b4 b7 aNULL
	frame("ORDER BY x", "2|1|1|-|1 4|7|1|-|3 4|7|1|-|3 5|11|1|-|4 6|18|1|-|7 1|-|-|-|-")
	frame("ORDER BY x DESC", "5|18|1|7|1 4|17|3|7|3 4|17|3|7|3 2|11|4|7|4 1|7|7|7|7 6|18|1|7|-")
	frame("ORDER BY x, g", "2|1|1|-|1 3|4|1|-|3 4|7|1|-|3 5|11|1|-|4 6|18|1|-|7 1|-|-|-|-")
	frame("PARTITION BY g ORDER BY x DESC", "2|4|1|3|1 1|3|3|3|3 3|14|3|7|3 2|11|4|7|4 1|7|7|7|7 3|4|1|3|-")
	frame("ORDER BY x RANGE BETWEEN 1 PRECEDING AND CURRENT ROW", "1|1|1|1|1 2|6|3|3|3 2|6|3|3|3 3|10|3|3|4 1|7|7|7|7 1|-|-|-|-")
	frame("ORDER BY x DESC RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING", "1|1|1|1|1 4|11|1|4|1 4|11|1|4|1 3|10|3|4|3 1|7|7|7|7 1|-|-|-|-")
	frame("ORDER BY x RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "5|18|1|1|7 4|17|3|3|7 4|17|3|3|7 2|11|4|4|7 1|7|7|7|7 6|18|1|-|7")
	frame("ORDER BY x RANGE BETWEEN 1 FOLLOWING AND 3 FOLLOWING", "3|10|3|3|4 1|4|4|4|4 1|4|4|4|4 1|7|7|7|7 0|-|-|-|- 1|-|-|-|-")
	frame("ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", "2|1|1|-|1 2|4|1|1|3 2|6|3|3|3 2|7|3|3|4 2|11|4|4|7 1|-|-|-|-")
	frame("", "6|18|1|1|- 6|18|1|1|- 6|18|1|1|- 6|18|1|1|- 6|18|1|1|- 6|18|1|1|-")
	failing(t, c, `SELECT SUM(x) OVER (ORDER BY g, x RANGE 1 PRECEDING) FROM points`, 3587, "")
}

func TestLikeWithEscapes(t *testing.T) {
	names := rowsOf("names", sql.Schema{column("names", "s", types.LongText)},
		sql.Row{"a_b"}, sql.Row{"axb"}, sql.Row{`a\_b`}, sql.Row{"10%"}, sql.Row{"100"}, sql.Row{"A_b"})
	c := startServer(t, serverOptions{tables: []*testTable{names}}).conn()
	for _, test := range []struct{ pattern, want string }{
		{`a\_b`, "a_b"}, {`a\_%`, "a_b"}, {`10\%`, "10%"}, {`10\%%`, "10%"}, {`10%`, "10%\n100"}, {`a_b`, "a_b\naxb"}, {`a%`, "a_b\naxb\na\\_b"}, {`a\\%`, `a\_b`},
	} {
		mustQuery(t, c, `SELECT s FROM names WHERE s LIKE '`+strings.ReplaceAll(test.pattern, `\`, `\\`)+`'`, test.want)
		mustQuery(t, c, `SELECT s FROM names WHERE s LIKE ?`, test.want, test.pattern)
		mustExec(t, c, `SET @p = '`+strings.ReplaceAll(test.pattern, `\`, `\\`)+`'`)
		mustQuery(t, c, `SELECT s FROM names WHERE s LIKE @p`, test.want)
		mustQuery(t, c, `SELECT s FROM names WHERE s LIKE CONCAT(@p, '')`, test.want)
		mustExec(t, c, `PREPARE p FROM 'SELECT s FROM names WHERE s LIKE ?'`)
		mustQuery(t, c, `EXECUTE p USING @p`, test.want)
	}
	mustQuery(t, c, `SELECT COUNT(*) FROM names WHERE s NOT LIKE 'a\\_%'`, "5")
	mustQuery(t, c, `SELECT s FROM names WHERE s LIKE 'a|_b' ESCAPE '|'`, "a_b")
}

func TestIntegersDoNotStartOver(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, q := range []string{`SELECT 9223372036854775807 + 1`, `SELECT n + 9223372036854775807 FROM words`, `SELECT n * 9223372036854775807 FROM words`,
		`SELECT -9223372036854775807 - n - n FROM words`, `SELECT COUNT(*) FROM words WHERE n + 9223372036854775807 > 0`,
		`SELECT CAST(1 AS UNSIGNED) - CAST(2 AS UNSIGNED)`, `SELECT 18446744073709551615 * 2`, `SELECT n * ? FROM words`} {
		var args []any
		if strings.Contains(q, "?") {
			args = []any{int64(9223372036854775807)}
		}
		failing(t, c, q, 1690, "value is out of range in", args...)
	}
	mustQuery(t, c, `SELECT n + 1, n - 1, n * 3, n + 0.5, d * 2, f + 1, n + NULL, k + 1, -n FROM words WHERE n = 1`, "2|0|3|1.5|2.20|1.5|NULL|1|-1")
	mustQuery(t, c, `SELECT 9223372036854775806 + 1, -9223372036854775807 - 1, 4611686018427387904 * -2, (1 + 2) * 3 / 4, 1 + 2.50 * 2 - 0.1`, "9223372036854775807|-9223372036854775808|-9223372036854775808|2.2500|5.90")
	mustQuery(t, c, `SELECT CAST('2026-01-31' AS DATETIME) + INTERVAL 1 DAY, SUM(n * 2 + 1), SUM(n) + 1, SUM(n) * AVG(n) FROM words`, "2026-02-01 00:00:00|17|8|16.3331")
	mustQuery(t, c, `SELECT (1/3 + 1) * 2, (n + 1) / 3 * 2 + 0.1, 1 + n / 3 - 0.25 FROM words WHERE n = 1`, "2.6667|1.4333|1.0833")
	mustQuery(t, c, `SELECT SUM(n + 1) FROM words GROUP BY k = 'A', n + 1 HAVING SUM(n + 1) > 2 ORDER BY n + 1`, "3\n5")
}

func TestConstantsStandBesideAggregates(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, `SELECT COUNT(*), NOW() > '2020-01-01', CURRENT_DATE() IS NULL, @@autocommit, DATABASE(), USER(), RAND() < 1, @nope FROM words`,
		"4|1|0|1|test|root@localhost|1|NULL")
	mustQuery(t, c, `SELECT k, COUNT(*), CONCAT(DATABASE(), k) FROM words WHERE n < 3 GROUP BY k HAVING CONNECTION_ID() > 0 ORDER BY k`, "A|1|testA\na|1|testa")
	mustQuery(t, c, `SELECT COUNT(*), VERSION() = @@version FROM words WHERE ? = 1`, "4|1", 1)
	failing(t, c, `SELECT COUNT(*), k, NOW() FROM words`, 1140, "")
}

func TestNamesOfColumns(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	rows, err := c.QueryContext(t.Context(), "SELECT 1 , 2 ,\n3, COUNT( * ) , 'a' , ',' ,/* x */ 4+4, n+1 AS `, n` , k FROM words GROUP BY n, k LIMIT 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if got := strings.Join(names, "|"); err != nil || got != "1|2|3|COUNT( * )|a|,|4+4|, n|k" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestGreatestAndLeast(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for q, want := range map[string]string{
		`GREATEST(9007199254740993, 9007199254740992)`: "9007199254740993", `LEAST(-9007199254740993, 1)`: "-9007199254740993",
		`GREATEST(18446744073709551615, -1)`: "18446744073709551615", `LEAST(18446744073709551615, -1)`: "-1",
		`GREATEST(9007199254740993, 1.5)`: "9007199254740993.0", `LEAST(1.25, 1.256)`: "1.250", `GREATEST(1.5, 2e0)`: "2",
		`GREATEST(2, '10')`: "2", `LEAST('b', 'a', 'B')`: "B", `GREATEST(1, NULL)`: "NULL", `GREATEST(TRUE, FALSE)`: "1",
		`GREATEST(CAST('2026-01-02' AS DATETIME(6)), '2026-01-03')`: "2026-01-03 00:00:00.000000", `LEAST(CAST('2026-01-02' AS DATETIME(6)), 20260103)`: "2026-01-02 00:00:00.000000",
		`LEAST(CAST('2026-01-02' AS DATE), CAST('2026-01-01' AS DATE))`: "2026-01-01",
	} {
		mustQuery(t, c, "SELECT "+q, want)
	}
	mustQuery(t, c, `SELECT SUM(GREATEST(n, 2)), MAX(LEAST(n, d)) FROM words`, "8|3.30")
	mustQuery(t, c, `SELECT GREATEST(?, n) FROM words WHERE n = 4`, "5", 5)
	failing(t, c, `SELECT GREATEST(1)`, 1582, "")
	failing(t, c, `SELECT GREATEST(CAST('2026-01-02' AS DATETIME(6)), 'x')`, 1292, "Incorrect datetime value")
	failing(t, c, `SELECT GREATEST(CAST('2026-01-02' AS DATETIME(6)), 1767225600)`, 1292, "Incorrect datetime value")
	failing(t, c, `SELECT LEAST(CAST('1' AS JSON), 2)`, 1235, "JSON")
}
