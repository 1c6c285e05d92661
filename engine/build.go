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
	"arbor/engine/filesum"
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
	// adopted are those of the sources which came from another member.
	adopted []*file
	// unread are files that the new one replaces without being made of them.
	unread []*file
	// replaces names the sources, and what they replaced that is not gone yet.
	replaces []string
	// upTo is up to where the shard's log is in what is built, beyond what the sources
	// say; zero for nothing.
	upTo cut
	// strict has a build fail that finds different events under one ingest id, of which
	// conflict is one.
	strict   bool
	conflict catalog.IngestID
	// erasing says which rows are left out; nil for none.
	erasing *catalog.Suppression

	// version is that of the file, and stage the one of which this member is a canary.
	version uint32
	stage   *catalog.Stage

	rows     rowSource
	logged   *logSource // the rows of refs
	name     fileName
	writer   *indexfile.Builder
	written  uint32 // rows
	finder   finder
	matchers []matcher
	borrowed []func() // give back what the matchers decoded
	cross    []indexfile.Cross
	having   []userRows // scratch
	marks    tombstones
	// dots are those of all named batches that the sources hold.
	dots dot.Set
	want event.Digest
	sums *filesum.Sums // of the proven file
	ids  *idFilter     // of the proven file

	// last are the user's rows with the time and ingest id of the last one.
	last     []sourceRow
	lastTime int64
}

// run builds, proves and opens the file. When it fails the sources are as they
// were, and nothing of the new file is left, or only what the next opening
// removes.
func (b *build) run(ctx context.Context) (*file, error) {
	b.chooseVersion()
	defer func() {
		b.release()
		for _, giveBack := range b.borrowed {
			giveBack()
		}
	}()
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
	f, err := b.engine.openFile(b.view.shard, b.name)
	if err != nil {
		b.view.shard.addLitter(b.name.String())
		return nil, err
	}
	f.sums = b.sums
	b.engine.idFilters.keep(f, b.ids)
	return f, nil
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
		b.noteStaged(err)
		b.engine.alarms.raise(alarmUnproven, b.view.shard.key, b.newName(), err.Error())
	}
	return err
}

// open reads the logged batches, or opens the files, to give their rows in order.
func (b *build) open(ctx context.Context) (err error) {
	b.name = b.view.shard.nextName(b.engine)
	b.name.sequence = max(b.name.sequence, b.engine.ledger.dropped(b.view.shard.key).sequence+1)
	if b.stage != nil {
		b.name.sequence = max(b.name.sequence, uint64(max(b.stage.Since, 0))) // whatever the clock says
	}
	if len(b.refs) > 0 {
		if err := b.readLogged(ctx); err != nil {
			return err
		}
	} else {
		sources := b.sources
		if b.faults().overwrite() {
			sources = sources[len(sources)-1:]
		}
		if b.rows, err = newFileSource(sources); err != nil {
			return err
		}
		for _, f := range b.sources {
			b.marks.add(&f.marks)
			dots := b.engine.dotsOf(f)
			b.dots.AddSet(&dots)
		}
	}
	b.matchers = make([]matcher, len(b.others))
	for i, f := range b.others {
		b.borrowed = append(b.borrowed, f.reader.Borrow())
		b.matchers[i] = newMatcher(f, int(b.want.Count))
	}
	b.finder.source = b.rows
	return nil
}

