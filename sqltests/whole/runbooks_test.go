package whole

import (
	"os"
	"os/exec"
	"path/filepath"
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
	for _, script := range scripts {
		name := filepath.Base(script)
		if name == "local.sh" { // what they share
			continue
		}
		if !strings.Contains(string(manual), "../runbooks/"+name) {
			t.Errorf("docs/operations.md does not name runbooks/%s", name)
		}
		t.Run(strings.TrimSuffix(name, ".sh"), func(t *testing.T) {
			t.Parallel()
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			cmd := exec.Command(script)
			cmd.Env = append(os.Environ(), "ARBOR="+binary, "TMPDIR="+t.TempDir(), "RUNBOOK_PORTS="+unusedPorts(t))
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

// portsOfOne is how many ports a runbook may use.
const portsOfOne = 24

// unusedPorts are those of one runbook.
func unusedPorts(t *testing.T) string {
	t.Helper()
	ports := make([]string, portsOfOne)
	for i := range ports {
		ports[i] = server.Port(server.FreeAddress(t))
	}
	return strings.Join(ports, " ")
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
