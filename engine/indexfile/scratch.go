package indexfile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"arbor/engine/vfs"
)

// scratch is a file that a Builder puts aside what is over its limit in, and maps
// to read it again: its pages are the kernel's to drop. It is of no use to anybody
// after the Builder, and is not synced.
type scratch struct {
	fs     vfs.FS
	path   string
	file   vfs.File // nil until the first write
	w      *bufio.Writer
	size   int64
	mapped []byte
}

// extent is where an array lies in the scratch file.
type extent struct{ at, bytes int64 }

// scratchBuffer is how much is written to the file at a time.
const scratchBuffer = 256 << 10

// put appends an array's bytes.
func (s *scratch) put(b []byte) (extent, error) {
	if s.file == nil {
		f, err := s.fs.Create(s.path)
		if err != nil {
			return extent{}, err
		}
		s.file, s.w = f, bufio.NewWriterSize(f, scratchBuffer)
	}
	var zeros [8]byte
	padding := align(s.size, int64(len(zeros))) - s.size
	if _, err := s.w.Write(zeros[:padding]); err != nil {
		return extent{}, err
	}
	e := extent{s.size + padding, int64(len(b))}
	_, err := s.w.Write(b)
	s.size = e.at + e.bytes
	return e, err
}

// get gives the bytes of an extent. They hold until the file is closed.
func (s *scratch) get(e extent) ([]byte, error) {
	if e.bytes == 0 {
		return nil, nil
	}
	if e.at+e.bytes > int64(len(s.mapped)) {
		if err := s.w.Flush(); err != nil {
			return nil, err
		}
		var err error
		if s.mapped, err = s.file.Map(); err != nil {
			return nil, err
		}
		if int64(len(s.mapped)) != s.size {
			return nil, fmt.Errorf("%s has %d bytes, %d were written", s.path, len(s.mapped), s.size)
		}
	}
	b := s.mapped[e.at : e.at+e.bytes : e.at+e.bytes]
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 {
		copied := aligned(len(b)) // a file in memory may lie anywhere
		copy(copied, b)
		b = copied
	}
	return b, nil
}

// close closes and removes the file.
func (s *scratch) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file, s.mapped = nil, nil
	if rmErr := s.fs.Remove(s.path); !errors.Is(rmErr, fs.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	return err
}
