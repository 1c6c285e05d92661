package clients

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"arbor/sqltests/server"
)

// forgetful stands before a server and loses some of its acknowledgements: the
// request is passed on and done, and its client never hears of it.
type forgetful struct {
	*httptest.Server
	mu sync.Mutex // guards what is below
	// losses say what becomes of the next requests that bring events: "" lets one
	// through, "cut" and "503" lose the answer, "429" does not pass it on.
	losses []string
	lost   int
}

// newForgetful starts a proxy before s. /stored answers what stored gives: the
// numbers of the events that the server has.
func newForgetful(t *testing.T, s *server.Server, losses []string, stored func() []int) *forgetful {
	f := &forgetful{losses: losses}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stored" {
			json.NewEncoder(w).Encode(stored())
			return
		}
		f.pass(t, w, r, s)
	}))
	t.Cleanup(f.Close)
	return f
}

// pass passes a request on, and its answer back, unless it is to be lost.
func (f *forgetful) pass(t *testing.T, w http.ResponseWriter, r *http.Request, s *server.Server) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	loss := f.next(r)
	if loss == "429" {
		allowOrigin(w, r)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	to, err := http.NewRequest(r.Method, "http://"+s.HTTP+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	to.Header, to.Host = r.Header.Clone(), r.Host
	answer, err := http.DefaultTransport.RoundTrip(to)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return
	}
	defer answer.Body.Close()
	switch loss {
	case "cut":
		panic(http.ErrAbortHandler)
	case "503":
		allowOrigin(w, r)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

// allowOrigin lets a page read what the proxy itself answers.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
}

// next is what becomes of a request.
func (f *forgetful) next(r *http.Request) (loss string) {
	if r.Method == http.MethodOptions || r.Method == http.MethodGet ||
		strings.HasPrefix(r.URL.Path, "/flags") || strings.HasPrefix(r.URL.Path, "/v1/m") {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.losses) == 0 {
		return ""
	}
	loss, f.losses = f.losses[0], f.losses[1:]
	if loss == "cut" || loss == "503" {
		f.lost++
	}
	return loss
}

// sdk is an SDK as it is run.
type sdk struct {
	name   string
	script []string // URL and TOKEN stand for the proxy's URL and the project's token
	run    func(t *testing.T, url, token string)
	losses []string
	// users are those that the events come from; 0 where the SDK makes its own.
	users int
	// others are the events beside the 25 that every SDK sends.
	others map[string]int
}

var sdks = []sdk{
	{name: "mixpanel", script: []string{"mixpanel-sdk.js", "URL", "TOKEN"}, losses: []string{"503", "cut"}, users: 7},
	{name: "mixpanel-go", run: mixpanelGo, losses: []string{"503", "cut", "", "cut", "503", "429"}, users: 7},
	{name: "posthog-node", script: []string{"posthog.js", "URL", "TOKEN"}, losses: []string{"cut", "503", "429"}, users: 7,
		others: map[string]int{"$identify": 1, "$groupidentify": 1, "$create_alias": 1}},
	{name: "posthog-go", run: postHogGo, losses: []string{"503", "cut"}, users: 7,
		others: map[string]int{"$identify": 1, "$groupidentify": 1, "$create_alias": 1}},
	{name: "segment-node", script: []string{"segment.js", "URL", "TOKEN"}, losses: []string{"cut", "503", "429"}, users: 7,
		others: map[string]int{"$identify": 1, "$group": 1, "$alias": 1, "$page": 1, "$screen": 1}},
	{name: "segment-go", run: segmentGo, losses: []string{"503", "cut"}, users: 7,
		others: map[string]int{"$identify": 1, "$group": 1, "$alias": 1, "$page": 1, "$screen": 1}},
	{name: "rudder-node", script: []string{"rudder.js", "URL", "TOKEN"}, losses: []string{"cut", "503"}, users: 7,
		others: map[string]int{"$identify": 1, "$group": 1, "$alias": 1, "$page": 1, "$screen": 1}},
	{name: "amplitude-node", script: []string{"amplitude.js", "URL", "TOKEN"}, losses: []string{"503", "503"}, users: 7,
		others: map[string]int{"$identify": 1}},
	{name: "amplitude-batch", script: []string{"amplitude.js", "URL", "TOKEN", "/batch"}, losses: []string{"503"}, users: 7,
		others: map[string]int{"$identify": 1}},
	{name: "snowplow-node", script: []string{"snowplow.js", "URL", "TOKEN"}, losses: []string{"503"}, users: 7,
		others: map[string]int{"page_view": 1, "event": 1}},
	{name: "snowplow-base64", script: []string{"snowplow.js", "URL", "TOKEN", "base64"}, losses: []string{"503"}, users: 7,
		others: map[string]int{"page_view": 1, "event": 1}},
	{name: "mixpanel-browser", script: []string{"browser.js", "mixpanel", "URL", "TOKEN"}, losses: []string{"429", "503", "", "503"}},
	{name: "posthog-js", script: []string{"browser.js", "posthog", "URL", "TOKEN"}, losses: []string{"503", "503"}},
	{name: "segment-browser", script: []string{"browser.js", "segment", "URL", "TOKEN"}, losses: []string{"503", "429", "", "503"}},
}

// TestSDKs runs each SDK, of which only the host is changed, through a proxy that
// loses acknowledgements: every event is there, as it was sent, and once.
func TestSDKs(t *testing.T) {
	s := server.Start(t)
	db := open(t, s, "")
	if err := installNode(); err != nil {
		t.Fatal(err)
	}
	for _, c := range sdks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			project := strings.ReplaceAll(c.name, "-", "_")
			if _, err := db.Exec("CREATE DATABASE " + project); err != nil {
				t.Fatal(err)
			}
			token := one(t, db, "SELECT token FROM arbor.projects WHERE name = ?", project)
			proxy := newForgetful(t, s, c.losses, func() []int {
				numbers := []int{}
				if err := json.Unmarshal([]byte(one(t, db, "SELECT COALESCE(JSON_ARRAYAGG(JSON_EXTRACT(properties, '$.n')), '[]') FROM "+project+".events WHERE event = 'buy'")), &numbers); err != nil {
					t.Error(err)
				}
				return numbers
			})
			if c.run != nil {
				c.run(t, proxy.URL, token)
			} else {
				var result struct{ Errors []string }
				var args []string
				for _, a := range c.script[1:] {
					args = append(args, strings.NewReplacer("URL", proxy.URL, "TOKEN", token).Replace(a))
				}
				node(t, &result, c.script[0], args...)
				t.Logf("errors that the SDK told of: %q", result.Errors)
			}
			c.check(t, db, project, proxy)
		})
	}
}

