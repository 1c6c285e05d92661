package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/catalog"
)

// smallTables are joined with events in the tests: by each class of key, with NULLs in
// keys and values, keys that come twice, and values of each type.
var smallTables = []string{
	"CREATE VIEW seen AS SELECT event, n, distinct_id AS who FROM events",
	"CREATE TABLE names (name VARCHAR(40) PRIMARY KEY, kind VARCHAR(10), weight INT, ratio DECIMAL(8, 2), since DATE, score DOUBLE, flag BOOLEAN, big BIGINT UNSIGNED, seen DATETIME(3), doc JSON)",
	`INSERT INTO names VALUES ('e1', 'one', 1, 1.25, '2026-01-01', 0.5, TRUE, 18446744073709551615, '2026-01-01 01:02:03.400', '{"a": 1}'),
	 ('e2', NULL, 2, -3.50, NULL, -0.0, FALSE, 0, NULL, NULL), ('e3', 'one', NULL, NULL, '2025-12-31', 1e300, NULL, 7, '2026-02-01', '[]'), ('none', 'nobody', 9, 9, '2026-03-01', 9, TRUE, 9, NULL, '1')`,
	"CREATE TABLE numbers (n BIGINT PRIMARY KEY, label VARCHAR(20), parity INT UNSIGNED)",
	"INSERT INTO numbers VALUES (0, 'zero', 0), (1, 'one', 1), (2, 'two', 0), (3, NULL, 1), (5, 'five', 1), (-1, 'minus', 1)",
	"CREATE TABLE twice (id INT PRIMARY KEY, k VARCHAR(40), v INT)",
	"INSERT INTO twice VALUES (1, 'e1', 1), (2, 'e1', 2), (3, NULL, 3), (4, 'e4', NULL)",
	"CREATE TABLE users (who VARCHAR(255) PRIMARY KEY, team VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, since DATE)",
	"INSERT INTO users SELECT DISTINCT distinct_id, CONCAT('T', LENGTH(distinct_id) % 2), DATE(MIN(time)) FROM events WHERE distinct_id > 'u2' GROUP BY distinct_id",
	"CREATE TABLE days (day DATE PRIMARY KEY, holiday BOOLEAN)",
	"INSERT INTO days SELECT DISTINCT DATE(time), DAYOFMONTH(time) % 2 = 0 FROM events WHERE DAYOFMONTH(time) % 3 > 0",
	"CREATE TABLE pairs (name VARCHAR(40), n INT, v INT, PRIMARY KEY (name, n))",
	"INSERT INTO pairs SELECT DISTINCT event, n, n * 2 FROM events WHERE n > 1 AND n < 100",
	"CREATE TABLE folded (name VARCHAR(40) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT)",
	"INSERT INTO folded VALUES ('E1', 1), ('e2', 2)",
	"CREATE TABLE nothing (name VARCHAR(40) PRIMARY KEY, v INT)",
}

