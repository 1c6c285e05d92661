package appendlog

import (
	"errors"
	"fmt"
	"math"

	"arbor/engine/vfs"
)

// ReadSegment reads one segment file by itself, without opening the log that it
// is part of: for people who want to know what is in it. It calls fn for each
// payload that is sound, in order; the payload is valid until fn returns, and an
// error from fn ends the reading. Where the file is torn or damaged it goes on
// behind, and its error names each place; whether a torn end was ever
// acknowledged only the whole log can say.
func ReadSegment(fs vfs.FS, path string, fn func(pos Position, payload []byte) error) error {
	return ReadSegmentTo(fs, path, math.MaxInt64, fn)
}

// ReadSegmentTo is ReadSegment up to a place, which is the end of a group, such
// as SegmentInfo.Bytes: what is written behind it meanwhile is not looked at.
func ReadSegmentTo(fs vfs.FS, path string, end int64, fn func(pos Position, payload []byte) error) error {
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readAll(f, nil)
	if err != nil {
		return fmt.Errorf("read segment %s: %w", path, err)
	}
	data = data[:min(int64(len(data)), end)]
	if len(data) < headerSize {
		return &CorruptError{path, 0, "file ends inside the segment's header"}
	}
	h, err := decodeHeader(data[:headerSize])
	if err != nil {
		return fmt.Errorf("read segment %s: %w", path, err)
	}
	w := walker{data: data, salt: h.salt}
	var found []error
	for at := int64(headerSize); at < int64(len(data)); {
		step := w.next(at)
		if step.reason != "" {
			found = append(found, &CorruptError{path, at, step.reason})
		}
		for _, frame := range step.frames {
			if err := fn(Position{h.id, frame.at, int32(len(frame.payload))}, frame.payload); err != nil {
				return err
			}
		}
		at = step.end
	}
	return errors.Join(found...)
}
