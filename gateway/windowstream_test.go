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
	over := func(partition string) string {
		order := one("", "ORDER BY time, _ingest_id", "ORDER BY time, _ingest_id", "ORDER BY n DESC, _ingest_id DESC", "ORDER BY d")
		frame := ""
		if strings.Contains(order, "_ingest_id") {
			frame = one("", "", " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING", " ROWS UNBOUNDED PRECEDING")
		}
		function := one("COUNT(*)", "SUM(n)", "AVG(d)", "MIN(event)", "MAX(time)", "COUNT(s)")
		if strings.Contains(order, "_ingest_id") && r.IntN(2) == 0 {
			function, frame = one("ROW_NUMBER()", "RANK()", "DENSE_RANK()", "PERCENT_RANK()", "NTILE(3)", "LAG(time)", "LAG(n, 2)", "LEAD(event)", "FIRST_VALUE(event)", "LAST_VALUE(n)"), ""
		}
		return fmt.Sprintf("%s OVER (%s %s%s)", function, partition, order, frame)
	}
	pushed := 0
	for range rounds {
		partition := one("", "PARTITION BY event", "PARTITION BY distinct_id", "PARTITION BY n, event", "PARTITION BY DATE(time)")
		columns := []string{"insert_id", "event"}
		for range 1 + r.IntN(3) {
			columns = append(columns, over(partition))
		}
		if r.IntN(6) == 0 {
			columns = append(columns, over("PARTITION BY s"))
		}
		q := "SELECT " + strings.Join(columns, ", ") + " FROM events" + one("", " WHERE n > 2", " WHERE event LIKE '%a%'", " WHERE distinct_id = 'nobody'")
		want, err := stock.answer(q)
		if err != nil {
			t.Fatalf("seed %d: %s\nstock: %v", seed, q, err)
		}
		got, err := w.answer(q)
		if err != nil {
			t.Fatalf("seed %d: %s\nstreamed: %v", seed, q, err)
		}
		if g, p := sortedAnswer(got), sortedAnswer(want); !sameAnswers(g, p) {
			t.Fatalf("seed %d: %s\nstreamed:\n%s\n---\nstock:\n%s", seed, q, lines(g), lines(p))
		}
		if w.pushes(q) {
			pushed++
		}
	}
	if pushed < rounds/2 {
		t.Errorf("of %d windows %d were streamed", rounds, pushed)
	}
}
