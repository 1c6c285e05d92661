package engine

import (
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Erasing a user is what the catalog decides, in three changes. From the first on
// Append lets no event of the user in that is as old, and nobody sees one: reckoning
// removes them, whatever the moment asked for and whatever was undone. The engine then
// counts what is there of them, in files that it makes of the log first, and when that
// is on record too rewrites the files, retires the log, and empties the trash of
// whatever may hold one. Each step may be repeated, so that an erasure that was
// interrupted just goes on.

// CountErasure counts what an erasure that has begun is going to remove.
func (e *Engine) CountErasure(ctx context.Context, id catalog.IngestID) (counted catalog.CountErasure, err error) {
	leave, err := e.enter()
	if err != nil {
		return counted, err
	}
	defer leave()
	counted.ID = id
	c := e.catalog.Load()
	of, erased, ok := c.Erasure(id)
	if !ok {
		return counted, fmt.Errorf("count erasure %s: %w", id, catalog.ErrNoErasure)
	}
	var before, removed event.Digest
	err = e.indexer.eachErasing(ctx, of, func(s *shard) error {
		v, err := s.view(e)
		if err != nil {
			return err
		}
		defer v.release()
		d, err := digestErased(ctx, v.files.files, erased)
		if err != nil || d.Count == 0 {
			return v.blame(err)
		}
		held, err := v.digest(ctx, c)
		if err != nil {
			return err
		}
		before, removed = before.Add(held), removed.Add(d)
		counted.Shards = append(counted.Shards, catalog.ErasedShard{Shard: s.key, Events: d.Count})
		return nil
	})
	if err != nil {
		return counted, fmt.Errorf("count erasure %s: %w", id, err)
	}
	slices.SortFunc(counted.Shards, func(a, b catalog.ErasedShard) int { return a.Shard.Compare(b.Shard) })
	counted.Before = catalog.RecordSum{before.Count, before.Hi, before.Lo}
	counted.Removed = catalog.RecordSum{removed.Count, removed.Hi, removed.Lo}
	return counted, nil
}

// Erase removes the events of an erasure that was counted from all files: when it
// returns nil they are neither in an indexed file, nor in the log, nor in the trash. The
// undo that the trash is for is lost with it for the shards and segments concerned.
func (e *Engine) Erase(ctx context.Context, id catalog.IngestID) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	of, erased, ok := e.catalog.Load().Erasure(id)
	if !ok {
		return fmt.Errorf("erase %s: %w", id, catalog.ErrNoErasure)
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"rewrite files", func() error {
			return e.indexer.eachErasing(ctx, of, func(s *shard) error { return e.indexer.erase(ctx, s, erased) })
		}},
		{"retire the log", func() error { return e.retireAll(ctx) }},
		{"empty the trash", func() error { return e.trash.forget(ctx, of) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("erase %s: %s: %w", id, step.what, err)
		}
	}
	return nil
}

