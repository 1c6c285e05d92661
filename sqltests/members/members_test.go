package members

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"arbor/cluster/protocol"
	"arbor/sqltests/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func events(from, to int) string {
	var lines []string
	for n := from; n < to; n++ {
		lines = append(lines, fmt.Sprintf(`{"event":"view","properties":{"time":1768300000,"distinct_id":"u%d","$insert_id":"i%d","n":%d,"text":%q}}`,
			n%97, n, n, strings.Repeat("x", n%50)))
	}
	return "[" + strings.Join(lines, ",") + "]"
}

// TestReadYourWritesThroughAnyGateway: what one member has acknowledged, all count.
func TestReadYourWritesThroughAnyGateway(t *testing.T) {
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 2, Slots: 4})
	token := g.Members[0].Project(t, "shop")
	total := 0
	for i := range 9 {
		g.Members[i%3].Stack.Import(t, token, events(total, total+20))
		total += 20
		for k, m := range g.Members {
			if got := m.One(t, "SELECT COUNT(*) FROM shop.events"); got != fmt.Sprint(total) {
				t.Errorf("written through %d, read through %d: %s of %d", i%3, k, got, total)
			}
		}
		if i == 4 {
			if err := g.Members[1].Cluster.Index(t.Context(), 0, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.Members[2].Rows(t, "INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('x', '2026-01-13 10:00:00', 'u1', 'i1'), ('view', '2026-01-13 10:00:00', 'u2', 'new')")
	if got := g.Members[0].One(t, "SELECT COUNT(*) FROM shop.events WHERE insert_id = 'new'"); got != "1" {
		t.Error(got)
	}
}

// TestDeathInTheMiddleOfAnAnswer: the member that scans dies after its first piece.
func TestDeathInTheMiddleOfAnAnswer(t *testing.T) {
	t.Parallel()
	for _, question := range []string{
		"SELECT insert_id, n FROM shop.events ORDER BY n, insert_id",
		"SELECT insert_id, COUNT(*), MAX(n) FROM shop.events GROUP BY insert_id ORDER BY MAX(n)",
	} {
		l := newLines(0)
		g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Far: true, Lines: l.line})
		token := g.Members[0].Project(t, "shop")
		const total = 20_000
		for n := 0; n < total; n += 2000 {
			g.Members[0].Stack.Import(t, token, events(n, n+2000))
		}
		want := g.Members[0].Rows(t, question)
		if len(want) != total {
			t.Fatalf("%d rows", len(want))
		}
		var once sync.Once
		died := make(chan struct{})
		l.mu.Lock()
		l.piece = func(from protocol.MemberID) {
			once.Do(func() {
				go func() {
					defer close(died)
					for _, m := range g.Members {
						if m.ID == from {
							m.Kill(t)
						}
					}
				}()
			})
			<-died
		}
		l.mu.Unlock()
		if got := g.Members[0].Rows(t, question); !slices.Equal(got, want) {
			t.Errorf("%s: %d rows after a death, want %d", question, len(got), total)
		}
		select {
		case <-died:
		default:
			t.Error("nobody died")
		}
	}
}

// TestWhoIsAwayIsNamed: tables about members have a row for one that is away, and what
// cannot be complete is not answered.
func TestWhoIsAwayIsNamed(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3})
	first := g.Members[0]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 100))
	away := g.Members[2]
	away.Kill(t)
	name := away.ID.String()
	for _, table := range []string{"jobs", "alarms", "files"} {
		described, err := first.Cluster.Describe(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, row := range described.Rows {
			if row[len(row)-1].Text == name {
				found++
			}
		}
		if found != 1 || described.Columns[len(described.Columns)-1].Name != "member" {
			t.Errorf("%s: %d rows of the member that is away", table, found)
		}
	}
	if got := first.One(t, "SELECT SUM(logged_events) FROM arbor.shards"); got != "100" {
		t.Errorf("each shard once: %s events", got)
	}
	if rows := first.Rows(t, "CHECK TABLE shop.events"); !strings.Contains(strings.Join(rows, "\n"), name) {
		t.Errorf("check: %q", rows)
	}
	if err := first.Cluster.Index(t.Context(), 0, true); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("index: %v", err)
	}
	g.Members[1].Kill(t)
	w := first.Do(http.MethodPost, "/query", "root", "SELECT COUNT(*) FROM shop.events")
	bucket := protocol.BucketOf(first.Catalog().Projects[0].Shard(0, "", ""))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), fmt.Sprint("[", bucket, "]")) {
		t.Errorf("one of three is left: %d %s", w.Code, w.Body)
	}
	w = first.Do(http.MethodPost, "/import", token, events(100, 101))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a write then: %d %s", w.Code, w.Body)
	}
}
