package appendlog

import (
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"arbor/engine/vfs"
)

// segment is one file of a log.
type segment struct {
	id     uint64
	header header
	// file is open from the segment's making to its end. use is held for reading
	// while it is read, and for writing to close it: so a reader is never left
	// without it, and retiring waits for readers only.
	file vfs.File
	use  sync.RWMutex
	gone bool

	// end is the length that holds: all before it is on disk. frames counts
	// those. open is set while groups may be added. Log.mu guards the three.
	end    int64
	frames int64
	open   bool
}

func (s *segment) createdAt() time.Time { return time.UnixMicro(s.header.created) }

func (s *segment) close() error {
	s.use.Lock()
	defer s.use.Unlock()
	if s.gone || s.file == nil {
		return nil
	}
	s.gone = true
	return s.file.Close()
}

// path is the file's name in the file system.
func (l *Log) path(id uint64) string { return path.Join(l.opts.Dir, SegmentName(id)) }

// ReadAt returns the payload at a position that Append or replay gave. It is read
// into buf, if it has room for the payload and the eight bytes before it, and
// into new memory if not.
func (l *Log) ReadAt(pos Position, buf []byte) ([]byte, error) {
	s, err := l.find(pos)
	if err != nil {
		return nil, err
	}
	s.use.RLock()
	defer s.use.RUnlock()
	if s.gone {
		return nil, fmt.Errorf("read log at %v: %w", pos, ErrNoSegment)
	}
	size := frameHeaderSize + int(pos.Length)
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if n, err := s.file.ReadAt(buf, pos.Offset); n < size {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, &CorruptError{l.path(s.id), pos.Offset, "file ends inside the frame"}
		}
		return nil, fmt.Errorf("read log at %v: %w", pos, err)
	}
	if !frameIs(buf, s.header.salt, pos) {
		return nil, &CorruptError{l.path(s.id), pos.Offset, "checksum of the frame does not match"}
	}
	return buf[frameHeaderSize:], nil
}

// find is the segment that holds a position.
func (l *Log) find(pos Position) (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	for _, s := range l.segments {
		if s.id == pos.Segment && pos.Offset >= headerSize && pos.Length >= 0 &&
			pos.Offset <= s.end-frameHeaderSize-int64(pos.Length) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("read log at %v: %w", pos, ErrNoSegment)
}
