package indexfile

import (
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// Long arrays are not made as a whole before they are written: the part gives
// their bytes piece by piece.

// sectionStream takes the bytes of a part. As long as they are few they are held
// for the pool.
type sectionStream struct {
	file  *fileWriter
	held  []byte
	begun bool
	hash  xxh3.Hasher
	size  int64
}

func (s *sectionStream) Write(b []byte) (int, error) {
	if !s.begun && len(s.held)+len(b) <= maxPooled {
		s.held = append(s.held, b...)
		return len(b), nil
	}
	if !s.begun {
		s.begun = true
		if err := s.take(s.held, s.file.write); err != nil {
			return 0, err
		}
	}
	return len(b), s.take(b, s.file.append)
}

func (s *sectionStream) take(b []byte, write func([]byte) error) error {
	s.size += int64(len(b))
	if s.file.offset+int64(len(b)) > MaxFileBytes {
		return fmt.Errorf("%d bytes in one file: %w", MaxFileBytes, ErrLimit)
	}
	_, _ = s.hash.Write(b) // it cannot fail
	return write(b)
}

// streamed writes a part that gives its bytes piece by piece.
func (w *fileWriter) streamed(column int, p part) error {
	s := sectionStream{file: w}
	if err := p.write(&s); err != nil {
		return err
	}
	if s.begun {
		w.footer.sections = append(w.footer.sections, sectionInfo{kind: p.kind, column: column, raw: s.size, stored: s.size, checksum: s.hash.Sum64()})
	} else if len(s.held) > 0 {
		w.pooled(p.kind, column, s.held)
	}
	return nil
}

// pieceValues is how many values of an array are made at a time: a multiple of 8,
// so that each piece ends with a byte whatever the width of a value.
const pieceValues = 8192

// packPart is what pack makes; at is called once for each value, in order.
func packPart(kind partKind, n int, width uint8, at func(i int) uint64) part {
	return part{kind: kind, write: func(w io.Writer) error {
		if packedLen(n, width) == 0 {
			return nil
		}
		room := make([]byte, packedLen(min(n, pieceValues), width))
		for lo := 0; lo < n; lo += pieceValues {
			hi := min(lo+pieceValues, n)
			b := room[:packedLen(hi-lo, width)]
			clear(b)
			packInto(b, lo, hi, width, at)
			if hi < n {
				b = b[:len(b)-packedSpare]
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}}
}

// slotsPart is an array of a number of width bytes for each slot, 0 where there
// is none: put sets the i-th value in a piece, at a place in it.
func slotsPart(kind partKind, slots, width, values int, slot func(i int) int, put func(piece []byte, at, i int)) part {
	return part{kind: kind, write: func(w io.Writer) error {
		room := aligned(min(slots, pieceValues) * width)
		i := 0
		for lo := 0; lo < slots; lo += pieceValues {
			hi := min(lo+pieceValues, slots)
			b := room[:(hi-lo)*width]
			clear(b)
			for ; i < values; i++ {
				s := slot(i)
				if s >= hi {
					break
				}
				put(b, s-lo, i)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}}
}
