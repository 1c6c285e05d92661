package engine

import (
	"context"
	"errors"
	"path"
	"slices"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
)

// shardsOf lists a project's shards in order.
func (e *Engine) shardsOf(project catalog.ProjectID) []*shard {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return sorted(e.shards[project])
}

// allShards lists all shards in order.
func (e *Engine) allShards() (all []*shard) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, of := range e.shards {
		all = append(all, sorted(of)...)
	}
	slices.SortFunc(all, func(a, b *shard) int { return a.key.Compare(b.key) })
	return all
}

func sorted(shards map[catalog.ShardKey]*shard) []*shard {
	out := make([]*shard, 0, len(shards))
	for _, s := range shards {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *shard) int { return a.key.Compare(b.key) })
	return out
}

// shardStates says what the plan needs to know. Shards that are damaged, or whose
// last build has just failed, are left alone.
func (e *Engine) shardStates() (states []shardState) {
	now := e.now()
	for _, s := range e.allShards() {
		if state, ok := s.state(); ok && !now.Before(s.restsUntil()) {
			states = append(states, state)
		}
	}
	return states
}

func (s *shard) state() (shardState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := shardState{key: s.key, loggedBytes: s.now.bytes, loggedEvents: s.now.events, loggedBatches: len(s.now.logs)}
	if len(s.now.logs) > 0 {
		st.oldest = s.now.logs[0].at
	}
	for _, f := range s.now.files.files {
		st.files = append(st.files, fileState{f.name, f.reader.Size()})
	}
	return st, s.broken == nil
}

// Rests after builds that failed: each is twice as long as the one before.
const (
	firstRest = 5 * time.Second
	lastRest  = 10 * time.Minute
)

// rest leaves the shard alone for a while after a build that failed, and ends
// that after one that did not.
func (s *shard) rest(now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.resting, s.awake = 0, time.Time{}
		return
	}
	s.resting = min(max(firstRest, 2*s.resting), lastRest)
	s.awake = now.Add(s.resting)
}

func (s *shard) restsUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awake
}

// covers reports whether a logged batch is in the shard's files.
func (s *shard) covers(pos appendlog.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut.covers(pos)
}

// indexedTo is up to where the log is in the shard's files.
func (s *shard) indexedTo() cut {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

// lastCut is right behind the last batch that is published now.
func (s *shard) lastCut() (upTo cut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.now.logs {
		if upTo.before(r.end()) {
			upTo = r.end()
		}
	}
	return upTo
}

// files are the shard's files now. Only who holds building may use them without
// a view.
func (s *shard) files() []*file { return s.nowFiles().files }

func (s *shard) nowFiles() *fileset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.files
}

func (s *shard) fileNames() (names []fileName) {
	for _, f := range s.files() {
		names = append(names, f.name)
	}
	return names
}

func fileNames(files []*file) (names []string) {
	for _, f := range files {
		names = append(names, f.name.String())
	}
	return names
}

// uses reports whether a file is one that the shard reads.
func (s *shard) uses(name string) bool {
	return slices.ContainsFunc(s.files(), func(f *file) bool { return f.name.String() == name })
}

// replacedBy are the names that a file made of the sources replaces: theirs, and
// those of files replaced before that could not be moved away yet. Without
// sources it is the litter alone.
func (s *shard) replacedBy(sources []*file) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := fileNames(sources)
	return append(names, s.litter...)
}

// addLitter names files that must not be taken for the shard's any more.
func (s *shard) addLitter(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if !slices.Contains(s.litter, name) {
			s.litter = append(s.litter, name)
		}
	}
}

// swept says that a replaced file is gone from the shard's directory.
func (s *shard) swept(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.litter = slices.DeleteFunc(s.litter, func(n string) bool { return n == name })
}

// purgeProjects drops the shards of projects that were purged: their files go to
// the trash, and their logged batches count as settled. A project is purged if
// the catalog gave its id out and knows it no more.
func (e *Engine) purgeProjects(ctx context.Context, c *catalog.Catalog) error {
	var errs []error
	for _, s := range e.allShards() {
		if _, known := c.ProjectByID(s.key.Project); known || s.key.Project >= c.NextProject {
			continue
		}
		if err := s.building.take(ctx); err != nil {
			return err
		}
		errs = append(errs, e.purge(s))
		s.building.give()
	}
	return errors.Join(errs...)
}

func (e *Engine) purge(s *shard) error {
	names := s.replacedBy(s.files()) // and what could not be moved the last time
	for _, a := range s.lacks() {
		names = append(names, a.name.String())
	}
	if err := e.keepDots(s.key.Slot()); err != nil {
		return err
	}
	old := s.swapAll()
	if err := e.keepDots(s.key.Slot()); err != nil { // of what came in between
		s.addLitter(names...)
		return err
	}
	e.backlog.settle(old)
	err := e.trash.retire(s, names)
	if err == nil {
		e.mu.Lock()
		delete(e.shards[s.key.Project], s.key)
		if len(e.shards[s.key.Project]) == 0 {
			delete(e.shards, s.key.Project)
		}
		e.mu.Unlock()
		err = errors.Join(s.close(), e.removeEmpty(s.dir))
	}
	return err
}

// removeEmpty removes a shard's directory and those above it that are empty.
func (e *Engine) removeEmpty(dir string) error {
	for ; dir != e.shardsDir(); dir = path.Dir(dir) {
		names, err := e.fs.List(dir)
		if err != nil || len(names) > 0 {
			return nil // it may never have been made, and a rest does no harm
		}
		if err := e.fs.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}

// swapAll empties the shard and returns what was logged.
func (s *shard) swapAll() []logRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.now
	s.now, s.absent = contents{files: newFileset(nil)}, nil
	s.now.tail = newTail(s.now.files)
	old.tail.columns.drop()
	old.files.release()
	return old.logs
}
