package oracle

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Statements makes random statements over RandomEvents.
type Statements struct{ Rand *rand.Rand }

// pick is one of some texts.
func (s Statements) pick(from ...string) string { return from[s.Rand.IntN(len(from))] }

// column is a column of a type.
func (s Statements) column(kind string) string {
	switch kind {
	case "int":
		return s.pick("n", "b", "n", "_duplicate")
	case "double":
		return "d"
	case "decimal":
		return "m"
	case "moment":
		return s.pick("time", "time", "t")
	case "json":
		return s.pick("j", "properties")
	}
	return s.pick("event", "distinct_id", "insert_id", "s", "s")
}

// Scalar is an expression of a kind, nested up to a depth.
func (s Statements) Scalar(kind string, depth int) string {
	if depth <= 0 {
		if s.Rand.IntN(6) == 0 {
			return s.constant(kind)
		}
		return s.column(kind)
	}
	any := func() string { return s.Scalar(s.Kind(), depth-1) }
	one := func(kind string) string { return s.Scalar(kind, depth-1) }
	switch kind {
	case "int":
		switch s.Rand.IntN(22) {
		case 0:
			return fmt.Sprintf("%s(%s)", s.pick("YEAR", "MONTH", "DAY", "DAYOFWEEK", "WEEKDAY", "HOUR", "MINUTE", "WEEK", "QUARTER", "DAYOFYEAR", "TO_DAYS", "YEARWEEK", "SECOND"), one("moment"))
		case 1:
			return fmt.Sprintf("DATEDIFF(%s, '2026-01-10')", one("moment"))
		case 2:
			return fmt.Sprintf("(%s %s %s)", one("int"), s.pick("+", "-", "*", "%", "&", "|", "^", "DIV"), one("int"))
		case 3:
			return fmt.Sprintf("(1 << (%s & 7))", one("int"))
		case 4:
			return fmt.Sprintf("%s(%s)", s.pick("LENGTH", "CHAR_LENGTH", "ASCII", "CRC32", "BIT_LENGTH"), one("text"))
		case 5:
			return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", s.Condition(depth-1), one("int"), one("int"))
		case 6:
			return fmt.Sprintf("IF(%s, %s, %s)", s.Condition(depth-1), one("int"), one("int"))
		case 7:
			return fmt.Sprintf("COALESCE(%s, %s)", one("int"), one("int"))
		case 8:
			return fmt.Sprintf("IFNULL(%s, 0)", one("int"))
		case 9:
			return fmt.Sprintf("(%s)", s.Condition(depth-1))
		case 10:
			return fmt.Sprintf("CAST(%s AS SIGNED)", any())
		case 11:
			return fmt.Sprintf("EXTRACT(%s FROM %s)", s.pick("DAY", "HOUR", "YEAR_MONTH", "WEEK", "MINUTE"), one("moment"))
		case 12:
			return fmt.Sprintf("UNIX_TIMESTAMP(%s) DIV %s", s.column("moment"), s.pick("3600", "86400", "7200", "100"))
		case 13:
			return fmt.Sprintf("LOCATE(%s, %s)", s.constant("text"), one("text"))
		case 14:
			return fmt.Sprintf("SIGN(%s)", one("int"))
		case 15:
			return fmt.Sprintf("FLOOR(%s)", one("double"))
		case 16:
			return fmt.Sprintf("JSON_LENGTH(%s)", s.column("json"))
		case 17:
			return fmt.Sprintf("-(%s)", one("int"))
		case 18:
			return fmt.Sprintf("CAST(%s AS UNSIGNED)", one("int"))
		case 19:
			return fmt.Sprintf("TIMESTAMPDIFF(%s, '2026-01-01', %s)", s.pick("DAY", "HOUR", "MINUTE"), one("moment"))
		case 20:
			return fmt.Sprintf("NULLIF(%s, %s)", one("int"), one("int"))
		}
		return fmt.Sprintf("ABS(%s)", one("int"))
	case "double":
		switch s.Rand.IntN(8) {
		case 0:
			return fmt.Sprintf("(%s %s %s)", one("double"), s.pick("+", "-", "*", "/"), one("double"))
		case 1:
			return fmt.Sprintf("%s(%s)", s.pick("SQRT", "EXP", "SIN", "LN"), one("double"))
		case 2:
			return fmt.Sprintf("CAST(%s AS DOUBLE)", any())
		case 3:
			return fmt.Sprintf("ROUND(%s, 1)", one("double"))
		case 4:
			return fmt.Sprintf("POW(%s, 2)", one("int"))
		case 5:
			return fmt.Sprintf("GREATEST(%s, %s)", one("double"), one("int"))
		case 6:
			return fmt.Sprintf("IF(%s, %s, NULL)", s.Condition(depth-1), one("double"))
		}
		return fmt.Sprintf("(%s + 0.5e0)", any())
	case "decimal":
		switch s.Rand.IntN(8) {
		case 0:
			return fmt.Sprintf("(%s %s %s)", one("decimal"), s.pick("+", "-", "*"), one("decimal"))
		case 1:
			return fmt.Sprintf("ROUND(%s / %s, 4)", one("int"), one("int"))
		case 2:
			return fmt.Sprintf("CAST(%s AS DECIMAL(12, 3))", any())
		case 3:
			return fmt.Sprintf("ROUND(%s, 1)", one("decimal"))
		case 4:
			return fmt.Sprintf("(%s * 1.25)", one("int"))
		case 5:
			return fmt.Sprintf("COALESCE(%s, 0.5)", one("decimal"))
		case 6:
			return fmt.Sprintf("LEAST(%s, %s)", one("decimal"), one("int"))
		}
		return fmt.Sprintf("(%s MOD 3)", one("decimal"))
	case "moment":
		switch s.Rand.IntN(8) {
		case 0:
			return fmt.Sprintf("DATE(%s)", one("moment"))
		case 1:
			return fmt.Sprintf("CAST(%s AS DATE)", one("moment"))
		case 2:
			return fmt.Sprintf("DATE_ADD(%s, INTERVAL %s %s)", one("moment"), s.pick("1", "-3", "n"), s.pick("DAY", "HOUR", "MONTH", "MINUTE", "WEEK"))
		case 3:
			return fmt.Sprintf("LAST_DAY(%s)", one("moment"))
		case 4:
			return fmt.Sprintf("CONVERT_TZ(%s, '+00:00', '%s')", one("moment"), s.pick("+05:30", "-08:00", "UTC", "America/New_York"))
		case 5:
			return fmt.Sprintf("FROM_UNIXTIME(UNIX_TIMESTAMP(%s) DIV 3600 * 3600)", s.column("moment"))
		case 6:
			return fmt.Sprintf("IF(%s, %s, %s)", s.Condition(depth-1), one("moment"), one("moment"))
		}
		return s.column("moment")
	case "json":
		switch s.Rand.IntN(6) {
		case 0:
			return fmt.Sprintf("JSON_OBJECT('k', %s, 'l', %s)", any(), one("text"))
		case 1:
			return fmt.Sprintf("JSON_SET(%s, '$.z', %s)", s.column("json"), one("int"))
		case 2:
			return fmt.Sprintf("JSON_ARRAY(%s)", any())
		}
		return fmt.Sprintf("JSON_EXTRACT(%s, '$.%s')", s.column("json"), s.pick("a", "n", "s", "j"))
	}
	switch s.Rand.IntN(17) {
	case 0:
		return fmt.Sprintf("%s(%s)", s.pick("LOWER", "UPPER", "TRIM", "REVERSE", "MD5", "HEX", "LTRIM"), one("text"))
	case 1:
		return fmt.Sprintf("CONCAT(%s, %s)", one("text"), any())
	case 2:
		return fmt.Sprintf("SUBSTRING(%s, %d, %d)", one("text"), 1+s.Rand.IntN(3), s.Rand.IntN(4))
	case 3:
		return fmt.Sprintf("DATE_FORMAT(%s, '%s')", one("moment"), s.pick("%Y-%m-%d", "%Y-%m", "%H:00", "%W", "%Y-%m-%d %H:%i", "%x-%v", "%T"))
	case 4:
		return fmt.Sprintf("CASE %s WHEN %s THEN %s ELSE %s END", one("int"), one("int"), one("text"), one("text"))
	case 5:
		return fmt.Sprintf("COALESCE(%s, %s)", one("text"), s.constant("text"))
	case 6:
		return fmt.Sprintf("LEFT(%s, 2)", one("text"))
	case 7:
		return fmt.Sprintf("REPLACE(%s, 'o', '0')", one("text"))
	case 8:
		return fmt.Sprintf("JSON_UNQUOTE(JSON_EXTRACT(%s, '$.%s'))", s.column("json"), s.pick("a", "n", "s"))
	case 9:
		return fmt.Sprintf("CAST(%s AS CHAR)", any())
	case 10:
		return fmt.Sprintf("IF(%s, %s, NULL)", s.Condition(depth-1), one("text"))
	case 11:
		return fmt.Sprintf("SUBSTRING_INDEX(%s, ' ', 1)", one("text"))
	case 12:
		return fmt.Sprintf("REGEXP_REPLACE(%s, '[0-9]', '#')", one("text"))
	case 13:
		return fmt.Sprintf("%s(%s)", s.pick("DAYNAME", "MONTHNAME"), one("moment"))
	case 14:
		return fmt.Sprintf("LPAD(%s, 5, '-')", one("text"))
	case 15:
		return fmt.Sprintf("TRIM(LEADING 'w' FROM %s)", one("text"))
	}
	return fmt.Sprintf("NULLIF(%s, '')", one("text"))
}

