package gateway

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exactNumber is a number of the oracle; nil is NULL.
type exactNumber struct {
	value  *big.Rat
	double bool
}

func readNumber(text string, double bool) *exactNumber {
	if text == "NULL" {
		return nil
	}
	if double {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		return &exactNumber{new(big.Rat).SetFloat64(f), true}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text)
	}
	return &exactNumber{r, false}
}

// order compares as MySQL does.
func (a *exactNumber) order(b *exactNumber, doubles bool) int {
	if !a.double && !b.double && !doubles {
		return a.value.Cmp(b.value)
	}
	x, _ := a.value.Float64()
	y, _ := b.value.Float64()
	return new(big.Rat).SetFloat64(x).Cmp(new(big.Rat).SetFloat64(y))
}

// The values that conditions are tried with: -1 false, 0 unknown, 1 true.
func truth(is bool) int {
	if is {
		return 1
	}
	return -1
}

// operators are conditions of a value and two others.
var operators = []struct {
	sql  string
	want func(v, a, b *exactNumber) int
}{
	{"@v = @a", compared(func(o int) bool { return o == 0 })},
	{"@v <> @a", compared(func(o int) bool { return o != 0 })},
	{"@v < @a", compared(func(o int) bool { return o < 0 })},
	{"@v <= @a", compared(func(o int) bool { return o <= 0 })},
	{"@v > @a", compared(func(o int) bool { return o > 0 })},
	{"@v >= @a", compared(func(o int) bool { return o >= 0 })},
	{"NOT (@v > @a)", compared(func(o int) bool { return o <= 0 })},
	{"@a < @v", compared(func(o int) bool { return o > 0 })},
	{"@v <=> @a", func(v, a, _ *exactNumber) int {
		return truth(v == nil && a == nil || v != nil && a != nil && v.order(a, false) == 0)
	}},
	{"@v BETWEEN @a AND @b", wantBetween},
	{"@v NOT BETWEEN @a AND @b", func(v, a, b *exactNumber) int { return -wantBetween(v, a, b) }},
	{"@v IN (@a, @b)", wantIn},
	{"@v NOT IN (@a, @b)", func(v, a, b *exactNumber) int { return -wantIn(v, a, b) }},
	{"@v IN (@a, @b, @a, @b, @a, @b, @a, @b, @a)", wantIn},
	{"(@v, 1) = (@a, 1.0)", compared(func(o int) bool { return o == 0 })},
	{"@v IN (SELECT @a)", func(v, a, _ *exactNumber) int { return wantIn(v, a, a) }},
}

func compared(holds func(int) bool) func(v, a, b *exactNumber) int {
	return func(v, a, _ *exactNumber) int {
		if v == nil || a == nil {
			return 0
		}
		return truth(holds(v.order(a, false)))
	}
}

func wantBetween(v, a, b *exactNumber) int {
	if v == nil {
		return 0
	}
	doubles := v.double || a != nil && a.double || b != nil && b.double
	low, high := 0, 0
	if a != nil {
		low = truth(v.order(a, doubles) >= 0)
	}
	if b != nil {
		high = truth(v.order(b, doubles) <= 0)
	}
	return min(low, high)
}

func wantIn(v, a, b *exactNumber) int {
	if v == nil {
		return 0
	}
	result := -1
	for _, x := range []*exactNumber{a, b} {
		switch {
		case x == nil:
			result = max(result, 0)
		case v.order(x, false) == 0:
			result = 1
		}
	}
	return result
}

// comparedColumns are the columns, and expressions, whose values are compared.
var comparedColumns = []struct {
	sql    string
	double bool
	values []string
}{
	{"i", false, []string{"0", "-1", "1", "2", "9223372036854775807", "-9223372036854775808", "9007199254740992", "9007199254740993", "NULL"}},
	{"f", true, []string{"0.5", "-0.0", "1.5", "0.1", "1e300", "-1e-300", "9007199254740992", "1.255", "NULL"}},
	{"p", false, []string{"1.25", "1.26", "0.01", "-0.5", "99999999.99", "1", "2", "0", "NULL"}},
	{"q", false, []string{"9007199254740993", "9223372036854775808", "1.255", "0.1", "1.26", "-1", "0", "2.0000000001", "NULL"}},
	{"(q + 0.0)", false, nil}, // as q
	{"(f * 1e0)", true, nil},  // as f
}

var comparedLiterals = []string{
	"0", "1", "-1", "2", "1.5", "1.255", "1.26", "1.2550000000000000001", "0.1", "0.10", "1e0", "1.5e0", "1e300", "-1e-300",
	"9007199254740992", "9007199254740993", "9007199254740993.5", "9007199254740993e0", "9223372036854775807", "9223372036854775808",
	"18446744073709551615", "18446744073709551616", "2.0000000001", "0.0", "NULL",
}