// joins are FROM clauses with what is asked of each; J is JOIN or LEFT JOIN.
var joins = []struct{ from, columns string }{
	{"events e J names t ON t.name = e.event", "t.kind, t.weight, t.ratio, t.since, t.score, t.flag, t.big, t.seen, CONCAT(t.kind, e.event), t.weight + e.n, t.name IS NULL"},
	{"names t J events e ON t.name = e.event", "t.kind, t.weight, t.ratio"},
	{"events e J names t ON t.name = e.event AND t.weight > 1", "t.kind, t.flag"},
	{"events e J names t ON t.name = e.event AND e.n > t.weight", "t.kind, t.flag"},
	{"events e J names t ON t.name = CONCAT('e', e.n)", "t.kind, t.weight"},
	{"events e J numbers t ON t.n = e.n", "t.label, t.parity, t.parity = 1"},
	{"events e J numbers t ON e.n = t.n AND t.label IS NOT NULL", "t.label"},
	{"events e J numbers t ON t.n = LENGTH(e.event)", "t.label"},
	{"events e J numbers t ON t.n <=> e.n", "t.label"},
	{"events e J twice t ON t.k = e.event", "t.v"},
	{"events e J users t ON t.who = e.distinct_id", "t.team, t.since, DATEDIFF(e.time, t.since)"},
	{"events e J days t ON t.day = DATE(e.time)", "t.holiday"},
	{"events e J days t ON t.day = e.time", "t.holiday"},
	{"events e J pairs t ON t.name = e.event AND t.n = e.n", "t.v"},
	{"events e J pairs t ON t.n = e.n AND e.event = t.name AND t.v > 4", "t.v"},
	{"events e J folded t ON t.name = e.event", "t.v"},
	{"events e J nothing t ON t.name = e.event", "t.v"},
	{"events e J names a ON a.name = e.event J numbers t ON t.n = e.n", "a.kind, t.label"},
	{"events e J names a ON a.name = e.event J numbers t ON t.n = a.weight", "a.kind, t.label"},
	{"events e J (SELECT distinct_id, MIN(time) AS first, COUNT(*) AS c FROM events GROUP BY distinct_id) t ON t.distinct_id = e.distinct_id", "t.c, t.first = e.time"},
	{"(SELECT * FROM events WHERE n IS NOT NULL) e J (SELECT name, weight * 2 AS w FROM names WHERE weight > 0) t ON t.name = e.event", "t.w"},
	{"(SELECT event, n, distinct_id, time, CONCAT(event, '') AS e2 FROM events) e J names t ON t.name = e.e2", "t.kind"},
	{"events e CROSS JOIN (SELECT MAX(weight) AS w, 'x' AS x FROM names) t", "t.w, t.x, e.n > t.w"},
	{"events e CROSS JOIN (SELECT name, weight FROM names WHERE weight = 77) t", "t.weight"},
	{"events e CROSS JOIN numbers t", "t.label"},
}

// matches are conditions that become joins.
var matches = []string{
	"e.event IN (SELECT name FROM names)", "e.event NOT IN (SELECT name FROM names)", "e.event IN (SELECT kind FROM names)", "e.event NOT IN (SELECT k FROM twice)",
	"e.n NOT IN (SELECT weight FROM names)", "e.n NOT IN (SELECT n FROM numbers)", "e.n IN (SELECT n FROM numbers WHERE parity = 1)", "e.n NOT IN (SELECT v FROM nothing)",
	"EXISTS (SELECT 1 FROM names t WHERE t.name = e.event AND t.weight > 1)", "NOT EXISTS (SELECT 1 FROM names t WHERE t.name = e.event AND t.weight > 1)",
	"NOT EXISTS (SELECT 1 FROM numbers t WHERE t.n = e.n)", "EXISTS (SELECT 1 FROM twice t WHERE t.k = e.event)", "NOT EXISTS (SELECT 1 FROM twice t WHERE t.k = e.event AND t.v = 1)",
	"EXISTS (SELECT 1 FROM pairs t WHERE t.name = e.event AND t.n = e.n)", "e.event IN (SELECT name FROM nothing)", "e.event NOT IN (SELECT name FROM nothing)",
	"EXISTS (SELECT 1 FROM names t WHERE t.name = e.event AND t.weight < e.n)", "(e.event, e.n) IN (SELECT name, n FROM pairs)",
	"e.distinct_id IN (SELECT distinct_id FROM events WHERE event = 'e1')", "e.distinct_id NOT IN (SELECT distinct_id FROM events WHERE event = 'e1')",
	"e.distinct_id NOT IN (SELECT who FROM seen WHERE event = 'e1')", "e.distinct_id NOT IN (SELECT CONCAT(who, '') FROM seen WHERE event = 'e1' AND n > 2)",
	"e.n NOT IN (SELECT n FROM seen WHERE event = 'e1')", "e.n NOT IN (SELECT n FROM events WHERE event = 'e1' AND n IS NOT NULL)", "e.n NOT IN (SELECT n FROM seen WHERE event = 'never')",
	"NOT EXISTS (SELECT 1 FROM events t WHERE t.distinct_id = e.distinct_id AND t.event = 'e1' AND t.n > 1)", "NOT EXISTS (SELECT 1 FROM events t WHERE t.n = e.n AND t.event = e.event AND t.distinct_id <> 'u1')",
}