// check holds what is stored to what was sent.
func (c *sdk) check(t *testing.T, db *sql.DB, project string, proxy *forgetful) {
	got := strings.Split(one(t, db, `SELECT CONCAT_WS('|', COUNT(*), COUNT(DISTINCT insert_id), SUM(n), COUNT(DISTINCT n), DATE_FORMAT(MIN(time), '%T.%f'), DATE_FORMAT(MAX(time), '%T.%f'),
		COUNT(DISTINCT time), SUM(price), SUM(text = '~~~>>>???éü😀'), SUM(yes), SUM(JSON_EXTRACT(nested, '$.list[0]')), COUNT(DISTINCT distinct_id))
		FROM `+project+`.events WHERE event = 'buy'`), "|")
	want := []string{"25", "25", "300", "25", "03:04:05.678000", "03:04:29.678000", "25", "431.25", "25", "25", "25", fmt.Sprint(c.users)}
	if c.users == 0 {
		want[len(want)-1] = got[len(got)-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
	copies := one(t, db, "SELECT COUNT(*) FROM "+project+".events_all WHERE event = 'buy'")
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	if len(copies) < 2 || copies == "25" || proxy.lost == 0 || len(proxy.losses) > 0 {
		t.Errorf("%s copies, %d acknowledgements lost, %d still to lose: nothing was sent again", copies, proxy.lost, len(proxy.losses))
	}
	if c.users == 0 {
		return // SDKs for browsers add events of their own
	}
	others := map[string]int{}
	rows, err := db.Query("SELECT event, COUNT(*) FROM " + project + ".events WHERE event <> 'buy' GROUP BY event")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		others[name] = n
	}
	if c.others == nil {
		c.others = map[string]int{}
	}
	if diff := cmp.Diff(c.others, others); diff != "" {
		t.Errorf("the other events (-want +got):\n%s", diff)
	}
}

// one is the first value of a query's only row.
func one(t *testing.T, db *sql.DB, query string, args ...any) (value string) {
	t.Helper()
	if err := db.QueryRow(query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}
