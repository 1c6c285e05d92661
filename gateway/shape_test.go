package gateway

import (
	"fmt"
	"strings"
	"testing"
)

// TestDepthOfStatements has what is as deep as it may be, and what is one deeper.
func TestDepthOfStatements(t *testing.T) {
	// What is around counts for a few levels; a chain of signs alone is exact.
	for levels, refused := range map[int]bool{MaxStatementDepth - 1: false, MaxStatementDepth: true} {
		for _, text := range []string{"SELECT 1" + strings.Repeat("+1", levels), "SELECT " + strings.Repeat("~", levels) + "1", "SELECT " + strings.Repeat("NOT ", levels) + "1", "SELECT " + strings.Repeat("(", levels) + "1"} {
			if err := checkText(text); (err != nil) != refused {
				t.Errorf("%d levels of %.12s: %v", levels, text, err)
			}
		}
	}
	for levels, refused := range map[int]bool{MaxStatementDepth - 10: false, MaxStatementDepth: true} {
		for _, test := range []struct{ head, one, tail string }{
			{"SELECT 1 FROM t WHERE a=1", " OR a = 'x, OR'", ""},
			{"SELECT 1 FROM t WHERE a=1", " AND (b=1 OR c=2)", ""},
			{"SELECT 1 FROM t", " JOIN t USING (a)", ""},
			{"SELECT ", "CASE WHEN 1 THEN ", "1"},
			{"SELECT '' ", "COLLATE utf8mb4_bin ", ""},
		} {
			if err := checkText(test.head + strings.Repeat(test.one, levels) + test.tail); (err != nil) != refused {
				t.Errorf("%d times %q: %v", levels, test.one, err)
			}
		}
	}
	for name, text := range map[string]string{
		"values":   "SELECT 1 FROM t WHERE a IN (" + strings.Repeat("'x-y', -1, ", 20000) + "1)",
		"columns":  "SELECT 1" + strings.Repeat(", a + b * c AND d", 20000),
		"rows":     "INSERT INTO t VALUES (1)" + strings.Repeat(", (1, -2, NOW())", 200000),
		"comments": "SELECT 1" + strings.Repeat("/* + - OR ( */", 20000) + strings.Repeat(" -- OR (\n", 20000),
		"whens":    "SELECT CASE a" + strings.Repeat(" WHEN a+1 = 2 THEN 3*4", 4000) + " END",
		"several":  strings.Repeat("SELECT 1+1 WHERE a=1 OR b=2;", 5000),
		"text":     "SELECT '" + strings.Repeat("(+-*/ OR ", 20000) + "'",
	} {
		if err := checkText(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"words":     "SELECT 1 FROM t WHERE a IN (" + strings.Repeat("1,", MaxStatementWords/2) + "1)",
		"unions":    "SELECT 1" + strings.Repeat(" UNION SELECT 1", MaxStatementUnions+1),
		"chain":     "SELECT CASE" + strings.Repeat(" WHEN 1 THEN 2", maxChain/2+1) + " END",
		"hinted":    "SELECT 1 /*!40000 " + strings.Repeat("+1", MaxStatementDepth) + "*/",
		"unclosed":  "SELECT " + strings.Repeat("((", MaxStatementDepth),
		"stray":     "SELECT " + strings.Repeat(") END - ", MaxStatementDepth),
		"insert":    "INSERT INTO t VALUES (1" + strings.Repeat("+1", MaxStatementDepth) + ")",
		"semicolon": "SELECT 1; SELECT 1" + strings.Repeat("+1", MaxStatementDepth),
	} {
		if err := checkText(text); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

// doubled is a statement whose tables each name the one before twice.
func doubled(levels int) string {
	var b strings.Builder
	b.WriteString("WITH c0 AS (SELECT 1 AS n)")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, ", c%d AS (SELECT n FROM c%d UNION ALL SELECT n FROM c%d)", i, i-1, i-1)
	}
	fmt.Fprintf(&b, " SELECT COUNT(*) FROM c%d", levels)
	return b.String()
}

func TestStatementsThatGrow(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, doubled(8), "256")
	for _, q := range []string{doubled(13), doubled(200), "EXPLAIN " + doubled(30), "SELECT * FROM (" + doubled(30) + ") x", "SELECT 1 UNION (" + doubled(30) + ")",
		"INSERT INTO words (n) " + doubled(30), "CREATE VIEW big AS " + doubled(30)} {
		failing(t, c, q, codeTooComplex, "5000 SELECTs")
	}
	failing(t, c, "SELECT COUNT(*) FROM words w"+strings.Repeat(" JOIN words USING (n)", MaxStatementTables), codeTooManyTables, "61 tables")
	failing(t, c, "SELECT 1"+strings.Repeat("+1", MaxStatementDepth), codeTooComplex, "3000 levels")
	failing(t, c, "PREPARE p FROM 'SELECT 1"+strings.Repeat("+1", MaxStatementDepth)+"'", codeTooComplex, "3000 levels")
	failing(t, c, "SELECT CAST('x' AS BINARY(67108865))", 1153, "CAST")
	mustQuery(t, c, "SELECT LENGTH(CAST('x' AS BINARY(1000)))", "1000")
}

