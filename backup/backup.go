package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/gcerrors"

	"arbor/engine/filesum"
)

// Options say what is copied, and where to.
type Options struct {
	Sources []Source
	// Stores each get a whole copy. One that fails does not keep the others.
	Stores []*Store
	// Rate bounds the bytes that are read or sent in a second, all together; 0 does
	// not.
	Rate int64
	// Keep is how long the backup is kept at least.
	Keep time.Duration
	// CreatedBy is the program's version.
	CreatedBy string
	// Progress is told how many bytes are done of how many, from one goroutine at a
	// time.
	Progress func(done, total int64)
}

// ReplayMargin is how much earlier than the cut a replay begins: what was under
// way then came in that much before at most, by clocks that differ.
const ReplayMargin = 15 * time.Minute

// Result says what became of a backup.
type Result struct {
	// ID and Manifest are those of the backup that was made; ID is empty if it did
	// not come to that.
	ID       string
	Manifest *Manifest
	// Stores says what became of each, in the order of Options.Stores.
	Stores []StoreResult
}

// StoreResult is what became of one store.
type StoreResult struct {
	Name string
	// Objects and Bytes are those that were uploaded.
	Objects, Bytes int64
	// Err is why the store has no copy.
	Err error
}

// run is a backup under way.
type run struct {
	o        Options
	throttle *throttle
	// contents are the files by hash: one is enough of those that are equal.
	contents map[string]func() io.Reader
	// quick are the quick sums by hash, of files that were summed by this run.
	quick   map[string]string
	done    atomic.Int64
	total   atomic.Int64
	telling sync.Mutex // held while Progress is called
}

// Run makes a backup. The error is not nil unless every store has a whole copy of
// every shard; Result says what was made all the same. What a broken-off backup
// has uploaded the next one does not upload again.
func Run(ctx context.Context, o Options) (Result, error) {
	r := &run{o: o, throttle: &throttle{rate: o.Rate}, contents: map[string]func() io.Reader{}, quick: map[string]string{}}
	res := Result{Stores: make([]StoreResult, len(o.Stores))}
	for i, s := range o.Stores {
		res.Stores[i].Name = s.Name
	}
	m, release, err := r.describe(ctx)
	defer release()
	if err != nil {
		return res, fmt.Errorf("backup: %w", err)
	}
	id, content, err := m.encode()
	if err != nil {
		return res, fmt.Errorf("backup: %w", err)
	}
	res.ID, res.Manifest = id, m
	r.total.Store(r.done.Load() + int64(len(o.Stores))*bytesOf(m))
	var stores sync.WaitGroup
	for i, s := range o.Stores {
		stores.Add(1)
		go func() { // ends with its uploads, which ctx bounds
			defer stores.Done()
			if err := r.fill(ctx, s, m, &res.Stores[i]); err != nil {
				res.Stores[i].Err = err
				return
			}
			res.Stores[i].Err = s.putManifest(ctx, id, content)
		}()
	}
	stores.Wait()
	return res, res.err()
}

// err joins what went wrong.
func (r *Result) err() error {
	var errs []error
	for _, s := range r.Stores {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("backup to %s: %w", s.Name, s.Err))
		}
	}
	for _, m := range r.Manifest.Members {
		for _, d := range m.Damaged {
			errs = append(errs, fmt.Errorf("backup without all of shard %s of %s, which is damaged: %s", d.ShardID, m.Name, d.Reason))
		}
	}
	return errors.Join(errs...)
}

func bytesOf(m *Manifest) (n int64) {
	for i := range m.Members {
		n += m.Members[i].Bytes()
	}
	return n
}

