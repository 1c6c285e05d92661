package gateway

import (
	"bytes"
	"io"
)

// maxLoadRow is the longest row of a LOAD DATA, which is more than an event may
// have. What comes behind it in a row is read and not kept.
const maxLoadRow = 2 << 20

// loadFormat says how a file of LOAD DATA is written: what its FIELDS and LINES
// clauses say.
type loadFormat struct {
	fieldEnd, rowEnd, rowStart []byte
	enclosed, escaped          int // a byte, -1 for none
}

// loadReader cuts a file into fields as MySQL does:
//
//	row:    rowStart field (fieldEnd field)* rowEnd
//	field:  bytes, or the enclosing byte around bytes
//
// Inside of an enclosed field its byte stands for itself where it is doubled, or
// where neither the end of a field nor that of a row follows. The escaping byte
// makes the next one stand for itself, or for one that is hard to write.
//
// It holds one row, whatever the file's length.
type loadReader struct {
	source     io.Reader
	format     loadFormat
	special    [256]bool // the bytes that need a closer look
	buffer     []byte
	at, end    int // what is still to be cut is buffer[at:end]
	err        error
	sourceDone bool

	field    []byte // the last one; it holds until the next
	isNull   bool   // it is \N, or NULL where fields may be enclosed
	row      int    // bytes kept of the row
	tooLong  bool   // the row has more than it may
	started  bool   // a field of the row was read
	rowEnded bool
	over     bool
}

const loadBuffer = 64 << 10

func newLoadReader(source io.Reader, f loadFormat) *loadReader {
	if bytes.Equal(f.fieldEnd, f.rowEnd) {
		f.rowEnd = nil // then a row ends with its last column
	}
	r := &loadReader{source: source, format: f, buffer: make([]byte, loadBuffer)}
	for _, c := range []int{f.enclosed, f.escaped} {
		if c >= 0 {
			r.special[c] = true
		}
	}
	for _, end := range [][]byte{f.fieldEnd, f.rowEnd} {
		if len(end) > 0 {
			r.special[end[0]] = true
		}
	}
	return r
}

// have reports whether n more bytes are there.
func (r *loadReader) have(n int) bool {
	for r.end-r.at < n && !r.sourceDone {
		if r.at > 0 {
			r.end = copy(r.buffer, r.buffer[r.at:r.end])
			r.at = 0
		}
		if r.end == len(r.buffer) {
			r.buffer = append(r.buffer, make([]byte, len(r.buffer))...)
		}
		got, err := r.source.Read(r.buffer[r.end:])
		r.end += got
		if err != nil {
			r.sourceDone = true
			if err != io.EOF {
				r.err = err
			}
		}
	}
	return r.end-r.at >= n
}

// take moves over text, if it comes next.
func (r *loadReader) take(text []byte) bool {
	if len(text) == 0 || !r.have(len(text)) || !bytes.Equal(r.buffer[r.at:r.at+len(text)], text) {
		return false
	}
	r.at += len(text)
	return true
}

// keep adds bytes to the field, as long as the row is not too long.
func (r *loadReader) keep(b ...byte) {
	if r.row += len(b); r.row > maxLoadRow {
		r.tooLong = true
		return
	}
	r.field = append(r.field, b...)
}

// next reads the next field of the row. It is false where the row has no more.
func (r *loadReader) next() bool {
	r.field, r.isNull = r.field[:0], false
	if r.rowEnded || r.over {
		return false
	}
	if !r.started {
		r.started = true
		if !r.findStart() {
			return false
		}
	}
	if !r.have(1) {
		r.rowEnded, r.over = true, true
		return false
	}
	opened := -1
	if c := int(r.buffer[r.at]); c == r.format.enclosed {
		opened = c
		r.at++
		r.keep(byte(c)) // which is a part of the field if nothing closes it
	}
	closed, null := r.rest(opened)
	if closed {
		r.field = r.field[min(1, len(r.field)):]
	}
	r.isNull = null && len(r.field) == 1 || !closed && r.format.enclosed >= 0 && string(r.field) == "NULL"
	return true
}

// rest reads a field to its end. closed reports whether it was enclosed, null
// whether \N is in it.
func (r *loadReader) rest(opened int) (closed, null bool) {
	f := &r.format
	for {
		start := r.at
		for r.at < r.end && !r.special[r.buffer[r.at]] {
			r.at++
		}
		r.keep(r.buffer[start:r.at]...)
		if !r.have(1) {
			r.rowEnded, r.over = true, true
			return false, null
		}
		c := r.buffer[r.at]
		if int(c) == f.escaped {
			if !r.have(2) {
				r.at++
				r.keep(c)
				continue
			}
			// A byte that both encloses and escapes only doubles.
			if next := r.buffer[r.at+1]; f.escaped != f.enclosed || next == c {
				r.at += 2
				null = null || next == 'N'
				r.keep(unescaped(next))
				continue
			}
		}
		if opened < 0 {
			switch {
			case r.take(f.rowEnd):
				r.rowEnded = true
				return false, null
			case r.take(f.fieldEnd):
				return false, null
			}
		}
		r.at++
		if int(c) != opened {
			r.keep(c)
			continue
		}
		switch {
		case !r.have(1):
			r.rowEnded, r.over = true, true
			return true, null
		case r.buffer[r.at] == c:
			r.at++
			r.keep(c)
		case r.take(f.rowEnd):
			r.rowEnded = true
			return true, null
		case r.take(f.fieldEnd):
			return true, null
		default:
			r.keep(c)
		}
	}
}

// unescaped is what a byte behind the escaping one stands for.
func unescaped(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	}
	return c
}

// findStart moves behind the text that rows start with.
func (r *loadReader) findStart() bool {
	if len(r.format.rowStart) == 0 {
		return true
	}
	for r.have(1) {
		if r.take(r.format.rowStart) {
			return true
		}
		r.at++
	}
	r.rowEnded, r.over = true, true
	return false
}

// endRow moves to the next row. more reports whether there may be one, cut
// whether this one had more fields than were read.
func (r *loadReader) endRow() (more, cut bool) {
	ended := r.rowEnded
	r.row, r.tooLong, r.started, r.rowEnded = 0, false, false, false
	if ended || r.over || len(r.format.rowEnd) == 0 {
		return !r.over, false
	}
	return r.skipRow()
}

// skipRow moves behind the end of a row, whatever is before it.
func (r *loadReader) skipRow() (more, cut bool) {
	for r.have(1) {
		if int(r.buffer[r.at]) == r.format.escaped {
			r.have(2)
			r.at += min(2, r.end-r.at)
			cut = true
			continue
		}
		if r.take(r.format.rowEnd) {
			return true, cut
		}
		r.at++
		cut = true
	}
	r.over = true
	return false, cut
}
