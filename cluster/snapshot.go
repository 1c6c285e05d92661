package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

// snapshot writes the catalog whole and puts the segments before it into the
// trash. It runs in its Change's turn, which has succeeded already: what goes
// wrong here is logged, and tried again when as many changes have come again.
func (m *Metadata) snapshot(ctx context.Context, c *catalog.Catalog) {
	m.since = 0
	if err := m.writeSnapshot(ctx, c); err != nil {
		m.logger.Warn("catalog's log could not be shortened; nothing is lost", "dir", m.dir, "version", c.Version, "error", err)
	}
}

func (m *Metadata) writeSnapshot(ctx context.Context, c *catalog.Catalog) error {
	frame := encodeFrame(frameSnapshot, c.Version, c.Encode())
	if len(frame) > maxFrameBytes {
		return fmt.Errorf("catalog has %d bytes, its log takes %d at most", len(frame), maxFrameBytes)
	}
	if err := m.log.Rotate(ctx); err != nil {
		return err
	}
	positions, err := m.log.Append(ctx, [][]byte{frame})
	if err != nil {
		return err
	}
	// It is read again before what it stands for goes.
	back, err := m.log.ReadAt(positions[0], nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, frame) {
		return errors.New("snapshot reads back other than it was written")
	}
	r := replay{catalog: &catalog.Catalog{}}
	if err := r.apply(back); err != nil {
		return err
	}
	m.snapshotBytes = len(frame)
	return retireBefore(ctx, m.fs, m.log, path.Join(m.dir, "trash"), positions[0].Segment)
}

// retireBefore moves the older segments to the trash, the oldest first, so that
// a crash leaves the end of the history and the snapshot.
func retireBefore(ctx context.Context, fs vfs.FS, log *appendlog.Log, trash string, segment uint64) error {
	for _, s := range log.Segments() {
		if s.ID >= segment {
			continue
		}
		if err := log.Retire(ctx, s.ID, trash); err != nil {
			return err
		}
	}
	return emptyTrash(fs, trash)
}

// emptyTrash keeps the newest segments of the trash.
func emptyTrash(fs vfs.FS, trash string) error { return keepInTrash(fs, trash, trashSegments) }

// keepInTrash keeps so many of the newest; names sort by age.
func keepInTrash(fs vfs.FS, trash string, kept int) error {
	names, err := fs.List(trash)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	for len(names) > kept && err == nil {
		err = fs.Remove(path.Join(trash, names[0]))
		names = names[1:]
	}
	return err
}
