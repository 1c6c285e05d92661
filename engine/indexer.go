package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"arbor/catalog"
)

// indexer turns what is logged into indexed files, and several files into one:
// plan → build → prove → publish → swap → retire. The first is pure, the next
// three are a build's, and the last two are here.
type indexer struct {
	engine *Engine
	// planning is taken by whoever plans and runs tasks, and cleaning by whoever
	// retires log segments or empties the trash.
	planning, cleaning turn
}

// turn is a lock that may be held during I/O, and waited for no longer than a
// context lasts.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

// Limits of one build of logged events, which holds them in memory. What is over
// waits for the next file.
const (
	maxBuildEvents = 1 << 18
	maxBuildBytes  = 64 << 20
)

// Tick does what is due: it indexes, merges and closes, and empties the trash.
// It is what the background goroutine calls.
func (e *Engine) Tick(ctx context.Context) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	c := e.catalog.Load()
	return errors.Join(
		e.makeIDFilters(ctx),
		e.indexer.runDue(ctx, c),
		e.purgeProjects(ctx, c),
		e.retireSegments(ctx, c.SealAfterAge()),
		e.trash.sweepLitter(ctx),
		e.emptyTrash(ctx, c),
	)
}

// Index indexes all that the project has logged, or all projects if it is 0;
// closeDays also makes each shard's files one. It returns when done.
func (e *Engine) Index(ctx context.Context, project catalog.ProjectID, closeDays bool) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	return errors.Join(e.indexer.runAll(ctx, project, closeDays), e.retireSegments(ctx, 0))
}

// runDue runs what the plan says. A task that fails does not keep the others
// from running.
func (x *indexer) runDue(ctx context.Context, c *catalog.Catalog) error {
	if err := x.planning.take(ctx); err != nil {
		return err
	}
	defer x.planning.give()
	var errs []error
	for _, t := range plan(x.engine.shardStates(), x.settings(c), x.engine.now()) {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if t.pressed && !x.engine.backlog.pressing() {
			continue
		}
		errs = append(errs, x.run(ctx, t))
	}
	return errors.Join(errs...)
}

// settings are those of the catalog, and everything logged is due when too much is.
func (x *indexer) settings(c *catalog.Catalog) settings {
	s := settingsOf(c)
	s.pressed = x.engine.backlog.pressing()
	s.sealAfterEvents = x.engine.backlog.shardMost - x.engine.backlog.shardMost/4
	return s
}

