package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/indexfile"
)

// adoptSuffix ends the name of a file on its way from another member. Opening
// removes it: it is only ever a source.
const adoptSuffix = ".adopt.tmp"

// Adopt takes in an indexed file that another engine offers, with all its dots. read
// hands over its bytes. The file is held against its checksums, its digest and the
// offer, and then it is a source like any other: what is installed is built here, of
// it and of the shard's files that have some of the same batches, and proven. So
// events and dots become durable together, both or neither, and the file is named and
// ordered as this shard needs it. It gives the dots that are held by it now.
//
// An error that wraps dot.ErrNotAdopted means that the file could not be had or is
// not what was offered, dot.ErrUnreadable that the shard is damaged, and syscall.ENOSPC
// that there is no room. In either case nothing was changed.
func (e *Engine) Adopt(ctx context.Context, file dot.File, read func(ctx context.Context, take func(piece []byte) error) error) (dot.Set, error) {
	leave, err := e.enter()
	if err != nil {
		return dot.Set{}, err
	}
	defer leave()
	dots, err := e.adopt(ctx, file, read)
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", dot.ErrUnreadable, err)
	}
	if err != nil {
		return dot.Set{}, fmt.Errorf("adopt %s: %w", file.Name, err)
	}
	return dots, nil
}

func (e *Engine) adopt(ctx context.Context, file dot.File, read func(context.Context, func([]byte) error) error) (dot.Set, error) {
	key, ok := catalog.ParseShardKey(path.Dir(file.Name))
	if !ok {
		return dot.Set{}, fmt.Errorf("%w: that is no name", dot.ErrNotAdopted)
	}
	s := e.shard(key)
	if err := s.failure(); err != nil {
		return dot.Set{}, err
	}
	if err := e.fs.MkdirAll(s.dir); err != nil {
		return dot.Set{}, err
	}
	n := nextFileName(nil, e.now())
	at := path.Join(s.dir, n.String()+adoptSuffix)
	defer func() {
		if err := e.fs.Remove(at); err != nil && !isNotExist(err) {
			e.logger.Warn("remove the copy of an adopted file", "file", at, "error", err)
		}
	}()
	if err := e.copyFile(ctx, at, file.Bytes, read); err != nil {
		return dot.Set{}, err
	}
	f, err := e.openAdopted(ctx, s, n, at, &file)
	if err != nil {
		return dot.Set{}, fmt.Errorf("%w: %w", dot.ErrNotAdopted, err)
	}
	defer f.reader.Close()
	dots := e.dotsOf(f)
	if err := e.indexer.alone(ctx, s, func() error { return e.install(ctx, s, f) }); err != nil {
		if errors.Is(err, ErrUnproven) || ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", dot.ErrNotAdopted, err)
		}
		return dot.Set{}, err
	}
	e.holdings.addFile(key.Slot(), &dots)
	return dots, nil
}

// copyFile writes what read hands over. It need not be durable: it is a source of what
// will be.
func (e *Engine) copyFile(ctx context.Context, at string, size int64, read func(context.Context, func([]byte) error) error) error {
	f, err := e.fs.Create(at)
	if err != nil {
		return err
	}
	var own error // of our disk, as against those of the other side
	got := int64(0)
	err = read(ctx, func(piece []byte) error {
		if got += int64(len(piece)); got > size {
			return fmt.Errorf("it is longer than the %d bytes that were offered", size)
		}
		_, own = f.Write(piece)
		return own
	})
	if closeErr := f.Close(); own == nil {
		own = closeErr
	}
	switch {
	case own != nil:
		return own
	case err != nil:
		return fmt.Errorf("%w: %w", dot.ErrNotAdopted, err)
	case got != size:
		return fmt.Errorf("%w: it has %d of the %d bytes that were offered", dot.ErrNotAdopted, got, size)
	}
	return nil
}

// openAdopted opens the copy and holds it against all that it says of itself and that
// was said of it. The place in the log that it names is another member's.
func (e *Engine) openAdopted(ctx context.Context, s *shard, n fileName, at string, offered *dot.File) (*file, error) {
	reader, err := indexfile.Open(e.fs, at)
	if err != nil {
		return nil, err
	}
	f := &file{name: n, reader: reader, meta: reader.Meta()}
	if err = f.load(s.key); err == nil {
		err = f.check(ctx)
	}
	if dots := e.dotsOf(f); err == nil && !dots.Equal(&offered.Dots) {
		err = fmt.Errorf("it names the batches %v, and %v were offered", dots, offered.Dots)
	}
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	f.cut = cut{}
	return f, nil
}

// install builds a file of the adopted one and of those of the shard that share
// batches with it. The caller holds the shard's building.
func (e *Engine) install(ctx context.Context, s *shard, f *file) (err error) {
	v, err := s.view(e)
	if err != nil {
		return err
	}
	defer v.release()
	// What was erased does not come back by a file of who has not erased it yet.
	b := &build{engine: e, view: v, sources: []*file{f}, adopted: []*file{f}, erasing: e.catalog.Load().Suppressed(s.key.Project, s.key.Bucket)}
	replaced := b.among(v.files.files, f)
	b.sources = append(slices.Clone(replaced), f)
	b.replaces = s.replacedBy(replaced)
	b.job = e.jobs.start("adopt", s.key, 0)
	defer func() { e.jobs.finish(b.job, b.summary(), err) }()
	built, err := b.run(ctx)
	if errors.Is(err, ErrUnproven) {
		return err
	}
	if err != nil {
		return v.blame(err)
	}
	e.backlog.settle(s.swap(replaced, built, b.cut(), true))
	e.metrics.built(b, built)
	if err := e.trash.retire(s, fileNames(replaced)); err != nil {
		// They are litter, which is swept later; what was adopted is durable.
		e.logger.Warn("replaced files stay for now", "shard", s.key.String(), "error", err)
	}
	return nil
}

// among says which files share batches with an adopted one; the others stay beside what
// is built.
func (b *build) among(files []*file, adopted *file) (sharing []*file) {
	dots := b.engine.dotsOf(adopted)
	for _, other := range files {
		theirs := b.engine.dotsOf(other)
		if shared := theirs.And(&dots); shared.IsEmpty() {
			b.others = append(b.others, other)
			continue
		}
		sharing = append(sharing, other)
	}
	return sharing
}
