package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"arbor/engine/filesum"
)

// Limits of a request to a store.
const (
	// maxManifestBytes bounds a manifest that is read.
	maxManifestBytes = 1 << 30
	// uploadPart is what a large object is uploaded in.
	uploadPart = 8 << 20
	// attempts is how often a request is made before it counts as failed.
	attempts = 4
	// stallAfter is how long nothing may move in a request before it counts as failed: a
	// part of an upload takes less at 28 kB/s.
	stallAfter = 5 * time.Minute
)

// ErrStalled: a store took or gave nothing for too long.
var ErrStalled = errors.New("the store stalls")

// Store is a bucket that holds backups. Its methods may be called from many
// goroutines.
type Store struct {
	// Name is the URL it was opened by, for people.
	Name   string
	Bucket *blob.Bucket
	// Pause waits before a failed request is made again; a second, then four and so
	// on if nil.
	Pause func(ctx context.Context, attempt int) error
	// Stall is how long nothing may move in a request before it is made again; five minutes
	// if 0.
	Stall time.Duration
	// Settle makes what was uploaded survive a power cut, where the store does not do
	// that by itself; nil where it does.
	Settle func() error
}

// again makes a request until it succeeds, or fails for good.
func (s *Store) again(ctx context.Context, do func() error) (err error) {
	for attempt := range attempts {
		if attempt > 0 {
			if e := s.pause(ctx, attempt); e != nil {
				return errors.Join(err, e)
			}
		}
		if err = do(); err == nil || ctx.Err() != nil || errors.Is(err, ErrCorrupt) {
			return err
		}
		switch gcerrors.Code(err) {
		case gcerrors.NotFound, gcerrors.PermissionDenied, gcerrors.Unimplemented:
			return err
		}
	}
	return err
}