// describe takes the cuts and makes the manifest.
func (r *run) describe(ctx context.Context) (m *Manifest, release func(), err error) {
	var cuts []*Cut
	release = func() {
		for _, c := range cuts {
			c.Release()
		}
	}
	m = &Manifest{Version: 1, CreatedBy: r.o.CreatedBy}
	last := r.last(ctx, m)
	for _, s := range r.o.Sources {
		more, err := s.Cuts(ctx, last)
		if err != nil {
			return nil, release, err
		}
		cuts = append(cuts, more...)
	}
	known := knownFiles(last)
	for _, c := range cuts {
		if m.At.IsZero() || c.At.Before(m.At) {
			m.At = c.At
		}
		if c.Cluster {
			m.Cluster, m.Version = true, versionCluster
		}
	}
	m.At = m.At.UTC().Truncate(time.Microsecond)
	m.ReplayFrom, m.KeepUntil = m.At.Add(-ReplayMargin), m.At.Add(r.o.Keep)
	for _, c := range cuts {
		member, err := r.member(ctx, c, known[c.Member])
		if err != nil {
			return nil, release, err
		}
		m.Members = append(m.Members, member)
	}
	for _, c := range cuts {
		if c.Read != nil {
			c.Read()
		}
	}
	return m, release, nil
}

// last is the newest backup, whose hashes need not be reckoned again; nil without one.
func (r *run) last(ctx context.Context, m *Manifest) *Manifest {
	id, last, err := Latest(ctx, r.o.Stores, time.Time{})
	if err != nil && !errors.Is(err, ErrPassed) {
		return nil
	}
	m.Previous = id
	return last
}

// knownFiles are the files of a backup by member and path.
func knownFiles(last *Manifest) map[string]map[string]File {
	known := map[string]map[string]File{}
	if last == nil {
		return known
	}
	for i := range last.Members {
		files := map[string]File{}
		for _, f := range last.Members[i].Files() {
			files[f.Path] = f
		}
		known[last.Members[i].Name] = files
	}
	return known
}

// member describes what a member holds.
func (r *run) member(ctx context.Context, c *Cut, known map[string]File) (Member, error) {
	m := Member{Name: c.Member, At: c.At.UTC().Truncate(time.Microsecond), CatalogVersion: c.CatalogVersion, Damaged: c.Damaged, LogDamage: c.LogDamage}
	for i := range c.Shards {
		s, err := r.shard(ctx, &c.Shards[i], known)
		if err != nil {
			if ctx.Err() != nil {
				return m, ctx.Err()
			}
			if !slices.ContainsFunc(m.Damaged, func(d Damage) bool { return d.ShardID == c.Shards[i].ShardID }) {
				m.Damaged = append(m.Damaged, Damage{c.Shards[i].ShardID, err.Error()})
			}
			continue
		}
		m.Shards = append(m.Shards, s)
	}
	for i := range c.Log {
		f, err := r.file(ctx, &c.Log[i], known)
		if err != nil {
			return m, err
		}
		m.Log = append(m.Log, f)
	}
	catalog := CutFile{File: File{Path: "catalog.bin", Size: int64(len(c.Catalog))}, Content: func() io.Reader { return bytes.NewReader(c.Catalog) }}
	var err error
	if m.Catalog, err = r.file(ctx, &catalog, known); err != nil || len(c.Tables) == 0 {
		return m, err
	}
	tables := CutFile{File: File{Path: "tables.bin", Size: int64(len(c.Tables))}, Content: func() io.Reader { return bytes.NewReader(c.Tables) }}
	f, err := r.file(ctx, &tables, known)
	m.Tables = &f
	return m, err
}

func (r *run) shard(ctx context.Context, c *CutShard, known map[string]File) (s Shard, err error) {
	s.ShardID = c.ShardID
	for i := range c.Files {
		f, err := r.file(ctx, &c.Files[i], known)
		if err != nil {
			return s, err
		}
		s.Files = append(s.Files, f)
	}
	s.Total, err = c.Reckon(ctx)
	return s, err
}

// file reckons a file's hash, or remembers it.
func (r *run) file(ctx context.Context, c *CutFile, known map[string]File) (File, error) {
	f := c.File
	if old, ok := known[f.Path]; ok && c.Immutable && old.Size == f.Size && old.Rows == f.Rows && old.Digest == f.Digest {
		f.Hash = old.Hash
	} else {
		sums, err := r.sum(ctx, c)
		if err != nil {
			return f, fmt.Errorf("%s: %w", f.Path, err)
		}
		f.Hash, r.quick[sums.Hash] = sums.Hash, sums.Quick
	}
	if err := f.valid(); err != nil {
		return f, err
	}
	r.contents[f.Hash] = c.Content
	return f, nil
}

