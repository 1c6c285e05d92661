package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"syscall"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// Holder is what this member's engine does for replication: batches have names, and
// whoever lacks some gets them. All methods may be called at once from many
// goroutines.
type Holder interface {
	// AppendNamed makes records durable under their dots, all or none. One whose dot
	// is held is compared with what is there and not stored again. An error that wraps
	// syscall.ENOSPC, and not appendlog.ErrBroken, leaves nothing behind, nor does
	// dot.ErrBacklog.
	AppendNamed(ctx context.Context, named []dot.Named) ([]dot.Outcome, error)

	// Held gives the dots of all batches that are durable, by slot, but for slots that
	// may have lost some, which are in lost. An error says that this may be so of all.
	Held(ctx context.Context) (held map[catalog.Slot]dot.Set, lost map[catalog.Slot]error, err error)

	// Fetch gives wanted batches of slots, and files that have others.
	Fetch(ctx context.Context, which func(catalog.Slot) bool, want dot.Set, maxBytes, maxFiles int) (dot.Fetched, error)

	// ReadFile gives the bytes of a file that Fetch gave; a piece holds until yield
	// returns.
	ReadFile(ctx context.Context, name string, yield func(piece []byte) error) error

	// Adopt takes in a file of another engine, with its dots, both or neither. An error
	// that wraps dot.ErrNotAdopted is about the file.
	Adopt(ctx context.Context, file dot.File, read func(ctx context.Context, take func(piece []byte) error) error) (dot.Set, error)

	// Drop moves all that slots have to the trash, durably. An error that wraps
	// syscall.ENOSPC, and not appendlog.ErrBroken, leaves some of them, which dropping
	// again takes.
	Drop(ctx context.Context, which func(catalog.Slot) bool) error

	// Trust says, when all was dropped, that what is here is all that counts.
	Trust(ctx context.Context) error
}

// Replicas are a member's storage and ledger for replication: its engine, and the
// records of who it is in each bucket, which lie beside.
type Replicas struct {
	engine  Holder
	records *records
}

var (
	_ protocol.Storage = (*Replicas)(nil)
	_ protocol.Ledger  = (*Replicas)(nil)
)

// OpenReplicas opens the records in a directory, or makes it. It is closed before the
// engine.
func OpenReplicas(engine Holder, fs vfs.FS, dir string) (*Replicas, error) {
	r, err := openRecords(fs, dir)
	if err != nil {
		return nil, fmt.Errorf("open the records of replicas in %s: %w", dir, err)
	}
	return &Replicas{engine, r}, nil
}

// Close closes the records.
func (r *Replicas) Close() error { return r.records.close() }

// inBucket are the slots that fall into a bucket.
func inBucket(b protocol.Bucket) func(catalog.Slot) bool {
	return func(s catalog.Slot) bool { return bucketOf(s) == b }
}

func bucketOf(s catalog.Slot) protocol.Bucket {
	return protocol.BucketOf(catalog.ShardKey{Project: s.Project, Bucket: s.Bucket})
}

// isFull says whether an error means that there is no room, and no more.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) && !errors.Is(err, appendlog.ErrBroken)
}

// Append is protocol.Storage's. A batch that is no record, or none of the bucket, is
// not stored: it is as if its dot named other content.
func (r *Replicas) Append(ctx context.Context, bucket protocol.Bucket, batches []protocol.Batch) ([]protocol.Outcome, error) {
	outcomes := make([]protocol.Outcome, len(batches))
	var sound []dot.Named
	var at []int
	for i, b := range batches {
		h, err := event.DecodeHeader(b.Record)
		if err != nil || protocol.BucketOf(h.Shard) != bucket || !b.Dot.IsValid() {
			outcomes[i] = protocol.Differs
			continue
		}
		sound, at = append(sound, dot.Named{Dot: b.Dot, Record: b.Record}), append(at, i)
	}
	if len(sound) == 0 {
		return outcomes, nil
	}
	stored, err := r.engine.AppendNamed(ctx, sound)
	// A damaged shard is repaired, what waits is indexed, and the same batches come again.
	if isFull(err) || errors.Is(err, dot.ErrUnreadable) || errors.Is(err, dot.ErrBacklog) {
		return nil, fmt.Errorf("%w: %w", protocol.ErrFull, err)
	}
	if err != nil {
		return nil, err
	}
	for k, o := range stored {
		if outcomes[at[k]] = protocol.Differs; o == dot.Stored {
			outcomes[at[k]] = protocol.Stored
		}
	}
	return outcomes, nil
}

