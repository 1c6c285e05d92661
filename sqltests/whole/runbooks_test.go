package whole

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"arbor/sqltests/server"
)

// runbookWithin bounds the failure of a runbook, not its success.
const runbookWithin = 10 * time.Minute

// TestRunbooks executes every runbook of docs/operations.md, each of which compares what
// it has brought back with what there was.
func TestRunbooks(t *testing.T) {
	if testing.Short() {
		t.Skip("some thirty processes")
	}
	root, err := server.Root()
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(root, "runbooks", "*.sh"))
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d runbooks, %v", len(scripts), err)
	}
	binary := server.Binary(t)
	atOnce := make(chan struct{}, 2)
	next := firstPort + os.Getpid()*portsOfAll%(lastPort-firstPort)
	for _, script := range scripts {
		name := filepath.Base(script)
		if name == "local.sh" { // what they share
			continue
		}
		if !strings.Contains(string(manual), "../runbooks/"+name) {
			t.Errorf("docs/operations.md does not name runbooks/%s", name)
		}
		var ports string
		ports, next = unusedPorts(t, next)
		t.Run(strings.TrimSuffix(name, ".sh"), func(t *testing.T) {
			t.Parallel()
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			cmd := exec.Command(script)
			cmd.Env = append(os.Environ(), "ARBOR="+binary, "TMPDIR="+t.TempDir(), "RUNBOOK_PORTS="+ports)
			var out lockedText
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(runbookWithin, func() { cmd.Process.Signal(os.Interrupt) })
			err := cmd.Wait()
			late.Stop()
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), "✓") {
				t.Errorf("nothing was compared:\n%s", out.String())
			}
		})
	}
}

// Runbooks use ports for as long as they run, and some again after a while. So these are
// below those that a system gives to whoever asks for any, and other for each process and
// runbook.
const (
	firstPort, lastPort = 20_000, 32_000
	portsOfOne          = 24
	portsOfAll          = 16 * portsOfOne
)

// unusedPorts are those of one runbook, from a port on, that nobody listens at.
func unusedPorts(t *testing.T, from int) (ports string, next int) {
	t.Helper()
	var found []string
	for range lastPort - firstPort {
		if from++; from >= lastPort {
			from = firstPort
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(from))
		if err != nil {
			continue
		}
		l.Close()
		if found = append(found, strconv.Itoa(from)); len(found) == portsOfOne {
			return strings.Join(found, " "), from
		}
	}
	t.Fatalf("of the ports from %d to %d only %d are free", firstPort, lastPort, len(found))
	return "", 0
}

// lockedText is what a process and its children print.
type lockedText struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
