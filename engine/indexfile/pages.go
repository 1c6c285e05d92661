package indexfile

import (
	"unsafe"

	"arbor/catalog"
)

// element is what the arrays of a Builder are of: without pointers, so that its
// bytes may be put aside.
type element interface {
	byte | uint32 | uint64 | int64 | Form | [16]byte | catalog.IngestID | valueEntry
}

// pages is an array that grows at its end, and the front of which may be put aside
// in a scratch file, piece by piece. Once loaded it is read by a pageReader.
type pages[T element] struct {
	tail  []T
	past  []extent
	ended int   // elements in past
	parts [][]T // of past, once loaded
}

func (p *pages[T]) add(v T) { p.tail = append(p.tail, v) }

func (p *pages[T]) len() int { return p.ended + len(p.tail) }

// bytes is what the part in memory takes.
func (p *pages[T]) bytes() int64 {
	var t T
	return int64(len(p.tail)) * int64(unsafe.Sizeof(t))
}

// elementBytes are the bytes of an array.
func elementBytes[T element](a []T) []byte {
	if len(a) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(a))), len(a)*int(unsafe.Sizeof(a[0])))
}

// elementsOf is an array over bytes that elementBytes gave.
func elementsOf[T element](b []byte) []T {
	var t T
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(t)))
}

// spill puts aside what is in memory.
func (p *pages[T]) spill(s *scratch) error {
	if len(p.tail) == 0 {
		return nil
	}
	e, err := s.put(elementBytes(p.tail))
	if err != nil {
		return err
	}
	p.past = append(p.past, e)
	p.ended += len(p.tail)
	p.tail = p.tail[:0]
	return nil
}

// load makes what was put aside readable.
func (p *pages[T]) load(s *scratch) error {
	for _, e := range p.past[len(p.parts):] {
		b, err := s.get(e)
		if err != nil {
			return err
		}
		p.parts = append(p.parts, elementsOf[T](b))
	}
	return nil
}

// part is the piece that holds element i, and the number of its first.
func (p *pages[T]) part(i int) (part []T, first int) {
	if i >= p.ended {
		return p.tail, p.ended
	}
	for _, part := range p.parts {
		if i < first+len(part) {
			return part, first
		}
		first += len(part)
	}
	return nil, 0
}

func (p *pages[T]) reader() pageReader[T] { return pageReader[T]{pages: p} }

// pageReader reads elements, cheapest near the one before.
type pageReader[T element] struct {
	pages *pages[T]
	part  []T
	first int
}

func (r *pageReader[T]) at(i int) T {
	if uint(i-r.first) >= uint(len(r.part)) {
		r.part, r.first = r.pages.part(i)
	}
	return r.part[i-r.first]
}

// appendTo appends the elements [lo, hi) to dst. They are added together, so that
// no piece ends between them.
func (r *pageReader[T]) appendTo(dst []T, lo, hi int) []T {
	if lo == hi {
		return dst
	}
	r.at(lo)
	return append(dst, r.part[lo-r.first:hi-r.first]...)
}
