package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"syscall"

	"arbor/catalog"
	"arbor/engine/appendlog"
)

// What opening finds missing, by the ledger. Only what is certain is claimed: a
// shard whose file is missing fails as one whose file is damaged, and a log that
// lacks a segment is damaged.

// missFiles fails the shard if a file that must be there is not live and no live
// file stands for it. Only what live files say counts: a file that is replaced
// itself was recorded before that, or never counted. Files that are there and
// damaged have failed the shard already. What was in either is noted.
func (e *Engine) missFiles(s *shard, damaged map[string]error) {
	replaced := map[string]bool{}
	for _, f := range s.files() {
		for _, name := range f.meta.Replaces {
			replaced[name] = true
		}
	}
	for _, n := range e.ledger.filesOf(s.key) {
		name := n.String()
		if s.uses(name) || replaced[name] {
			continue
		}
		e.lack(s, n)
		if damaged[name] != nil {
			continue
		}
		err := fmt.Errorf("indexed file %s is missing, and no other stands for it: put it back from trash/ or from a copy of the data directory, and start again",
			path.Join(s.dir, name))
		s.fail(err)
		e.alarms.raise(alarmMissing, s.key, name, err.Error())
	}
}

// missShards fails the shards whose directories are gone.
func (e *Engine) missShards() error {
	for _, k := range e.ledger.shards() {
		if err := e.belongs(k); err != nil {
			return err
		}
		e.mu.RLock()
		there := e.shards[k.Project][k] != nil
		e.mu.RUnlock()
		if !there {
			e.missFiles(e.shard(k), nil)
		}
	}
	return nil
}

// missSegments looks for segments of the log that must be there and are not.
func (e *Engine) missSegments() error {
	logged := e.ledger.logged
	must := slices.Clone(logged.live)
	there := map[uint64]bool{}
	for _, s := range e.log.Segments() {
		there[s.ID] = true
		if logged.next > 0 && s.Previous >= logged.next {
			must = append(must, s.Previous)
		}
	}
	slices.Sort(must)
	for _, id := range slices.Compact(must) {
		file := path.Join(e.logDir(), appendlog.SegmentName(id))
		if there[id] {
			continue
		}
		if _, err := e.fs.Stat(file); err == nil {
			continue // it is damaged, which was said
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := e.logDamage(catalog.ShardKey{}, file, "it is missing, and holds what may be in no indexed file: put it back from a copy of the data directory, and start again")
		if err != nil {
			return err
		}
	}
	return nil
}

// segmentsBut is what must stay of the log once some segments are retired.
func (e *Engine) segmentsBut(retiring []uint64) (logged loggedSegments) {
	for _, s := range e.log.Segments() {
		if s.Frames > 0 && !slices.Contains(retiring, s.ID) {
			logged.live = append(logged.live, s.ID)
		}
		if logged.next = s.ID + 1; !s.Sealed {
			logged.next = s.ID
		}
	}
	return logged
}

// reckonLog holds the log against the ledger, and records what is there. Where
// there is no room for that it is done before the next segment is retired.
func (e *Engine) reckonLog() error {
	if err := e.missSegments(); err != nil {
		return err
	}
	e.reckonDoubt()
	err := e.ledger.agreeLog(e.segmentsBut(nil))
	if err == nil {
		err = e.ledger.opened()
	}
	if errors.Is(err, syscall.ENOSPC) {
		e.logger.Warn("ledger is written later", "error", err)
		return nil
	}
	return err
}

// belongs gives ErrCatalogLost if the catalog never gave the project's id out.
func (e *Engine) belongs(k catalog.ShardKey) error {
	next := max(e.opts.Catalog.NextProject, 1)
	if !e.catalogGiven || k.Project < next {
		return nil
	}
	return fmt.Errorf("there is data of shard %s, and the next project would be %d: put catalog/ back from a copy that is as new as the data: %w", k, next, ErrCatalogLost)
}
