package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"

	"arbor/cluster/protocol"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

// A record of a replica says who it is in a bucket, and what it has learnt of it. The
// records are an append log of their own; a frame's payload is
//
//	version   1 byte   1
//	kind      1 byte   1 a beginning: what comes before is void
//	                   2 a record
//	                   3 damage: all records before were lost; no more if it is trusted
//
// and of a record, in varints: bucket, generation, epoch at which it had caught up,
// epoch of the config, then the old replicas and the new ones: how many, and of each
// the member, 16 bytes, and the generation. The last record of a bucket counts. Of
// kind 3 there is one byte more, 1 or 0.
const (
	recordsVersion = 1
	recordsBegin   = 1
	recordsRecord  = 2
	recordsDamage  = 3
)

// maxRecordReplicas bounds the replicas of a record's config: 8 copies on their way
// to 8 others.
const maxRecordReplicas = 64

// Limits of the records' log: with more entries, or more segments, which restarts
// make, a beginning with all records is written and what was before is removed.
const (
	maxRecordEntries  = 8 * protocol.Buckets
	maxRecordSegments = 16
)

// errRecords is what the damage of records wraps.
var errRecords = errors.New("records of replicas are damaged or lost")

// records are the durable records of a member's replicas.
type records struct {
	fs  vfs.FS
	dir string
	log *appendlog.Log

	// turn is held for reading by whoever saves, and for writing by a beginning, which
	// must miss none. It is held during I/O.
	turn sync.RWMutex
	mu   sync.Mutex // guards what follows
	// damage is why the records that were found are not to be believed; nil if they
	// are.
	damage  error
	last    map[protocol.Bucket]protocol.Record
	entries int
	most    int // maxRecordEntries, but in tests
}

