// Package server runs the real arbor binary for tests: linked once for all packages,
// started on free ports in a fresh directory, stopped with the test.
package server

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

// readyWithin is how long a server may take to answer; it bounds a failure, not
// a success.
const readyWithin = 60 * time.Second

// Server is a running arbor process.
type Server struct {
	Data, MySQL, HTTP string
	flags             []string
	binary            string // "" for the one that is built from this tree
	log               *lockedBuffer
	cmd               *exec.Cmd
	exited            chan error
}

// build builds bin/arbor, as make build does, which go build links only where the tree has
// changed: not again for each package of tests. The path is that of another link to the same
// file, which stays as it is when the tree changes while tests run.
var build = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "tests")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	latest := filepath.Join(root, "bin", "arbor")
	cmd := exec.Command("go", "build", "-o", latest, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=-tags=gms_pure_go,disable_grpc_modules", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build arbor: %w\n%s", err, out)
	}
	info, err := os.Stat(latest)
	if err != nil {
		return "", err
	}
	binary := fmt.Sprintf("%s/arbor-%d", dir, info.Sys().(*syscall.Stat_t).Ino)
	if err := os.Link(latest, binary); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return binary, forget(dir, binary)
})

// forget removes the binaries of earlier days, but for the one given.
func forget(dir, but string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if file := filepath.Join(dir, entry.Name()); file != but && strings.HasPrefix(entry.Name(), "arbor-") && time.Since(info.ModTime()) > 24*time.Hour {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// Binary is the path of an arbor binary built from this tree.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root is the directory of the repository.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the test")
		}
		dir = parent
	}
	return "", err
}

// Start runs "arbor serve" with the flags given, on free ports, in a fresh
// directory, and returns when it is ready. It ends with the test.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	s := &Server{Data: filepath.Join(t.TempDir(), "data"), MySQL: FreeAddress(t), HTTP: FreeAddress(t), flags: flags}
	s.Run(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// StartBinary is Start with a binary that was built elsewhere.
func StartBinary(t testing.TB, binary string, flags ...string) *Server {
	t.Helper()
	s := &Server{Data: filepath.Join(t.TempDir(), "data"), MySQL: FreeAddress(t), HTTP: FreeAddress(t), flags: flags, binary: binary}
	s.Run(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// StartOver is Start over a data directory that exists already.
func StartOver(t testing.TB, data string, flags ...string) *Server {
	t.Helper()
	s := &Server{Data: data, MySQL: FreeAddress(t), HTTP: FreeAddress(t), flags: flags}
	s.Run(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// StartBinaryOver is StartOver with a binary that was built elsewhere.
func StartBinaryOver(t testing.TB, binary, data string, flags ...string) *Server {
	t.Helper()
	s := &Server{Data: data, MySQL: FreeAddress(t), HTTP: FreeAddress(t), flags: flags, binary: binary}
	s.Run(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// QueryOne runs a query over the MySQL wire and returns the first value of its
// only row.
func (s *Server) QueryOne(t testing.TB, query string) (value string) {
	t.Helper()
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// Exec runs statements over the MySQL wire.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Run starts the process (again) over the server's directory and ports.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.log = &lockedBuffer{}
	binary := s.binary
	if binary == "" {
		binary = Binary(t)
	}
	s.cmd = exec.Command(binary, append([]string{"serve", "--data", s.Data, "--mysql", s.MySQL, "--http", s.HTTP}, s.flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(s.cmd) // ends with the process
	s.exited = exited
	deadline := time.Now().Add(readyWithin)
	for time.Now().Before(deadline) {
		if res, err := http.Get("http://" + s.HTTP + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-s.exited:
			s.exited = nil
			t.Fatalf("server ended: %v\n%s", err, s.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("server was not ready in time\n%s", s.Log())
}

// Stop asks the process to end and waits for it; a second call does nothing.
func (s *Server) Stop(t testing.TB) { s.end(t, syscall.SIGTERM) }

// Kill ends the process at once, as a crash would.
func (s *Server) Kill(t testing.TB) { s.end(t, syscall.SIGKILL) }

func (s *Server) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if s.exited == nil {
		return
	}
	s.cmd.Process.Signal(sig)
	err := <-s.exited
	s.exited = nil
	if sig == syscall.SIGTERM && err != nil {
		t.Errorf("server ended with %v\n%s", err, s.Log())
	}
	if log := s.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
		t.Errorf("server log holds a crash:\n%s", log)
	}
}

// PID is the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log is what the process printed so far.
func (s *Server) Log() string { return s.log.String() }

// DSN is the data source name for go-sql-driver/mysql as root.
func (s *Server) DSN(database string) string { return "root@tcp(" + s.MySQL + ")/" + database }

// Port is the port of an address.
func Port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// lockedBuffer is a buffer that the process writes and the test reads.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
