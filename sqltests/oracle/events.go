package oracle

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Predicates are conditions over RandomEvents; each %d is a random number.
var Predicates = []string{
	"event = 'e%d'", "event <> 'e%d'", "event < 'e%d'", "event IN ('e%d', 'e%d', NULL)", "event NOT IN ('e%d', 'x')", "event LIKE 'e%d%%'", "event LIKE '%%%d'",
	"event NOT LIKE 'e1%%'", "event LIKE 'E%d'", "event = 'E%d' COLLATE utf8mb4_general_ci", "event > 'e'", "'e%d' = event", "event BETWEEN 'e%d' AND 'e%d'",
	"distinct_id = 'u%d'", "distinct_id IN ('u%d', 'u%d', 'U1')", "distinct_id = ''", "distinct_id <=> 'u%d'", "distinct_id = CONCAT('u', %d)", "distinct_id > 5",
	"insert_id IS NULL", "insert_id IS NOT NULL", "insert_id = 'i%d'", "insert_id <=> NULL", "NOT (insert_id <=> 'i%d')",
	"time >= '2026-01-%d'", "time < '2026-01-1%d'", "time = '2026-01-1%d 05:00:00'", "time BETWEEN '2026-01-1%d' AND '2026-01-1%d'", "DATE(time) = '2026-01-1%d'",
	"DATE(time) <> '2026-01-1%d'", "DATE(time) >= '2026-01-1%d 01:00:00'", "DATE(time) < '2026-01-1%d 01:00:00'", "CAST(time AS DATE) <= '2026-01-1%d'", "DATE(time) > '2026-01-1%d'",
	"DATE(time) IN ('2026-01-1%d', '2026-01-1%d')", "time > DATE_ADD('2026-01-10', INTERVAL %d DAY)", "time > 'nonsense'", "time > 20260112000000", "HOUR(time) = %d",
	"time < '2026-01-12 00:00:00.0000004'", "time >= '2026-01-1%dT00:00:00Z'", "time IN ('2026-01-1%d 05:00:00')", "time IS NULL",
	"n = %d", "n > %d", "n <= %d.5", "n = %d.0", "n = '%d'", "n IN (1, %d, 3.5)", "n NOT IN (%d, NULL)", "n BETWEEN 1 AND %d", "n IS NULL", "n", "NOT n", "n <=> %d", "n <> %d", "-n < %d",
	"n > 18446744073709551615", "n < 9223372036854775807", "n = TRUE", "n > 1e1", "n >= CAST(%d AS DECIMAL(10, 3))",
	"d = 0.%d", "d > 0.%d", "d <= %d", "d < 0.1 + 0.2", "d = 0.30000000000000004", "d IN (0.1, 0.%d)", "d BETWEEN 0.1 AND 0.%d", "d = '0.%d'", "NOT (d > 0.%d)", "d <> 0.%d", "d > 1e308",
	"b", "NOT b", "b = 1", "b = 0", "b = %d", "b <> 1", "b > 0.5", "b >= 0", "b < 2", "b IN (0, %d)", "b IS NULL", "b = TRUE", "b = 'true'", "b <=> 1", "b IS TRUE", "b IS NOT TRUE", "b = NULL",
	"s = 'word %d'", "s LIKE 'word%%'", "s LIKE 'WORD _'", "s > 'word 5'", "s = %d", "s IS NULL", "s LIKE '\\\\%%'", "s LIKE '%d%%' ESCAPE '!'", "s LIKE '%%o_d%%%d'", "s NOT LIKE '_or%%%d_'", "s LIKE 'word!_%d' ESCAPE '!'", "s = 'word %d '", "s REGEXP '%d$'", "LOWER(s) = 'word %d'",
	"s IN ('word %d', 'Wörd')", "s >= 'Wörd'", "s <> X'776F7264'", "s NOT IN ('word %d', NULL)",
	"j IS NULL", "JSON_EXTRACT(j, '$.a') = %d", "properties IS NOT NULL", "JSON_LENGTH(properties) > %d", "m IS NOT NULL", "m = %d.50", "m > %d", "t > '2020-01-0%d'", "t IS NULL", "t = '2020-01-0%d'",
	"DATE(t) = '2020-01-0%d'", "EXISTS (SELECT 1 FROM events i WHERE i.distinct_id = e.distinct_id AND i.n > e.n)", "distinct_id IN (SELECT distinct_id FROM events WHERE n > %d)",
	"n = (SELECT MAX(i.n) FROM events i WHERE i.distinct_id = e.distinct_id)", "(SELECT COUNT(*) FROM events i WHERE i.time <= e.time AND i.event = e.event) > %d", "1 = 1", "NULL", "TRUE", "FALSE",
	"_duplicate", "_duplicate = 0", "NOT _duplicate", "_dup_kind = 'retry'", "_dup_of IS NULL", "_shard LIKE '1/%%'", "_ingested_at < '2026-05-10 12:00:00.010'", "_time_raw IS NULL", "_file = 'log'",
}

// RandomEvents are statements that fill a project's events, of which about a
// third have an insert id that others have too.
func RandomEvents(r *rand.Rand, n int) []string {
	orNull := func(format string, args ...any) string {
		if r.IntN(4) == 0 {
			return "null"
		}
		return fmt.Sprintf(format, args...)
	}
	var rows []string
	for range n {
		insertID := "NULL"
		if r.IntN(3) > 0 {
			insertID = fmt.Sprintf("'i%d'", r.IntN(n))
		}
		at := fmt.Sprintf("'2026-01-1%d %02d:00:00'", r.IntN(6), r.IntN(3)*5)
		if r.IntN(10) == 0 {
			at = "DEFAULT"
		}
		word := []string{"word %d", "Word %d", "Wörd", "%d", ""}[r.IntN(5)]
		if strings.Contains(word, "%d") {
			word = fmt.Sprintf(word, r.IntN(10))
		}
		properties := fmt.Sprintf(`{"n": %s, "d": %s, "b": %s, "s": %s, "j": %s, "m": %s, "t": %s}`,
			orNull("%d", r.IntN(14)-2), orNull("0.%d", r.IntN(10)), orNull("%t", r.IntN(2) == 0), orNull("%q", word),
			orNull(`{"a": %d}`, r.IntN(5)), orNull("%d.5", r.IntN(5)), orNull(`"2020-01-0%d"`, 1+r.IntN(5)))
		rows = append(rows, fmt.Sprintf("('e%d', %s, 'u%d', %s, '%s')", r.IntN(12), at, r.IntN(5), insertID, properties))
	}
	rows = append(rows, `('e1', '2026-01-12', '', NULL, '{"n": 9223372036854775807, "d": 0.30000000000000004}')`, `('E1', '2026-01-12', 'U1', 'i1', '{}')`)
	return []string{
		"ALTER TABLE events ADD COLUMN m DECIMAL(10, 2), ADD COLUMN t DATETIME(6)",
		"INSERT INTO events (event, time, distinct_id, insert_id, properties) VALUES " + strings.Join(rows, ", "),
	}
}
