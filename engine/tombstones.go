package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// tombstones is what a shard's records say about other records: deletes, undos,
// and the ingest ids that different events share. Logged batches bring them, and
// indexed files carry them on.
type tombstones struct {
	deletes []event.Delete
	undos   []event.Undo
	// damaged are quarantined ids, ascending. They are not records: they are
	// what was found out about records.
	damaged []catalog.IngestID
}

// An encoded tombstones:
//
//	version   byte     1
//	deletes   uvarint, then each: id, uvarint targets, their ids
//	undos     uvarint, then each: id, id of the delete
//	damaged   uvarint, then the ids
//
// Ids are 16 bytes, big-endian.
const tombstonesVersion = 1

func (t *tombstones) empty() bool {
	return len(t.deletes) == 0 && len(t.undos) == 0 && len(t.damaged) == 0
}

// encode is nil for nothing.
func (t *tombstones) encode() []byte {
	if t.empty() {
		return nil
	}
	b := []byte{tombstonesVersion}
	b = binary.AppendUvarint(b, uint64(len(t.deletes)))
	for i := range t.deletes {
		b, _ = t.deletes[i].ID.AppendBinary(b)
		b = appendIDs(b, t.deletes[i].Targets)
	}
	b = binary.AppendUvarint(b, uint64(len(t.undos)))
	for _, u := range t.undos {
		b, _ = u.ID.AppendBinary(b)
		b, _ = u.Delete.AppendBinary(b)
	}
	return appendIDs(b, t.damaged)
}

func appendIDs(b []byte, ids []catalog.IngestID) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b, _ = id.AppendBinary(b)
	}
	return b
}

func decodeTombstones(b []byte) (t tombstones, err error) {
	if len(b) == 0 {
		return t, nil
	}
	if b[0] > tombstonesVersion {
		return t, fmt.Errorf("tombstones of version %d, this arbor knows %d: %w", b[0], tombstonesVersion, event.ErrVersion)
	}
	d := idReader{rest: b[1:], bad: b[0] != tombstonesVersion}
	for range d.count(catalog.IngestIDSize + 1) {
		t.deletes = append(t.deletes, event.Delete{ID: d.id(), Targets: d.ids()})
	}
	for range d.count(2 * catalog.IngestIDSize) {
		t.undos = append(t.undos, event.Undo{ID: d.id(), Delete: d.id()})
	}
	t.damaged = d.ids()
	if d.bad || len(d.rest) != 0 {
		return tombstones{}, fmt.Errorf("tombstones of %d bytes: %w", len(b), indexfile.ErrCorrupt)
	}
	return t, nil
}

// idReader takes ids from the front of rest; after a mistake bad is set and all
// that it gives is zero.
type idReader struct {
	rest []byte
	bad  bool
}

// count is a number of things of at least size bytes each, which must be there.
func (d *idReader) count(size int) int {
	n, used := binary.Uvarint(d.rest)
	if d.bad || used <= 0 || n > uint64(len(d.rest)/size) {
		d.bad = true
		return 0
	}
	d.rest = d.rest[used:]
	return int(n)
}

func (d *idReader) id() (id catalog.IngestID) {
	if d.bad || len(d.rest) < catalog.IngestIDSize {
		d.bad = true
		return id
	}
	id = catalog.IngestIDFromBytes(d.rest)
	d.rest = d.rest[catalog.IngestIDSize:]
	return id
}

func (d *idReader) ids() []catalog.IngestID {
	n := d.count(catalog.IngestIDSize)
	if n == 0 {
		return nil
	}
	ids := make([]catalog.IngestID, n)
	for i := range ids {
		ids[i] = d.id()
	}
	return ids
}

// add takes in another's, with memory of its own.
func (t *tombstones) add(o *tombstones) {
	t.addBatch(o.deletes, o.undos)
	t.addDamaged(o.damaged...)
}

// addBatch takes in a batch's deletes and undos, copying what it keeps.
func (t *tombstones) addBatch(deletes []event.Delete, undos []event.Undo) {
	for _, d := range deletes {
		t.deletes = append(t.deletes, event.Delete{ID: d.ID, Targets: slices.Clone(d.Targets)})
	}
	t.undos = append(t.undos, undos...)
}

// addDamaged takes in quarantined ids and reports how many are new.
func (t *tombstones) addDamaged(ids ...catalog.IngestID) (fresh int) {
	for _, id := range ids {
		at, found := slices.BinarySearchFunc(t.damaged, id, catalog.IngestID.Compare)
		if !found {
			t.damaged = slices.Insert(t.damaged, at, id)
			fresh++
		}
	}
	return fresh
}

func (t *tombstones) isDamaged(id catalog.IngestID) bool {
	_, found := slices.BinarySearchFunc(t.damaged, id, catalog.IngestID.Compare)
	return found
}

// compact drops physical repeats: records that are there more than once. It
// returns the digest of what it dropped.
func (t *tombstones) compact() (dropped event.Digest) {
	seen := map[event.Digest]bool{}
	t.deletes = slices.DeleteFunc(t.deletes, func(d event.Delete) bool {
		var h event.Digest
		h.AddDelete(&d)
		return repeats(seen, h, &dropped)
	})
	t.undos = slices.DeleteFunc(t.undos, func(u event.Undo) bool {
		var h event.Digest
		h.AddUndo(&u)
		return repeats(seen, h, &dropped)
	})
	return dropped
}

// repeats reports whether a record's own digest was seen, and counts it if so.
func repeats(seen map[event.Digest]bool, h event.Digest, dropped *event.Digest) bool {
	if seen[h] {
		*dropped = dropped.Add(h)
		return true
	}
	seen[h] = true
	return false
}

// digest is that of the deletes and undos.
func (t *tombstones) digest() (d event.Digest) {
	for i := range t.deletes {
		d.AddDelete(&t.deletes[i])
	}
	for i := range t.undos {
		d.AddUndo(&t.undos[i])
	}
	return d
}

// inForce is the set of ids that deletes in force at a moment name; nil if none.
func (t *tombstones) inForce(asOf catalog.IngestID) map[catalog.IngestID]struct{} {
	if len(t.deletes) == 0 {
		return nil
	}
	undone := map[catalog.IngestID]bool{}
	for _, u := range t.undos {
		if u.ID.Compare(asOf) <= 0 {
			undone[u.Delete] = true
		}
	}
	var targets map[catalog.IngestID]struct{}
	for i := range t.deletes {
		d := &t.deletes[i]
		if d.ID.Compare(asOf) > 0 || undone[d.ID] {
			continue
		}
		if targets == nil {
			targets = make(map[catalog.IngestID]struct{}, len(d.Targets))
		}
		for _, id := range d.Targets {
			targets[id] = struct{}{}
		}
	}
	return targets
}
