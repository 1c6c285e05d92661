package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// Test servers listen between firstPort and lastPort. The system takes the ports
// of connections and of listeners that ask for any port from 32768 on, so none of
// these is taken between its choice and its use, nor while its server is down.
const (
	firstPort = 10000
	lastPort  = 19999
)

// claimed counts the ports that this process looked at, and keeps where to go on.
var claimed atomic.Int64

// FreeAddress is an address on the loopback that nothing listens on, and that no
// other test process is given: its port stays claimed, by a lock on a file, until
// this process ends.
func FreeAddress(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("arbor-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const ports = lastPort - firstPort + 1
	for range ports {
		port := firstPort + (int64(os.Getpid())*97+claimed.Add(1))%ports
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if claim(t, filepath.Join(dir, fmt.Sprint(port)), address) {
			return address
		}
	}
	t.Fatalf("every port from %d to %d is taken", firstPort, lastPort)
	return ""
}

// claim locks the port's file for the life of the process. The file is never
// unlinked: a lock on an unlinked file would keep nobody away.
func claim(t testing.TB, file, address string) bool {
	t.Helper()
	fd, err := syscall.Open(file, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatalf("claim a port by %s: %v", file, err)
	}
	if syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return true
		}
	}
	syscall.Close(fd)
	return false
}
