package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// tail is what is known of a shard's logged events: who they are, and which of
// them are copies of each other or of rows in the shard's files. It is worked
// out soon after a batch came, or when a query asks first, batch by batch, and
// grows with the log; when the shard's files change a new one begins.
//
// Keys are known first, columns when a scan asks or the follower has time: who only
// wants to know about duplicates does without them.
//
// An event costs about 100 bytes: its entry, and a slot in the table that finds
// entries by key. The entry holds its key, so that candidates are confirmed
// without going back to the log. What columns cost comes on top; see logColumns.
type tail struct {
	// turn is held by whoever reads or extends what follows, and what the
	// fileset works out once.
	turn  turn
	files *fileset

	// batches is how many of the shard's log refs are known.
	batches int
	entries entries
	users   names
	events  names
	texts   []byte    // insert ids that their keys do not stand for
	byKey   hashtable // the first entry of each key
	ids     idIndex
	groups  []tailGroup
	marks   []batchMarks
	targets targetsInForce
	// unmatched are entries that were not looked for in the files yet, carried those that
	// were looked for in all but the fresh ones.
	unmatched, carried []uint32
	fresh              []bool
	// from is what this tail has to take over yet; see inherit.go.
	from atomic.Pointer[predecessor]
	// columns are the events by column, for scans: of the first batches that are known, maybe not of all.
	columns logColumns
	// damaged are the ids that turned out to belong to different events; spoiled is set
	// when there are some.
	damaged tombstones
	spoiled atomic.Bool
	// first is for who counts duplicates; it has a turn of its own.
	first firstCopies

	states []cachedState

	batch  event.Batch // scratch
	buffer []byte
}

// entry is a logged event.
type entry struct {
	id         catalog.IngestID
	payload    fingerprint
	insert     fingerprint // of indexfile.InsertKey
	time       int64
	user, name uint32 // numbers in users and events
	text       uint32 // where the insert id is in texts, for FormText
	group      int32  // number in groups, or -1 for an event without copies
	form       indexfile.Form
	first      bool // the first entry of its key
}

// tailGroup is copies of one event of which at least one is logged.
type tailGroup struct {
	keyed   bool
	entries []uint32
	rows    []member // in files
	// link is the group that reaches across files and that rows are, or -1.
	link int32
}

// batchMarks are the deletes and undos of a logged batch.
type batchMarks struct {
	batch int
	tombstones
	// targets are the files' rows that the deletes name.
	targets [][]located
}

func newTail(files *fileset) *tail {
	t := &tail{turn: newTurn(), files: files, first: firstCopies{turn: newTurn()}}
	t.ids.entries = &t.entries
	return t
}

// extend makes all batches of the view known, and holds them by column as far as
// the budget goes. The caller has the turn.
func (t *tail) extend(ctx context.Context, v *view) error {
	if err := t.inherit(ctx, v); err != nil {
		return err
	}
	t.columns.begin(&v.engine.columnBudget)
	for held := t.columns.batches(); held < len(v.logs) && !t.columns.isFull(); held++ {
		if err := t.read(ctx, v, held); err != nil {
			return err
		}
		first := uint32(t.columns.rows)
		if held == t.batches {
			if err := t.add(&t.batch); err != nil {
				return err
			}
		}
		t.columns.add(t, &t.batch, first, int64(v.logs[held].length))
	}
	return t.extendKeys(ctx, v, nil)
}

// extendKeys makes all batches of the view known, but for their columns. Those of have,
// nil for none, are not read. The caller has the turn.
func (t *tail) extendKeys(ctx context.Context, v *view, have *decodedRecord) error {
	if err := t.inherit(ctx, v); err != nil {
		return err
	}
	for t.batches < len(v.logs) {
		b := &t.batch
		if have != nil && have.key == v.logs[t.batches].record {
			b = have.batch
		} else if err := t.read(ctx, v, t.batches); err != nil {
			return err
		}
		if err := t.add(b); err != nil {
			return err
		}
	}
	if err := t.match(ctx); err != nil {
		return err
	}
	t.report(v)
	return nil
}

// decodedRecord is a record that somebody has decoded already.
type decodedRecord struct {
	key   recordKey
	batch *event.Batch
}

// read decodes a batch of the view into t.batch.
func (t *tail) read(ctx context.Context, v *view, number int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return v.read(v.logs[number], &t.buffer, &t.batch)
}

// read decodes a logged batch. Its strings hold until buffer is used again.
func (v *view) read(r logRef, buffer *[]byte, into *event.Batch) error {
	record, err := v.record(r, buffer)
	if err != nil {
		return err
	}
	return event.DecodeBatch(record, into)
}

