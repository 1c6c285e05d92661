package event

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"arbor/catalog"
)

// reader takes fields from a record while there is no error; after one it gives
// zeros. The strings that it gives alias the record.
type reader struct {
	rec []byte
	at  int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: at byte %d: %s", ErrCorrupt, r.at, fmt.Sprintf(format, args...))
	}
}

func (r *reader) left() int { return len(r.rec) - r.at }

// number reads an unsigned varint of at most limit.
func (r *reader) number(field string, limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.rec[r.at:])
	if n <= 0 || v > limit {
		r.fail("%s is cut short or above %d", field, limit)
		return 0
	}
	r.at += n
	return v
}

// count reads how many there are of something that takes at least one byte
// each, so that damage cannot ask for memory.
func (r *reader) count(field string, limit int) int {
	return int(r.number(field, uint64(min(limit, r.left()))))
}

func (r *reader) signed(field string) int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.rec[r.at:])
	if n <= 0 {
		r.fail("%s is cut short", field)
		return 0
	}
	r.at += n
	return v
}

func (r *reader) day() catalog.Day {
	v := r.signed("day")
	if int64(catalog.Day(v)) != v {
		r.fail("day %d is none", v)
		return 0
	}
	return catalog.Day(v)
}

func (r *reader) byte(field string) byte {
	if r.err != nil {
		return 0
	}
	if r.left() < 1 {
		r.fail("%s is cut short", field)
		return 0
	}
	r.at++
	return r.rec[r.at-1]
}

func (r *reader) id() catalog.IngestID {
	if r.err != nil {
		return catalog.IngestID{}
	}
	if r.left() < catalog.IngestIDSize {
		r.fail("id is cut short")
		return catalog.IngestID{}
	}
	r.at += catalog.IngestIDSize
	return catalog.IngestIDFromBytes(r.rec[r.at-catalog.IngestIDSize:])
}

// text reads n bytes as a string.
func (r *reader) text(field string, n int) string {
	if r.err != nil || n == 0 {
		return ""
	}
	if n > r.left() {
		r.fail("%s of %d bytes is cut short", field, n)
		return ""
	}
	r.at += n
	return unsafe.String(&r.rec[r.at-n], n)
}

// shortText reads a string whose length is one byte.
func (r *reader) shortText(field string) string {
	return r.text(field, int(r.byte(field)))
}
