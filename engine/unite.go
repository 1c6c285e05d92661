package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
)

// ErrConflict: two replicas have different events under one ingest id. Nobody can tell
// which of them is right, and nothing was changed.
var ErrConflict = errors.New("replicas have different events under one ingest id")

// Unite takes in what another replica of a shard has under the names of batches that are
// here, and what is not here: events and deletes. Nothing that is here goes, and where an
// ingest id has one event here and another one there all stays as it is, and there is an
// error that wraps ErrConflict. It says whether anything was taken in.
func (e *Engine) Unite(ctx context.Context, k catalog.ShardKey, source dot.Source) (united bool, err error) {
	leave, err := e.enter()
	if err != nil {
		return false, err
	}
	defer leave()
	s := e.existing(k)
	if s == nil {
		return false, nil
	}
	r := repair{engine: e, shard: s, job: e.jobs.start("unite", k, 0)}
	if err = r.unite(ctx, &source, &united); err != nil {
		err = fmt.Errorf("unite shard %s with that of %s: %w", k, source.Name, err)
	}
	message := "nothing was missing"
	if united {
		message = "what was missing came from " + source.Name
	}
	e.jobs.finish(r.job, message, err)
	return united, err
}

// unite copies all that the source has, and then builds. What it asks for it asks
// before it keeps others from building: the source may be asking, too.
func (r *repair) unite(ctx context.Context, source *dot.Source, united *bool) error {
	e, s := r.engine, r.shard
	defer r.tidy()
	if err := e.indexer.alone(ctx, s, func() error { return e.indexer.index(ctx, s) }); err != nil {
		return err
	}
	v, err := s.view(e)
	if err != nil {
		return err
	}
	all, named := v.dots()
	v.release()
	if !named {
		return nil // nobody else can have batches without names
	}
	r.want = all
	if err := r.fetch(ctx, []dot.Source{*source}); err != nil {
		return err
	}
	return e.indexer.alone(ctx, s, func() error {
		for _, f := range r.adopted {
			took, err := r.takeIn(ctx, f)
			if err != nil {
				return err
			}
			*united = *united || took
		}
		return nil
	})
}

// takeIn builds a file of one that was copied and of those that share batches with it,
// unless it has nothing new. The caller holds the shard's building.
func (r *repair) takeIn(ctx context.Context, f *file) (took bool, err error) {
	e, s := r.engine, r.shard
	v, err := s.view(e)
	if err != nil {
		return false, err
	}
	defer v.release()
	for _, id := range f.marks.damaged {
		if !slices.Contains(v.files.marks.damaged, id) {
			return false, fmt.Errorf("%w: it keeps events with the id %s aside", ErrConflict, id)
		}
	}
	b := &build{engine: e, view: v, adopted: []*file{f}, strict: true, erasing: e.catalog.Load().Suppressed(s.key.Project, s.key.Bucket), job: r.job}
	replaced := b.among(v.files.files, f)
	b.sources = append(slices.Clone(replaced), f)
	b.replaces = s.replacedBy(replaced)
	if same, err := b.hasNothingNew(ctx, replaced); same || err != nil {
		b.discard()
		return false, v.blame(err)
	}
	b = &build{engine: e, view: v, adopted: []*file{f}, strict: true, sources: b.sources, others: b.others, replaces: b.replaces, erasing: b.erasing, job: r.job}
	built, err := b.run(ctx)
	if errors.Is(err, ErrUnproven) || errors.Is(err, ErrConflict) {
		return false, err
	}
	if err != nil {
		return false, v.blame(err)
	}
	e.backlog.settle(s.swap(replaced, built, b.cut(), true))
	e.metrics.built(b, built)
	if err := e.trash.retire(s, fileNames(replaced)); err != nil {
		e.logger.Warn("replaced files stay for now", "shard", s.key.String(), "error", err)
	}
	return true, nil
}

// hasNothingNew says whether what would be built holds what the replaced files hold.
func (b *build) hasNothingNew(ctx context.Context, replaced []*file) (bool, error) {
	if err := b.open(ctx); err != nil {
		return false, err
	}
	if err := b.census(ctx); err != nil {
		return false, err
	}
	mine := &build{engine: b.engine, view: b.view, sources: replaced, erasing: b.erasing, job: b.job}
	if len(replaced) == 0 {
		return false, nil
	}
	if err := mine.open(ctx); err != nil {
		return false, err
	}
	if err := mine.census(ctx); err != nil {
		return false, err
	}
	return b.want == mine.want, nil
}
