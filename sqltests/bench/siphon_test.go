package bench

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"arbor/sqltests/server"
)

// BenchmarkSiphon sends requests through a siphon to a server, each a process of its
// own, and reports what share of the server's processor time the siphon takes. An
// operation is one event.
func BenchmarkSiphon(b *testing.B) {
	for _, c := range []struct{ requests, events, conns int }{{50, 2000, 2}, {200, 10, 8}} {
		b.Run(fmt.Sprintf("%d events a request", c.events), func(b *testing.B) {
			bodies := importBodies(b, c.requests, c.events, func(body []byte) []byte { return body })
			key := filepath.Join(b.TempDir(), "edge.key")
			if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
				b.Fatal(err)
			}
			s := server.Start(b, "--edge-key", key)
			s.Exec(b, "CREATE DATABASE shop", "CALL arbor.set_setting('seal_after_age', '168h')")
			token := s.QueryOne(b, "SELECT token FROM arbor.projects WHERE name = 'shop'")
			url, pid := startSiphon(b, key, s.HTTP)
			server, siphon := processTime(b, s.PID()), processTime(b, pid)
			b.ResetTimer()
			var next atomic.Int64
			var clients sync.WaitGroup
			for range c.conns {
				clients.Go(func() {
					for {
						i := next.Add(1) - 1
						if i*int64(c.events) >= int64(b.N) {
							return
						}
						r, err := http.NewRequest(http.MethodPost, url+"/import?strict=1", bytes.NewReader(bodies[i%int64(len(bodies))]))
						if err != nil {
							b.Error(err)
							return
						}
						r.SetBasicAuth(token, "")
						answer, err := http.DefaultClient.Do(r)
						if err != nil {
							b.Error(err)
							return
						}
						answer.Body.Close()
						if answer.StatusCode != http.StatusOK {
							b.Error(answer.Status)
							return
						}
					}
				})
			}
			clients.Wait()
			server, siphon = processTime(b, s.PID())-server, processTime(b, pid)-siphon
			events := float64(max(1, next.Load()*int64(c.events)))
			b.ReportMetric(float64(server.Nanoseconds())/events, "server-ns/event")
			b.ReportMetric(float64(siphon.Nanoseconds())/events, "siphon-ns/event")
			b.ReportMetric(100*float64(siphon)/float64(max(server, 1)), "%-of-server")
		})
	}
}

// startSiphon starts the real binary's siphon before a server.
func startSiphon(b *testing.B, key, upstream string) (url string, pid int) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(server.Binary(b), "siphon", "--listen", address, "--admin", "", "--edge-key", key, "--dir", b.TempDir(), "--upstream", "http://"+upstream)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // ends with the process
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-exited; err != nil {
			b.Errorf("siphon ended with %v\n%s", err, log.String())
		}
	})
	for range 6000 {
		if answer, err := http.Get("http://" + address + "/readyz"); err == nil {
			answer.Body.Close()
			return "http://" + address, cmd.Process.Pid
		}
		time.Sleep(10 * time.Millisecond) // as server.Run waits for a process of its own
	}
	b.Fatal("the siphon does not answer")
	return "", 0
}

// processTime is the processor's time that a process took, in steps of 10 ms.
func processTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("times are read from /proc, which is not there")
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold spaces
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	const perSecond = 100
	return time.Duration(ticks) * time.Second / perSecond
}
