package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/tables"
)

var _ cluster.Catalogs = (*Member)(nil)

// Catalog is the catalog in force on this member.
func (m *Member) Catalog() *catalog.Catalog {
	if s := m.state(); s != nil {
		return s.Catalog
	}
	return &catalog.Catalog{}
}

// Follow has told called with the catalog in force, and with every later one.
func (m *Member) Follow(told func(*catalog.Catalog)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = told
	if m.catalog == nil { // else that of a state that is about to be in force
		m.catalog = m.Catalog()
	}
	told(m.catalog)
}

// Change has a change of the catalog agreed on. New columns do not wait for a
// leader: while there is none they are kept for later, and events go on.
func (m *Member) Change(ctx context.Context, change catalog.Change) (*catalog.Catalog, error) {
	before := m.Catalog()
	if next, err := before.Apply(change); err == nil && next == before {
		return before, nil
	}
	if seen, ok := change.(catalog.Observe); ok {
		if _, known := m.group.Load().Leader(); !known {
			m.late.add(seen)
			return before, nil
		}
	}
	if s := m.state(); s != nil {
		if err := mayChange(s, change); err != nil {
			return nil, err
		}
	}
	s, err := m.apply(ctx, consensus.Change{Change: change})
	if seen, ok := change.(catalog.Observe); ok && errors.Is(err, cluster.ErrUnavailable) && ctx.Err() == nil {
		m.late.add(seen)
		return m.Catalog(), nil
	}
	if err != nil {
		return nil, err
	}
	return s.Catalog, nil
}

// Current waits until this member has all changes of catalog and tables that were
// acknowledged before, as far as who leads knows.
func (m *Member) Current(ctx context.Context) error {
	group, err := m.ready()
	if err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, applyWithin)
	defer cancel()
	leader, known := group.Leader()
	if !known {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, consensus.ErrNoLeader)
	}
	if leader == m.identity.id {
		return nil
	}
	asked, over := group.While(ctx, leader)
	applied, err := m.askApplied(asked, leader)
	if asked.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", cluster.ErrUnavailable, consensus.ErrNoLeader)
	}
	over()
	if err == nil {
		err = group.Wait(ctx, func(s *consensus.State) bool { return s.Version >= applied })
	}
	if err != nil {
		return fmt.Errorf("catch up with the member that leads: %w", err)
	}
	return nil
}

// Tables are the mutable tables in force on this member.
func (m *Member) Tables() *tables.State {
	if s := m.state(); s != nil && s.Tables != nil {
		return s.Tables
	}
	return &tables.State{}
}

// ChangeTables has a change of the tables agreed on.
func (m *Member) ChangeTables(ctx context.Context, change tables.Change) (*tables.State, error) {
	s, err := m.apply(ctx, consensus.ChangeTables{Change: change})
	if err != nil {
		return nil, err
	}
	return s.Tables, nil
}

// PurgeTables waits until the tables here are as wanted, and leaves nothing on disk of
// what they were before.
func (m *Member) PurgeTables(ctx context.Context, wanted func(*tables.State) bool) error {
	group, err := m.ready()
	if err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	}
	if err := group.Wait(ctx, func(s *consensus.State) bool { return s.Tables != nil && wanted(s.Tables) }); err != nil {
		return fmt.Errorf("wait for the tables: %w", err)
	}
	if err := group.Purge(ctx); err != nil {
		return err
	}
	return forgetTablesBefore(m.o.FS, m.o.Dir)
}

// apply has a command of a client applied, within a bound.
func (m *Member) apply(ctx context.Context, c consensus.Command) (*consensus.State, error) {
	group, err := m.ready()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	}
	bounded, cancel := context.WithTimeout(ctx, applyWithin)
	defer cancel()
	s, err := group.Apply(bounded, c)
	switch {
	case err == nil || ctx.Err() != nil:
		return s, err
	case errors.Is(err, consensus.ErrNoLeader), errors.Is(err, consensus.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: a majority of the members that vote is needed to change anything but events: %w", cluster.ErrUnavailable, err)
	}
	return nil, err
}

// lateColumns are properties that were seen while nobody could make columns of
// them. They are in the events all the same, and get their columns when there is a
// leader again; those past the limit, or of a process that ended, when they are
// seen again.
type lateColumns struct {
	mu   sync.Mutex
	seen map[catalog.ProjectID]map[catalog.Observed]struct{}
	n    int
}

// maxLateColumns are remembered.
const maxLateColumns = 10_000

func (l *lateColumns) add(o catalog.Observe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[catalog.ProjectID]map[catalog.Observed]struct{}{}
	}
	if l.seen[o.Project] == nil {
		l.seen[o.Project] = map[catalog.Observed]struct{}{}
	}
	for _, p := range o.Properties {
		if _, ok := l.seen[o.Project][p]; !ok && l.n < maxLateColumns {
			l.seen[o.Project][p] = struct{}{}
			l.n++
		}
	}
}

func (l *lateColumns) take() (all []catalog.Observe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for project, properties := range l.seen {
		o := catalog.Observe{Project: project}
		for p := range properties {
			o.Properties = append(o.Properties, p)
		}
		all = append(all, o)
	}
	l.seen, l.n = nil, 0
	return all
}

// catchUp makes the columns that had to wait, until the member is closed.
func (m *Member) catchUp() {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-m.ctx.Done():
			return
		}
		if _, known := m.group.Load().Leader(); !known {
			continue
		}
		for _, o := range m.late.take() {
			if _, err := m.Change(m.ctx, o); err != nil && m.ctx.Err() == nil {
				m.logger.Warn("columns of new properties could not be made", "error", err) // the project was dropped, say
			}
		}
	}
}
