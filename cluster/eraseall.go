package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
)

// memberEraser erases on all members. Whoever is away keeps an erasure from being done,
// not from being hidden: what the member has it erases when it is back. So that none gets
// back what it erased, each takes what is erased out of all batches and files that come
// from others, and counts their names as held all the same.
type memberEraser struct {
	members *Members
	local   Eraser
}

// errStillErasing: some members have not erased yet.
var errStillErasing = errors.New("not erased everywhere yet")

// CountErasure counts on one replica that has all that was acknowledged, once every member
// takes in no more of it.
func (e memberEraser) CountErasure(ctx context.Context, id catalog.IngestID) (counted catalog.CountErasure, err error) {
	m := e.members
	if err := m.eraseOnAll(ctx, eraseAsk{ID: id}); err != nil {
		return counted, err
	}
	c := m.catalogNow()
	of, _, ok := c.Erasure(id)
	if !ok {
		return counted, fmt.Errorf("count erasure %s: %w", id, catalog.ErrNoErasure)
	}
	body, err := json.Marshal(id)
	if err != nil {
		return counted, err
	}
	bucket := protocol.BucketOf(catalog.ShardKey{Project: of.Project, Bucket: of.Bucket})
	parts, err := m.driver.Query(ctx, append(newPlan(planErasure, c), body...), []protocol.Bucket{bucket}, func() (replication.Part, error) { return &erasedPart{}, nil })
	if err != nil {
		return counted, m.askError("what is to be erased", err)
	}
	for _, p := range parts {
		counted = p.(*erasedPart).counted
	}
	counted.ID = id
	return counted, nil
}

// Erase has every member erase, those included that come meanwhile: one that comes after
// all have erased gets nothing any more that is to go.
func (e memberEraser) Erase(ctx context.Context, id catalog.IngestID) error {
	return e.members.eraseOnAll(ctx, eraseAsk{ID: id, Erase: true})
}

// eraseAsk is a request about an erasure, as JSON: to take in no more of it, or to erase.
type eraseAsk struct {
	ID    catalog.IngestID
	Erase bool
}

// eraseOnAll asks all members, until there is none that was not asked.
func (m *Members) eraseOnAll(ctx context.Context, a eraseAsk) error {
	request, err := json.Marshal(a)
	if err != nil {
		return err
	}
	asked := map[protocol.MemberID]bool{}
	for {
		var group errgroup.Group
		for _, id := range m.o.Keeping() {
			if asked[id] {
				continue
			}
			asked[id] = true
			group.Go(func() error {
				if err := m.askErase(ctx, id, request); err != nil {
					return fmt.Errorf("%w: member %s: %w", errStillErasing, id, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		more := false
		for _, id := range m.o.Keeping() {
			more = more || !asked[id]
		}
		if !more {
			return nil
		}
	}
}

func (m *Members) askErase(ctx context.Context, id protocol.MemberID, request []byte) (err error) {
	if id == m.o.Member {
		_, err = m.answerErase(ctx, id, request)
		return err
	}
	peers := m.peers.Load()
	if peers == nil {
		return errNotStarted
	}
	_, err = (*peers).Call(ctx, id, callErase, request)
	return err
}

// answerErase does what another member asks about an erasure.
func (m *Members) answerErase(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	var a eraseAsk
	if err := json.Unmarshal(request, &a); err != nil {
		return nil, fmt.Errorf("request about an erasure: %w", err)
	}
	if _, err := m.await(ctx, func(c *catalog.Catalog) bool { _, _, ok := c.Erasure(a.ID); return ok }); err != nil {
		return nil, err
	}
	local, ok := m.o.Engine.(Eraser)
	if !ok {
		return nil, ErrNotErasable
	}
	if !a.Erase {
		return nil, m.writing.wait(ctx)
	}
	if err := local.Erase(ctx, a.ID); err != nil {
		return nil, err
	}
	m.mu.Lock()
	purge := m.purgeTables
	m.mu.Unlock()
	if purge == nil {
		return nil, errNotStarted
	}
	return nil, purge(ctx, rowsErased(a.ID))
}

// countErased answers the plan of an erasure.
func (m *Members) countErased(ctx context.Context, body []byte, send func([]byte) error) error {
	var id catalog.IngestID
	if err := json.Unmarshal(body, &id); err != nil {
		return fmt.Errorf("%w: an erasure's id: %w", errPlan, err)
	}
	local, ok := m.o.Engine.(Eraser)
	if !ok {
		return ErrNotErasable
	}
	counted, err := local.CountErasure(ctx, id)
	if err != nil {
		return err
	}
	b, err := json.Marshal(counted)
	if err != nil {
		return err
	}
	return send(b)
}

// erasedPart is a part that says what an erasure is going to remove.
type erasedPart struct{ counted catalog.CountErasure }

// Add takes it.
func (p *erasedPart) Add(piece []byte) error {
	if err := json.Unmarshal(piece, &p.counted); err != nil {
		return fmt.Errorf("%w: what is to be erased: %w", replication.ErrElsewhere, err)
	}
	return nil
}

// Drop forgets it.
func (p *erasedPart) Drop() { p.counted = catalog.CountErasure{} }

// writing knows the appends under way, so that somebody can wait for those of before.
type writing struct {
	mu    sync.Mutex // guards under
	under map[chan struct{}]struct{}
}

// depart says that an append begins; the func that it returns, that it is over.
func (w *writing) depart() (landed func()) {
	done := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under == nil {
		w.under = map[chan struct{}]struct{}{}
	}
	w.under[done] = struct{}{}
	return func() {
		w.mu.Lock()
		delete(w.under, done)
		w.mu.Unlock()
		close(done)
	}
}

// wait returns when all that are under way now are over.
func (w *writing) wait(ctx context.Context) error {
	w.mu.Lock()
	var under []chan struct{}
	for done := range w.under {
		under = append(under, done)
	}
	w.mu.Unlock()
	for _, done := range under {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
