package consensus

import (
	"errors"
	"fmt"
	"path"

	"github.com/hashicorp/raft"

	"arbor/cluster/protocol"
	"arbor/cluster/raftlog"
	"arbor/engine/vfs"
)

// Begin makes the directory that of a new group, of this member alone, with a
// state that it has already: so a catalog that was kept otherwise is taken over.
// It does all or nothing: the group exists from the moment its snapshot does.
func Begin(o Options, s *State) error {
	o.fill()
	m, ok := s.Member(o.ID)
	if !ok || m.Standing != Admitted {
		return fmt.Errorf("begin metadata: %w: the state is without this member", ErrNoMember)
	}
	store, snapshots, lock, err := openStores(o)
	if err != nil {
		return fmt.Errorf("begin metadata: %w", err)
	}
	err = begin(o.ID, s, store, snapshots)
	if err := errors.Join(err, store.Close(), lock.Close()); err != nil {
		return fmt.Errorf("begin metadata: %w", err)
	}
	return nil
}

func begin(id MemberID, s *State, store *raftlog.Store, snapshots *raftlog.Snapshots) error {
	if has, err := raft.HasExistingState(store, store, snapshots); err != nil || has {
		return errors.Join(err, ErrBegun)
	}
	encoded, err := s.Encode()
	if err != nil {
		return err
	}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, 1, 1, onlyVoter(id), 1, nil)
	if err != nil {
		return err
	}
	if _, err := sink.Write(encoded); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func onlyVoter(id MemberID) raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(id.String()), Address: raft.ServerAddress(id.String())}}}
}

// Exists says whether a directory has a group, or part of one.
func Exists(fs vfs.FS, dir string) (bool, error) {
	for _, sub := range []string{"snapshots", "log"} {
		if _, err := fs.Stat(path.Join(dir, sub)); err != nil {
			continue
		}
		names, err := fs.List(path.Join(dir, sub))
		if err != nil {
			return false, err
		}
		for _, name := range names {
			if path.Ext(name) == ".state" || path.Ext(name) == ".log" {
				return true, nil
			}
		}
	}
	return false, nil
}

// recoveredEpochs is added to the epochs of all buckets by Recover: replicas may have
// heard of later configs than this member has, and no epoch may have two.
const recoveredEpochs = 1 << 20

// recovering is the machine of a group whose state is given up in part.
type recovering struct {
	*machine
	giveUp func(*State, *protocol.Placement) error
}

// Snapshot gives the state with epochs that nobody has heard of.
func (r recovering) Snapshot() (raft.FSMSnapshot, error) {
	state, _, halted := r.now()
	if halted != nil {
		return nil, halted
	}
	placed, err := protocol.DecodePlacement(state.Placement)
	if err != nil {
		return nil, err
	}
	placed = placed.Clone()
	for b := range placed.Configs {
		if placed.Configs[b].Epoch > 0 {
			placed.Configs[b].Epoch += recoveredEpochs
		}
	}
	if r.giveUp != nil {
		if err := r.giveUp(state, placed); err != nil {
			return nil, err
		}
	}
	next := *state
	next.Placement = placed.Encode()
	next.PlacementEpoch++
	return frozen{&next}, nil
}

// Recover makes a new group, of this member alone, out of what it has of one
// whose voters are lost: commands that only they had are lost with them, and one
// that was not agreed on may come into force. All other members must be stopped
// until it is done: one that knows more than this one would keep it. giveUp, if not nil,
// may change the placement, whose epochs nobody has heard of. It gives the version of
// the state that is gone on with.
func Recover(o Options, giveUp func(*State, *protocol.Placement) error) (version uint64, err error) {
	o.fill()
	store, snapshots, lock, err := openStores(o)
	if err != nil {
		return 0, fmt.Errorf("recover metadata: %w", err)
	}
	m := newMachine(func(*State) {}, o.Fail)
	_, transport := raft.NewInmemTransport(raft.ServerAddress(o.ID.String()))
	err = raft.RecoverCluster(o.config(), recovering{m, giveUp}, store, store, snapshots, transport, onlyVoter(o.ID))
	if err := errors.Join(err, transport.Close(), store.Close(), lock.Close()); err != nil {
		return 0, fmt.Errorf("recover metadata: %w", err)
	}
	state, _, _ := m.now()
	return state.Version, nil
}
