package event

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"arbor/catalog"
	"arbor/engine/wide"
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
	// distinctAt and insertAt are where the event's ids are in the record, its length if that
	// is not known.
	distinctAt, insertAt int

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
	w.event.ID, w.event.DistinctID, w.distinctAt = h.FirstID, "", len(rec)
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
	if !w.head(e) {
		w.distinctAt, w.insertAt = len(w.rec), len(w.rec)
		w.decoder.event(&w.header, e, e)
	}
	if at := w.at; w.err == nil && at < len(w.rec) && int(w.rec[at]) < min(len(w.shapes), 0x80) {
		w.number, w.at = int(w.rec[at]), at+1
	} else if w.number = w.decoder.shape(); w.err != nil {
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
	w.names = slices.Grow(w.names, wide.Size)
	return of
}

// canonicalHead begins the event's canonical bytes, as AppendCanonicalHead does.
func (w *Walker) canonicalHead(e *Event) []byte {
	n := canonicalHead + payloadHead + len(e.Name) + len(e.DistinctID) + len(e.InsertID)
	out := slices.Grow(w.canonical[:0], n+2*wide.Size)
	b := out[:n+2*wide.Size]
	b[0] = canonicalEvent
	binary.BigEndian.PutUint64(b[1:], e.ID.Time)
	binary.BigEndian.PutUint32(b[9:], e.ID.Edge)
	binary.BigEndian.PutUint32(b[13:], e.ID.Index)
	binary.LittleEndian.PutUint64(b[17:], uint64(e.Time))
	b[25] = 0
	binary.LittleEndian.PutUint64(b[26:], uint64(e.Time))
	if e.ServerTime {
		b[25] = 1
		binary.LittleEndian.PutUint64(b[26:], 0)
	}
	b = putText(b[34:], e.Name)
	b = w.putWide(b, e.DistinctID, w.distinctAt)
	b = w.putWide(b, e.InsertID, w.insertAt)
	binary.LittleEndian.PutUint32(b, uint32(len(e.Properties)))
	return out[:n]
}

// putWide is putText of a text that is in the record at a place: what follows it there is
// copied, too, if both have room for it, and is overwritten later.
func (w *Walker) putWide(b []byte, s string, at int) []byte {
	const most = 2 * wide.Size
	if len(s) > most || len(w.rec)-at < most || len(b) < 4+most {
		return putText(b, s)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(s)))
	to, from := b[4:4+most], w.rec[at:]
	wide.Copy(to, from)
	wide.Copy(to[wide.Size:], from[wide.Size:])
	return b[4+len(s):]
}

// headRoom is how many bytes the flags, an id, the time and the length of a text take at most.
const headRoom = 1 + catalog.IngestIDSize + 8 + 1

// head reads what stands before the shape, into the event before. It changes nothing, and
// says so, if anything is wrong or the record ends soon.
func (w *Walker) head(e *Event) bool {
	rec, at, h := w.rec, w.at, &w.header
	if len(rec)-at < headRoom || w.err != nil {
		return false
	}
	flags := rec[at]
	at++
	if flags&^flagsKnown != 0 {
		return false
	}
	id := e.ID
	if flags&flagIDFollows != 0 {
		n, size := shortNumber(rec[at:])
		if size == 0 || n > 1<<32-1 {
			return false
		}
		id.Index, at = id.Index+uint32(n)+1, at+size
	} else {
		id, at = catalog.IngestIDFromBytes(rec[at:]), at+catalog.IngestIDSize
	}
	time, size := shortNumber(rec[at:])
	at += size
	if flags&flagMilliseconds != 0 {
		time *= 1000
	}
	if size == 0 || time > uint64(h.MaxTime-h.MinTime) || h.excludes(id) {
		return false
	}
	distinct := e.DistinctID
	if flags&flagSameUser == 0 {
		n := int(rec[at])
		if at++; n >= len(rec)-at {
			return false
		}
		distinct, w.distinctAt, at = textAt(rec, at, n), at, at+n
	}
	n := int(rec[at])
	if at++; n > len(rec)-at {
		return false
	}
	e.ServerTime, e.ID, e.Time = flags&flagServerTime != 0, id, h.MinTime+int64(time)
	e.DistinctID, e.InsertID = distinct, textAt(rec, at, n)
	w.insertAt, w.at = at, at+n
	return true
}

// excludes reports whether an id is out of the bounds that the header gives.
func (h *Header) excludes(id catalog.IngestID) bool {
	first, last := &h.FirstID, &h.LastID
	if id.Time == first.Time && id.Time == last.Time && id.Edge == first.Edge && id.Edge == last.Edge {
		return id.Index < first.Index || id.Index > last.Index
	}
	return id.Compare(*first) < 0 || id.Compare(*last) > 0
}

// textAt is a text of n bytes in a record.
func textAt(rec []byte, at, n int) string {
	if n == 0 {
		return ""
	}
	return unsafe.String(&rec[at], n)
}

// shortNumber reads an unsigned varint of at most five of the eight bytes or more that b
// has, without asking byte by byte whether another follows; the size is 0 if it is longer.
func shortNumber(b []byte) (n uint64, size int) {
	x := binary.LittleEndian.Uint64(b)
	if x&0x80 == 0 {
		return x & 0x7f, 1
	}
	const more = 0x8080808080
	end := bits.TrailingZeros64(^x & more)
	if end == 64 {
		return 0, 0
	}
	x &= 1<<end - 1
	return x&0x7f | x>>1&(0x7f<<7) | x>>2&(0x7f<<14) | x>>3&(0x7f<<21) | x>>4&(0x7f<<28), end/8 + 1
}

// content reads the values of an event whose shape has come before, and makes its
// canonical bytes. It does neither, and says so, if anything is wrong.
func (w *Walker) content(s *shape, of *walkedShape, e *Event) bool {
	rec, at := w.rec, w.at
	out := w.canonicalHead(e)
	to, room := len(out), of.size+4*wide.Size
	out = slices.Grow(out, room)
	out = out[:cap(out)]
	names := w.names[:cap(w.names)]
	from := of.ends[0]
	for i, name := range s.properties {
		end := of.ends[i+1]
		if end-from <= wide.Size {
			wide.Copy(out[to:], names[from:])
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
			case n <= wide.Size && len(rec)-at >= wide.Size:
				wide.Copy(out[to:], rec[at:])
			case n <= 2*wide.Size && len(rec)-at >= 2*wide.Size:
				wide.Copy(out[to:], rec[at:])
				wide.Copy(out[to+wide.Size:], rec[at+wide.Size:])
			case n <= 4*wide.Size && len(rec)-at >= 4*wide.Size:
				*(*[4 * wide.Size]byte)(out[to:]) = *(*[4 * wide.Size]byte)(rec[at:])
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
