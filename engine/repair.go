package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// A damaged shard is repaired beside its damage: each file and each logged batch is read
// again, and what is not sound is named by its dots. Files of other replicas that have
// these are adopted as ever, held against their checksums and built anew with the
// sound ones. Of a file that could not even be opened, or is gone, the ledger says which
// batches were in it. Only when all dots are there again do the damaged files go to the trash,
// and the shard answers. So a repair takes nothing out: it is a union, which is cut short
// by a crash at no harm.

// ErrUnrepaired: a damaged shard stays as it is, since nobody has what it lost.
var ErrUnrepaired = errors.New("shard cannot be repaired")

// Damaged are the shards that cannot be read whole, and why.
func (e *Engine) Damaged() (all []event.DamagedShard) {
	for _, s := range e.allShards() {
		if err := s.failure(); err != nil {
			all = append(all, event.DamagedShard{Key: s.key, Reason: err.Error()})
		}
	}
	return all
}

// Repair makes a damaged shard whole out of what is sound of it and of what sources
// give, who are asked in turn. One that is not damaged is left alone.
func (e *Engine) Repair(ctx context.Context, k catalog.ShardKey, sources []dot.Source) (event.Repaired, error) {
	leave, err := e.enter()
	if err != nil {
		return event.Repaired{}, err
	}
	defer leave()
	r := repair{engine: e, shard: e.existing(k)}
	if r.shard == nil || r.shard.failure() == nil {
		return event.Repaired{Shard: k}, nil
	}
	r.job = e.jobs.start("repair", k, 0)
	err = e.indexer.alone(ctx, r.shard, func() error { return r.run(ctx, sources) })
	if err != nil {
		err = fmt.Errorf("repair shard %s: %w", k, err)
	}
	e.jobs.finish(r.job, r.summary(), err)
	return event.Repaired{Shard: k, Damaged: r.damaged(), From: r.from}, err
}

// existing is the shard of that key; nil if there is none.
func (e *Engine) existing(k catalog.ShardKey) *shard {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.shards[k.Project][k]
}

// repair is that of one shard.
type repair struct {
	engine *Engine
	shard  *shard
	job    *job

	// sound and spoilt are the shard's files, and gone are those that could not be opened.
	sound, spoilt []*file
	gone          []string
	// log says that what is logged up to a place cannot be read.
	log  bool
	upTo cut
	// want are the batches that are lost, and adopted the files that have them.
	want    dot.Set
	adopted []*file
	copies  []string // paths of adopted files
	from    []string
}

func (r *repair) damaged() []string {
	names := slices.Concat(fileNames(r.spoilt), r.gone)
	if r.log {
		names = append(names, "log")
	}
	return names
}

func (r *repair) summary() string {
	if len(r.damaged()) == 0 {
		return "nothing was damaged any more"
	}
	return fmt.Sprintf("%s was damaged, and came again from %s", strings.Join(r.damaged(), ", "), strings.Join(r.from, ", "))
}

// run repairs the shard. The caller holds its building.
func (r *repair) run(ctx context.Context, sources []dot.Source) error {
	e, s := r.engine, r.shard
	if s.failure() == nil {
		return nil // somebody did meanwhile
	}
	defer r.tidy()
	if err := r.examine(ctx); err != nil {
		return err
	}
	if err := r.fetch(ctx, sources); err != nil {
		return err
	}
	for i, f := range r.adopted {
		if err := r.install(ctx, f, i == len(r.adopted)-1); err != nil {
			return err
		}
	}
	// What failed may be none of what was read.
	v := s.viewAnyway(e)
	defer v.release()
	if _, err := v.content(ctx, e.catalog.Load()); err != nil {
		return fmt.Errorf("%w: all of it was read, and yet: %w", ErrUnrepaired, err)
	}
	s.mend()
	e.alarms.settle(s.key, alarmDamage, alarmMissing, event.AlarmUnrepaired)
	e.logger.Warn("a damaged shard was repaired", "shard", s.key.String(), "damaged", r.damaged(), "from", r.from)
	return nil
}

