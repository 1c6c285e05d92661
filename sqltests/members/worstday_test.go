package members

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine"
	"arbor/engine/vfs"
	"arbor/gateway/siphon"
	"arbor/sqltests/stack"
)

var worstDayKey = []byte("0123456789abcdef0123456789abcdef")

// sentDay is what clients have sent of a day and were told is stored: the truth that a
// recovery is held against.
type sentDay struct {
	mu     sync.Mutex     // guards what follows
	copies int            // that were acknowledged
	events map[string]int // by what makes an event one, how many there are of it
}

// send posts a request of ten events until it is acknowledged. Every other request is one
// of before once more; every fifth event cannot be told from others, and counts each time.
func (s *sentDay) send(t *testing.T, to, token string, n int) {
	var lines []string
	for i := range 10 {
		insertID := fmt.Sprintf(`,"$insert_id":"i%d-%d"`, n/2, i)
		if i%5 == 4 {
			insertID = ""
		}
		lines = append(lines, fmt.Sprintf(`{"event":"buy","properties":{"time":%d,"distinct_id":"u%d","n":%d%s}}`, stack.Start.Unix()-60, i, n/2, insertID))
	}
	r, err := http.NewRequest(http.MethodPost, to+"/import", strings.NewReader("["+strings.Join(lines, ",")+"]"))
	if err != nil {
		t.Error(err)
		return
	}
	r.SetBasicAuth(token, "")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("request %d: %s", n, answer.Status)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copies += 10
	for i := range 10 {
		key := fmt.Sprintf("u%d\t%d", i, n/2)
		if i%5 == 4 {
			s.events[key]++
		} else {
			s.events[key] = 1
		}
	}
}

// rows are the events that should be visible, as one row each, in order.
func (s *sentDay) rows() (rows []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, n := range s.events {
		for range n {
			rows = append(rows, key)
		}
	}
	slices.Sort(rows)
	return rows
}

// seen are the visible events of a member, in the same form.
func seen(t *testing.T, m *stack.GroupMember) []string {
	t.Helper()
	rows := m.Rows(t, "SELECT distinct_id, n FROM shop.events")
	slices.Sort(rows)
	return rows
}

const everyCopy = "SELECT _ingest_id, event, time, distinct_id, insert_id, n, _duplicate, _dup_of, _dup_kind FROM shop.events_all ORDER BY _ingest_id"