// runAll indexes, and closes if asked, whatever the plan says.
func (x *indexer) runAll(ctx context.Context, project catalog.ProjectID, closeDays bool) error {
	if err := x.planning.take(ctx); err != nil {
		return err
	}
	defer x.planning.give()
	shards := x.engine.allShards()
	if project != 0 {
		shards = x.engine.shardsOf(project)
	}
	var errs []error
	for _, s := range shards {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if s.failure() != nil {
			errs = append(errs, s.failure())
			continue
		}
		err := x.run(ctx, task{kind: taskIndex, shard: s.key})
		if err == nil && closeDays {
			err = x.run(ctx, task{kind: taskClose, shard: s.key, files: s.fileNames()})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// run does one task. The caller is planning.
func (x *indexer) run(ctx context.Context, t task) (err error) {
	s := x.engine.shard(t.shard)
	return x.alone(ctx, s, func() error {
		if t.kind == taskIndex {
			return x.index(ctx, s)
		}
		return x.merge(ctx, s, t)
	})
}

// alone does something while nobody else builds a file of the shard. What is left
// in the log, or came meanwhile, is the follower's afterwards.
func (x *indexer) alone(ctx context.Context, s *shard, do func() error) error {
	if err := s.building.take(ctx); err != nil {
		return err
	}
	defer x.engine.follower.add(s)
	defer s.building.give()
	return do()
}

// index makes files of what is logged now, as many as its size takes.
func (x *indexer) index(ctx context.Context, s *shard) error {
	refs, err := x.due(ctx, s)
	if err != nil {
		return err
	}
	for len(refs) > 0 {
		n := buildable(refs)
		if err := x.build(ctx, s, taskIndex, refs[:n], nil); err != nil {
			return err
		}
		refs = refs[n:]
	}
	return nil
}

// due are the refs of all that was logged up to now, in the order of the log,
// without a gap: a batch that was written before the last of them, but is not
// published yet, is waited for.
func (x *indexer) due(ctx context.Context, s *shard) ([]logRef, error) {
	upTo := s.lastCut()
	if err := x.engine.flights.wait(ctx); err != nil {
		return nil, err
	}
	v, err := s.view(x.engine)
	if err != nil {
		return nil, err
	}
	defer v.release()
	var refs []logRef
	for _, r := range v.logs {
		if upTo.covers(r.position()) {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, func(a, b logRef) int {
		switch {
		case a.end().before(b.end()):
			return -1
		case b.end().before(a.end()):
			return 1
		}
		return 0
	})
	return refs, nil
}

// buildable is how many of the refs one build takes.
func buildable(refs []logRef) int {
	events, bytes := 0, 0
	for i, r := range refs {
		events += int(r.events)
		bytes += int(r.length)
		if i > 0 && (events > maxBuildEvents || bytes > maxBuildBytes) {
			return i
		}
	}
	return len(refs)
}

// merge makes one file of several.
func (x *indexer) merge(ctx context.Context, s *shard, t task) error {
	var sources []*file
	for _, f := range s.files() {
		if slices.Contains(t.files, f.name) {
			sources = append(sources, f)
		}
	}
	if len(sources) < 2 || x.frozen(sources) {
		return nil
	}
	return x.build(ctx, s, t.kind, nil, sources)
}

// build builds a file, swaps it in, and retires what it stands in for. The
// caller holds the shard's building.
func (x *indexer) build(ctx context.Context, s *shard, k taskKind, refs []logRef, sources []*file) error {
	return x.buildWithout(ctx, s, k, refs, sources, nil)
}

// buildWithout is build, leaving out what is erased.
func (x *indexer) buildWithout(ctx context.Context, s *shard, k taskKind, refs []logRef, sources []*file, erasing *catalog.Suppression) (err error) {
	e := x.engine
	v, err := s.view(e)
	if err != nil {
		return err
	}
	defer v.release()
	b := &build{engine: e, view: v, refs: refs, sources: sources, replaces: s.replacedBy(sources), erasing: erasing}
	for _, f := range v.files.files {
		if !slices.Contains(sources, f) {
			b.others = append(b.others, f)
		}
	}
	b.job = e.jobs.start(k.String(), s.key, 0)
	defer func() { e.jobs.finish(b.job, b.summary(), err) }()
	f, err := b.run(ctx)
	s.rest(e.now(), err)
	if errors.Is(err, ErrUnproven) {
		return fmt.Errorf("%s shard %s: %w", k, s.key, err) // the new file is at fault, not the shard
	}
	if err != nil {
		return fmt.Errorf("%s shard %s: %w", k, s.key, v.blame(err))
	}
	e.backlog.settle(s.swap(sources, f, b.cut(), false))
	e.metrics.built(b, f)
	return e.trash.retire(s, fileNames(sources))
}

// summary says what a build did.
func (b *build) summary() string {
	if len(b.refs) > 0 {
		return fmt.Sprintf("%d logged batches into %s", len(b.refs), b.name)
	}
	return fmt.Sprintf("%d files into %s", len(b.sources), b.name)
}

// retireSegments moves the log segments that nobody needs to the trash. The
// segment being written is ended first if all in it is indexed and it is older
// than maxAge.
func (e *Engine) retireSegments(ctx context.Context, maxAge time.Duration) error {
	if err := e.indexer.cleaning.take(ctx); err != nil {
		return err
	}
	defer e.indexer.cleaning.give()
	segments := e.log.Segments()
	if n := len(segments); n > 0 {
		last := segments[n-1]
		if !last.Sealed && last.Frames > 0 && e.now().Sub(last.CreatedAt) >= maxAge && !e.backlog.needs(last.ID) {
			if err := e.log.Rotate(ctx); err != nil {
				return err
			}
			segments = e.log.Segments()
		}
	}
	// What is in a sealed segment was written by appends that are under way now at
	// the latest; once they have landed, the backlog says all.
	if err := e.flights.wait(ctx); err != nil {
		return err
	}
	var retiring []uint64
	for _, s := range segments {
		if s.Sealed && !e.backlog.needs(s.ID) && !e.pins.holds(s.ID) {
			retiring = append(retiring, s.ID)
		}
	}
	if len(retiring) == 0 {
		return nil
	}
	if err := e.ledger.agreeLog(e.segmentsBut(retiring)); err != nil {
		return err
	}
	var errs []error
	for _, id := range retiring {
		if err := e.trash.retireSegment(ctx, id); err != nil {
			errs = append(errs, err)
			continue
		}
		e.holdings.leftLog(id)
		e.metrics.SegmentsRetired.Add(1)
	}
	return errors.Join(errs...)
}
