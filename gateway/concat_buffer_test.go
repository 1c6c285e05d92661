package gateway

import "testing"

// What GROUP_CONCAT keeps counts against the statement's memory, and is given
// back when the statement ends.
func TestGroupConcatIsCounted(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{numbers(2000)}, limits: queryLimits{Memory: 16 << 20}}).conn()
	mustExec(t, c, "SET group_concat_max_len = 100000000")
	for _, order := range []string{"", " ORDER BY i", " ORDER BY i DESC"} {
		failing(t, c, "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 10000)"+order+")) FROM numbers", codeCapacity, "Memory capacity of 16777216 bytes")
		mustQuery(t, c, "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 4000)"+order+")) FROM numbers", "8001999")
	}
	// What a result has no room for is not kept.
	mustExec(t, c, "SET group_concat_max_len = 1024")
	for _, order := range []string{"", " ORDER BY i", " ORDER BY i DESC"} {
		mustQuery(t, c, "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 100000)"+order+")) FROM numbers", "1024")
	}
	mustQuery(t, c, "SELECT LENGTH(GROUP_CONCAT(DISTINCT i, REPEAT('x', 10000))) FROM numbers", "1024")
	failing(t, c, "SELECT LENGTH(GROUP_CONCAT(DISTINCT i, REPEAT('x', 10000) ORDER BY i)) FROM numbers", codeCapacity, "Memory capacity of 16777216 bytes")
	mustQuery(t, c, "SELECT LEFT(GROUP_CONCAT(i ORDER BY i DESC), 9), RIGHT(GROUP_CONCAT(i ORDER BY i DESC), 4) FROM numbers", "1999,1998|1795")
	mustQuery(t, c, "SELECT GROUP_CONCAT(REPEAT('x', 2) SEPARATOR ','), GROUP_CONCAT('y' SEPARATOR ';'), GROUP_CONCAT(i ORDER BY i DESC) FROM numbers WHERE i < 3",
		"xx,xx,xx|y;y;y|2,1,0")
}
