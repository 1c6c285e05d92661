package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

// ErrOnlyCopy: what is lost is on no majority of other members.
var ErrOnlyCopy = errors.New("no majority of other members has what is lost")

// Broken puts on record that what this member has on disk cannot be believed. It
// comes back under its next generation, and until it has that not at all.
func (m *Member) Broken(why error) {
	m.logger.Error("this member's disk cannot be believed any more: it has to start again, under another identity", "error", why)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.identity.Lost = true
	if err := m.identity.write(m.o.FS, m.o.Dir); err != nil {
		m.logger.Error("that this member's disk is broken could not be put on its own record", "error", err)
	}
}

// Generation gives the generation under which the member takes up what comes to it.
// A member that never had one, or one that is not the metadata's, and one whose disk
// broke, gets its next one: then forget has the data plane give up all that it has
// before. This waits for a leader, for as long as ctx allows.
func (m *Member) Generation(ctx context.Context, forget func(context.Context) error) (uint32, error) {
	self, err := m.self()
	if err != nil {
		return 0, err
	}
	if !m.identity.Lost && self.Generation > 0 && self.Generation == m.identity.Generation {
		return self.Generation, nil
	}
	if self.Generation > 0 && m.identity.Generation > 0 {
		if err := m.bears(allBuckets()); err != nil {
			return 0, err
		}
		if err := forget(ctx); err != nil {
			return 0, fmt.Errorf("give up what is not to be believed: %w", err)
		}
	}
	return m.raise(ctx, self.Generation, nil)
}

// LostBuckets has the member's generation raised because it lost something of some
// buckets. Held are those that it holds under an identity which it has taken up:
// of them it keeps the others.
func (m *Member) LostBuckets(ctx context.Context, lost, held []protocol.Bucket) (uint32, error) {
	if err := m.bears(lost); err != nil {
		return 0, err
	}
	self, err := m.self()
	if err != nil {
		return 0, err
	}
	kept := make([]byte, consensus.MaxKeptBytes)
	for _, b := range held {
		kept[b/8] |= 1 << (b % 8)
	}
	for _, b := range lost {
		kept[b/8] &^= 1 << (b % 8)
	}
	return m.raise(ctx, self.Generation, kept)
}

func (m *Member) self() (*consensus.Member, error) {
	if s := m.state(); s != nil {
		if self, ok := s.Member(m.identity.id); ok {
			return self, nil
		}
	}
	return nil, ErrNotReady
}

// raise waits for a leader and has the generation that follows.
func (m *Member) raise(ctx context.Context, from uint32, kept []byte) (uint32, error) {
	for {
		s, err := m.apply(ctx, consensus.Lost{ID: m.identity.id, Generation: from, Kept: kept})
		if errors.Is(err, cluster.ErrUnavailable) && ctx.Err() == nil {
			m.logger.Warn("this member needs another generation, and the cluster has no leader now: it waits")
			select {
			case <-time.After(retryEvery):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("get another generation: %w", err)
		}
		self, ok := s.Member(m.identity.id)
		if !ok {
			return 0, consensus.ErrNoMember
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.identity.Lost, m.identity.Generation = false, self.Generation
		return self.Generation, m.identity.write(m.o.FS, m.o.Dir)
	}
}

func allBuckets() []protocol.Bucket {
	all := make([]protocol.Bucket, protocol.Buckets)
	for b := range all {
		all[b] = protocol.Bucket(b)
	}
	return all
}

// bears refuses to give up what other members could not make good.
func (m *Member) bears(buckets []protocol.Bucket) error {
	s := m.state()
	if s == nil {
		return ErrNotReady
	}
	placed, _, err := m.planner.placement(s)
	if err != nil {
		return err
	}
	some := &protocol.Placement{}
	for _, b := range buckets {
		some.Configs = append(some.Configs, placed.Configs[b])
	}
	if n := needs(some, m.identity.id); n > 0 {
		return fmt.Errorf("%w: it is so of %d buckets; put the damaged files back from a copy, or restore a backup", ErrOnlyCopy, n)
	}
	return nil
}
