package appendlog

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
)

// makeRoom sees to it that the active segment is sound and takes a group of this
// size. It belongs to the leader, like all that follows but Retire.
func (l *Log) makeRoom(size int64) error {
	if err := l.failed(); err != nil {
		return err
	}
	if err := l.cut(); err != nil {
		return fmt.Errorf("cut back the part of an earlier append that failed: %w", err)
	}
	s := l.active
	if s != nil && (s.frames == 0 || s.end+size <= l.opts.SegmentBytes) {
		return nil
	}
	return l.start()
}

// rotate starts a new segment if the active one holds anything, or by force.
func (l *Log) rotate(force bool) error {
	if err := l.failed(); err != nil {
		return err
	}
	if err := l.cut(); err != nil {
		return err
	}
	if !force && (l.active == nil || l.active.frames == 0) {
		return nil
	}
	return l.start()
}

// start makes the next segment and writes to it from now on. Nothing is lost
// with a segment that a crash leaves half made: nobody has been told of anything
// in it before its header and its name are durable.
func (l *Log) start() error {
	if l.nextID > maxID {
		return fmt.Errorf("start segment %d: no more names", l.nextID)
	}
	s := &segment{id: l.nextID, open: true, end: headerSize}
	s.header = header{id: s.id, created: l.opts.now().UnixMicro(), salt: l.opts.salt()}
	empty := l.describePrevious(&s.header)
	if err := l.create(s); err != nil {
		return fmt.Errorf("start segment %s: %w", l.path(s.id), err)
	}
	l.nextID++
	l.mu.Lock()
	if l.active != nil {
		l.active.open = false
	}
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	l.active = s
	l.discard(empty)
	return nil
}

// describePrevious puts the newest segment that holds groups, and its end, into
// the header of the next. It returns those after it, which hold none.
func (l *Log) describePrevious(h *header) (empty []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range slices.Backward(l.segments) {
		if s.frames > 0 {
			h.previous, h.previousEnd = s.id, uint64(s.end)
			break
		}
		empty = append(empty, s)
	}
	return empty
}

// create makes a segment's file, with its header and its name durable. A file of
// that name is left of an attempt that failed, and is replaced.
func (l *Log) create(s *segment) error {
	f, err := l.opts.FS.Create(l.path(s.id))
	if err != nil {
		return err
	}
	s.file = f
	if _, err = f.Write(s.header.encode()); err == nil {
		err = l.sync(f.Sync)
	}
	if err == nil {
		err = l.sync(func() error { return l.opts.FS.SyncDir(l.opts.Dir) })
	}
	if err != nil {
		return errors.Join(err, s.close(), l.opts.FS.Remove(l.path(s.id)))
	}
	return nil
}

// discard removes segments that hold nothing, so that starting again and again
// does not litter. If it fails they stay, and do no harm.
func (l *Log) discard(empty []*segment) {
	for _, s := range empty {
		if err := errors.Join(l.forget(s), s.close(), l.opts.FS.Remove(l.path(s.id))); err != nil {
			l.opts.Logger.Warn("empty segment of the log could not be removed", "file", l.path(s.id), "error", err)
		}
	}
}

// forget takes a segment off the list.
func (l *Log) forget(s *segment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.segments, s)
	if i < 0 {
		return ErrNoSegment
	}
	l.segments = slices.Delete(l.segments, i, i+1)
	return nil
}

// sayClosed ends the active segment with a group without frames, which proves
// the one before it at the next Open.
func (l *Log) sayClosed() error {
	if l.active == nil || l.active.frames == 0 || l.failed() != nil {
		return nil
	}
	if err := l.cut(); err != nil {
		return err
	}
	b := layGroup(nil, nil)
	stampGroup(b, l.active.header.salt, l.active.end)
	if err := l.write(b); err != nil {
		return fmt.Errorf("close log %s, which holds all that it acknowledged: %w", l.opts.Dir, err)
	}
	return nil
}

// Retire moves a sealed segment out of the log into a trash directory, which it
// makes if it is missing, and which is on the same file system. When it returns
// nil the move is durable. After an error a crash may bring the segment back:
// whoever retires must be able to replay it once more. Readers that have started
// finish; later they get ErrNoSegment.
func (l *Log) Retire(ctx context.Context, id uint64, trashDir string) error {
	if err := l.retire(ctx, id, trashDir); err != nil {
		return fmt.Errorf("retire segment %s: %w", l.path(id), err)
	}
	return nil
}

func (l *Log) retire(ctx context.Context, id uint64, trashDir string) error {
	s, last, err := l.sealed(id)
	if err != nil {
		return err
	}
	if last {
		// The newest name stays in the directory, or ids would start again.
		if err := l.do(ctx, newRotation(true)); err != nil {
			return err
		}
		if _, _, err := l.sealed(id); s.frames == 0 && errors.Is(err, ErrNoSegment) {
			return nil // it was empty, so its successor has discarded it
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	fs := l.opts.FS
	if err := fs.MkdirAll(trashDir); err != nil {
		return err
	}
	// One that somebody has removed is gone as it should be: nobody needs it any more.
	if err := fs.Rename(l.path(id), path.Join(trashDir, SegmentName(id))); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if err := errors.Join(l.forget(s), s.close()); err != nil {
		return err
	}
	// The trash first: at no time is the segment in neither directory. The log
	// does not depend on the trash, so if that cannot be synced the log goes on.
	if err := fs.SyncDir(trashDir); err != nil {
		return err
	}
	return l.sync(func() error { return fs.SyncDir(l.opts.Dir) })
}

// sealed finds a sealed segment, and says whether it is the newest.
func (l *Log) sealed(id uint64) (s *segment, last bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false, ErrClosed
	}
	i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.id == id })
	switch {
	case i < 0:
		return nil, false, ErrNoSegment
	case l.segments[i].open:
		return nil, false, ErrNotSealed
	}
	return l.segments[i], i == len(l.segments)-1, nil
}
