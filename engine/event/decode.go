package event

import (
	"encoding/binary"
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"

	"arbor/catalog"
)

// DecodeBatch reads a record into a batch, of which it reuses the slices, those
// of the events' properties too: decoding into the same batch again and again
// allocates nothing once it has grown. The batch's strings alias rec, which must
// stay as it is for as long as they are used. After an error the batch holds
// nothing of use.
func DecodeBatch(rec []byte, into *Batch) error {
	h, at, err := decodeHeader(rec)
	if err != nil {
		return err
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.reader = reader{rec: rec, at: at}
	into.Shard = h.Shard
	into.Events = resize(into.Events, h.Events)
	into.Deletes = resize(into.Deletes, h.Deletes)
	into.Undos = resize(into.Undos, h.Undos)
	d.events(&h, into.Events)
	d.deletes(&h, into.Deletes)
	d.undos(&h, into.Undos)
	if d.err == nil && d.left() != 0 {
		d.fail("%d bytes are left over", d.left())
	}
	return d.err
}

// resize gives a slice of length n, whose elements keep what they own.
func resize[T any](s []T, n int) []T {
	s = s[:cap(s)]
	if n > len(s) {
		s = append(s, make([]T, n-len(s))...)
	}
	return s[:n]
}

// decoder is a reader with the record's names and shapes.
type decoder struct {
	reader
	names  []string
	shapes []shape
	sorted []string // the shapes' property names, one run a shape
}

// shape is what events of one kind have in common.
type shape struct {
	event      string
	properties []string
}

var decoders = sync.Pool{New: func() any { return &decoder{} }}

// release forgets the record, so that the pool keeps none alive.
func (d *decoder) release() {
	clear(d.names)
	clear(d.shapes)
	clear(d.sorted)
	*d = decoder{names: d.names[:0], shapes: d.shapes[:0], sorted: d.sorted[:0]}
	decoders.Put(d)
}

func (d *decoder) events(h *Header, events []Event) {
	before := &Event{ID: h.FirstID}
	before.ID.Index--
	left := h.Properties
	var fresh []Property // for events whose own slice is too short
	for i := range events {
		e := &events[i]
		d.event(h, e, before)
		number := d.shape()
		if d.err != nil {
			return
		}
		s := &d.shapes[number]
		e.Name = s.event
		n := len(s.properties)
		if n > left {
			d.fail("there are more properties than the header's %d", h.Properties)
			return
		}
		if cap(e.Properties) < n {
			if len(fresh) < n {
				fresh = make([]Property, left)
			}
			e.Properties, fresh = fresh[:n:n], fresh[n:]
		}
		e.Properties = e.Properties[:n]
		left -= n
		d.values(s.properties, e.Properties)
		if d.err != nil {
			return
		}
		before = e
	}
	if left != 0 {
		d.fail("there are %d properties less than the header's %d", left, h.Properties)
	}
}

// event reads what stands before the shape.
func (d *decoder) event(h *Header, e, before *Event) {
	flags := d.byte("flags")
	if flags&^flagsKnown != 0 {
		d.fail("flags %#02x are unknown", flags)
	}
	e.ServerTime = flags&flagServerTime != 0
	if flags&flagIDFollows != 0 {
		e.ID = before.ID
		e.ID.Index += uint32(d.number("index", 1<<32-1)) + 1
	} else {
		e.ID = d.id()
	}
	span := uint64(h.MaxTime - h.MinTime)
	if flags&flagMilliseconds != 0 {
		e.Time = h.MinTime + int64(d.number("time", span/1000))*1000
	} else {
		e.Time = h.MinTime + int64(d.number("time", span))
	}
	if flags&flagSameUser != 0 {
		e.DistinctID = before.DistinctID
	} else {
		e.DistinctID = d.shortText("distinct id")
	}
	e.InsertID = d.shortText("insert id")
	d.bound(h, e.ID)
}

// bound holds an id to the bounds that the header gave.
func (d *decoder) bound(h *Header, id catalog.IngestID) {
	if d.err == nil && (id.Compare(h.FirstID) < 0 || id.Compare(h.LastID) > 0) {
		d.fail("id %s is not between the header's %s and %s", id, h.FirstID, h.LastID)
	}
}

// shape reads the number of a shape, and the shape if it is a new one.
func (d *decoder) shape() (number int) {
	n := int(d.number("shape", uint64(len(d.shapes))))
	if n == len(d.shapes) && d.err == nil {
		d.defineShape()
	}
	return n
}

func (d *decoder) defineShape() {
	s := shape{event: d.name()}
	count := int(d.byte("properties of the shape"))
	first := len(d.sorted)
	for range count {
		name := d.name()
		if k := len(d.sorted); d.err == nil && k > first && name <= d.sorted[k-1] {
			d.fail("property %q stands after %q", name, d.sorted[k-1])
		}
		d.sorted = append(d.sorted, name)
	}
	s.properties = d.sorted[first:len(d.sorted):len(d.sorted)]
	d.shapes = append(d.shapes, s)
}

func (d *decoder) name() string {
	n := int(d.number("name", uint64(len(d.names))))
	if d.err != nil {
		return ""
	}
	if n == len(d.names) {
		name := d.shortText("name")
		if !utf8.ValidString(name) {
			d.fail("name %q is not UTF-8", name)
		}
		d.names = append(d.names, name)
	}
	return d.names[n]
}

// values reads the values of the named properties. It is where decoding spends
// its time, so that it keeps the reader's fields in hand.
func (d *decoder) values(names []string, into []Property) {
	rec, at := d.rec, d.at
	for i, name := range names {
		if at >= len(rec) {
			d.fail("value of %q is cut short", name)
			return
		}
		kind, n := catalog.Kind(rec[at]&kindMask), int(rec[at]>>kindBits)
		at++
		p := &into[i]
		p.Name = name
		p.Value = catalog.Value{Kind: kind}
		switch kind {
		case catalog.KindString, catalog.KindNumber, catalog.KindJSON:
			if n == longValue {
				more, size := binary.Uvarint(rec[at:])
				if size <= 0 || more > MaxEventBytes-longValue {
					d.at = at
					d.fail("length of %q is cut short or above %d", name, MaxEventBytes)
					return
				}
				n, at = n+int(more), at+size
			}
			if n > len(rec)-at {
				d.at = at
				d.fail("value of %q, of %d bytes, is cut short", name, n)
				return
			}
			if n > 0 {
				p.Value.Text = unsafe.String(&rec[at], n)
			}
			at += n
		case catalog.KindInt:
			if n > 8 || n > len(rec)-at {
				d.at = at
				d.fail("integer %q of %d bytes is cut short or too long", name, n)
				return
			}
			z := littleEndian(rec[at:], n)
			p.Value.Bits = z>>1 ^ -(z & 1)
			at += n
		case catalog.KindDouble:
			if n != 0 || len(rec)-at < 8 {
				d.at = at
				d.fail("double %q is cut short", name)
				return
			}
			p.Value.Bits = binary.LittleEndian.Uint64(rec[at:])
			at += 8
		case catalog.KindBool:
			p.Value.Bits = uint64(n)
			if n > 1 {
				d.fail("bool %q is %d", name, n)
				return
			}
		default: // null, or a kind of the future
			if kind != catalog.KindNull || n != 0 {
				d.at = at
				d.fail("value of %q is of the unknown kind %d with %d", name, kind, n)
				return
			}
		}
	}
	d.at = at
}

// littleEndian reads the n ≤ 8 bytes that b begins with.
func littleEndian(b []byte, n int) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b) & (1<<(8*uint(n)) - 1)
	}
	var v uint64
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

func (d *decoder) deletes(h *Header, deletes []Delete) {
	room := MaxBatchTargets
	for i := range deletes {
		del := &deletes[i]
		del.ID = d.id()
		d.bound(h, del.ID)
		n := d.count("targets", min(room, d.left()/catalog.IngestIDSize))
		room -= n
		del.Targets = slices.Grow(del.Targets[:0], n)
		for range n {
			del.Targets = append(del.Targets, d.id())
		}
		if d.err != nil {
			return
		}
	}
}

func (d *decoder) undos(h *Header, undos []Undo) {
	for i := range undos {
		undos[i] = Undo{ID: d.id(), Delete: d.id()}
		d.bound(h, undos[i].ID)
	}
}
