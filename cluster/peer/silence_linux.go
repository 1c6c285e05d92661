package peer

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// boundSilence has the kernel give up a connection whose other side has acknowledged, or
// made room for, nothing that was sent for so long. Without it a machine that is gone, or a
// process that hangs, is found out when the retransmissions of TCP end, a quarter of an
// hour later; and after a cut of the network they come so seldom that a connection may stay
// silent for a minute after all is well. A deadline does not do: what was written went
// into the kernel's buffer, and is lost with it.
func boundSilence(c net.Conn, within time.Duration) error {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	if err := raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(within.Milliseconds()))
	}); err != nil {
		return err
	}
	return setErr
}
