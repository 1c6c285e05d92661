package indexfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/zeebo/xxh3"

	"arbor/engine/vfs"
)

// Open opens a file and checks what a reader needs first: header, footer and
// trailer. Every other section is checked once, before its first use.
func Open(fs vfs.FS, path string) (*Reader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open indexed file: %w", err)
	}
	data, err := f.Map()
	if err == nil {
		r := &Reader{path: path, file: f, data: alignedCopy(data)}
		if err = r.open(); err == nil {
			return r, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("open indexed file: %w", err)
}

// alignedCopy is data itself if arrays in it can be read in place, which a
// mapping always allows.
func alignedCopy(data []byte) []byte {
	if uintptr(unsafe.Pointer(unsafe.SliceData(data)))%8 == 0 {
		return data
	}
	out := aligned(len(data))
	copy(out, data)
	return out
}

// littleEndian is false on machines that cannot read the arrays in place.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func (r *Reader) open() error {
	if !littleEndian {
		return fmt.Errorf("%s: written for little-endian machines: %w", r.path, ErrVersion)
	}
	if len(r.data) < headerSize+trailerSize {
		return r.corrupt("header", fmt.Sprintf("a file of %d bytes", len(r.data)))
	}
	if err := r.openHeader(r.data[:headerSize]); err != nil {
		return err
	}
	plain, end, err := r.openTrailer(r.data)
	if err != nil {
		return err
	}
	r.footer.version = r.version
	r.seal = sealOf(r.data)
	if wrong := r.footer.decode(&decoder{bytes: plain}); wrong != "" {
		return r.corrupt("footer", wrong)
	}
	if err := r.placeSections(end); err != nil {
		return err
	}
	return r.placeParts()
}

func (r *Reader) openHeader(h []byte) error {
	version := binary.LittleEndian.Uint32(h[8:])
	if string(h[:8]) != headerMagic || version != ^binary.LittleEndian.Uint32(h[12:]) {
		return r.corrupt("header", "no magic or version")
	}
	if version == 0 || version > Version {
		return fmt.Errorf("%s: format %d, this program reads up to %d; use the newer program: %w", r.path, version, Version, ErrVersion)
	}
	r.version = version
	for _, b := range h[16:] {
		if b != 0 {
			return r.corrupt("header", "bytes that should be zero")
		}
	}
	return nil
}

// openTrailer gives the footer, decompressed, and where it starts.
func (r *Reader) openTrailer(data []byte) (plain []byte, at int64, err error) {
	t := data[len(data)-trailerSize:]
	start := binary.LittleEndian.Uint64(t)
	stored, rawLen := binary.LittleEndian.Uint32(t[8:]), binary.LittleEndian.Uint32(t[12:])
	encoding := binary.LittleEndian.Uint32(t[16:])
	room := uint64(len(data) - trailerSize)
	if string(t[32:]) != trailerMagic || start < headerSize || start > room || uint64(stored) != room-start || start%sectionAlign != 0 {
		return nil, 0, r.corrupt("trailer", "no magic or place of the footer")
	}
	if xxh3.Hash(data[start:room+24]) != binary.LittleEndian.Uint64(t[24:]) {
		return nil, 0, r.corrupt("footer", "checksum")
	}
	if encoding > encodingZstd || rawLen > maxFooter || binary.LittleEndian.Uint32(t[20:]) != 0 {
		return nil, 0, r.corrupt("trailer", "encoding")
	}
	plain, err = decompress(data[start:room], uint8(encoding), int(rawLen))
	if err != nil {
		return nil, 0, r.corrupt("footer", err.Error())
	}
	return plain, int64(start), nil
}

// section is a part that stands by itself, and what is known about it.
type section struct {
	info   *sectionInfo
	stored []byte
	loaded lazy[[]byte]
}

// placeSections works out where the sections are: they fill the file from the
// header to the footer.
func (r *Reader) placeSections(end int64) error {
	r.sections = make([]section, len(r.footer.sections))
	at := int64(headerSize)
	for i := range r.sections {
		info := &r.footer.sections[i]
		at = align(at, sectionAlign)
		if info.stored > end-at || info.stored < 1 || info.encoding == encodingRaw && info.raw != info.stored || info.encoding != encodingRaw && info.raw > maxCompressed {
			return r.corrupt("footer", "length of "+r.partName(info.kind, info.column))
		}
		r.sections[i].info, r.sections[i].stored = info, r.data[at:at+info.stored:at+info.stored]
		at += info.stored
	}
	if align(at, sectionAlign) != end {
		return r.corrupt("footer", "lengths of sections")
	}
	return nil
}

// partRef says where a part is: a section, or a range of the pool.
type partRef struct {
	kind     partKind
	pooled   bool
	section  int32
	from, to uint32 // in the pool
}

// columnSlot is all that a reader keeps of a column before it is used: a file
// may have thousands that no query asks for.
type columnSlot struct {
	parts  []partRef
	loaded atomic.Pointer[column]
}

