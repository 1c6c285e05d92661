package event

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"arbor/catalog"
)

// Walker reads a record's events one after the other, each into the memory of the one
// before, which is in the processor's caches then, and makes their canonical bytes of
// the record's while it reads them. What events of a shape share is made once: the
// canonical bytes of the names, and whatever somebody keeps by the shape's number.
// A Walker is reused for its buffers, by one goroutine at a time.
//
//	Begin, Next, Next, … End
type Walker struct {
	decoder
	header Header
	event  Event
	read   int // events
	unread int // properties of all events
	number int // of the event's shape

	walked    []walkedShape // by the shapes' numbers
	names     []byte        // of the properties of shapes, as canonical bytes
	canonical []byte
}

// walkedShape is what is made of a shape when it comes for the second time.
type walkedShape struct {
	events int
	ends   []uint32 // of each property in names, after where the first begins
	size   int      // of all properties' canonical bytes, without texts
}

// Begin begins a record, which must stay as it is for as long as what was read of it
// is used.
func (w *Walker) Begin(rec []byte) error {
	h, at, err := decodeHeader(rec)
	if err != nil {
		return err
	}
	d := &w.decoder
	clear(d.names)
	clear(d.shapes)
	clear(d.sorted)
	*d = decoder{names: d.names[:0], shapes: d.shapes[:0], sorted: d.sorted[:0], reader: reader{rec: rec, at: at}}
	w.header, w.read, w.unread, w.walked, w.names = h, 0, h.Properties, w.walked[:0], w.names[:0]
	w.event.ID, w.event.DistinctID = h.FirstID, ""
	w.event.ID.Index--
	return nil
}

// Header is what the record says of itself.
func (w *Walker) Header() *Header { return &w.header }

// Next reads the next event, which holds until the one after; nil if there is none, or
// if End has something to say about the record. Its strings alias the record.
func (w *Walker) Next() *Event {
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
	e.Name = s.event
	n := len(s.properties)
	if n > w.unread {
		w.fail("there are more properties than the header's %d", w.header.Properties)
		return nil
	}
	w.unread -= n
	e.Properties = slices.Grow(e.Properties[:0], n)[:n]
	if of := w.walk(s); of.events == 1 || !w.content(s, of, e) {
		w.decoder.values(s.properties, e.Properties)
		if w.err != nil {
			return nil
		}
		w.canonical = AppendCanonical(w.canonical[:0], e)
	}
	w.read++
	return e
}

// Shape is the number of the event's shape: those of a record with one number have the
// same name and properties. They are numbered from 0 in the order in which they come.
func (w *Walker) Shape() int { return w.number }

// Canonical are the event's canonical bytes, as AppendCanonical gives them. They hold
// until the next event.
func (w *Walker) Canonical() []byte { return w.canonical }

// End reads what follows the events into a batch, which gets no events, and says what
// is wrong with the record.
func (w *Walker) End(into *Batch) error {
	h := &w.header
	into.Shard = h.Shard
	into.Events = into.Events[:0]
	into.Deletes = resize(into.Deletes, h.Deletes)
	into.Undos = resize(into.Undos, h.Undos)
	if w.err == nil && w.unread != 0 {
		w.fail("there are %d properties less than the header's %d", w.unread, h.Properties)
	}
	w.deletes(h, into.Deletes)
	w.undos(h, into.Undos)
	if w.err == nil && w.left() != 0 {
		w.fail("%d bytes are left over", w.left())
	}
	return w.err
}

// walk counts an event of the shape at hand, and makes what the second one needs: a shape
// that comes once is not worth it.
func (w *Walker) walk(s *shape) *walkedShape {
	for n := len(w.walked); n < len(w.shapes); n++ {
		w.walked = resize(w.walked, n+1)
		w.walked[n].events = 0
	}
	of := &w.walked[w.number]
	if of.events++; of.events != 2 {
		return of
	}
	of.ends, of.size = append(of.ends[:0], uint32(len(w.names))), 0
	for _, name := range s.properties {
		w.names = appendText(w.names, name)
		of.ends = append(of.ends, uint32(len(w.names)))
		of.size += 4 + len(name) + 1 + 8
	}
	w.names = slices.Grow(w.names, wideCopy)
	return of
}

// wideCopy is how many bytes are copied at once, whether there are as many or not: that
// is more than most names and values have.
const wideCopy = 32

// content reads the values of an event whose shape has come before, and makes its
// canonical bytes. It does neither, and says so, if anything is wrong.
func (w *Walker) content(s *shape, of *walkedShape, e *Event) bool {
	rec, at := w.rec, w.at
	out := AppendCanonicalHead(w.canonical[:0], e, len(e.Properties))
	to, room := len(out), of.size+4*wideCopy
	out = slices.Grow(out, room)
	out = out[:cap(out)]
	names := w.names[:cap(w.names)]
	from := of.ends[0]
	for i, name := range s.properties {
		end := of.ends[i+1]
		if end-from <= wideCopy {
			*(*[wideCopy]byte)(out[to:]) = *(*[wideCopy]byte)(names[from:])
		} else {
			copy(out[to:], names[from:end])
		}
		to, from = to+int(end-from), end
		if at >= len(rec) {
			return false
		}
		kind, n := catalog.Kind(rec[at]&kindMask), int(rec[at]>>kindBits)
		at++
		out[to] = byte(kind)
		to++
		p := &e.Properties[i]
		p.Name = name
		p.Value = catalog.Value{Kind: kind}
		switch kind {
		case catalog.KindString, catalog.KindNumber, catalog.KindJSON:
			if n == longValue {
				more, size := binary.Uvarint(rec[at:])
				if size <= 0 || more > MaxEventBytes-longValue {
					return false
				}
				n, at = n+int(more), at+size
			}
			if n > len(rec)-at {
				return false
			}
			if len(out)-to < room+n {
				out = slices.Grow(out[:to], room+n)
				out = out[:cap(out)]
			}
			binary.LittleEndian.PutUint32(out[to:], uint32(n))
			to += 4
			if n > 0 {
				p.Value.Text = unsafe.String(&rec[at], n)
			}
			switch {
			case n <= wideCopy && len(rec)-at >= wideCopy:
				*(*[wideCopy]byte)(out[to:]) = *(*[wideCopy]byte)(rec[at:])
			case n <= 2*wideCopy && len(rec)-at >= 2*wideCopy:
				*(*[2 * wideCopy]byte)(out[to:]) = *(*[2 * wideCopy]byte)(rec[at:])
			case n <= 4*wideCopy && len(rec)-at >= 4*wideCopy:
				*(*[4 * wideCopy]byte)(out[to:]) = *(*[4 * wideCopy]byte)(rec[at:])
			default:
				copy(out[to:], rec[at:at+n])
			}
			to, at = to+n, at+n
			continue
		case catalog.KindInt:
			if n > 8 || n > len(rec)-at {
				return false
			}
			z := littleEndian(rec[at:], n)
			p.Value.Bits = z>>1 ^ -(z & 1)
			at += n
		case catalog.KindDouble:
			if n != 0 || len(rec)-at < 8 {
				return false
			}
			p.Value.Bits = binary.LittleEndian.Uint64(rec[at:])
			at += 8
		case catalog.KindBool:
			if n > 1 {
				return false
			}
			p.Value.Bits = uint64(n)
		default:
			if kind != catalog.KindNull || n != 0 {
				return false
			}
			continue
		}
		binary.LittleEndian.PutUint64(out[to:], p.Value.Bits)
		to += 8
	}
	w.at, w.canonical = at, out[:to]
	return true
}
