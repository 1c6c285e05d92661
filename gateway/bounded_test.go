package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

// One byte past max_allowed_packet a function's result is NULL with a warning,
// at it it is whole; and what is much too long is never built.
func TestResultsHaveABound(t *testing.T) {
	skipShort(t)
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	const most = DefaultMaxPacket
	for _, f := range []struct {
		call   string
		length int
	}{
		{"REPEAT('x', %d)", most}, {"REPEAT('xyz', %d)", most / 3}, {"SPACE(%d)", most},
		{"LPAD('ab', %d, 'xyz')", most}, {"RPAD('ab', %d, 'xyz')", most}, {"RPAD('', %d, 'ä')", most / 2},
		{"CONCAT('x', REPEAT('y', %d))", most - 1},
		{"CONCAT_WS(REPEAT('-', 24), 'a', NULL, 'b', REPEAT('y', %d))", most - 50},
		{"REPLACE(REPEAT('x', %d), 'x', 'ab')", most / 2},
		{"INSERT(REPEAT('x', %d), 2, 3, 'abcdef')", most - 3},
		{"HEX(REPEAT('x', %d))", most / 2},
		{"EXPORT_SET(5, REPEAT('x', %d), '', ',', 3)", (most - 2) / 2},
	} {
		whole := fmt.Sprintf("SELECT LENGTH("+f.call+") > 67108860", f.length)
		mustQuery(t, c, whole, "1")
		mustQuery(t, c, "SHOW WARNINGS", "")
		mustQuery(t, c, fmt.Sprintf("SELECT "+f.call+" IS NULL", f.length+1), "1")
		name, _, _ := strings.Cut(strings.ToLower(f.call), "(")
		mustQuery(t, c, "SHOW WARNINGS",
			"Warning|1301|Result of "+name+"() was larger than max_allowed_packet (67108864) - truncated")
	}
	for _, f := range []string{"REPEAT('x', 3000000000)", "REPEAT('xy', 9223372036854775807)", "REPEAT('x', 1e30)", "SPACE(1000000000)",
		"LPAD('x', 1000000000, 'y')", "RPAD('x', 9223372036854775807, 'yz')", "TO_BASE64(REPEAT('x', 60000000))",
		"REPLACE(REPEAT('x', 1000000), 'x', REPEAT('y', 1000000))",
		"CONCAT(" + strings.Repeat("REPEAT('x', 30000000), ", 500) + "'')"} {
		mustQuery(t, c, "SELECT "+f+" IS NULL", "1")
	}
	mustExec(t, c, "SET max_allowed_packet = 1073741824")
	mustQuery(t, c, "SELECT REPEAT('x', 67108865) IS NULL", "1")
	mustExec(t, c, "SET max_allowed_packet = 2048")
	mustQuery(t, c, "SELECT LENGTH(REPEAT('x', 2048)), REPEAT('x', 2049) IS NULL", "2048|1")
	mustExec(t, c, "SET group_concat_max_len = 18446744073709551615")
	mustQuery(t, c, "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 2000) SEPARATOR ',')) FROM words", "2048")
	mustQuery(t, c, "SELECT @@group_concat_max_len", "2048")
}

// What bounded functions give within the bound is MySQL's.
func TestBoundedFunctions(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, q := range [][2]string{
		{"SELECT REPEAT('ab', 2), REPEAT('ab', 0), REPEAT('ab', -1), REPEAT('', 99999999999), REPEAT(NULL, 2), REPEAT('a', NULL)", "abab||||NULL|NULL"},
		{"SELECT LPAD('hi', 4, '??'), LPAD('hi', 1, '??'), LPAD('hi', 0, 'x'), LPAD('hi', -1, 'x'), LPAD('hi', 3, ''), LPAD('hi', 5, NULL)", "??hi|h||NULL||NULL"},
		{"SELECT LPAD('ä', 3, 'öü'), RPAD('äb', 5, 'öü'), RPAD('äb', 1, 'x'), RPAD(12, 4, 0)", "öüä|äböüö|ä|1200"},
		{"SELECT CONCAT('[', SPACE(2), ']'), SPACE(-1), SPACE(NULL)", "[  ]||NULL"},
		{"SELECT CONCAT('a', 1, 2.50), CONCAT('a', NULL), CONCAT_WS(',', 'a', NULL, 'b'), CONCAT_WS(NULL, 'a'), CONCAT_WS(',', NULL)", "a12.50|NULL|a,b|NULL|"},
		{"SELECT REPLACE('aXbX', 'X', 'yy'), REPLACE('a', '', 'b'), INSERT('Quadratic', 3, 4, 'What'), INSERT('abc', 9, 1, 'x')", "ayybyy|a|QuWhattic|abc"},
		{"SELECT HEX('ab'), HEX(255), TO_BASE64('abc'), EXPORT_SET(5, 'Y', 'N', ',', 4)", "6162|FF|YWJj|Y,N,Y,N"},
		{"SELECT COUNT(DISTINCT CONCAT(k, '!')) FROM words WHERE CONCAT(k, '!') = 'A!'", "1"},
	} {
		mustQuery(t, c, q[0], q[1])
	}
}

// A function that warns for each row does not fill the memory with warnings.
func TestWarningsHaveABound(t *testing.T) {
	ctx := sql.NewContext(t.Context(), sql.WithSession(newSession("", sql.Client{}, 1)))
	for range maxWarnings + 1 {
		warn(ctx, codePacketOverflow, "x")
	}
	if n := len(ctx.Warnings()); n != maxWarnings {
		t.Errorf("%d warnings are kept, want %d", n, maxWarnings)
	}
}
