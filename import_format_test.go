package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The lines have the shape of the products' exports as we know it; they are not recordings.
func TestImportFormats(t *testing.T) {
	for _, c := range []struct{ format, line, want string }{
		{"amplitude", `{"event_type":"Buy","event_time":"2026-01-02 10:00:00.123000","user_id":"ann","device_id":"d1","amplitude_id":7,"uuid":"u-1","$insert_id":"i1","insert_id":null,"event_properties":{"price":12345678901234567890,"country":"FR","a":{"b":[1.50]}},"user_properties":{"plan":"pro"},"country":"DE","os_name":"iOS","city":null}`,
			`{"event":"Buy","properties":{"time":"2026-01-02T10:00:00.123000Z","distinct_id":"ann","$insert_id":"i1","a":{"b":[1.50]},"amplitude_id":7,"country":"FR","device_id":"d1","os_name":"iOS","price":12345678901234567890,"user_properties":{"plan":"pro"},"uuid":"u-1"}}`},
		{"amplitude", `{"event_type":"See","event_time":"2026-01-02 10:00:00","user_id":null,"device_id":"d1","uuid":"u-1","event_properties":{"time":5,"token":"x"}}`,
			`{"event":"See","properties":{"time":"2026-01-02T10:00:00Z","distinct_id":"d1","$insert_id":"u-1","device_id":"d1","uuid":"u-1"}}`},
		{"posthog", `{"uuid":"u-1","event":"$pageview","properties":"{\"$os\":\"Linux\",\"n\":1.0,\"token\":\"phc\",\"$insert_id\":\"other\"}","distinct_id":"ann","timestamp":"2026-01-02 10:00:00.123456","person_id":"p","team_id":1,"elements_chain":null}`,
			`{"event":"$pageview","properties":{"time":"2026-01-02T10:00:00.123456Z","distinct_id":"ann","$insert_id":"u-1","$os":"Linux","n":1.0,"person_id":"p","team_id":1}}`},
		{"posthog", `{"uuid":"u-2","event":"a","properties":{"x":[]},"distinct_id":"ann","timestamp":"2026-01-02T10:00:00+02:00"}`,
			`{"event":"a","properties":{"time":"2026-01-02T10:00:00+02:00","distinct_id":"ann","$insert_id":"u-2","x":[]}}`},
		{"posthog", `{"event":"bare"}`, `{"event":"bare","properties":{}}`},
		{"amplitude", `{"event":"of another kind"}`, `{"event":"of another kind"}`},
		{"amplitude", `no JSON`, `no JSON`},
		{"posthog", `{"event":5,"properties":{}}`, `{"event":5,"properties":{}}`},
		{"mixpanel", `{"event":"a","properties":{"time":1,"distinct_id":"u"}}`, `{"event":"a","properties":{"time":1,"distinct_id":"u"}}`},
	} {
		s := newImportServer(t)
		path := filepath.Join(t.TempDir(), "export.json")
		if err := os.WriteFile(path, []byte(c.line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := importOptions{server: s.URL, token: "t", connections: 1, quiet: true, stateDir: t.TempDir(), format: c.format}
		if err := importFiles(t.Context(), o, []string{path}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.lines(), "\n"); got != c.want {
			t.Errorf("%s:\n%s\nbecame\n%s\nwant\n%s", c.format, c.line, got, c.want)
		}
	}
	o := importOptions{server: "http://127.0.0.1:1", token: "t", connections: 1, quiet: true, format: "segment"}
	if err := importFiles(t.Context(), o, []string{"-"}); err == nil || !strings.Contains(err.Error(), "amplitude, events, mixpanel, posthog") {
		t.Errorf("an unknown format: %v", err)
	}
}

// An import of another format goes on where it stopped, under the same keys.
func TestImportFormatGoesOn(t *testing.T) {
	s := newImportServer(t)
	path := filepath.Join(t.TempDir(), "export.json")
	line := `{"event_type":"e","event_time":"2026-01-02 10:00:00"}`
	if err := os.WriteFile(path, []byte(strings.Repeat(line+"\n", 5*importBatchEvents)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := importOptions{server: s.URL, token: "t", connections: 1, quiet: true, stateDir: t.TempDir(), format: "amplitude"}
	s.fail = func(post int) int {
		if post > 2 {
			return http.StatusForbidden
		}
		return 0
	}
	if err := importFiles(t.Context(), o, []string{path}); err == nil {
		t.Fatal("the import was not broken off")
	}
	s.begin()
	if err := importFiles(t.Context(), o, []string{path}); err != nil {
		t.Fatal(err)
	}
	want := slices.Repeat([]string{`{"event":"e","properties":{"time":"2026-01-02T10:00:00Z"}}`}, 5*importBatchEvents)
	s.check(t, want)
	if s.posts != 3 {
		t.Errorf("%d requests for the rest, want 3", s.posts)
	}
}
