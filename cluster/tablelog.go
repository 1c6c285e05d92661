package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync/atomic"

	"arbor/cluster/tables"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

// tableLog keeps the mutable tables of a member that is alone durable, as Metadata
// keeps the catalog: a change is a frame of its own log, and now and then all tables
// are, in pieces, after which the segments before them go to a trash of a few.
//
//	dir/log/*.log, dir/trash/*.log
//
//	frame: ┌──────┬─────────────┬─────────────────────────────────┐
//	       │ kind │ version, LE │ the change as package tables    │
//	       │ 1    │ 8           │ encodes it, or a piece of all   │
//	       └──────┴─────────────┴─────────────────────────────────┘
//
// Kind 1 is a change and the version that it makes. Kinds 2 and 3 are pieces of all
// tables and their version, 3 the last of them: what a crash leaves of them without a
// last one stands for nothing, and what is before them is still there.
type tableLog struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger
	log    *appendlog.Log

	inForce atomic.Pointer[tables.State]
	// since and snapshotBytes are as Metadata's.
	since, snapshotBytes, snapshotAfter int
	pieceBytes                          int
}

// The kinds of frame.
const (
	tableFrameChange = 1
	tableFramePiece  = 2
	tableFrameLast   = 3
)

// tablePieceBytes is how long a piece of a snapshot is at most.
const tablePieceBytes = 16 << 20

// maxTableFrame bounds a frame: a change, with what it takes to say what it is.
const maxTableFrame = 2*tables.MaxChangeBytes + frameHeader

func openTableLog(fs vfs.FS, dir string, logger *slog.Logger, snapshotAfter, pieceBytes int) (*tableLog, error) {
	l := &tableLog{fs: fs, dir: dir, logger: logger, snapshotAfter: snapshotAfter, pieceBytes: pieceBytes}
	r := tableReplay{state: &tables.State{}}
	log, err := appendlog.Open(appendlog.Options{FS: fs, Dir: path.Join(dir, "log"), MaxFrameBytes: maxTableFrame, Logger: logger}, r.frame)
	if err == nil && r.gap != nil {
		err = errors.Join(r.gap, log.Close())
	}
	if err != nil {
		if errors.Is(err, appendlog.ErrCorrupt) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, fmt.Errorf("open tables %s: %w", dir, err)
	}
	l.log, l.since, l.snapshotBytes = log, r.since, r.snapshotBytes
	l.inForce.Store(r.state)
	return l, nil
}

// change makes a change durable and puts the state that it makes in force. Callers
// take turns.
func (l *tableLog) change(ctx context.Context, c tables.Change) (*tables.State, error) {
	next, err := l.inForce.Load().Apply(c)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // as Metadata.Change
	frame := encodeFrame(tableFrameChange, next.Version, c.Encode())
	if _, err := l.log.Append(ctx, [][]byte{frame}); err != nil {
		return nil, fmt.Errorf("change tables: %w", storageError(err))
	}
	l.inForce.Store(next)
	l.since += len(frame)
	if l.since >= max(l.snapshotAfter, l.snapshotBytes) {
		l.since = 0
		if err := l.snapshot(ctx, next); err != nil {
			l.logger.Warn("log of tables could not be shortened; nothing is lost", "dir", l.dir, "version", next.Version, "error", err)
		}
	}
	return next, nil
}

// snapshot writes all tables, reads them again, and puts the segments before them
// into the trash.
func (l *tableLog) snapshot(ctx context.Context, s *tables.State) error {
	if err := l.log.Rotate(ctx); err != nil {
		return err
	}
	r, first := tableReplay{state: &tables.State{}}, uint64(0)
	encoded := s.Encode()
	for at := 0; at < len(encoded); at += l.pieceBytes {
		kind, end := byte(tableFramePiece), at+l.pieceBytes
		if end >= len(encoded) {
			kind, end = tableFrameLast, len(encoded)
		}
		frame := encodeFrame(kind, s.Version, encoded[at:end])
		positions, err := l.log.Append(ctx, [][]byte{frame})
		if err != nil {
			return err
		}
		back, err := l.log.ReadAt(positions[0], nil)
		if err != nil {
			return err
		}
		if !bytes.Equal(back, frame) {
			return errors.New("snapshot reads back other than it was written")
		}
		if err := r.apply(back); err != nil {
			return err
		}
		if at == 0 {
			first = positions[0].Segment
		}
	}
	if !r.state.Equal(s) {
		return errors.New("snapshot is of other tables than those in force")
	}
	l.snapshotBytes = len(encoded)
	return retireBefore(ctx, l.fs, l.log, path.Join(l.dir, "trash"), first)
}

