package raftlog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"arbor/engine/appendlog"
)

// The kinds of frame. They are on disk: append only.
const (
	frameEntry  = 1
	frameCut    = 2
	frameForget = 3
	frameStable = 4
)

// entryHeader is the length of an entry's frame without extensions and data.
const entryHeader = 1 + 8 + 8 + 1 + 8 + 4

func encodeEntry(e *raft.Log) []byte {
	b := make([]byte, 0, entryHeader+len(e.Extensions)+len(e.Data))
	b = append(b, frameEntry)
	b = binary.LittleEndian.AppendUint64(b, e.Index)
	b = binary.LittleEndian.AppendUint64(b, e.Term)
	b = append(b, byte(e.Type))
	var at int64
	if !e.AppendedAt.IsZero() {
		at = e.AppendedAt.UnixNano()
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Extensions)))
	return append(append(b, e.Extensions...), e.Data...)
}

// decodeEntry reads what encodeEntry wrote. The entry aliases the frame.
func decodeEntry(b []byte, e *raft.Log) error {
	if len(b) < entryHeader || b[0] != frameEntry {
		return fmt.Errorf("%w: a frame of %d bytes is no entry", ErrCorrupt, len(b))
	}
	*e = raft.Log{Index: binary.LittleEndian.Uint64(b[1:]), Term: binary.LittleEndian.Uint64(b[9:]), Type: raft.LogType(b[17])}
	if at := int64(binary.LittleEndian.Uint64(b[18:])); at != 0 {
		e.AppendedAt = time.Unix(0, at)
	}
	n, rest := binary.LittleEndian.Uint32(b[26:]), b[entryHeader:]
	if uint64(n) > uint64(len(rest)) {
		return fmt.Errorf("%w: entry %d has extensions of %d bytes in %d", ErrCorrupt, e.Index, n, len(rest))
	}
	if n > 0 {
		e.Extensions = rest[:n:n]
	}
	if len(rest) > int(n) {
		e.Data = rest[n:]
	}
	return nil
}

func indexFrame(kind byte, index uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{kind}, index)
}

func encodeStable(values map[string][]byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{frameStable}, uint32(len(values)))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
		b = append(b, key...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(values[key])))
		b = append(b, values[key]...)
	}
	return b
}

func decodeStable(b []byte) (map[string][]byte, error) {
	bad := fmt.Errorf("%w: a frame of values is cut short", ErrCorrupt)
	if len(b) < 5 {
		return nil, bad
	}
	pairs, rest := binary.LittleEndian.Uint32(b[1:]), b[5:]
	text := func() ([]byte, bool) {
		if len(rest) < 4 {
			return nil, false
		}
		n := binary.LittleEndian.Uint32(rest)
		if uint64(n) > uint64(len(rest)-4) {
			return nil, false
		}
		t := rest[4 : 4+n]
		rest = rest[4+n:]
		return t, true
	}
	values := map[string][]byte{}
	for range pairs {
		key, ok := text()
		if !ok {
			return nil, bad
		}
		value, ok := text()
		if !ok {
			return nil, bad
		}
		values[string(key)] = append([]byte(nil), value...)
	}
	if len(rest) > 0 {
		return nil, bad
	}
	return values, nil
}

// replay makes the store's state anew from a frame.
func (s *Store) replay(pos appendlog.Position, frame []byte) error {
	if err := s.apply(pos, frame); err != nil {
		return fmt.Errorf("segment %d, byte %d: %w", pos.Segment, pos.Offset, err)
	}
	return nil
}

func (s *Store) apply(pos appendlog.Position, frame []byte) error {
	if len(frame) == 0 {
		return fmt.Errorf("%w: an empty frame", ErrCorrupt)
	}
	switch frame[0] {
	case frameEntry:
		var e raft.Log
		if err := decodeEntry(frame, &e); err != nil {
			return err
		}
		if len(s.positions) == 0 {
			s.first = e.Index
		} else if e.Index != s.last()+1 {
			return fmt.Errorf("%w: entry %d follows entry %d", ErrCorrupt, e.Index, s.last())
		}
		s.positions = append(s.positions, pos)
		return nil
	case frameCut, frameForget:
		if len(frame) != 9 {
			return fmt.Errorf("%w: a frame of %d bytes for an index", ErrCorrupt, len(frame))
		}
		if index := binary.LittleEndian.Uint64(frame[1:]); frame[0] == frameCut {
			s.cut(index)
		} else {
			s.drop(index)
		}
		return nil
	case frameStable:
		values, err := decodeStable(frame)
		s.stable = values
		return err
	default:
		return fmt.Errorf("%w: a frame of the unknown kind %d", ErrCorrupt, frame[0])
	}
}
