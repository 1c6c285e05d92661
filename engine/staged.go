package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"arbor/catalog"
	"arbor/engine/event"
)

// A version of the indexer that is staged is run by some members, the canaries, before all
// others. What a canary makes by it is told by the file's version and its name, which is
// of a moment since the stage began; a file that is made of such a one is such a one, too, so
// that none slips out of sight. Until the stage is promoted no other member is given such
// files, and the trash keeps what they replaced.

// stage is the one of which this member is a canary, nil for none.
func (e *Engine) stage() *catalog.Stage { return e.catalog.Load().StageOn(e.opts.Member) }

// isStaged says whether a file was made by the staged version.
func isStaged(s *catalog.Stage, f *file) bool {
	return s != nil && f.reader.Version() == s.To && f.name.madeAt() >= s.Since
}

// stagedOf are those of the files that were made by the staged version.
func stagedOf(s *catalog.Stage, files []*file) (staged []*file) {
	for _, f := range files {
		if isStaged(s, f) {
			staged = append(staged, f)
		}
	}
	return staged
}

// chooseVersion says by which version the file is made.
func (b *build) chooseVersion() {
	c := b.engine.catalog.Load()
	b.stage = c.StageOn(b.engine.opts.Member)
	switch {
	case b.engine.opts.Files.Version != 0:
		b.version = b.engine.opts.Files.Version
	case len(stagedOf(b.stage, b.sources)) > 0:
		b.version = b.stage.To
	default:
		b.version = c.IndexVersionOn(b.engine.opts.Member)
	}
}

// faults are those that the version has.
func (b *build) faults() *Faults {
	f := b.engine.opts.Faults
	if f != nil && f.Version != 0 && f.Version != b.version {
		return nil
	}
	return f
}

// frozen says that the files may not be merged: a difference was found, and what is
// wrong with the shard's files must stay where it is.
func (x *indexer) frozen(files []*file) bool {
	s := x.engine.stage()
	return s != nil && s.State != catalog.StageRunning && len(stagedOf(s, files)) > 0
}

// stageTrouble is the first thing that went wrong with files of a stage.
type stageTrouble struct {
	mu    sync.Mutex // guards what follows
	since int64
	what  string
}

func (t *stageTrouble) note(s *catalog.Stage, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since != s.Since {
		t.since, t.what = s.Since, what
	}
}

func (t *stageTrouble) of(s *catalog.Stage) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since != s.Since {
		return ""
	}
	return t.what
}

// Staged says what this member has made by the staged version; nothing if it is no canary.
func (e *Engine) Staged(ctx context.Context) (event.Staged, error) {
	leave, err := e.enter()
	if err != nil {
		return event.Staged{}, err
	}
	defer leave()
	stage := e.stage()
	if stage == nil {
		return event.Staged{}, nil
	}
	all := event.Staged{Trouble: e.trouble.of(stage)}
	for _, s := range e.allShards() {
		if err := ctx.Err(); err != nil {
			return event.Staged{}, err
		}
		v := s.viewAnyway(e)
		if files := stagedOf(stage, v.files.files); len(files) > 0 {
			of := event.StagedShard{Shard: s.key, Files: fileNames(files)}
			if dots, named := v.dots(); named {
				of.Batches = dots.Hash()
			}
			if err := s.failure(); err != nil {
				of.Damaged = err.Error()
			}
			all.Shards = append(all.Shards, of)
		}
		v.release()
	}
	slices.SortFunc(all.Shards, func(a, b event.StagedShard) int { return a.Shard.Compare(b.Shard) })
	return all, nil
}

// viewAnyway is view, of a damaged shard too.
func (s *shard) viewAnyway(e *Engine) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viewNow(e)
}

// mend says that what was damaged is there no more.
func (s *shard) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.absent = nil, nil
}

// noteStaged puts on record why a file of the staged version could not be built.
func (b *build) noteStaged(err error) {
	if b.stage != nil && b.version == b.stage.To {
		b.engine.trouble.note(b.stage, fmt.Sprintf("shard %s: %s", b.view.shard.key, err))
	}
}