// TestWorstDayOnAllMembers: three members take events in through a siphon, and a bug in the
// indexer, with the proof of new files turned off, destroys most of the day on every one of
// them, trash and all. The scrub of each finds it, and arbor.loss names it. Nobody has a
// whole copy; but the siphon's copies of requests, sent to new members, give back
// every event that was acknowledged, before and after, and none twice.
func TestWorstDayOnAllMembers(t *testing.T) {
	t.Parallel()
	faults := &engine.Faults{}
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 2, Faults: faults, EdgeKey: worstDayKey})
	token := g.Members[0].Project(t, "shop")
	var upstreams []*url.URL
	for _, m := range g.Members {
		port := httptest.NewServer(m.Stack.Handler())
		t.Cleanup(port.Close)
		u, err := url.Parse(port.URL)
		if err != nil {
			t.Fatal(err)
		}
		upstreams = append(upstreams, u)
	}
	copies := vfs.NewMem()
	var clock sync.Mutex
	now := stack.Start
	edge, err := siphon.New(siphon.Options{Upstreams: upstreams, FS: copies, Dir: "siphon", Key: worstDayKey, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(edge)
	defer front.Close()
	day, requests := &sentDay{events: map[string]int{}}, 0
	ingest := func(n int) {
		var clients sync.WaitGroup
		for c := range 4 {
			from := requests
			clients.Go(func() {
				for i := from + c; i < from+n; i += 4 {
					day.send(t, front.URL, token, i)
				}
			})
		}
		clients.Wait()
		requests += n
	}
	indexAll := func(closeDays bool) {
		for _, m := range g.Members {
			if err := m.Engine.Index(t.Context(), 0, closeDays); err != nil {
				t.Fatal(err)
			}
		}
	}
	ingest(12)
	indexAll(false)
	ingest(12)
	indexAll(false)
	ingest(12)
	if got := seen(t, g.Members[1]); !slices.Equal(got, day.rows()) {
		t.Fatalf("before all this %d events are seen of %d", len(got), len(day.rows()))
	}
	want := g.Members[0].Rows(t, everyCopy)

	faults.Overwrite, faults.Unproven = true, true
	indexAll(true)
	g.Members[0].Change(t.Context(), catalog.SetSetting{Name: catalog.SettingTrashRetention, Value: "0s"})
	for _, m := range g.Members {
		m.Stack.Tick(t)
	}
	for i, m := range g.Members {
		left := m.Rows(t, "SELECT SUM(accepted) FROM arbor.balance")
		if len(left) != 1 || left[0] == fmt.Sprint(day.copies) {
			t.Fatalf("member %d accounts for %q of %d copies: nothing was destroyed", i, left, day.copies)
		}
	}
	for i, m := range g.Members {
		if err := m.Engine.Scrub(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		loss, err := m.Engine.Describe(t.Context(), "loss")
		if err != nil || len(loss.Rows) == 0 {
			t.Errorf("member %d does not know that it lost anything: %v", i, err)
		}
	}
	loss := strings.Join(g.Members[2].Rows(t, "SELECT project, day, COUNT(DISTINCT member) FROM arbor.loss GROUP BY project, day"), "\n")
	if loss != "shop\t"+stack.Start.Format(time.DateOnly)+"\t3" {
		t.Errorf("arbor.loss says %q", loss)
	}

	// Events go on coming in, and are acknowledged; what is new is in the log.
	faults.Overwrite, faults.Unproven = false, false
	ingest(8)
	front.Close()
	if err := edge.Close(); err != nil {
		t.Fatal(err)
	}

	again := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 2, EdgeKey: worstDayKey})
	again.Members[0].Project(t, "shop")
	port := httptest.NewServer(again.Members[1].Stack.Handler())
	defer port.Close()
	u, err := url.Parse(port.URL)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		done, err := siphon.Replay(t.Context(), siphon.ReplayOptions{Source: siphon.Directory(copies, "siphon"), Server: u, Key: worstDayKey,
			OldTokens: map[string]string{token: "shop"}})
		if err != nil || done.Refused > 0 || done.Requests != int64(requests) {
			t.Fatalf("replay %d: %+v %v", round, done, err)
		}
		for i, m := range again.Members {
			got := m.Rows(t, everyCopy)
			if len(got) != day.copies {
				t.Fatalf("replay %d: member %d has %d copies, acknowledged were %d", round, i, len(got), day.copies)
			}
			// The copies of after the loss have later ids.
			if !slices.Equal(withoutKinds(got[:len(want)]), withoutKinds(want)) {
				t.Errorf("replay %d: member %d has other copies than there were", round, i)
			}
			if rows := seen(t, m); !slices.Equal(rows, day.rows()) {
				t.Errorf("replay %d: member %d shows %d events, not the %d that clients sent", round, i, len(rows), len(day.rows()))
			}
			if err := m.Engine.Index(t.Context(), 0, round == 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	for c := compareAll(t, again); c.Apart > 0 || len(c.Divergences) > 0; c = compareAll(t, again) {
		if len(c.Divergences) > 0 {
			t.Fatalf("%+v", c.Divergences)
		}
	}
}

// withoutKinds are rows of everyCopy without what was made of them.
func withoutKinds(rows []string) (cut []string) {
	for _, row := range rows {
		cut = append(cut, strings.Join(strings.Split(row, "\t")[:6], "\t"))
	}
	return cut
}
