package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"arbor/engine/dot"
)

// row is one event as it is stored: its physical id is the dot, for a batch of
// the simulator has one event.
type row struct {
	dot   dot.Dot
	event uint64
}

// entry is a batch in a log.
type entry struct {
	row
	record []byte
	synced bool
}

// diskBucket is what a simulated disk has of a bucket: a log, and the rows of its
// indexed file.
type diskBucket struct {
	log     []*entry
	indexed []*entry
}

// disk is one member's. What is not synced may be lost in a crash.
type disk struct {
	generation uint32 // 0: nothing was ever written
	ledger     map[Bucket]Record
	buckets    map[Bucket]*diskBucket
}

func newDisk() *disk { return &disk{ledger: map[Bucket]Record{}, buckets: map[Bucket]*diskBucket{}} }

func (d *disk) bucket(b Bucket) *diskBucket {
	if d.buckets[b] == nil {
		d.buckets[b] = &diskBucket{}
	}
	return d.buckets[b]
}

// all are the entries that are synced, indexed or not.
func (b *diskBucket) all() []*entry {
	all := slices.Clone(b.indexed)
	for _, e := range b.log {
		if e.synced {
			all = append(all, e)
		}
	}
	return all
}

func (b *diskBucket) find(d dot.Dot) *entry {
	for _, l := range [][]*entry{b.log, b.indexed} {
		for _, e := range l {
			if e.dot == d {
				return e
			}
		}
	}
	return nil
}

// has says whether an event is durable.
func (b *diskBucket) has(event uint64) bool {
	for _, l := range [][]*entry{b.log, b.indexed} {
		for _, e := range l {
			if e.event == event && e.synced {
				return true
			}
		}
	}
	return false
}

func record(event uint64) []byte { return binary.BigEndian.AppendUint64(nil, event) }

// write puts batches into the log, not synced. It gives what is to be synced.
func (d *disk) write(b Bucket, batches []Batch, bug bug) (fresh []*entry, outcomes []Outcome) {
	at := d.bucket(b)
	for _, x := range batches {
		if known := at.find(x.Dot); known != nil && bug != bugAdoptNoPhysID {
			fresh = append(fresh, known) // it may be on its way only
			if bytes.Equal(known.record, x.Record) {
				outcomes = append(outcomes, Stored)
			} else {
				outcomes = append(outcomes, Differs)
			}
			continue
		}
		e := &entry{row: row{x.Dot, binary.BigEndian.Uint64(x.Record)}, record: x.Record}
		at.log = append(at.log, e)
		fresh = append(fresh, e)
		outcomes = append(outcomes, Stored)
	}
	return fresh, outcomes
}

// crash loses some of what is not synced; what is left has been synced by the
// recovery.
func (d *disk) crash(w *world) {
	for _, b := range w.buckets {
		at := d.bucket(b)
		at.log = slices.DeleteFunc(at.log, func(e *entry) bool {
			lost := !e.synced && w.rand.IntN(2) == 0
			e.synced = true
			return lost
		})
	}
}

// kept is what a member finds at its start.
func (d *disk) kept() map[Bucket]Kept {
	all := map[Bucket]Kept{}
	for b, record := range d.ledger {
		all[b] = Kept{Record: record}
	}
	for b, at := range d.buckets {
		k, known := all[b]
		if !known {
			continue
		}
		for _, e := range at.all() {
			k.Dots.Add(e.dot)
		}
		all[b] = k
	}
	return all
}

// scan gives the rows of some buckets as bytes.
func (d *disk) scan(buckets []Bucket) []byte {
	var part []byte
	for _, b := range buckets {
		for _, e := range d.bucket(b).all() {
			part = append(part, e.dot.Stream[:]...)
			part = binary.BigEndian.AppendUint64(part, e.dot.Seq)
			part = binary.BigEndian.AppendUint16(part, uint16(b))
			part = binary.BigEndian.AppendUint64(part, e.event)
		}
	}
	return part
}

type scanned struct {
	bucket Bucket
	row    row
}

func readPart(part []byte) (rows []scanned) {
	const size = 16 + 8 + 2 + 8
	if len(part)%size != 0 {
		panic(fmt.Sprint("a part of ", len(part)))
	}
	for ; len(part) > 0; part = part[size:] {
		var s scanned
		copy(s.row.dot.Stream[:], part)
		s.row.dot.Seq = binary.BigEndian.Uint64(part[16:])
		s.bucket = Bucket(binary.BigEndian.Uint16(part[24:]))
		s.row.event = binary.BigEndian.Uint64(part[26:])
		rows = append(rows, s)
	}
	return rows
}

// index merges the log as it was when it began into the indexed file.
func (d *disk) index(b Bucket, inputs []*entry, bug bug) {
	at := d.bucket(b)
	for _, e := range inputs {
		if slices.Contains(at.log, e) {
			at.indexed = append(at.indexed, e)
		}
	}
	at.log = slices.DeleteFunc(at.log, func(e *entry) bool {
		return slices.Contains(inputs, e) || bug == bugCompactDropsNew && e.synced
	})
}
