package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// build makes one new file of a shard out of logged batches or of older files.
// What it must come to is reckoned from the sources on a path of its own, see
// census.go, and proven on the bytes that were written, see proof.go.
type build struct {
	engine *Engine
	view   *view
	job    *job

	// refs or sources are what the file is made of; others are the shard's files
	// that stay beside it.
	refs    []logRef
	sources []*file
	others  []*file
	// adopted is that of the sources which came from another member; nil if none did.
	adopted *file
	// replaces names the sources, and what they replaced that is not gone yet.
	replaces []string

	batches  []event.Batch
	rows     rowSource
	name     fileName
	writer   *indexfile.Builder
	finder   finder
	matchers []matcher
	cross    []indexfile.Cross
	marks    tombstones
	// dots are those of all named batches that the sources hold.
	dots dot.Set
	want event.Digest
	ids  idTable

	// last are the rows with the time and ingest id of the last one.
	last     []sourceRow
	lastTime int64
	lastID   catalog.IngestID
}

// run builds, proves and opens the file. When it fails the sources are as they
// were, and nothing of the new file is left, or only what the next opening
// removes.
func (b *build) run(ctx context.Context) (*file, error) {
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"read sources", b.open},
		{"count sources", b.census},
		{"build", b.write},
		{"prove", b.prove},
		{"publish", b.publish},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			b.discard()
			return nil, fmt.Errorf("%s: %w", step.what, b.suspect(err))
		}
	}
	f, err := openFile(b.engine.fs, b.view.shard.dir, b.name, b.view.shard.key, b.engine.kept)
	if err != nil {
		b.view.shard.addLitter(b.name.String())
	}
	return f, err
}