// sum gives what a file's bytes come to.
func (r *run) sum(ctx context.Context, c *CutFile) (filesum.Sums, error) {
	if c.Sum != nil {
		return c.Sum(ctx, func(n int) error { return r.throttle.wait(ctx, n) })
	}
	sums, n, err := filesum.Of(&throttled{ctx: ctx, from: c.Content(), t: r.throttle})
	if err == nil && n != c.Size {
		err = fmt.Errorf("it has %d bytes, and should have %d: %w", n, c.Size, ErrCorrupt)
	}
	return sums, err
}

// sums are those of a file of the manifest, as far as they are known.
func (r *run) sums(f *File) filesum.Sums { return filesum.Sums{Hash: f.Hash, Quick: r.quick[f.Hash]} }

// fill uploads what a store lacks, and looks at the store again when all is there: an
// upload may take longer than a collection waits. What the store's newest backup names
// was read back when it was made, and is never collected. Anything else may be the rest
// of a backup that was broken off: it is read back, or, where a collection could take
// it before the manifest names it, uploaded again.
func (r *run) fill(ctx context.Context, s *Store, m *Manifest, res *StoreResult) error {
	there, err := s.objects(ctx)
	if err != nil {
		return err
	}
	named, err := s.newestFiles(ctx) // which no collection takes
	if err != nil {
		return err
	}
	checked := map[string]bool{} // and found right, or uploaded
	for round := range maxRounds {
		lacked := false
		for _, f := range m.Files() {
			o, ok := there[f.Hash]
			safe := ok && o.size == f.Size && (named[f.Hash] || time.Since(o.modified) < freshUpload)
			if !safe || !named[f.Hash] && !checked[f.Hash] && s.check(ctx, objectKey(f.Hash), r.sums(&f), r.discard(ctx)) != nil {
				if named[f.Hash], err = r.upload(ctx, s, &f, res); err != nil {
					return err
				}
				there[f.Hash], lacked = object{f.Size, time.Now()}, true
			}
			if round == 0 {
				r.progress(f.Size)
			}
			checked[f.Hash] = true
		}
		if !lacked {
			return nil
		}
		if there, err = s.objects(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s lacks objects as soon as they were uploaded", s.Name)
}

// freshUpload is how young an object must be that no manifest names, so that no
// collection takes it before one does.
const freshUpload = LeastDelay - time.Hour

// maxRounds is how often a store is looked at for what it lacks.
const maxRounds = 5

// upload uploads a file. A store that lets nobody replace what it has lets nobody remove
// it either: then an object that is right already is kept.
func (r *run) upload(ctx context.Context, s *Store, f *File, res *StoreResult) (kept bool, err error) {
	err = s.put(ctx, objectKey(f.Hash), r.sums(f), r.content(ctx, f.Hash), r.discard(ctx))
	if gcerrors.Code(err) == gcerrors.PermissionDenied && s.check(ctx, objectKey(f.Hash), r.sums(f), r.discard(ctx)) == nil {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	res.Objects++
	res.Bytes += f.Size
	return false, nil
}

// discard takes what is read back, no faster than the backup may.
func (r *run) discard(ctx context.Context) io.Writer { return &paced{ctx, io.Discard, r.throttle} }

func (r *run) content(ctx context.Context, hash string) func() io.Reader {
	return func() io.Reader {
		return &throttled{ctx: ctx, from: r.contents[hash](), t: r.throttle}
	}
}

// progress counts bytes that are done.
func (r *run) progress(n int64) {
	done := r.done.Add(n)
	if r.o.Progress == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	r.o.Progress(done, r.total.Load())
}

// newestFiles are the hashes that the store's newest backup names.
func (s *Store) newestFiles(ctx context.Context) (map[string]bool, error) {
	ids, err := s.Manifests(ctx)
	if err != nil || len(ids) == 0 {
		return map[string]bool{}, err
	}
	hashes := map[string]bool{}
	m, err := s.Manifest(ctx, ids[len(ids)-1])
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrMissing) {
		return hashes, nil // then nothing is known, and all is read back or uploaded again
	}
	if err != nil {
		return nil, err
	}
	for _, f := range m.Files() {
		hashes[f.Hash] = true
	}
	return hashes, nil
}