func TestBroadcastJoinsChangeNoAnswer(t *testing.T) {
	w := newSQLWorld(t)
	seed := rand.Uint64()
	if s := testSeed(); s != 0 {
		seed = s
	}
	r := rand.New(rand.NewPCG(seed, 9))
	w.fillRandomly(r, 120)
	w.must(smallTables...)
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''")
	}
	var statements []string
	for _, j := range joins {
		for _, kind := range []string{"JOIN", "LEFT JOIN"} {
			from := strings.ReplaceAll(j.from, " J ", " "+kind+" ")
			if from == j.from && kind != "JOIN" {
				continue
			}
			columns := splitColumns(j.columns)
			for _, c := range columns {
				statements = append(statements, fmt.Sprintf("SELECT %s AS x, COUNT(*), COUNT(DISTINCT e.distinct_id), SUM(e.n) FROM %s GROUP BY x", c, from))
			}
			c := columns[r.IntN(len(columns))]
			statements = append(statements,
				fmt.Sprintf("SELECT COUNT(*) FROM %s", from),
				fmt.Sprintf("SELECT COUNT(*), MIN(e.event), MAX(%s) FROM %s WHERE e.n > 1 AND e.event <> 'e2'", c, from),
				fmt.Sprintf("SELECT e.event, COUNT(%s), MIN(%s) FROM %s WHERE (%s) IS NOT NULL GROUP BY e.event HAVING COUNT(*) > 1", c, c, from, c),
				fmt.Sprintf("SELECT DISTINCT %s AS x FROM %s", c, from),
				fmt.Sprintf("SELECT %s AS x, e.event FROM %s ORDER BY e.time, e.event, e.n, e.distinct_id, x LIMIT 7", c, from),
				fmt.Sprintf("SELECT y.event, SUM(y.c) FROM (SELECT e.event, %s AS x, COUNT(*) AS c FROM %s GROUP BY e.event, x) y GROUP BY y.event", c, from))
		}
	}
	for _, m := range matches {
		statements = append(statements, "SELECT COUNT(*), COUNT(DISTINCT e.event), SUM(e.n) FROM events e WHERE "+m,
			"SELECT e.event, COUNT(*) FROM events e WHERE "+m+" AND e.n > 0 GROUP BY e.event",
			"SELECT t.kind, COUNT(*) FROM events e JOIN names t ON t.name = e.event WHERE "+m+" GROUP BY t.kind")
	}
	if testing.Short() {
		r.Shuffle(len(statements), func(i, k int) { statements[i], statements[k] = statements[k], statements[i] })
		statements = statements[:len(statements)/6]
	}
	pushed := 0
	for _, q := range statements {
		want, wantErr := stock.answer(q)
		got, err := w.answer(q)
		if err != nil || wantErr != nil {
			if (err == nil) != (wantErr == nil) {
				t.Errorf("seed %d: %s\npushed: %v\nstock: %v", seed, q, err, wantErr)
			}
			continue
		}
		if g, p := sortedAnswer(got), sortedAnswer(want); !sameAnswers(g, p) {
			t.Errorf("seed %d: %s\npushed gives %d rows, stock %d:\n%s\n---\n%s", seed, q, len(g), len(p), lines(g), lines(p))
		}
		if w.pushes(q) {
			pushed++
		} else if testing.Verbose() {
			t.Log("not pushed: ", q)
		}
	}
	t.Logf("of %d statements %d were pushed", len(statements), pushed)
	if pushed < len(statements)/2 {
		t.Errorf("of %d statements %d were pushed, expected most", len(statements), pushed)
	}
}

// splitColumns splits a list at its commas outside of parentheses.
func splitColumns(list string) (out []string) {
	depth, start := 0, 0
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out, start = append(out, strings.TrimSpace(list[start:i])), i+1
		}
	}
	return append(out, strings.TrimSpace(list[start:]))
}

