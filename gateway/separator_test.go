package gateway

import "testing"

func TestSeparatorsDifferInCase(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustQuery(t, c, `SELECT GROUP_CONCAT(k SEPARATOR 'X'), GROUP_CONCAT(k SEPARATOR 'x') FROM words`, "AXaXA|AxaxA")
	mustQuery(t, c, `SELECT GROUP_CONCAT(n + 1 ORDER BY n DESC SEPARATOR ' AND '), GROUP_CONCAT(n + 1 ORDER BY n DESC SEPARATOR ' and ') FROM words`, "5 AND 3 AND 2|5 and 3 and 2")
	mustQuery(t, c, `SELECT GROUP_CONCAT(DISTINCT k, n ORDER BY n SEPARATOR 'É'), GROUP_CONCAT(DISTINCT k, n ORDER BY n SEPARATOR 'é') FROM words`, "A1Éa2ÉA4|A1éa2éA4")
	mustQuery(t, c, `SELECT GROUP_CONCAT(k SEPARATOR 'x') FROM words HAVING GROUP_CONCAT(k SEPARATOR 'X') = 'AXaXA' ORDER BY GROUP_CONCAT(k SEPARATOR 'X')`, "AxaxA")
	mustQuery(t, c, `SELECT GROUP_CONCAT(k SEPARATOR ''), GROUP_CONCAT(k), GROUP_CONCAT(k SEPARATOR 'x'), GROUP_CONCAT(k SEPARATOR 'x') FROM words`, "AaA|A,a,A|AxaxA|AxaxA")
}