// Dots is protocol.Storage's. A bucket that has batches and no record of who held
// them is lost, too: its identity is.
func (r *Replicas) Dots(ctx context.Context) (map[protocol.Bucket]dot.Set, error) {
	held, lost, err := r.engine.Held(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && held == nil && !errors.Is(err, context.Canceled):
		return nil, &protocol.LostError{Buckets: allBuckets(), Cause: err}
	case err != nil:
		return nil, err
	}
	if err := r.records.damaged(); err != nil {
		return nil, &protocol.LostError{Buckets: allBuckets(), Cause: err}
	}
	dots, causes := map[protocol.Bucket]dot.Set{}, map[protocol.Bucket]error{}
	known := r.records.all()
	for slot, set := range held {
		b := bucketOf(slot)
		all := dots[b]
		all.AddSet(&set)
		if dots[b] = all; known[b].Generation == 0 {
			causes[b] = fmt.Errorf("bucket %d has batches, and nobody knows who held them", b)
		}
	}
	for slot, cause := range lost {
		causes[bucketOf(slot)] = cause
	}
	if len(causes) == 0 {
		return dots, nil
	}
	e := &protocol.LostError{Buckets: slices.Sorted(maps.Keys(causes))}
	for _, b := range e.Buckets {
		delete(dots, b)
		e.Cause = errors.Join(e.Cause, causes[b])
	}
	return dots, e
}

func allBuckets() []protocol.Bucket {
	all := make([]protocol.Bucket, protocol.Buckets)
	for b := range all {
		all[b] = protocol.Bucket(b)
	}
	return all
}

// Fetch is protocol.Storage's.
func (r *Replicas) Fetch(ctx context.Context, bucket protocol.Bucket, want dot.Set, maxBytes int) (protocol.Fetched, error) {
	got, err := r.engine.Fetch(ctx, inBucket(bucket), want, maxBytes, protocol.MaxOffers)
	if err != nil {
		return protocol.Fetched{}, err
	}
	var f protocol.Fetched
	for _, b := range got.Batches {
		f.Batches = append(f.Batches, protocol.Batch{Dot: b.Dot, Record: b.Record})
	}
	for _, x := range got.Files {
		f.Files = append(f.Files, protocol.FileOffer{Name: x.Name, Bytes: uint64(x.Bytes), Dots: x.Dots})
	}
	return f, nil
}

// fileIsIn says whether a file's name is of a shard that falls into the bucket.
func fileIsIn(bucket protocol.Bucket, name string) bool {
	k, ok := catalog.ParseShardKey(path.Dir(name))
	return ok && protocol.BucketOf(k) == bucket
}

// ReadFile is protocol.Storage's.
func (r *Replicas) ReadFile(ctx context.Context, bucket protocol.Bucket, name string, yield func(piece []byte) error) error {
	if !fileIsIn(bucket, name) {
		return fmt.Errorf("file %s of bucket %d: %w", name, bucket, dot.ErrNoFile)
	}
	return r.engine.ReadFile(ctx, name, yield)
}

// maxAdoptedBytes is how long a file may be that is offered: what a file can have.
const maxAdoptedBytes = 1 << 40

// Adopt is protocol.Storage's.
func (r *Replicas) Adopt(ctx context.Context, bucket protocol.Bucket, file protocol.FileOffer, read protocol.ReadFile) (dot.Set, error) {
	if !fileIsIn(bucket, file.Name) || file.Bytes > maxAdoptedBytes {
		return dot.Set{}, fmt.Errorf("%w: %s of %d bytes is not a file of bucket %d", protocol.ErrNotAdopted, file.Name, file.Bytes, bucket)
	}
	dots, err := r.engine.Adopt(ctx, dot.File{Name: file.Name, Bytes: int64(file.Bytes), Dots: file.Dots}, read)
	switch {
	case err == nil:
		return dots, nil
	case errors.Is(err, dot.ErrNotAdopted), errors.Is(err, dot.ErrUnreadable):
		return dot.Set{}, fmt.Errorf("%w: %w", protocol.ErrNotAdopted, err)
	case isFull(err):
		return dot.Set{}, fmt.Errorf("%w: %w", protocol.ErrFull, err)
	}
	return dot.Set{}, err
}

// Drop is protocol.Storage's.
func (r *Replicas) Drop(ctx context.Context, buckets ...protocol.Bucket) error {
	err := r.drop(ctx, buckets)
	if isFull(err) {
		return fmt.Errorf("%w: %w", protocol.ErrFull, err)
	}
	return err
}

func (r *Replicas) drop(ctx context.Context, buckets []protocol.Bucket) error {
	dropped := map[protocol.Bucket]bool{}
	for _, b := range buckets {
		dropped[b] = true
	}
	if err := r.engine.Drop(ctx, func(s catalog.Slot) bool { return dropped[bucketOf(s)] }); err != nil {
		return err
	}
	if len(dropped) < protocol.Buckets {
		return nil
	}
	if err := r.records.trust(); err != nil {
		return err
	}
	return r.engine.Trust(ctx)
}

// Save is protocol.Ledger's.
func (r *Replicas) Save(ctx context.Context, bucket protocol.Bucket, record protocol.Record) error {
	err := r.records.save(ctx, bucket, record)
	if isFull(err) {
		return fmt.Errorf("%w: %w", protocol.ErrFull, err)
	}
	return err
}

// Load is protocol.Ledger's. Records that are damaged are none: Dots says so.
func (r *Replicas) Load(context.Context) (map[protocol.Bucket]protocol.Record, error) {
	return r.records.all(), nil
}
