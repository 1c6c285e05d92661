package event

import (
	"encoding/binary"

	"arbor/catalog"
)

// Skim is Next without the event's properties, which are passed over: it is for who
// asks which event it is, and not what it says.
func (w *Walker) Skim() *Event {
	if w.err != nil || w.read == w.header.Events {
		return nil
	}
	e := &w.event
	w.decoder.event(&w.header, e, e)
	w.number = w.decoder.shape()
	if w.err != nil {
		return nil
	}
	s := &w.shapes[w.number]
	e.Name, e.Properties = s.event, e.Properties[:0]
	n := len(s.properties)
	if n > w.unread {
		w.fail("there are more properties than the header's %d", w.header.Properties)
		return nil
	}
	w.unread -= n
	if !w.pass(n) {
		w.fail("a value is cut short or of no known kind")
		return nil
	}
	w.read++
	return e
}

// pass goes on behind n values. It does not, and says so, if anything is wrong.
func (d *decoder) pass(n int) bool {
	rec, at := d.rec, d.at
	for range n {
		if at >= len(rec) {
			return false
		}
		kind, size := catalog.Kind(rec[at]&kindMask), int(rec[at]>>kindBits)
		at++
		switch kind {
		case catalog.KindString, catalog.KindNumber, catalog.KindJSON:
			if size == longValue {
				more, length := binary.Uvarint(rec[at:])
				if length <= 0 || more > MaxEventBytes-longValue {
					return false
				}
				size, at = size+int(more), at+length
			}
		case catalog.KindInt:
			if size > 8 {
				return false
			}
		case catalog.KindDouble:
			if size != 0 {
				return false
			}
			size = 8
		case catalog.KindBool:
			if size > 1 {
				return false
			}
			size = 0
		default:
			if kind != catalog.KindNull || size != 0 {
				return false
			}
		}
		if size > len(rec)-at {
			return false
		}
		at += size
	}
	d.at = at
	return true
}

// Forget lets go of the record.
func (w *Walker) Forget() {
	w.rec, w.event = nil, Event{Properties: w.event.Properties[:0]}
	clear(w.event.Properties[:cap(w.event.Properties)])
	clear(w.decoder.names)
	clear(w.shapes)
	clear(w.sorted)
}
