package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

// planner moves buckets while this member leads, and tells the leader what has
// caught up while it does not.
type planner struct {
	member *Member
	start  time.Time
	woken  chan struct{}

	// mu guards what follows.
	mu      sync.Mutex
	mover   *protocol.Mover
	reports map[report]protocol.Synced // for the leader
	// placed is the placement of epoch, decoded, and wanted what it should be.
	epoch  uint64
	placed *protocol.Placement
	wanted *wanted
}

// report is what a later report of the same replacement takes the place of.
type report struct {
	from   protocol.Replica
	bucket protocol.Bucket
}

// lookEvery is how often the leader looks, when nothing wakes it.
const lookEvery = 500 * time.Millisecond

func (p *planner) reset() {
	p.start, p.woken = time.Now(), make(chan struct{}, 1)
	p.mover, p.reports = protocol.NewMover(), map[report]protocol.Synced{}
}

// wake has the planner look now.
func (p *planner) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// synced takes a report, on the leader.
func (p *planner) synced(s protocol.Synced) {
	p.mu.Lock()
	p.mover.Synced(s)
	p.mu.Unlock()
	p.wake()
}

// tell keeps a report for the leader.
func (p *planner) tell(s protocol.Synced) {
	p.mu.Lock()
	p.reports[report{s.From, s.Bucket}] = s
	p.mu.Unlock()
	p.wake()
}

func (p *planner) takeReports() (all []protocol.Synced) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.reports {
		all = append(all, s)
	}
	clear(p.reports)
	return all
}

// placement is that of a state, decoded. The caller may not change it.
func (p *planner) placement(s *consensus.State) (*protocol.Placement, *wanted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.placed == nil || p.epoch != s.PlacementEpoch {
		placed, err := protocol.DecodePlacement(s.Placement)
		if err != nil {
			return nil, nil, err
		}
		p.placed, p.epoch = placed, s.PlacementEpoch
	}
	p.wanted = want(s, p.wanted)
	return p.placed, p.wanted, nil
}

// lead plans while the member leads. It ends with the member.
func (m *Member) lead() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	led := false
	for {
		select {
		case <-ticker.C:
		case <-m.planner.woken:
		case <-m.ctx.Done():
			return
		}
		if !m.Leads() {
			led = false
			m.report()
			continue
		}
		if !led { // what earlier reports said may be of another time
			m.planner.mu.Lock()
			m.planner.mover = protocol.NewMover()
			m.planner.mu.Unlock()
			led = true
		}
		for _, s := range m.planner.takeReports() {
			m.planner.synced(s)
		}
		if err := m.place(m.ctx); err != nil && m.ctx.Err() == nil {
			m.logger.Warn("the placement could not be changed; it is tried again", "error", err)
		}
	}
}

// report tells the leader what has caught up here. What gets lost is said again.
func (m *Member) report() {
	reports := m.planner.takeReports()
	if len(reports) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, retryEvery)
	defer cancel()
	if err := m.sendSynced(ctx, reports); err != nil {
		m.logger.Debug("the leader was not told what has caught up", "error", err)
	}
}

// place takes one step: it ends what is complete, and begins what is due.
func (m *Member) place(ctx context.Context) error {
	s := m.group.Load().State()
	placed, wanted, err := m.planner.placement(s)
	if err != nil {
		return err
	}
	next := placed.Clone()
	m.planner.mu.Lock()
	ends := m.planner.mover.Due(time.Since(m.planner.start), next)
	m.planner.mu.Unlock()
	for _, end := range ends {
		if _, err := next.End(end); err != nil {
			return err
		}
	}
	begins := changes(next, wanted, maxChanges, m.Alive)
	for _, begin := range begins {
		if _, err := next.Begin(begin); err != nil {
			return err
		}
	}
	if len(ends)+len(begins) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, applyWithin)
	defer cancel()
	if _, err := m.group.Load().Apply(bounded, consensus.Place{Epoch: s.PlacementEpoch + 1, Placement: next.Encode()}); err != nil {
		if errors.Is(err, consensus.ErrEpoch) {
			return nil // another one led meanwhile
		}
		return fmt.Errorf("put placement %d in force: %w", s.PlacementEpoch+1, err)
	}
	m.logger.Debug("the placement changed", "epoch", s.PlacementEpoch+1, "ended", len(ends), "begun", len(begins))
	return nil
}
