package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"arbor/sqltests/stack"
)

// importLines imports lines as a file of a format, with nothing remembered of before.
func importLines(t *testing.T, server, project, format string, lines []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "events.ndjson")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	o := importOptions{server: server, project: project, user: "root", format: format, connections: 3, stateDir: filepath.Join(dir, "state"), quiet: true}
	if err := importFiles(t.Context(), o, []string{file}); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
}

// Files of every product's export, imported twice by someone who remembers nothing of
// the first time, show each event once, and so does what arbor itself exports.
func TestImportTwice(t *testing.T) {
	s := stack.New(t)
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	const events = 5000 // more than two requests
	formats := map[string]func(n int) string{
		"events": func(n int) string {
			return fmt.Sprintf(`{"event":"e%d","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i%d","n":%d}}`, n%3, stack.Start.Unix()-int64(n), n%50, n, n)
		},
		"mixpanel": func(n int) string { // without an id: one is made of the line and its place
			return fmt.Sprintf(`{"event":"e%d","properties":{"time":%d,"distinct_id":"u%d","n":%d}}`, n%3, stack.Start.Unix()-int64(n), n%50, n)
		},
		"amplitude": func(n int) string {
			return fmt.Sprintf(`{"event_type":"e%d","event_time":"2026-01-02 10:%02d:00.123000","user_id":"u%d","device_id":"d","uuid":"uuid-%d","$insert_id":"i%d","event_properties":{"n":%d}}`, n%3, n%60, n%50, n, n, n)
		},
		"posthog": func(n int) string {
			return fmt.Sprintf(`{"uuid":"uuid-%d","event":"e%d","properties":"{\"n\":%d}","distinct_id":"u%d","timestamp":"2026-01-02 10:%02d:00.123456"}`, n, n%3, n, n%50, n%60)
		},
	}
	for format, line := range formats {
		var lines []string
		for n := range events {
			lines = append(lines, line(n))
		}
		importLines(t, server.URL, format, format, lines)
		want := []string{fmt.Sprintf("%d\t%d\t%d", events, events, events*(events-1)/2)}
		ask := "SELECT COUNT(*), COUNT(DISTINCT n), SUM(n) FROM " + format + ".events"
		if got := s.Rows(t, ask); !slices.Equal(got, want) {
			t.Errorf("%s: once: %q, want %q", format, got, want)
		}
		importLines(t, server.URL, format, format, lines)
		if got := s.Rows(t, ask); !slices.Equal(got, want) {
			t.Errorf("%s: twice: %q, want %q", format, got, want)
		}
		hidden := fmt.Sprintf("%d\t%d", 2*events, events)
		if got := s.One(t, "SELECT COUNT(*), SUM(_dup_kind = 'retry') FROM "+format+".events_all"); got != hidden {
			t.Errorf("%s: stored and hidden as retries are %s, want %s", format, got, hidden)
		}
	}
	secret := s.One(t, "SELECT secret FROM arbor.projects WHERE name = 'amplitude'")
	w := s.Do("GET", "/api/2.0/export?from_date=2026-01-01&to_date=2026-01-31", secret, "")
	exported := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	for range 2 {
		importLines(t, server.URL, "copy", "mixpanel", exported)
	}
	const rows = "SELECT event, distinct_id, insert_id, properties FROM %s.events ORDER BY n"
	if got, want := s.Rows(t, fmt.Sprintf(rows, "copy")), s.Rows(t, fmt.Sprintf(rows, "amplitude")); len(got) != events || !slices.Equal(got, want) {
		t.Errorf("the copy has %d events, want %d", len(got), len(want))
	}
}
