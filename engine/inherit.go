package engine

import (
	"cmp"
	"context"
	"slices"

	"arbor/engine/appendlog"
	"arbor/engine/indexfile"
)

// When a file of a shard is published, some batches of its log are in the file, and the
// others stay. What is known of those is carried over from the old tail to the new one:
// nothing is read from the log again, decoded or hashed. The old tail stays as it is, for
// views that have it.
//
// Files that stay were asked for copies already. What is new in a file is what was in the
// log, or in the files that it replaces, so that only those events are looked for in it
// of which the old tail knew a copy there.
//
// It is carried over when somebody first asks the new tail, or the follower comes by. Until
// then the new tail holds on to the old one, unless nothing stays in the log.

// predecessor is the tail that a tail takes over from.
type predecessor struct {
	tail *tail
	// kept are the batches of the old tail that stay in the log, ascending. The first
	// batches of the new one are those.
	kept []keptBatch
	// known is how many batches the old tail must know for its groups to say which events
	// have copies in the new files: those of all batches that are in them.
	known int
	// foreign says that more may be in the new files than what was in the shard.
	foreign bool
}

// keptBatch is a batch of an old tail.
type keptBatch struct {
	number int    // of the batch in the old tail
	first  uint32 // its first event's number there
	events int32
	bytes  int32
}

// succeed makes the tail one that takes over from the tail of old contents what is known
// of the batches that stay in the log: those of which the position is not indexed. foreign
// says that the new files may have more than what was in the log or in files.
func (t *tail) succeed(old *contents, indexed func(appendlog.Position) bool, foreign bool) {
	next := &predecessor{tail: old.tail, foreign: foreign}
	first := uint32(0)
	for i, r := range old.logs {
		if indexed(r.position()) {
			next.known = i + 1
		} else {
			next.kept = append(next.kept, keptBatch{i, first, r.events, r.length})
		}
		first += uint32(r.events)
	}
	if p := old.tail.from.Load(); p != nil {
		next = p.through(next)
	}
	if len(next.kept) > 0 {
		t.from.Store(next)
	}
}

// through is what a tail takes over from this one by way of another that nobody has asked
// yet, which knows nothing but what it could take over itself.
func (p *predecessor) through(next *predecessor) *predecessor {
	all := &predecessor{tail: p.tail, known: p.known, foreign: p.foreign || next.foreign || next.known > len(p.kept)}
	if next.known > 0 && !all.foreign {
		all.known = max(all.known, p.kept[next.known-1].number+1)
	}
	for _, k := range next.kept {
		if k.number >= len(p.kept) {
			break
		}
		all.kept = append(all.kept, p.kept[k.number])
	}
	return all
}

// inherit carries over what is known already. The caller has the turn.
func (t *tail) inherit(ctx context.Context, v *view) error {
	p := t.from.Load()
	if p == nil {
		return nil
	}
	old := p.tail
	if err := old.turn.take(ctx); err != nil {
		return err
	}
	defer old.turn.give()
	known := p.kept
	for i, k := range known {
		if k.number >= old.batches {
			known = known[:i]
			break
		}
	}
	h := &heir{tail: t, old: old, kept: known, blind: p.foreign || p.known > old.batches}
	if err := h.locate(); err != nil {
		return err
	}
	h.takeEntries()
	t.fresh = h.fresh()
	t.columns.begin(&v.engine.columnBudget)
	t.columns.inherit(t, &old.columns, known)
	t.from.Store(nil)
	return nil
}

// heir is a tail while it takes over.
type heir struct {
	tail, old *tail
	kept      []keptBatch
	// blind says that the old tail's groups do not say who has copies in new files.
	blind bool
	links *links
	// sources are the numbers in the new files of the old ones, -1 for those that were
	// replaced.
	sources []int32
	marks   []batchMarks
}

