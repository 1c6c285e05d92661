package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"arbor/catalog"
	"arbor/engine/event"
)

// What members tell each other to compare what they hold:
//
//	┌─────────┬──────────────────────────────────────────────────────────────┐
//	│ version │ for each shard: project, day, bucket, uvarints · batches, 8  │
//	│ 1       │                                                              │
//	└─────────┴──────────────────────────────────────────────────────────────┘
//
// is the request, and in the answer there follow for each shard
//
//	catalog      uvarint
//	records      count, uvarint · high, 8 · low, 8
//	hidden       the same
//	accepted, deleted, quarantined   uvarints
//
// Numbers of 8 bytes are little endian. A day is counted from the first there can be.
// A member answers about those shards alone that it has with the same batches.
const holdingsVersion = 1

// errHoldings: what a member says that it holds cannot be read.
var errHoldings = errors.New("bad list of holdings")

func appendName(b []byte, k catalog.ShardKey, batches uint64) []byte {
	b = binary.AppendUvarint(b, uint64(k.Project))
	b = binary.AppendUvarint(b, uint64(int64(k.Day)-math.MinInt32))
	b = binary.AppendUvarint(b, uint64(k.Bucket))
	return binary.LittleEndian.AppendUint64(b, batches)
}

func appendNames(b []byte, names map[catalog.ShardKey]uint64) []byte {
	b = append(b, holdingsVersion)
	for k, batches := range names {
		b = appendName(b, k, batches)
	}
	return b
}

func appendHoldings(b []byte, all []event.Holding) []byte {
	digest := func(d event.Digest) {
		b = binary.AppendUvarint(b, d.Count)
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, d.Hi), d.Lo)
	}
	b = append(b, holdingsVersion)
	for i := range all {
		h := &all[i]
		b = binary.AppendUvarint(appendName(b, h.Shard, h.Batches), h.Catalog)
		digest(h.Content.Records)
		digest(h.Content.Hidden)
		for _, n := range []int64{h.Content.Accepted, h.Content.Deleted, h.Content.Quarantined} {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b
}

// holdingsReader reads what those wrote.
type holdingsReader struct{ tableReader }

func newHoldingsReader(b []byte) (*holdingsReader, error) {
	if len(b) == 0 || b[0] == 0 {
		return nil, fmt.Errorf("%w: %d bytes", errHoldings, len(b))
	}
	if b[0] > holdingsVersion {
		return nil, fmt.Errorf("list of holdings of version %d, this arbor knows %d", b[0], holdingsVersion)
	}
	return &holdingsReader{tableReader{b: b[1:]}}, nil
}

func (r *holdingsReader) more() bool { return !r.bad && len(r.b) > 0 }

func (r *holdingsReader) word() uint64 {
	if len(r.b) < 8 {
		r.b, r.bad = nil, true
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *holdingsReader) name() (k catalog.ShardKey, batches uint64) {
	k.Project = catalog.ProjectID(r.number(math.MaxUint32))
	k.Day = catalog.Day(int64(r.number(math.MaxUint32)) + math.MinInt32)
	k.Bucket = uint16(r.number(math.MaxUint16))
	return k, r.word()
}

func (r *holdingsReader) digest() event.Digest {
	return event.Digest{Count: r.number(math.MaxUint64), Hi: r.word(), Lo: r.word()}
}

func (r *holdingsReader) count() int64 { return int64(r.number(math.MaxInt64)) }

// decodeNames reads a request. What cannot be read is no request at all.
func decodeNames(b []byte) (map[catalog.ShardKey]uint64, error) {
	r, err := newHoldingsReader(b)
	if err != nil {
		return nil, err
	}
	names := map[catalog.ShardKey]uint64{}
	for r.more() {
		k, batches := r.name()
		names[k] = batches
	}
	if r.bad {
		return nil, errHoldings
	}
	return names, nil
}

// decodeHoldings reads an answer.
func decodeHoldings(b []byte) (all []event.Holding, err error) {
	r, err := newHoldingsReader(b)
	if err != nil {
		return nil, err
	}
	for r.more() {
		var h event.Holding
		h.Shard, h.Batches = r.name()
		h.Catalog = r.number(math.MaxUint64)
		h.Content = event.Content{Records: r.digest(), Hidden: r.digest(), Accepted: r.count(), Deleted: r.count(), Quarantined: r.count()}
		all = append(all, h)
	}
	if r.bad {
		return nil, errHoldings
	}
	return all, nil
}
