package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"arbor/sqltests/oracle"
)

// joinWorld is a world with events and a view of them, and the same with the SQL library's
// joins.
func joinWorld(t *testing.T, r *rand.Rand, events int) (w, stock *sqlWorld) {
	t.Helper()
	w = newSQLWorld(t)
	w.fillRandomly(r, events)
	w.must("CREATE VIEW v AS SELECT event, distinct_id, insert_id, time, n, d, b, s, j, m, t FROM events WHERE n IS NULL OR n < 10")
	stock = w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''")
	}
	return w, stock
}

func TestUserJoinsChangeNoAnswer(t *testing.T) {
	seed := rand.Uint64()
	if s := testSeed(); s != 0 {
		seed = s
	}
	r := rand.New(rand.NewPCG(seed, 11))
	w, stock := joinWorld(t, r, 60)
	statements, count, joined := oracle.Statements{Rand: r}, 300, 0
	if testing.Short() {
		count = 100
	}
	for range count {
		q := statements.Joined()
		want, wantErr := stock.answer(q)
		got, err := w.answer(q)
		if err != nil || wantErr != nil {
			if (err == nil) != (wantErr == nil) {
				t.Errorf("seed %d: %s\njoined by user: %v\nstock: %v", seed, q, err, wantErr)
			}
			continue
		}
		g, p := sortedAnswer(got), sortedAnswer(want)
		if strings.Contains(q, " ORDER BY x") || strings.Contains(q, " ORDER BY a.distinct_id, x") { // by all that is selected
			g, p = got, want
		}
		if !sameAnswers(g, p) {
			_, plan, _ := w.query("EXPLAIN FORMAT=TREE " + q)
			t.Errorf("seed %d: %s\njoined by user gives %d rows, stock %d:\n%s\n---\n%s\n%s", seed, q, len(g), len(p), lines(g), lines(p), lines(plan))
		}
		switch _, plan, err := w.query("EXPLAIN FORMAT=TREE " + q); {
		case err == nil && strings.Contains(lines(plan), "join: "):
			joined++
		case testing.Verbose():
			t.Log("not joined by user: ", q)
		}
	}
	t.Logf("of %d statements %d were joined by user", count, joined)
	if joined < count/2 {
		t.Errorf("of %d statements %d were joined by user, expected most", count, joined)
	}
}

// TestRanksOfJoinedRows: pairs of one event are peers, though events of one time are not
// where the ingest id is part of an order.
func TestRanksOfJoinedRows(t *testing.T) {
	w, stock := joinWorld(t, rand.New(rand.NewPCG(9, 11)), 60)
	for _, query := range []string{
		"SELECT a.insert_id, b.insert_id, RANK() OVER (PARTITION BY a.distinct_id ORDER BY a.time, a._ingest_id) FROM events a JOIN events b ON a.distinct_id = b.distinct_id AND b.n > 1",
		"SELECT a.insert_id, b.insert_id, DENSE_RANK() OVER (PARTITION BY a.distinct_id ORDER BY b.time, b._ingest_id) FROM events a LEFT JOIN events b ON a.distinct_id = b.distinct_id AND b.time > a.time",
		"SELECT a.insert_id, RANK() OVER (PARTITION BY a.distinct_id ORDER BY a.time, a._ingest_id) FROM events a JOIN events b ON a.insert_id = b.insert_id",
		"SELECT insert_id, RANK() OVER (PARTITION BY distinct_id ORDER BY time, _ingest_id), RANK() OVER (PARTITION BY distinct_id ORDER BY time) FROM events_all",
	} {
		if plan := w.likeStock(stock, query); !strings.Contains(plan, "PushedWindow") {
			t.Errorf("%s is not computed by column\n%s", query, plan)
		}
	}
}

// The first rows of a join need no more memory than they take, and all rows by user no more
// than a user's; in another order all rows are held, and the error says what to do.
func TestJoinedRowsWithinMemory(t *testing.T) {
	skipShort(t)
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop")
	for user := range 20 {
		var values []string
		for i := range 60 {
			values = append(values, fmt.Sprintf("('e', '2026-01-10' + INTERVAL %d MINUTE, 'u%02d', 'i%d', '%s')", i, user, i, `{"n": `+fmt.Sprint(i)+`}`))
		}
		w.must("INSERT INTO events (event, time, distinct_id, insert_id, properties) VALUES " + strings.Join(values, ", "))
	}
	c := newPlanClient(t, w, "root", w.listen())
	c.exec("USE shop")
	c.exec("CALL arbor.set_setting('max_query_memory', '2MiB')")
	const pairs = "SELECT a.distinct_id, a.n, b.n FROM events a JOIN events b ON a.distinct_id = b.distinct_id ORDER BY "
	for order, want := range map[string]string{
		"b.n DESC, a.distinct_id, a.n LIMIT 2":          "u00 0 59, u00 1 59",
		"a.distinct_id, a.n DESC, b.n LIMIT 1 OFFSET 3": "u00 59 3",
		"a.n + b.n DESC, b.distinct_id LIMIT 2":         "u00 59 59, u01 59 59",
	} {
		got, _, err := c.rows(pairs + order)
		if err != nil {
			t.Errorf("%s: %v", order, err)
		} else if got != want {
			t.Errorf("%s: %s, want %s", order, got, want)
		}
	}
	if all, _, err := c.rows(pairs + "a.distinct_id, a.n, b.n"); err != nil || strings.Count(all, ", ") != 20*60*60-1 {
		t.Errorf("by user: %d rows, %v", strings.Count(all, ", "), err)
	}
	if _, _, err := c.rows(pairs + "b.n, a.n"); err == nil || !strings.Contains(err.Error(), "3170") || !strings.Contains(err.Error(), "give it a LIMIT") {
		t.Errorf("all pairs: %v", err)
	}
}
