package vfs

import (
	"io"
	"io/fs"
	"slices"
	"time"
)

// inode is a file or directory of a Mem, under whatever name. Mem.mu guards it.
type inode struct {
	dir      bool
	modified time.Time
	// data is what readers see. What was handed out by Map is never written
	// again: data grows at its end, and Truncate makes a copy.
	data []byte
	// kept is the length up to which data has not changed since the last Sync,
	// and tail are the durable bytes from there on: data[:kept] + tail is what
	// was synced. So a log that syncs a hundred thousand times copies nothing.
	kept int
	tail []byte
	// dropped are the ends that Truncate cut off since the last Sync. The disk may
	// have them, and have them still when something else was written there.
	dropped []dropped
}

// dropped is what a file once held from an offset on.
type dropped struct {
	at   int
	data []byte
}

func (n *inode) sync() { n.kept, n.tail, n.dropped = len(n.data), nil, nil }

func (n *inode) truncate(size int) {
	if size < n.kept {
		n.tail = append(slices.Clone(n.data[size:n.kept]), n.tail...)
		n.kept = size
	}
	if size < len(n.data) {
		n.dropped = append(n.dropped, dropped{size, n.data[size:]})
	}
	data := make([]byte, size)
	copy(data, n.data)
	n.data = data
}

// memFile is an open file of a Mem.
type memFile struct {
	m        *Mem
	n        *inode
	name     string
	writable bool
	// closed is guarded by Mem.mu, like all of the inode.
	closed bool
}

// with runs f under the file system's lock, unless the file is closed.
func (f *memFile) with(op string, write bool, do func() error) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if write && !f.writable {
		return pathError(op, f.name, fs.ErrPermission)
	}
	return do()
}

func (f *memFile) Write(p []byte) (n int, err error) {
	err = f.with("write", true, func() error {
		f.n.data = append(f.n.data, p...)
		f.n.modified = time.Now()
		n = len(p)
		return nil
	})
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.with("read", false, func() error {
		if off < 0 {
			return pathError("read", f.name, fs.ErrInvalid)
		}
		if off < int64(len(f.n.data)) {
			n = copy(p, f.n.data[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (f *memFile) Sync() error {
	return f.with("sync", false, func() error { f.n.sync(); return nil })
}

func (f *memFile) Size() (size int64, err error) {
	err = f.with("stat", false, func() error { size = int64(len(f.n.data)); return nil })
	return size, err
}

func (f *memFile) Truncate(size int64) error {
	return f.with("truncate", true, func() error {
		if size < 0 {
			return pathError("truncate", f.name, fs.ErrInvalid)
		}
		f.n.truncate(int(size))
		return nil
	})
}

func (f *memFile) Map() (b []byte, err error) {
	err = f.with("map", false, func() error { b = slices.Clip(f.n.data); return nil })
	return b, err
}

func (f *memFile) Close() error {
	return f.with("close", false, func() error { f.closed = true; return nil })
}