// suspect raises the alarm for errors that say that a build went wrong, rather
// than the disk or the context.
func (b *build) suspect(err error) error {
	wrong := errors.Is(err, indexfile.ErrOrder) || errors.Is(err, indexfile.ErrLimit) || errors.Is(err, indexfile.ErrColumn)
	if wrong && !errors.Is(err, ErrUnproven) {
		err = fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	if errors.Is(err, ErrUnproven) {
		b.engine.metrics.Unproven.Add(1)
		b.engine.alarms.raise(alarmUnproven, b.view.shard.key, b.newName(), err.Error())
	}
	return err
}

// open reads the logged batches, or opens the files, to give their rows in order.
func (b *build) open(ctx context.Context) (err error) {
	b.name = nextFileName(b.view.files.files, b.engine.now())
	b.name.sequence = max(b.name.sequence, b.engine.ledger.dropped(b.view.shard.key).sequence+1)
	if len(b.refs) > 0 {
		if err := b.readLogged(ctx); err != nil {
			return err
		}
	} else {
		sources := b.sources
		if b.engine.opts.Faults.overwrite() {
			sources = sources[len(sources)-1:]
		}
		if b.rows, err = newFileSource(sources); err != nil {
			return err
		}
		for _, f := range b.sources {
			b.marks.add(&f.marks)
			dots := f.dots()
			b.dots.AddSet(&dots)
		}
	}
	b.matchers = make([]matcher, len(b.others))
	for i, f := range b.others {
		b.matchers[i] = newMatcher(f)
	}
	b.finder.source = b.rows
	return nil
}

// readLogged decodes the logged batches, each into memory of its own, and counts
// them while they are at hand.
func (b *build) readLogged(ctx context.Context) error {
	rows := newLogSource(b.view.shard.key.Day)
	b.batches = make([]event.Batch, len(b.refs))
	for i, r := range b.refs {
		if err := ctx.Err(); err != nil {
			return err
		}
		var buffer []byte
		if err := b.view.read(r, &buffer, &b.batches[i]); err != nil {
			return err
		}
		if !r.dot.IsZero() {
			b.dots.Add(r.dot)
		}
		rows.add(&b.batches[i], !b.engine.ignoreDuplicates)
		b.countLogged(&b.batches[i])
		b.marks.addBatch(b.batches[i].Deletes, b.batches[i].Undos)
	}
	rows.sort()
	b.rows = rows
	return nil
}

// write adds the rows, users after users, and writes the file under a name that
// no opening takes for a file.
func (b *build) write(ctx context.Context) error {
	options := b.engine.opts.Files
	options.Rows = int(b.want.Count)
	b.writer = indexfile.NewBuilder(options)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		user, rows, err := b.rows.nextUser()
		if err != nil {
			return err
		}
		if rows == nil {
			break
		}
		if err := b.addUser(user, rows); err != nil {
			return err
		}
	}
	b.finder.finish()
	slices.SortStableFunc(b.cross, func(a, b indexfile.Cross) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	dir := b.view.shard.dir
	if err := b.engine.fs.MkdirAll(dir); err != nil {
		return err
	}
	if err := b.writer.Write(b.engine.fs, dir, b.newName(), b.meta()); err != nil {
		return err
	}
	b.engine.opts.Faults.written(path.Join(dir, b.newName()))
	return nil
}

func (b *build) newName() string { return b.name.String() + newSuffix }

func (b *build) meta() indexfile.Meta {
	m := indexfile.Meta{
		Shard: b.view.shard.key, Replaces: b.replaces,
		Digest:     [3]uint64{b.want.Count, b.want.Hi, b.want.Lo},
		Duplicates: b.finder.hidden, Groups: b.finder.groups, Cross: b.cross,
		Tombstones: b.marks.encode(), LogCut: encodeCut(b.cut(), b.engine.opts.Faults.dots(&b.dots)), CreatedBy: b.engine.opts.CreatedBy,
	}
	for _, r := range b.refs {
		name := appendlog.SegmentName(r.segment)
		if !slices.Contains(m.Sources, name) {
			m.Sources = append(m.Sources, name)
		}
	}
	return m
}

// cut is up to where the file and its elders hold the shard's log.
func (b *build) cut() (upTo cut) {
	for _, r := range b.refs {
		if upTo.before(r.end()) {
			upTo = r.end()
		}
	}
	for _, f := range b.sources {
		if upTo.before(f.cut) {
			upTo = f.cut
		}
	}
	return upTo
}

// addUser adds the rows of a user, and finds their copies among themselves and
// in the files that stay.
func (b *build) addUser(user string, rows []sourceRow) error {
	b.last = b.last[:0]
	for _, r := range rows {
		e, err := b.rows.event(r)
		if err != nil {
			return err
		}
		repeat, err := b.isRepeat(e, r)
		if err != nil {
			return err
		}
		if repeat {
			continue
		}
		if !b.engine.ignoreDuplicates {
			if err := b.finder.add(e, uint32(b.writer.Rows()), r); err != nil {
				return err
			}
		}
		for range b.engine.opts.Faults.row((*indexfile.Row)(e)) {
			if err := b.writer.Add((*indexfile.Row)(e)); err != nil {
				return err
			}
		}
	}
	b.job.done.Add(int64(len(rows)))
	if err := b.finder.group(); err != nil {
		return err
	}
	if err := b.crossUser(user); err != nil {
		return err
	}
	b.finder.reset()
	return nil
}

// isRepeat reports whether a row is one that was just added. Physical repeats
// have one place in the order; so may damaged rows, which are all kept.
func (b *build) isRepeat(e *event.Event, from sourceRow) (bool, error) {
	if e.Time != b.lastTime || e.ID != b.lastID {
		b.last, b.lastTime, b.lastID = b.last[:0], e.Time, e.ID
	}
	if len(b.last) > 0 {
		e.InsertID = strings.Clone(e.InsertID) // again lets go of it
	}
	for _, r := range b.last {
		other, err := b.rows.again(r)
		if err != nil {
			return false, err
		}
		if fingerprintOf(other) == fingerprintOf(e) {
			return true, nil
		}
	}
	b.last = append(b.last, from)
	return false, nil
}

// crossUser looks for the user's new rows in the files that stay. Of each group
// one row speaks for all, in either file.
func (b *build) crossUser(user string) error {
	var probes []probe
	for i := range b.matchers {
		m := &b.matchers[i]
		lo, hi, err := m.users.seek(user)
		if err != nil {
			return err
		}
		if lo == hi {
			continue
		}
		if probes == nil {
			if probes, err = b.probes(); err != nil {
				return err
			}
		}
		err = m.matchUser(probes, lo, hi, func(p *probe, other uint32) error {
			e, err := m.event(int(other))
			if err != nil {
				return err
			}
			b.cross = append(b.cross, indexfile.Cross{
				Ordinal: b.finder.rows[p.number].ordinal, File: m.file.name.String(), Other: other, Same: fingerprintOf(e) == p.payload,
			})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// probes are the user's new rows, one of each group.
func (b *build) probes() ([]probe, error) {
	probes := make([]probe, 0, len(b.finder.rows))
	for i, r := range b.finder.rows {
		if r.copy {
			continue
		}
		e, err := b.rows.again(r.from)
		if err != nil {
			return nil, err
		}
		p := probe{number: uint32(i), key: indexfile.InsertKeyOf(e.InsertID), time: e.Time, payload: fingerprintOf(e)}
		if !p.key.Exact() {
			p.insertID = strings.Clone(e.InsertID)
		}
		probes = append(probes, p)
	}
	return probes, nil
}

// publish gives the proven file its name: from then on opening finds it, and
// holds what it replaces for replaced. If that fails nobody knows under which
// name a crash would leave it, so it is litter: either the next file replaces
// it too, or opening adopts it, and it stands for its sources.
func (b *build) publish(context.Context) error {
	fs, dir := b.engine.fs, b.view.shard.dir
	err := fs.Rename(path.Join(dir, b.newName()), path.Join(dir, b.name.String()))
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		b.view.shard.addLitter(b.name.String())
	}
	return err
}

// discard removes what a failed build left, if it can. A file that got its name
// stays: it is proven.
func (b *build) discard() {
	if err := b.engine.fs.Remove(path.Join(b.view.shard.dir, b.newName())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.engine.logger.Warn("remove unfinished file", "shard", b.view.shard.key.String(), "file", b.newName(), "error", err)
	}
}
