package vfs

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// OS returns the machine's file system. Directories are made readable by their
// owner alone, and so are files: they hold other people's events.
func OS() FS { return osFS{} }

const (
	fileMode = 0o600
	dirMode  = 0o700
)

type osFS struct{}

// Create unlinks a file of that name instead of truncating it, so that whoever
// still reads or maps the old one goes on seeing all of it.
func (osFS) Create(name string) (File, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, fileMode)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

func (osFS) Rename(oldName, newName string) error  { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error              { return os.Remove(name) }
func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) SyncDir(name string) error             { return syncDir(name) }
func (osFS) Lock(name string) (io.Closer, error)   { return lock(name) }
func (osFS) List(name string) (names []string, err error) {
	entries, err := os.ReadDir(name)
	for _, e := range entries {
		names = append(names, listed(e.Name(), e.IsDir()))
	}
	slices.Sort(names)
	return names, err
}

// listed is how List writes an entry's name.
func listed(name string, isDir bool) string {
	if isDir {
		return name + "/"
	}
	return name
}

// MkdirAll makes the missing directories from the top down and syncs the parent
// of each, so that none of them can be lost with what is put into it later.
func (osFS) MkdirAll(name string) error {
	var missing []string
	for dir := path.Clean(name); ; dir = path.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil {
			if !info.IsDir() {
				return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncDir(path.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	syncErr := d.Sync()
	return cmp.Or(syncErr, d.Close())
}

// lock takes a flock, which the kernel drops when the process ends however it
// ends; the file itself stays.
func lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

// osFile is a file of the machine. Files from Create are in append mode, which
// is what makes Write add to the end even after a Truncate.
type osFile struct {
	*os.File
	// mu guards maps.
	mu sync.Mutex
	// maps are unmapped by Close.
	maps [][]byte
}

func (f *osFile) Sync() error {
	if err := dataSync(f.File); err != nil {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Map() ([]byte, error) {
	size, err := f.Size()
	if err != nil || size == 0 {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: f.Name(), Err: err}
	}
	f.maps = append(f.maps, b)
	return b, nil
}

func (f *osFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, b := range f.maps {
		errs = append(errs, unix.Munmap(b))
	}
	f.maps = nil
	return errors.Join(append(errs, f.File.Close())...)
}
