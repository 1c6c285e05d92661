package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"arbor/engine/vfs"
)

// Marker is a file that stands in a directory while a restore into it is not
// finished: nobody opens such a directory.
const Marker = "RESTORE"

// RestoreOptions say what is restored, and where to.
type RestoreOptions struct {
	// Stores are asked one after the other for each object, until one has it whole.
	Stores []*Store
	// ID is the backup, and Member whose part of it; empty for the only one.
	ID     string
	Member string
	// FS and Dir are where to. Dir is empty, or holds what the same restore has left.
	FS  vfs.FS
	Dir string
	// Only says which shards are restored; nil is all. The log is restored whole in
	// any case, since it is not divided by shards.
	Only func(ShardID) bool
	// WriteCatalog makes the catalog's directory from an encoded catalog. It may find
	// what an earlier call has left there.
	WriteCatalog func(fs vfs.FS, dir string, encoded []byte) error
	// WriteTables is WriteCatalog for mutable tables, for a backup that has any.
	WriteTables func(fs vfs.FS, dir string, encoded []byte) error
	// Rate bounds the bytes a second; 0 does not.
	Rate     int64
	Progress func(done, total int64)
	// Passed is told why an object was taken from the next store.
	Passed func(err error)
}

// Restored says what was restored.
type Restored struct {
	Manifest *Manifest
	Member   *Member
	// Files and Bytes are those restored, and Kept how many of the files an earlier,
	// broken-off restore had left.
	Files, Kept int
	Bytes       int64
}

// restoring is what the marker says.
type restoring struct { // in Marker
	Manifest string `json:"manifest"`
	Member   string `json:"member"`
}

// Unfinished is the backup that a restore into a directory was broken off of; empty if
// none was.
func Unfinished(fsys vfs.FS, dir string) (id string, err error) {
	content, err := readFile(fsys, path.Join(dir, Marker))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var r restoring
	if err := json.Unmarshal(content, &r); err != nil {
		return "", fmt.Errorf("%s of %s: %w", Marker, dir, err)
	}
	return r.Manifest, nil
}

// restore is a restore under way.
type restore struct {
	o        RestoreOptions
	throttle *throttle
	dirs     map[string]bool
	res      Restored
	total    int64
}

// Restore gets a member's data directory back. Every byte is held against its
// hash before a file gets its name; what cannot be had whole from any store is an
// error that names it. A restore that was broken off goes on when it is called
// again; until it has succeeded the directory holds the Marker.
func Restore(ctx context.Context, o RestoreOptions) (Restored, error) {
	r := &restore{o: o, throttle: &throttle{rate: o.Rate}, dirs: map[string]bool{}}
	if err := r.run(ctx); err != nil {
		return r.res, fmt.Errorf("restore %s into %s: %w", o.ID, o.Dir, err)
	}
	return r.res, nil
}

func (r *restore) run(ctx context.Context) (err error) {
	if r.res.Manifest, err = Find(ctx, r.o.Stores, r.o.ID); err != nil {
		return err
	}
	if r.res.Member, err = r.res.Manifest.Member(r.o.Member); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	files := r.files()
	for _, f := range files {
		r.total += f.Size
	}
	for _, f := range files {
		if err := r.file(ctx, f); err != nil {
			return err
		}
	}
	catalog, err := r.fetch(ctx, r.res.Member.Catalog)
	if err != nil {
		return err
	}
	if err := r.o.WriteCatalog(r.o.FS, path.Join(r.o.Dir, "catalog"), catalog); err != nil {
		return fmt.Errorf("write the catalog: %w", err)
	}
	if err := r.tables(ctx); err != nil {
		return err
	}
	for dir := range r.dirs {
		if err := r.o.FS.SyncDir(dir); err != nil {
			return err
		}
	}
	if err := r.o.FS.Remove(path.Join(r.o.Dir, Marker)); err != nil {
		return err
	}
	return r.o.FS.SyncDir(r.o.Dir)
}

// tables restores the mutable tables.
func (r *restore) tables(ctx context.Context) error {
	if r.res.Member.Tables == nil {
		return nil
	}
	if r.o.WriteTables == nil {
		return errors.New("the backup has mutable tables, which nobody here can write")
	}
	encoded, err := r.fetch(ctx, *r.res.Member.Tables)
	if err != nil {
		return err
	}
	if err := r.o.WriteTables(r.o.FS, path.Join(r.o.Dir, "catalog"), encoded); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}

// files are those that are wanted, without the catalog and the tables.
func (r *restore) files() (files []File) {
	for _, s := range r.res.Member.Shards {
		if r.o.Only == nil || r.o.Only(s.ShardID) {
			files = append(files, s.Files...)
		}
	}
	return append(files, r.res.Member.Log...)
}