// placeParts hands the parts to the columns that they belong to.
func (r *Reader) placeParts() error {
	r.columns = make([]columnSlot, len(r.footer.columns)+columnEvent)
	count := make([]int, len(r.columns))
	for _, s := range r.footer.sections {
		count[s.column]++
	}
	for _, p := range r.footer.pooled {
		count[p.column]++
	}
	refs := make([]partRef, len(r.footer.sections)+len(r.footer.pooled))
	for i, n := range count {
		r.columns[i].parts, refs = refs[:0:n], refs[n:]
	}
	pool := -1
	for i := range r.footer.sections {
		s := &r.footer.sections[i]
		if s.kind == partPool {
			pool = i
		}
		if err := r.addPart(s.column, partRef{kind: s.kind, section: int32(i)}); err != nil {
			return err
		}
	}
	at := int64(0)
	for _, p := range r.footer.pooled {
		at = align(at, poolAlign)
		ref := partRef{kind: p.kind, pooled: true, section: int32(pool), from: uint32(at), to: uint32(at) + uint32(p.raw)}
		if err := r.addPart(p.column, ref); err != nil {
			return err
		}
		at += int64(p.raw)
	}
	if pool < 0 && at > 0 || pool >= 0 && at != r.footer.sections[pool].raw || at > math.MaxUint32 {
		return r.corrupt("footer", "length of the pool")
	}
	return nil
}

func (r *Reader) addPart(column int, ref partRef) error {
	if _, known := partNames[ref.kind]; !known {
		return r.corrupt("footer", "unknown part")
	}
	c := &r.columns[column]
	for _, other := range c.parts {
		if other.kind == ref.kind {
			return r.corrupt(r.partName(ref.kind, column), "there twice")
		}
	}
	c.parts = append(c.parts, ref)
	return nil
}

// column gives a column by its number.
func (r *Reader) column(number int) *column {
	if number != columnFile { // which is read at opening
		r.use()
	}
	slot := &r.columns[number]
	if c := slot.loaded.Load(); c != nil {
		return c
	}
	c := &column{reader: r, number: number, parts: slot.parts}
	if number >= columnEvent {
		c.info = &r.footer.columns[number-columnEvent]
		c.kind, c.uniform = c.info.uniform()
	}
	if !slot.loaded.CompareAndSwap(nil, c) {
		return slot.loaded.Load()
	}
	return c
}

// part gives the bytes of a part, empty if the file has none, checked and
// decompressed.
func (c *column) part(kind partKind) ([]byte, error) {
	for _, ref := range c.parts {
		if ref.kind != kind {
			continue
		}
		b, err := c.reader.sectionBytes(int(ref.section))
		if err != nil || !ref.pooled {
			return b, err
		}
		return b[ref.from:ref.to:ref.to], nil
	}
	return nil, nil
}

// sectionBytes gives a section's bytes, checked and decompressed once, or again when the
// reader has let go of them.
func (r *Reader) sectionBytes(i int) ([]byte, error) {
	s := &r.sections[i]
	b, err := s.loaded.get(func() (*[]byte, error) {
		b, err := r.readSection(s)
		if s.info.encoding != encodingRaw {
			holds[byte](r, len(b))
		}
		return &b, err
	})
	if err != nil {
		return nil, err
	}
	return *b, nil
}

// readSection checks a section against its checksum and decompresses it.
func (r *Reader) readSection(s *section) ([]byte, error) {
	if err := r.verifySection(s); err != nil {
		return nil, err
	}
	b, err := decompress(s.stored, s.info.encoding, int(s.info.raw))
	if err != nil {
		return nil, r.corrupt(r.partName(s.info.kind, s.info.column), err.Error())
	}
	return b, nil
}

// partName is a part's name for people: "codes of property url".
func (r *Reader) partName(kind partKind, column int) string {
	switch {
	case column == columnFile:
		return kind.String()
	case column < columnProperties:
		return columnNames[column] + " " + kind.String()
	}
	return fmt.Sprintf("property %q %s", r.footer.columns[column-columnEvent].name, kind)
}

// corrupt is ErrCorrupt with the file, the section and what is wrong there.
func (r *Reader) corrupt(section, wrong string) error {
	return fmt.Errorf("%s: section %s: %s: %w", r.path, section, wrong, ErrCorrupt)
}

// lazy is a value that is made at its first use, once, or the error that kept
// it from being made.
type lazy[T any] struct {
	value atomic.Pointer[T]
	mu    sync.Mutex // guards err and making the value
	err   error
}

func (l *lazy[T]) get(load func() (*T, error)) (*T, error) {
	if v := l.value.Load(); v != nil {
		return v, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.value.Load(); v != nil || l.err != nil {
		return v, l.err
	}
	v, err := load()
	if err != nil {
		l.err = err
		return nil, err
	}
	l.value.Store(v)
	return v, nil
}