// record reads a batch's record from the log into a buffer.
func (v *view) record(r logRef, buffer *[]byte) ([]byte, error) {
	b, err := v.engine.log.ReadAt(r.position(), (*buffer)[:0])
	if isNotExist(err) { // the view holds the segment, so somebody else removed it
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	*buffer = b
	_, record, err := dot.CutName(b)
	return record, err
}

// add makes the next batch's events and marks known.
func (t *tail) add(b *event.Batch) error {
	if len(b.Deletes)+len(b.Undos) > 0 {
		m := batchMarks{batch: t.batches}
		m.addBatch(b.Deletes, b.Undos)
		targets, err := t.files.locate(allTargets(m.deletes))
		if err != nil {
			return err
		}
		m.targets = targets
		t.marks = append(t.marks, m)
	}
	for i := range b.Events {
		t.addEvent(&b.Events[i])
	}
	t.batches++
	return nil
}

func (t *tail) addEvent(e *event.Event) {
	m := memberOf(e, place{})
	k := indexfile.InsertKeyOf(e.InsertID)
	n := entry{
		id: m.id, payload: m.payload, insert: fingerprint{k.Hi, k.Lo}, form: k.Form, time: m.time,
		user: t.users.number(e.DistinctID), name: t.events.number(e.Name), group: -1,
	}
	if !k.Exact() {
		n.text = uint32(len(t.texts))
		t.texts = append(append(t.texts, byte(len(e.InsertID))), e.InsertID...)
	}
	t.unmatched = append(t.unmatched, t.addEntry(n))
}

// addEntry adds an entry, of which neither its group nor whether it is the first of its
// key is known.
func (t *tail) addEntry(e entry) (number uint32) {
	number = t.entries.add(e)
	n := t.entries.at(number)
	first, found := t.byKey.find(n.keyHash(), number, func(other uint32) bool { return t.areCopies(n, t.entries.at(other)) })
	n.first = !found
	if found {
		g := t.groupOf(first)
		n.group = g
		t.groups[g].entries = append(t.groups[g].entries, number)
	}
	t.identify(number)
	return number
}

// keyHash is a hash that copies share.
func (n *entry) keyHash() uint64 {
	h := n.insert
	if n.form == indexfile.FormNone {
		h = fingerprint{n.payload.hi ^ uint64(n.time), n.payload.lo}
	}
	return mixHash(h.hi*0x9e3779b97f4a7c15 ^ h.lo ^ uint64(n.user)<<32)
}

// areCopies compares two entries by what makes copies.
func (t *tail) areCopies(a, b *entry) bool {
	if a.user != b.user || a.form != b.form {
		return false
	}
	switch a.form {
	case indexfile.FormNone:
		return a.payload == b.payload && a.time == b.time
	case indexfile.FormText:
		return a.insert == b.insert && t.insertText(a) == t.insertText(b)
	}
	return a.insert == b.insert
}

// insertText is the insert id of an entry whose key does not stand for it.
func (t *tail) insertText(n *entry) string {
	size := int(t.texts[n.text])
	return textOf(t.texts[n.text+1:][:size])
}

// textOf is b as a string, without a copy; b must not change.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// identify finds an entry of the same ingest id; if it is another event both are
// damaged, else they are one and the same, and fall into one group by their keys.
func (t *tail) identify(number uint32) {
	n := t.entries.at(number)
	other, found := t.ids.add(number)
	if !found {
		return
	}
	if o := t.entries.at(other); o.payload != n.payload || o.time != n.time {
		t.spoil(n.id)
	}
}

// spoil makes an id known as that of different events.
func (t *tail) spoil(id catalog.IngestID) {
	t.damaged.addDamaged(id)
	t.spoiled.Store(true)
}

func idHash(id catalog.IngestID) uint64 {
	return mixHash(id.Time*0x9e3779b97f4a7c15 ^ uint64(id.Edge)<<32 ^ uint64(id.Index))
}

// mixHash spreads a hash for a table.
func mixHash(h uint64) uint64 {
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32) * 0x94d049bb133111eb
	return tableHash(h ^ h>>29)
}

// groupOf is the number of an entry's group, which is made if there is none.
func (t *tail) groupOf(number uint32) int32 {
	n := t.entries.at(number)
	if n.group < 0 {
		n.group = int32(len(t.groups))
		t.groups = append(t.groups, tailGroup{keyed: n.form != indexfile.FormNone, entries: []uint32{number}, link: -1})
	}
	return n.group
}

// member is an entry as a member of its group.
func (t *tail) member(number uint32) member {
	n := t.entries.at(number)
	return member{id: n.id, payload: n.payload, name: t.events.list[n.name], time: n.time, at: place{inLog, number}}
}

// find is the entry that bears the id, and whether there is one.
func (t *tail) find(id catalog.IngestID) (uint32, bool) {
	return t.ids.look(id)
}

// report raises an alarm for each id that was found to be damaged.
func (t *tail) report(v *view) {
	for _, id := range t.damaged.damaged {
		v.engine.alarmCollision(v.shard.key, id)
	}
}
