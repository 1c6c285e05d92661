package gateway

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"arbor/catalog"
)

// ErrTooFast says that a project sends more events than the setting max_ingest_rate lets it.
var ErrTooFast = errors.New("too many events")

// tooFast is ErrTooFast with the time after which it is worth trying again.
type tooFast struct {
	project string
	rate    int64
	wait    time.Duration
}

func (e *tooFast) Error() string {
	return fmt.Sprintf("%s: project %s sends more than the %d events a second that the setting max_ingest_rate lets it; try again in %s", ErrTooFast, e.project, e.rate, e.wait.Round(time.Millisecond))
}

func (e *tooFast) Unwrap() error { return ErrTooFast }

// seconds is what Retry-After says.
func (e *tooFast) seconds() int { return max(busyRetryAfter, int(math.Ceil(e.wait.Seconds()))) }

// ingestRates hold the events that projects send over HTTP to a rate. A project has a
// second's events in hand. What a request has beyond that it may store all the same, for
// its size is known when it has been read; the next ones wait until it is made up for.
type ingestRates struct {
	mu   sync.Mutex // guards what follows
	used map[catalog.ProjectID]ingestUse
}

// ingestUse is how many events of a project were not made up for at a time.
type ingestUse struct {
	events float64
	at     time.Time
}

// admit refuses a project's request if events of before are not made up for.
func (r *ingestRates) admit(p *catalog.Project, rate int64, now time.Time) error {
	if rate == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	over := r.left(p.ID, rate, now) - float64(rate)
	if over <= 0 {
		return nil
	}
	return &tooFast{project: p.Name, rate: rate, wait: time.Duration(over / float64(rate) * float64(time.Second))}
}

// took counts events that were stored.
func (r *ingestRates) took(p *catalog.Project, rate int64, now time.Time, events int) {
	if rate == 0 || events == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used == nil {
		r.used = make(map[catalog.ProjectID]ingestUse)
	}
	r.used[p.ID] = ingestUse{r.left(p.ID, rate, now) + float64(events), now}
}

// left is how many events are not made up for now. mu is held.
func (r *ingestRates) left(id catalog.ProjectID, rate int64, now time.Time) float64 {
	u := r.used[id]
	if now.Before(u.at) {
		return u.events
	}
	return max(0, u.events-now.Sub(u.at).Seconds()*float64(rate))
}

// admitEvents refuses a request for a project that sends too much.
func (g *Gateway) admitEvents(p *catalog.Project) error {
	return g.rates.admit(p, g.Catalog().MaxIngestRate(), g.now())
}

// tookEvents counts what a request has stored.
func (g *Gateway) tookEvents(p *part) {
	g.rates.took(p.project, g.Catalog().MaxIngestRate(), g.now(), p.stored)
}
