package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
)

// OfferShard gives the indexed files that hold all that this member has of a shard, for
// Reinstate of another one: what is logged is indexed first. A canary of a stage offers
// nothing that it made by the staged version.
func (e *Engine) OfferShard(ctx context.Context, k catalog.ShardKey) ([]dot.File, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	s := e.shard(k)
	if err := s.failure(); err != nil {
		return nil, err
	}
	if err := e.indexer.planning.take(ctx); err != nil {
		return nil, err
	}
	err = e.indexer.run(ctx, task{kind: taskIndex, shard: k})
	e.indexer.planning.give()
	if err != nil {
		return nil, fmt.Errorf("offer shard %s: %w", k, err)
	}
	v, err := s.view(e)
	if err != nil {
		return nil, err
	}
	defer v.release()
	stage := e.stage()
	var files []dot.File
	for _, f := range v.files.files {
		if !isStaged(stage, f) {
			files = append(files, dot.File{Name: path.Join(k.String(), f.name.String()), Bytes: f.reader.Size(), Dots: e.dotsOf(f)})
		}
	}
	return files, nil
}

// Reinstate replaces what this member made of a shard by the staged version with what
// another one has of it, whose files read hands over by their names. What is replaced is
// not read at all: it may be wrong in any way. Files that do not hold all its batches
// replace nothing, which is an error that wraps dot.ErrNotAdopted, as any is that is about
// those files. A shard that is damaged is replaced whole.
func (e *Engine) Reinstate(ctx context.Context, k catalog.ShardKey, files []dot.File, read func(ctx context.Context, name string, take func(piece []byte) error) error) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	s := e.shard(k)
	if err := e.fs.MkdirAll(s.dir); err != nil {
		return err
	}
	var adopted []*file
	defer func() {
		for _, f := range adopted {
			if err := f.reader.Close(); err != nil {
				e.logger.Warn("close the copy of another member's file", "shard", k.String(), "error", err)
			}
		}
	}()
	for i := range files {
		n := nextFileName(adopted, e.now())
		at := path.Join(s.dir, n.String()+adoptSuffix)
		defer func() {
			if err := e.fs.Remove(at); err != nil && !isNotExist(err) {
				e.logger.Warn("remove the copy of another member's file", "file", at, "error", err)
			}
		}()
		err := e.copyFile(ctx, at, files[i].Bytes, func(ctx context.Context, take func([]byte) error) error { return read(ctx, files[i].Name, take) })
		if err != nil {
			return fmt.Errorf("reinstate shard %s: %w", k, err)
		}
		f, err := e.openAdopted(ctx, s, n, at, &files[i])
		if err != nil {
			return fmt.Errorf("reinstate shard %s: %w: %w", k, dot.ErrNotAdopted, err)
		}
		adopted = append(adopted, f)
	}
	var held dot.Set
	err = e.indexer.alone(ctx, s, func() (err error) {
		held, err = e.replaceStaged(ctx, s, adopted)
		return err
	})
	if err != nil {
		return fmt.Errorf("reinstate shard %s: %w", k, err)
	}
	e.holdings.addFile(k.Slot(), &held)
	return nil
}

// replaceStaged builds a file of the adopted ones, and of those of the shard that share
// batches with them, in place of those of the staged version. The caller holds the shard's
// building.
func (e *Engine) replaceStaged(ctx context.Context, s *shard, adopted []*file) (held dot.Set, err error) {
	v := s.viewAnyway(e)
	defer v.release()
	damaged := s.failure() != nil
	b := &build{engine: e, view: v, adopted: adopted, erasing: e.catalog.Load().Suppressed(s.key.Project, s.key.Bucket)}
	var missing dot.Set
	for _, f := range adopted {
		dots := e.dotsOf(f)
		held.AddSet(&dots)
	}
	stage := e.stage()
	var shared []*file
	var gone []string // which could not be opened
	for _, a := range s.lacks() {
		if a.dots.IsEmpty() {
			return held, fmt.Errorf("%w: nobody knows which batches were in %s", ErrUnrepaired, a.name)
		}
		gone = append(gone, a.name.String())
		lacking := a.dots.Minus(&held)
		missing.AddSet(&lacking)
	}
	for _, f := range v.files.files {
		dots := e.dotsOf(f)
		switch both := dots.And(&held); {
		case damaged || isStaged(stage, f):
			b.unread = append(b.unread, f)
			lacking := dots.Minus(&held)
			missing.AddSet(&lacking)
		case both.IsEmpty():
			b.others = append(b.others, f)
		default:
			shared = append(shared, f)
		}
	}
	if !missing.IsEmpty() {
		return held, fmt.Errorf("%w: the files do not hold the batches %v", dot.ErrNotAdopted, missing)
	}
	if len(b.unread)+len(gone) == 0 {
		return held, nil // somebody else did it
	}
	replaced := slices.Concat(b.unread, shared)
	b.sources = slices.Concat(shared, adopted)
	b.replaces = append(s.replacedBy(replaced), gone...)
	b.job = e.jobs.start("reinstate", s.key, 0)
	defer func() { e.jobs.finish(b.job, b.summary(), err) }()
	built, err := b.run(ctx)
	if err != nil {
		if errors.Is(err, ErrUnproven) {
			err = fmt.Errorf("%w: %w", dot.ErrNotAdopted, err)
		}
		return held, err
	}
	e.backlog.settle(s.swap(replaced, built, b.cut(), true))
	if damaged {
		// After the swap: a view that is taken has what stands for the files that are gone.
		// Before they are retired: the ledger goes on naming what the shard lacks.
		s.mend()
	}
	e.metrics.built(b, built)
	if err := e.trash.retire(s, append(fileNames(replaced), gone...)); err != nil {
		// They are litter, which is swept later; what is in their place is durable.
		e.logger.Warn("replaced files stay for now", "shard", s.key.String(), "error", err)
	}
	return held, nil
}
