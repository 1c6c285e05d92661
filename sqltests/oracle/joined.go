package oracle

import (
	"fmt"
	"strings"
)

// joinable are rows with event, distinct_id, time, n, s, m and t: events, or groups of them.
func (s Statements) joinable() string {
	switch s.Rand.IntN(8) {
	case 0:
		return "(SELECT distinct_id, MIN(time) AS time, COUNT(*) AS n, MAX(event) AS event, MIN(s) AS s, SUM(m) AS m, MAX(t) AS t FROM events GROUP BY distinct_id)"
	case 1:
		return fmt.Sprintf("(SELECT distinct_id, event, MAX(time) AS time, SUM(n) AS n, MAX(s) AS s, MIN(m) AS m, MIN(t) AS t FROM v WHERE %s GROUP BY distinct_id, event)", s.pick("n > 0", "event < 'e5'", "TRUE"))
	case 2:
		return fmt.Sprintf("(SELECT event, distinct_id, time, n & 15 AS n, s, m, t FROM events WHERE %s)", s.pick("n > 0", "event < 'e5'", "s IS NOT NULL"))
	case 3, 4:
		return "v"
	}
	return "events"
}

// pair is a condition on the rows a and b.
func (s Statements) pair(a, b string) string {
	if s.Rand.IntN(2) == 0 {
		a, b = b, a
	}
	switch s.Rand.IntN(12) {
	case 0, 1, 2:
		return fmt.Sprintf("%s.time %s %s.time", a, s.pick(">", ">=", "<", "<=", "=", "<>"), b)
	case 3, 4:
		return fmt.Sprintf("%s.time %s %s.time %s INTERVAL %s", a, s.pick(">", ">=", "<", "<="), b, s.pick("+", "-"), s.pick("1 DAY", "5 HOUR", "300 MINUTE", "1 MONTH", "2 WEEK", "9000 YEAR", "3000000 DAY"))
	case 5:
		return fmt.Sprintf("%s.time BETWEEN %s.time AND %s.time + INTERVAL %s", a, b, b, s.pick("1 DAY", "10 HOUR"))
	case 6:
		return fmt.Sprintf("%s.t %s %s.time", a, s.pick(">", "<", "="), b)
	case 7:
		return fmt.Sprintf("TIMESTAMPDIFF(HOUR, %s.time, %s.time) BETWEEN 0 AND 24", a, b)
	case 8:
		return fmt.Sprintf("%s.%s = %s.%s", a, s.pick("event", "s"), b, s.pick("event", "s"))
	case 9:
		return fmt.Sprintf("%s.n %s %s.n", a, s.pick("<", "=", "<=>", ">"), b)
	case 10:
		return fmt.Sprintf("(%s.event <> %s.event OR %s.n IS NULL)", a, b, a)
	}
	return fmt.Sprintf("DATEDIFF(%s.time, %s.time) = %d", a, b, s.Rand.IntN(3))
}

// own is a condition on a row.
func (s Statements) own(a string) string {
	return strings.ReplaceAll(s.pick("x.event = 'e1'", "x.event IN ('e2', 'e3', 'e7')", "x.n > 2", "x.n IS NULL", "x.time >= '2026-01-12'", "x.s LIKE 'w%'", "x.event < 'e4'", "x.m > 1",
		"x.distinct_id = 'u1'", "x.distinct_id IN ('u0', 'u2', 'nobody')", "'u1' < x.distinct_id", "x.distinct_id LIKE '%2'", "CONCAT(x.distinct_id, '') = 'u1'"), "x.", a+".")
}

// key has two rows be of the same user, or of another column.
func (s Statements) key(a, b string) string {
	column := "distinct_id"
	if s.Rand.IntN(12) == 0 {
		column = s.pick("s", "event")
	}
	return fmt.Sprintf("%s.%s = %s.%s", a, column, b, column)
}