// eachErasing indexes what is logged of each shard that an erasure can touch, and then
// calls do while nobody else builds.
func (x *indexer) eachErasing(ctx context.Context, of *catalog.Erasure, do func(s *shard) error) error {
	if err := x.engine.flights.wait(ctx); err != nil {
		return err
	}
	if err := x.planning.take(ctx); err != nil {
		return err
	}
	defer x.planning.give()
	for _, s := range x.engine.shardsOf(of.Project) {
		if s.key.Bucket != of.Bucket {
			continue
		}
		if err := s.failure(); err != nil {
			return err
		}
		err := x.alone(ctx, s, func() error {
			if err := x.index(ctx, s); err != nil {
				return err
			}
			return do(s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// erase makes one file, without what is erased, of all files of a shard that hold some.
// The caller is alone.
func (x *indexer) erase(ctx context.Context, s *shard, erased *catalog.Suppression) error {
	var sources []*file
	for _, f := range s.files() {
		d, err := digestErased(ctx, []*file{f}, erased)
		if err != nil {
			return err
		}
		if d.Count > 0 {
			sources = append(sources, f)
		}
	}
	if len(sources) == 0 {
		return nil
	}
	return x.buildWithout(ctx, s, taskErase, nil, sources, erased)
}

// eachErased calls do with each row of a file that is erased.
func (f *file) eachErased(ctx context.Context, erased *catalog.Suppression, do func(row int, e *event.Event)) error {
	if f.rows() == 0 || f.minID.Compare(erased.Newest()) > 0 {
		return nil
	}
	users, rows := newUserWalk(f), f.cursor()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ok, err := users.step(); err != nil || !ok {
			return err
		}
		upTo := erased.UpTo(users.name)
		if upTo.IsZero() {
			continue
		}
		for row := users.lo; row < users.hi; row++ {
			e, err := rows.event(row)
			if err != nil {
				return err
			}
			if e.ID.Compare(upTo) <= 0 {
				do(row, e)
			}
		}
	}
}

// digestErased is the digest of the erased rows of files, physical repeats once.
func digestErased(ctx context.Context, files []*file, erased *catalog.Suppression) (d event.Digest, err error) {
	type record struct {
		id catalog.IngestID
		form
	}
	seen := map[record]bool{}
	for _, f := range files {
		err := f.eachErased(ctx, erased, func(_ int, e *event.Event) {
			if r := (record{e.ID, formOf(e)}); !seen[r] {
				seen[r] = true
				d.AddEvent(e)
			}
		})
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

// countErased takes what is erased from what the new file must hold. It looks for it in
// the sources by itself, while the build leaves rows out as it meets them.
func (b *build) countErased(ctx context.Context) error {
	if b.erasing == nil {
		return nil
	}
	d, err := digestErased(ctx, b.sources, b.erasing)
	b.want = b.want.Sub(d)
	return err
}

// erasedUpTo is up to which ingest id a user's rows are left out; zero for none.
func (b *build) erasedUpTo(user string) (id catalog.IngestID) {
	if b.erasing != nil {
		id = b.erasing.UpTo(user)
	}
	return id
}

// removeErased removes what is erased and still there. It does not count: it is as if it
// never had been.
func (k *reckoning) removeErased() error {
	erased := k.rules.erasing
	if erased == nil {
		return nil
	}
	ctx := context.Background() // as the other steps
	for i, f := range k.view.files.files {
		err := f.eachErased(ctx, erased, func(row int, e *event.Event) {
			k.erase(&k.files[i], row, f.rows(), e.ID)
		})
		if err != nil {
			return err
		}
	}
	return k.view.eachLogged(ctx, func(number uint32, e *event.Event) {
		if e.ID.Compare(erased.UpTo(e.DistinctID)) <= 0 {
			k.erase(&k.log, int(number), int(k.view.events), e.ID)
		}
	})
}

// erase makes a record gone, unless it is quarantined, which nobody sees either.
func (k *reckoning) erase(m *marks, ordinal, of int, id catalog.IngestID) {
	if m.gone == nil {
		m.gone = exec.NewBitmap(of)
	}
	k.remove(m, ordinal, of, id, false)
}

// retireAgain is how often segments are looked at that a view still reads.
const retireAgain = 20 * time.Millisecond

// retireAll ends the segment of the log that is being written, has all that is logged in
// files, and returns when no segment is left that there was.
func (e *Engine) retireAll(ctx context.Context) error {
	if err := e.log.Rotate(ctx); err != nil {
		return err
	}
	old := map[uint64]bool{}
	for _, s := range e.log.Segments() {
		old[s.ID] = s.Sealed
	}
	if err := e.indexer.runAll(ctx, 0, false); err != nil {
		return err
	}
	again := time.NewTicker(retireAgain)
	defer again.Stop()
	for {
		if err := e.retireSegments(ctx, math.MaxInt64); err != nil {
			return err
		}
		if !slices.ContainsFunc(e.log.Segments(), func(s appendlog.SegmentInfo) bool { return old[s.ID] }) {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("a query still reads what is to go: %w", ctx.Err())
		}
	}
}

// forget removes for good what the trash has of the shards that an erasure touched, and
// all segments of the log in it: each may hold events of any user.
func (t *trash) forget(ctx context.Context, of *catalog.Erasure) error {
	e := t.engine
	if err := t.sweepLitter(ctx); err != nil {
		return err
	}
	if err := e.indexer.cleaning.take(ctx); err != nil {
		return err
	}
	defer e.indexer.cleaning.give()
	names, err := e.fs.List(e.trashDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		name = strings.TrimSuffix(name, "/")
		if !t.concerns(name, of) {
			continue
		}
		if err := t.remove(name); err != nil {
			return err
		}
	}
	return e.fs.SyncDir(path.Clean(e.trashDir()))
}

func (t *trash) concerns(name string, of *catalog.Erasure) bool {
	if _, ok := trashedAt(name); !ok {
		return false
	}
	if strings.HasSuffix(name, logTrash) {
		return true
	}
	parts := strings.Split(name, ",")
	if len(parts) != 3 {
		return false
	}
	key, ok := catalog.ParseShardKey(strings.ReplaceAll(parts[1], ".", "/"))
	return ok && key.Project == of.Project && key.Bucket == of.Bucket
}
