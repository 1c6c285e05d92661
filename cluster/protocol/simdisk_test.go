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

// diskBucket is what a simulated disk has of a bucket: a log, and indexed files,
// which may have some of the rows twice.
type diskBucket struct {
	log   []*entry
	files []*diskFile
}

// diskFile is an indexed file: it does not change. Its dots are those of its rows.
type diskFile struct {
	name   string
	rows   []*entry
	synced bool
	// rotten: nothing of it can be read, and the ledger says what was in it.
	rotten bool
}

func (f *diskFile) dots() (s dot.Set) {
	for _, e := range f.rows {
		s.Add(e.dot)
	}
	return s
}

// disk is one member's. What is not synced may be lost in a crash.
type disk struct {
	generation uint32 // 0: nothing was ever written
	ledger     map[Bucket]Record
	buckets    map[Bucket]*diskBucket
	// disowned are buckets that lost what nobody has: the next start gives them up.
	disowned map[Bucket]bool
}

func newDisk() *disk {
	return &disk{ledger: map[Bucket]Record{}, buckets: map[Bucket]*diskBucket{}, disowned: map[Bucket]bool{}}
}

func (d *disk) bucket(b Bucket) *diskBucket {
	if d.buckets[b] == nil {
		d.buckets[b] = &diskBucket{}
	}
	return d.buckets[b]
}

// entries are all of a bucket, as they lie there: rows of files that are synced,
// and then the log.
func (b *diskBucket) entries() (all []*entry) {
	for _, f := range b.files {
		if f.synced {
			all = append(all, f.rows...)
		}
	}
	return append(all, b.log...)
}

// all are the entries that are synced, those with one physical id once, but with a
// bug.
func (b *diskBucket) all(bug bug) (all []*entry) {
	seen := map[dot.Dot]bool{}
	for _, e := range b.entries() {
		if e.synced && (!seen[e.dot] || bug == bugAdoptTwice || bug == bugAdoptNoPhysID) {
			seen[e.dot] = true
			all = append(all, e)
		}
	}
	return all
}

func (b *diskBucket) find(d dot.Dot) *entry {
	for _, e := range b.entries() {
		if e.dot == d {
			return e
		}
	}
	return nil
}

// has says whether an event is durable.
func (b *diskBucket) has(event uint64) bool {
	return slices.ContainsFunc(b.entries(), func(e *entry) bool { return e.event == event && e.synced })
}

// fetch gives batches of the log, and offers files for what is in them only. If kept
// is set, what is in files is still there as batches.
func (d *disk) fetch(b Bucket, want *dot.Set, kept bool) (x Fetched) {
	at := d.bucket(b).sound()
	batches := at.log
	if kept {
		batches = at.entries()
	}
	var given dot.Set
	for _, e := range batches {
		if e.synced && want.Contains(e.dot) && len(x.Batches) < 20 && given.Add(e.dot) {
			x.Batches = append(x.Batches, Batch{e.dot, e.record})
		}
	}
	if kept {
		return x
	}
	for _, f := range at.files {
		dots := f.dots()
		wanted := want.And(&dots)
		if rest := wanted.Minus(&given); f.synced && !rest.IsEmpty() && len(x.Files) < MaxOffers {
			x.Files = append(x.Files, FileOffer{f.name, uint64(len(f.rows)), dots})
		}
	}
	return x
}

// file finds a file that was offered.
func (d *disk) file(b Bucket, name string) *diskFile {
	for _, f := range d.bucket(b).files {
		if f.name == name {
			return f
		}
	}
	return nil
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
		at.files = slices.DeleteFunc(at.files, func(f *diskFile) bool {
			lost := !f.synced && w.rand.IntN(2) == 0
			f.synced = true
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
		for _, e := range at.all("") {
			k.Dots.Add(e.dot)
		}
		all[b] = k
	}
	return all
}

// scan gives the rows of some buckets as bytes.
func (d *disk) scan(buckets []Bucket, bug bug) []byte {
	var part []byte
	for _, b := range buckets {
		for _, e := range d.bucket(b).sound().all(bug) {
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

// index makes a file of the log as it was when it began.
func (d *disk) index(b Bucket, name string, inputs []*entry, bug bug) {
	at := d.bucket(b)
	f := &diskFile{name: name, synced: true}
	for _, e := range inputs {
		if slices.Contains(at.log, e) {
			f.rows = append(f.rows, e)
		}
	}
	at.log = slices.DeleteFunc(at.log, func(e *entry) bool {
		return slices.Contains(inputs, e) || bug == bugCompactDropsNew && e.synced
	})
	if len(f.rows) > 0 {
		at.files = append(at.files, f)
	}
}

// merge makes one file of several; rows with one physical id are one.
func (d *disk) merge(b Bucket, name string, inputs []*diskFile, bug bug) {
	at := d.bucket(b)
	f := &diskFile{name: name, synced: true}
	seen := map[dot.Dot]bool{}
	for _, from := range inputs {
		for _, e := range from.rows {
			if !seen[e.dot] || bug == bugAdoptTwice {
				seen[e.dot] = true
				f.rows = append(f.rows, e)
			}
		}
	}
	at.files = slices.DeleteFunc(at.files, func(f *diskFile) bool { return slices.Contains(inputs, f) })
	at.files = append(at.files, f)
}