// Kind is a kind of expression.
func (s Statements) Kind() string {
	return s.pick("int", "int", "double", "decimal", "moment", "text", "text", "json")
}

// constant is a constant of a kind.
func (s Statements) constant(kind string) string {
	switch kind {
	case "int":
		return s.pick("0", "1", "2", "7", "-1", "NULL", "9223372036854775807")
	case "double":
		return s.pick("0.5e0", "1e300", "0e0", "NULL")
	case "decimal":
		return s.pick("0.5", "1.25", "-3", "100000000000000000000.5")
	case "moment":
		return s.pick("TIMESTAMP('2026-01-11 05:00:00')", "CAST('2026-01-12' AS DATE)")
	case "json":
		return s.pick("j", "CAST('{\"a\": 1}' AS JSON)")
	}
	return s.pick("'e1'", "'word 3'", "'Wörd'", "'%d'", "''", "'5'", "NULL")
}

// Condition is a condition.
func (s Statements) Condition(depth int) string {
	if depth > 0 && s.Rand.IntN(4) == 0 {
		switch s.Rand.IntN(4) {
		case 0:
			return fmt.Sprintf("NOT (%s)", s.Condition(depth-1))
		case 1:
			return fmt.Sprintf("(%s XOR %s)", s.Condition(depth-1), s.Condition(depth-1))
		}
		return fmt.Sprintf("(%s %s %s)", s.Condition(depth-1), s.pick("AND", "OR"), s.Condition(depth-1))
	}
	if depth <= 0 || s.Rand.IntN(3) == 0 {
		for {
			p := Predicates[s.Rand.IntN(len(Predicates))]
			if strings.Contains(p, "SELECT") || strings.Contains(p, "nonsense") || strings.Contains(p, "_file") || strings.Contains(p, "_shard") {
				continue
			}
			for strings.Contains(p, "%d") {
				p = strings.Replace(p, "%d", strconv.Itoa(s.Rand.IntN(10)), 1)
			}
			return strings.ReplaceAll(p, "%%", "%")
		}
	}
	kind := s.Kind()
	one := func() string { return s.Scalar(kind, depth-1) }
	switch s.Rand.IntN(8) {
	case 0:
		return fmt.Sprintf("%s IS %sNULL", one(), s.pick("", "NOT "))
	case 1:
		return fmt.Sprintf("%s BETWEEN %s AND %s", one(), one(), one())
	case 2:
		return fmt.Sprintf("%s IN (%s, %s)", one(), s.constant(kind), s.constant(kind))
	case 3:
		return fmt.Sprintf("%s %sLIKE %s", s.Scalar("text", depth-1), s.pick("", "NOT "), s.pick("'%o%'", "'w_rd%'", "'e1'", "'%3'"))
	case 4:
		return fmt.Sprintf("%s <=> %s", one(), one())
	case 5:
		return fmt.Sprintf("%s REGEXP '[1-4]$'", s.Scalar("text", depth-1))
	}
	return fmt.Sprintf("%s %s %s", one(), s.pick("=", "<>", "<", "<=", ">", ">="), one())
}