// write adds the rows, users after users, and writes the file under a name that
// no opening takes for a file.
func (b *build) write(ctx context.Context) error {
	dir := b.view.shard.dir
	if err := b.engine.fs.MkdirAll(dir); err != nil {
		return err
	}
	if b.writer == nil {
		b.newWriter(int(b.want.Count))
	}
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
	if err := b.rows.finish(b.writer); err != nil {
		return err
	}
	b.finder.finish()
	slices.SortStableFunc(b.cross, func(a, b indexfile.Cross) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	if err := b.writer.Write(b.engine.fs, dir, b.newName(), b.meta()); err != nil {
		return err
	}
	if err := b.writer.Close(); err != nil {
		return err
	}
	b.writer = nil
	b.faults().written(path.Join(dir, b.newName()))
	return nil
}

// newWriter begins a file of about so many rows.
func (b *build) newWriter(rows int) {
	options := b.engine.opts.Files
	options.Rows, options.Version = rows, b.version
	options.Memory = max(b.memory()/rowsShare, 1)
	options.FS, options.Aside = b.engine.fs, path.Join(b.view.shard.dir, b.asideName())
	b.writer = indexfile.NewBuilder(options)
}

func (b *build) newName() string { return b.name.String() + newSuffix }

// asideName is of the file for what of the rows is over the limit. No opening
// takes it for a file, but removes it.
func (b *build) asideName() string { return b.name.String() + asideSuffix }

// The shares of a build's memory: rows as they are collected, and ingest ids as
// they are compared. What is left is for the sources, for one column as it is
// written, and for what the collector has not found yet.
const (
	rowsShare = 4
	idsShare  = 8
)

// memory is about what the build may take.
func (b *build) memory() int64 {
	if n := b.engine.opts.IndexBytes; n > 0 {
		return n
	}
	return b.engine.catalog.Load().IndexMemory()
}

func (b *build) meta() indexfile.Meta {
	m := indexfile.Meta{
		Shard: b.view.shard.key, Replaces: b.replaces,
		Digest:     [3]uint64{b.want.Count, b.want.Hi, b.want.Lo},
		Duplicates: b.finder.hidden, Groups: b.finder.groups, Cross: b.cross,
		Tombstones: b.marks.encode(), LogCut: encodeCut(b.cut(), b.faults().dots(&b.dots)), CreatedBy: b.engine.opts.CreatedBy,
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
func (b *build) cut() cut {
	upTo := b.upTo
	for _, r := range b.refs {
		if upTo.before(r.end()) {
			upTo = r.end()
		}
	}
	for _, f := range slices.Concat(b.sources, b.unread) {
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
	b.finder.begin(b.written)
	b.job.done.Add(int64(len(rows)))
	erased := b.erasedUpTo(user)
	added := rows[:0] // those that are no repeats
	for _, r := range rows {
		time, err := b.rows.enter(r)
		if err != nil {
			return err
		}
		if !erased.IsZero() {
			if _, id, err := b.rows.place(r); err != nil {
				return err
			} else if id.Compare(erased) <= 0 {
				continue
			}
		}
		if len(b.last) == 0 || time != b.lastTime {
			b.last, b.lastTime = append(b.last[:0], r), time
		} else if repeat, err := b.isRepeat(r); err != nil {
			return err
		} else if repeat {
			continue
		}
		added = append(added, r)
		if !b.engine.ignoreDuplicates {
			hash, err := b.rows.copyHash(r)
			if err != nil {
				return err
			}
			b.finder.add(hash)
		}
		n, err := b.rows.write(r, b.writer, b.faults())
		if err != nil {
			return err
		}
		b.written += uint32(n)
	}
	if b.engine.ignoreDuplicates {
		return nil
	}
	if err := b.finder.group(added); err != nil {
		return err
	}
	return b.crossUser(user, added)
}

// isRepeat reports whether a row is one that was just added, given that it has the time of
// the last one. Physical repeats have one place in the order; so may damaged rows, which are
// all kept.
func (b *build) isRepeat(from sourceRow) (bool, error) {
	_, id, err := b.rows.place(from)
	if err != nil {
		return false, err
	}
	_, lastID, err := b.rows.place(b.last[0])
	if err != nil {
		return false, err
	}
	if id != lastID {
		b.last = b.last[:0]
	}
	if len(b.last) > 0 {
		mine, err := b.rows.look(from)
		if err != nil {
			return false, err
		}
		for _, r := range b.last {
			other, err := b.rows.look(r)
			if err != nil {
				return false, err
			}
			if other.member.payload == mine.member.payload {
				return true, nil
			}
		}
	}
	b.last = append(b.last, from)
	return false, nil
}

// userRows are where a user's rows are in a file that stays.
type userRows struct {
	matcher *matcher
	lo, hi  int
}

// maxProbes is how many rows of a user are looked for at a time.
const maxProbes = 1 << 14

// crossUser looks for the user's new rows in the files that stay. Of each group
// one row speaks for all, in either file.
func (b *build) crossUser(user string, rows []sourceRow) error {
	b.having = b.having[:0]
	for i := range b.matchers {
		m := &b.matchers[i]
		if !m.ids.mayAny(b.finder.hashes) {
			continue
		}
		lo, hi, err := m.users.seek(user)
		if err != nil {
			return err
		}
		if lo < hi {
			b.having = append(b.having, userRows{m, lo, hi})
		}
	}
	if len(b.having) == 0 {
		return nil
	}
	for from := 0; from < len(rows); from += maxProbes {
		probes, err := b.probes(rows, from, min(from+maxProbes, len(rows)))
		if err != nil {
			return err
		}
		for _, h := range b.having {
			err := h.matcher.matchUser(probes, h.lo, h.hi, func(p *probe, other uint32) error {
				e, err := h.matcher.event(int(other))
				if err != nil {
					return err
				}
				b.cross = append(b.cross, indexfile.Cross{
					Ordinal: b.finder.first + p.number, File: h.matcher.file.name.String(), Other: other, Same: fingerprintOf(e) == p.payload,
				})
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// probes are the rows [from, to) of the user's, one of each group.
func (b *build) probes(rows []sourceRow, from, to int) ([]probe, error) {
	probes := make([]probe, 0, to-from)
	for i := from; i < to; i++ {
		if b.finder.isCopy(i) || !b.mayCross(i) {
			continue
		}
		l, err := b.rows.look(rows[i])
		if err != nil {
			return nil, err
		}
		probes = append(probes, probe{number: uint32(i), key: l.key, insertID: strings.Clone(l.insertID), time: l.member.time, payload: l.member.payload})
	}
	return probes, nil
}

// mayCross reports whether a row of the user's may have a copy in one of the files that
// are looked through.
func (b *build) mayCross(row int) bool {
	hash := b.finder.hashes[row : row+1]
	return slices.ContainsFunc(b.having, func(h userRows) bool { return h.matcher.ids.mayAny(hash) })
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

// release gives what the logged events took to the next build.
func (b *build) release() {
	if b.logged != nil {
		b.logged.release()
	}
	b.logged, b.rows, b.finder.source = nil, nil, nil
}

// discard removes what a failed build left, if it can. A file that got its name
// stays: it is proven.
func (b *build) discard() {
	if b.writer != nil {
		if err := b.writer.Close(); err != nil {
			b.engine.logger.Warn("remove what was put aside", "shard", b.view.shard.key.String(), "file", b.asideName(), "error", err)
		}
		b.writer = nil
	}
	if err := b.engine.fs.Remove(path.Join(b.view.shard.dir, b.newName())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.engine.logger.Warn("remove unfinished file", "shard", b.view.shard.key.String(), "file", b.newName(), "error", err)
	}
}
