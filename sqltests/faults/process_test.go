package faults

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
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

	"arbor/sqltests/server"
)

// The ports of every member, in its own namespace.
const (
	mysqlAt = "127.0.0.1:3306"
	httpAt  = "127.0.0.1:8080"
	peerAt  = "4306"
)

// readyWithin is how long a member may take until it answers, and healedWithin until
// a cluster is as it should be. They bound a failure, not a success.
const (
	readyWithin  = 2 * time.Minute
	healedWithin = 5 * time.Minute
)

// process is a member: a process with a disk and a host of its own.
type process struct {
	host   *host
	disk   string // where it is mounted
	data   string // the data directory on it
	binary string
	client *http.Client
	log    *logged
	cmd    *exec.Cmd
	exited chan error // has how it ended, once; nil where it does not run
}

func newProcess(t *testing.T, h *host, binary string) *process {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk")
	mountDisk(t, disk)
	m := &process{host: h, disk: disk, data: filepath.Join(disk, "data"), binary: binary, log: &logged{}}
	m.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return h.dial(ctx, network, address)
	}}}
	t.Cleanup(func() { m.end(t, syscall.SIGTERM) })
	return m
}

func (m *process) peer() string { return net.JoinHostPort(m.host.address, peerAt) }

// start starts the process, and does not wait.
func (m *process) start(t *testing.T, flags ...string) {
	t.Helper()
	m.cmd = exec.Command(m.binary, append([]string{"serve", "--data", m.data, "--mysql", mysqlAt, "--http", httpAt}, flags...)...)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.host.inside(m.cmd.Start); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	m.exited = exited
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(m.cmd) // ends with the process
}

// run starts the process and waits until it answers.
func (m *process) run(t *testing.T, flags ...string) {
	t.Helper()
	m.start(t, flags...)
	if err := m.ready(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, m.log)
	}
}

// ready waits until the process answers, or ends.
func (m *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		if code, _, err := m.do(ctx, http.MethodGet, "/readyz", "", ""); err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case err := <-m.exited:
			m.exited = nil
			return fmt.Errorf("member at %s ended: %w", m.host.address, err)
		case <-ctx.Done():
			return fmt.Errorf("member at %s was not ready in time", m.host.address)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// end sends a signal that ends the process, and waits for that.
func (m *process) end(t *testing.T, by syscall.Signal) {
	t.Helper()
	defer m.client.CloseIdleConnections()
	if m.exited == nil {
		return
	}
	m.signal(t, by)
	err := <-m.exited
	m.exited = nil
	if by == syscall.SIGTERM && err != nil {
		t.Errorf("member at %s ended with %v\n%s", m.host.address, err, m.log)
	}
	m.noCrash(t)
}

func (m *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func (m *process) noCrash(t *testing.T) {
	t.Helper()
	if log := m.log.String(); strings.Contains(log, "panic:") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the log of the member at %s holds a crash:\n%s", m.host.address, log)
	}
}

// do sends a request to the member.
func (m *process) do(ctx context.Context, method, target, user, body string) (code int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+httpAt+target, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.SetBasicAuth(user, "")
	w, err := m.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(w.Body)
	return w.StatusCode, string(b), errors.Join(err, w.Body.Close())
}

// errAnswer is an answer that says no.
var errAnswer = errors.New("refused")

// query gives the rows of an answer.
func (m *process) query(ctx context.Context, statement string) ([][]string, error) {
	code, answer, err := m.do(ctx, http.MethodPost, "/query?format=csv", "root", statement)
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("%w: %d %s", errAnswer, code, answer)
	}
	rows, err := csv.NewReader(strings.NewReader(answer)).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%q: %w", answer, err)
	}
	return rows[1:], nil
}

// one gives the first value of an answer.
func (m *process) one(t *testing.T, statement string) string {
	t.Helper()
	rows, err := m.query(t.Context(), statement)
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
		t.Fatalf("%s: %v %v\n%s", statement, rows, err, m.log)
	}
	return rows[0][0]
}

// call runs a statement that gives no rows.
func (m *process) call(t *testing.T, statement string) {
	t.Helper()
	if code, answer, err := m.do(t.Context(), http.MethodPost, "/query", "root", statement); err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d %s %v", statement, code, answer, err)
	}
}

// eventually waits until an answer's first value is what it should be.
func (m *process) eventually(t *testing.T, statement, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), healedWithin)
	defer cancel()
	for {
		rows, err := m.query(ctx, statement)
		if err == nil && len(rows) > 0 && rows[0][0] == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v %v; want %s\n%s", statement, rows, err, want, m.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// newCluster starts a cluster, each member of which joins at the first.
func newCluster(t *testing.T, members int) (*network, []*process) {
	t.Helper()
	n := newNetwork(t, members)
	binary := server.Binary(t)
	var all []*process
	for i, h := range n.hosts {
		m := newProcess(t, h, binary)
		all = append(all, m)
		if i == 0 {
			m.run(t, "--peer", m.peer())
			continue
		}
		m.run(t, "--peer", m.peer(), "--join", all[0].peer(), "--token", all[0].one(t, "CALL arbor.add_member()"))
	}
	settle(t, all[0], members)
	return n, all
}

// settle waits until all members vote, as far as they should, and hold their part.
func settle(t *testing.T, m *process, members int) {
	t.Helper()
	m.eventually(t, "SELECT SUM(votes) FROM arbor.members", "3")
	m.eventually(t, fmt.Sprintf("SELECT COUNT(*) = %d FROM arbor.members WHERE alive AND buckets > 0", members), "1")
	m.eventually(t, "SELECT COUNT(*) FROM arbor.replicas WHERE state = 'settled'", "3072")
}

// logged is what a process printed. The process writes while a test reads.
type logged struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write takes what is printed.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// String is all that was printed.
func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
