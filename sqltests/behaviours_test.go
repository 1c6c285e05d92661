package sqltests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// naiveBehaviours are behavioural functions beside SQL that says the same slowly,
// of the events in the order (time, _ingest_id).
var naiveBehaviours = []struct{ name, function, naive string }{
	{"funnel", `SELECT distinct_id, WINDOW_FUNNEL(90, event = 'a', event = 'b', event = 'c') FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT u.distinct_id, CASE
		  WHEN EXISTS (SELECT 1 FROM e x JOIN e y ON x.u = y.u AND x.n < y.n JOIN e z ON z.u = y.u AND y.n < z.n
		    WHERE x.u = u.distinct_id AND x.event = 'a' AND y.event = 'b' AND z.event = 'c' AND z.time <= x.time + INTERVAL 90 SECOND) THEN 3
		  WHEN EXISTS (SELECT 1 FROM e x JOIN e y ON x.u = y.u AND x.n < y.n
		    WHERE x.u = u.distinct_id AND x.event = 'a' AND y.event = 'b' AND y.time <= x.time + INTERVAL 90 SECOND) THEN 2
		  WHEN EXISTS (SELECT 1 FROM e x WHERE x.u = u.distinct_id AND x.event = 'a') THEN 1
		  ELSE 0 END FROM (SELECT DISTINCT distinct_id FROM events) u ORDER BY 1`},
	{"funnel that increases", `SELECT distinct_id, WINDOW_FUNNEL(90, 'strict_increase', event = 'a', event = 'b') FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT u.distinct_id, CASE
		  WHEN EXISTS (SELECT 1 FROM e x JOIN e y ON x.u = y.u AND x.time < y.time
		    WHERE x.u = u.distinct_id AND x.event = 'a' AND y.event = 'b' AND y.time <= x.time + INTERVAL 90 SECOND) THEN 2
		  WHEN EXISTS (SELECT 1 FROM e x WHERE x.u = u.distinct_id AND x.event = 'a') THEN 1
		  ELSE 0 END FROM (SELECT DISTINCT distinct_id FROM events) u ORDER BY 1`},
	{"retention", `SELECT distinct_id, RETENTION(event = 'a', event = 'b', DATE(time) = '2026-01-11') FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT distinct_id, IF(MAX(event = 'a'), 1 + 2 * MAX(event = 'b') + 4 * MAX(DATE(time) = '2026-01-11'), 0) FROM events GROUP BY distinct_id ORDER BY 1`},
	{"sequence", `SELECT distinct_id, SEQUENCE_MATCH('(?1)(?t<=30)(?2)', event = 'a', event = 'b'), SEQUENCE_MATCH('(?1)(?t>60)(?2)', event = 'a', event = 'b') FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT u.distinct_id,
		  EXISTS (SELECT 1 FROM e x JOIN e y ON x.u = y.u AND x.n < y.n WHERE x.u = u.distinct_id AND x.event = 'a' AND y.event = 'b' AND y.time <= x.time + INTERVAL 30 SECOND),
		  EXISTS (SELECT 1 FROM e x JOIN e y ON x.u = y.u AND x.n < y.n WHERE x.u = u.distinct_id AND x.event = 'a' AND y.event = 'b' AND y.time > x.time + INTERVAL 60 SECOND)
		  FROM (SELECT DISTINCT distinct_id FROM events) u ORDER BY 1`},
	{"sequence side by side", `SELECT distinct_id, SEQUENCE_COUNT('(?1)(?2)', event = 'a', event <> 'a') FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT u, SUM(event = 'a' AND next IS NOT NULL AND next <> 'a') FROM (SELECT u, event, LEAD(event) OVER (PARTITION BY u ORDER BY n) AS next FROM e) l GROUP BY u ORDER BY 1`},
	{"sessions", `SELECT distinct_id, SESSIONS(45), SESSION_SECONDS(45) FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT u, SUM(last IS NULL OR time > last + INTERVAL 45 SECOND), SUM(IF(last IS NULL OR time > last + INTERVAL 45 SECOND, 0, TIMESTAMPDIFF(SECOND, last, time))) + 0e0
		  FROM (SELECT u, time, LAG(time) OVER (PARTITION BY u ORDER BY n) AS last FROM e) l GROUP BY u ORDER BY 1`},
	{"touches", `SELECT distinct_id, FIRST_TOUCH(p), LAST_TOUCH(p), LAST_TOUCH(event) FROM events GROUP BY distinct_id ORDER BY 1`,
		`SELECT u.distinct_id, (SELECT p FROM e WHERE e.u = u.distinct_id AND p IS NOT NULL ORDER BY n LIMIT 1), (SELECT p FROM e WHERE e.u = u.distinct_id AND p IS NOT NULL ORDER BY n DESC LIMIT 1),
		  (SELECT event FROM e WHERE e.u = u.distinct_id ORDER BY n DESC LIMIT 1) FROM (SELECT DISTINCT distinct_id FROM events) u ORDER BY 1`},
}

// withOrder numbers the events.
const withOrder = `WITH e AS (SELECT distinct_id AS u, event, time, p, ROW_NUMBER() OVER (ORDER BY time, _ingest_id) AS n FROM events) `

// TestBehavioursAgainstNaiveSQL compares the functions with SQL that spells them
// out, over random events of two days with copies, ties and late arrivals.
func TestBehavioursAgainstNaiveSQL(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			for seed := range uint64(2) {
				r := newRunner(t, s)
				session := r.session(t, "", "root")
				exec := func(statement string) {
					t.Helper()
					if _, err := session.conn.ExecContext(context.Background(), statement); err != nil {
						t.Fatalf("%.200s: %v", statement, err)
					}
					r.count++
					if err := s.after(r.member, r.count); err != nil {
						t.Fatal(err)
					}
				}
				exec("CREATE DATABASE shop")
				exec("USE shop")
				exec("ALTER TABLE events ADD COLUMN p BIGINT")
				rng := rand.New(rand.NewPCG(seed, 11))
				for range 8 {
					exec(randomInsert(rng, 20))
				}
				for _, b := range naiveBehaviours {
					want, got := rowsOf(t, session, withOrder+b.naive), rowsOf(t, session, b.function)
					if got != want {
						t.Errorf("seed %d: %s\n%s\nis\n%s\nwant\n%s", seed, b.name, b.function, got, want)
					}
				}
			}
		})
	}
}

// randomInsert inserts events of a few users around a midnight, many of them
// at the same time, some of them copies.
func randomInsert(rng *rand.Rand, rows int) string {
	var values []string
	for range rows {
		second := rng.IntN(20) * 15
		time := fmt.Sprintf("'2026-01-10 23:57:30' + INTERVAL %d SECOND", second)
		p := "NULL"
		if rng.IntN(3) == 0 {
			p = fmt.Sprint(rng.IntN(5))
		}
		values = append(values, fmt.Sprintf("('%c', %s, 'u%d', 'i%d', %s)", 'a'+rng.IntN(4), time, rng.IntN(6), rng.IntN(60), p))
	}
	return "INSERT INTO events (event, time, distinct_id, insert_id, p) VALUES " + strings.Join(values, ", ")
}

// rowsOf are the rows of a query as text.
func rowsOf(t *testing.T, s *session, query string) string {
	t.Helper()
	rows, err := s.conn.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var out strings.Builder
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if text, ok := v.([]byte); ok {
				v = string(text)
			}
			fmt.Fprintf(&out, "%v|", v)
		}
		out.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
