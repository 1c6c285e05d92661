package gateway

import (
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
		if g, p := sortedAnswer(got), sortedAnswer(want); !sameAnswers(g, p) {
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
