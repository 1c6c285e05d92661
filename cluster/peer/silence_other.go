//go:build !linux

package peer

import (
	"net"
	"time"
)

// boundSilence does nothing where the kernel has no such bound: deadlines and the checks
// of each protocol are left.
func boundSilence(net.Conn, time.Duration) error { return nil }