// aggregate is an aggregate.
func (s Statements) aggregate() string {
	depth := s.Rand.IntN(3)
	switch s.Rand.IntN(16) {
	case 0, 1:
		return "COUNT(*)"
	case 2:
		return fmt.Sprintf("COUNT(%s)", s.Scalar(s.Kind(), depth))
	case 3:
		return fmt.Sprintf("COUNT(DISTINCT %s)", s.Scalar(s.Kind(), depth))
	case 4:
		return fmt.Sprintf("COUNT(DISTINCT %s, %s)", s.Scalar(s.Kind(), 0), s.Scalar(s.Kind(), depth))
	case 5, 6:
		return fmt.Sprintf("SUM(%s)", s.Scalar(s.pick("int", "int", "double", "decimal", "text"), depth))
	case 7, 8:
		return fmt.Sprintf("AVG(%s)", s.Scalar(s.pick("int", "int", "double", "decimal", "text"), depth))
	case 9, 10:
		return fmt.Sprintf("%s(%s)", s.pick("MIN", "MAX"), s.Scalar(s.Kind(), depth))
	case 11:
		return fmt.Sprintf("%s(%s)", s.pick("STDDEV", "VARIANCE", "STDDEV_SAMP", "VAR_SAMP"), s.Scalar(s.pick("int", "double", "decimal"), depth))
	case 12:
		return fmt.Sprintf("%s(%s)", s.pick("BIT_AND", "BIT_OR", "BIT_XOR"), s.Scalar("int", depth))
	case 13:
		return fmt.Sprintf("%s(%s)", s.pick("MEDIAN", "APPROX_COUNT_DISTINCT"), s.Scalar("int", depth))
	case 14:
		return fmt.Sprintf("%s(%s, 0.%d)", s.pick("PERCENTILE_CONT", "PERCENTILE_DISC", "QUANTILE", "APPROX_PERCENTILE"), s.Scalar(s.pick("int", "double", "decimal"), depth), s.Rand.IntN(10))
	}
	switch s.Rand.IntN(3) {
	case 0:
		text := s.Scalar("text", 0)
		if s.Rand.IntN(2) == 0 { // rows that nothing of this tells apart have the same text
			return fmt.Sprintf("GROUP_CONCAT(%s ORDER BY time%s, insert_id, %s SEPARATOR '|')", text, s.pick("", " DESC"), text)
		}
		return fmt.Sprintf("GROUP_CONCAT(DISTINCT %s ORDER BY %s SEPARATOR '|')", text, text)
	case 1:
		return fmt.Sprintf("AVG(DISTINCT %s)", s.Scalar(s.pick("int", "decimal"), depth))
	}
	return fmt.Sprintf("SUM(DISTINCT %s)", s.Scalar("int", depth))
}