// Joined is a join of events by user, with something above it.
func (s Statements) Joined() string {
	var conditions, on []string
	add := func(to *[]string, n int, condition func() string) {
		for range s.Rand.IntN(n) {
			*to = append(*to, condition())
		}
	}
	if s.Rand.IntN(4) == 0 {
		return s.valued()
	}
	exists := s.Rand.IntN(3) == 0
	add(&conditions, 2, func() string { return s.own("a") })
	if exists {
		on = append(on, s.key("b", "a"))
		add(&on, 3, func() string { return s.pair("a", "b") })
		add(&on, 2, func() string { return s.own("b") })
		query := fmt.Sprintf("EXISTS (SELECT %s FROM %s b WHERE %s%s)", s.pick("1", "*", "b.n"), s.pick("events", "v", "(SELECT * FROM events WHERE n IS NOT NULL)"), strings.Join(on, " AND "), s.pick("", "", " LIMIT 1"))
		if s.Rand.IntN(4) == 0 {
			query = fmt.Sprintf("a.distinct_id IN (SELECT b.distinct_id FROM %s b WHERE %s)", s.pick("events", "v"), strings.Join(append([]string{s.pair("a", "b")}, on[1:]...), " AND "))
			conditions = append(conditions, query)
			return s.overJoin(fmt.Sprintf("%s a", s.joinable()), conditions, false)
		}
		conditions = append(conditions, s.pick("", "NOT ")+query)
		return s.overJoin(fmt.Sprintf("%s a", s.joinable()), conditions, false)
	}
	kind := s.pick("JOIN", "JOIN", "LEFT JOIN")
	on = append(on, s.key("a", "b"))
	add(&on, 2, func() string { return s.pair("a", "b") })
	add(&on, 2, func() string { return s.own("b") })
	add(&on, 2, func() string { return s.own("a") })
	add(&conditions, 2, func() string { return s.own("b") })
	add(&conditions, 2, func() string { return s.pair("a", "b") })
	if kind == "LEFT JOIN" && s.Rand.IntN(3) == 0 {
		conditions = append(conditions, s.pick("b.event IS NULL", "b.n IS NULL", "b.distinct_id IS NULL"))
	}
	from := fmt.Sprintf("%s a %s %s b ON %s", s.joinable(), kind, s.joinable(), strings.Join(on, " AND "))
	if s.Rand.IntN(6) == 0 {
		from += fmt.Sprintf(" %s %s c ON %s AND %s AND %s", s.pick("JOIN", "LEFT JOIN"), s.pick("events", "v"), s.key(s.pick("a", "b"), "c"), s.own("c"), s.pair("b", "c"))
	}
	return s.overJoin(from, conditions, true)
}

func (s Statements) overJoin(from string, conditions []string, both bool) string {
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	column := func(name string) string {
		if both {
			return s.pick("a.", "b.") + name
		}
		return "a." + name
	}
	switch s.Rand.IntN(10) {
	case 7, 8:
		return s.sortedJoin(column, from+where)
	case 9:
		return s.windowedJoin(column, from+where)
	case 0:
		return fmt.Sprintf("SELECT COUNT(*) FROM %s%s", from, where)
	case 1:
		return fmt.Sprintf("SELECT COUNT(DISTINCT %s), MIN(%s), MAX(%s) FROM %s%s", column("distinct_id"), column("time"), column("s"), from, where)
	case 2:
		return fmt.Sprintf("SELECT %s AS x, COUNT(*), COUNT(DISTINCT a.distinct_id), SUM(%s), AVG(%s), MAX(%s) FROM %s%s GROUP BY x", column("event"), column("n"), column("m"), column("time"), from, where)
	case 3:
		return fmt.Sprintf("SELECT DATE(%s) AS x, %s AS y, COUNT(*), COUNT(%s) FROM %s%s GROUP BY x, y HAVING COUNT(*) > 1", column("time"), column("s"), column("n"), from, where)
	case 4:
		return fmt.Sprintf("SELECT %s AS x, %s AS y, %s AS z FROM %s%s", column("event"), column("n"), column("time"), from, where)
	case 5:
		return fmt.Sprintf("SELECT DISTINCT %s AS x, %s AS y FROM %s%s ORDER BY x, y LIMIT 20", column("event"), column("n"), from, where)
	}
	return fmt.Sprintf("SELECT x, COUNT(*), MAX(c) FROM (SELECT %s AS u, COUNT(*) AS c, MIN(%s) AS x FROM %s%s GROUP BY u) y GROUP BY x", column("distinct_id"), column("event"), from, where)
}

// sortedJoin is a join's rows in an order by all that is selected.
func (s Statements) sortedJoin(column func(string) string, rows string) string {
	selected := []string{column("event"), column("n"), column("time"), s.pick(column("distinct_id"), "a.distinct_id"), s.pick(column("m"), column("s"), column("n")+" + 1", "UPPER("+column("s")+")")}
	var items, order []string
	for i, x := range selected {
		items = append(items, fmt.Sprintf("%s AS x%d", x, i))
		order = append(order, fmt.Sprintf("x%d%s", i, s.pick("", " DESC")))
	}
	s.Rand.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	if s.Rand.IntN(3) == 0 {
		order = append([]string{"a.distinct_id"}, order...)
	}
	return fmt.Sprintf("SELECT %s FROM %s ORDER BY %s%s", strings.Join(items, ", "), rows, strings.Join(order, ", "), s.pick("", " LIMIT 5", " LIMIT 5", " LIMIT 30", " LIMIT 7 OFFSET 3"))
}

