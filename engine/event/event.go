// Package event holds arbor's events and the record that carries them: encoded
// once at the gateway, with a checksum, and then moved unchanged to the log, to
// replicas and back.
package event

import (
	"errors"

	"arbor/catalog"
)

// Errors that this package wraps.
var (
	// ErrCorrupt: a record's bytes are damaged, or were never a record.
	ErrCorrupt = errors.New("record is corrupt")
	// ErrVersion: a record was written by a newer arbor.
	ErrVersion = errors.New("record is of a newer version")
	// ErrLimit: an event or batch is greater than it may be.
	ErrLimit = errors.New("limit exceeded")
	// ErrInvalid: an event or batch is not well-formed.
	ErrInvalid = errors.New("not well-formed")
)

// Event is one thing that a user did. Its strings may alias the buffer it was
// decoded from; the decoder says for how long they hold.
type Event struct {
	// ID is the physical identity, stamped at the edge.
	ID catalog.IngestID
	// Name says what happened.
	Name string
	// Time is the client's raw time in microseconds since 1970 UTC; it decides
	// the day. It is the server's where ServerTime is set.
	Time int64
	// ServerTime is set when the client gave no time, so the server's was taken.
	ServerTime bool
	// DistinctID names the user; it may be empty.
	DistinctID string
	// InsertID is the client's name for the event; empty means it gave none.
	InsertID string
	// Properties are sorted by name, each name once.
	Properties []Property
}

// Property is a named value of an event.
type Property = catalog.Property

// Delete removes events of its shard by their physical ids. It is itself a
// stored record, with the ingest id of its statement: queries as of an earlier
// moment still see the events, and an Undo brings them back.
type Delete struct {
	ID      catalog.IngestID
	Targets []catalog.IngestID
}

// Undo cancels the Delete records of its shard that bear the id Delete.
type Undo struct {
	ID     catalog.IngestID
	Delete catalog.IngestID
}

// Batch is what one request adds to one shard: the unit that is logged,
// replicated and acknowledged as a whole.
type Batch struct {
	Shard   catalog.ShardKey
	Events  []Event
	Deletes []Delete
	Undos   []Undo
}

// Limits on an event, checked at the gateway and again on decoding.
const (
	MaxEventName    = 255     // bytes
	MaxDistinctID   = 255     // bytes
	MaxInsertID     = 255     // bytes
	MaxProperties   = 255     // of one event
	MaxPropertyName = 255     // bytes
	MaxDepth        = 16      // nested arrays and objects inside a property
	MaxEventBytes   = 1 << 20 // of one event, as canonical bytes
	MaxBatchEvents  = 1 << 16
	MaxBatchDeletes = 1 << 16 // deletes, and as many undos
	MaxBatchTargets = 1 << 20 // of all deletes of a batch
	MaxBatchBytes   = 64 << 20
)