func TestTextsThatTakeLong(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop")
	path := "CONCAT('$', REPEAT('.a', %d))"
	w.want("SELECT JSON_EXTRACT('{}', "+fmt.Sprintf(path, (MaxJSONPath-1)/2)+")", "NULL")
	for _, f := range []string{"JSON_EXTRACT('{}', %s)", "JSON_VALUE('{}', %s)", "JSON_SET('{}', %s, 1)", "JSON_SET('{}', '$.a', 1, %s, 1)", "JSON_REMOVE('{}', '$.a', %s)", "JSON_CONTAINS_PATH('{}', 'one', %s)", "JSON_LENGTH('{}', %s)"} {
		w.refused("SELECT "+fmt.Sprintf(f, fmt.Sprintf(path, MaxJSONPath/2)), codeInvalidPath, "path")
	}
	w.want("SELECT JSON_EXTRACT(JSON_SET('{}', CONCAT('$', '.a'), REPEAT('x', 20000)), '$.a') = REPEAT('x', 20000)", "1")
	w.want("SELECT CAST(CONCAT('1.5', REPEAT('0', 100000)) AS DECIMAL(10,2))", "1.50")

	w.want("SELECT 'abc' REGEXP 'b', 'abc' REGEXP '^b', NULL REGEXP 'a', 'ABC' NOT REGEXP 'b', REGEXP_REPLACE('aXbX', 'X', '--'), REGEXP_INSTR('abc', 'c'), REGEXP_SUBSTR('abc', 'b.'), REGEXP_LIKE('ABC', 'b', 'i')",
		"1 0 NULL 1 a--b-- 3 bc 1")
	w.want("SELECT LENGTH(REGEXP_REPLACE(REPEAT('ab', 20000), 'b', 'xyz'))", "80000")
	w.want("SELECT REGEXP_REPLACE(REPEAT('a', 100000), 'a', REPEAT('b', 100000))", "NULL")
	w.want("SELECT s REGEXP 'b$', s REGEXP p, REGEXP_REPLACE(s, 'b', 'c') FROM (SELECT 'ab' s, '^a' p UNION ALL SELECT 'ba', 'b$' UNION ALL SELECT NULL, 'x' UNION ALL SELECT 'bb', NULL) x", "1 1 ac", "0 0 ca", "NULL NULL NULL", "1 NULL cc")
	for _, q := range []string{"REPEAT('a', 1000000) REGEXP '((a{0,100}){0,10})(a|aa)+$'", "REGEXP_LIKE(REPEAT('a', 1000000), '(a{0,100}){0,10}$')", "REGEXP_SUBSTR(REPEAT('a', 1000000), '(a{0,100}){0,10}$')"} {
		w.refused("SELECT "+q, codeRegexpTimeout, "Timeout exceeded")
	}
	w.refused("SELECT 'a' REGEXP REPEAT('a', 32769)", codeRegexpTooBig, "exceeds limits")
	w.refused("SELECT 'a' REGEXP '('", 1105)
}

// TestRegexpsEnd has a pattern that takes time by the square of a text's length.
func TestRegexpsEnd(t *testing.T) {
	c := startServer(t, serverOptions{}).conn()
	mustExec(t, c, "SET max_execution_time = 50")
	failing(t, c, "SELECT REGEXP_INSTR(REPEAT('a', 4000000), 'a*b|a', 1, 5000000)", 3024, "")
}

func TestVariablesHaveABound(t *testing.T) {
	w := newSQLWorld(t)
	w.must("SET @a = REPEAT('x', 60000000)", "SET @b = REPEAT('x', 60000000)", "SET @a = REPEAT('y', 60000000)")
	w.refused("SET @c = REPEAT('x', 60000000)", codeCapacity, "user variables")
	w.must("SET @a = NULL", "SET @c = REPEAT('x', 60000000)")
}

func TestCollectedValuesAreCounted(t *testing.T) {
	s := startServer(t, serverOptions{limits: queryLimits{Memory: 4 << 20}})
	c := s.conn()
	mustExec(t, c, "SET group_concat_max_len = 100000000")
	numbers := "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n < 100) SELECT "
	for _, f := range []string{"JSON_LENGTH(JSON_ARRAYAGG(CONCAT(n, REPEAT('x', 100000))))", "JSON_LENGTH(JSON_OBJECTAGG(n, CONCAT(n, REPEAT('x', 100000))))", "LENGTH(GROUP_CONCAT(CONCAT(n, REPEAT('x', 100000))))"} {
		failing(t, c, numbers+f+" FROM r", codeCapacity, "rows, groups and keys")
	}
	mustQuery(t, c, numbers+"JSON_LENGTH(JSON_ARRAYAGG(n)), JSON_LENGTH(JSON_OBJECTAGG(n, n)) FROM r", "100|100")
}

func TestPreparedTextsHaveABound(t *testing.T) {
	c := startServer(t, serverOptions{}).conn()
	var held []interface{ Close() error }
	defer func() {
		for _, p := range held {
			p.Close()
		}
	}()
	for i := 0; ; i++ {
		p, err := c.PrepareContext(t.Context(), fmt.Sprintf("SELECT '%s', ?", strings.Repeat("x", 6<<20)))
		if err != nil {
			if i != 2 {
				t.Errorf("statement %d: %v", i, err)
			}
			wantError(t, err, codeTooManyStatements, "bytes together")
			break
		}
		held = append(held, p)
	}
	held[0].Close()
	if _, err := c.PrepareContext(t.Context(), "SELECT 1, ?"); err != nil {
		t.Error(err)
	}
	if _, err := c.PrepareContext(t.Context(), "SELECT 1"+strings.Repeat("+1", MaxStatementDepth)); err == nil {
		t.Error("a statement that is too deep was prepared")
	}
	mustQuery(t, c, "SELECT 1", "1")
}
