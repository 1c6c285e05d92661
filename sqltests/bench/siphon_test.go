package bench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"os/signal"
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
// own, and reports what share of the server's processor time the siphon takes. In its place
// come bare processes of Go that do less, see beFloor: what they take, nobody who
// passes bodies on can do without. An operation is one event.
func BenchmarkSiphon(b *testing.B) {
	same := func(body []byte) []byte { return body }
	for _, c := range []struct {
		name                    string
		requests, events, conns int
		compress                func([]byte) []byte
	}{
		{"2000 events a request", 50, 2000, 2, same},
		{"2000 events a request, gzip", 50, 2000, 2, gzipped},
		{"50 events a request, gzip", 200, 50, 8, gzipped},
		{"10 events a request", 200, 10, 8, same},
	} {
		bodies := importBodies(b, c.requests, c.events, c.compress)
		for _, front := range []string{"siphon", floorConnections, floorProxy, floorFile} {
			b.Run(c.name+"/"+front, func(b *testing.B) { benchmarkFront(b, front, bodies, c.events, c.conns) })
		}
	}
}

func benchmarkFront(b *testing.B, front string, bodies [][]byte, events, conns int) {
	key := filepath.Join(b.TempDir(), "edge.key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	s := server.Start(b, "--edge-key", key)
	s.Exec(b, "CREATE DATABASE shop", "CALL arbor.set_setting('seal_after_age', '168h')")
	token := s.QueryOne(b, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	url, pid := startFront(b, func(address string) *exec.Cmd {
		if front == "siphon" {
			return exec.Command(server.Binary(b), "siphon", "--listen", address, "--admin", "", "--edge-key", key, "--dir", b.TempDir(), "--upstream", "http://"+s.HTTP)
		}
		return exec.Command(os.Args[0], "-floor", strings.Join([]string{front, address, s.HTTP, filepath.Join(b.TempDir(), "copies")}, ","))
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	defer client.CloseIdleConnections()
	server, before := processTime(b, s.PID()), processTime(b, pid)
	b.ResetTimer()
	var next atomic.Int64
	var clients sync.WaitGroup
	for range conns {
		clients.Go(func() {
			for {
				i := next.Add(1) - 1
				if i*int64(events) >= int64(b.N) {
					return
				}
				body := bodies[i%int64(len(bodies))]
				r, err := http.NewRequest(http.MethodPost, url+"/import?strict=1", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				r.SetBasicAuth(token, "")
				if body[0] == 0x1f {
					r.Header.Set("Content-Encoding", "gzip")
				}
				answer, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					b.Error(answer.Status)
					return
				}
			}
		})
	}
	clients.Wait()
	server, took := processTime(b, s.PID())-server, processTime(b, pid)-before
	sent := float64(max(1, (next.Load()-int64(conns))*int64(events)))
	b.ReportMetric(float64(server.Nanoseconds())/sent, "server-ns/event")
	b.ReportMetric(float64(took.Nanoseconds())/sent, "front-ns/event")
	b.ReportMetric(100*float64(took)/float64(max(server, 1)), "%-of-server")
}

// The bare processes: one copies bytes between connections and looks at nothing, which the
// kernel does by itself; one is the standard library's proxy; one reads each body whole
// and writes it to a file, which it syncs, before it answers.
const (
	floorConnections = "connections"
	floorProxy       = "proxy"
	floorFile        = "proxy and file"
)

var floor = flag.String("floor", "", "be a bare process for BenchmarkSiphon, which gives this itself")

// TestMain is this process, or a bare one.
func TestMain(m *testing.M) {
	flag.Parse()
	if *floor != "" {
		if err := beFloor(strings.Split(*floor, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beFloor is a bare process, until it is told to end.
func beFloor(args []string) error {
	kind, address, upstream, copies := args[0], args[1], args[2], args[3]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	if kind == floorConnections {
		for {
			client, err := l.Accept()
			if err != nil {
				return nil
			}
			go func() { // ends with the connection
				defer client.Close()
				server, err := net.Dial("tcp", upstream)
				if err != nil {
					return
				}
				defer server.Close()
				go io.Copy(client, server) // ends with the server's connection
				io.Copy(server, client)
			}()
		}
	}
	var mu sync.Mutex // guards file
	file, err := os.Create(copies)
	if err != nil {
		return err
	}
	defer file.Close()
	proxy := &httputil.ReverseProxy{
		Transport:  &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true, WriteBufferSize: 64 << 10},
		BufferPool: make(floorPool, 16),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", upstream
		},
	}
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind == floorFile && r.Method == http.MethodPost {
			body := make([]byte, max(r.ContentLength, 0))
			if _, err := io.ReadFull(r.Body, body); err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			mu.Lock()
			_, err := file.Write(body)
			err = errors.Join(err, syscall.Fdatasync(int(file.Fd())))
			mu.Unlock()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// floorPool lends buffers.
type floorPool chan []byte

func (p floorPool) Get() []byte {
	select {
	case b := <-p:
		return b
	default:
		return make([]byte, 64<<10)
	}
}

func (p floorPool) Put(b []byte) {
	select {
	case p <- b:
	default:
	}
}

// startFront starts what stands in front of a server, at an address of its own.
func startFront(b *testing.B, command func(address string) *exec.Cmd) (url string, pid int) {
	b.Helper()
	address := server.FreeAddress(b)
	cmd := command(address)
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
			b.Errorf("what stood in front ended with %v\n%s", err, log.String())
		}
	})
	for range 6000 {
		if answer, err := http.Get("http://" + address + "/readyz"); err == nil {
			answer.Body.Close()
			return "http://" + address, cmd.Process.Pid
		}
		time.Sleep(10 * time.Millisecond) // as server.Run waits for a process of its own
	}
	b.Fatal("what stands in front does not answer")
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
