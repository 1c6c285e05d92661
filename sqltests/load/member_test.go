// Package load tests a member under load: everything at once, for as long as is
// asked, and a disk that does not keep up.
//
//	go test ./sqltests/load                    half a minute
//	go test ./sqltests/load -duration=1h -events=0 make torture
//
// It holds tests only.
package load

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/vfs"
	"arbor/gateway"
)

// options say what kind of member is wanted.
type options struct {
	fs           vfs.FS
	now          func() time.Time
	tickEvery    time.Duration
	inflight     int64
	storeTimeout time.Duration
}

// member is a whole member behind real sockets.
type member struct {
	dir         string
	http, mysql string
	client      *http.Client
	// purge forgets dropped projects whose time has come, as a server does now and then.
	purge func(now time.Time) error
}

// open opens a member over a fresh directory; it is closed with the test.
func open(t *testing.T, o options) *member {
	t.Helper()
	if o.fs == nil {
		o.fs = vfs.OS()
	}
	log := slog.New(slog.DiscardHandler)
	m := &member{dir: filepath.Join(t.TempDir(), "data")}
	if err := o.fs.MkdirAll(m.dir); err != nil {
		t.Fatal(err)
	}
	metadata, err := cluster.OpenMetadata(o.fs, filepath.Join(m.dir, "catalog"), log)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(context.Background(), engine.Options{FS: o.fs, Dir: m.dir, Logger: log, Catalog: metadata.Catalog(), Now: o.now, TickEvery: o.tickEvery, Functions: gateway.NewFunctions()})
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.New(metadata, e)
	g := gateway.New(gateway.Options{Cluster: c, Logger: log, Now: o.now, MaxInflightBytes: o.inflight, StoreTimeout: o.storeTimeout})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 2)
	listen := func() (net.Listener, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l, l.Addr().String()
	}
	httpListener, address := listen()
	m.http = "http://" + address
	go func() { served <- g.ServeHTTP(ctx, gateway.HTTPOptions{Listener: httpListener, Grace: time.Second}) }()
	mysqlListener, address := listen()
	m.mysql = address
	go func() { served <- g.ServeMySQL(ctx, gateway.MySQLOptions{Listener: mysqlListener, Grace: time.Second}) }()
	m.purge = func(now time.Time) error {
		_, err := c.PurgeDropped(ctx, now)
		return err
	}
	m.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: 2 * time.Minute}
	t.Cleanup(func() {
		m.client.CloseIdleConnections()
		stop()
		for _, err := range []error{<-served, <-served, g.Close(), c.Close(), e.Close(), metadata.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return m
}

// dsn is how go-sql-driver finds a database.
func (m *member) dsn(database string) string {
	return "root@tcp(" + m.mysql + ")/" + database + "?maxAllowedPacket=0"
}

// send posts events to /import.
func (m *member) send(token, body string) (status, retryAfter int, err error) {
	req, err := http.NewRequest(http.MethodPost, m.http+"/import?strict=1", strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	req.SetBasicAuth(token, "")
	return m.do(req)
}

func (m *member) get(path string) (status, retryAfter int, err error) {
	req, err := http.NewRequest(http.MethodGet, m.http+path, nil)
	if err != nil {
		return 0, 0, err
	}
	return m.do(req)
}

func (m *member) do(req *http.Request) (status, retryAfter int, err error) {
	res, err := m.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, 0, err
	}
	retryAfter, _ = strconv.Atoi(res.Header.Get("Retry-After"))
	return res.StatusCode, retryAfter, nil
}

// post posts events, whose answer must be that status.
func (m *member) post(t *testing.T, token, body string, want int) {
	t.Helper()
	if status, _, err := m.send(token, body); err != nil || status != want {
		t.Fatalf("import: %d, %v; want %d", status, err, want)
	}
}

// rows runs a statement and gives its rows to each.
func (m *member) rows(statement string, each func([]string) error) error {
	patient := &http.Client{Transport: m.client.Transport}
	res, err := patient.Post(m.http+"/query?format=csv&null=%5CN", "text/plain", strings.NewReader(statement))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("%s: %s: %s", statement, res.Status, bytes.TrimSpace(text))
	}
	r := csv.NewReader(res.Body)
	r.ReuseRecord = true
	for first := true; ; first = false {
		row, err := r.Read()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", statement, err)
		case first:
			continue
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// query runs a statement that must succeed, and gives the first value.
func (m *member) query(t *testing.T, statement string) (value string) {
	t.Helper()
	if err := m.rows(statement, func(row []string) error { value = strings.Clone(row[0]); return nil }); err != nil {
		t.Fatal(err)
	}
	return value
}
