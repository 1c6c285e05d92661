package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// importServer takes what /import is sent, and fails when told.
type importServer struct {
	*httptest.Server
	mu     sync.Mutex          // guards what follows
	bodies map[string][]string // lines by key
	posts  int
	fail   func(post int) int // a status other than 200, by the number of the request
}

func newImportServer(t *testing.T) *importServer {
	s := &importServer{bodies: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has broken off
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.posts++
		if s.fail != nil {
			if status := s.fail(s.posts); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		s.bodies[r.Header.Get("Idempotency-Key")] = lines
		fmt.Fprintf(w, `{"code":200,"num_records_imported":%d}`, len(lines))
	}))
	t.Cleanup(s.Close)
	return s
}

// lines are all that came, each once.
func (s *importServer) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, lines := range s.bodies {
		all = append(all, lines...)
	}
	slices.Sort(all)
	return all
}

// begin makes the server take everything from now on, and counts anew.
func (s *importServer) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.posts = nil, 0
}

// importFile writes a file of n events, with an empty line here and there.
func importFile(t *testing.T, name string, n int) (path string, want []string) {
	var text bytes.Buffer
	for i := range n {
		line := fmt.Sprintf(`{"event":"e","properties":{"i":%07d}}`, i)
		want = append(want, line)
		text.WriteString(line + "\n")
		if i%1999 == 0 {
			text.WriteString("\n  \n")
		}
	}
	b := text.Bytes()
	if strings.HasSuffix(name, ".gz") {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		b = z.Bytes()
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, want
}

// check holds what came to the lines of the file.
func (s *importServer) check(t *testing.T, want []string) {
	t.Helper()
	if got := s.lines(); !slices.Equal(got, want) {
		t.Fatalf("%d lines came, want %d, each once", len(got), len(want))
	}
}

func TestImportSendsEachEventOnce(t *testing.T) {
	for _, connections := range []int{1, 4} {
		for _, name := range []string{"events.ndjson", "events.ndjson.gz"} {
			s := newImportServer(t)
			path, want := importFile(t, name, 25_001)
			o := importOptions{server: s.URL, token: "t", connections: connections, quiet: true, stateDir: t.TempDir()}
			if err := importFiles(t.Context(), o, []string{path}); err != nil {
				t.Fatal(err)
			}
			s.check(t, want)
			if s.posts != 13 {
				t.Errorf("%d requests, want 13", s.posts)
			}
			if left, _ := os.ReadDir(o.stateDir); len(left) != 0 {
				t.Errorf("a complete import leaves %v", left)
			}
		}
	}
}

// An import that was broken off sends what is left, cut and named as it would have
// been, and little of what had been answered for.
func TestImportGoesOnWhereItStopped(t *testing.T) {
	for connections, name := range map[int]string{1: "events.ndjson", 2: "events.ndjson.gz", 5: "events.ndjson"} {
		s := newImportServer(t)
		path, want := importFile(t, name, 40_000)
		o := importOptions{server: s.URL, token: "t", connections: connections, quiet: true, stateDir: t.TempDir()}
		s.fail = func(post int) int {
			if post > 9 {
				return http.StatusForbidden
			}
			return 0
		}
		err := importFiles(t.Context(), o, []string{path})
		if err == nil || connections == 1 && !strings.Contains(err.Error(), "the same command goes on from there") {
			t.Fatalf("broken off: %v", err)
		}
		s.begin()
		if err := importFiles(t.Context(), o, []string{path}); err != nil {
			t.Fatal(err)
		}
		s.check(t, want)
		if len(s.bodies) != 20 {
			t.Errorf("the batches came under %d keys, want 20", len(s.bodies))
		}
		// With several connections a batch that is late holds back those behind it.
		if connections == 1 && s.posts != 20-9 {
			t.Errorf("%d requests after 9 of 20 were answered", s.posts)
		}
	}
}

// What is remembered of a file is not taken for another one of that name, nor
// where the import is to begin anew.
func TestImportBeginsAnew(t *testing.T) {
	for _, why := range []string{"changed", "restart", "token"} {
		s := newImportServer(t)
		path, _ := importFile(t, "events.ndjson", 10_000)
		o := importOptions{server: s.URL, token: "t", connections: 1, quiet: true, stateDir: t.TempDir()}
		s.fail = func(post int) int {
			if post == 4 {
				return http.StatusForbidden
			}
			return 0
		}
		if err := importFiles(t.Context(), o, []string{path}); err == nil {
			t.Fatal("the import was not broken off")
		}
		s.begin()
		wanted := 5
		switch why {
		case "changed":
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(text, `{"event":"one more"}`...), 0o600); err != nil {
				t.Fatal(err)
			}
			wanted = 6
		case "restart":
			o.restart = true
		case "token":
			o.token = "another"
		}
		if err := importFiles(t.Context(), o, []string{path}); err != nil {
			t.Fatal(err)
		}
		if s.posts != wanted {
			t.Errorf("%s: %d requests, want %d", why, s.posts, wanted)
		}
	}
}

func TestImportLimits(t *testing.T) {
	s := newImportServer(t)
	path, want := importFile(t, "events.ndjson", 1)
	for connections, ok := range map[int]bool{0: false, 1: true, importConnections: true, importConnections + 1: false} {
		o := importOptions{server: s.URL, token: "t", connections: connections, quiet: true, stateDir: t.TempDir()}
		if err := importFiles(t.Context(), o, []string{path}); (err == nil) != ok {
			t.Errorf("%d connections: %v", connections, err)
		}
	}
	s.check(t, want)
	for size, ok := range map[int]bool{importLineBytes - 1: true, importLineBytes + 1: false} {
		long := filepath.Join(t.TempDir(), "long.ndjson")
		if err := os.WriteFile(long, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		o := importOptions{server: s.URL, token: "t", connections: 1, quiet: true, stateDir: t.TempDir()}
		if err := importFiles(t.Context(), o, []string{long}); (err == nil) != ok {
			t.Errorf("a line of %d bytes: %v", size, err)
		}
	}
}
