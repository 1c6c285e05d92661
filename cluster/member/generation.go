package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

// ErrOnlyCopy: what is lost is on no majority of other members.
var ErrOnlyCopy = errors.New("no majority of other members has what is lost")

// brokenWithin bounds how long the metadata is told of a broken disk.
const brokenWithin = 10 * time.Second

// Broken puts on record that what this member has on disk cannot be believed. It
// comes back under its next generation, and until it has that not at all. A disk that
// cannot take the record either leaves it to the metadata: what was read back from
// such a disk may never have reached it.
func (m *Member) Broken(why error) {
	m.breaking.Add(1)
	defer m.breaking.Done()
	m.logger.Error("this member's disk cannot be believed any more: it has to start again, under another identity", "error", why)
	m.mu.Lock()
	m.identity.Lost = true
	err := m.identity.write(m.o.FS, m.o.Dir)
	generation := m.identity.Generation
	m.mu.Unlock()
	if err == nil {
		return
	}
	if told := m.disown(generation); told != nil {
		m.logger.Error("that this member's disk is broken could be put neither on its own record nor on the cluster's: do not start it again with this disk, but have it replaced",
			"error", errors.Join(err, told))
		return
	}
	m.logger.Warn("this member's own record could not be written; the cluster has it that the disk is broken", "error", err)
}

// disown has the metadata count a generation as lost. What no majority of others has is
// not given up: it is better read again than nowhere.
func (m *Member) disown(generation uint32) error {
	group, err := m.ready()
	if err != nil {
		return err
	}
	only, err := m.only(allBuckets())
	if err != nil {
		return err
	}
	if len(only) > 0 {
		return onlyCopy(len(only))
	}
	ctx, cancel := context.WithTimeout(m.ctx, brokenWithin)
	defer cancel()
	return group.Commit(ctx, consensus.Lost{ID: m.identity.id, Generation: generation})
}

// Generation gives the generation under which the member takes up what comes to it.
// A member that never had one, or one that is not the metadata's, and one whose disk
// broke, gets its next one, after forget has had the data plane give up what it has.
// Held are the buckets that it has something of. This waits for a leader, for as long
// as ctx allows.
//
// Where the disk broke, what no majority of others has is kept: it was synced before it
// was acknowledged, and read again and compared with its checksums at this start. A
// directory that is older than the metadata lacks what came since, and is refused if
// others cannot make that good.
func (m *Member) Generation(ctx context.Context, held func(context.Context) ([]protocol.Bucket, error), forget func(context.Context, []protocol.Bucket) error) (uint32, error) {
	self, err := m.self()
	if err != nil {
		return 0, err
	}
	mine := m.identity.Generation
	switch {
	case self.Generation == 0 || mine == 0:
		return m.raise(ctx, self.Generation, nil)
	case self.Generation == mine && !m.identity.Lost:
		return mine, nil
	case !m.identity.Lost && raised(self, mine):
		m.mu.Lock()
		defer m.mu.Unlock()
		m.identity.Generation = self.Generation
		return self.Generation, m.identity.write(m.o.FS, m.o.Dir)
	}
	all, err := held(ctx)
	if err != nil {
		return 0, err
	}
	only, err := m.only(all)
	if err != nil {
		return 0, err
	}
	if len(only) > 0 && (self.Generation != mine || m.identity.Stale) {
		return 0, onlyCopy(len(only))
	}
	if len(only) > 0 {
		m.logger.Error("this member's disk broke, and it has the only copy of some buckets: it keeps those", "buckets", len(only))
	}
	if err := forget(ctx, slices.DeleteFunc(all, func(b protocol.Bucket) bool { return slices.Contains(only, b) })); err != nil {
		return 0, fmt.Errorf("give up what is not to be believed: %w", err)
	}
	var kept []byte
	if len(only) > 0 {
		kept = bits(only)
	}
	for from := self.Generation; ; {
		// One that the directory had before is never taken up again.
		generation, err := m.raise(ctx, from, kept)
		if err != nil || generation > mine {
			return generation, err
		}
		from = generation
	}
}

// raised says whether the metadata's generation is that which a member asked for when
// it lost some buckets and kept others, and ended before it had put that on its own
// record.
func raised(self *consensus.Member, mine uint32) bool {
	if len(self.Losses) == 0 || self.Generation != mine+1 {
		return false
	}
	last := self.Losses[len(self.Losses)-1]
	return last.Generation == mine && last.Kept != nil
}

// bits has a bit for each of the buckets, the lowest first.
func bits(buckets []protocol.Bucket) []byte {
	b := make([]byte, consensus.MaxKeptBytes)
	for _, bucket := range buckets {
		b[bucket/8] |= 1 << (bucket % 8)
	}
	return b
}

// LostBuckets has the member's generation raised because it lost something of some
// buckets. Held are those that it holds under an identity which it has taken up:
// of them it keeps the others.
func (m *Member) LostBuckets(ctx context.Context, lost, held []protocol.Bucket) (uint32, error) {
	only, err := m.only(lost)
	if err != nil {
		return 0, err
	}
	if len(only) > 0 {
		return 0, onlyCopy(len(only))
	}
	self, err := m.self()
	if err != nil {
		return 0, err
	}
	kept := slices.DeleteFunc(slices.Clone(held), func(b protocol.Bucket) bool { return slices.Contains(lost, b) })
	return m.raise(ctx, self.Generation, bits(kept))
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
		m.identity.Lost, m.identity.Stale, m.identity.Generation = false, false, self.Generation
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

// only are those of the buckets that no majority of other members has.
func (m *Member) only(buckets []protocol.Bucket) ([]protocol.Bucket, error) {
	s, placed, _, err := m.placed()
	if err != nil {
		return nil, err
	}
	return needs(s, placed, m.identity.id, buckets), nil
}

// onlyCopy refuses to give up what other members could not make good.
func onlyCopy(buckets int) error {
	return fmt.Errorf("%w: it is so of %d buckets; put the damaged files back from a copy, or restore a backup", ErrOnlyCopy, buckets)
}