func (s *Store) pause(ctx context.Context, attempt int) error {
	if s.Pause != nil {
		return s.Pause(ctx, attempt)
	}
	timer := time.NewTimer(time.Second << (2 * (attempt - 1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put uploads an object and reads back what the store has, into back. open is called
// once for each attempt.
func (s *Store) put(ctx context.Context, key string, want filesum.Sums, open func() io.Reader, back io.Writer) (err error) {
	for range attempts {
		if err = s.again(ctx, func() error { return s.upload(ctx, key, open()) }); err != nil {
			return fmt.Errorf("upload %s to %s: %w", key, s.Name, err)
		}
		err = s.again(ctx, func() error { return s.check(ctx, key, want, back) })
		if !errors.Is(err, ErrCorrupt) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("read back after the upload: %w", err)
	}
	return nil
}

// upload makes an object of all that content gives, or none.
func (s *Store) upload(ctx context.Context, key string, content io.Reader) error {
	// An upload that is closed counts; one whose context has ended does not.
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	watch := s.watch(abort)
	defer watch.stop()
	w, err := s.Bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream", BufferSize: uploadPart})
	if err != nil {
		return err
	}
	if _, err = copyPieces(watch.writer(w), content); err != nil {
		abort()
	}
	return watch.explain(errors.Join(err, w.Close()))
}

// watch is what ends a request in which nothing moves.
type watch struct {
	after time.Duration
	timer *time.Timer
	fired atomic.Bool
}

// watch begins to watch a request, which end ends.
func (s *Store) watch(end func()) *watch {
	w := &watch{after: s.Stall}
	if w.after <= 0 {
		w.after = stallAfter
	}
	w.timer = time.AfterFunc(w.after, func() {
		w.fired.Store(true)
		end()
	})
	return w
}

func (w *watch) stop() { w.timer.Stop() }

// writer is a writer whose every write is a move.
func (w *watch) writer(to io.Writer) io.Writer { return movingWriter{to, w} }

// explain says of a request that failed whether it had stalled.
func (w *watch) explain(err error) error {
	if err != nil && w.fired.Load() {
		return fmt.Errorf("nothing moved for %s: %w: %w", w.after, ErrStalled, err)
	}
	return err
}

type movingWriter struct {
	to    io.Writer
	watch *watch
}

// Write passes bytes on, and notes that they moved.
func (m movingWriter) Write(b []byte) (int, error) {
	m.watch.timer.Reset(m.watch.after)
	n, err := m.to.Write(b)
	m.watch.timer.Reset(m.watch.after)
	return n, err
}

// check reads an object into w, which may be slow, and compares its quick sum, or the hash
// where that is not known. The quick sum was reckoned of the bytes that have the hash, in
// this run and on no store, so whatever the way to the store and back changed is found.
func (s *Store) check(ctx context.Context, key string, want filesum.Sums, w io.Writer) error {
	if want.Quick == "" {
		return s.copy(ctx, key, want.Hash, w)
	}
	var q filesum.Quick
	n, err := s.read(ctx, key, io.MultiWriter(w, &q))
	if err != nil {
		return err
	}
	if got := q.Sum(); got != want.Quick {
		return fmt.Errorf("%s in %s: its %d bytes have the quick sum %s: %w", key, s.Name, n, got, ErrCorrupt)
	}
	return nil
}

// copy reads an object into w, and gives ErrMissing or ErrCorrupt if it is not
// there or not what the hash says. What w got then is worth nothing.
func (s *Store) copy(ctx context.Context, key, hash string, w io.Writer) error {
	h := sha256.New()
	n, err := s.read(ctx, key, io.MultiWriter(w, h))
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != hash {
		return fmt.Errorf("%s in %s: its %d bytes have the hash %s: %w", key, s.Name, n, got, ErrCorrupt)
	}
	return nil
}

// read reads an object into w.
func (s *Store) read(ctx context.Context, key string, w io.Writer) (n int64, err error) {
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	watch := s.watch(abort)
	defer watch.stop()
	r, err := s.Bucket.NewReader(ctx, key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return 0, fmt.Errorf("%s in %s: %w: %w", key, s.Name, ErrMissing, err)
	}
	if err != nil {
		return 0, fmt.Errorf("read %s from %s: %w", key, s.Name, watch.explain(err))
	}
	n, err = copyPieces(watch.writer(w), r)
	if err = watch.explain(errors.Join(err, r.Close())); err != nil {
		return n, fmt.Errorf("read %s from %s: %w", key, s.Name, err)
	}
	return n, nil
}

// copyPieces is io.Copy by one of a few buffers: the library's own way has a new one of a
// megabyte for each object.
func copyPieces(w io.Writer, r io.Reader) (int64, error) {
	b := pieces.Get().(*[pieceBytes]byte)
	defer pieces.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, b[:])
}

const pieceBytes = 256 << 10

var pieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// object is an object of a listing.
type object struct {
	size     int64
	modified time.Time
}

// objects are the files that a store has, by hash.
func (s *Store) objects(ctx context.Context) (map[string]object, error) {
	var all map[string]object
	err := s.again(ctx, func() error {
		all = map[string]object{}
		return s.list(ctx, FilesPrefix, func(o *blob.ListObject) {
			if hash := o.Key[strings.LastIndexByte(o.Key, '/')+1:]; hashForm.MatchString(hash) {
				all[hash] = object{o.Size, o.ModTime}
			}
		})
	})
	return all, err
}

func (s *Store) list(ctx context.Context, prefix string, visit func(*blob.ListObject)) error {
	objects := s.Bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", s.Name, err)
		}
		visit(o)
	}
}

// Manifests are the IDs of the backups in the store, oldest first.
func (s *Store) Manifests(ctx context.Context) (ids []string, err error) {
	err = s.again(ctx, func() error {
		ids = nil
		return s.list(ctx, ManifestsPrefix, func(o *blob.ListObject) {
			if id, _, ok := idOfKey(o.Key); ok {
				ids = append(ids, id)
			}
		})
	})
	slices.Sort(ids)
	return ids, err
}

// Manifest reads a manifest.
func (s *Store) Manifest(ctx context.Context, id string) (m *Manifest, err error) {
	err = s.again(ctx, func() error {
		r, err := s.Bucket.NewReader(ctx, manifestKey(id), nil)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return fmt.Errorf("manifest %s in %s: %w: %w", id, s.Name, ErrMissing, err)
		}
		if err != nil {
			return fmt.Errorf("read manifest %s from %s: %w", id, s.Name, err)
		}
		content, err := io.ReadAll(io.LimitReader(r, maxManifestBytes))
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("read manifest %s from %s: %w", id, s.Name, err)
		}
		if m, err = decodeManifest(id, content); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return nil
	})
	return m, err
}