// windowedJoin has windows over a join's rows, whose values do not depend on the order of
// peers.
func (s Statements) windowedJoin(column func(string) string, rows string) string {
	over := "OVER (PARTITION BY " + s.pick("a.distinct_id", "a.distinct_id", column("event")) + s.pick("", " ORDER BY "+column("time"), " ORDER BY "+column("n")+" DESC, "+column("time")) + ")"
	functions := []string{"COUNT(*)", "RANK()", "DENSE_RANK()", "MAX(" + column("time") + ")", "MIN(" + column("s") + ")", "SUM(" + column("n") + ")", "COUNT(" + column("n") + ")"}
	s.Rand.Shuffle(len(functions), func(i, k int) { functions[i], functions[k] = functions[k], functions[i] })
	q := fmt.Sprintf("SELECT %s AS x, %s AS y, %s %s AS w, %s %s AS z FROM %s", column("event"), column("time"), functions[0], over, functions[1], over, rows)
	switch s.Rand.IntN(4) {
	case 0:
		return fmt.Sprintf("SELECT x, z, COUNT(*), MAX(y) FROM (%s) o GROUP BY x, z", q)
	case 1:
		return fmt.Sprintf("SELECT x, w FROM (%s) o WHERE z IS NOT NULL", q)
	}
	return q
}

// value is a subquery that makes one value of what a user, or a part of one's events, has.
func (s Statements) value(of string) string {
	conditions := []string{s.key("b", "a")}
	if s.Rand.IntN(3) == 0 {
		conditions = append(conditions, s.own("b"))
	}
	switch s.Rand.IntN(8) {
	case 0:
		conditions = append(conditions, s.pick("b.event = a.event", "a.s = b.s", "b.n = a.n", "a.time = b.time"))
	case 1:
		conditions = append(conditions, s.pair("a", "b"))
	}
	s.Rand.Shuffle(len(conditions), func(i, k int) { conditions[i], conditions[k] = conditions[k], conditions[i] })
	return fmt.Sprintf("(SELECT %s FROM %s b WHERE %s)", of, s.pick("events", "events", "v", "(SELECT * FROM events WHERE n IS NOT NULL)"), strings.Join(conditions, " AND "))
}

// number is an aggregate that is a number.
func (s Statements) number() string {
	return s.pick("COUNT(*)", "COUNT(*)", "COUNT(b.n)", "SUM(b.n)", "SUM(b.m)", "AVG(b.n)", "AVG(b.m)", "MAX(b.n)", "MIN(b.m)", "COUNT(DISTINCT b.event)", "MAX(b.n) - MIN(b.n)", "COUNT(*) + 1")
}

// valued asks for values of subqueries that look at the row outside.
func (s Statements) valued() string {
	var conditions []string
	if s.Rand.IntN(2) == 0 {
		conditions = append(conditions, s.own("a"))
	}
	if s.Rand.IntN(3) > 0 {
		conditions = append(conditions, s.pick(
			"a.time "+s.pick("=", "<", "<>", ">=")+" "+s.value(s.pick("MAX", "MIN")+"(b.time)"),
			"a.n "+s.pick("=", "<", ">")+" "+s.value(s.number()),
			s.value(s.number())+" > "+s.pick("1", "2", "3.5"),
			s.value("MAX(b.s)")+" IS "+s.pick("NULL", "NOT NULL"),
			"a.time BETWEEN "+s.value("MIN(b.time)")+" AND "+s.value("MAX(b.time)")))
	}
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	from := s.joinable() + " a" + where
	v := s.value(s.pick(s.number(), s.number(), s.pick("MAX", "MIN")+"(b."+s.pick("time", "s", "event")+")"))
	switch s.Rand.IntN(5) {
	case 0:
		return fmt.Sprintf("SELECT COUNT(*), MAX(a.time), SUM(a.n) FROM %s", from)
	case 1:
		return fmt.Sprintf("SELECT a.event AS x, %s AS y, a.n AS z FROM %s ORDER BY y, x, z%s", v, from, s.pick("", " LIMIT 6"))
	case 2:
		return fmt.Sprintf("SELECT y, COUNT(*) FROM (SELECT a.event AS x, %s AS y FROM %s) o GROUP BY y", v, from)
	case 3:
		return fmt.Sprintf("SELECT a.event AS x, a.time AS y FROM %s", from)
	}
	return fmt.Sprintf("SELECT a.event AS x, %s AS y, %s AS z FROM %s", v, s.value(s.number()), from)
}
