package indexfile

import (
	"encoding/binary"
	"fmt"
)

// decoder reads what the append functions of encoding/binary wrote. After the
// first thing that is wrong it gives zeros and remembers what it was.
type decoder struct {
	bytes []byte
	at    int
	wrong string
	// note, if set, is told each field: the golden tests print them.
	note func(from, to int, field, value string)
}

func (d *decoder) fail(field string) {
	if d.wrong == "" {
		d.wrong = field
	}
	d.at = len(d.bytes)
}

func (d *decoder) noted(from int, field string, value any) {
	if d.note != nil {
		d.note(from, d.at, field, fmt.Sprint(value))
	}
}

// uvarint reads a number of at most limit.
func (d *decoder) uvarint(field string, limit uint64) uint64 {
	from := d.at
	v, n := binary.Uvarint(d.bytes[d.at:])
	if n <= 0 || v > limit {
		d.fail(field)
		return 0
	}
	d.at += n
	d.noted(from, field, v)
	return v
}

// count reads a length of at most limit.
func (d *decoder) count(field string, limit int) int {
	return int(d.uvarint(field, uint64(limit)))
}

// items reads the number of items that follow, each of at least size bytes.
func (d *decoder) items(field string, size int) int {
	n := d.count(field, MaxRows)
	if n > (len(d.bytes)-d.at)/size {
		d.fail(field)
		return 0
	}
	return n
}

func (d *decoder) varint(field string) int64 {
	from := d.at
	v, n := binary.Varint(d.bytes[d.at:])
	if n <= 0 {
		d.fail(field)
		return 0
	}
	d.at += n
	d.noted(from, field, v)
	return v
}

// take reads n bytes; they alias the input.
func (d *decoder) take(field string, n int) []byte {
	if n > len(d.bytes)-d.at {
		d.fail(field)
		return make([]byte, min(n, 16))
	}
	d.at += n
	return d.bytes[d.at-n : d.at : d.at]
}

func (d *decoder) byte(field string, limit uint8) uint8 {
	return d.named(field, limit, nil)
}

// named reads a byte that stands for something.
func (d *decoder) named(field string, limit uint8, name func(uint8) string) uint8 {
	from := d.at
	v := d.take(field, 1)[0]
	if v > limit {
		d.fail(field)
		return 0
	}
	if d.note != nil && name != nil {
		d.note(from, d.at, field, name(v))
	} else {
		d.noted(from, field, v)
	}
	return v
}

func (d *decoder) uint64(field string) uint64 {
	from := d.at
	v := binary.LittleEndian.Uint64(d.take(field, 8))
	d.noted(from, field, fmt.Sprintf("%#x", v))
	return v
}

// text reads a length and that many bytes; the string aliases the input.
func (d *decoder) text(field string) string {
	from := d.at
	n, size := binary.Uvarint(d.bytes[d.at:])
	if size <= 0 || n > uint64(len(d.bytes)-d.at-size) {
		d.fail(field)
		return ""
	}
	d.at += size
	s := text(d.take(field, int(n)))
	if d.note != nil {
		d.note(from, d.at, field, fmt.Sprintf("%q", s))
	}
	return s
}

// end checks that nothing is left, and gives what was wrong.
func (d *decoder) end() string {
	if d.wrong == "" && d.at != len(d.bytes) {
		d.wrong = "what follows the end"
	}
	return d.wrong
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