// purge writes all tables, and removes what was written before for good.
func (l *tableLog) purge(ctx context.Context) error {
	l.since = 0
	if err := l.snapshot(ctx, l.inForce.Load()); err != nil {
		return err
	}
	trash := path.Join(l.dir, "trash")
	if _, err := l.fs.Stat(trash); err != nil {
		return nil // nothing was ever retired
	}
	if err := keepInTrash(l.fs, trash, 0); err != nil {
		return err
	}
	return l.fs.SyncDir(trash)
}

func (l *tableLog) close() error { return l.log.Close() }

// tableReplay makes the tables anew from the log's frames.
type tableReplay struct {
	state *tables.State
	// gap and gapVersion are as replay's.
	gap        error
	gapVersion uint64
	// pieces are those of a snapshot that is not whole yet, of pieceVersion.
	pieces               []byte
	pieceVersion         uint64
	since, snapshotBytes int
}

func (r *tableReplay) frame(pos appendlog.Position, frame []byte) error {
	if err := r.apply(frame); err != nil {
		return fmt.Errorf("segment %d, byte %d: %w", pos.Segment, pos.Offset, err)
	}
	return nil
}

func (r *tableReplay) apply(frame []byte) error {
	if len(frame) < frameHeader {
		return fmt.Errorf("%w: a frame of %d bytes", ErrCorrupt, len(frame))
	}
	version, body := binary.LittleEndian.Uint64(frame[1:]), frame[frameHeader:]
	switch frame[0] {
	case tableFrameChange:
		r.pieces = nil
		r.since += len(frame)
		return r.change(version, body)
	case tableFramePiece, tableFrameLast:
		if version != r.pieceVersion || bytes.HasPrefix(body, []byte("arbortab")) {
			r.pieces = nil
		}
		r.pieces, r.pieceVersion = append(r.pieces, body...), version
		if frame[0] == tableFramePiece {
			return nil
		}
		return r.snapshot(version)
	default:
		return fmt.Errorf("%w: frame of the unknown kind %d", ErrCorrupt, frame[0])
	}
}

func (r *tableReplay) change(version uint64, body []byte) error {
	change, err := tables.DecodeChange(body)
	if err != nil {
		return undecodableTables("change", version, err)
	}
	if r.gap != nil || version != r.state.Version+1 {
		if r.gap == nil {
			r.gap = fmt.Errorf("%w: version %d of the tables follows version %d", ErrCorrupt, version, r.state.Version)
		}
		r.gapVersion = max(r.gapVersion, version)
		return nil
	}
	next, err := r.state.Apply(change)
	if err != nil {
		return fmt.Errorf("%w: version %d of the tables: %w", ErrCorrupt, version, err)
	}
	r.state = next
	return nil
}

func (r *tableReplay) snapshot(version uint64) error {
	s, err := tables.DecodeState(r.pieces)
	size := len(r.pieces)
	r.pieces = nil
	if err != nil {
		return undecodableTables("snapshot", version, err)
	}
	if s.Version != version || version < r.state.Version || version < r.gapVersion {
		return fmt.Errorf("%w: snapshot of version %d of the tables calls itself %d and comes after %d", ErrCorrupt, version, s.Version, max(r.state.Version, r.gapVersion))
	}
	r.state, r.gap, r.since, r.snapshotBytes = s, nil, 0, size
	return nil
}

func undecodableTables(what string, version uint64, err error) error {
	if errors.Is(err, tables.ErrVersion) {
		return fmt.Errorf("%s of version %d of the tables was written by a newer arbor; start that one: %w", what, version, err)
	}
	return fmt.Errorf("%w: %s of version %d of the tables: %w", ErrCorrupt, what, version, err)
}
