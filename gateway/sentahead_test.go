package gateway

import "testing"

// A driver may send the statements of a batch before the first is answered: the
// first is not taken for one whose client has gone, and each is answered in turn.
func TestStatementsSentAhead(t *testing.T) {
	s := startServer(t, serverOptions{tables: []*testTable{words()}})
	c := dialRaw(t, s.address)
	c.login()
	for range 3 {
		const statements = 4
		for range statements { // each runs for longer than it takes to be watched
			c.command(append([]byte{3}, "SELECT SLEEP(0.05)"...))
		}
		for i := range statements {
			c.sequence = 1
			if _, last := c.result(); errorCode(last) != 0 {
				t.Fatalf("statement %d: %q", i, last)
			}
		}
	}
}
