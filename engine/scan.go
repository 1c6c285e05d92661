package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// Scan gives the fragment's rows from views of all its shards that are taken at
// the start. It says yield's error, if there is one, or its own: a shard that
// cannot be read whole fails the scan.
//
// Workers take parts of the views in turn, files and the logged events that are
// held by column in pieces, and other logged ones in runs of batches; each makes its batches in memory that it uses again, and yields one
// at a time.
func (e *Engine) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	leave, err := e.enter()
	if err != nil {
		return exec.ScanStats{}, err
	}
	defer leave()
	if err := f.Validate(); err != nil {
		return exec.ScanStats{}, fmt.Errorf("scan: %w", err)
	}
	if f.Group != nil || len(f.Order) > 0 {
		return exec.ScanStats{}, fmt.Errorf("scan: %w: a scan gives rows as they are", exec.ErrFragment)
	}
	s, err := e.newScan(f)
	if err != nil {
		return exec.ScanStats{}, fmt.Errorf("scan: %w", err)
	}
	s.yield = yield
	err = s.finish(s.run(ctx))
	return s.stats, err
}

func (e *Engine) newScan(f *exec.Fragment) (*scan, error) {
	in := e.catalog.Load()
	most := e.opts.QueryBytes
	if most == 0 {
		most = in.MaxQueryMemory()
	}
	plan, err := exec.NewPlan(f, exec.Options{Functions: e.opts.Functions, Domains: e.domains, MaxBytes: most})
	if err != nil {
		return nil, err
	}
	s := &scan{
		engine: e, question: e.questions.Add(1), fragment: f, plan: plan, bounds: exec.BoundsOf(f), catalog: in,
		uses: exec.Uses(f), grouped: exec.GroupUses(f), once: f.Group != nil && f.Group.CountsOnce(),
	}
	if s.bounds.Inserts != nil {
		s.inserts = indexfile.NewInsertSearch(s.bounds.Inserts)
	}
	return s, nil
}

// finish counts the scan, and its error.
func (s *scan) finish(err error) error {
	s.engine.domains.Trim()
	if s.stats.Measured = s.fragment.Measured; s.stats.Measured {
		s.stats.FilesPruned = int64(s.stats.Files - len(s.looked))
	}
	m := &s.engine.metrics
	m.Scans.Add(1)
	if err != nil {
		m.ScanErrors.Add(1)
		return fmt.Errorf("scan: %w", err)
	}
	m.ScannedRows.Add(s.stats.RowsIndexed + s.stats.RowsLogged)
	m.GivenRows.Add(s.stats.RowsGiven)
	return nil
}

// scan is one call of Scan.
type scan struct {
	engine   *Engine
	question int64 // of how many that the engine had
	fragment *exec.Fragment
	plan     *exec.Plan
	bounds   exec.Bounds
	inserts  *indexfile.InsertSearch // for those of the bounds, nil for any
	uses     []bool                  // the columns that the filter looks at
	grouped  []bool                  // the columns that groups are made of
	once     bool                    // how often a row comes makes no difference to the groups
	catalog  *catalog.Catalog
	views    []*view
	order    *ordering // what the rows are sorted by, if they are
	span     *span     // the part of a sorted scan, nil for all
	states   map[*view]*state

	mu     sync.Mutex // guards what follows, and calls of yield
	yield  func(*exec.Batch) error
	groups []*exec.Grouper // of workers that have ended
	stats  exec.ScanStats
	looked map[*file]bool // the files of which rows were looked at, if that is measured
}

// errEnough ends a scan that has given as many rows as were asked for.
var errEnough = errors.New("limit reached")

func (s *scan) run(ctx context.Context) error {
	if err := s.takeViews(); err != nil {
		return err
	}
	defer s.releaseViews()
	return s.work(ctx)
}

// defaultFewRows is how many rows are scanned by the goroutine that asks for them. More are
// shared by workers, which have to be started, each with a stack that grows again.
const defaultFewRows = 4096

func (s *scan) fewRows() int { return cmp.Or(s.engine.opts.FewRows, defaultFewRows) }

