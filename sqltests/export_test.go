package sqltests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"arbor/sqltests/stack"
)

// export asks for an export with a secret and gives its lines, sorted.
func export(t *testing.T, s *stack.Stack, secret, parameters string) []string {
	t.Helper()
	w := s.Do(http.MethodGet, "/api/2.0/export?"+parameters, secret, "")
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", parameters, w.Code, w.Body)
	}
	return exportLines(w)
}

func exportLines(w *httptest.ResponseRecorder) []string {
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	slices.Sort(lines)
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" })
}

func secretOf(t *testing.T, s *stack.Stack, project string) string {
	t.Helper()
	return s.One(t, "SELECT secret FROM arbor.projects WHERE name = '"+project+"'")
}

func TestExport(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	secret := secretOf(t, s, "shop")
	body := strings.Join([]string{
		`{"event":"Buy","properties":{"time":1767348245.678,"distinct_id":"ann","$insert_id":"1","price":25,"big":12345678901234567890,"tags":["a",{"b":1.50}],"plan":"pro"}}`,
		`{"event":"Buy","properties":{"time":1767348245.678,"distinct_id":"ann","$insert_id":"1","price":25,"big":12345678901234567890,"tags":["a",{"b":1.50}],"plan":"pro"}}`,
		`{"event":"See","properties":{"time":1767434645,"distinct_id":"bob","plan":"free \"x\"","paid":true}}`,
		`{"event":"See","properties":{"time":1767484800,"distinct_id":"","$insert_id":"3"}}`,
	}, "\n")
	s.Import(t, token, body)
	s.Rows(t, `INSERT INTO shop.events (event, time, distinct_id, insert_id, properties) VALUES ('Odd', '2026-01-02 00:00:00', 'eve', '4', '{"time": 5, "x": null}')`)
	buy := `{"event":"Buy","properties":{"time":1767348245,"distinct_id":"ann","$insert_id":"1","big":12345678901234567890,"plan":"pro","price":25,"tags":["a",{"b":1.50}]}}`
	odd := `{"event":"Odd","properties":{"time":1767312000,"distinct_id":"eve","$insert_id":"4","x":null}}`
	see := `{"event":"See","properties":{"time":1767434645,"distinct_id":"bob","paid":true,"plan":"free \"x\""}}`
	none := `{"event":"See","properties":{"time":1767484800,"distinct_id":"","$insert_id":"3"}}`
	for _, step := range []string{"in the log", "indexed"} {
		for parameters, want := range map[string][]string{
			"from_date=2026-01-02&to_date=2026-01-03":                                                          {buy, odd, see},
			"from_date=2026-01-02&to_date=2026-01-02":                                                          {buy, odd},
			"from_date=2026-01-04&to_date=2026-01-04":                                                          {none},
			"from_date=2026-01-01&to_date=2026-01-09&event=" + url.QueryEscape(`["See","No"]`):                 {see, none},
			"from_date=2026-01-01&to_date=2026-01-09&event=[]":                                                 nil,
			"from_date=2026-01-01&to_date=2026-01-09&limit=9&project_id=1234567":                               {buy, odd, see, none},
			"from_date=2026-01-02&to_date=2026-01-02&event=" + url.QueryEscape(`["Buy"]`) + "&time_in_ms=true": {strings.Replace(buy, "1767348245", "1767348245678", 1)},
		} {
			if got := export(t, s, secret, parameters); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("%s: %s: got\n%s\nwant\n%s", step, parameters, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		for where, want := range map[string][]string{
			`properties["plan"] == "pro"`:                                    {buy},
			`properties["plan"] != "pro"`:                                    {none, odd, see},
			`properties["price"] >= 25 and properties["price"] < 25.5`:       {buy},
			`not (properties["price"] >= 25)`:                                {none, odd, see},
			`defined(properties["plan"]) and not defined(properties["big"])`: {see},
			`"pr" in properties["plan"] or properties["distinct_id"]=="eve"`: {buy, odd},
			`"a" in properties["tags"]`:                                      {buy},
			`properties["paid"] == true`:                                     {see},
			`properties["never sent"] == "x"`:                                nil,
			`properties["$insert_id"] == '4' && properties["time"] > 5`:      {odd},
			`properties["plan"] == "free \"x\""`:                             {see},
			`properties["plan"] == "' OR 1=1 -- \\"`:                         nil,
		} {
			if got := export(t, s, secret, "from_date=2026-01-01&to_date=2026-01-09&where="+url.QueryEscape(where)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("%s: %s: got\n%s\nwant\n%s", step, where, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		s.Advance(3 * 3600e9)
		s.Tick(t)
	}
}

// What is exported and imported again is the same.
func TestExportRoundTrip(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	lines, _ := propertyEvents(300, 60, 30)
	s.Import(t, token, strings.Join(lines, "\n"))
	const days = "from_date=2026-01-01&to_date=2026-01-20&time_in_ms=1"
	first := export(t, s, secretOf(t, s, "shop"), days)
	if len(first) != 60 {
		t.Fatalf("%d lines", len(first))
	}
	s.Import(t, s.Project(t, "copy"), strings.Join(first, "\n"))
	if second := export(t, s, secretOf(t, s, "copy"), days); !slices.Equal(first, second) {
		t.Error("an export of what was exported is another one")
	}
	const all = "SELECT event, time, distinct_id, insert_id, properties FROM %s.events ORDER BY insert_id"
	if a, b := s.Rows(t, fmt.Sprintf(all, "shop")), s.Rows(t, fmt.Sprintf(all, "copy")); !slices.Equal(a, b) {
		t.Error("what was imported is not what was exported")
	}
}

func TestExportRefusals(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	secret := secretOf(t, s, "shop")
	s.Project(t, "other")
	s.Rows(t, "CREATE USER 'reader'@'%' IDENTIFIED BY ''")
	s.Rows(t, "GRANT SELECT ON shop.* TO 'reader'@'%'")
	s.Import(t, token, `{"event":"a","properties":{"time":1767348245,"distinct_id":"u","$insert_id":"1"}}`)
	const days = "from_date=2026-01-01&to_date=2026-01-03"
	for _, c := range []struct {
		user, parameters string
		status           int
	}{
		{secret, days, 200},
		{"reader", days + "&project_id=shop", 200},
		{"root", days + "&project_id=" + s.One(t, "SELECT id FROM arbor.projects WHERE name = 'shop'"), 200},
		{"reader", days + "&project_id=other", 403},
		{"reader", days + "&project_id=nothing", 403},
		{"reader", days, 401},
		{"nobody", days + "&project_id=shop", 401},
		{token, days, 401}, // it may only write
		{secret, days + "&project_id=other", 401},
		{secret, days + "&project_id=12345", 401}, // it is neither the project nor an id at Mixpanel
		{"", days, 401},
		{secret, "", 400},
		{secret, "from_date=2026-01-03&to_date=2026-01-02", 400},
		{secret, "from_date=2026-13-03&to_date=2026-01-02", 400},
		{secret, days + "&event=Visit", 400},
		{secret, days + "&limit=0", 400},
		{secret, days + "&limit=100000", 200},
		{secret, days + "&limit=100001", 400},
		{secret, days + "&where=" + url.QueryEscape(`properties["a"] = 1`), 400},
		{secret, days + "&where=" + url.QueryEscape(`properties["a"`), 400},
		{secret, days + "&where=" + url.QueryEscape(`1) OR (1`), 400},
		{secret, days + "&where=" + url.QueryEscape(`properties["a"] == "x`), 400},
		{secret, days + "&where=" + url.QueryEscape(strings.Repeat("(", 31)+"true"+strings.Repeat(")", 31)), 200},
		{secret, days + "&where=" + url.QueryEscape(strings.Repeat("(", 200)+"true"+strings.Repeat(")", 200)), 400},
		{secret, days + "&where=" + url.QueryEscape(strings.Repeat("not ", 200)+"true"), 400},
	} {
		w := s.Do(http.MethodGet, "/api/2.0/export?"+c.parameters, c.user, "")
		if w.Code != c.status && !(c.status == 403 && w.Code == 404) {
			t.Errorf("%s, %.200s: %d %s, want %d", c.user, c.parameters, w.Code, w.Body, c.status)
		}
		if w.Code != 200 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: the error is no JSON: %s", c.parameters, w.Body)
		}
	}
	// A user who may not read a project learns no more of it than of one that is not.
	known := s.Do(http.MethodGet, "/api/2.0/export?"+days+"&project_id=other", "reader", "")
	unknown := s.Do(http.MethodGet, "/api/2.0/export?"+days+"&project_id=nothing", "reader", "")
	if known.Code != unknown.Code {
		t.Errorf("a project that may not be read: %d %s; one that is not: %d %s", known.Code, known.Body, unknown.Code, unknown.Body)
	}
}

// Clients that take gzip get it, and large exports come in parts.
func TestExportStreams(t *testing.T) {
	s := stack.New(t)
	s.Project(t, "shop")
	s.Rows(t, "INSERT INTO shop.events (event, time, properties) VALUES ('a', '2026-01-02', '{\"filler\":\""+strings.Repeat("x", 500)+"\"}')")
	for range 11 {
		s.Rows(t, "INSERT INTO shop.events (event, time, properties) SELECT event, time, properties FROM shop.events")
	}
	server := httptest.NewServer(s.Gateway.HTTPHandler())
	defer server.Close()
	req, err := http.NewRequest(http.MethodGet, server.URL+"/api/2.0/export?from_date=2026-01-01&to_date=2026-01-03", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(secretOf(t, s, "shop"), "")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("the answer is not packed: %v", res.Header)
	}
	unpacked, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for scanner := bufio.NewScanner(unpacked); scanner.Scan(); lines++ {
		if !json.Valid(scanner.Bytes()) {
			t.Fatalf("line %d: %s", lines, scanner.Text())
		}
	}
	if lines != 2048 {
		t.Errorf("%d lines, want 2048", lines)
	}
}
