package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"arbor/engine/vfs"
	"arbor/gateway/siphon"
)

// TestReplayBesideIsCompared: what a siphon kept goes into a project beside, and the
// comparison says what the project itself lacks of it, until a replay has added that.
func TestReplayBesideIsCompared(t *testing.T) {
	first := openDay(t, vfs.NewMem(), nil, nil)
	post(t, first.url.String()+"/query", "root", "CREATE DATABASE shop")
	project, _ := first.cluster.Catalog().Project("shop")
	copies := vfs.NewMem()
	edge, err := siphon.New(siphon.Options{Upstreams: []*url.URL{first.url}, FS: copies, Dir: "siphon", Key: worstDayKey, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(edge)
	var between time.Time
	for n := range 6 {
		if n == 2 {
			between = time.Now()
		}
		post(t, front.URL+"/import", project.Token, fmt.Sprintf(`[{"event":"buy","properties":{"time":%d,"distinct_id":"u%d"}},{"event":"buy","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i%d"}}]`,
			restoreDay, n, restoreDay+86400*(n%2), n, n))
	}
	front.Close()
	if err := edge.Close(); err != nil {
		t.Fatal(err)
	}

	// Another server has lost what came first, and deleted one event of the rest.
	live := openDay(t, vfs.NewMem(), nil, nil)
	to := live.target(t)
	to.csv("CREATE DATABASE shop")
	to.csv("CREATE DATABASE shop_check")
	replay := func(into string, from time.Time) {
		t.Helper()
		done, err := siphon.Replay(t.Context(), siphon.ReplayOptions{Source: siphon.Directory(copies, "siphon"), Server: live.url, Key: worstDayKey,
			Project: "shop", Into: into, From: from, OldTokens: map[string]string{project.Token: "shop"}})
		if err != nil || done.Requests == 0 || done.Unknown > 0 {
			t.Fatal(done, err)
		}
	}
	compare := func() string {
		t.Helper()
		var out strings.Builder
		if err := diffProjects(t.Context(), &restoreServer{url: to.url, user: "root", client: http.DefaultClient}, "shop", "shop_check", &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	replay("", between)
	replay("shop_check", time.Time{})
	post(t, live.url.String()+"/query", "root", "DELETE FROM shop.events WHERE insert_id = 'i4'")
	counts := func(said, day string) string {
		for _, line := range strings.Split(said, "\n") {
			if f := strings.Fields(line); len(f) == 8 && f[0] == day {
				return strings.Join(f[1:6], " ")
			}
		}
		return "not there"
	}
	said := compare()
	if a, b := counts(said, "2026-01-13"), counts(said, "2026-01-14"); a != "6 3 0 0 1" || b != "2 1 0 0 0" || !strings.Contains(said, "shop lacks 4 events") {
		t.Errorf("the days are %q and %q:\n%s", a, b, said)
	}
	replay("", time.Time{})
	said = compare()
	if a := counts(said, "2026-01-13"); a != "9 0 0 0 1" || !strings.Contains(said, "shop lacks nothing") {
		t.Errorf("after a replay the day is %q:\n%s", a, said)
	}
	if bad := runReplay(t.Context(), replayOptions{diff: true, project: "shop"}); bad == nil || !strings.Contains(bad.Error(), "--into") {
		t.Errorf("--diff of one project: %v", bad)
	}
}
