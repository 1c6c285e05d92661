package members

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"arbor/cluster/protocol"
	"arbor/sqltests/stack"
)

// visits are events of 97 users, of whom each has every 97th of them.
func visits(from, to int) string {
	var lines []string
	for n := from; n < to; n++ {
		lines = append(lines, fmt.Sprintf(`{"event":%q,"properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i%d","n":%d,"city":"c%d"}}`,
			[]string{"view", "buy"}[n%5/4], 1768300000+n*7%200_000, n%97, n, n, n%7))
	}
	return "[" + strings.Join(lines, ",") + "]"
}

// joins are questions that join events with events, in rows, in groups, with what is said of
// both sides, and with those that have no other side.
var joins = []string{
	"SELECT a.insert_id, b.insert_id, b.n FROM events a JOIN events b ON a.distinct_id = b.distinct_id AND b.time > a.time AND b.time < a.time + INTERVAL 1 HOUR WHERE a.event = 'buy' ORDER BY 1, 2",
	"SELECT a.city, COUNT(*), SUM(b.n), COUNT(DISTINCT b.distinct_id) FROM events a JOIN events b ON a.distinct_id = b.distinct_id AND b.n > a.n GROUP BY a.city ORDER BY 1",
	"SELECT e.event, COUNT(*), MIN(f.first) FROM events e LEFT JOIN (SELECT distinct_id, MIN(time) first FROM events WHERE event = 'buy' GROUP BY distinct_id HAVING COUNT(*) > 3) f ON e.distinct_id = f.distinct_id AND e.time >= f.first GROUP BY e.event ORDER BY 1",
	"SELECT a.insert_id FROM events a WHERE NOT EXISTS (SELECT 1 FROM events b WHERE b.distinct_id = a.distinct_id AND b.city = a.city AND b.time > a.time) ORDER BY 1",
	"SELECT a.insert_id, c.n FROM events a JOIN events b ON a.distinct_id = b.distinct_id AND b.time > a.time JOIN events c ON c.distinct_id = b.distinct_id AND c.time > b.time WHERE a.n < 60 AND b.event = 'buy' AND c.city = 'c1' ORDER BY 1, 2",
}

// TestJoinsOfMembers asks for joins through three members and one
// server that has all: after indexing and while files become others, when the member that
// gives rows dies in the middle, and when what is left cannot answer.
func TestJoinsOfMembers(t *testing.T) {
	t.Parallel()
	l := newLines(0)
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, Far: true, Lines: l.line})
	one := stack.New(t)
	token, alone := g.Members[0].Project(t, "shop"), one.Project(t, "shop")
	ask := func(h *stack.Stack, question string) []string {
		t.Helper()
		return h.Rows(t, strings.ReplaceAll(question, "FROM events", "FROM shop.events"))
	}
	const total = 3000
	send := func(from, to int) {
		t.Helper()
		g.Members[from%3].Stack.Import(t, token, visits(from, to))
		one.Import(t, alone, visits(from, to))
	}
	compare := func(when string, members ...*stack.GroupMember) (answers [][]string) {
		t.Helper()
		for _, question := range joins {
			question = strings.ReplaceAll(question, "JOIN events", "JOIN shop.events")
			want := ask(one, question)
			if len(want) == 0 {
				t.Fatalf("%s has no rows", question)
			}
			answers = append(answers, want)
			for _, m := range members {
				if got := ask(&m.Stack, question); !slices.Equal(got, want) {
					t.Errorf("%s, %s: %d rows of members, %d of one", when, question, len(got), len(want))
				}
			}
		}
		return answers
	}
	send(0, 1000)
	compare("logged", g.Members...)
	if err := g.Members[1].Cluster.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	send(1000, 2000)
	send(500, 700) // again
	compare("of files and logs", g.Members[2])

	// Files become others as soon as rows of them travel.
	var once sync.Once
	moved := make(chan error, 1)
	l.mu.Lock()
	l.piece = func(protocol.MemberID) {
		once.Do(func() { moved <- g.Members[0].Engine.Index(t.Context(), 0, true) })
	}
	l.mu.Unlock()
	compare("while files are merged", g.Members[0])
	select {
	case err := <-moved:
		if err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("no rows came from other members")
	}

	// The member that gives rows dies; the others have all events.
	send(2000, total)
	once = sync.Once{}
	died := make(chan *stack.GroupMember, 1)
	asked := g.Members[0]
	l.mu.Lock()
	l.piece = func(from protocol.MemberID) {
		once.Do(func() {
			go func() {
				for _, m := range g.Members {
					if m.ID == from && m != asked {
						m.Kill(t)
						died <- m
					}
				}
			}()
		})
	}
	l.mu.Unlock()
	compare("while a member dies", asked)
	dead := <-died

	// Another one dies: no part of an answer is given for the whole.
	for _, m := range g.Members {
		if m != asked && m != dead {
			m.Kill(t)
		}
	}
	question := strings.ReplaceAll(strings.ReplaceAll(joins[1], "FROM events", "FROM shop.events"), "JOIN events", "JOIN shop.events")
	if w := asked.Do(http.MethodPost, "/query", "root", question); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no complete answer") {
		t.Errorf("with one of three members: %d %s", w.Code, w.Body)
	}
}
