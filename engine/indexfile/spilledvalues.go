package indexfile

import "sort"

// asideValues are what of a column was put aside. Codes and rows lie in pages. The
// distinct values stay in memory as long as they take a small share of it; then an
// epoch ends, they are put aside, too, and the codes that follow count from 0 anew.
// When the file is written the tables of all epochs become one again, in which each
// value has the code that it would have had. Where that would be too much for a
// dictionary, no layout needs it, and each epoch is read with its own table.
type asideValues struct {
	epochs []epoch // ended
	split  bool
	tables []valueTable // of the epochs, where they are split
}

// epoch is a stretch of a column's values.
type epoch struct {
	end     int // where its values end
	entries pages[valueEntry]
	texts   pages[byte]
	to      []uint32 // the codes of all by its own; nil if they are the same
}

// bytes is what the column takes in memory, and dictionaryBytes what its distinct
// values take of it.
func (b *valueBuilder) bytes() int64 {
	return b.codes.bytes() + b.rows.bytes() + b.dictionaryBytes()
}

func (b *valueBuilder) dictionaryBytes() int64 {
	const entryBytes = 24 + 32 // with its slots
	return int64(len(b.entries))*entryBytes + int64(len(b.texts))
}

// spill puts codes and rows aside, and the distinct values if they take more than
// share.
func (b *valueBuilder) spill(s *scratch, share int64) error {
	if err := b.codes.spill(s); err != nil {
		return err
	}
	if err := b.rows.spill(s); err != nil {
		return err
	}
	if b.dictionaryBytes() <= share {
		return nil
	}
	return b.endEpoch(s)
}

func (b *valueBuilder) endEpoch(s *scratch) error {
	e := epoch{end: b.values()}
	e.entries.tail, e.texts.tail = b.entries, b.texts
	if err := e.entries.spill(s); err != nil {
		return err
	}
	if err := e.texts.spill(s); err != nil {
		return err
	}
	e.entries.tail, e.texts.tail = nil, nil
	b.aside.epochs = append(b.aside.epochs, e)
	b.entries, b.texts = b.entries[:0], b.texts[:0]
	clear(b.slots)
	return nil
}

// load makes all values readable.
func (b *valueBuilder) load(s *scratch) error {
	if err := b.codes.load(s); err != nil {
		return err
	}
	if err := b.rows.load(s); err != nil {
		return err
	}
	if len(b.aside.epochs) == 0 {
		return nil
	}
	b.aside.epochs = append(b.aside.epochs, epoch{end: b.values()})
	tables := make([]valueTable, len(b.aside.epochs))
	for i := range b.aside.epochs {
		e := &b.aside.epochs[i]
		if err := e.entries.load(s); err != nil {
			return err
		}
		if err := e.texts.load(s); err != nil {
			return err
		}
		if len(e.entries.parts) > 0 {
			tables[i].entries = e.entries.parts[0]
		}
		if len(e.texts.parts) > 0 {
			tables[i].texts = e.texts.parts[0]
		}
	}
	tables[len(tables)-1] = b.valueTable
	b.unite(tables)
	return nil
}

// unite makes one table of several, or splits the column if that would be too
// large.
func (b *valueBuilder) unite(tables []valueTable) {
	all := valueBuilder{most: b.most}
	for i := range tables {
		t := &tables[i]
		to := make([]uint32, len(t.entries))
		for code := range to {
			v := t.value(uint32(code))
			to[code] = all.intern(v, all.hashOf(v))
			if all.tooMany() {
				for k := range b.aside.epochs {
					b.aside.epochs[k].to = nil
				}
				b.aside.split, b.aside.tables = true, tables
				b.valueTable, b.slots = valueTable{}, nil
				return
			}
		}
		b.aside.epochs[i].to = to
	}
	b.valueTable, b.slots = all.valueTable, nil
}

// tooMany reports whether no dictionary may hold the distinct values.
func (b *valueBuilder) tooMany() bool {
	return b.aside.split || len(b.entries) > b.most || len(b.texts) > maxDictionaryTexts
}

// rank changes all codes of a column of which some were put aside.
func (a *asideValues) rank(to []uint32, values int) {
	if len(a.epochs) == 0 {
		a.epochs = []epoch{{end: values, to: to}}
		return
	}
	for i := range a.epochs {
		for code, old := range a.epochs[i].to {
			a.epochs[i].to[code] = to[old]
		}
	}
}

// enter makes the epoch at hand the one of the i-th value.
func (r *valueReader) enter(i int) {
	epochs := r.builder.aside.epochs
	k := sort.Search(len(epochs), func(k int) bool { return epochs[k].end > i })
	r.from, r.end, r.to = 0, epochs[k].end, epochs[k].to
	if k > 0 {
		r.from = epochs[k-1].end
	}
	if r.split {
		r.valueTable = r.builder.aside.tables[k]
	}
}
