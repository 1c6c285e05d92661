package gateway

import "testing"

// TestUTCTimestamp: without digits it has none, as NOW() has.
func TestUTCTimestamp(t *testing.T) {
	s := startServer(t, serverOptions{})
	c := s.conn()
	mustExec(t, c, "SET time_zone = '+02:00'")
	mustQuery(t, c, "SELECT LENGTH(UTC_TIMESTAMP()), MICROSECOND(UTC_TIMESTAMP(3)) % 1000, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW()), TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP, NOW()), UTC_TIMESTAMP() = UTC_TIMESTAMP()", "19|0|7200|7200|1")
	failing(t, c, "SELECT UTC_TIMESTAMP(7)", 1264, "precision")
}
