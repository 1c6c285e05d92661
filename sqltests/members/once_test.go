package members

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"arbor/sqltests/stack"
)

var rounds = flag.Int("rounds", 4, "how many faults")

// TestEventsCountOnce: members die, come back, are cut off, hang and hand their buckets
// over, while clients write to and ask all of them. What was acknowledged before a
// question is in its answer, what was never sent is not, and nothing is there twice,
// also without dedupe.
func TestEventsCountOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		members int
		loss    float64
	}{{3, 0}, {5, 0.03}} {
		t.Run(fmt.Sprintf("%d members", test.members), func(t *testing.T) {
			l := newLines(test.loss)
			g := stack.NewGroup(t, stack.GroupOptions{Members: test.members, Replicas: 3, Slots: 4, Lines: l.line})
			c := &checker{t: t, group: g, lines: l, acked: map[string]bool{}, submitted: map[string]bool{}, up: map[int]http.Handler{}}
			c.token = g.Members[0].Project(t, "shop")
			for i, m := range g.Members {
				c.up[i] = m.Handler()
			}
			c.play()
		})
	}
}

// checker knows what was submitted and what was acknowledged.
type checker struct {
	t     *testing.T
	group *stack.Group
	lines *lines
	token string

	mu               sync.Mutex // guards what follows
	up               map[int]http.Handler
	ctx              context.Context
	acked, submitted map[string]bool
	writes, answers  int
}

func (c *checker) play() {
	stop := make(chan struct{})
	c.ctx = c.t.Context()
	var clients sync.WaitGroup
	client := func(k uint64, do func(r *rand.Rand, n int)) {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(k, 3))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					do(r, n)
				}
			}
		})
	}
	for k := range uint64(6) {
		client(k, func(r *rand.Rand, n int) { c.write(r, fmt.Sprintf("%d:%d", k, n)) })
	}
	for k := range uint64(4) {
		client(10+k, func(r *rand.Rand, _ int) { c.ask(c.some(r)) })
	}
	r := rand.New(rand.NewPCG(uint64(len(c.group.Members)), 4))
	n := *rounds
	if testing.Short() {
		n = min(n, 4)
	}
	for round := range n {
		undo := c.fault(round%4, r)
		c.pass(10, 5)
		undo()
		c.pass(5, 3)
	}
	c.mu.Lock()
	var giveUp context.CancelFunc
	c.ctx, giveUp = context.WithCancel(c.t.Context())
	c.mu.Unlock()
	giveUp()
	close(stop)
	clients.Wait()
	c.ctx = c.t.Context()
	c.lines.mu.Lock()
	c.lines.loss = 0
	c.lines.mu.Unlock()
	c.until("the moves have ended", func() bool { return !c.group.Moving(c.t) })
	for i := range c.up {
		if !c.ask(c.up[i]) {
			c.t.Errorf("member %d has no answer after all faults have ended", i)
		}
	}
	for _, m := range c.group.Members {
		if err := m.Broken.Load(); err != nil {
			c.t.Error(*err)
		}
	}
	c.t.Logf("%d writes acknowledged of %d, %d answers", len(c.acked), len(c.submitted), c.answers)
}

// fault lets something happen to somebody, and gives what undoes it.
func (c *checker) fault(kind int, r *rand.Rand) (undo func()) {
	members := c.group.Members
	victim := r.IntN(len(members))
	m := members[victim]
	switch kind {
	case 0:
		c.mu.Lock()
		delete(c.up, victim)
		c.mu.Unlock()
		m.Kill(c.t)
		return func() {
			m.Open(c.t)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.up[victim] = m.Handler()
		}
	case 1:
		var all []int
		for i := range members {
			all = append(all, (victim+i)%len(members))
		}
		c.group.Place(c.t, c.group.Nodes(all[:max(3, len(all)-1)]...), 2+r.IntN(2))
		return func() { c.until("the moves have ended", func() bool { return !c.group.Moving(c.t) }) }
	case 2:
		return m.Disk.Hang()
	}
	ids := c.group.IDs()
	c.lines.isolate(m.ID, ids, true)
	return func() { c.lines.isolate(m.ID, ids, false) }
}

func (c *checker) some(r *rand.Rand) http.Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if h := c.up[r.IntN(len(c.group.Members))]; h != nil {
			return h
		}
	}
}

func (c *checker) until(what string, ok func() bool) {
	c.t.Helper()
	for !ok() {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-c.t.Context().Done():
			c.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// pass waits for so many acknowledgements and answers more; then those who still wait,
// as for a member that is cut off, give up.
func (c *checker) pass(writes, answers int) {
	c.mu.Lock()
	ctx, giveUp := context.WithCancel(c.t.Context())
	c.ctx = ctx
	writes, answers = writes+c.writes, answers+c.answers
	c.mu.Unlock()
	defer giveUp()
	c.until("clients get on", func() bool {
		c.group.Moving(c.t)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.writes >= writes && c.answers >= answers
	})
}

// do sends a request, unless nothing goes on.
func (c *checker) do(h http.Handler, ctx context.Context, target, user, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:50000"
	req.SetBasicAuth(user, "")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// write sends an event once, to somebody.
func (c *checker) write(r *rand.Rand, name string) {
	h := c.some(r)
	c.mu.Lock()
	ctx := c.ctx
	if ctx.Err() == nil {
		c.submitted[name] = true
	}
	c.mu.Unlock()
	if ctx.Err() != nil {
		<-time.After(time.Millisecond)
		return
	}
	w := c.do(h, ctx, "/import", c.token, fmt.Sprintf(`[{"event":"e","properties":{"time":1768300000,"distinct_id":%q,"$insert_id":%q}}]`, name, name))
	switch {
	case ctx.Err() != nil: // nobody was there to be told what became of it
	case w.Code == http.StatusOK:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.acked[name] = true
		c.writes++
	case w.Code == http.StatusServiceUnavailable:
	default:
		c.t.Errorf("write: %d %s", w.Code, w.Body)
	}
}

// ask asks somebody for all events, in one of several ways, and compares.
func (c *checker) ask(h http.Handler) bool {
	c.mu.Lock()
	before := make([]string, 0, len(c.acked))
	for name := range c.acked {
		before = append(before, name)
	}
	ctx := c.ctx
	question := []string{
		"SELECT insert_id, COUNT(*) FROM shop.events_all GROUP BY insert_id",
		"SELECT insert_id, 1 FROM shop.events_all ORDER BY insert_id",
		"SELECT insert_id, 1 FROM shop.events",
	}[c.answers%3]
	c.mu.Unlock()
	if ctx.Err() != nil {
		<-time.After(time.Millisecond)
		return false
	}
	w := c.do(h, ctx, "/query?format=csv", "root", question)
	if w.Code == http.StatusServiceUnavailable || ctx.Err() != nil {
		return false
	}
	records, err := csv.NewReader(strings.NewReader(w.Body.String())).ReadAll()
	if w.Code != http.StatusOK || err != nil || len(records) == 0 {
		c.t.Errorf("%s: %d %s %v", question, w.Code, w.Body, err)
		return false
	}
	seen := map[string]bool{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	for _, row := range records[1:] {
		if seen[row[0]] || row[1] != "1" || !c.submitted[row[0]] {
			c.t.Errorf("%s: %q: it is counted twice, or was never sent", question, row)
		}
		seen[row[0]] = true
	}
	for _, name := range before {
		if !seen[name] {
			c.t.Errorf("%s: %s was acknowledged before, and is not counted", question, name)
		}
	}
	return true
}