// work scans the views: few rows at once, and more of them by workers.
func (s *scan) work(ctx context.Context) error {
	var few []part
	var many *workers // nil as long as there are few rows
	rows, working := 0, ctx
	err := s.divide(ctx, func(p part) error {
		if many != nil {
			return many.take(working, p)
		}
		few = append(few, p)
		if rows += p.cost(); rows <= s.fewRows() {
			return nil
		}
		many, working = s.startWorkers(ctx)
		for _, p := range few {
			if err := many.take(working, p); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case many != nil:
		err = many.end(err)
	case err == nil:
		parts := make(chan part, len(few))
		for _, p := range few {
			parts <- p
		}
		close(parts)
		err = s.worker(ctx, parts)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// workers scan parts side by side.
type workers struct {
	*errgroup.Group
	parts chan part
}

// startWorkers starts them; their context ends when one of them fails.
func (s *scan) startWorkers(ctx context.Context) (*workers, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	w := &workers{Group: group, parts: make(chan part, 2*s.engine.opts.Workers)}
	for range s.engine.opts.Workers {
		w.Go(func() error { return s.worker(ctx, w.parts) })
	}
	return w, ctx
}

// take leaves a part to the workers.
func (w *workers) take(ctx context.Context, p part) error {
	select {
	case w.parts <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end waits for the workers, and gives the first error: of one of them, or the one that the
// parts ended with.
func (w *workers) end(err error) error {
	if err != nil {
		w.Go(func() error { return err })
	}
	close(w.parts)
	return w.Wait()
}

// cost is about how many rows are looked at, none where their number is all that is asked
// for. Logged events that are not held by column count as many.
func (p *part) cost() int {
	switch {
	case p.tallied && p.column < 0 && p.kept == nil:
		return 0
	case p.file == inLog && !p.held:
		return 1 << 30
	}
	return p.hi - p.lo
}

// takeViews takes views of the shards that can hold rows that pass the filter.
func (s *scan) takeViews() error {
	for _, shard := range s.engine.shardsOf(s.fragment.Project) {
		s.stats.Shards++
		if !s.canPass(shard.key) {
			s.stats.ShardsPruned++
			continue
		}
		v, err := shard.view(s.engine)
		if err != nil {
			s.releaseViews()
			return err
		}
		s.views = append(s.views, v)
		s.stats.Files += len(v.files.files)
		s.stats.RowsIndexed += v.files.rows()
		s.stats.RowsLogged += v.events
	}
	s.forgetManyUsers()
	return nil
}

const (
	// fewUsers are searched for in any file.
	fewUsers = 64
	// rowsPerSearch is how many rows are scanned in the time that it takes to search
	// for a user, which decodes a chunk of ids.
	rowsPerSearch = 2048
)

// forgetManyUsers has all rows looked at where so many users are asked for that it
// would take longer to search for each of them. The filter asks for them too.
func (s *scan) forgetManyUsers() {
	if users := int64(len(s.bounds.Users)); users > fewUsers && users*int64(s.stats.Files)*rowsPerSearch > s.stats.RowsIndexed {
		s.bounds.Users = nil
	}
}

func (s *scan) releaseViews() {
	for _, v := range s.views {
		v.release()
	}
	s.views = nil
}

// canPass reports whether rows of a shard can pass the filter, going by the day
// and the user bucket.
func (s *scan) canPass(k catalog.ShardKey) bool {
	if s.bounds.Empty() || s.bounds.MaxTime < k.Day.Start() || s.bounds.MinTime >= (k.Day+1).Start() {
		return false
	}
	if s.fragment.Buckets != nil && !slices.Contains(s.fragment.Buckets, k.Bucket) {
		return false
	}
	p, ok := s.catalog.ProjectByID(k.Project)
	if s.bounds.Users == nil || !ok || s.bounds.HasUser("") {
		return true // an empty distinct id is placed by its insert id
	}
	return slices.ContainsFunc(s.bounds.Users, func(user string) bool {
		return catalog.UserBucket(user, "", p.Buckets) == k.Bucket
	})
}

// part is a piece of a view for one worker.
type part struct {
	view  *view
	state *state
	// file is the number of a file whose rows [lo, hi) are meant, or inLog; then
	// it is the logged events [lo, hi) if they are held by column, or else the log
	// refs [lo, hi), the first of which holds the event number base.
	file   int32
	held   bool
	lo, hi int
	base   int64
	// tallied says that the file is answered by how often each value of a column
	// comes, whose number is given; -1 for none. Second is 1 more than the number of
	// another one, where it is answered by pairs of values.
	tallied bool
	column  int
	second  int
	// kept says that it is answered by groups that are kept.
	kept *keptPart
}

// Sizes of the parts.
const (
	pieceRows   = exec.MaxBatchRows
	chunkEvents = 4096
	chunkBytes  = 4 << 20
)

// divide works out who is visible in each view, and hands out its parts.
func (s *scan) divide(ctx context.Context, take func(part) error) error {
	for _, v := range s.views {
		if s.order != nil && !s.order.dayCanWin(v.shard.key.Day) {
			s.prune(v.files.rows() + v.events)
			continue
		}
		st, known := s.states[v]
		if !known {
			var err error
			if st, err = s.stateOf(ctx, v); err != nil {
				return err
			}
		}
		hand := func(p part) error {
			p.view, p.state = v, st
			return take(p)
		}
		for i := range v.files.files {
			if err := s.divideFile(v, st, int32(i), hand); err != nil {
				return v.blame(err)
			}
		}
		if s.span != nil && !s.span.logs {
			continue
		}
		if err := s.divideLog(v, hand); err != nil {
			return err
		}
	}
	return nil
}

// wantsKinds reports whether the fragment asks why rows are duplicates.
func (s *scan) wantsKinds() bool {
	return slices.ContainsFunc(s.fragment.Columns, func(c exec.Column) bool {
		return c.Source == exec.SourceDuplicate || c.Source == exec.SourceDupOf || c.Source == exec.SourceDupKind
	})
}

// divideFile hands out a file's rows, or those of the users that can pass.
func (s *scan) divideFile(v *view, st *state, number int32, hand func(part) error) error {
	f := v.files.files[number]
	if s.span != nil {
		return handRows(number, s.span.rows[f], hand)
	}
	ranges := []exec.Run{{Lo: 0, Hi: f.rows()}}
	if s.bounds.Users != nil {
		ranges = ranges[:0]
		for _, user := range s.bounds.Users {
			lo, hi, err := f.reader.UserRange(user)
			if err != nil {
				return err
			}
			ranges = append(ranges, exec.Run{Lo: lo, Hi: hi})
		}
	}
	if len(ranges) == 1 && ranges[0].Hi-ranges[0].Lo == f.rows() {
		column, second, ok, err := s.tallied(f)
		if err != nil {
			return err
		}
		if ok {
			return hand(part{file: number, hi: f.rows(), tallied: true, column: column, second: second})
		}
		kept, err := s.kept(f, &st.files[number])
		if err != nil {
			return err
		}
		if kept != nil {
			return hand(part{file: number, hi: f.rows(), tallied: true, kept: kept})
		}
	}
	left := f.rows()
	for _, r := range ranges {
		left -= r.Hi - r.Lo
		if err := handRows(number, r, hand); err != nil {
			return err
		}
	}
	s.prune(int64(left))
	return nil
}

// handRows hands out rows of a file.
func handRows(number int32, r exec.Run, hand func(part) error) error {
	for lo := r.Lo; lo < r.Hi; {
		hi := min(r.Hi, (lo/pieceRows+1)*pieceRows)
		if err := hand(part{file: number, lo: lo, hi: hi}); err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

// prune counts rows that nobody looks at.
func (s *scan) prune(rows int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.RowsPruned += rows
}

// divideLog hands out chunks of the events that are held by column, and runs of
// log refs of the others.
func divideLog(v *view, hand func(part) error) error {
	batches, rows := v.tail.columns.held(v)
	for lo := 0; lo < rows; lo += logChunkRows {
		if err := hand(part{file: inLog, held: true, lo: lo, hi: min(lo+logChunkRows, rows)}); err != nil {
			return err
		}
	}
	return divideRefs(v, batches, rows, hand)
}

// divideLog is the same, but hands out all events that are held as one part where
// they can be asked by tally.
func (s *scan) divideLog(v *view, hand func(part) error) error {
	batches, rows := v.tail.columns.held(v)
	column, ok := s.talliedLog(v, rows)
	if !ok {
		return divideLog(v, hand)
	}
	if err := hand(part{file: inLog, held: true, hi: rows, tallied: true, column: column}); err != nil {
		return err
	}
	return divideRefs(v, batches, rows, hand)
}

// divideRefs hands out runs of log refs behind the first batches, which hold so
// many events.
func divideRefs(v *view, batches, rows int, hand func(part) error) error {
	base, events := int64(rows), int64(0)
	lo, size := batches, 0
	for i := batches; i < len(v.logs); i++ {
		r := v.logs[i]
		events += int64(r.events)
		size += int(r.length)
		if events >= chunkEvents || size >= chunkBytes || i == len(v.logs)-1 {
			if err := hand(part{file: inLog, lo: lo, hi: i + 1, base: base}); err != nil {
				return err
			}
			base, events, size, lo = base+events, 0, 0, i+1
		}
	}
	return nil
}

// worker scans parts until there are none.
func (s *scan) worker(ctx context.Context, parts <-chan part) error {
	w, err := newWorker(s)
	if err != nil {
		return err
	}
	defer w.finish()
	if s.order != nil {
		w.sorter = newSorter(w)
		defer w.sorter.finish()
	}
	for p := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch {
		case p.tallied && p.held:
			err = w.tallyLog(&p)
		case p.tallied:
			err = w.tallyFile(&p, p.view.files.files[p.file])
		case p.file != inLog:
			err = w.scanFile(ctx, &p)
		default:
			err = w.scanLog(ctx, &p)
		}
		if err != nil {
			return p.view.blame(err)
		}
	}
	return nil
}

// give yields a batch of the visible columns, cut to what the limit leaves.
func (s *scan) give(ctx context.Context, b *exec.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	limit, rows := s.fragment.Limit, int64(b.Count())
	if limit > 0 && s.stats.RowsGiven+rows > limit {
		rows = limit - s.stats.RowsGiven
		b.Cut(int(rows))
	}
	if rows > 0 {
		if err := s.yield(b); err != nil {
			return err
		}
		s.stats.RowsGiven += rows
	}
	if limit > 0 && s.stats.RowsGiven >= limit {
		return errEnough
	}
	return nil
}
