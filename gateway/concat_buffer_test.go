package gateway

import "testing"

// What GROUP_CONCAT keeps counts against the statement's memory, and is given
// back when the statement ends.
func TestGroupConcatIsCounted(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{numbers(2000)}, limits: queryLimits{Memory: 16 << 20}}).conn()
	failing(t, c, "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 10000))) FROM numbers", codeCapacity, "Memory capacity of 16777216 bytes")
	for range 3 {
		mustQuery(t, c, "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 4000))) FROM numbers", "1024")
	}
	mustQuery(t, c, "SELECT GROUP_CONCAT(REPEAT('x', 2) SEPARATOR ','), GROUP_CONCAT('y' SEPARATOR ';'), GROUP_CONCAT(i ORDER BY i DESC) FROM numbers WHERE i < 3",
		"xx,xx,xx|y;y;y|2,1,0")
}
