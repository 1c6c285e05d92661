package protocol

import (
	"context"
	"errors"

	"arbor/engine/dot"
)

// ErrFull is what Storage.Append returns, wrapped, when there is no room:
// nothing of what was asked was stored, nothing else was harmed, and asking
// again later is right. Any other error of Append or Save means that the disk
// can no longer be believed: the replica stops, and comes back under its next
// generation.
var ErrFull = errors.New("disk is full")

// Batch is one encoded record and its name. Neither ever changes.
type Batch struct {
	Dot dot.Dot
	// Record is an encoded event.Batch of a shard that falls into the bucket.
	Record []byte
}

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
	// any, those in indexed files included. It is asked once, at the start.
	Dots(ctx context.Context) (map[Bucket]dot.Set, error)

	// Fetch gives batches of want, in any order: at least one if it has any of
	// them, and then as many as fit maxBytes. A batch that has been indexed is
	// made again from the indexed file, with the same content, or given as it
	// was: Append's comparison must find it equal.
	Fetch(ctx context.Context, bucket Bucket, want dot.Set, maxBytes int) ([]Batch, error)

	// Drop moves all that a bucket has to the trash.
	Drop(ctx context.Context, bucket Bucket) error
}

// Scanner executes plans, which only who asks and who executes understand.
type Scanner interface {
	// Scan executes a plan over the buckets, from a view that has at least what was
	// durable when Scan was called, and gives the answer in pieces. A piece is valid
	// until send returns. The answer is whole when there is no error; an error of
	// send ends it and is returned.
	Scan(ctx context.Context, buckets []Bucket, plan []byte, send func(piece []byte) error) error
}

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
