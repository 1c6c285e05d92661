package event

import (
	"encoding/binary"
	"slices"

	"arbor/catalog"
	"github.com/zeebo/xxh3"
)

// Canonical bytes are what digests and fingerprints are taken of. They follow
// from the event alone, never from a record's version or a file's layout, and
// no two different events share them. They are never stored, but changing them
// would change every digest that was: they have no version, and stay.
//
//	event:   'E' · id, 16 · time, 8 LE · payload
//	payload: 1 where the time is the server's, else 0 · the time, 8 LE, or zeros
//	         where it is the server's · name · distinct id · insert id ·
//	         properties, 4 LE · for each: name · kind, 1 · value
//	value:   null: nothing; bool, int, double: 8 LE; others: text
//	delete:  'D' · id, 16 · targets, 4 LE · their ids, 16 each
//	undo:    'U' · id, 16 · id of the delete, 16
//	name, id, text: length, 4 LE · bytes
const (
	canonicalEvent  = 'E'
	canonicalDelete = 'D'
	canonicalUndo   = 'U'
)

// canonicalHead is how many bytes stand before an event's payload.
const canonicalHead = 1 + catalog.IngestIDSize + 8

// AppendCanonical appends the event's canonical bytes, its ingest id included.
func AppendCanonical(dst []byte, e *Event) []byte {
	return appendPayload(appendEventHead(dst, e), e)
}

// AppendCanonicalHead appends the canonical bytes of an event up to its properties,
// of which there are n; AppendCanonicalProperty appends those of each of them.
func AppendCanonicalHead(dst []byte, e *Event, n int) []byte {
	return appendPayloadHead(appendEventHead(dst, e), e, n)
}

// appendEventHead appends what is before the payload.
func appendEventHead(dst []byte, e *Event) []byte {
	dst = append(dst, canonicalEvent)
	dst, _ = e.ID.AppendBinary(dst)
	return binary.LittleEndian.AppendUint64(dst, uint64(e.Time))
}

// SetCanonicalProperties says in what AppendCanonicalHead appended, which head ends with,
// how many properties there are.
func SetCanonicalProperties(head []byte, n int) {
	binary.LittleEndian.PutUint32(head[len(head)-4:], uint32(n))
}

// CanonicalSize is the length of the event's canonical bytes.
func CanonicalSize(e *Event) int {
	n := canonicalHead + payloadHead + len(e.Name) + len(e.DistinctID) + len(e.InsertID)
	for i := range e.Properties {
		n += propertySize(&e.Properties[i])
	}
	return n
}

// propertySize is the length of what AppendCanonicalProperty appends.
func propertySize(p *Property) int {
	n := 4 + len(p.Name) + 1
	switch p.Value.Kind {
	case catalog.KindNull:
		return n
	case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
		return n + 8
	}
	return n + 4 + len(p.Value.Text)
}

// appendPayload appends what makes two events with one logical key the same
// event sent again: all but the ingest id, and but a time that the server gave,
// since a retry gets another.
func appendPayload(dst []byte, e *Event) []byte {
	dst = appendPayloadHead(dst, e, len(e.Properties))
	size := 0
	for i := range e.Properties {
		size += propertySize(&e.Properties[i])
	}
	at := len(dst)
	dst = slices.Grow(dst, size)[:at+size]
	b := dst[at:]
	for i := range e.Properties {
		p := &e.Properties[i]
		b = putText(b, p.Name)
		b[0] = byte(p.Value.Kind)
		b = b[1:]
		switch p.Value.Kind {
		case catalog.KindNull:
		case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
			binary.LittleEndian.PutUint64(b, p.Value.Bits)
			b = b[8:]
		default:
			b = putText(b, p.Value.Text)
		}
	}
	return dst
}

// putText puts a text where b begins, and gives what is behind.
func putText(b []byte, s string) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(s)))
	return b[4+copy(b[4:], s):]
}

func appendPayloadHead(dst []byte, e *Event, properties int) []byte {
	time, server := e.Time, byte(0)
	if e.ServerTime {
		time, server = 0, 1
	}
	at, size := len(dst), payloadHead+len(e.Name)+len(e.DistinctID)+len(e.InsertID)
	dst = slices.Grow(dst, size)[:at+size]
	b := dst[at:]
	b[0] = server
	binary.LittleEndian.PutUint64(b[1:], uint64(time))
	b = putText(putText(putText(b[9:], e.Name), e.DistinctID), e.InsertID)
	binary.LittleEndian.PutUint32(b, uint32(properties))
	return dst
}

// payloadHead is the length of what is before the properties of a payload, but for the
// three texts.
const payloadHead = 1 + 8 + 4*4

// AppendCanonicalProperty appends what a property is in an event's canonical bytes.
func AppendCanonicalProperty(dst []byte, p *Property) []byte {
	dst = appendText(dst, p.Name)
	dst = append(dst, byte(p.Value.Kind))
	switch p.Value.Kind {
	case catalog.KindNull:
		return dst
	case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
		return binary.LittleEndian.AppendUint64(dst, p.Value.Bits)
	}
	return appendText(dst, p.Value.Text)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// hashBuffer is the stack that canonical bytes are made on; longer ones go to
// the heap.
type hashBuffer [2048]byte

// PayloadHash is the fingerprint of the event's payload: copies of an event
// with the same one are retries, with another one conflicts.
func PayloadHash(e *Event) (hi, lo uint64) {
	var buf hashBuffer
	h := xxh3.Hash128(appendPayload(buf[:0], e))
	return h.Hi, h.Lo
}