// putManifest writes a manifest, which makes everything that it names a backup.
func (s *Store) putManifest(ctx context.Context, id string, content []byte) error {
	if err := s.settle(); err != nil {
		return err
	}
	if err := s.put(ctx, manifestKey(id), filesum.Sums{Hash: sum(content)}, func() io.Reader { return bytes.NewReader(content) }, io.Discard); err != nil {
		return err
	}
	return s.settle()
}

func (s *Store) settle() error {
	if s.Settle == nil {
		return nil
	}
	return s.Settle()
}

// ErrPassed: a store does not answer, which may have a newer backup than the others.
var ErrPassed = errors.New("a store that may have a newer backup does not answer")

// Latest finds the newest backup that is not newer than at, in any of the stores. With
// ErrPassed it gives the newest of those that answer. A manifest that cannot be read is
// taken from the next store, and is an error if none has it: an older backup is never
// taken in its place without a word.
func Latest(ctx context.Context, stores []*Store, at time.Time) (string, *Manifest, error) {
	var ids []string
	var errs []error
	for _, s := range stores {
		found, err := s.Manifests(ctx)
		if err != nil {
			errs = append(errs, err)
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range slices.Backward(ids) {
		if _, made, _ := idOfKey(manifestKey(id)); !at.IsZero() && made.After(at) {
			continue
		}
		m, err := Find(ctx, stores, id)
		if err == nil && len(errs) > 0 {
			err = fmt.Errorf("%w: %w", ErrPassed, errors.Join(errs...))
		}
		return id, m, err
	}
	if len(errs) == len(stores) && len(errs) > 0 {
		return "", nil, errors.Join(errs...)
	}
	return "", nil, errors.Join(append([]error{ErrNoManifest}, errs...)...)
}

// Find reads a manifest from the first of the stores that has it whole.
func Find(ctx context.Context, stores []*Store, id string) (*Manifest, error) {
	var errs []error
	for _, s := range stores {
		m, err := s.Manifest(ctx, id)
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Held is a shard in a backup.
type Held struct {
	ID       string
	Manifest *Manifest
	Shard    Shard
}

// NewestOf finds, for each of a member's shards, the newest backup of the store that has
// it whole, reading each manifest once. A manifest that cannot be read is passed over,
// and is an error beside what was found.
func (s *Store) NewestOf(ctx context.Context, member string, shards []ShardID) (found map[ShardID]Held, err error) {
	ids, err := s.Manifests(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[ShardID]bool{}
	for _, shard := range shards {
		wanted[shard] = true
	}
	found = map[ShardID]Held{}
	for _, id := range slices.Backward(ids) {
		if len(found) == len(wanted) || ctx.Err() != nil {
			break
		}
		m, e := s.Manifest(ctx, id)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		of, e := m.Member(member)
		if e != nil {
			continue
		}
		for _, held := range of.Shards {
			if slices.ContainsFunc(of.Damaged, func(d Damage) bool { return d.ShardID == held.ShardID }) {
				continue
			}
			if _, has := found[held.ShardID]; wanted[held.ShardID] && !has {
				found[held.ShardID] = Held{id, m, held}
			}
		}
	}
	return found, errors.Join(err, ctx.Err())
}
