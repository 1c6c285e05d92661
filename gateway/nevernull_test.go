package gateway

import "testing"

// A column that is NULL in a row that was found does not say that an outer join found none,
// whatever its schema says of it.
func TestNullInRowsThatWereFound(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, distinct_id, properties) VALUES
		('a', '2026-01-10', 'ann', '{"n": 1}'), ('b', '2026-01-11', 'ann', '{}'), ('b', '2026-01-12', 'bob', '{}'), ('b', '2026-01-13', 'bob', '{}')`)
	const perUser = "(SELECT distinct_id, MIN(CASE WHEN event = 'a' THEN time END) AS t, MAX(time) AS last, MIN(event) AS e FROM events GROUP BY distinct_id)"
	for _, c := range []struct {
		query string
		want  string
	}{
		{"SELECT COUNT(*) FROM events x LEFT JOIN " + perUser + " y ON x.distinct_id = y.distinct_id WHERE y.t IS NULL", "2"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN " + perUser + " y ON x.distinct_id = y.distinct_id AND x.time < y.last WHERE y.t IS NULL", "3"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN " + perUser + " y ON x.distinct_id = y.distinct_id WHERE y.e IS NULL", "0"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN (SELECT distinct_id, JSON_EXTRACT(properties, '$.n') AS n FROM events) y ON x.distinct_id = y.distinct_id WHERE y.n IS NULL", "6"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN (SELECT y.distinct_id, z.event FROM events y LEFT JOIN events z ON y.distinct_id = z.distinct_id AND z.event = 'a') y ON x.distinct_id = y.distinct_id WHERE y.event IS NULL", "4"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN (SELECT y.distinct_id, z.event FROM events y LEFT JOIN events z ON y.distinct_id = z.distinct_id AND z.event = 'a') y ON CONCAT(x.distinct_id, '') = CONCAT(y.distinct_id, '') WHERE y.event IS NULL", "4"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN (SELECT distinct_id, event FROM events WHERE event = 'a') y ON x.distinct_id = y.distinct_id WHERE y.event IS NULL", "2"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN (SELECT distinct_id, 1 AS one FROM events WHERE event = 'a') y ON x.distinct_id = y.distinct_id WHERE y.one IS NULL", "2"},
		{"SELECT COUNT(*) FROM events x LEFT JOIN events y ON x.distinct_id = y.distinct_id AND y.time > x.time WHERE y.event IS NULL", "2"},
		{"SELECT COUNT(*) FROM events x WHERE NOT EXISTS (SELECT 1 FROM events y WHERE y.distinct_id = x.distinct_id AND y.event = 'a')", "2"},
		{"SELECT COUNT(*) FROM events x WHERE x.distinct_id NOT IN (SELECT distinct_id FROM events WHERE event = 'a')", "2"},
	} {
		w.want(c.query, c.want)
	}
}
