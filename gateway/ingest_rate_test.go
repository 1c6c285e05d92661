package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestProjectsAreHeldToARate at the rate and one past it, over /import and /track, each
// project for itself.
func TestProjectsAreHeldToARate(t *testing.T) {
	w := newSQLWorld(t)
	now := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	w.gateway.now = func() time.Time { return now }
	w.must("CREATE DATABASE shop", "CREATE DATABASE other", "CALL arbor.set_setting('max_ingest_rate', '10')")
	tokens := map[string]string{}
	for _, p := range w.gateway.Catalog().Projects {
		tokens[p.Name] = p.Token
	}
	made := 0
	send := func(path, project string, events int) (int, string) {
		var list []string
		for range events {
			made++
			list = append(list, fmt.Sprintf(`{"event":"a","properties":{"token":%q,"time":1778414400,"distinct_id":"u","$insert_id":"i%d"}}`, tokens[project], made))
		}
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("["+strings.Join(list, ",")+"]"))
		r.Header.Set("Content-Type", "application/json")
		if path == "/import" {
			r.SetBasicAuth(tokens[project], "")
		}
		a := httptest.NewRecorder()
		w.gateway.HTTPHandler().ServeHTTP(a, r)
		return a.Code, a.Header().Get("Retry-After")
	}
	want := func(path, project string, events, status int, retry string) {
		t.Helper()
		if got, after := send(path, project, events); got != status || after != retry {
			t.Errorf("%d events to %s of %s: %d, Retry-After %q; want %d, %q", events, path, project, got, after, status, retry)
		}
	}
	for _, path := range []string{"/import", "/track"} {
		want(path, "shop", 10, 200, "")
		want(path, "shop", 1, 200, "") // a second's events are in hand
		want(path, "shop", 1, 429, "1")
		want(path, "other", 3, 200, "")
		now = now.Add(100 * time.Millisecond)
		want(path, "shop", 30, 200, "")
		want(path, "shop", 1, 429, "3")
		now = now.Add(3*time.Second - time.Millisecond)
		want(path, "shop", 1, 429, "1")
		now = now.Add(time.Millisecond)
		want(path, "shop", 1, 200, "")
		now = now.Add(time.Hour)
	}
	w.want("SELECT COUNT(*) FROM shop.events", "84")
	w.must("CALL arbor.set_setting('max_ingest_rate', NULL)")
	want("/import", "shop", 100, 200, "")
	want("/import", "shop", 100, 200, "")
}