// nested is a grouping of a grouping, by what no rounding changes.
func (s Statements) nested() string {
	key := s.Scalar(s.Kind(), s.Rand.IntN(3))
	a := s.pick("COUNT(*)", "COUNT(DISTINCT n)", "MIN("+s.Scalar("text", 1)+")", "MAX(time)", "BIT_OR(1 << (n & 7))", "SUM(n)", "MAX("+s.Scalar("int", 2)+")")
	inner := fmt.Sprintf("SELECT %s AS k0, %s AS a0, COUNT(*) AS a1, AVG(n) AS a2 FROM events WHERE %s GROUP BY k0", key, a, s.Condition(2))
	if s.Rand.IntN(3) == 0 {
		inner = fmt.Sprintf("SELECT DISTINCT %s AS k0, %s AS a0, n AS a1 FROM events", key, s.Scalar("text", 1))
	} else if s.Rand.IntN(3) == 0 {
		inner += s.pick(" HAVING a1 > 2", " HAVING a0 IS NOT NULL", " HAVING COUNT(*) < 5")
	}
	return fmt.Sprintf(s.pick(
		"SELECT a0, COUNT(*) FROM (%s) y GROUP BY a0", "SELECT COUNT(*), MAX(a0), MIN(k0) FROM (%s) y",
		"SELECT SUM(a1), COUNT(DISTINCT a0) FROM (%s) y WHERE a0 IS NOT NULL", "SELECT k0, a1, COUNT(*) FROM (%s) y GROUP BY k0, a1 ORDER BY 1, 2",
		"SELECT CONCAT(a0, '!') AS c, AVG(a1) FROM (%s) y WHERE a1 > 1 GROUP BY c ORDER BY 1 DESC LIMIT 3", "SELECT COUNT(*) FROM (%s) y"), inner)
}

