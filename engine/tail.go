package engine

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"arbor/catalog"
	"arbor/engine/event"
	"github.com/zeebo/xxh3"
)

// tail is what is known of a shard's logged events: who they are, and which of
// them are copies of each other or of rows in the shard's files. It is worked
// out when a query first asks, batch by batch, and grows with the log; when the
// shard's files change a new one begins.
//
// An event costs about 60 bytes and its key. Hashes find candidates, and the keys
// kept here confirm them.
type tail struct {
	// turn is held by whoever reads or extends what follows, and what the
	// fileset works out once.
	turn  turn
	files *fileset

	// batches is how many of the shard's log refs are known.
	batches int
	entries []entry
	keys    []byte // the entries' keys
	names   []string
	codes   map[string]uint32
	byKey   hashtable // the first entry of each key
	byID    hashtable // the first entry of each ingest id
	groups  []tailGroup
	marks   []batchMarks
	// unmatched are entries that were not looked for in the files yet.
	unmatched []uint32
	// damaged are the ids that turned out to belong to different events.
	damaged tombstones

	states []cachedState

	batch  event.Batch // scratch
	buffer []byte
}

// entry is a logged event.
type entry struct {
	id      catalog.IngestID
	payload fingerprint
	time    int64
	key     uint32 // where its key starts in keys
	name    uint32 // number in names
	group   int32  // number in groups, or -1 for an event without copies
	first   bool   // the first entry of its key
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
	return &tail{turn: newTurn(), files: files}
}

// extend makes all batches of the view known. The caller has the turn.
func (t *tail) extend(ctx context.Context, v *view) error {
	for t.batches < len(v.logs) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.read(v.logs[t.batches], &t.buffer, &t.batch); err != nil {
			return err
		}
		if err := t.add(&t.batch); err != nil {
			return err
		}
		t.batches++
	}
	if err := t.match(ctx); err != nil {
		return err
	}
	t.report(v)
	return nil
}

// read decodes a logged batch. Its strings hold until buffer is used again.
func (v *view) read(r logRef, buffer *[]byte, into *event.Batch) error {
	b, err := v.engine.log.ReadAt(r.position(), (*buffer)[:0])
	if err != nil {
		return err
	}
	*buffer = b
	return event.DecodeBatch(b, into)
}

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
	return nil
}

func (t *tail) addEvent(e *event.Event) {
	number := uint32(len(t.entries))
	m := memberOf(e, place{})
	n := entry{id: m.id, payload: m.payload, time: m.time, name: t.code(e.Name), group: -1}
	n.key = t.addKey(e, n.payload)
	t.entries = append(t.entries, n)
	t.unmatched = append(t.unmatched, number)

	key := t.keyAt(n.key)
	first, found := t.byKey.find(tableHash(xxh3.Hash(key)), number, func(other uint32) bool {
		return string(t.keyAt(t.entries[other].key)) == string(key)
	})
	t.entries[number].first = !found
	if found {
		t.keys = t.keys[:n.key]
		t.entries[number].key = t.entries[first].key
		t.join(number, t.groupOf(first))
	}
	t.identify(number)
}

// identify finds an entry of the same ingest id; if it is another event both are
// damaged, else they are one and the same, and fall into one group by their keys.
func (t *tail) identify(number uint32) {
	n := &t.entries[number]
	other, found := t.byID.find(idHash(n.id), number, func(o uint32) bool { return t.entries[o].id == n.id })
	if o := &t.entries[other]; found && (o.payload != n.payload || o.time != n.time) {
		t.damaged.addDamaged(n.id)
	}
}

func idHash(id catalog.IngestID) uint64 {
	h := id.Time*0x9e3779b97f4a7c15 ^ uint64(id.Edge)<<32 ^ uint64(id.Index)
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32) * 0x94d049bb133111eb
	return tableHash(h ^ h>>29)
}

// code is the number of an event's name.
func (t *tail) code(name string) uint32 {
	if c, ok := t.codes[name]; ok {
		return c
	}
	if t.codes == nil {
		t.codes = map[string]uint32{}
	}
	name = strings.Clone(name)
	c := uint32(len(t.names))
	t.names = append(t.names, name)
	t.codes[name] = c
	return c
}

// A key is: length of the rest, uvarint; 1 if there is an insert id, else 0;
// length of the distinct id, uvarint; the distinct id; and the insert id or,
// without one, the time and the payload's fingerprint.
func (t *tail) addKey(e *event.Event, payload fingerprint) (at uint32) {
	at = uint32(len(t.keys))
	size := 1 + uvarintSize(len(e.DistinctID)) + len(e.DistinctID)
	if e.InsertID != "" {
		size += len(e.InsertID)
	} else {
		size += 24
	}
	k := binary.AppendUvarint(t.keys, uint64(size))
	if e.InsertID != "" {
		k = append(k, 1)
	} else {
		k = append(k, 0)
	}
	k = binary.AppendUvarint(k, uint64(len(e.DistinctID)))
	k = append(k, e.DistinctID...)
	if e.InsertID != "" {
		k = append(k, e.InsertID...)
	} else {
		k = binary.BigEndian.AppendUint64(k, uint64(e.Time))
		k = binary.BigEndian.AppendUint64(k, payload.hi)
		k = binary.BigEndian.AppendUint64(k, payload.lo)
	}
	t.keys = k
	return at
}

func uvarintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// keyAt is the key that starts at a place, without its length.
func (t *tail) keyAt(at uint32) []byte {
	size, n := binary.Uvarint(t.keys[at:])
	return t.keys[int(at)+n:][:size]
}

// user and insertID take a key apart. They refer to the tail's memory.
func (t *tail) user(number uint32) (distinctID, insertID string) {
	key := t.keyAt(t.entries[number].key)
	size, n := binary.Uvarint(key[1:])
	rest := key[1+n:]
	distinctID = textOf(rest[:size])
	if key[0] == 1 {
		insertID = textOf(rest[size:])
	}
	return distinctID, insertID
}

// textOf is b as a string, without a copy: keys never change.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// groupOf is the number of an entry's group, which is made if there is none.
func (t *tail) groupOf(number uint32) int32 {
	n := &t.entries[number]
	if n.group < 0 {
		n.group = int32(len(t.groups))
		t.groups = append(t.groups, tailGroup{keyed: t.keyAt(n.key)[0] == 1, entries: []uint32{number}, link: -1})
	}
	return n.group
}

func (t *tail) join(number uint32, g int32) {
	t.entries[number].group = g
	t.groups[g].entries = append(t.groups[g].entries, number)
}

// member is an entry as a member of its group.
func (t *tail) member(number uint32) member {
	n := &t.entries[number]
	return member{id: n.id, payload: n.payload, name: t.names[n.name], time: n.time, at: place{inLog, number}}
}

// find is the entry that bears the id, and whether there is one.
func (t *tail) find(id catalog.IngestID) (uint32, bool) {
	return t.byID.look(idHash(id), func(o uint32) bool { return t.entries[o].id == id })
}

// report raises an alarm for each id that was found to be damaged.
func (t *tail) report(v *view) {
	for _, id := range t.damaged.damaged {
		v.engine.alarmCollision(v.shard.key, id)
	}
}

// match looks for the new entries in the files: for copies, by users, and for
// their ingest ids. What is found counts once all was looked at, so that a
// match that was broken off can begin again.
func (t *tail) match(ctx context.Context) error {
	if len(t.unmatched) == 0 {
		return nil
	}
	var matches []rowMatch
	if len(t.files.files) > 0 {
		links, err := t.files.linked()
		if err != nil {
			return err
		}
		probes := t.probes()
		for i, f := range t.files.files {
			if matches, err = t.matchFile(ctx, int32(i), f, probes, links, matches); err != nil {
				return err
			}
			if err := t.matchIDs(f); err != nil {
				return err
			}
		}
	}
	for _, m := range matches {
		g := &t.groups[t.groupOf(m.number)]
		g.rows = append(g.rows, m.rows...)
		g.link = max(g.link, m.link)
	}
	t.unmatched = t.unmatched[:0]
	return nil
}

// rowMatch says that an entry's copies in a file are these rows.
type rowMatch struct {
	number uint32
	rows   []member
	link   int32
}

// probes are the new keys, those of one user together.
func (t *tail) probes() []probe {
	probes := make([]probe, 0, len(t.unmatched))
	for _, number := range t.unmatched {
		n := &t.entries[number]
		if !n.first {
			continue
		}
		user, insertID := t.user(number)
		probes = append(probes, probe{number: number, user: user, insertID: insertID, time: n.time, payload: n.payload})
	}
	slices.SortFunc(probes, func(a, b probe) int { return strings.Compare(a.user, b.user) })
	return probes
}

func (t *tail) matchFile(ctx context.Context, source int32, f *file, probes []probe, links *links, matches []rowMatch) ([]rowMatch, error) {
	m := newMatcher(f)
	err := m.match(ctx, probes, func(p *probe, ordinal uint32) error {
		g, err := t.files.load([]place{{source, ordinal}})
		if err != nil {
			return err
		}
		link, ok := links.of[place{source, ordinal}]
		if !ok {
			link = -1
		}
		matches = append(matches, rowMatch{p.number, g.members, link})
		return nil
	})
	return matches, err
}

// matchIDs looks for the new entries' ingest ids among the file's rows. A row of
// the same id is the same event, or both are damaged.
func (t *tail) matchIDs(f *file) error {
	var ids []catalog.IngestID
	for _, number := range t.unmatched {
		if id := t.entries[number].id; id.Compare(f.minID) >= 0 && id.Compare(f.maxID) <= 0 {
			ids = append(ids, id)
		}
	}
	rows, err := f.locate(sortIDs(ids))
	if err != nil || len(rows) == 0 {
		return err
	}
	c := f.cursor()
	for _, r := range rows {
		e, err := c.event(int(r.ordinal))
		if err != nil {
			return err
		}
		m := memberOf(e, place{})
		number, _ := t.find(r.id)
		if n := &t.entries[number]; n.payload != m.payload || n.time != m.time {
			t.damaged.addDamaged(r.id)
		}
	}
	return nil
}