// locate finds what the new files are asked for. It is all that may fail.
func (h *heir) locate() (err error) {
	t, old := h.tail, h.old
	if h.links, err = t.files.linked(); err != nil {
		return err
	}
	h.sources = make([]int32, len(old.files.files))
	for i, f := range old.files.files {
		h.sources[i] = int32(slices.Index(t.files.files, f))
	}
	for number, k := range h.kept {
		for _, m := range old.marks {
			if m.batch != k.number {
				continue
			}
			m.batch = number
			if m.targets, err = t.files.locate(allTargets(m.deletes)); err != nil {
				return err
			}
			h.marks = append(h.marks, m)
		}
	}
	return nil
}

// takeEntries takes over the events' keys, and what was found for them in files that are
// still there.
func (h *heir) takeEntries() {
	t, old := h.tail, h.old
	users, names := carried{from: &old.users, to: &t.users}, carried{from: &old.events, to: &t.events}
	matched := uint32(old.entries.count) // up to which entry the old files were asked
	if len(old.unmatched) > 0 {
		matched = slices.Min(old.unmatched)
	}
	if len(old.carried) > 0 {
		matched = min(matched, slices.Min(old.carried))
	}
	events := 0
	for _, k := range h.kept {
		events += int(k.events)
	}
	t.byKey.reset(events)
	for _, k := range h.kept {
		for from := k.first; from < k.first+uint32(k.events); from++ {
			o := old.entries.at(from)
			e := *o
			e.user, e.name, e.group, e.first = users.number(o.user), names.number(o.name), -1, false
			if e.form == indexfile.FormText {
				e.text = uint32(len(t.texts))
				t.texts = append(t.texts, old.texts[o.text:][:1+int(old.texts[o.text])]...)
			}
			number := t.addEntry(e)
			if from >= matched || old.damaged.isDamaged(o.id) {
				t.unmatched = append(t.unmatched, number)
				continue
			}
			if h.blind {
				t.carried = append(t.carried, number)
			}
			if t.entries.at(number).first && o.group >= 0 {
				h.takeGroup(number, &old.groups[o.group])
			}
		}
	}
	t.batches, t.marks = len(h.kept), h.marks
}

// takeGroup takes over the copies of an entry, the first of its key, that were found in
// files, and has it looked for in the new ones if one was elsewhere.
func (h *heir) takeGroup(number uint32, from *tailGroup) {
	t := h.tail
	moved := slices.ContainsFunc(from.entries, func(o uint32) bool { return !h.keeps(o) })
	for _, r := range from.rows {
		source := h.sources[r.at.source]
		if source < 0 {
			moved = true
			continue
		}
		r.at.source = source
		g := &t.groups[t.groupOf(number)]
		g.rows = append(g.rows, r)
		if link, ok := h.links.of[r.at]; ok {
			g.link = max(g.link, link)
		}
	}
	if moved && !h.blind {
		t.carried = append(t.carried, number)
	}
}

// keeps reports whether an entry of the old tail is taken over, or could have been.
func (h *heir) keeps(old uint32) bool {
	at, found := slices.BinarySearchFunc(h.kept, old, func(k keptBatch, old uint32) int { return cmp.Compare(k.first, old) })
	if !found {
		at--
	}
	return at >= 0 && old < h.kept[at].first+uint32(h.kept[at].events)
}

// fresh reports for each file whether the entries that were carried over have not been
// looked for in it.
func (h *heir) fresh() []bool {
	fresh := slices.Repeat([]bool{true}, len(h.tail.files.files))
	for _, s := range h.sources {
		if s >= 0 {
			fresh[s] = false
		}
	}
	return fresh
}

// carried numbers anew the names that are met again.
type carried struct {
	from, to *names
	numbers  []uint32 // 1 + the new number of each, 0 if it was not met
}

func (c *carried) number(old uint32) uint32 {
	if c.numbers == nil {
		c.numbers = make([]uint32, len(c.from.list))
	}
	if c.numbers[old] == 0 {
		c.numbers[old] = 1 + c.to.number(c.from.list[old])
	}
	return c.numbers[old] - 1
}

