// Package indexfile is the immutable, memory-mapped, columnar file that holds a
// shard's events once they have left the log. A Builder takes events in the
// order (distinct id, time, ingest id) and writes the file; a Reader gives them
// back: row by row exactly as they came, or by column as Arrow arrays.
package indexfile

import "errors"

// Errors of this package; they are wrapped with the file and what was read.
var (
	// ErrCorrupt means that bytes on disk are not what was written.
	ErrCorrupt = errors.New("indexed file is corrupt")
	// ErrVersion means that the file was written by a newer arbor.
	ErrVersion = errors.New("indexed file has a newer format")
	// ErrOrder means that a row was added out of order.
	ErrOrder = errors.New("row out of order")
	// ErrLimit means that a file or an array would grow past a named limit.
	ErrLimit = errors.New("limit of an indexed file exceeded")
	// ErrColumn means that a file's column cannot be had in the type asked for.
	ErrColumn = errors.New("no such column type")
)

// Version is the format that this package writes, and the newest it reads.
const Version = 1

// BlockRows is the number of rows that share a zone map: block b holds the rows
// from b*BlockRows on.
const BlockRows = 8192

// Limits of a file.
const (
	MaxRows       = 1 << 30  // of one file
	MaxProperties = 1 << 20  // distinct names in one file
	MaxTextBytes  = 1 << 20  // of one string of a row
	MaxArrayBytes = 1 << 30  // of one array's text: ask for fewer rows
	MaxFileBytes  = 64 << 30 // of one file
)
