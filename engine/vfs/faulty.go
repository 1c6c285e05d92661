package vfs

import (
	"io"
	"io/fs"
	"sync"
)

// OpKind is the kind of an operation that changes what is, or will be, on disk.
type OpKind string

// The kinds of operations that Faulty counts.
const (
	OpCreate   OpKind = "create"
	OpRename   OpKind = "rename"
	OpRemove   OpKind = "remove"
	OpMkdirAll OpKind = "mkdirall"
	OpSyncDir  OpKind = "syncdir"
	OpLock     OpKind = "lock"
	OpWrite    OpKind = "write"
	OpSync     OpKind = "sync"
	OpTruncate OpKind = "truncate"
)

// Op is one operation that is about to be done.
type Op struct {
	// N counts the operations from 1.
	N    int64
	Kind OpKind
	Name string
}

// Faulty is a file system whose operations can be made to fail. It counts those
// that change something; reading is free until the crash, and fails after it.
type Faulty struct {
	fs FS
	// mu guards what follows.
	mu      sync.Mutex
	ops     int64
	inject  func(Op) error
	crashed bool
}

// NewFaulty wraps a file system. Nothing fails until it is asked to.
func NewFaulty(base FS) *Faulty { return &Faulty{fs: base} }

// Operations counts the operations so far, those that failed included.
func (f *Faulty) Operations() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Inject has fault called before each operation. When it returns an error the
// operation is not done and gives that error; a Write does its first half. If
// the error is ErrCrashed nothing is done any more, by anybody.
func (f *Faulty) Inject(fault func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inject = fault
}

// FailAt makes operation k, counted from 1, fail with err, and no other.
func (f *Faulty) FailAt(k int64, err error) {
	f.Inject(func(op Op) error {
		if op.N == k {
			return err
		}
		return nil
	})
}

// FailFrom makes operation k, counted from 1, and all after it fail with err.
func (f *Faulty) FailFrom(k int64, err error) {
	f.Inject(func(op Op) error {
		if op.N >= k {
			return err
		}
		return nil
	})
}

// CrashAt stops the world at operation k, counted from 1: it is not done, and it
// and all after it, reading too, return ErrCrashed. Over a Mem, CrashClone then
// gives the disk.
func (f *Faulty) CrashAt(k int64) { f.FailFrom(k, ErrCrashed) }

// before is called with each operation that is to be done.
func (f *Faulty) before(kind OpKind, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return pathError(string(kind), name, ErrCrashed)
	}
	f.ops++
	if f.inject == nil {
		return nil
	}
	err := f.inject(Op{N: f.ops, Kind: kind, Name: name})
	if err == nil {
		return nil
	}
	f.crashed = err == ErrCrashed
	return pathError(string(kind), name, err)
}

// reading is called with each operation that only reads.
func (f *Faulty) reading(kind, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return pathError(kind, name, ErrCrashed)
	}
	return nil
}

// Create implements FS.
func (f *Faulty) Create(name string) (File, error) {
	if err := f.before(OpCreate, name); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.fs.Create(name))
}

// Open implements FS.
func (f *Faulty) Open(name string) (File, error) {
	if err := f.reading("open", name); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.fs.Open(name))
}

func (f *Faulty) wrap(name string) func(File, error) (File, error) {
	return func(file File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &faultyFile{File: file, f: f, name: name}, nil
	}
}

// Rename implements FS.
func (f *Faulty) Rename(oldName, newName string) error {
	if err := f.before(OpRename, oldName); err != nil {
		return err
	}
	return f.fs.Rename(oldName, newName)
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.before(OpRemove, name); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(name string) error {
	if err := f.before(OpMkdirAll, name); err != nil {
		return err
	}
	return f.fs.MkdirAll(name)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	if err := f.before(OpSyncDir, name); err != nil {
		return err
	}
	return f.fs.SyncDir(name)
}

// Lock implements FS.
func (f *Faulty) Lock(name string) (io.Closer, error) {
	if err := f.before(OpLock, name); err != nil {
		return nil, err
	}
	return f.fs.Lock(name)
}

// List implements FS.
func (f *Faulty) List(name string) ([]string, error) {
	if err := f.reading("list", name); err != nil {
		return nil, err
	}
	return f.fs.List(name)
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (fs.FileInfo, error) {
	if err := f.reading("stat", name); err != nil {
		return nil, err
	}
	return f.fs.Stat(name)
}
