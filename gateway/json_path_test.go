package gateway

import "testing"

// TestJSONPaths: paths with wildcards, places from the end and ranges.
func TestJSONPaths(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	const doc = `'{"a": [1, {"b": 2}, [3, 4]], "b": {"b": 5, "cc": 2.5}, "d": []}'`
	for path, want := range map[string]string{
		"$**.b": `[{"b": 5, "cc": 2.5}, 2, 5]`, "$.a[*]": `[1, {"b": 2}, [3, 4]]`, "$.d[*]": "NULL", "$.a[last]": "[3, 4]", "$.a[last - 1].b": "2", "$.a[last-3]": "NULL",
		"$.a[0 to 1]": `[1, {"b": 2}]`, "$.a[1 to last]": `[{"b": 2}, [3, 4]]`, "$.a[2][*]": "[3, 4]", "$.b.*": "[5, 2.5]", "$.x.*": "NULL", "$.b[0]": `{"b": 5, "cc": 2.5}`,
		"$.b[last].cc": "2.5", "$.b[1]": "NULL", "$.b[*]": "NULL", "$.a[9]": "NULL", "$.a[*].b": "[2]", "$.*[0]": `[1, {"b": 5, "cc": 2.5}]`, "$**[1]": `[{"b": 2}, 4]`, `$."a"[0]`: "1", " $ . a [ 0 ] ": "1",
	} {
		mustQuery(t, c, "SELECT JSON_EXTRACT("+doc+", '"+path+"')", want)
		mustQuery(t, c, "SELECT JSON_EXTRACT("+doc+", ?)", want, path)
	}
	mustQuery(t, c, `SELECT JSON_EXTRACT('{}', '$.*'), JSON_EXTRACT('[]', '$[*]'), JSON_EXTRACT('7', '$[0]'), JSON_EXTRACT(NULL, '$[0]'), JSON_EXTRACT('[1]', NULL), JSON_EXTRACT('[9007199254740993, "x"]', '$[0]')`, "NULL|NULL|7|NULL|NULL|9007199254740993")
	mustQuery(t, c, `SELECT JSON_EXTRACT('[1, [2]]', '$[0]', '$[9]', '$[1][0]'), JSON_EXTRACT('[1]', '$[8]', '$[9]'), JSON_EXTRACT('{"a": [1, 2]}', '$.a[*]', '$.a[0]', '$.b')`, "[1, 2]|NULL|[1, 2, 1]")
	mustQuery(t, c, `SELECT j->'$[last]', j->>'$[last]', JSON_UNQUOTE(JSON_EXTRACT(j, '$[0 to 1]')) FROM (SELECT CAST('[1, "x", "y"]' AS JSON) AS j) q`, `"y"|y|[1, "x"]`)
	mustQuery(t, c, `SELECT JSON_EXTRACT(CONCAT('[', n, ']'), '$[0]') + 1 FROM words WHERE n > 1 ORDER BY n`, "3\n5")
	for _, path := range []string{"$[", "$[x]", "$[1 to]", "$[*", "$**", "$.a[0]x", "[*]", "$[-1]"} {
		failing(t, c, "SELECT JSON_EXTRACT("+doc+", '"+path+"')", 3143, "Invalid JSON path expression")
	}
	failing(t, c, `SELECT JSON_EXTRACT('[1', '$[0]')`, 3141, "Invalid JSON text")
	failing(t, c, `SELECT JSON_EXTRACT('[1]', '$**.a**.a**.a**.a')`, 1235, "3 **")
}

// TestRangesOfIntervals: a window's frame may be of moments.
func TestRangesOfIntervals(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, `SELECT n, SUM(n) OVER (ORDER BY d RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND CURRENT ROW), COUNT(*) OVER (ORDER BY d RANGE BETWEEN INTERVAL 1 MONTH PRECEDING AND CURRENT ROW)
		FROM (SELECT n, DATE '2026-01-01' + INTERVAL n DAY AS d FROM words WHERE n > 0) q ORDER BY n`, "1|1|1\n2|3|2\n4|6|3")
}
