package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/engine/appendlog"
)

// replay makes the catalog anew from the log's frames.
type replay struct {
	catalog *catalog.Catalog
	// gap is set while changes do not follow from what came before them: only a
	// snapshot as late as they makes up for it.
	gap        error
	gapVersion uint64
	// since and snapshotBytes become Metadata's.
	since, snapshotBytes int
}

func (r *replay) frame(pos appendlog.Position, frame []byte) error {
	if err := r.apply(frame); err != nil {
		return fmt.Errorf("segment %d, byte %d: %w", pos.Segment, pos.Offset, err)
	}
	return nil
}

func (r *replay) apply(frame []byte) error {
	if len(frame) < frameHeader {
		return fmt.Errorf("%w: a frame of %d bytes", ErrCorrupt, len(frame))
	}
	version, body := binary.LittleEndian.Uint64(frame[1:]), frame[frameHeader:]
	switch frame[0] {
	case frameChange:
		r.since += len(frame)
		return r.change(version, body)
	case frameSnapshot:
		r.since, r.snapshotBytes = 0, len(frame)
		return r.snapshot(version, body)
	default:
		return fmt.Errorf("%w: frame of the unknown kind %d", ErrCorrupt, frame[0])
	}
}

func (r *replay) change(version uint64, body []byte) error {
	change, err := catalog.DecodeChange(body)
	if err != nil {
		return undecodable("change", version, err)
	}
	if r.gap != nil || version != r.catalog.Version+1 {
		if r.gap == nil {
			r.gap = fmt.Errorf("%w: version %d follows version %d", ErrCorrupt, version, r.catalog.Version)
		}
		r.gapVersion = max(r.gapVersion, version)
		return nil
	}
	next, err := r.catalog.Apply(change)
	if err != nil {
		return fmt.Errorf("%w: version %d: %w", ErrCorrupt, version, err)
	}
	if next.Version != version {
		return fmt.Errorf("%w: version %d changes nothing", ErrCorrupt, version)
	}
	r.catalog = next
	return nil
}

func (r *replay) snapshot(version uint64, body []byte) error {
	c, err := catalog.DecodeCatalog(body)
	if err != nil {
		return undecodable("snapshot", version, err)
	}
	if c.Version != version || version < r.catalog.Version || version < r.gapVersion {
		return fmt.Errorf("%w: snapshot of version %d calls itself %d and comes after %d", ErrCorrupt, version, c.Version, max(r.catalog.Version, r.gapVersion))
	}
	r.catalog, r.gap = c, nil
	return nil
}

// undecodable tells damage from what only a newer arbor can read.
func undecodable(what string, version uint64, err error) error {
	if errors.Is(err, catalog.ErrVersion) {
		return fmt.Errorf("%s of version %d was written by a newer arbor; start that one: %w", what, version, err)
	}
	return fmt.Errorf("%w: %s of version %d: %w", ErrCorrupt, what, version, err)
}