// plain is a SELECT without groups: what it computes, it computes of each row.
func (s Statements) plain() string {
	var items []string
	for range 1 + s.Rand.IntN(3) {
		switch s.Rand.IntN(3) {
		case 0:
			items = append(items, fmt.Sprintf(s.pick("JSON_EXTRACT(properties, '$.%s')", "properties->>'$.%s'", "JSON_VALUE(properties, '$.%s')", "JSON_TYPE(properties->'$.%s')"), s.pick("n", "s", "j", "j.a", "m", "none", `"d"`)))
		default:
			items = append(items, s.Scalar(s.Kind(), s.Rand.IntN(3)))
		}
	}
	q := "SELECT " + strings.Join(items, ", ") + " FROM " + s.pick("events", "events e", "events_all", "(SELECT * FROM events) x", "v")
	switch s.Rand.IntN(3) {
	case 0:
		q += " WHERE " + s.Condition(2)
	case 1:
		q += fmt.Sprintf(" WHERE properties->>'$.%s' %s", s.pick("n", "s", "j.a"), s.pick("IS NULL", "= '3'", "LIKE '%o%'", "> '2'"))
	}
	return q
}

// windowed is a SELECT with window functions. Rows that an order does not tell apart are
// the same to it, or it tells all apart.
func (s Statements) windowed() string {
	partition := s.pick("distinct_id", "distinct_id", "distinct_id", "event", "distinct_id, event", "s", "n", "DATE(time)", "d", "m")
	all, peers := s.pick("time, _ingest_id", "time DESC, _ingest_id", "n, _ingest_id DESC"), s.pick("time", "time DESC", "n", "n DESC", "s", "d", "m, time", "b, event DESC")
	kind := s.pick("int", "double", "decimal", "text", "moment")
	value := s.Scalar(kind, s.Rand.IntN(2))
	over := func(order string) string { return fmt.Sprintf("OVER (PARTITION BY %s ORDER BY %s)", partition, order) }
	whole := fmt.Sprintf("OVER (PARTITION BY %s)", partition)
	items := []string{"_ingest_id", "distinct_id"}
	for range 1 + s.Rand.IntN(3) {
		switch s.Rand.IntN(9) {
		case 0:
			items = append(items, "ROW_NUMBER() "+over(all))
		case 1:
			items = append(items, s.pick("RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST")+"() "+over(peers))
		case 2, 3:
			items = append(items, fmt.Sprintf("%s(%s%s) %s", s.pick("LAG", "LEAD"), value, s.pick("", ", 2", ", 0", ", 1, NULL"), over(all)))
		case 4:
			items = append(items, fmt.Sprintf("%s(%s) %s", s.pick("FIRST_VALUE", "LAST_VALUE"), value, over(s.pick(all, all, all+", event"))))
		case 5:
			items = append(items, fmt.Sprintf("COUNT(%s) %s", s.pick("*", value), s.pick(whole, over(peers), over(all))))
		case 6:
			items = append(items, fmt.Sprintf("%s(%s) %s", s.pick("MIN", "MAX"), value, s.pick(whole, over(peers), over(all))))
		case 7:
			items = append(items, fmt.Sprintf("SUM(%s) OVER (PARTITION BY %s ORDER BY %s ROWS BETWEEN 1 PRECEDING AND %s)", s.pick("n", "b", "m"), partition, all, s.pick("CURRENT ROW", "1 FOLLOWING")))
		default:
			items = append(items, fmt.Sprintf("%s(%s) %s", s.pick("SUM", "SUM", "AVG"), s.Scalar(s.pick("int", "int", "decimal"), s.Rand.IntN(2)), s.pick(whole, over(peers), over(all))))
		}
	}
	for i := range items {
		items[i] += fmt.Sprintf(" AS w%d", i)
	}
	from := s.pick("events", "events", "events_all", "(SELECT *, _ingest_id FROM events WHERE event <> 'e1') x")
	q := "SELECT " + strings.Join(items, ", ") + " FROM " + from
	if s.Rand.IntN(3) == 0 {
		q += " WHERE " + s.Condition(1)
	}
	switch s.Rand.IntN(5) {
	case 0:
		return fmt.Sprintf("SELECT w0, w2 FROM (%s) y WHERE w2 IS NOT NULL", q)
	case 1:
		return fmt.Sprintf("SELECT w1, COUNT(w2), MAX(w2), MIN(w2) FROM (%s) y GROUP BY w1", q)
	}
	return q
}

