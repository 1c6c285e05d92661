// Package vfs is the little of a file system that arbor needs. OS is the
// machine's; Mem keeps files in memory and can be crashed: CrashClone gives what
// a disk would hold after a power cut. Faulty wraps either and makes the k-th
// operation fail, or the world stop at it. Every file that arbor keeps is read
// and written through this package, so that a test can stop the world between
// any two operations.
//
// What may be trusted after a power cut, on the disks we run on and in Mem:
//
//   - what was written before a Sync of its file that returned nil is there;
//   - what was written since is there or not sector by sector: a sector of 512
//     bytes is in one of the states that it had since the Sync, what Truncate cut
//     off included, or holds zeros where there was nothing; the file may be
//     shorter than it was;
//   - a name that was made, moved or removed before a SyncDir of its directory
//     is so; since then it may be so or not, a rename as a whole.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// Errors besides those of io/fs, which FS methods wrap as the os package does.
var (
	// ErrLocked is returned by Lock when another process holds the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrCrashed is returned by every operation after a simulated crash.
	ErrCrashed = errors.New("file system has crashed")
)

// FS is a file system. Names are slash-separated paths; methods may be called
// from many goroutines.
type FS interface {
	// Create makes an empty file open for writing and reading; one of that name
	// is replaced. Durable once the file and its directory are synced.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Rename moves a file, replacing one of the new name at once. Durable once
	// both directories are synced.
	Rename(oldName, newName string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// MkdirAll makes a directory and those above it that are missing, and syncs
	// the directories that hold new ones.
	MkdirAll(name string) error
	// List returns the names in a directory, sorted, directories with a
	// trailing slash.
	List(name string) ([]string, error)
	// Stat describes a file or a directory.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes a directory's entries durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file, which it creates, until the
	// Closer is closed or the process ends. It returns ErrLocked if it is taken.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Write adds to its end. Reads at an offset may run beside
// each other and beside one writer. A file from Open refuses Write and Truncate,
// but may be synced: that makes durable what another process wrote before it
// ended.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	// Sync makes what was written durable, with the file's size.
	Sync() error
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
	// Map returns the file's bytes as they are now, for reading only, until
	// the file is closed. Touching them after Close is a fault.
	Map() ([]byte, error)
}
