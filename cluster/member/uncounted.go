package member

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"arbor/cluster/consensus"
)

// A member that starts on a full disk cannot count the start, and so it announces
// nothing: a later start under the same count would be taken for a copy's. It answers
// what it can, takes part in nothing that has to be written, and asks the others now and
// then whether a later start of its directory is known, as whoever announces itself would
// be told. As soon as there is room it counts the start, and says that it is there.

// count makes the start durable before anybody hears of it. A full disk is no error.
func (m *Member) count() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.identity.Boot++
	err := m.identity.write(m.o.FS, m.o.Dir)
	if err == nil {
		m.uncounted = false
		return nil
	}
	m.identity.Boot--
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	if !m.uncounted {
		m.logger.Error("the disk is full: this member takes no writes, and no part in what the cluster decides, until there is room", "data", m.o.Dir, "error", err)
	}
	m.uncounted = true
	return nil
}

func (m *Member) isUncounted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uncounted
}

// hearUncounted waits until a leader has said how far what this member has on disk was
// agreed on, or there is room.
func (m *Member) hearUncounted(ctx context.Context, here func(*consensus.State) bool) error {
	for late := time.Now().Add(hearWithin); ; {
		some, cancel := context.WithTimeout(ctx, retryEvery)
		err := m.group.Load().Wait(some, here)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := m.count(); err != nil || !m.isUncounted() {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("%w for %s, and the disk of %s is full: %w", ErrNotHeard, hearWithin, m.o.Dir, syscall.ENOSPC)
		}
	}
}

// arriveUncounted lets a member begin whose start is not counted yet.
func (m *Member) arriveUncounted(ctx context.Context) error {
	if err := m.lookForLater(ctx); err != nil {
		return err
	}
	m.running.Go(m.countLate)
	return nil
}

// countLate counts the start as soon as there is room, and then announces it.
func (m *Member) countLate() {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		err := m.count()
		if err == nil && !m.isUncounted() {
			m.logger.Info("there is room on the disk again")
			m.announceLate()
			return
		}
		if err == nil {
			err = m.lookForLater(m.ctx)
		}
		if err != nil && m.ctx.Err() == nil {
			m.fail(err)
			return
		}
	}
}

// lookForLater is an error if another member knows of a later start than this one's. Who
// does not answer, or is too old to, says nothing.
func (m *Member) lookForLater(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex // guards latest
	latest := uint64(0)
	for _, id := range m.known() {
		if id == m.identity.id {
			continue
		}
		asking.Go(func() {
			if b, err := m.node.Call(ctx, id, callBoot, nil); err == nil && len(b) == 8 {
				mu.Lock()
				defer mu.Unlock()
				latest = max(latest, binary.LittleEndian.Uint64(b))
			}
		})
	}
	asking.Wait()
	m.mu.Lock()
	boot := m.identity.Boot
	m.mu.Unlock()
	if latest > boot {
		return m.explain(fmt.Errorf("%w: it has started for time %d, and the member for time %d", consensus.ErrStaleBoot, boot, latest))
	}
	return nil
}

// answerBoot says how often the caller has started, as far as it is known here.
func (m *Member) answerBoot(_ context.Context, from MemberID, _ []byte) ([]byte, error) {
	s := m.state()
	if s == nil {
		return nil, ErrNotReady
	}
	self, ok := s.Member(from)
	if !ok {
		return nil, consensus.ErrNoMember
	}
	return binary.LittleEndian.AppendUint64(nil, self.Boot), nil
}
