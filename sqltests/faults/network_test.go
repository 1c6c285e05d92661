package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// network is a switch in a namespace of its own, and a namespace for each member,
// with one cable to the switch.
type network struct {
	hub   string
	hosts []*host
}

// host is a member's namespace.
type host struct {
	name, address string
	at            *os.File // the namespace
}

// namespacesAt is where ip keeps named namespaces.
const namespacesAt = "/run/netns"

// newNetwork makes a network of some members, which ends with the test.
func newNetwork(t *testing.T, members int) *network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and mounts need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need the command ip")
	}
	removeOrphans(t)
	prefix := fmt.Sprintf("arbor-%d-", os.Getpid())
	n := &network{hub: prefix + "hub"}
	if out, err := exec.Command("ip", "netns", "add", n.hub).CombinedOutput(); err != nil {
		t.Skipf("network namespaces cannot be made here: %v: %s", err, out)
	}
	t.Cleanup(func() { remove(t, n.hub) })
	if out, err := exec.Command("ip", "-n", n.hub, "link", "add", "switch", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("network bridges cannot be made here: %v: %s", err, out)
	}
	ip(t, "-n", n.hub, "link", "set", "switch", "up")
	for i := range members {
		n.add(t, prefix, i)
	}
	return n
}

func (n *network) add(t *testing.T, prefix string, i int) {
	t.Helper()
	h := &host{name: prefix + strconv.Itoa(i+1), address: fmt.Sprintf("10.0.0.%d", i+1)}
	ip(t, "netns", "add", h.name)
	t.Cleanup(func() { remove(t, h.name) })
	cable := "cable" + strconv.Itoa(i+1)
	ip(t, "-n", h.name, "link", "add", "eth0", "type", "veth", "peer", "name", cable, "netns", n.hub)
	ip(t, "-n", n.hub, "link", "set", cable, "master", "switch", "up")
	ip(t, "-n", h.name, "link", "set", "lo", "up")
	ip(t, "-n", h.name, "addr", "add", h.address+"/24", "dev", "eth0")
	ip(t, "-n", h.name, "link", "set", "eth0", "up")
	at, err := os.Open(filepath.Join(namespacesAt, h.name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := at.Close(); err != nil {
			t.Error(err)
		}
	})
	h.at = at
	n.hosts = append(n.hosts, h)
}

// removeOrphans removes namespaces of tests that were killed.
func removeOrphans(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(namespacesAt, "arbor-*-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = filepath.Base(name)
		pid, err := strconv.Atoi(strings.Split(name, "-")[1])
		if err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			_ = exec.Command("ip", "netns", "del", name).Run() // another test may have been quicker
		}
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	ip(t, "netns", "del", name)
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// nobody is a hardware address that no cable leads to.
const nobody = "02:00:00:00:00:00"

// cut loses what a host sends to another one, without a word to either. What comes the
// other way still comes.
func (n *network) cut(t *testing.T, from, to int) {
	t.Helper()
	ip(t, "-n", n.hosts[from].name, "neigh", "replace", n.hosts[to].address, "lladdr", nobody, "nud", "permanent", "dev", "eth0")
}

// join takes a cut back.
func (n *network) join(t *testing.T, from, to int) {
	t.Helper()
	ip(t, "-n", n.hosts[from].name, "neigh", "del", n.hosts[to].address, "dev", "eth0")
}

// inside does something on a thread that is in the host's namespace. What it starts
// and opens there stays there.
func (h *host) inside(do func() error) (err error) {
	runtime.LockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { err = errors.Join(err, before.Close()) }()
	if err := unix.Setns(int(h.at.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", h.name, err)
	}
	err = do()
	if e := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); e != nil {
		return errors.Join(err, e) // the thread stays locked, and ends with the goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// dial connects to a port of the host, as a client on the same machine does: no cut
// is between them.
func (h *host) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.inside(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
