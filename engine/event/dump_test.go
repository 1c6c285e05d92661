package event

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// dumper prints a record with a line and a note for each field. It knows the
// format from its description alone, not from the decoder, so that the two check
// each other; it trusts the bytes, and panics where they are none of a record.
type dumper struct {
	rec    []byte
	at     int
	out    strings.Builder
	names  []string
	shapes [][]string // the event's name, then its properties'
}

func (d *dumper) note(n int, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	for first := true; n > 0 || first; first = false {
		some := min(n, 16)
		line := fmt.Sprintf("%04d  %-48s%s", d.at, fmt.Sprintf("% x", d.rec[d.at:d.at+some]), note)
		d.out.WriteString(strings.TrimRight(line, " ") + "\n")
		d.at, n, note = d.at+some, n-some, ""
	}
}

func (d *dumper) number(field string) int {
	v, n := binary.Uvarint(d.rec[d.at:])
	d.note(n, "%s %d", field, v)
	return int(v)
}

func (d *dumper) signed(field string) int64 {
	v, n := binary.Varint(d.rec[d.at:])
	d.note(n, "%s %d", field, v)
	return v
}

func (d *dumper) shortText(field string) string {
	n := int(d.rec[d.at])
	s := string(d.rec[d.at+1 : d.at+1+n])
	d.note(1+n, "%s %q", field, s)
	return s
}

// dumpRecord gives all of a record.
func dumpRecord(rec []byte) string {
	d := &dumper{rec: rec}
	d.note(3, "kind")
	d.note(1, "format version")
	d.note(4, "checksum of all other bytes")
	d.number("project")
	d.signed("day")
	d.number("bucket")
	events, deletes, undos := d.number("events"), d.number("deletes"), d.number("undos")
	d.number("properties")
	least := int64(0)
	if events > 0 {
		least = d.signed("least time")
		d.number("greatest time, after the least,")
	}
	if events+deletes+undos > 0 {
		d.note(16, "least id")
		d.note(16, "greatest id")
	}
	for i := range events {
		d.event(i, least)
	}
	for i := range deletes {
		d.note(16, "delete %d: id", i)
		for range d.number("targets") {
			d.note(16, "target")
		}
	}
	for i := range undos {
		d.note(16, "undo %d: id", i)
		d.note(16, "id of the delete")
	}
	if d.at != len(rec) {
		panic("bytes are left over")
	}
	return d.out.String()
}

func (d *dumper) event(i int, least int64) {
	flags := d.rec[d.at]
	var set []string
	for bit, name := range []string{"time is the server's", "id follows", "milliseconds", "same user"} {
		if flags>>bit&1 != 0 {
			set = append(set, name)
		}
	}
	d.note(1, "event %d: flags: %s", i, strings.Join(set, ", "))
	if flags&2 != 0 {
		d.number("index, after the next,")
	} else {
		d.note(16, "id")
	}
	d.number("time, after the least,")
	if flags&8 == 0 {
		d.shortText("distinct id")
	}
	d.shortText("insert id")
	n := d.number("shape")
	if n == len(d.shapes) {
		names := []string{d.name("event")}
		count := d.rec[d.at]
		d.note(1, "properties %d", count)
		for range count {
			names = append(names, d.name("property"))
		}
		d.shapes = append(d.shapes, names)
	}
	for _, name := range d.shapes[n][1:] {
		d.value(name)
	}
}

func (d *dumper) name(what string) string {
	n := d.number(what + ": name")
	if n == len(d.names) {
		d.names = append(d.names, d.shortText(what))
	}
	return d.names[n]
}

func (d *dumper) value(name string) {
	kind, n := d.rec[d.at]&7, int(d.rec[d.at]>>3)
	switch kind {
	case 0:
		d.note(1, "%q: null", name)
	case 1:
		d.note(1, "%q: bool %v", name, n == 1)
	case 2:
		z := uint64(0)
		for i := n; i > 0; i-- {
			z = z<<8 | uint64(d.rec[d.at+i])
		}
		d.note(1+n, "%q: int of %d bytes, %d", name, n, int64(z>>1)^-int64(z&1))
	case 3:
		d.note(9, "%q: double %v", name, math.Float64frombits(binary.LittleEndian.Uint64(d.rec[d.at+1:])))
	case 4, 5, 6:
		word := []string{"number", "string", "JSON"}[kind-4]
		size := 0
		if n == 31 {
			var more uint64
			more, size = binary.Uvarint(d.rec[d.at+1:])
			n += int(more)
		}
		d.note(1+size, "%q: %s of %d bytes", name, word, n)
		if n > 0 {
			d.note(n, "%q", d.rec[d.at:d.at+n])
		}
	default:
		panic(fmt.Sprintf("kind %d", kind))
	}
}
