package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// openShards opens the indexed files of all shards.
func (e *Engine) openShards(ctx context.Context) error {
	return e.walk(e.shardsDir(), func(project string) error {
		return e.walk(path.Join(e.shardsDir(), project), func(day string) error {
			return e.walk(path.Join(e.shardsDir(), project, day), func(bucket string) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				key, ok := catalog.ParseShardKey(path.Join(project, day, bucket))
				if !ok {
					e.logger.Warn("not a shard's directory", "path", path.Join(e.shardsDir(), project, day, bucket))
					return nil
				}
				if err := e.belongs(key); err != nil {
					return err
				}
				return e.openShard(e.shard(key))
			})
		})
	})
}

// walk calls do for each directory in dir.
func (e *Engine) walk(dir string, do func(name string) error) error {
	names, err := e.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if sub, ok := strings.CutSuffix(name, "/"); ok {
			if err := do(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// openShard opens a shard's files. What a crash left half done is healed by
// what the files say: one that another replaces goes to the trash, and one that
// was never proven is removed. A file that cannot be read makes the shard fail,
// unless another file replaces it.
func (e *Engine) openShard(s *shard) error {
	names, err := e.fs.List(s.dir)
	if err != nil {
		return err
	}
	opened := map[string]*file{}
	damaged := map[string]error{}
	dropped := e.ledger.dropped(s.key)
	for _, name := range names {
		n, ok := parseFileName(name)
		switch {
		case ok && n.sequence <= dropped.sequence:
			s.addLitter(name)
		case ok:
			if f, err := e.openFile(s, n); err == nil {
				opened[name] = f
			} else {
				damaged[name] = err
			}
		case strings.HasSuffix(name, newSuffix) || strings.HasSuffix(name, ".tmp"):
			if err := e.fs.Remove(path.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		default:
			e.logger.Warn("not an indexed file", "path", path.Join(s.dir, name))
		}
	}
	s.adopt(opened, damaged)
	for _, f := range s.files() {
		f.sums = e.ledger.sumsOf(s.key, f)
		dots := e.dotsOf(f)
		e.holdings.addFile(s.key.Slot(), &dots)
	}
	for _, id := range s.nowFiles().marks.damaged {
		e.alarmCollision(s.key, id)
	}
	for name, cause := range damaged {
		if !slices.Contains(s.replacedBy(nil), name) && s.fail(fmt.Errorf("indexed file %s: %w", name, cause)) {
			e.alarms.raise(alarmDamage, s.key, name, cause.Error())
		}
	}
	e.missFiles(s, damaged)
	e.lackUnrecorded(s, damaged)
	litter := s.replacedBy(nil)
	if s.failure() != nil || len(litter) == 0 && e.ledger.agrees(s) {
		return nil
	}
	// A new file may have its name from a process that died before it could sync
	// it. From then on it may be recorded, and what it replaces be moved.
	if err := e.fs.SyncDir(s.dir); err != nil {
		return err
	}
	// What cannot be moved now is moved later: the files that count are open.
	if err := e.trash.retire(s, litter); err != nil {
		e.logger.Warn("replaced files stay for now", "shard", s.key.String(), "error", err)
	}
	return nil
}

// lackUnrecorded notes damaged files that the ledger does not know: they may count, and
// nobody knows what was in them.
func (e *Engine) lackUnrecorded(s *shard, damaged map[string]error) {
	recorded := e.ledger.filesOf(s.key)
	for name := range damaged {
		if n, ok := parseFileName(name); ok && !slices.Contains(recorded, n) && !slices.Contains(s.replacedBy(nil), name) {
			e.lack(s, n)
		}
	}
}

// adopt makes the shard one of the opened files that no live one replaces. The
// replaced ones, if they are there, are litter. Only live files say up to where
// the log is indexed: a file that is litter may hold what no live file does.
func (s *shard) adopt(opened map[string]*file, damaged map[string]error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	replaced := replacedByLive(opened)
	var live []*file
	for name, f := range opened {
		if replaced[name] {
			s.litter = append(s.litter, name)
			f.reader.Close()
			continue
		}
		live = append(live, f)
		if s.cut.before(f.cut) {
			s.cut = f.cut
		}
	}
	for name := range damaged {
		if replaced[name] {
			s.litter = append(s.litter, name)
		}
	}
	slices.Sort(s.litter)
	slices.SortFunc(live, func(a, b *file) int { return strings.Compare(a.name.String(), b.name.String()) })
	s.now.files = newFileset(live)
	s.now.tail = newTail(s.now.files)
}

// replacedByLive are the names that a live file replaces, and a file is live
// unless one of them is its own. What a file says that is itself replaced does
// not count: it may have been published and then failed to open, so that its
// sources stayed in force, and the file after it, which took it for litter, does
// not hold what they do. A file only names older ones, so this comes to an end.
func replacedByLive(opened map[string]*file) map[string]bool {
	replacers := map[string][]string{} // by the name that they replace
	for name, f := range opened {
		for _, old := range f.meta.Replaces {
			replacers[old] = append(replacers[old], name)
		}
	}
	dead := map[string]bool{}
	var isDead func(name string) bool
	isDead = func(name string) bool {
		known, ok := dead[name]
		if !ok {
			known = slices.ContainsFunc(replacers[name], func(by string) bool { return by != name && !isDead(by) })
			dead[name] = known
		}
		return known
	}
	replaced := map[string]bool{}
	for name := range replacers {
		if isDead(name) {
			replaced[name] = true
		}
	}
	return replaced
}

// openLog replays the log: each batch that is in no file yet becomes a ref of
// its shard.
func (e *Engine) openLog(ctx context.Context) error {
	if err := e.compareCuts(); err != nil {
		return err
	}
	now := e.now().UnixMicro()
	log, err := appendlog.Open(appendlog.Options{
		FS: e.fs, Dir: e.logDir(), SegmentBytes: e.opts.SegmentBytes, Logger: e.logger, Quarantine: e.opts.OpenDamagedLog,
	}, func(pos appendlog.Position, payload []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, record, err := dot.CutName(payload)
		if err != nil {
			return fmt.Errorf("batch at byte %d of segment %d: %w", pos.Offset, pos.Segment, err)
		}
		h, err := event.DecodeHeader(record)
		if err != nil {
			return fmt.Errorf("batch at byte %d of segment %d: %w", pos.Offset, pos.Segment, err)
		}
		if err := e.belongs(h.Shard); err != nil {
			return err
		}
		if e.ledger.dropped(h.Shard).cut.covers(pos) {
			return nil
		}
		if !e.shard(h.Shard).covers(pos) {
			e.publish(h, name, pos, now, recordKey{})
		}
		if !name.IsZero() {
			e.holdings.addLogged(h.Shard.Slot(), name, pos)
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.log = log
	for _, f := range log.Findings() {
		if f.Damaged {
			e.distrust(fmt.Sprintf("%s: damage at byte %d: %s", f.File, f.Offset, f.Reason))
			e.alarms.raise(alarmLog, catalog.ShardKey{}, f.File, fmt.Sprintf("%d bytes from byte %d on: %s", f.Bytes, f.Offset, f.Reason))
		}
	}
	return nil
}

// compareCuts holds the log against what the indexed files say of it. A segment
// that is shorter than what was indexed from it has lost its end, and with it,
// perhaps, what was not indexed yet. If the newest segments are gone altogether
// their numbers would be given out again, and what is appended from now on would
// be taken for indexed at the next opening: never.
func (e *Engine) compareCuts() error {
	newest, oldest := uint64(0), ^uint64(0)
	ends := map[uint64]int64{}
	names, err := e.fs.List(e.logDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		var id uint64
		if n, err := fmt.Sscanf(name, "%d.log", &id); n != 1 || err != nil || appendlog.SegmentName(id) != name {
			continue
		}
		info, err := e.fs.Stat(path.Join(e.logDir(), name))
		if err != nil {
			return err
		}
		newest, oldest = max(newest, id), min(oldest, id)
		ends[id] = info.Size()
	}
	last := uint64(0)
	for _, s := range e.allShards() {
		upTo := s.indexedTo()
		last = max(last, upTo.segment)
		if upTo.segment >= oldest {
			// The log still has what the file holds, so the file may have its name
			// from a process that died before it could sync it. From now on the log
			// may go.
			if err := e.fs.SyncDir(s.dir); err != nil {
				return err
			}
		}
		if end, there := ends[upTo.segment]; there && end < upTo.offset {
			file := path.Join(e.logDir(), appendlog.SegmentName(upTo.segment))
			err := e.logDamage(s.key, file, fmt.Sprintf("it ends at byte %d, and shard %s was indexed from it up to byte %d", end, s.key, upTo.offset))
			if err != nil {
				return err
			}
		}
	}
	if last <= newest {
		return nil
	}
	file := path.Join(e.logDir(), appendlog.SegmentName(last))
	if err := e.logDamage(catalog.ShardKey{}, file, "it is gone, with all that came after it: the indexed files name it"); err != nil {
		return err
	}
	// A segment that was begun and holds nothing makes the log go on behind it.
	f, err := e.fs.Create(path.Join(e.logDir(), appendlog.SegmentName(last+1)))
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), e.fs.SyncDir(e.logDir()))
}

// logDamage is an alarm, and an error unless a damaged log is to be opened.
func (e *Engine) logDamage(k catalog.ShardKey, file, what string) error {
	e.alarms.raise(alarmLog, k, file, what)
	if e.opts.OpenDamagedLog {
		e.distrust(file + ": " + what)
		return nil
	}
	return fmt.Errorf("%s: %s: %w", file, what, appendlog.ErrCorrupt)
}
