package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mem is a file system in memory that knows what a disk would hold: beside the
// state that its callers see it keeps the state that was made durable, and the
// changes of directories that wait to be. CrashClone draws a disk from the two.
type Mem struct {
	// mu guards everything below, and what the inodes hold.
	mu sync.Mutex
	// now holds every name as callers see it; durable holds those a power cut
	// cannot take back. Directories are entries too; the root is not.
	now, durable map[string]*inode
	// pending are the changes of names that no SyncDir has covered, in order.
	pending []nameChange
	locked  map[string]bool
}

// nameChange is one creation, removal or rename. It is kept or lost whole.
type nameChange struct {
	// removed and set are the names it takes away and gives; "" is none.
	removed, set string
	node         *inode
	// unsynced are the directories that must be synced before it is durable.
	unsynced []string
}

// NewMem returns an empty file system: a root, "/", which is also ".".
func NewMem() *Mem {
	return &Mem{now: map[string]*inode{}, durable: map[string]*inode{}, locked: map[string]bool{}}
}

const root = ""

// clean gives the name under which an entry is kept: no leading slash, so that
// relative and absolute names are the same.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// parent is the directory that holds a cleaned name.
func parent(name string) string { return clean(path.Dir(name)) }

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

var (
	errNotEmpty    = errors.New("directory not empty")
	errIsDirectory = errors.New("is a directory")
	errNoDirectory = errors.New("not a directory")
)

// lookup finds an entry; the caller holds mu.
func (m *Mem) lookup(op, name string) (*inode, error) {
	if clean(name) == root {
		return &inode{dir: true}, nil
	}
	if n := m.now[clean(name)]; n != nil {
		return n, nil
	}
	return nil, pathError(op, name, fs.ErrNotExist)
}

// lookupDir finds a directory; the caller holds mu.
func (m *Mem) lookupDir(op, name string) error {
	n, err := m.lookup(op, name)
	if err == nil && !n.dir {
		err = pathError(op, name, errNoDirectory)
	}
	return err
}

// Create implements FS. Like the OS's it unlinks a file of that name.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := clean(name)
	if err := m.lookupDir("create", parent(key)); err != nil {
		return nil, pathError("create", name, err)
	}
	if n := m.now[key]; key == root || n != nil && n.dir {
		return nil, pathError("create", name, errIsDirectory)
	}
	n := &inode{modified: time.Now()}
	m.change(nameChange{set: key, node: n})
	return &memFile{m: m, n: n, name: name, writable: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, pathError("open", name, errIsDirectory)
	}
	return &memFile{m: m, n: n, name: name}, nil
}

// Rename implements FS, for files and for directories with all they hold.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := clean(oldName), clean(newName)
	n, err := m.lookup("rename", oldName)
	if err != nil {
		return err
	}
	if err := m.lookupDir("rename", parent(to)); err != nil {
		return err
	}
	if old := m.now[to]; from == root || to == root || old != nil && (old.dir || n.dir) || n.dir && m.hasEntries(from) {
		// Directories are moved only while empty: nothing of ours moves others,
		// and a model that is not needed is a model that is not tested.
		return pathError("rename", oldName, errNotEmpty)
	}
	if from != to {
		m.change(nameChange{removed: from, set: to, node: n})
	}
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := clean(name)
	if _, err := m.lookup("remove", name); err != nil {
		return err
	}
	if key == root || m.hasEntries(key) {
		return pathError("remove", name, errNotEmpty)
	}
	m.change(nameChange{removed: key})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := clean(name)
	for i := 0; i <= len(key) && key != root; i++ {
		if i < len(key) && key[i] != '/' {
			continue
		}
		switch n := m.now[key[:i]]; {
		case n == nil:
			m.change(nameChange{set: key[:i], node: &inode{dir: true, modified: time.Now()}})
			m.syncNames(parent(key[:i]))
		case !n.dir:
			return pathError("mkdir", name, errNoDirectory)
		}
	}
	return nil
}

// List implements FS.
func (m *Mem) List(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.lookupDir("list", name); err != nil {
		return nil, err
	}
	var names []string
	for key, n := range m.now {
		if parent(key) == clean(name) {
			names = append(names, listed(path.Base(key), n.dir))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return memInfo{path.Base(clean(name)), int64(len(n.data)), n.dir, n.modified}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.lookupDir("syncdir", name); err != nil {
		return err
	}
	m.syncNames(clean(name))
	return nil
}

// Lock implements FS. A CrashClone starts with no locks, like a machine.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := clean(name)
	if m.locked[key] {
		return nil, pathError("lock", name, ErrLocked)
	}
	if err := m.lookupDir("lock", parent(key)); err != nil {
		return nil, err
	}
	if m.now[key] == nil {
		m.change(nameChange{set: key, node: &inode{modified: time.Now()}})
	}
	m.locked[key] = true
	return &memLock{m: m, key: key}, nil
}

type memLock struct {
	m   *Mem
	key string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.key)
	return nil
}

// hasEntries says whether a directory holds anything; the caller holds mu.
func (m *Mem) hasEntries(dir string) bool {
	for key := range m.now {
		if parent(key) == dir {
			return true
		}
	}
	return false
}

// change makes a change of names visible and lets it wait for SyncDir; the
// caller holds mu.
func (m *Mem) change(c nameChange) {
	for _, name := range []string{c.removed, c.set} {
		if name != "" && !slices.Contains(c.unsynced, parent(name)) {
			c.unsynced = append(c.unsynced, parent(name))
		}
	}
	c.apply(m.now)
	m.pending = append(m.pending, c)
}

func (c nameChange) apply(names map[string]*inode) {
	if c.removed != "" {
		delete(names, c.removed)
	}
	if c.set != "" {
		names[c.set] = c.node
	}
}

// shares says whether two changes touch one name, so that the later cannot be
// on disk without the earlier.
func (c nameChange) shares(d nameChange) bool {
	for _, name := range []string{c.removed, c.set} {
		if name != "" && (name == d.removed || name == d.set) {
			return true
		}
	}
	return false
}

type memInfo struct {
	name     string
	size     int64
	dir      bool
	modified time.Time
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) ModTime() time.Time { return i.modified }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | dirMode
	}
	return fileMode
}
