package siphon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"arbor/engine/vfs"
)

// errSpoolClosed says that the siphon goes down.
var errSpoolClosed = errors.New("the siphon is closed")

// Defaults of the spool.
const (
	DefaultRetention    = 7 * 24 * time.Hour
	DefaultMaxBytes     = 100 << 30
	DefaultSegmentBytes = 64 << 20
	DefaultSegmentAge   = time.Minute
	// maxGroup is how many copies wait for one fsync at most.
	maxGroup = 256
)

// spool is the directory with the segments. One goroutine writes: it takes all
// copies that wait, writes them, syncs once, and tells all of them.
type spool struct {
	fs     vfs.FS
	dir    string
	o      Options
	logger *slog.Logger
	lock   interface{ Close() error }
	edge   uint32

	copies chan *copyJob
	done   chan struct{}
	// sealed is told of every segment that is sealed, without waiting.
	sealed chan struct{}

	// The rest is the writer's.
	file    vfs.File
	name    string // without its suffix
	began   time.Time
	written int64
	salt    salt
	number  uint64

	// bytes is what all segments have; failing is set since the last copy failed.
	bytes   atomic.Int64
	failing atomic.Bool
	removed atomic.Int64 // before their time
	// mu guards closed; who sends on copies holds it for reading.
	mu     sync.RWMutex
	closed bool
}

// copyJob is a record on its way to the disk.
type copyJob struct {
	record []byte
	done   chan error
}

// openSpool opens the directory, seals what a crash left open, and starts the
// writer, which ends with Close.
func openSpool(o Options, edge uint32) (*spool, error) {
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("siphon directory %s: %w", o.Dir, err)
	}
	lock, err := o.FS.Lock(path.Join(o.Dir, "LOCK"))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("siphon directory %s is in use by another siphon; give this one its own with --dir", o.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("siphon directory %s: %w", o.Dir, err)
	}
	s := &spool{fs: o.FS, dir: o.Dir, o: o, logger: o.Logger, lock: lock, edge: edge,
		copies: make(chan *copyJob, maxGroup), done: make(chan struct{}), sealed: make(chan struct{}, 1)}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go s.write() // ends when copies is closed
	return s, nil
}

// recover gives the segments that a crash left open their last names. What they
// end with may be half a record, which readers know.
func (s *spool) recover() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("siphon directory %s: %w", s.dir, err)
	}
	for _, name := range names {
		_, sealed, ok := parseName(name)
		if !ok {
			continue
		}
		info, err := s.fs.Stat(path.Join(s.dir, name))
		if err != nil {
			return fmt.Errorf("siphon directory %s: %w", s.dir, err)
		}
		s.bytes.Add(info.Size())
		if sealed {
			continue
		}
		if err := s.rename(strings.TrimSuffix(name, openSuffix), tornSuffix); err != nil {
			return err
		}
	}
	return nil
}

// rename gives an open segment the name of one to which nothing is added.
func (s *spool) rename(name, suffix string) error {
	from, to := path.Join(s.dir, name+openSuffix), path.Join(s.dir, name+suffix)
	if err := s.fs.Rename(from, to); err != nil {
		return fmt.Errorf("seal %s: %w", from, err)
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("seal %s: %w", from, err)
	}
	return nil
}

// keep makes a record durable. It belongs to the spool until keep returns.
func (s *spool) keep(j *copyJob) error {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return errSpoolClosed
	}
	s.copies <- j
	s.mu.RUnlock()
	return <-j.done
}

// write is the writer.
func (s *spool) write() {
	defer close(s.done)
	age := time.NewTicker(s.o.SegmentAge / 4)
	defer age.Stop()
	group := make([]*copyJob, 0, maxGroup)
	for {
		group = group[:0]
		select {
		case j, ok := <-s.copies:
			if !ok {
				s.report(s.roll(), "seal the last segment")
				return
			}
			group = append(group, j)
		case <-age.C:
			if s.file != nil && s.o.Now().Sub(s.began) >= s.o.SegmentAge {
				s.report(s.roll(), "seal a segment")
			}
			s.report(s.expire(), "remove old segments")
			continue
		}
	more:
		for len(group) < maxGroup {
			select {
			case j, ok := <-s.copies:
				if !ok {
					break more // found closed again after this group
				}
				group = append(group, j)
			default:
				break more
			}
		}
		err := s.commit(group)
		if err != nil { // a second file has a second chance; a second fsync of the same one lies
			s.abandon()
			err = s.commit(group)
		}
		if err != nil {
			s.abandon()
		}
		s.failing.Store(err != nil)
		for _, j := range group {
			j.done <- err
		}
		if s.written >= s.o.SegmentBytes {
			s.report(s.roll(), "seal a segment")
		}
	}
}

