package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync/atomic"

	"arbor/catalog"
	"arbor/cluster/tables"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

// Metadata keeps the catalog durable: every change is a frame of its own log,
// and so, now and then, is a whole catalog, after which the segments before it
// go to a trash of a few. Opening replays the log.
//
//	dir/lock          held while the metadata is open
//	dir/log/*.log     the log
//	dir/trash/*.log   segments that a snapshot made superfluous
//	dir/tables/       the mutable tables; see tableLog
//
//	frame: ┌──────┬─────────────┬───────────────────────────────┐
//	       │ kind │ version, LE │ the change or the catalog     │
//	       │ 1    │ 8           │ as package catalog encodes it │
//	       └──────┴─────────────┴───────────────────────────────┘
//
// Kind 1 is a change and the version that it makes, kind 2 a catalog and its
// own. Changes stand in the order of their versions, without a gap but before a
// snapshot: a crash between two retirements leaves the end of a history whose
// beginning is gone, and the snapshot that stands for all of it.
type Metadata struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger
	lock   io.Closer
	log    *appendlog.Log
	tables *tableLog

	// inForce is the catalog in force.
	inForce atomic.Pointer[catalog.Catalog]
	// turn holds one token: whoever has it may change what follows, and inForce.
	turn   chan struct{}
	told   func(*catalog.Catalog) // see Follow
	closed bool
	// since is how many bytes of changes the log has since its last snapshot,
	// and snapshotBytes how long that was. The next is due when since reaches
	// snapshotBytes and snapshotAfter.
	since, snapshotBytes, snapshotAfter int
	// changingTables is turn for the tables.
	changingTables chan struct{}
}

// The kinds of frame.
const (
	frameChange   = 1
	frameSnapshot = 2
	frameHeader   = 1 + 8
)

const (
	// maxFrameBytes bounds a change and a snapshot: twice what the greatest
	// change, SetGrants, may be.
	maxFrameBytes = 2*catalog.MaxGrants + 1<<20
	// snapshotAfterBytes of changes, or as many as the last snapshot had if that
	// is more, call for a snapshot: so the log holds at most a few times what the
	// catalog does, and a change costs O(1) on average.
	snapshotAfterBytes = 1 << 20
	// tablesDir, in the catalog's directory, has the mutable tables.
	tablesDir = "tables"
	// trashSegments are kept in the trash.
	trashSegments = 4
)

// OpenMetadata opens the catalog of a member, or makes an empty one. It gives
// vfs.ErrLocked when another process has it open, and ErrCorrupt when it cannot
// be told what the catalog was.
func OpenMetadata(fs vfs.FS, dir string, logger *slog.Logger) (*Metadata, error) {
	return openMetadata(fs, dir, logger, snapshotAfterBytes)
}

// openMetadata lets tests have more snapshots.
func openMetadata(fs vfs.FS, dir string, logger *slog.Logger, snapshotAfter int) (*Metadata, error) {
	m := &Metadata{fs: fs, dir: dir, logger: logger, turn: make(chan struct{}, 1), changingTables: make(chan struct{}, 1), snapshotAfter: snapshotAfter}
	if m.logger == nil {
		m.logger = slog.Default()
	}
	if err := m.open(); err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", dir, err)
	}
	m.turn <- struct{}{}
	m.changingTables <- struct{}{}
	return m, nil
}

func (m *Metadata) open() error {
	if err := m.fs.MkdirAll(m.dir); err != nil {
		return err
	}
	lock, err := m.fs.Lock(path.Join(m.dir, "lock"))
	if err != nil {
		return err
	}
	r := replay{catalog: &catalog.Catalog{}}
	log, err := appendlog.Open(appendlog.Options{
		FS: m.fs, Dir: path.Join(m.dir, "log"), MaxFrameBytes: maxFrameBytes, Logger: m.logger,
	}, r.frame)
	if err == nil && r.gap != nil {
		err = errors.Join(r.gap, log.Close())
	}
	if err != nil {
		if errors.Is(err, appendlog.ErrCorrupt) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return errors.Join(err, lock.Close())
	}
	if m.tables, err = openTableLog(m.fs, path.Join(m.dir, tablesDir), m.logger, m.snapshotAfter, tablePieceBytes); err != nil {
		return errors.Join(err, log.Close(), lock.Close())
	}
	m.lock, m.log, m.since, m.snapshotBytes = lock, log, r.since, r.snapshotBytes
	m.inForce.Store(r.catalog)
	return nil
}

// Catalog is the catalog in force.
func (m *Metadata) Catalog() *catalog.Catalog { return m.inForce.Load() }

// Close waits for the change under way and closes the log.
func (m *Metadata) Close() error {
	<-m.turn
	<-m.changingTables
	defer func() { m.turn <- struct{}{}; m.changingTables <- struct{}{} }()
	if m.closed {
		return nil
	}
	m.closed = true
	return errors.Join(m.log.Close(), m.tables.close(), m.lock.Close())
}

// Follow has told called with the catalog in force and with each that follows.
func (m *Metadata) Follow(told func(*catalog.Catalog)) {
	<-m.turn
	defer func() { m.turn <- struct{}{} }()
	m.told = told
	told(m.Catalog())
}

// Change makes a change durable, tells of the catalog that it made, and puts that
// in force.
func (m *Metadata) Change(ctx context.Context, change catalog.Change) (*catalog.Catalog, error) {
	select {
	case <-m.turn:
		defer func() { m.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.closed {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed)
	}
	next, err := m.Catalog().Apply(change)
	if err != nil || next == m.Catalog() {
		return next, err
	}
	// The wait for the disk is not given up: whether the change holds would not
	// be known, and the next one needs to know it.
	ctx = context.WithoutCancel(ctx)
	frame := encodeFrame(frameChange, next.Version, catalog.EncodeChange(change))
	if _, err := m.log.Append(ctx, [][]byte{frame}); err != nil {
		return nil, fmt.Errorf("change the catalog: %w", storageError(err))
	}
	if m.told != nil {
		m.told(next)
	}
	m.inForce.Store(next)
	m.since += len(frame)
	if m.since >= max(m.snapshotAfter, m.snapshotBytes) {
		m.snapshot(ctx, next)
	}
	return next, nil
}

// Tables are the mutable tables in force.
func (m *Metadata) Tables() *tables.State { return m.tables.inForce.Load() }

// ChangeTables makes a change of the tables durable and puts what it made in force.
func (m *Metadata) ChangeTables(ctx context.Context, change tables.Change) (*tables.State, error) {
	select {
	case <-m.changingTables:
		defer func() { m.changingTables <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.closed {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed)
	}
	return m.tables.change(ctx, change)
}

// PurgeTables leaves nothing on disk of what the tables were before, if they are as
// wanted now.
func (m *Metadata) PurgeTables(ctx context.Context, wanted func(*tables.State) bool) error {
	select {
	case <-m.changingTables:
		defer func() { m.changingTables <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case m.closed:
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed)
	case !wanted(m.Tables()):
		return errors.New("purge tables: they are not yet what they should be")
	}
	if err := m.tables.purge(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("purge tables: %w", storageError(err))
	}
	return nil
}

func encodeFrame(kind byte, version uint64, body []byte) []byte {
	frame := make([]byte, 0, frameHeader+len(body))
	frame = append(frame, kind)
	frame = binary.LittleEndian.AppendUint64(frame, version)
	return append(frame, body...)
}
