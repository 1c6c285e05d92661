package gateway

import (
	"strings"
	"testing"
)

// EXISTS of a union over views and derived tables that look at the row outside.
func TestExistsOfUnion(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, distinct_id, insert_id) VALUES
		('a', '2026-01-10', 'ann', '1'), ('b', '2026-01-11', 'ann', '2'), ('b', '2026-01-12', 'bob', '3'), ('c', '2026-01-13', 'cid', '4')`,
		"CREATE VIEW v AS SELECT event, time, distinct_id FROM events", "CREATE TABLE people (id VARCHAR(9) PRIMARY KEY)", "INSERT INTO people VALUES ('ann'), ('dan')")
	for _, c := range []struct {
		query string
		want  string
	}{
		{"SELECT COUNT(*) FROM events x WHERE EXISTS (SELECT 1 FROM v y WHERE x.distinct_id = y.distinct_id AND y.event = 'a' UNION SELECT 1 FROM events WHERE event = 'none')", "2"},
		{"SELECT COUNT(*) FROM events x WHERE EXISTS (SELECT 1 FROM v y WHERE x.distinct_id = y.distinct_id AND y.event = 'a' UNION ALL SELECT 1 FROM people WHERE id = x.distinct_id UNION SELECT 2 FROM v WHERE v.distinct_id = x.distinct_id AND event = 'c')", "3"},
		{"SELECT COUNT(*) FROM events x WHERE NOT EXISTS (SELECT 1 FROM v y WHERE x.distinct_id = y.distinct_id AND y.event = 'a' UNION SELECT 1 FROM events z WHERE z.event = 'c' AND z.distinct_id = x.distinct_id)", "1"},
		{"SELECT COUNT(*) FROM events x WHERE EXISTS (SELECT 1 FROM (SELECT DISTINCT distinct_id FROM events WHERE event = 'b') y WHERE x.distinct_id = y.distinct_id UNION SELECT 1 FROM events WHERE event = 'none')", "3"},
		{"SELECT COUNT(*) FROM people p WHERE EXISTS (SELECT 1 FROM v y WHERE p.id = y.distinct_id AND y.event = 'b' UNION SELECT 1 FROM people WHERE id = 'none')", "1"},
		{"SELECT COUNT(*) FROM events x WHERE x.event = 'b' AND (EXISTS ((SELECT 1 FROM v y WHERE x.distinct_id = y.distinct_id AND y.event = 'a') UNION (SELECT 1 FROM people WHERE id = 'none')) OR x.distinct_id = 'none')", "1"},
		{"SELECT COUNT(*) FROM people WHERE EXISTS (SELECT 1 FROM people WHERE id = 'none' UNION SELECT id FROM people WHERE id = 'dan')", "2"},
		{"SELECT COUNT(*) FROM people WHERE EXISTS (SELECT 1 FROM people UNION SELECT 1 FROM events LIMIT 0)", "0"},
		{"SELECT COUNT(*) FROM events x WHERE EXISTS (SELECT 1 FROM v y WHERE x.distinct_id = y.distinct_id AND y.event = 'a' UNION SELECT 1 FROM events WHERE event = 'none' LIMIT 1)", "2"},
		{"SELECT COUNT(*) FROM events x WHERE NOT EXISTS (SELECT 1 FROM v y WHERE x.distinct_id = y.distinct_id AND y.event = 'a' UNION ALL SELECT 1 FROM v z WHERE z.distinct_id = x.distinct_id AND z.event = 'c' LIMIT 3)", "1"},
		{"SELECT COUNT(*) FROM people WHERE EXISTS (SELECT id FROM people INTERSECT SELECT distinct_id FROM v)", "2"},
		{"SELECT COUNT(*) FROM people WHERE EXISTS (SELECT distinct_id FROM v WHERE event = 'a' EXCEPT SELECT id FROM people)", "0"},
		{"SELECT COUNT(*) FROM events x WHERE EXISTS (SELECT y.distinct_id FROM events y WHERE y.distinct_id = x.distinct_id INTERSECT SELECT id FROM people)", "2"},
		{"SELECT EXISTS (SELECT 1 FROM v WHERE event = 'none' UNION SELECT 1 FROM v WHERE event = 'a')", "1"},
	} {
		w.want(c.query, c.want)
	}
	for _, query := range []string{
		"(SELECT y.event FROM v y WHERE y.distinct_id = x.distinct_id INTERSECT SELECT z.event FROM v z WHERE z.distinct_id = 'bob')",
		"(SELECT y.event FROM events y INTERSECT SELECT z.event FROM (SELECT DISTINCT event, distinct_id FROM events) z WHERE z.distinct_id = x.distinct_id)",
		"(SELECT y.event FROM v y WHERE y.distinct_id = x.distinct_id EXCEPT SELECT 'a')",
		"(SELECT y.event FROM v y WHERE y.distinct_id = x.distinct_id UNION SELECT 'a' LIMIT 1 OFFSET 1)",
	} {
		for _, not := range []string{"", "NOT "} {
			q := "SELECT COUNT(*) FROM events x WHERE " + not + "EXISTS " + query
			if rows, err := w.answer(q); err == nil || !strings.Contains(err.Error(), "write EXISTS of the first query") {
				t.Errorf("%s\ngives %v, %v", q, rows, err)
			}
		}
	}
}