// What a join reads is what the statement sees: the transaction's own rows, and the
// rows of now the next time.
func TestBroadcastJoinsSeeTheirTransaction(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "INSERT INTO events (event, time, distinct_id) VALUES ('a', '2026-01-10', 'ann'), ('b', '2026-01-10', 'bob')",
		"CREATE TABLE kinds (name VARCHAR(10) PRIMARY KEY, kind INT)", "INSERT INTO kinds VALUES ('a', 1)")
	const q = "SELECT k.kind, COUNT(*) FROM events e JOIN kinds k ON k.name = e.event GROUP BY k.kind ORDER BY 1"
	if !w.pushes(q) {
		t.Error("the join is not pushed")
	}
	w.want(q, "1 1")
	w.must("BEGIN", "INSERT INTO kinds VALUES ('b', 2)")
	w.want(q, "1 1", "2 1")
	w.must("ROLLBACK")
	w.want(q, "1 1")
	w.must("UPDATE kinds SET kind = 7")
	w.want(q, "7 1")
	w.must("TRUNCATE TABLE kinds")
	w.want(q)
}

// A table with more rows than are broadcast is joined as before.
func TestBroadcastLimits(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "INSERT INTO events (event, time, properties) VALUES ('a', '2026-01-10', '{\"n\": 3}'), ('b', '2026-01-10', '{\"n\": 131072}')")
	w.gateway.maxBroadcast = 64
	digits := "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7)"
	w.must("CREATE TABLE many (n BIGINT PRIMARY KEY)", fmt.Sprintf("INSERT INTO many SELECT a.d + 8 * b.d FROM %s a, %s b", digits, digits))
	const q = "SELECT COUNT(*) FROM events e JOIN many m ON m.n = e.n WHERE m.n >= 0"
	w.want("SELECT COUNT(*) FROM many", "64")
	w.want(q, "1")
	if !w.pushes(q) {
		_, plan, _ := w.query("EXPLAIN FORMAT=TREE " + q)
		t.Errorf("a join with %d rows is not pushed:\n%s", 64, lines(plan))
	}
	w.must(fmt.Sprintf("INSERT INTO many VALUES (%d)", 131072))
	w.want(q, "2")
	if w.pushes(q) {
		t.Errorf("a join with %d rows is pushed", 65)
	}
}

// someIndex is a table of one row, whose key is "a".
func someIndex() *broadcastIndex {
	return &broadcastIndex{classes: []joinClass{joinByText}, keys: []string{"\x01a"}, rows: []sql.Row{{int32(7)}}}
}

// someLookup is a scalar that looks up in it.
func someLookup(t testing.TB, ctx *sql.Context) string {
	t.Helper()
	text := types.MustCreateString(sqltypes.VarChar, 255, sql.Collation_utf8mb4_bin)
	l := &broadcastValue{&broadcastColumn{name: "t.v", typ: types.Int32, mode: askColumn, index: someIndex()}, []sql.Expression{expression.NewGetField(0, text, "k", true)}}
	x, ok := encodeScalar(ctx, &composite{l, []slot{{kind: slotColumn, typ: text, null: true}}}, formInt, func(int) resultForm { return formText })
	if !ok {
		t.Fatal("a lookup does not travel")
	}
	return x.function
}

// What is no table to look up in is refused, whatever its bytes are.
func TestDecodeBroadcastRefuses(t *testing.T) {
	text, ok := (&broadcastColumn{name: "t.v", typ: types.Int32, mode: askColumn, index: someIndex()}).encoded()
	if !ok {
		t.Fatal("not encoded")
	}
	if c, err := decodeBroadcast(text); err != nil || c.values["\x01a"] != int32(7) {
		t.Fatalf("%v, %v", c, err)
	}
	for i := range len(text) {
		if _, err := decodeBroadcast(text[:i]); err == nil {
			t.Errorf("%d of %d bytes are read", i, len(text))
		}
	}
	f, err := NewFunctions().Function(someLookup(t, newSQLWorld(t).context()))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]catalog.Value{"a": catalog.Int(7), "b": catalog.Null} {
		if v, err := f.Eval([]catalog.Value{catalog.String(key)}); err != nil || v != want {
			t.Errorf("of %q it gives %v, %v", key, v, err)
		}
	}
}