// examine reads all that the shard has, and says what of it is not sound.
func (r *repair) examine(ctx context.Context) error {
	e, s := r.engine, r.shard
	for _, a := range s.lacks() {
		if a.dots.IsEmpty() {
			return fmt.Errorf("%w: nobody knows which batches were in %s, which could not be opened; the member gets all of the bucket again when it is started again", ErrUnrepaired, a.name)
		}
		r.gone = append(r.gone, a.name.String())
		r.want.AddSet(&a.dots)
	}
	v := s.viewAnyway(e)
	defer v.release()
	for _, f := range v.files.files {
		err := v.check(ctx, f)
		switch {
		case err == nil:
			r.sound = append(r.sound, f)
		case !isDamage(err):
			return err
		default:
			dots := e.dotsOf(f)
			if dots.IsEmpty() {
				return fmt.Errorf("%w: the batches in %s have no names: %w", ErrUnrepaired, f.name, err)
			}
			r.spoilt = append(r.spoilt, f)
			r.want.AddSet(&dots)
		}
	}
	return r.examineLog(ctx)
}

// examineLog reads what is logged. If some of it is damaged, all of it up to now is to
// come from elsewhere.
func (r *repair) examineLog(ctx context.Context) error {
	e, s := r.engine, r.shard
	upTo := s.lastCut()
	if err := e.flights.wait(ctx); err != nil {
		return err
	}
	v := s.viewAnyway(e)
	defer v.release()
	var buffer []byte
	var batch event.Batch
	var dots dot.Set
	unnamed := false
	for _, l := range v.logs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if upTo.covers(l.position()) {
			if unnamed = unnamed || l.dot.IsZero(); !l.dot.IsZero() {
				dots.Add(l.dot)
			}
		}
		err := v.read(l, &buffer, &batch)
		if err != nil && !isDamage(err) {
			return err
		}
		r.log = r.log || err != nil || len(batch.Events) != int(l.events)
	}
	if !r.log {
		return nil
	}
	if unnamed {
		return fmt.Errorf("%w: logged batches have no names", ErrUnrepaired)
	}
	r.upTo = upTo
	r.want.AddSet(&dots)
	return nil
}

// fetch copies files that have all that is wanted.
func (r *repair) fetch(ctx context.Context, sources []dot.Source) error {
	r.job.total.Store(int64(r.want.Len()))
	rest := r.want.Clone()
	var refused error
	for _, source := range sources {
		if rest.IsEmpty() {
			break
		}
		before := rest.Len()
		if err := r.fetchFrom(ctx, &source, &rest); err != nil {
			if ctx.Err() != nil || errors.Is(err, syscall.ENOSPC) {
				return err
			}
			refused = errors.Join(refused, fmt.Errorf("%s: %w", source.Name, err))
		}
		if rest.Len() < before {
			r.from = append(r.from, source.Name)
		}
	}
	if !rest.IsEmpty() {
		err := fmt.Errorf("%w: of %d batches that it lost nobody who answers has %d", ErrUnrepaired, r.want.Len(), rest.Len())
		if refused == nil && len(r.gone) > 0 {
			return fmt.Errorf("%w: %w", dot.ErrNowhere, err)
		}
		return errors.Join(err, refused)
	}
	return nil
}

// fetchFrom copies what one source has of the rest. A file that is not what it should be
// is passed over.
func (r *repair) fetchFrom(ctx context.Context, source *dot.Source, rest *dot.Set) (refused error) {
	e, s := r.engine, r.shard
	for !rest.IsEmpty() {
		offers, err := source.Offer(ctx, rest.Clone())
		if err != nil {
			return errors.Join(refused, err)
		}
		before := rest.Len()
		for _, o := range offers {
			if wanted := o.Dots.And(rest); wanted.IsEmpty() {
				continue
			}
			n := s.nextName(e)
			at := path.Join(s.dir, n.String()+adoptSuffix)
			r.copies = append(r.copies, at)
			err := e.copyFile(ctx, at, o.Bytes, func(ctx context.Context, take func([]byte) error) error { return source.Read(ctx, o, take) })
			if err != nil {
				if !errors.Is(err, dot.ErrNotAdopted) || ctx.Err() != nil {
					return err
				}
				refused = errors.Join(refused, err)
				continue
			}
			f, err := e.openAdopted(ctx, s, n, at, &o)
			if err != nil {
				refused = errors.Join(refused, fmt.Errorf("%s: %w", o.Name, err))
				continue
			}
			r.adopted = append(r.adopted, f)
			*rest = rest.Minus(&o.Dots)
			r.job.done.Store(int64(r.want.Len() - rest.Len()))
		}
		if rest.Len() == before {
			return refused
		}
	}
	return refused
}

