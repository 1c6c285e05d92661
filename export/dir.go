package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"

	"arbor/engine/vfs"
)

// Names in a directory of exports.
const (
	// incompletePrefix begins the names of what is not whole.
	incompletePrefix = ".incomplete-"
	lockName         = ".lock"
	manifestName     = "_manifest.json"
	sumsName         = "_sha256sums"
	idsDir           = "_ids"
	heldName         = "held.parquet"
	removedName      = "removed.parquet"
	// MaxName is the longest name of an export or a file.
	MaxName = 128
	// maxManifest is the largest manifest that is read.
	maxManifest = 64 << 20
)

// names are those that exports and files may have: one part of a path, nothing hidden,
// and nothing that shells and globs read otherwise.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Dir is the directory that exports are written into. Its methods may be called from
// many goroutines.
type Dir struct {
	fs   vfs.FS
	root string
	lock io.Closer

	mu    sync.Mutex // guards taken
	taken map[string]bool
}

// Open opens the directory, makes it if it is missing, and removes what an end of the
// process left incomplete.
func Open(files vfs.FS, root string) (*Dir, error) {
	d := &Dir{fs: files, root: root, taken: map[string]bool{}}
	if err := files.MkdirAll(root); err != nil {
		return nil, fmt.Errorf("directory of exports %s: %w", root, err)
	}
	var err error
	if d.lock, err = files.Lock(path.Join(root, lockName)); err != nil {
		return nil, fmt.Errorf("directory of exports %s: %w", root, err)
	}
	entries, err := files.List(root)
	for i := 0; i < len(entries) && err == nil; i++ {
		if strings.HasPrefix(entries[i], incompletePrefix) {
			err = removeAll(files, path.Join(root, entries[i]), strings.HasSuffix(entries[i], "/"))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("directory of exports %s: %w", root, err), d.lock.Close())
	}
	return d, nil
}

// Close lets others open the directory. Nothing may be under way.
func (d *Dir) Close() error { return d.lock.Close() }

// Root is the directory's path.
func (d *Dir) Root() string { return d.root }

// reserve takes a name, and gives the path to write to until publish.
func (d *Dir) reserve(name string) (temporary string, err error) {
	if len(name) > MaxName || !names.MatchString(name) {
		return "", fmt.Errorf("%w: %.140q: want up to %d letters, digits, and . _ - after the first", ErrName, name, MaxName)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.taken[name] {
		return "", fmt.Errorf("%w: %s is being written", ErrExists, name)
	}
	if _, err := d.fs.Stat(path.Join(d.root, name)); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s is there; choose another name, or remove it", ErrExists, name)
		}
		return "", err
	}
	d.taken[name] = true
	return path.Join(d.root, incompletePrefix+name), nil
}

// publish gives what was written its name, and gives the name up. If another process
// has put something there meanwhile, that stays.
func (d *Dir) publish(name string) error {
	final := path.Join(d.root, name)
	if _, err := d.fs.Stat(final); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s has come meanwhile", ErrExists, name)
		}
		return err
	}
	if err := d.fs.Rename(path.Join(d.root, incompletePrefix+name), final); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.root); err != nil {
		return err
	}
	d.free(name)
	return nil
}

// discard removes what was written, and gives the name up.
func (d *Dir) discard(name string) error {
	temporary := path.Join(d.root, incompletePrefix+name)
	info, err := d.fs.Stat(temporary)
	if err == nil {
		err = removeAll(d.fs, temporary, info.IsDir())
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	d.free(name)
	return err
}

func (d *Dir) free(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.taken, name)
}

// removeAll removes a file, or a directory with what is in it.
func removeAll(files vfs.FS, name string, isDir bool) error {
	if isDir {
		entries, err := files.List(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := removeAll(files, path.Join(name, e), strings.HasSuffix(e, "/")); err != nil {
				return err
			}
		}
	}
	return files.Remove(name)
}

// Manifest reads what an export holds.
func (d *Dir) Manifest(name string) (Manifest, error) {
	var m Manifest
	if len(name) > MaxName || !names.MatchString(name) {
		return m, fmt.Errorf("%w: %.140q", ErrName, name)
	}
	text, err := readFile(d.fs, path.Join(d.root, name, manifestName), maxManifest)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s: %w", manifestName, err)
	}
	if m.Version != manifestVersion {
		return m, fmt.Errorf("%s is of version %d; this arbor reads %d", manifestName, m.Version, manifestVersion)
	}
	return m, nil
}

func readFile(files vfs.FS, name string, most int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", name, size, most)
	}
	return io.ReadAll(io.NewSectionReader(f, 0, size))
}
