package appendlog

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"arbor/engine/vfs"
)

// Limits and defaults.
const (
	// DefaultSegmentBytes is the length at which a segment is sealed.
	DefaultSegmentBytes = 64 << 20
	// MaxSegmentBytes bounds Options.SegmentBytes: Open reads a segment whole.
	MaxSegmentBytes = 1 << 30
	// DefaultMaxFrameBytes bounds a payload.
	DefaultMaxFrameBytes = 64 << 20
	// MaxAppendBytes bounds what one Append writes, with its frame headers: it
	// is one group, and held in memory.
	MaxAppendBytes = 256 << 20
	// maxGroupBytes is where a group takes no more callers. A larger one would
	// make them wait longer and save little of the sync's price.
	maxGroupBytes = 4 << 20
)

// Options say where a log is and how it is cut.
type Options struct {
	// FS and Dir hold the segments. Open makes the directory.
	FS  vfs.FS
	Dir string
	// SegmentBytes is the length that a segment does not pass, unless a single
	// append is longer. 0 means DefaultSegmentBytes.
	SegmentBytes int64
	// MaxFrameBytes bounds a payload. 0 means DefaultMaxFrameBytes. Longer ones
	// that the log holds already are read all the same.
	MaxFrameBytes int
	// Quarantine opens a log in spite of damage: what can be read is replayed,
	// and what cannot is in Findings and stays in its file.
	Quarantine bool
	// Logger is told of what was left out or is damaged. nil means the default.
	Logger *slog.Logger

	// salt and now are fixed in tests that look at bytes.
	salt func() uint64
	now  func() time.Time
}

func (o *Options) validate() error {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, DefaultSegmentBytes)
	o.MaxFrameBytes = cmp.Or(o.MaxFrameBytes, DefaultMaxFrameBytes)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.now == nil {
		o.now = time.Now
	}
	if o.salt == nil {
		o.salt = randomSalt
	}
	switch {
	case o.FS == nil:
		return errors.New("appendlog: no file system")
	case o.SegmentBytes < minSegmentBytes || o.SegmentBytes > MaxSegmentBytes:
		return fmt.Errorf("appendlog: segments of %d bytes; from %d to %d can be", o.SegmentBytes, minSegmentBytes, MaxSegmentBytes)
	case o.MaxFrameBytes < 1 || o.MaxFrameBytes > MaxAppendBytes-groupOverhead-frameHeaderSize:
		return fmt.Errorf("appendlog: frames of %d bytes; from 1 to %d can be", o.MaxFrameBytes, MaxAppendBytes-groupOverhead-frameHeaderSize)
	}
	return nil
}