// install makes a file of a copy and of the sound files that share batches with it. The
// last one stands for what is damaged.
func (r *repair) install(ctx context.Context, f *file, last bool) error {
	e, s := r.engine, r.shard
	v := s.viewAnyway(e)
	v.leaveOut(r.spoilt)
	defer v.release()
	b := &build{engine: e, view: v, adopted: []*file{f}, erasing: e.catalog.Load().Suppressed(s.key.Project, s.key.Bucket), job: r.job}
	replaced := b.among(v.files.files, f)
	b.sources = append(slices.Clone(replaced), f)
	var gone []string
	if last {
		replaced = append(replaced, r.spoilt...)
		gone = r.gone
		b.upTo = r.upTo
	}
	b.replaces = append(s.replacedBy(replaced), gone...)
	built, err := b.run(ctx)
	if err != nil {
		return err
	}
	e.backlog.settle(s.swap(replaced, built, b.cut(), true))
	e.metrics.built(b, built)
	if last {
		s.lackNothing()
	}
	if err := e.trash.retire(s, append(fileNames(replaced), gone...)); err != nil {
		e.logger.Warn("replaced files stay for now", "shard", s.key.String(), "error", err)
	}
	return nil
}

// tidy removes the copies.
func (r *repair) tidy() {
	for _, f := range r.adopted {
		if err := f.reader.Close(); err != nil {
			r.engine.logger.Warn("close the copy of a file", "file", f.reader.Path(), "error", err)
		}
	}
	for _, at := range r.copies {
		if err := r.engine.fs.Remove(at); err != nil && !isNotExist(err) {
			r.engine.logger.Warn("remove the copy of a file", "file", at, "error", err)
		}
	}
}

// Offer gives the files of a shard that have some of the wanted batches, after what is
// logged of them has become files. Who cannot tell, since the shard is damaged here too,
// says so with dot.ErrUnreadable.
func (e *Engine) Offer(ctx context.Context, k catalog.ShardKey, want dot.Set) ([]dot.File, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	s := e.existing(k)
	if s == nil {
		return nil, nil
	}
	if err := s.failure(); err != nil { // who repairs it may be asking who asks
		return nil, fmt.Errorf("offer files of shard %s: %w: %w", k, dot.ErrUnreadable, err)
	}
	if logged := e.holdings.loggedOf(k.Slot(), &want); len(logged) > 0 {
		if err := e.indexer.alone(ctx, s, func() error { return e.indexer.index(ctx, s) }); err != nil {
			return nil, fmt.Errorf("offer files of shard %s: %w", k, err)
		}
	}
	v, err := s.view(e)
	if err != nil {
		return nil, fmt.Errorf("offer files of shard %s: %w: %w", k, dot.ErrUnreadable, err)
	}
	defer v.release()
	var files []dot.File
	for _, f := range v.files.files {
		dots := e.dotsOf(f)
		if wanted := dots.And(&want); !wanted.IsEmpty() {
			files = append(files, dot.File{Name: path.Join(k.String(), f.name.String()), Bytes: f.reader.Size(), Dots: dots})
		}
	}
	return files, nil
}

// leaveOut makes the view one of the other files alone.
func (v *view) leaveOut(spoilt []*file) {
	var sound []*file
	for _, f := range v.files.files {
		if !slices.Contains(spoilt, f) {
			sound = append(sound, f)
		}
	}
	whole := v.files
	v.files = newFileset(sound)
	v.tail, v.logs = newTail(v.files), nil
	if err := whole.release(); err != nil {
		v.engine.logger.Warn("close indexed files", "shard", v.shard.key.String(), "error", err)
	}
}

// check reads a file of the view whole, and compares it with what it says of itself, after
// checkBytes.
func (v *view) check(ctx context.Context, f *file) error {
	if err := v.checkBytes(ctx, f); err != nil {
		return err
	}
	err := f.check(ctx)
	if err == nil {
		f.readWhole.Store(v.engine.now().UnixMicro())
	}
	return err
}

// checkBytes sees that what lies in the file's place is what the view reads, byte for byte,
// by checksums: no value is read. So it finds a file that is away, was cut, changed or
// exchanged for another one; one that was written wrong, with right checksums, check finds.
func (v *view) checkBytes(ctx context.Context, f *file) error {
	at := path.Join(v.shard.dir, f.name.String())
	r, err := indexfile.Open(v.engine.fs, at)
	switch {
	case isNotExist(err) && v.shard.uses(f.name.String()):
		return fmt.Errorf("indexed file %s is not there any more: %w", at, ErrDamaged)
	case isNotExist(err): // it was replaced since the view was taken
		return f.reader.VerifyChecksums(ctx)
	case err != nil:
		return err
	}
	defer r.Close()
	if r.Seal() != f.reader.Seal() {
		return fmt.Errorf("indexed file %s is another one than was opened under its name: %w", at, ErrDamaged)
	}
	return r.VerifyChecksums(ctx)
}
