// Package whole tests arbor from outside, as its users meet it: the binary, its
// flags, its documents and its promises.
package whole

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// run runs the binary to its end and returns all that it printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(server.Binary(t), args...).CombinedOutput()
	return string(out), err
}

func TestServeRefusesWithAWayOut(t *testing.T) {
	s := server.Start(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"data directory in use", []string{"serve", "--data", s.Data, "--mysql", "127.0.0.1:0", "--http", "127.0.0.1:0"}, []string{s.Data, "in use by another arbor process", "--data"}},
		{"MySQL port taken", []string{"serve", "--data", t.TempDir(), "--mysql", taken.Addr().String(), "--http", "127.0.0.1:0"}, []string{"taken", "--mysql"}},
		{"HTTP port taken", []string{"serve", "--data", t.TempDir(), "--mysql", "127.0.0.1:0", "--http", taken.Addr().String()}, []string{"taken", "--http"}},
		{"a certificate without its key", []string{"serve", "--data", t.TempDir(), "--tls-cert", "no.pem"}, []string{"--tls-cert", "--tls-key"}},
		{"address without port", []string{"serve", "--data", t.TempDir(), "--mysql", "localhost"}, []string{"--mysql", "host:port"}},
		{"unknown flag", []string{"serve", "--nothing"}, []string{"--nothing"}},
		{"bad level", []string{"serve", "--log-level", "loud"}, []string{"debug, info, warn or error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := run(t, c.args...)
			if err == nil {
				t.Fatalf("started all the same: %s", out)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("message does not say %q: %s", w, out)
				}
			}
			if strings.Count(out, "\n") > 1 {
				t.Errorf("more than a line: %s", out)
			}
		})
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	cmd := exec.Command(server.Binary(t), "serve")
	cmd.Env = append(cmd.Environ(), "ARBOR_LOG_FORMAT=xml")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `"xml"`) {
		t.Errorf("got %v %s, want a complaint about xml", err, out)
	}
}

func TestHelp(t *testing.T) {
	out, err := run(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"serve", "import", "inspect", "demo", "ARBOR_MYSQL"} {
		if !strings.Contains(out, w) {
			t.Errorf("help does not name %s:\n%s", w, out)
		}
	}
}

// TestDemo runs the demo, which fails by itself when an answer differs from the truth.
func TestDemo(t *testing.T) {
	out, err := run(t, "demo", "--data", t.TempDir(), "--events", "20000", "--stop")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Count(out, "✓") != 16 || strings.Contains(out, "✗") {
		t.Errorf("not every answer was compared:\n%s", out)
	}
}
