package gateway

import (
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func TestDoublesHaveARange(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, e := range []string{"1e308 + 1e308", "-1e308 - 1e308", "1e308 * 10", "1e308 / 1e-10", "1e308 * '1e10'", "1 / (1e308 * 10)"} {
		failing(t, c, "SELECT "+e, 1690, "DOUBLE value is out of range in '")
	}
	failing(t, c, "SELECT f * 1e308 * 100 FROM words", 1690, "DOUBLE value")
	failing(t, c, "SELECT k FROM words WHERE f * 1e308 * 100 > 1", 1690, "DOUBLE value")
	mustQuery(t, c, "SELECT 1e308 + 1e307, f * 1e300 * 1e-300, 1e-320 / 10 FROM words WHERE n = 1", "1.1e+308|0.5|1e-321")
	mustQuery(t, c, "SELECT SUM(f * 2), AVG(f) * 4, SUM(f) / 2 FROM words", "3.5|2.3333333333333335|0.875")
}

// TestLiteralsOfBytes: literals of bits and hexadecimal ones are strings, and numbers where
// numbers are wanted.
func TestLiteralsOfBytes(t *testing.T) {
	bits := rowsOf("bits", sql.Schema{column("bits", "b", types.MustCreateBitType(8)), column("bits", "n", types.Int64)}, sql.Row{uint64(5), int64(5)}, sql.Row{uint64(0), int64(65)})
	c := startServer(t, serverOptions{tables: []*testTable{bits}}).conn()
	for _, q := range [][2]string{
		{"b'1000001', 0b1000001, 0x41, x'41', CONCAT(b'1000001', 'x'), LENGTH(0b111111111), HEX(b'101'), b'1000001' = 'A'", "A|A|A|A|Ax|2|05|1"},
		{"b'101' + 0, 0b101 * 2, -b'11', 0x41 + 1, x'41' / 2, 0x41 DIV 2, b'101' | 2, ~b'0' > 1, 0xFFFFFFFFFFFFFFFF + 0", "5|10|-3|66|32.5000|32|7|1|18446744073709551615"},
		{"b'101' = 5, 0x41 = 65, 5 IN (b'101'), b'1' AND 1, NOT b'0', IF(b'0', 1, 2), CAST(b'101' AS UNSIGNED), ABS(b'101'), ROUND(b'11'), 4 BETWEEN b'1' AND 0x05", "1|1|1|1|1|2|5|5|3|1"},
		{"n FROM bits WHERE n = 0x41", "65"},
		{"n FROM bits WHERE b = b'101' AND n > b'1'", "5"},
		{"n FROM bits WHERE b IN (b'101', b'1')", "5"},
	} {
		mustQuery(t, c, "SELECT "+q[0], q[1])
	}
}

// TestQuotientsHaveAllDigits: what adds up or rounds quotients gets more digits of them than
// are shown.
func TestQuotientsHaveAllDigits(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, q := range [][2]string{
		{"SUM(n / 7), SUM(n / 3), AVG(n / 7), SUM(d / 7), AVG(d / 7), SUM(n / 7 * 2), SUM(1 / 3) FROM words", "1.0000|2.3333|0.33333333|0.942857|0.3142857140|2.0000|1.3333"},
		{"SUM(IF(n > 1, n / 7, 0)), SUM(CASE WHEN n > 1 THEN n / 7 END), SUM(-(n / 7)), SUM(n / 7 / 3), SUM(n / 0), SUM(COALESCE(n / 7, 0)), SUM(COALESCE(d, 1.234)) FROM words", "0.8571|0.8571|-1.0000|0.33333333|NULL|1.0000|7.834"},
		{"k, SUM(n / 7) FROM words GROUP BY k ORDER BY k", "NULL|NULL\nA|0.7143\na|0.2857"},
		{"SUM(f / 7), SUM(n / 2e0) FROM words", "0.25|3.5"},
		{"FLOOR(99999 / 100000), CEIL(1 / 100000), ROUND(4444999 / 10000000, 3), FORMAT(4444999 / 10000000, 3), TRUNCATE(99999 / 100000, 2), CAST(2 / 3 AS DECIMAL(20,10)), ROUND(2 / 3, 2), 1 / 3", "0|1|0.444|0.444|0.99|0.6666666660|0.67|0.3333"},
		{"ROUND(SUM(d) / SUM(n) * 100, 1), FLOOR(SUM(d) / 100000) FROM words", "94.3|0"},
	} {
		mustQuery(t, c, "SELECT "+q[0], q[1])
	}
}

// TestChainsOfComparisons: a < b < c compares what a < b gives.
func TestChainsOfComparisons(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, q := range [][2]string{
		{"1 < 2 < 3, 3 > 2 > 1, 5 = 5 = 5, 1 < 2 = 1, 3 > 2 >= 1 AND 1 < 2 < 0, NOT 1 < 2 < 0, (3 > 2 > 1) + 1, 1 <=> 1 <=> 1, 4 != 3 <> 2", "1|0|0|1|0|1|1|1|1"},
		{"k FROM words WHERE 0 < n < 2 ORDER BY n", "A\na\nA"},
		{"IF(1 < 2 < 3, 'a', 'b') x, CASE WHEN 3 > 2 > 1 THEN 'c' ELSE 'd' END FROM words WHERE n = 1 = 1", "a|d"},
		{"17 MEMBER OF ('[23, \"abc\", 17, \"ab\", 10]'), 'ab' MEMBER OF('[23, \"abc\", 17, \"ab\"]'), 7 MEMBER OF ('[23]'), 'ab' MEMBER OF ('\"ab\"'), CAST('[4,5]' AS JSON) MEMBER OF ('[[3,4],[4,5]]'), '17' MEMBER OF ('[17]'), NULL MEMBER OF ('[1]'), 1 = 2 MEMBER OF ('[2]')", "1|1|0|1|1|0|NULL|1"},
		{"1 = JSON_EXTRACT('{\"x\":1}', '$.x'), 2 > JSON_EXTRACT('{\"x\":1}', '$.x'), 0 < JSON_EXTRACT('{\"x\":1}', '$.x'), 1 >= JSON_EXTRACT('{\"x\":1}', '$.x'), 2 <= JSON_EXTRACT('{\"x\":1}', '$.x')", "1|1|1|1|0"},
		{"'a' = JSON_EXTRACT('{\"x\":\"a\"}', '$.x'), 1.0 = JSON_EXTRACT('{\"x\":1}', '$.x'), 1 <=> JSON_EXTRACT('{\"x\":1}', '$.x'), NULL = JSON_EXTRACT('{\"x\":1}', '$.x'), 1 = JSON_EXTRACT('{\"x\":1}', '$.y')", "1|1|1|NULL|NULL"},
		{"1 IN (2, JSON_EXTRACT('{\"x\":1}', '$.x')), 3 IN (2, JSON_EXTRACT('{\"x\":1}', '$.x')), 3 NOT IN (2, JSON_EXTRACT('{\"x\":1}', '$.x')), 'b' IN ('a', JSON_EXTRACT('{\"x\":\"b\"}', '$.x'), NULL)", "1|0|1|1"},
		{"n FROM words WHERE n MEMBER OF (JSON_ARRAY(1, 4)) ORDER BY n", "1\n4"},
		{"{fn LENGTH('abc')}, n FROM (SELECT 1 AS n, JSON_OBJECT('x', 1) AS doc) t WHERE n = doc->'$.x'", "3|1"},
		{"1 MEMBER OF ('[1]') FROM (SELECT 4 AS n, JSON_OBJECT('x', 4) AS doc) t WHERE n = doc->'$.x' AND 0 < n = 1", "1"},
	} {
		mustQuery(t, c, "SELECT "+q[0], q[1])
	}
	failing(t, c, "SELECT 1 MEMBER OF ('[1')", 3141, "Invalid JSON text")
	failing(t, c, "SELECT 1 < 2 < FROM words", 1064, "")
	mustQuery(t, c, "SELECT CAST('10:00:00' AS TIME) XOR 1, CAST('00:00:00' AS TIME) XOR 1, NOT CAST('10:00:00' AS TIME), CAST('00:00:00' AS TIME) OR 0", "0|1|0|0")
	mustQuery(t, c, "SELECT SUBSTRING_INDEX('a,b', '', 1), SUBSTRING_INDEX('a,b,c', ',', 2), SUBSTRING_INDEX('a,b,c', ',', -2), SUBSTRING_INDEX('a,b', ',', 0), SUBSTRING_INDEX('a,b', 'x', 1), SUBSTRING_INDEX('é€é', '€', -1), SUBSTRING_INDEX('aaa', 'aa', 1), SUBSTRING_INDEX(NULL, ',', 1), SUBSTRING_INDEX(12.5, '.', 1)", "|a,b|b,c||a,b|é||NULL|12")
}

func TestConversionsAtTheEdges(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, q := range [][2]string{
		{"CONV('ff', 16, 10), CONV('FFz', 16, 2), CONV(-17, 10, -18), CONV('-17', 10, 16), CONV('2026-03-29', 10, -10), CONV('2026-03-29', -10, 10), CONV(6 + '10', 10, 10), CONV(2.5, 10, 2)", "255|11111111|-H|FFFFFFFFFFFFFFEF|2026|2026|16|10"},
		{"CONV('', 10, 16), CONV('x', 10, 16), CONV(' +7', 10, 2), CONV('-', 10, 2), CONV('99999999999999999999', 10, 16), CONV('-99999999999999999999', -10, -10), CONV('é', 16, 10), CONV(NULL, 10, 2), CONV(1, 1, 2), CONV(1, 37, 2), CONV('zz', 36, 10)", "NULL|0|111|0|FFFFFFFFFFFFFFFF|-9223372036854775808|0|NULL|NULL|NULL|1295"},
		{"INET_NTOA(-1), INET_NTOA(4294967296), INET_NTOA(16909060), INET_NTOA(NULL), INET_NTOA('16909060'), SOUNDEX('12'), SOUNDEX(''), SOUNDEX('Quadratically'), SOUNDEX(NULL)", "NULL|NULL|1.2.3.4|NULL|1.2.3.4|||Q36324|NULL"},
		{"k, CONV(n, 10, 2), SOUNDEX(k) FROM words WHERE n = 4", "A|100|A000"},
	} {
		mustQuery(t, c, "SELECT "+q[0], q[1])
	}
}
