package siphon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// ErrCorrupt says that a segment has damage between its records. What could be
// read around it was read.
var ErrCorrupt = errors.New("segment is damaged")

// A segment is a header of 32 bytes (magic, version as u32, the salt twice, since
// without it nothing can be read), records, and a trailer once it is sealed: a
// record without a body and with trailerMethod as its method. A segment that was
// left by a crash, or whose disk failed, has tornSuffix: it ends where its last
// whole record does.
const (
	segmentMagic   = "arborsiphon\x00"
	segmentVersion = 1
	segmentHead    = 32
	trailerMethod  = "END"

	// A sealed segment has sealedSuffix, the one that is written openSuffix, and one
	// whose end was never written tornSuffix.
	sealedSuffix = ".siphon"
	tornSuffix   = ".torn"
	openSuffix   = ".open"
	nameTime     = "20060102T150405.000000000Z"
)

// segmentName names a segment by the time it began, its process and its number
// there, so that names sort by time and never repeat.
func segmentName(began time.Time, edge uint32, number uint64) string {
	return fmt.Sprintf("%s-%08x-%06d", began.UTC().Format(nameTime), edge, number)
}

// parseName gives when a segment began, and whether it is done, so that nothing
// will be added to it.
func parseName(name string) (began time.Time, done, ok bool) {
	suffix := path.Ext(name)
	if suffix != sealedSuffix && suffix != tornSuffix && suffix != openSuffix {
		return began, false, false
	}
	base, done := strings.TrimSuffix(name, suffix), suffix != openSuffix
	parts := strings.Split(base, "-")
	if len(parts) != 3 || len(parts[1]) != 8 {
		return began, false, false
	}
	if _, err := strconv.ParseUint(parts[2], 10, 64); err != nil {
		return began, false, false
	}
	began, err := time.Parse(nameTime, parts[0])
	return began, done, err == nil
}

// isTorn reports whether a segment's end was never written.
func isTorn(name string) bool { return path.Ext(name) == tornSuffix }

// segmentHeader is how every segment begins.
func segmentHeader(salt salt) []byte {
	b := append(make([]byte, 0, segmentHead), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	return append(append(b, salt[:]...), salt[:]...)
}

// readSegment gives the requests of a segment's bytes to yield, which must not
// keep their bodies. It reads on behind damage, and then returns ErrCorrupt at
// the end, with how many bytes were skipped. What a torn segment ends with is no
// damage.
func readSegment(b []byte, torn bool, yield func(Request) error) error {
	switch {
	case torn && (len(b) < segmentHead || len(bytes.Trim(b[:segmentHead], "\x00")) == 0):
		return nil // not even the header was durable
	case len(b) < segmentHead || string(b[:len(segmentMagic)]) != segmentMagic:
		return fmt.Errorf("%w: it has no header", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[len(segmentMagic):]); v != segmentVersion {
		return fmt.Errorf("segment has version %d, this program reads %d: use the program that wrote it, or a newer one", v, segmentVersion)
	}
	salt, whole := headerSalt(b)
	rest, ended, first, skipped := b[segmentHead:], false, 0, 0
	for len(rest) > 0 && !ended {
		r, n, err := decodeRecord(rest, salt)
		if err != nil {
			if skipped == 0 {
				first = len(b) - len(rest)
			}
			n = nextRecord(rest)
			skipped += n
			rest = rest[n:]
			continue
		}
		rest = rest[n:]
		if ended = r.Method == trailerMethod; ended {
			break
		}
		if err := yield(r); err != nil {
			return err
		}
	}
	switch {
	case !whole:
		return fmt.Errorf("%w: one copy of its salt is", ErrCorrupt)
	case ended && len(rest) > 0:
		return fmt.Errorf("%w: %d bytes stand behind its end", ErrCorrupt, len(rest))
	case skipped > 0 && !(torn && isLast(b[first:], salt)):
		return fmt.Errorf("%w: %d bytes from offset %d on were skipped", ErrCorrupt, skipped, first)
	case !ended && !torn:
		return fmt.Errorf("%w: its end is missing", ErrCorrupt)
	}
	return nil
}

// nextRecord is how far the next thing that begins like a record is.
func nextRecord(b []byte) int {
	if next := bytes.Index(b[1:], []byte(recordMagic)) + 1; next > 0 {
		return next
	}
	return len(b)
}

// isLast reports whether no whole record stands behind the damage that b begins
// with: that is how an interrupted write looks.
func isLast(b []byte, salt salt) bool {
	for rest := b[nextRecord(b):]; len(rest) > 0; rest = rest[nextRecord(rest):] {
		if _, _, err := decodeRecord(rest, salt); err == nil {
			return false
		}
	}
	return true
}

// headerSalt is the salt that the records were written with. The two copies of it
// differ where one is damaged; then the right one is that which a record agrees with.
func headerSalt(b []byte) (s salt, whole bool) {
	s, other := salt(b[segmentHead-16:segmentHead-8]), salt(b[segmentHead-8:segmentHead])
	if s == other {
		return s, true
	}
	if !isLast(b[segmentHead-1:], other) {
		return other, false
	}
	return s, false
}

// readAll reads the whole of a file that is open.
func readAll(f interface {
	io.ReaderAt
	Size() (int64, error)
}) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && !(err == io.EOF && n == len(b)) {
		return nil, err
	}
	return b, nil
}