// commit writes the records and makes them durable.
func (s *spool) commit(group []*copyJob) error {
	if s.file == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	for _, j := range group {
		seal(j.record, s.salt)
		n, err := s.file.Write(j.record)
		s.written += int64(n)
		s.bytes.Add(int64(n))
		if err != nil {
			return fmt.Errorf("write %s: %w", s.name, err)
		}
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.name, err)
	}
	return nil
}

// begin begins a segment.
func (s *spool) begin() error {
	s.number++
	s.began = s.o.Now()
	s.name = segmentName(s.began, s.edge, s.number)
	file, err := s.fs.Create(path.Join(s.dir, s.name+openSuffix))
	if err != nil {
		return fmt.Errorf("begin %s: %w", s.name, err)
	}
	_, _ = rand.Read(s.salt[:])
	n, err := file.Write(segmentHeader(s.salt))
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("begin %s: %w", s.name, errors.Join(err, file.Close()))
	}
	s.file, s.written = file, int64(n)
	s.bytes.Add(int64(n))
	return nil
}

// roll seals the segment that is written, if there is one.
func (s *spool) roll() error {
	if s.file == nil {
		return nil
	}
	end := appendHead(nil, Stamp{}, trailerMethod, "", nil)
	finish(end, len(end), 0)
	seal(end, s.salt)
	n, err := s.file.Write(end)
	s.bytes.Add(int64(n))
	if err == nil {
		err = s.file.Sync()
	}
	suffix := sealedSuffix
	if err = errors.Join(err, s.file.Close()); err != nil {
		err, suffix = fmt.Errorf("seal %s: %w", s.name, err), tornSuffix
	}
	s.file = nil
	// What was copied is durable whether the trailer is or not.
	if err := errors.Join(err, s.rename(s.name, suffix)); err != nil {
		return err
	}
	s.tell()
	return nil
}

// tell says that there is a sealed segment to upload.
func (s *spool) tell() {
	select {
	case s.sealed <- struct{}{}:
	default:
	}
}

// abandon leaves a segment whose file failed as it is: what was durable stays so.
func (s *spool) abandon() {
	if s.file == nil {
		return
	}
	s.report(s.file.Close(), "leave a segment that could not be written")
	s.file = nil
	s.report(s.rename(s.name, tornSuffix), "seal a segment that could not be written")
	s.tell()
}

// expire removes what is older than the retention, and the oldest of what is
// more than the spool may have.
func (s *spool) expire() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names { // the oldest first
		began, sealed, ok := parseName(name)
		if !ok || !sealed {
			continue
		}
		old := s.o.Now().Sub(began) > s.o.Retention+s.o.SegmentAge
		full := s.bytes.Load() > s.o.MaxBytes
		if !old && !full {
			return nil
		}
		info, err := s.fs.Stat(path.Join(s.dir, name))
		if err == nil {
			err = s.fs.Remove(path.Join(s.dir, name))
		}
		if err != nil {
			return err
		}
		s.bytes.Add(-info.Size())
		if !old {
			s.removed.Add(1)
			s.logger.Error("a segment was removed before its time: the spool is full; give it more with --max-bytes or a bigger disk",
				"segment", name, "max_bytes", s.o.MaxBytes)
		}
	}
	return nil
}

func (s *spool) report(err error, doing string) {
	if err != nil {
		s.logger.Error(doing, "error", err)
	}
}

// Close seals the last segment and ends the writer. Copies that wait are written.
func (s *spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.copies)
	s.mu.Unlock()
	<-s.done
	return s.lock.Close()
}
