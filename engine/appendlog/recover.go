package appendlog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"arbor/engine/vfs"
)

// sectorSize is the least that a disk writes as a whole.
const sectorSize = 512

// load finds the segments, replays them, and makes durable what it has read,
// which a process that was killed may have left unsynced.
func (l *Log) load(replay func(Position, []byte) error) error {
	fs := l.opts.FS
	if err := fs.MkdirAll(l.opts.Dir); err != nil {
		return err
	}
	ids, err := l.listIDs()
	if err != nil {
		return err
	}
	ends, err := l.openSegments(ids)
	if err != nil {
		return err
	}
	var data []byte
	for i, s := range l.segments {
		end, known := ends[s.id]
		if !known {
			end = endUnknown
		}
		if data, err = readAll(s.file, data); err != nil {
			return fmt.Errorf("read %s: %w", l.path(s.id), err)
		}
		if err := l.replaySegment(s, data, end, replay); err != nil {
			return err
		}
		if i < len(l.segments)-1 {
			continue
		}
		if err := errors.Join(s.file.Sync(), fs.SyncDir(l.opts.Dir)); err != nil {
			return fmt.Errorf("sync %s: %w", l.path(s.id), err)
		}
	}
	return nil
}

// endUnknown is the end of a segment that no later one speaks of.
const endUnknown = math.MaxInt64