func openRecords(files vfs.FS, dir string) (*records, error) {
	r := &records{fs: files, dir: dir, last: map[protocol.Bucket]protocol.Record{}, most: maxRecordEntries}
	begun, any := uint64(0), false
	log, err := appendlog.Open(appendlog.Options{FS: files, Dir: dir, Quarantine: true}, func(pos appendlog.Position, payload []byte) error {
		any = true
		switch begins, err := r.replay(payload); {
		case errors.Is(err, protocol.ErrVersion):
			return err
		case err != nil:
			r.distrust(fmt.Sprintf("%s at byte %d: %v", appendlog.SegmentName(pos.Segment), pos.Offset, err))
		case begins:
			begun = pos.Segment
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.log = log
	r.lookForGaps(begun, any)
	if r.damage != nil {
		r.last = map[protocol.Bucket]protocol.Record{}
		err = r.append(recordsEntry(recordsDamage, 1)) // the next opening must know
	} else if r.entries > r.most || len(log.Segments()) > maxRecordSegments {
		if err = r.begin(); isFull(err) {
			err = nil // they stay long for now
		}
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return r, nil
}

func (r *records) distrust(why string) {
	if r.damage == nil {
		r.damage = fmt.Errorf("%w: %s", errRecords, why)
	}
}

// lookForGaps looks for damage since the last beginning, and for segments that are
// gone.
func (r *records) lookForGaps(begun uint64, any bool) {
	for _, f := range r.log.Findings() {
		if f.Damaged && f.Segment >= begun {
			r.distrust(fmt.Sprintf("%s at byte %d: %s", f.File, f.Offset, f.Reason))
		}
	}
	if any && begun == 0 {
		r.distrust("they have no beginning")
	}
	there := map[uint64]bool{}
	for _, s := range r.log.Segments() {
		if s.ID > begun && begun > 0 && s.Previous >= begun && !there[s.Previous] {
			r.distrust(appendlog.SegmentName(s.Previous) + " is not there")
		}
		there[s.ID] = true
	}
}

// replay takes an entry, and says whether it is a beginning.
func (r *records) replay(payload []byte) (begins bool, err error) {
	if len(payload) < 2 || payload[0] == 0 {
		return false, fmt.Errorf("entry of %d bytes", len(payload))
	}
	if payload[0] > recordsVersion {
		return false, fmt.Errorf("%w: record of a replica, version %d, and this arbor knows %d", protocol.ErrVersion, payload[0], recordsVersion)
	}
	r.entries++
	switch body := payload[2:]; {
	case payload[1] == recordsBegin && len(body) == 0:
		r.last, r.damage, r.entries = map[protocol.Bucket]protocol.Record{}, nil, 1
		return true, nil
	case payload[1] == recordsRecord:
		b, record, err := decodeRecord(body)
		if err == nil {
			r.last[b] = record
		}
		return false, err
	case payload[1] == recordsDamage && len(body) == 1 && body[0] == 1:
		r.distrust("so an earlier opening found")
		return false, nil
	}
	return false, fmt.Errorf("entry of kind %d and %d bytes", payload[1], len(payload))
}

func recordsEntry(kind byte, body ...byte) []byte {
	return append([]byte{recordsVersion, kind}, body...)
}

func encodeRecord(bucket protocol.Bucket, r *protocol.Record) []byte {
	b := recordsEntry(recordsRecord)
	b = binary.AppendUvarint(b, uint64(bucket))
	b = binary.AppendUvarint(b, uint64(r.Generation))
	b = binary.AppendUvarint(b, r.Synced)
	b = binary.AppendUvarint(b, r.Config.Epoch)
	for _, set := range [][]protocol.Replica{r.Config.Old, r.Config.New} {
		b = binary.AppendUvarint(b, uint64(len(set)))
		for _, x := range set {
			b = append(b, x.Member[:]...)
			b = binary.AppendUvarint(b, uint64(x.Generation))
		}
	}
	return b
}

func decodeRecord(b []byte) (bucket protocol.Bucket, r protocol.Record, err error) {
	bad := false
	number := func(most uint64) uint64 {
		v, n := binary.Uvarint(b)
		if bad = bad || n <= 0 || v > most; bad {
			return 0
		}
		b = b[n:]
		return v
	}
	bucket = protocol.Bucket(number(protocol.Buckets - 1))
	r.Generation = uint32(number(1<<32 - 1))
	r.Synced = number(1<<64 - 1)
	r.Config.Epoch = number(1<<64 - 1)
	for _, set := range []*[]protocol.Replica{&r.Config.Old, &r.Config.New} {
		for range number(maxRecordReplicas) {
			var x protocol.Replica
			if bad = bad || len(b) < len(x.Member); bad {
				break
			}
			b = b[copy(x.Member[:], b):]
			x.Generation = uint32(number(1<<32 - 1))
			*set = append(*set, x)
		}
	}
	if bad || len(b) > 0 {
		return 0, protocol.Record{}, errors.New("record that is none")
	}
	return bucket, r, nil
}

// save makes a record durable. Records that are saved at once share a sync.
func (r *records) save(ctx context.Context, bucket protocol.Bucket, record protocol.Record) error {
	if len(record.Config.Old) > maxRecordReplicas || len(record.Config.New) > maxRecordReplicas {
		return fmt.Errorf("save the record of bucket %d: %d and %d replicas, at most %d can be", bucket, len(record.Config.Old), len(record.Config.New), maxRecordReplicas)
	}
	if err := r.makeShort(); err != nil {
		return fmt.Errorf("save the record of bucket %d: %w", bucket, err)
	}
	r.turn.RLock()
	defer r.turn.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	// Saves of one bucket come one after the other; the machine sees to that.
	if err := r.append(encodeRecord(bucket, &record)); err != nil {
		return fmt.Errorf("save the record of bucket %d: %w", bucket, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[bucket] = record
	return nil
}

// append does not give up waiting: whether the entry holds would not be known.
func (r *records) append(entries ...[]byte) error {
	_, err := r.log.Append(context.Background(), entries)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries += len(entries)
	return err
}

// makeShort begins anew when there are too many entries, or none.
func (r *records) makeShort() error {
	r.mu.Lock()
	due := r.entries == 0 || r.entries > r.most
	r.mu.Unlock()
	if !due {
		return nil
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.entries > 0 && r.entries <= r.most {
		return nil // somebody did
	}
	return r.begin()
}

// begin writes all records into a new segment and removes those before. The caller
// has the turn, or is opening.
func (r *records) begin() error {
	if err := r.log.Rotate(context.Background()); err != nil {
		return err
	}
	entries := [][]byte{recordsEntry(recordsBegin)}
	if r.damage != nil {
		entries = append(entries, recordsEntry(recordsDamage, 1))
	}
	for _, b := range slices.Sorted(maps.Keys(r.last)) {
		record := r.last[b]
		entries = append(entries, encodeRecord(b, &record))
	}
	positions, err := r.log.Append(context.Background(), entries)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.entries = len(entries)
	r.mu.Unlock()
	trash := path.Join(r.dir, "trash")
	for _, s := range r.log.Segments() {
		if s.ID >= positions[0].Segment {
			continue
		}
		if err := r.log.Retire(context.Background(), s.ID, trash); err != nil {
			return err
		}
	}
	return r.empty(trash)
}

// empty removes what came before a beginning: it is void.
func (r *records) empty(trash string) error {
	names, err := r.fs.List(trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		err = errors.Join(err, r.fs.Remove(path.Join(trash, name)))
	}
	return err
}

// trust says that the records of now are all that count.
func (r *records) trust() error {
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.damage == nil {
		return nil
	}
	before := r.damage
	r.setDamage(nil)
	if err := r.begin(); err != nil {
		r.setDamage(before)
		return fmt.Errorf("begin the records of replicas anew: %w", err)
	}
	return nil
}

func (r *records) setDamage(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.damage = err
}

// damaged is why the records are not to be believed.
func (r *records) damaged() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.damage
}

// all are the last records.
func (r *records) all() map[protocol.Bucket]protocol.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.last)
}

func (r *records) close() error { return r.log.Close() }