func comparedWorld(t testing.TB) *sqlWorld {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE v", "USE v", "ALTER TABLE events ADD COLUMN p DECIMAL(10,2), ADD COLUMN q DECIMAL(30,10)")
	for row := range comparedColumns[0].values {
		var properties []string
		for _, c := range comparedColumns[:4] {
			if v := c.values[row]; v != "NULL" {
				properties = append(properties, fmt.Sprintf(`"%s":%s`, c.sql, v))
			}
		}
		w.must(fmt.Sprintf(`INSERT INTO events (event, time, insert_id, properties) VALUES ('A', '2026-01-01', '%d', '{%s}')`, row, strings.Join(properties, ",")))
	}
	return w
}

func TestComparisonsAgainstOracle(t *testing.T) {
	w := comparedWorld(t)
	comparedColumns[4].values, comparedColumns[5].values = comparedColumns[3].values, comparedColumns[1].values
	turn := 0
	for _, c := range comparedColumns {
		for k, a := range comparedLiterals {
			b := comparedLiterals[(k*7+3)%len(comparedLiterals)]
			numbers := [2]*exactNumber{readNumber(a, strings.Contains(a, "e")), readNumber(b, strings.Contains(b, "e"))}
			var conditions []string
			kept := make([][]string, len(operators))
			list := make([][]string, len(c.values))
			for o, op := range operators {
				condition := strings.NewReplacer("@v", c.sql, "@a", a, "@b", b).Replace(op.sql)
				conditions = append(conditions, condition)
				for row, v := range c.values {
					result := op.want(readNumber(v, c.double), numbers[0], numbers[1])
					list[row] = append(list[row], []string{"0", "NULL", "1"}[result+1])
					if result > 0 {
						kept[o] = append(kept[o], strconv.Itoa(row))
					}
				}
			}
			w.wantConditions("SELECT insert_id, %s FROM events ORDER BY insert_id", conditions, list)
			for o, condition := range conditions {
				turn++
				query := []string{
					"SELECT insert_id FROM events WHERE %s ORDER BY insert_id",
					"SELECT insert_id FROM (SELECT *, 1 one FROM events LIMIT 100) x WHERE %s ORDER BY insert_id",
					"SELECT insert_id FROM events GROUP BY insert_id, i, f, p, q HAVING %s ORDER BY insert_id",
					"SELECT insert_id FROM events WHERE CASE WHEN %s THEN 1 ELSE 0 END = 1 ORDER BY insert_id",
					"SELECT insert_id FROM events WHERE IF(%s, TRUE, FALSE) ORDER BY insert_id",
					"SELECT x.insert_id FROM (SELECT 1 one) y JOIN events x ON %s ORDER BY insert_id",
				}
				w.want(fmt.Sprintf(query[0], condition), kept[o]...)
				if turn%3 == 0 { // the others in turn
					w.want(fmt.Sprintf(query[1+turn/3%(len(query)-1)], condition), kept[o]...)
				}
				if t.Failed() && turn > 3000 {
					t.FailNow()
				}
			}
		}
	}
}

// wantConditions compares a SELECT list of conditions.
func (w *sqlWorld) wantConditions(query string, conditions []string, want [][]string) {
	w.t.Helper()
	query = fmt.Sprintf(query, strings.Join(conditions, ", "))
	_, rows, err := w.query(query)
	if err != nil {
		w.t.Errorf("%s\n%v", query, err)
		return
	}
	for i, row := range rows {
		for j, c := range conditions {
			if row[j+1] != want[i][j] {
				w.t.Errorf("SELECT %s of row %d\ngot %s, want %s", c, i, row[j+1], want[i][j])
			}
		}
	}
}

func TestComparedColumnsOfJoins(t *testing.T) {
	w := comparedWorld(t)
	columns := comparedColumns[:4]
	for _, left := range columns {
		for _, right := range columns {
			for _, op := range operators[:9] {
				var want []string
				for i, l := range left.values {
					for j, r := range right.values {
						if op.want(readNumber(l, left.double), readNumber(r, right.double), nil) > 0 {
							want = append(want, fmt.Sprintf("%d %d", i, j))
						}
					}
				}
				slices.Sort(want)
				condition := strings.NewReplacer("@v", "a."+left.sql, "@a", "b."+right.sql).Replace(op.sql)
				w.want("SELECT a.insert_id, b.insert_id FROM events a JOIN events b ON "+condition+" ORDER BY 1, 2", want...)
				if op.sql == "@v = @a" {
					w.want("SELECT a.insert_id, b.insert_id FROM events a JOIN events b ON "+condition+" AND a.event = b.event ORDER BY 1, 2", want...)
				}
			}
		}
	}
}