// inherit takes over the batches that the old columns hold, as far as the budget goes.
// Where events have properties without a column nothing is: which do would be another
// set. The caller has both tails' turns.
func (c *logColumns) inherit(t *tail, old *logColumns, kept []keptBatch) {
	h := columnHeir{to: c, tail: t}
	old.mu.Lock()
	h.from, h.columns = old.chunks, make([]carriedColumn, len(old.columns))
	for i, p := range old.columns {
		h.columns[i].from = p
	}
	ends, spilled := old.ends, old.spilled
	old.mu.Unlock()
	if spilled {
		return
	}
	first := uint32(0)
	for _, k := range kept {
		if k.number >= len(ends) || !c.takesBatch(int64(k.bytes)) {
			return
		}
		h.take(int(ends[k.number])-int(k.events), int(k.events), first)
		first += uint32(k.events)
		c.hold(t, int(k.events), int64(k.bytes))
	}
}

// columnHeir is columns while they take over.
type columnHeir struct {
	to      *logColumns
	tail    *tail
	from    []*logChunk
	columns []carriedColumn // by the old numbers
}

// carriedColumn is a column of the old columns, and what it is now.
type carriedColumn struct {
	from, to *logProperty
	codes    []int32 // 1 + the new code of each, 0 if it was not met
}

// take takes over n rows from a row on, whose entries are those from first on.
func (h *columnHeir) take(from, n int, first uint32) {
	for n > 0 {
		lo := from % logChunkRows
		c := h.to
		c.mu.Lock()
		last := len(c.chunks) - 1
		if last < 0 || c.chunks[last].rows == logChunkRows {
			c.chunks = append(c.chunks, newLogChunk())
			last++
		}
		some := min(n, lockRows, logChunkRows-lo, logChunkRows-c.chunks[last].rows)
		h.takeRows(c.chunks[last], h.from[from/logChunkRows], lo, some, first)
		c.mu.Unlock()
		from, first, n = from+some, first+uint32(some), n-some
	}
}

// takeRows takes over the rows [lo, lo+n) of a chunk. The caller has the new columns' mu.
func (h *columnHeir) takeRows(to, from *logChunk, lo, n int, first uint32) {
	c := h.to
	for i := range n {
		e := h.tail.entries.at(first + uint32(i))
		c.know(e, h.tail.events.list[e.name], h.tail.users.list[e.user])
		to.addEntry(e, &c.size)
	}
	at, _ := slices.BinarySearch(from.ofServer, uint16(lo))
	for _, row := range from.ofServer[at:] {
		if int(row) >= lo+n {
			break
		}
		to.ofServer = appendCounted(to.ofServer, uint16(to.rows+int(row)-lo), &c.size)
	}
	for number, s := range from.slots {
		if s == nil {
			continue
		}
		a, b := s.slotsBelow(lo), s.slotsBelow(lo+n)
		if a == b {
			continue
		}
		column := &h.columns[number]
		if column.to == nil {
			column.to = c.named(column.from.name)
		}
		slots := to.of(column.to, &c.size)
		for slot := a; slot < b; slot++ {
			column.carry(slots, to.rows+s.rowOf(slot)-lo, s, slot, c.budget.maxCoded, &c.size)
		}
		c.full = c.full || len(column.to.dictionary.bytes) > c.budget.maxDictionary
	}
	to.rows += n
	c.full = c.full || max(len(c.events.bytes), len(c.users.bytes)) > c.budget.maxDictionary
}

// carry adds an old slot's value as that of a row, by its code if that is known.
func (k *carriedColumn) carry(to *logSlots, row int, from *logSlots, slot, maxCoded int, size *int64) {
	if from.plain {
		to.add(row, from.value(slot), maxCoded, size)
		return
	}
	old := from.codes.at(slot)
	if k.codes == nil {
		k.codes = make([]int32, k.from.dictionary.len())
	}
	code := k.codes[old]
	if code > 0 && to.addCode(row, code-1, maxCoded, size) {
		return
	}
	to.add(row, from.value(slot), maxCoded, size)
	if !to.plain {
		k.codes[old] = 1 + to.codes.at(to.count-1)
	}
}
