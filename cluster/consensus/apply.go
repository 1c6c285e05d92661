package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// enqueueWithin is how long a command may wait for raft to take it.
const enqueueWithin = 5 * time.Second

// Apply has the leader put a command into the log, and returns when it was
// applied here, with the state in force then and the command's own error.
// When the context ends before it is known what became of the command the error
// is ErrNoLeader or the context's, and the command may still be applied.
func (g *Group) Apply(ctx context.Context, c Command) (*State, error) {
	return g.ApplyAs(ctx, NewRequestID(), c)
}

// ApplyAs applies a command under a name of the caller's: one that was applied
// under that name not long ago is not applied again, and ends as it did.
func (g *Group) ApplyAs(ctx context.Context, id RequestID, c Command) (*State, error) {
	encoded, err := EncodeCommand(id, c)
	if err != nil {
		return nil, err
	}
	for {
		version, err, answered := g.try(ctx, encoded)
		if answered {
			// Unless it was refused before it came into the log, what it made is waited for.
			if waitErr := g.Wait(ctx, func(s *State) bool { return s.Version >= version }); waitErr != nil {
				return nil, waitErr
			}
			return g.State(), err
		}
		if err := g.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// Commit has the leader put a command into the log, as Apply does, for a member that can
// store nothing more: it does not wait until it sees what came of it, which may be never,
// and asks all that vote, since it may not know who leads.
func (g *Group) Commit(ctx context.Context, c Command) error {
	encoded, err := EncodeCommand(NewRequestID(), c)
	if err != nil {
		return err
	}
	for {
		if _, err, answered := g.try(ctx, encoded); answered {
			return err
		}
		for _, voter := range g.Voters() {
			if voter == g.o.ID || g.o.Forward == nil {
				continue
			}
			if _, err, answered := g.forward(ctx, voter, encoded); answered {
				return err
			}
		}
		if err := g.pause(ctx); err != nil {
			return err
		}
	}
}

// try has whoever leads apply a command, once. Unless it is answered nothing is
// known.
func (g *Group) try(ctx context.Context, encoded []byte) (version uint64, err error, answered bool) {
	if g.Leads() {
		version, err = g.lead(ctx, encoded)
		return version, err, !errors.Is(err, errNotLeader)
	}
	leader, known := g.Leader()
	if !known || leader == g.o.ID || g.o.Forward == nil {
		return 0, nil, false
	}
	ctx, cancel := g.While(ctx, leader)
	defer cancel()
	return g.forward(ctx, leader, encoded)
}

// forward has another member apply a command, if that one leads.
func (g *Group) forward(ctx context.Context, to MemberID, encoded []byte) (version uint64, err error, answered bool) {
	reply, err := g.o.Forward(ctx, to, encoded)
	if err != nil {
		g.o.Logger.Debug("a command of the metadata could not be forwarded", "to", to, "error", err)
		return 0, nil, false
	}
	version, err = decodeReply(reply)
	return version, err, !errors.Is(err, errNotLeader)
}

// pause waits a little before the next try, or for a new leader.
func (g *Group) pause(ctx context.Context) error {
	_, news, halted := g.machine.now()
	if halted != nil {
		return halted
	}
	timer := time.NewTimer(g.o.Timing.Retry)
	defer timer.Stop()
	select {
	case <-news:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	case <-g.stopped.Done():
		return ErrClosed
	}
}

// lead applies a command as the leader. errNotLeader means that it is not known
// whether it will be.
func (g *Group) lead(ctx context.Context, encoded []byte) (version uint64, err error) {
	if size := len(encoded); size > maxCommandBytes {
		return 0, fmt.Errorf("command: %w: it has %d bytes, at most %d are possible", ErrLimit, size, maxCommandBytes)
	}
	f := g.raft.Apply(encoded, enqueueWithin)
	done := make(chan error, 1)
	go func() { done <- f.Error() }() // ends when raft knows, or is shut down
	select {
	case err = <-done:
	case <-ctx.Done():
		return 0, errNotLeader
	}
	if err != nil {
		if !errors.Is(err, raft.ErrNotLeader) && !errors.Is(err, raft.ErrLeadershipLost) {
			g.o.Logger.Warn("a command of the metadata was not applied; it is tried again", "error", err)
		}
		return 0, errNotLeader
	}
	o := f.Response().(outcome)
	return o.version, o.err
}

// maxCommandBytes bounds a command.
const maxCommandBytes = 128 << 20

// Handle applies a command that another member forwards, if this one leads. The
// reply is for decodeReply.
func (g *Group) Handle(ctx context.Context, command []byte) []byte {
	if !g.Leads() {
		return encodeReply(0, errNotLeader)
	}
	version, err := g.lead(ctx, command)
	return encodeReply(version, err)
}

// A reply is a version of the state, the error's code and the error's text.
func encodeReply(version uint64, err error) []byte {
	code, text := encodeError(err)
	b := binary.LittleEndian.AppendUint64(nil, version)
	b = binary.LittleEndian.AppendUint16(b, code)
	return append(b, text...)
}

func decodeReply(b []byte) (version uint64, err error) {
	if len(b) < 10 {
		return 0, errNotLeader
	}
	return binary.LittleEndian.Uint64(b), decodeError(binary.LittleEndian.Uint16(b[8:]), string(b[10:]))
}