// Statement is a SELECT with groups, with windows, of events joined by user, or with none of
// these.
func (s Statements) Statement() string {
	switch s.Rand.IntN(14) {
	case 12, 13:
		return s.Joined()
	case 0, 1:
		return s.nested()
	case 2:
		return s.plain()
	case 3, 4:
		return s.windowed()
	}
	from := s.pick("events", "events", "events e", "events_all", "(SELECT * FROM events) x", "v")
	if s.Rand.IntN(5) == 0 {
		from = fmt.Sprintf("(SELECT event, time, distinct_id, insert_id, n, d, b, s, j, m, t, properties, 0 AS _duplicate, 'x' AS _dup_kind, NULL AS _dup_of, time AS _ingested_at, time AS _time_raw, %s AS x1 FROM events WHERE %s) x", s.Scalar("int", 2), s.Condition(1))
	}
	var keys, items []string
	for range s.Rand.IntN(4) {
		keys = append(keys, s.Scalar(s.Kind(), s.Rand.IntN(4)))
	}
	if s.Rand.IntN(8) == 0 && len(keys) > 0 {
		return fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE %s", strings.Join(keys, ", "), from, s.Condition(2))
	}
	var order []string
	for i := range keys {
		items = append(items, fmt.Sprintf("%s AS k%d", keys[i], i))
		order = append(order, strconv.Itoa(i+1)+s.pick("", " DESC"))
	}
	for i := range 1 + s.Rand.IntN(3) {
		items = append(items, fmt.Sprintf("%s AS a%d", s.aggregate(), i))
	}
	if s.Rand.IntN(4) == 0 {
		items = append(items, s.aggregate()+" + 1")
	}
	q := "SELECT " + strings.Join(items, ", ") + " FROM " + from
	if s.Rand.IntN(3) > 0 {
		q += " WHERE " + s.Condition(3)
	}
	if len(keys) > 0 {
		var names []string
		for i := range keys {
			names = append(names, s.pick(strconv.Itoa(i+1), "k"+strconv.Itoa(i)))
		}
		q += " GROUP BY " + strings.Join(names, ", ")
		if s.Rand.IntN(5) == 0 {
			q += s.pick(" HAVING a0 IS NOT NULL", " HAVING COUNT(*) > 2", " HAVING a0 > 1")
		}
		if s.Rand.IntN(2) == 0 {
			q += " ORDER BY " + strings.Join(order, ", ")
			if s.Rand.IntN(2) == 0 {
				q += fmt.Sprintf(" LIMIT %d", 1+s.Rand.IntN(5))
			}
		}
	}
	return q
}
