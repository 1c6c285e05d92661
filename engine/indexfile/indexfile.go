// Package indexfile is the immutable, memory-mapped, columnar file that holds a
// shard's events once they have left the log. A Builder takes events in the
// order (distinct id, time, ingest id) and writes the file; a Reader gives them
// back: row by row exactly as they came, or by column as Arrow arrays.
//
// The story of a file: every column is cut into parts, such as its codes, its
// dictionary, the bitmap of the rows that have a value. A part of more than a
// kilobyte is a section of the file; the short ones, and a file may have
// thousands of properties that hardly any row has, share one section, the pool.
// Codes are stored as Arrow lays them out, so that an array is a slice of the
// mapping, or in fewer bits, whichever takes far fewer bytes (coding.go); what is
// decoded often is kept decoded (keep.go). What queries seldom want is compressed. Everything is
// checked before it is believed: a section against its checksum, once, before
// its first use, and then every number in it that will be used as an index.
//
//	file      header, sections, footer, trailer; each section and the footer
//	          start at a multiple of 64, with zeros between
//
//	header     0  8  "arbor ix"
//	           8  4  format version
//	          12  4  the same, every bit flipped: damage is no newer version
//	          16 48  zero
//
//	trailer    0  8  where the footer starts
//	           8  4  its length
//	          12  4  its length decompressed
//	          16  4  its encoding
//	          20  4  zero
//	          24  8  xxh3 of the footer as stored and of the trailer up to here
//	          32  8  "arbor/ix"
//
//	footer    varints unless a width is given: rows, users; times: base, unit,
//	          bits, least, greatest; ingest ids: requests, edges, base of times,
//	          bits of times, of codes and of indexes (1 each), least and greatest
//	          (16 each); form of the packed insert ids (1); Meta; the columns; the
//	          sections: part (1), encoding (1), column, bytes, bytes decoded, xxh3
//	          of the bytes (8); the parts in the pool: part (1), column, bytes
//
//	column    event, server time, insert id, distinct id, other properties, then
//	          the properties by name. Of a property: name. Of all:
//	          placement<<4 | layout (1); bitmap of the kinds it holds (1); how
//	          many of each; dictionary: entries; integers: base and bits (1);
//	          decimals: base, bits and scale (1 each); how codes and numbers are
//	          stored (1); runs
//
// The sections' places follow from their lengths: none can overlap another. All
// integers are little-endian, and encodings are 0, raw, or 1, zstd. The files
// part.go and columninfo.go number parts, placements and layouts; those named
// after a column or a way to store one (coding.go, decimals.go, times.go, ingestids.go, insertids.go, users.go, groups.go,
// dictionary.go, chunk.go, others.go) say how its parts look inside. testdata/format shows
// every byte of a small file.
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
	// ErrColumns means that rows with so many properties must be added in order.
	ErrColumns = errors.New("too many columns for rows in no order")
)

// Version is the format that this package writes, and the newest it reads. It reads
// all older ones, too.
const Version = 2

// BlockRows is the number of rows that share a zone map: block b holds the rows
// from b*BlockRows on.
const BlockRows = 8192

// Limits of a file.
const (
	MaxRows       = 1 << 30  // of one file
	MaxColumns    = 1 << 14  // properties with a column of their own; see others.go
	MaxTextBytes  = 1 << 20  // of one string of a row
	MaxArrayBytes = 1 << 30  // of one array's text: ask for fewer rows
	MaxFileBytes  = 64 << 30 // of one file
)