// begin sees to it that the directory is this restore's.
func (r *restore) begin() error {
	fsys, dir := r.o.FS, r.o.Dir
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	marker := path.Join(dir, Marker)
	mine, err := json.Marshal(restoring{Manifest: r.o.ID, Member: r.res.Member.Name})
	if err != nil {
		return err
	}
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	found, err := readFile(fsys, marker)
	switch {
	case err == nil && string(found) == string(mine):
		return nil
	case err == nil:
		return fmt.Errorf("it holds what another restore has left (%s): finish that one, or remove the directory", strings.TrimSpace(string(found)))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, name := range names {
		if name != Marker+".tmp" {
			return fmt.Errorf("the directory is not empty (%s): a restore takes the place of nothing", name)
		}
	}
	if err := writeFile(fsys, marker+".tmp", mine); err != nil {
		return err
	}
	if err := fsys.Rename(marker+".tmp", marker); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// file restores a file, unless it is there already.
func (r *restore) file(ctx context.Context, f File) error {
	fsys, at := r.o.FS, path.Join(r.o.Dir, f.Path)
	dir := path.Dir(at)
	if !r.dirs[dir] {
		if err := fsys.MkdirAll(dir); err != nil {
			return err
		}
		r.dirs[dir] = true
	}
	hash, err := hashFile(fsys, at)
	switch {
	case err == nil && hash == f.Hash:
		r.res.Kept++
	case err == nil || errors.Is(err, fs.ErrNotExist):
		if err := r.download(ctx, f, at); err != nil {
			return err
		}
	default:
		return err
	}
	r.res.Files++
	r.res.Bytes += f.Size
	if r.o.Progress != nil {
		r.o.Progress(r.res.Bytes, r.total)
	}
	return nil
}

// download takes a file from the first store that has it whole. It gets its name
// once its bytes are on disk and are what they should be.
func (r *restore) download(ctx context.Context, f File, at string) error {
	part := at + ".tmp"
	err := r.eachStore(ctx, f, func(s *Store) error {
		w, err := r.o.FS.Create(part)
		if err != nil {
			return err
		}
		err = s.copy(ctx, objectKey(f.Hash), f.Hash, &paced{ctx, w, r.throttle})
		if err == nil {
			err = w.Sync()
		}
		return errors.Join(err, w.Close())
	})
	if err != nil {
		return err
	}
	return r.o.FS.Rename(part, at)
}

// fetch is a small file's content.
func (r *restore) fetch(ctx context.Context, f File) (content []byte, err error) {
	err = r.eachStore(ctx, f, func(s *Store) error {
		var b strings.Builder
		err := s.copy(ctx, objectKey(f.Hash), f.Hash, &b)
		content = []byte(b.String())
		return err
	})
	return content, err
}

// Catalog is the encoded catalog of a backup.
func Catalog(ctx context.Context, stores []*Store, id string) ([]byte, error) {
	m, err := Find(ctx, stores, id)
	if err != nil {
		return nil, err
	}
	parts := m.Parts()
	if len(parts) == 0 {
		return nil, fmt.Errorf("backup %s is of nobody: %w", id, ErrCorrupt)
	}
	r := &restore{o: RestoreOptions{Stores: stores}}
	return r.fetch(ctx, parts[0].Catalog)
}

// MemberCatalog is the encoded catalog of a member of a backup.
func MemberCatalog(ctx context.Context, stores []*Store, m *Member) ([]byte, error) {
	r := &restore{o: RestoreOptions{Stores: stores}}
	return r.fetch(ctx, m.Catalog)
}

// MemberTables are the encoded mutable tables of a member of a backup, nil where it has
// none.
func MemberTables(ctx context.Context, stores []*Store, m *Member) ([]byte, error) {
	if m.Tables == nil {
		return nil, nil
	}
	r := &restore{o: RestoreOptions{Stores: stores}}
	return r.fetch(ctx, *m.Tables)
}

// eachStore takes a file from one store after the other, until one succeeds.
func (r *restore) eachStore(ctx context.Context, f File, take func(*Store) error) error {
	var errs []error
	for _, s := range r.o.Stores {
		err := s.again(ctx, func() error { return take(s) })
		if err == nil {
			for _, e := range errs {
				if r.o.Passed != nil {
					r.o.Passed(fmt.Errorf("%s was taken from %s: %w", f.Path, s.Name, e))
				}
			}
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("%s cannot be had: %w", f.Path, errors.Join(errs...))
}

// paced writes no faster than its throttle lets it.
type paced struct {
	ctx context.Context
	to  io.Writer
	t   *throttle
}

func (w *paced) Write(b []byte) (int, error) {
	if err := w.t.wait(w.ctx, len(b)); err != nil {
		return 0, err
	}
	return w.to.Write(b)
}

func hashFile(fsys vfs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	size, err := f.Size()
	h := sha256.New()
	if err == nil {
		_, err = io.Copy(h, io.NewSectionReader(f, 0, size))
	}
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.NewSectionReader(f, 0, size))
	}
	return content, errors.Join(err, f.Close())
}

func writeFile(fsys vfs.FS, name string, content []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
