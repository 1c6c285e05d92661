package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"arbor/engine/vfs"
)

// stallFS is a file system whose files can be made to sync for ever.
type stallFS struct {
	vfs.FS
	mu   sync.RWMutex // held by who stalls; a sync waits for it
	held atomic.Int64 // syncs that wait
}

// Create makes a file whose syncs wait while the file system stalls.
func (f *stallFS) Create(name string) (vfs.File, error) {
	file, err := f.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &stallFile{file, f}, nil
}

type stallFile struct {
	vfs.File
	fs *stallFS
}

// Sync syncs, once the file system does not stall.
func (f *stallFile) Sync() error {
	f.fs.held.Add(1)
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	f.fs.held.Add(-1)
	return f.File.Sync()
}

// stallBudget is what requests may take in the tests below: that of a few.
const stallBudget = 8 << 20

// batchOf is a request of events whose ids begin with a name, about so many bytes long.
func batchOf(name string, events, bytes int) string {
	var b strings.Builder
	filler := strings.Repeat("x", max(1, bytes/events-140))
	for i := range events {
		fmt.Fprintf(&b, `{"event":"Stall","properties":{"time":1767348000,"distinct_id":"u%d","$insert_id":"%s-%d","filler":"%s"}}`+"\n", i, name, i, filler)
	}
	return b.String()
}

// A disk that stalls makes the server refuse, long before memory is short and with
// an answer that says when to come back. No connection is cut. When the disk goes on
// all is well, and what was acknowledged is there once.
func TestStalledDisk(t *testing.T) {
	disk := &stallFS{FS: vfs.OS()}
	m := open(t, options{fs: disk, inflight: stallBudget, storeTimeout: time.Minute})
	m.query(t, "CREATE DATABASE shop")
	token := m.query(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	m.post(t, token, batchOf("before", 10, 10_000), http.StatusOK)

	const clients, events, bytes = 120, 200, 600_000
	bodies := make([]string, clients)
	for i := range bodies {
		bodies[i] = batchOf(fmt.Sprint("c", i), events, bytes)
	}
	disk.mu.Lock()
	before := liveHeap()
	var refused, cut atomic.Int64
	var acknowledged sync.WaitGroup
	firsts := make(chan int, clients) // the status of each client's first answer while the disk stalls
	released := make(chan struct{})
	for i := range clients {
		acknowledged.Go(func() {
			for {
				status, retryAfter, err := m.send(token, bodies[i])
				switch {
				case err != nil:
					cut.Add(1)
					t.Errorf("client %d: %v", i, err)
					return
				case status == http.StatusOK:
					return
				case status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable, retryAfter < 1:
					t.Errorf("client %d: status %d, Retry-After %d", i, status, retryAfter)
					return
				}
				refused.Add(1)
				select {
				case firsts <- status:
				default:
				}
				<-released
			}
		})
	}
	// Those who hold the memory wait for the disk; all others are told at once.
	for range clients - 2*stallBudget/bytes {
		<-firsts
	}
	if grown := liveHeap() - before; grown > 6*stallBudget {
		t.Errorf("%d MiB more are held while the disk stalls, and requests may take %d", grown>>20, stallBudget>>20)
	}
	// The port still answers.
	if status, _, err := m.get("/healthz"); err != nil || status != http.StatusOK {
		t.Errorf("healthz: %d, %v", status, err)
	}
	// Over the MySQL protocol, too, a program hears that it may try again.
	db, err := sql.Open("mysql", m.dsn("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var fault *mysql.MySQLError
	row := `('Stall', '{"filler":"` + strings.Repeat("x", 900_000) + `"}')`
	insert := "INSERT INTO events (event, properties) VALUES " + row + strings.Repeat(", "+row, 2*stallBudget/len(row))
	if _, err := db.Exec(insert); !errors.As(err, &fault) || fault.Number != 1205 {
		t.Errorf("an INSERT while memory is short: %v, want 1205", err)
	}
	disk.mu.Unlock()
	close(released)
	acknowledged.Wait()

	if refused.Load() == 0 || cut.Load() > 0 {
		t.Errorf("%d requests were refused, %d connections cut", refused.Load(), cut.Load())
	}
	want := fmt.Sprint(clients*events + 10)
	if got := m.query(t, "SELECT COUNT(*) FROM shop.events"); got != want {
		t.Errorf("%s events, want %s", got, want)
	}
	if got := m.query(t, "SELECT COUNT(DISTINCT insert_id) FROM shop.events"); got != want {
		t.Errorf("%s ids, want %s", got, want)
	}
	if status, _, err := m.get("/readyz"); err != nil || status != http.StatusOK {
		t.Errorf("readyz: %d, %v", status, err)
	}
	if _, err := db.Exec("INSERT INTO events (event) VALUES ('after')"); err != nil {
		t.Error(err)
	}
}

// A wait for the disk ends with an error that says so, over both protocols; what
// was sent may be stored all the same, and sending it again counts it once.
func TestStalledDiskTimesOut(t *testing.T) {
	disk := &stallFS{FS: vfs.OS()}
	m := open(t, options{fs: disk, storeTimeout: 100 * time.Millisecond})
	m.query(t, "CREATE DATABASE shop")
	token := m.query(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	db, err := sql.Open("mysql", m.dsn("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const insert = "INSERT INTO events (event, time, distinct_id, insert_id) VALUES ('Stall', '2026-01-02', 'u', 'sql')"
	disk.mu.Lock()
	if status, retryAfter, err := m.send(token, batchOf("http", 3, 1000)); err != nil || status != http.StatusServiceUnavailable || retryAfter < 1 {
		t.Errorf("over HTTP: %d, Retry-After %d, %v", status, retryAfter, err)
	}
	var fault *mysql.MySQLError
	if _, err := db.Exec(insert); !errors.As(err, &fault) || fault.Number != 1205 || !strings.Contains(fault.Message, "may or may not") {
		t.Errorf("over MySQL: %v, want 1205", err)
	}
	mysql.RegisterReaderHandler("stall", func() io.Reader { return strings.NewReader("Stall\t2026-01-02\tu\tload\n") })
	defer mysql.DeregisterReaderHandler("stall")
	const load = "LOAD DATA LOCAL INFILE 'Reader::stall' INTO TABLE events (event, time, distinct_id, insert_id)"
	if _, err := db.Exec(load); !errors.As(err, &fault) || fault.Number != 1205 {
		t.Errorf("a load: %v, want 1205", err)
	}
	disk.mu.Unlock()
	for {
		status, _, err := m.send(token, batchOf("http", 3, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusOK {
			break
		}
	}
	for _, statement := range []string{insert, load} {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Error(err)
		}
	}
	if got := m.query(t, "SELECT COUNT(*) FROM shop.events"); got != "5" {
		t.Errorf("%s events, want 5", got)
	}
}

// liveHeap is what is reachable.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