// listIDs gives the ids of the segments in the directory, in order.
func (l *Log) listIDs() (ids []uint64, err error) {
	names, err := l.opts.FS.List(l.opts.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if id, ok := parseName(name); ok {
			ids = append(ids, id)
		} else {
			l.opts.Logger.Warn("file in the log's directory is none of its segments", "directory", l.opts.Dir, "name", name)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// openSegments opens the files and reads their headers, and from them the ends
// of the segments that have a successor. A last file that was not completely
// made is passed over, and will be made again.
func (l *Log) openSegments(ids []uint64) (ends map[uint64]int64, err error) {
	ends = map[uint64]int64{}
	for i, id := range ids {
		l.nextID = id + 1
		s, err := l.openSegment(id)
		if err == nil {
			l.segments = append(l.segments, s)
			if s.header.previous != 0 {
				ends[s.header.previous] = int64(s.header.previousEnd)
			}
			continue
		}
		if !errors.Is(err, errHalfMade) {
			return nil, err
		}
		if i == len(ids)-1 {
			l.nextID = id
			l.opts.Logger.Info("segment of the log was not completely made, and held nothing", "file", l.path(id))
			return ends, nil
		}
		if err := l.damage(&segment{id: id}, 0, headerSize, "header is not there, and later segments are"); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// errHalfMade is what openSegment returns for a file that cannot have held a
// group, since its header is not there.
var errHalfMade = errors.New("segment was not completely made")

func (l *Log) openSegment(id uint64) (*segment, error) {
	f, err := l.opts.FS.Open(l.path(id))
	if err != nil {
		return nil, err
	}
	s := &segment{id: id, file: f, end: headerSize}
	if err := l.readHeader(s); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (l *Log) readHeader(s *segment) error {
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	if size > maxFileBytes {
		return &CorruptError{l.path(s.id), maxFileBytes, fmt.Sprintf("%d bytes are more than a segment can have", size)}
	}
	b := make([]byte, min(size, headerSize))
	if n, err := s.file.ReadAt(b, 0); n < len(b) {
		return fmt.Errorf("read %s: %w", l.path(s.id), err)
	}
	s.header, err = decodeHeader(b)
	if err == nil && s.header.id != s.id {
		err = fmt.Errorf("header is that of segment %d: %w", s.header.id, ErrCorrupt)
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, ErrCorrupt):
		return fmt.Errorf("%s: %w", l.path(s.id), err)
	case size <= headerSize:
		return errHalfMade
	}
	// The header was synced before the first group was written, so this is not a
	// torn one. Its salt may be right all the same; the rest is not believed.
	s.header = header{salt: s.header.salt}
	return l.damage(s, 0, headerSize, err.Error())
}

// readAll reads a file into buf, which it may replace.
func readAll(f vfs.File, buf []byte) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return buf, err
	}
	if size > maxFileBytes {
		return buf, fmt.Errorf("%d bytes are more than a segment can have: %w", size, ErrCorrupt)
	}
	buf = slices.Grow(buf[:0], int(size))[:size]
	if n, err := f.ReadAt(buf, 0); n < len(buf) {
		return buf, fmt.Errorf("after %d bytes: %w", n, err)
	}
	return buf, nil
}

// replaySegment replays the groups of a segment and finds where they end. A known
// end is what the next segment says: there is nothing beyond, and all before was
// durable.
func (l *Log) replaySegment(s *segment, data []byte, end int64, replay func(Position, []byte) error) error {
	limit := min(end, int64(len(data)))
	w := walker{data: data[:limit], salt: s.header.salt, endKnown: end != endUnknown}
	for at := int64(headerSize); at < limit; {
		step := w.next(at)
		if step.reason != "" {
			if err := l.note(s, at, step); err != nil {
				return err
			}
		}
		for _, f := range step.frames {
			pos := Position{s.id, f.at, int32(len(f.payload))}
			if err := replay(pos, f.payload); err != nil {
				return fmt.Errorf("replay %v: %w", pos, err)
			}
		}
		s.frames += int64(len(step.frames))
		at = step.end
		if !step.torn {
			s.end = at
		}
	}
	if end != endUnknown && limit < end {
		return l.damage(s, limit, end-limit, fmt.Sprintf("file ends, and had %d bytes that were durable", end))
	}
	return nil
}

// note tells of a stretch that is no good group.
func (l *Log) note(s *segment, at int64, step step) error {
	if !step.torn {
		return l.damage(s, at, step.end-at, step.reason)
	}
	l.opts.Logger.Warn("torn end of the log is left out: a crash came before it was acknowledged",
		"file", l.path(s.id), "offset", at, "bytes", step.end-at, "reason", step.reason)
	l.findings = append(l.findings, Finding{s.id, l.path(s.id), at, step.end - at, false, step.reason})
	return nil
}

// damage is an error, or a finding if the log is to be opened all the same.
func (l *Log) damage(s *segment, at, bytes int64, reason string) error {
	err := &CorruptError{l.path(s.id), at, reason}
	if !l.opts.Quarantine {
		return err
	}
	l.opts.Logger.Error("log is damaged; what can be read is kept", "file", l.path(s.id), "offset", at, "bytes", bytes, "reason", reason)
	l.findings = append(l.findings, Finding{s.id, l.path(s.id), at, bytes, true, reason})
	return nil
}

// walker goes through the groups of a segment's bytes.
type walker struct {
	data []byte
	salt uint64
	// endKnown is set when all the data was durable once.
	endKnown bool
}

// step is one group, or a stretch that is none.
type step struct {
	// end is where it ends and the next begins.
	end int64
	// frames are those of a good group, and of a damaged one those that are good.
	frames []foundFrame
	// reason is empty for a good group. torn says that nobody was ever told of
	// the stretch; otherwise it is damage.
	reason string
	torn   bool
}

type foundFrame struct {
	at      int64
	payload []byte
}

// next reads what starts at offset at.
func (w *walker) next(at int64) step {
	g, ok := groupAt(w.data, w.salt, at)
	end := at + g.size()
	reason := "no group starts here"
	switch {
	case ok && end > int64(len(w.data)):
		reason = "file ends inside a group"
	case ok:
		frames, sound := w.frames(at+groupHeaderSize, end-1)
		if sound && len(frames) == int(g.frames) && w.data[end-1] == groupStop {
			return step{end: end, frames: frames}
		}
		reason = "checksum of a group does not match"
	}
	return w.bad(at, reason)
}

// frames reads frames from offset at to limit, and says whether all are sound.
// After one that is not it goes on where its length says, if that leads anywhere.
func (w *walker) frames(at, limit int64) (frames []foundFrame, sound bool) {
	for sound = true; at < limit; {
		payload, ok := frameAt(w.data, w.salt, at, limit)
		if payload == nil && !ok {
			return frames, false
		}
		if ok {
			frames = append(frames, foundFrame{at, payload})
		}
		sound = sound && ok
		at += frameHeaderSize + int64(len(payload))
	}
	return frames, sound
}

// bad tells damage from a torn end; the package comment says how.
func (w *walker) bad(at int64, reason string) step {
	end := nextGroup(w.data, w.salt, at)
	torn := end < 0 && !w.endKnown && w.sectorsMissing(at)
	if end < 0 {
		end = int64(len(w.data))
	}
	s := step{end: end, reason: reason, torn: torn}
	if !torn {
		s.frames, _ = w.frames(at+groupHeaderSize, end-1)
	}
	return s
}

// sectorsMissing says whether the group at the end of the file was never written
// completely: the file ends inside it, or one of its sectors is all zeros.
func (w *walker) sectorsMissing(at int64) bool {
	size := int64(len(w.data))
	if g, ok := groupAt(w.data, w.salt, at); size-at < groupHeaderSize || ok && at+g.size() > size {
		return true
	}
	for at < size {
		end := min(at-at%sectorSize+sectorSize, size)
		if len(bytes.Trim(w.data[at:end], "\x00")) == 0 {
			return true
		}
		at = end
	}
	return false
}
