package gateway

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/klauspost/compress/zstd"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/vfs"
	"arbor/sqltests/oracle"
)

// testNow is the clock of the tests.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// httpWorld is a gateway over a model instead of an engine.
type httpWorld struct {
	gateway *Gateway
	model   *oracle.Model
	fault   atomic.Pointer[error] // what Append returns instead of storing
}

// Append stores, or fails as told.
func (w *httpWorld) Append(ctx context.Context, records [][]byte) error {
	if fault := w.fault.Load(); fault != nil {
		return *fault
	}
	return w.model.Append(ctx, records)
}

// faultyModel is the model with the world's Append.
type faultyModel struct {
	*oracle.Model
	world *httpWorld
}

func (f faultyModel) Append(ctx context.Context, records [][]byte) error {
	return f.world.Append(ctx, records)
}

func newHTTPWorld(t testing.TB, o Options) *httpWorld {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	metadata, err := cluster.OpenMetadata(vfs.NewMem(), "catalog", quiet)
	if err != nil {
		t.Fatal(err)
	}
	w := &httpWorld{model: oracle.New(metadata.Catalog())}
	o.Cluster = cluster.New(metadata, faultyModel{w.model, w})
	if o.Logger == nil {
		o.Logger = quiet
	}
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	w.gateway = New(o)
	t.Cleanup(func() {
		if err := errors.Join(w.gateway.Close(), o.Cluster.Close(), metadata.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// project makes a project whose token and secret are its name with a prefix.
func (w *httpWorld) project(t testing.TB, name string) *catalog.Project {
	t.Helper()
	c, err := w.gateway.cluster.Change(t.Context(), catalog.CreateProject{
		Name: name, Token: "token-" + name, Secret: "secret-" + name, Buckets: 4, At: testNow.UnixMicro(),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := c.Project(name)
	return p
}

// tables are the rows of all mutable tables.
func (w *httpWorld) tables(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	ctx := sql.NewContext(t.Context(), sql.WithSession(withVariables(sql.NewBaseSession)))
	for _, p := range w.gateway.Catalog().Projects {
		for _, found := range w.gateway.cluster.Tables().All(uint32(p.ID)) {
			shape, err := newMutableShape(found.Definition)
			if err != nil {
				t.Fatal(err)
			}
			for _, value := range found.Seek([]byte{rowPrefix}) {
				row, err := shape.readRow(value, nil)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "%s.%s", p.Name, found.Name)
				for i, v := range row {
					text, _, err := types.Text.Convert(ctx, v)
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&out, " %s=%v", shape.Columns[i].Name, text)
				}
				fmt.Fprintln(&out)
			}
		}
	}
	return out.String()
}

// do sends a request to the handler.
func (w *httpWorld) do(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.gateway.HTTPHandler().ServeHTTP(answer, r)
	return answer
}

// TestHTTP runs testdata/http: requests as they are on the wire, the exact
// answers, and what is stored afterwards.
func TestHTTP(t *testing.T) {
	datadriven.Walk(t, "testdata/http", func(t *testing.T, path string) {
		w := newHTTPWorld(t, Options{})
		seen := 0
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "project":
				p := w.project(t, d.CmdArgs[0].Key)
				return fmt.Sprintf("id %d, token %s, secret %s", p.ID, p.Token, p.Secret)
			case "drop":
				p, _ := w.gateway.Catalog().Project(d.CmdArgs[0].Key)
				if _, err := w.gateway.cluster.Change(t.Context(), catalog.DropProject{ID: p.ID, At: testNow.UnixMicro()}); err != nil {
					t.Fatal(err)
				}
				return "ok"
			case "storage":
				w.storage(d.CmdArgs[0].Key)
				return "ok"
			case "http":
				return w.exchange(t, d)
			case "stored":
				text := w.stored(seen)
				seen = len(w.model.Records())
				return text
			case "tables":
				return w.tables(t)
			case "columns":
				return w.columns(d.CmdArgs[0].Key)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

// storage makes appends fail, or not.
func (w *httpWorld) storage(how string) {
	faults := map[string]error{
		"down": fmt.Errorf("%w: the disk is full", cluster.ErrUnavailable),
		"slow": context.DeadlineExceeded,
		"odd":  errors.New("an error that nobody foresaw"),
	}
	if err, ok := faults[how]; ok {
		w.fault.Store(&err)
	} else {
		w.fault.Store(nil)
	}
}

// exchange sends the request that the test spells out, after encoding its body
// as the command's arguments say, and gives the answer.
func (w *httpWorld) exchange(t *testing.T, d *datadriven.TestData) string {
	head, body, _ := strings.Cut(d.Input, "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	encoded := []byte(body)
	show := map[string]bool{"Content-Type": true, "Retry-After": true, "Allow": true}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "query":
			target += "&data=" + url.QueryEscape(string(encoded))
		case "show":
			for _, v := range a.Vals {
				show[v] = true
			}
		default:
			encoded = encodeBody(t, a.Key, encoded)
		}
	}
	r := httptest.NewRequest(method, target, bytes.NewReader(encoded))
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Auth" {
			user, password, _ := strings.Cut(value, ":")
			r.SetBasicAuth(user, password)
			continue
		}
		r.Header.Set(name, value)
	}
	answer := w.do(r)
	var out strings.Builder
	fmt.Fprintf(&out, "%d\n", answer.Code)
	for _, name := range slices.Sorted(keys(answer.Header())) {
		if show[name] {
			fmt.Fprintf(&out, "%s: %s\n", name, answer.Header().Get(name))
		}
	}
	if text := answer.Body.String(); text != "" {
		out.WriteString("\n" + printable(text))
	}
	return out.String()
}

func keys(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range h {
			if !yield(k) {
				return
			}
		}
	}
}

// printable keeps text and quotes what is not.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// encodeBody does one thing to a body that a client would do to it.
func encodeBody(t testing.TB, how string, body []byte) []byte {
	switch how {
	case "base64":
		return []byte(base64.StdEncoding.EncodeToString(body))
	case "base64url":
		return []byte(base64.RawURLEncoding.EncodeToString(body))
	case "form": // as browsers and Go write one
		return []byte("data=" + url.QueryEscape(string(body)))
	case "rawform": // as Mixpanel's Node SDK does: without escaping base64's plus
		return append([]byte("data="), body...)
	case "verbose":
		return append(body, "&verbose=1"...)
	case "pykey":
		return append(body, "&verbose=1&ip=0&api_key=token-shop"...)
	case "pywrong":
		return append(body, "&verbose=1&ip=0&api_key=wrong"...)
	case "quoted": // the body is a Go string
		text, err := strconv.Unquote(string(bytes.TrimSpace(body)))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(text)
	case "gzip":
		return gzipped(t, body)
	case "gzip2": // two members, cut in the middle
		return append(gzipped(t, body[:len(body)/2]), gzipped(t, body[len(body)/2:])...)
	case "zstd":
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return z.EncodeAll(body, nil)
	case "cut":
		return body[:len(body)-5]
	}
	t.Fatalf("unknown encoding %s", how)
	return nil
}

func gzipped(t testing.TB, body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stored shows the records behind the first ones, in the order of their ids.
func (w *httpWorld) stored(from int) string {
	records := slices.Clone(w.model.Records()[from:])
	slices.SortFunc(records, func(a, b oracle.Record) int {
		return cmp.Or(a.Event.ID.Compare(b.Event.ID), cmp.Compare(a.Shard.Project, b.Shard.Project))
	})
	var out strings.Builder
	for _, r := range records {
		e := r.Event
		p, _ := w.gateway.Catalog().ProjectByID(r.Shard.Project)
		when := time.UnixMicro(e.Time).UTC().Format("2006-01-02T15:04:05.999999Z")
		if e.ServerTime {
			when += " (server)"
		}
		fmt.Fprintf(&out, "%s %d: %s %s user=%q id=%q %s\n", p.Name, e.ID.Index, e.Name, when, e.DistinctID, e.InsertID, oracle.Properties(e))
	}
	if out.Len() == 0 {
		return "nothing"
	}
	return out.String()
}

func (w *httpWorld) columns(project string) string {
	p, _ := w.gateway.Catalog().Project(project)
	var out strings.Builder
	for _, c := range p.Columns {
		fmt.Fprintf(&out, "%s %s\n", c.Name, c.Type)
	}
	return out.String()
}
