package faults

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// checker is the clients, and knows what they were told. Each event is sent until it
// is acknowledged, under one insert id, or once only. An answer has all that was
// acknowledged before it was asked for, nothing that was never sent, and nothing twice.
type checker struct {
	t     *testing.T
	token string
	all   []*process

	mu sync.Mutex // guards what follows
	// up has a context for each member that progress is expected of, which ends when
	// none is any more. Only what such members acknowledge and answer counts as that.
	up               map[*process]context.Context
	downs            map[*process]context.CancelFunc
	sent, acked      map[string]bool
	writes, answers  int // by members that are up
	refused, dropped int
}

// clients are how many write and how many ask.
const (
	writers = 3
	askers  = 2
)

func newChecker(t *testing.T, all []*process) *checker {
	c := &checker{t: t, all: all, up: map[*process]context.Context{}, downs: map[*process]context.CancelFunc{}, sent: map[string]bool{}, acked: map[string]bool{}}
	for _, m := range all {
		c.expect(m, true)
	}
	m := all[0]
	m.call(t, "CREATE DATABASE shop")
	c.token = m.one(t, "SELECT token FROM arbor.tokens WHERE project = 'shop'")
	for _, m := range all {
		m.eventually(t, "SELECT COUNT(*) FROM arbor.projects WHERE name = 'shop'", "1")
	}
	return c
}

// during runs something while clients write and ask.
func (c *checker) during(something func()) {
	ctx, stop := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for k := range writers {
		running.Go(func() { c.write(ctx, k) })
	}
	for k := range askers {
		running.Go(func() { c.ask(ctx, k) })
	}
	something()
}

// some is a member: most often one that is up.
func (c *checker) some(r *rand.Rand) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if m := c.all[r.IntN(len(c.all))]; c.up[m] != nil || r.IntN(8) == 0 {
			return m
		}
	}
}

// patience is how long a client waits for an answer before it asks another member, and
// noPatience how long if no progress is expected of the member, or not any more.
const (
	patience   = 20 * time.Second
	noPatience = time.Second
)

// bounded is a context for a request to a member.
func (c *checker) bounded(ctx context.Context, m *process) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	up := c.up[m]
	c.mu.Unlock()
	if up == nil {
		return context.WithTimeout(ctx, noPatience)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	stop := context.AfterFunc(up, func() { time.AfterFunc(noPatience, cancel) })
	return ctx, func() {
		stop()
		cancel()
	}
}

// write sends events until it is told to stop.
func (c *checker) write(ctx context.Context, k int) {
	r := rand.New(rand.NewPCG(uint64(k), 1))
	for n := 0; ctx.Err() == nil; n++ {
		names := make([]string, 1+r.IntN(5))
		rows := make([]string, len(names))
		for i := range names {
			names[i] = fmt.Sprintf("%d-%d-%d", k, n, i)
			rows[i] = fmt.Sprintf(`{"event":"e","properties":{"time":%d,"distinct_id":%q,"$insert_id":%q}}`, 1768300000+r.IntN(3)*86400, fmt.Sprint("u", r.IntN(50)), names[i])
		}
		c.mu.Lock()
		for _, name := range names {
			c.sent[name] = true
		}
		c.mu.Unlock()
		again := n%4 != 0
		for tries := 0; tries == 0 || again && ctx.Err() == nil; tries++ {
			m := c.some(r)
			bounded, cancel := c.bounded(ctx, m)
			code, answer, err := m.do(bounded, http.MethodPost, "/import", c.token, "["+strings.Join(rows, ",")+"]")
			cancel()
			if c.written(ctx, m, names, code, answer, err) {
				break
			}
		}
	}
}

// written takes what became of events.
func (c *checker) written(ctx context.Context, m *process, names []string, code int, answer string, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && ctx.Err() == nil:
		c.dropped++
	case err != nil:
	case code == http.StatusOK:
		for _, name := range names {
			c.acked[name] = true
		}
		if c.up[m] != nil {
			c.writes++
		}
		return true
	case code == http.StatusServiceUnavailable || code == http.StatusInsufficientStorage || code == http.StatusTooManyRequests:
		c.refused++
	default:
		c.t.Errorf("write at %s: %d %s", m.host.address, code, answer)
	}
	return false
}

var questions = []string{
	"SELECT insert_id, COUNT(*) FROM shop.events_all WHERE NOT _duplicate GROUP BY insert_id",
	"SELECT insert_id, 1 FROM shop.events ORDER BY insert_id",
	"SELECT insert_id, 1 FROM shop.events",
}

// ask asks until it is told to stop.
func (c *checker) ask(ctx context.Context, k int) {
	r := rand.New(rand.NewPCG(uint64(k), 2))
	for n := 0; ctx.Err() == nil; n++ {
		m := c.some(r)
		if err := c.compare(ctx, m, questions[n%len(questions)]); err == nil {
			c.mu.Lock()
			if c.up[m] != nil {
				c.answers++
			}
			c.mu.Unlock()
		}
	}
}

// compare asks once, and holds the answer against what is known.
func (c *checker) compare(ctx context.Context, m *process, question string) error {
	c.mu.Lock()
	before := make([]string, 0, len(c.acked))
	for name := range c.acked {
		before = append(before, name)
	}
	c.mu.Unlock()
	ctx, cancel := c.bounded(ctx, m)
	defer cancel()
	code, answer, err := m.do(ctx, http.MethodPost, "/query?format=csv", "root", question)
	if err != nil {
		return err
	}
	if code == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %s", errAnswer, answer)
	}
	rows, err := csv.NewReader(strings.NewReader(answer)).ReadAll()
	if code != http.StatusOK || err != nil || len(rows) == 0 {
		c.t.Errorf("%s at %s: %d %s %v", question, m.host.address, code, answer, err)
		return errAnswer
	}
	seen := map[string]bool{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range rows[1:] {
		if seen[row[0]] || row[1] != "1" || !c.sent[row[0]] {
			c.t.Errorf("%s at %s: %q is counted twice, or was never sent", question, m.host.address, row)
			err = errors.Join(err, errAnswer)
		}
		seen[row[0]] = true
	}
	missing := 0
	for _, name := range before {
		if !seen[name] {
			missing++
		}
	}
	if missing > 0 {
		c.t.Errorf("%s at %s: %d of %d that were acknowledged before are not counted", question, m.host.address, missing, len(before))
		err = errors.Join(err, errAnswer)
	}
	return err
}

// pass waits until members that are up have acknowledged and answered more.
func (c *checker) pass(what string, writes, answers int) {
	c.t.Helper()
	c.mu.Lock()
	writes, answers = writes+c.writes, answers+c.answers
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.t.Context(), healedWithin)
	defer cancel()
	for {
		c.mu.Lock()
		done := c.writes >= writes && c.answers >= answers
		c.mu.Unlock()
		if done || c.t.Failed() {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("clients do not get on: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// expect says whether progress is expected of a member.
func (c *checker) expect(m *process, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if down := c.downs[m]; down != nil {
		down()
	}
	delete(c.up, m)
	if up {
		c.up[m], c.downs[m] = context.WithCancel(c.t.Context())
	}
}

// healed waits until a member answers, and answers right.
func (c *checker) healed(m *process) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), healedWithin)
	defer cancel()
	for {
		err := c.compare(ctx, m, questions[0])
		if err == nil || c.t.Failed() {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("the member at %s has no answer after its fault has ended: %v\n%s", m.host.address, err, m.log)
		}
	}
}
