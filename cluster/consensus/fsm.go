package consensus

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// maxStateBytes bounds a state that is read: grants, catalog and all.
const maxStateBytes = 1 << 30

// machine is raft's state machine. Raft calls its methods one at a time.
type machine struct {
	// publish is told of every state before it is the one in force.
	publish func(*State)
	// fail is told when a command cannot be understood, so that this member
	// cannot know the state any more.
	fail func(error)

	// mu guards what follows. news is closed, and made anew, when any of it, or
	// the leader, changes.
	mu     sync.Mutex
	state  *State
	halted error
	news   chan struct{}
}

func newMachine(publish func(*State), fail func(error)) *machine {
	return &machine{publish: publish, fail: fail, state: &State{Catalog: &catalog.Catalog{}, Tables: &tables.State{}}, news: make(chan struct{})}
}

// now gives the state in force and a channel that is closed when there is
// another.
func (m *machine) now() (s *State, news <-chan struct{}, halted error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.news, m.halted
}

// tell wakes those who wait for news.
func (m *machine) tell() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.news)
	m.news = make(chan struct{})
}

func (m *machine) put(s *State) {
	m.publish(s)
	m.mu.Lock()
	m.state = s
	m.mu.Unlock()
	m.tell()
}

// outcome is what Apply gives: the version of a state that has the command, and
// the command's own error.
type outcome struct {
	version uint64
	err     error
}

// Apply applies a command of the log.
func (m *machine) Apply(entry *raft.Log) any {
	state, _, halted := m.now()
	if halted != nil {
		return outcome{err: halted}
	}
	id, command, err := DecodeCommand(entry.Data)
	if err != nil {
		err = fmt.Errorf("entry %d of the metadata: %w", entry.Index, err)
		m.halt(err)
		return outcome{err: err}
	}
	next, err := state.Apply(id, command)
	m.put(next)
	return outcome{version: next.Version, err: err}
}

// halt stops the machine: what comes after a command that was not understood
// must not be applied.
func (m *machine) halt(err error) {
	m.mu.Lock()
	m.halted = err
	m.mu.Unlock()
	m.tell()
	m.fail(err)
}

// Snapshot gives the state to be written: it is immutable, so nothing waits.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	state, _, halted := m.now()
	if halted != nil {
		return nil, halted
	}
	return frozen{state}, nil
}

type frozen struct{ state *State }

// Persist writes the state.
func (f frozen) Persist(sink raft.SnapshotSink) error {
	b, err := f.state.Encode()
	if err == nil {
		_, err = sink.Write(b)
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release has nothing to free.
func (f frozen) Release() {}

// Restore replaces the state by a snapshot's.
func (m *machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxStateBytes+1))
	if err != nil {
		return err
	}
	if len(b) > maxStateBytes {
		return fmt.Errorf("%w: a state of more than %d bytes", ErrCorrupt, maxStateBytes)
	}
	state, err := DecodeState(b)
	if err != nil {
		return err
	}
	m.put(state)
	return nil
}
