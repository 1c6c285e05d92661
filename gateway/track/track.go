// Package track turns the requests of analytics SDKs into events. Its decoders
// are pure: bytes in, events and what is wrong with each bad one out, no clock
// and no storage. They look at the bytes and not at what the request's headers
// say of them, since the SDKs in the field disagree with each other there.
//
// A request is opened in three steps:
//
//	Decompress   gzip or zstd, told by their first bytes, within a limit
//	Unwrap       a form's data= fields, base64 or not, or the body as it is
//	Decode       one JSON value, a JSON array, or JSON values line by line
//
// A bad record never harms the others: it becomes a RecordError, and decoding
// goes on behind it. Only where the text itself is broken, so that nothing
// behind the break can be trusted, is the request refused as a whole.
package track

import (
	"errors"
	"fmt"

	"arbor/engine/event"
)

// Errors that refuse a request as a whole.
var (
	// ErrMalformed says that the request cannot be read at all.
	ErrMalformed = errors.New("malformed request")
	// ErrEmpty says that the request holds no event.
	ErrEmpty = errors.New("the request holds no events")
	// ErrTooLarge says that the request is larger than a limit after decompression.
	ErrTooLarge = errors.New("the request is too large")
	// ErrTooManyRecords says that the request holds more records than allowed.
	ErrTooManyRecords = errors.New("the request holds too many events")
)

// SyntaxError says where a JSON text breaks the grammar. It is ErrMalformed.
type SyntaxError struct {
	// Offset is the place in the decompressed, decoded text, in bytes from 0.
	Offset  int
	Problem string
}

// Error gives the problem and its place.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not valid JSON at byte %d: %s", e.Offset, e.Problem)
}

// Is makes every SyntaxError an ErrMalformed.
func (e *SyntaxError) Is(target error) bool { return target == ErrMalformed }

// RecordError says why one record of a request was refused.
type RecordError struct {
	// Index is the record's place in the request, from 0.
	Index int
	// InsertID is the record's insert id if it has one.
	InsertID string
	// Field is what is wrong, in Mixpanel's words: "event", "properties.time" …
	Field string
	// Message says what is wrong with it and what to do.
	Message string
}

// Error gives the place, the field and the message.
func (e *RecordError) Error() string {
	return fmt.Sprintf("event %d: %s", e.Index, e.Message)
}

// Record is a readable record of a request. It and its strings alias the
// request's text and the decoder's buffers: the names of the event and of its
// properties, and the other strings, hold until the decoder is used again, all
// else until the next record.
type Record struct {
	// Event is without an ingest id. ServerTime is set, and Time is 0, where the
	// record has no time. It is as event.CheckLimits takes it.
	Event event.Event
	// Token is the write token, "" where there is none.
	Token string
	// Index is the record's place in the request.
	Index uint32
	// Kind, above 0, is a number that all records of the request have whose event
	// has this name and properties of these names; 0 says nothing.
	Kind int
}

// Options say what is read.
type Options struct {
	// MaxRecords is the most records of a request; 0 means DefaultMaxRecords.
	MaxRecords int
	// Strict refuses records without a time or without a distinct id, as
	// Mixpanel's /import?strict=1 does; an empty distinct id is one.
	Strict bool
}

// DefaultMaxRecords is the most events of one request, as Mixpanel has it.
const DefaultMaxRecords = 2000
