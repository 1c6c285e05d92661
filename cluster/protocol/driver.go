package protocol

import (
	"context"
	"errors"
	"fmt"

	"arbor/engine/dot"
)

// ErrFull is what Storage.Append, Storage.Drop and Ledger.Save return, wrapped, when
// there is no room: nothing of what was asked was stored, nothing else was harmed, and
// asking again later is right. Any other error of these means that the disk can no
// longer be believed: the replica stops, and comes back under its next generation.
var ErrFull = errors.New("disk is full")

// ErrNotAdopted is what Storage.Adopt returns, wrapped, when a file could not be
// had whole, or is not what was offered: nothing of it is there, nothing else was
// harmed, and somebody else may be asked.
var ErrNotAdopted = errors.New("file was not adopted")

// Batch is one encoded record and its name. Neither ever changes.
type Batch struct {
	Dot dot.Dot
	// Record is an encoded event.Batch of a shard that falls into the bucket.
	Record []byte
}

// FileOffer is an indexed file that a member has, and what is in it: the events
// of all the batches that Dots names, and of no others. Who takes all of it holds
// Dots afterwards, whatever it held before, for events that are there twice count
// once.
type FileOffer struct {
	// Name means something to the member that offers the file.
	Name string
	// Bytes is how long it is.
	Bytes uint64
	Dots  dot.Set
}

// MaxFileName bounds a FileOffer's Name, and MaxOffers how many files one
// FetchReply offers.
const (
	MaxFileName = 1 << 10
	MaxOffers   = 16
)

// Fetched is what Storage.Fetch has of the batches that are wanted.
type Fetched struct {
	Batches []Batch
	Files   []FileOffer
}

// ReadFile asks whoever offers a file for its bytes, which take takes in pieces,
// in order. A piece is take's own; an error of take ends the reading.
type ReadFile func(ctx context.Context, take func(piece []byte) error) error

// Outcome is what became of a batch that was given to Storage.Append.
type Outcome byte

// The outcomes.
const (
	// Stored: it is on disk, now or since before.
	Stored Outcome = 1 + iota
	// Differs: the dot is known, and names other content. Nothing was stored.
	// That cannot be, unless bytes were damaged or a dot was used twice.
	Differs
)

// Storage is what a member's engine does for its replica. Methods may be called
// at once from many goroutines; those of one bucket, too.
type Storage interface {
	// Append makes batches of a bucket durable under their dots. It returns when
	// all of them are synced and are seen by scans that begin afterwards. A
	// batch whose dot is known, from the log or from an indexed file, is compared
	// with what is there by the digest of its content, and not stored again.
	Append(ctx context.Context, bucket Bucket, batches []Batch) ([]Outcome, error)

	// Dots are the dots of all batches that are durable, of every bucket that has
	// any, those in indexed files included. It is asked once, at the start. If
	// something was lost or damaged, so that some buckets may hold less than was
	// acknowledged, the error is a *LostError that names them, and the map has all
	// others.
	Dots(ctx context.Context) (map[Bucket]dot.Set, error)

	// Fetch gives what it has of want. Batches that are in the log, or were in it
	// until lately, are given as they were appended, in any order: at least one if
	// it has any of them, and then as many as fit maxBytes. What it has in indexed
	// files only it does not take apart: it offers the files, those with the most of
	// want first, MaxOffers at most. Whatever of want it has durably is in a batch or
	// an offer of this answer, or of a later one when the receiver has got these.
	Fetch(ctx context.Context, bucket Bucket, want dot.Set, maxBytes int) (Fetched, error)

	// ReadFile gives the bytes of a file that Fetch has offered, in pieces, which
	// hold until yield returns. A file that was replaced since is read to its end,
	// or there is an error; never another file's bytes.
	ReadFile(ctx context.Context, bucket Bucket, name string, yield func(piece []byte) error) error

	// Adopt takes a file in that another member offers: it reads all of it, holds
	// it against its checksums, the digest of its content and the offer, and makes
	// its events and its dots durable together, both or neither. It gives the dots
	// that are durable now by that, at least those of the offer. Without any error
	// scans that begin afterwards see the events; events that were there before
	// count once. Reading may take long; an error of read is ErrNotAdopted.
	Adopt(ctx context.Context, bucket Bucket, file FileOffer, read ReadFile) (dot.Set, error)

	// Drop moves all that buckets have to the trash, durably: they are empty
	// afterwards. What Dots said to be lost of them is forgotten with it, so that
	// they may be held anew: under another generation, and after the Ledger was told
	// that nothing of them is held (Save of a zero Record). All buckets that a
	// LostError names are dropped in one call. After ErrFull some of what they have may
	// be dropped, and dropping again goes on.
	Drop(ctx context.Context, buckets ...Bucket) error
}

// Scanner executes plans, which only who asks and who executes understand.
type Scanner interface {
	// Scan executes a plan over the buckets, from a view that has at least what was
	// durable when Scan was called, and gives the answer in pieces. A piece is valid
	// until send returns. The answer is whole when there is no error; an error of
	// send ends it and is returned.
	Scan(ctx context.Context, buckets []Bucket, plan []byte, send func(piece []byte) error) error
}

// LostError says which buckets lost something that may have been acknowledged.
// Their identities are dead: the member asks the metadata for its next generation,
// saves zero Records for them, drops them, and holds them again when a config
// names it.
type LostError struct {
	Buckets []Bucket
	// Cause is what was lost or damaged.
	Cause error
}

// Error is the cause, and how many buckets suffer from it.
func (e *LostError) Error() string {
	return fmt.Sprintf("%d buckets may have lost batches: %v", len(e.Buckets), e.Cause)
}

// Unwrap is the cause.
func (e *LostError) Unwrap() error { return e.Cause }

// Ledger keeps, beside the engine, who a replica is in each bucket and what it has
// learnt of it, so that it does not fall behind what it has told others.
type Ledger interface {
	// Save makes a bucket's record durable: when it returns it is synced.
	Save(ctx context.Context, bucket Bucket, r Record) error
	// Load gives all that was saved, the last of each bucket.
	Load(ctx context.Context) (map[Bucket]Record, error)
}

// Transport sends messages to members. A message is what Encode made: opaque
// bytes. Send never waits: it queues, and drops what does not fit the peer's
// queue. Messages may be lost, doubled, delayed and reordered; the protocol
// repeats what matters. What is not allowed is to change them or to deliver
// them as from another member: From is proven by the connection's certificate.
type Transport interface {
	Send(to MemberID, message []byte)
}

// Receiver is what a transport hands messages to. The bytes are the receiver's.
type Receiver interface {
	Receive(from MemberID, message []byte)
}
