package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	driver "github.com/go-sql-driver/mysql"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// streams is a server whose scans are made by the test.
type streams struct {
	*testServer
	world *sqlWorld
	// scan is what the next scan does; ended gets how it ended.
	scan  atomic.Pointer[func(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) error]
	begun chan struct{}
	ended chan error
}

func newStreams(t *testing.T, listen func(net.Listener) net.Listener) *streams {
	t.Helper()
	s := &streams{begun: make(chan struct{}, 100), ended: make(chan error, 100)}
	s.world = newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		return &scans{m, func(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			err := (*s.scan.Load())(ctx, f, func(b *exec.Batch) error {
				select {
				case s.begun <- struct{}{}:
				default:
				}
				return yield(b)
			})
			s.ended <- err
			return exec.ScanStats{}, err
		}}
	})
	s.world.must("CREATE DATABASE test", "USE test")
	s.testServer = serveEngine(t, s.world.engine, serverOptions{listen: listen})
	return s
}

// gives has scans give batches of rows with an event's name, for ever if batches
// is negative, and then end with err.
func (s *streams) gives(batches int, err error) {
	scan := func(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) error {
		b := &exec.Batch{Rows: 1000}
		for range f.Columns {
			b.Columns = append(b.Columns, someNames(b.Rows))
		}
		for i := 0; i != batches; i++ {
			if err := yield(b); err != nil {
				return err
			}
		}
		return err
	}
	s.scan.Store(&scan)
}

func someNames(n int) arrow.Array {
	values := make([]catalog.Value, n)
	for i := range values {
		values[i] = catalog.String(fmt.Sprint("an event's name ", i%7))
	}
	return oracle.Array(catalog.TypeString, values, 2)
}

func TestStreamsEndWhenTheyAreTold(t *testing.T) {
	s := newStreams(t, nil)
	s.gives(-1, nil)
	victim, killer := s.conn(), s.conn()
	id, err := rowsText(t, victim, "SELECT CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	for _, prepared := range []bool{false, true} {
		failed := make(chan error, 1)
		go func() {
			var args []any
			q := "SELECT event FROM events"
			if prepared {
				q, args = "SELECT event FROM events LIMIT ?", []any{1 << 40}
			}
			rows, err := victim.QueryContext(t.Context(), q, args...)
			if err == nil {
				for rows.Next() {
				}
				err = rows.Err()
			}
			failed <- err
		}()
		<-s.begun
		mustExec(t, killer, "KILL QUERY "+id)
		wantError(t, <-failed, 1317, "Query execution was interrupted")
		if err := <-s.ended; err == nil {
			t.Error("the scan ended by itself")
		}
		for len(s.begun) > 0 {
			<-s.begun
		}
	}
	mustExec(t, victim, "SET max_execution_time = 20")
	rows, err := victim.QueryContext(t.Context(), "SELECT event FROM events")
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
	}
	wantError(t, err, 3024, "maximum statement execution time exceeded")
	<-s.ended

	c := dialRaw(t, s.address)
	c.login()
	c.command([]byte("\x03SELECT event FROM events"))
	for range 3000 {
		c.read()
	}
	c.conn.Close()
	if err := <-s.ended; err == nil {
		t.Error("the scan ended by itself")
	}
}

func TestStreamsFail(t *testing.T) {
	s := newStreams(t, nil)
	c := dialRaw(t, s.address)
	c.login()
	check := func(what string, code, atLeast int) {
		t.Helper()
		packets, last := c.query("SELECT event FROM events")
		if errorCode(last) != code || packets < atLeast {
			t.Errorf("%s: after %d packets %q, want %d after %d", what, packets, last, code, atLeast)
		}
		c.execute(c.prepare("SELECT event FROM events"), 0)
		if packets, last := c.result(); errorCode(last) != code || packets < atLeast {
			t.Errorf("%s, prepared: after %d packets %q, want %d after %d", what, packets, last, code, atLeast)
		}
		if _, last := c.query("SELECT 1"); last[0] != packetEnd {
			t.Errorf("%s: the connection is not as before: %q", what, last)
		}
	}
	s.gives(0, cluster.ErrUnavailable)
	check("nothing", 1030, 1)
	s.gives(1, cluster.ErrUnavailable)
	check("a few rows", 1030, 1)
	s.gives(50, cluster.ErrUnavailable)
	check("many rows", 1030, 50_000)
	panics := func(context.Context, *exec.Fragment, func(*exec.Batch) error) error {
		s.ended <- nil
		panic("damaged")
	}
	s.scan.Store(&panics)
	check("panic", 1105, 1)
	damaged := func(_ context.Context, _ *exec.Fragment, yield func(*exec.Batch) error) error {
		return yield(&exec.Batch{Rows: 5})
	}
	s.scan.Store(&damaged)
	check("a batch without columns", 1105, 1)
	strange := func(_ context.Context, _ *exec.Fragment, yield func(*exec.Batch) error) error {
		b := array.NewInt8Builder(memory.DefaultAllocator)
		b.Append(1)
		return yield(&exec.Batch{Rows: 1, Columns: []arrow.Array{b.NewArray()}})
	}
	s.scan.Store(&strange)
	check("an unknown array", 1105, 1)
}

// A client that does not read keeps a few parts of its result in memory, and no
// more however long the result is.
func TestStreamsTakeBoundedMemory(t *testing.T) {
	var listening *pipeListener // through a pipe, so that nothing is on the way
	s := newStreams(t, func(l net.Listener) net.Listener {
		listening = newPipeListener(l)
		return listening
	})
	var batches atomic.Int64
	const batchBytes = 1000 * 22
	endless := func(_ context.Context, _ *exec.Fragment, yield func(*exec.Batch) error) error {
		b := &exec.Batch{Rows: 1000, Columns: []arrow.Array{someNames(1000)}}
		for {
			batches.Add(1)
			if err := yield(b); err != nil {
				return err
			}
		}
	}
	s.scan.Store(&endless)
	client, server := net.Pipe()
	listening.accepted <- accepted{conn: &pipe{Conn: server, local: listening.Addr(), remote: listening.Addr()}}
	c := &rawClient{t: t, conn: client, in: bufio.NewReader(client)}
	c.login()
	c.command([]byte("\x03SELECT event FROM events"))
	const ahead = (partsAhead + 4) * (resultBytes + batchBytes)
	for read := 0; read < 100*batchBytes; {
		read += len(c.read()) + packetHeader
		for range 10 {
			runtime.Gosched()
		}
		if made := batches.Load() * batchBytes; made > int64(read+ahead) {
			t.Fatalf("%d bytes were made when %d were read", made, read)
		}
	}
	c.conn.Close()
	<-s.ended
}

// Another result after one that was sent by column, in one message.
func TestStreamsInSeveralStatements(t *testing.T) {
	s := newStreams(t, nil)
	s.gives(30, nil)
	for _, prepare := range []func(*driver.Config){withMultiStatements} {
		c := s.conn(prepare)
		rows, err := c.QueryContext(t.Context(), "SELECT event FROM events; SELECT event, 1 FROM events LIMIT 3; SELECT COUNT(*) FROM events; SELECT event FROM events")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{30_000, 3, 1, 30_000} {
			n := 0
			for rows.Next() {
				n++
			}
			if n != want {
				t.Errorf("%d rows, want %d: %v", n, want, rows.Err())
			}
			rows.NextResultSet()
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		mustQuery(t, c, "SELECT 1", "1")
	}
}
