package indexfile

import (
	"fmt"
	"strings"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// BuilderOptions say how a file is built.
type BuilderOptions struct {
	// Rows is about how many rows will come, if that is known.
	Rows int
	// Version is the format to write, 0 for the newest. Tests write older ones, which
	// are on disks.
	Version uint32
	// Short encodes columns that are so short that it does not pay: tests do, so
	// that few rows show what many are like.
	Short bool
	// Memory is about what the rows may take in memory, 0 for no limit. What is
	// over is put aside in a file of the name Aside, which is there until Close.
	// The file that is written is the same.
	Memory int64
	FS     vfs.FS
	Aside  string
}

// Builder collects rows by column and writes them as a file. It is for one
// goroutine. It holds what the file will hold, distinct values once, or what its
// limit allows of it; see limit.go. It must be closed.
type Builder struct {
	times       pages[int64]
	ids         pages[catalog.IngestID]
	last        Row // but for its distinct id, which users has
	inserts     insertBuilder
	users       userBuilder
	events      valueBuilder
	serverTimes valueBuilder
	properties  map[string]*valueBuilder
	expected    int // rows
	maxColumns  int // of properties; the others go to others
	maxEntries  int // of a property's dictionary
	version     uint32
	small       int // see coder
	others      valueBuilder
	limit       limit
	// found are the columns of the row at hand, nil for those without one, which
	// are in otherText.
	found     []*valueBuilder
	otherText []byte
	// first is the column that the row before had first: the first guess.
	first *valueBuilder
	gathering
}

// NewBuilder returns an empty Builder.
func NewBuilder(o BuilderOptions) *Builder {
	n := min(max(o.Rows, 0), MaxRows)
	b := &Builder{
		properties: map[string]*valueBuilder{},
		maxColumns: MaxColumns,
		maxEntries: maxDictionaryEntries,
		version:    o.Version,
		small:      maxPooled,
		limit:      limit{bytes: o.Memory, scratch: scratch{fs: o.FS, path: o.Aside}},
	}
	if o.Memory > 0 {
		n = min(n, int(o.Memory/rowBytes))
	}
	b.expected = n
	b.times.tail = spareTimes.get(n)
	b.ids.tail = spareIDs.get(n)
	if b.version == 0 {
		b.version = Version
	}
	if o.Short {
		b.small = 0
	}
	b.inserts.packed.tail = sparePacks.get(n)
	b.inserts.forms.tail = spareForms.get(n)
	b.events.codes.tail = spareCodes.get(n)
	for c := range b.columns {
		c.most = maxDictionaryEntries
	}
	b.users.init()
	return b
}

// Rows is the number of rows added.
func (b *Builder) Rows() int { return b.times.len() }

// Add takes the next row, which must come after the last one in the order of
// Row.Compare; equal rows may follow each other. Its bytes are copied. After an
// error of the row itself it is not in, and the Builder may go on.
func (b *Builder) Add(r *Row) error {
	sameUser, err := b.check(r)
	if err != nil {
		return fmt.Errorf("row %s: %w", r.ID, err)
	}
	b.begin(r.DistinctID, r.Time, r.ID, sameUser)
	b.put(r, InsertKeyOf(r.InsertID))
	return b.keepLimit()
}

// begin takes the user of the next row, and notes its place in the order.
func (b *Builder) begin(user string, time int64, id catalog.IngestID, sameUser bool) {
	if sameUser {
		b.users.again()
	} else {
		b.users.add(user)
	}
	b.last.Time, b.last.ID = time, id
}

// put takes what a row has but its user, once it is checked and its columns are
// found. key is that of its insert id.
func (b *Builder) put(r *Row, key InsertKey) {
	row := uint32(b.Rows())
	b.times.add(r.Time)
	b.ids.add(r.ID)
	b.inserts.add(r.InsertID, key)
	b.events.add(row, catalog.String(r.Name))
	if r.ServerTime {
		b.serverTimes.add(row, catalog.Bool(true))
	}
	for i, c := range b.found {
		if c != nil {
			c.add(row, r.Properties[i].Value)
		}
	}
	if len(b.otherText) > 0 {
		b.others.add(row, catalog.String(text(b.otherText)))
	}
}

// find puts the columns of a row's properties into found. Rows are much alike,
// so each column remembers which one followed it: where that guess is right the
// names need no search, and no check of their order either.
func (b *Builder) find(r *Row) error {
	b.found, b.otherText = b.found[:0], b.otherText[:0]
	guess := &b.first
	for i := range r.Properties {
		p := &r.Properties[i]
		c := *guess
		if c == nil || c.name != p.Name {
			if i > 0 && r.Properties[i-1].Name >= p.Name {
				return fmt.Errorf("property %q after %q: %w", p.Name, r.Properties[i-1].Name, ErrOrder)
			}
			var err error
			if c, err = b.property(p.Name); err != nil {
				return err
			}
			if c != nil {
				*guess = c
			}
		}
		if err := checkValue(p); err != nil {
			return err
		}
		b.found = append(b.found, c)
		b.limit.came += int64(len(p.Value.Text))
		if c != nil {
			guess = &c.next
		} else {
			b.otherText = appendOther(b.otherText, p)
		}
	}
	if len(b.otherText) > MaxTextBytes {
		return fmt.Errorf("%d bytes of properties without a column, at most %d: %w", len(b.otherText), MaxTextBytes, ErrLimit)
	}
	return nil
}

// checkValue says what is wrong with a property's value.
func checkValue(p *catalog.Property) error {
	if p.Value.Kind > catalog.KindJSON {
		return fmt.Errorf("property %q: kind %d: %w", p.Name, p.Value.Kind, ErrColumn)
	}
	if len(p.Value.Text) > MaxTextBytes {
		return fmt.Errorf("property %q: %d bytes, at most %d: %w", p.Name, len(p.Value.Text), MaxTextBytes, ErrLimit)
	}
	return nil
}

// property is the column of a property, a new one if need be, nil if there are
// enough.
func (b *Builder) property(name string) (*valueBuilder, error) {
	if c, ok := b.properties[name]; ok {
		return c, nil
	}
	if len(name) > MaxTextBytes {
		return nil, fmt.Errorf("property's name of %d bytes, at most %d: %w", len(name), MaxTextBytes, ErrLimit)
	}
	if len(b.properties) >= b.maxColumns {
		return nil, nil
	}
	c := &valueBuilder{name: strings.Clone(name), expected: b.expected, most: b.maxEntries}
	b.properties[c.name] = c
	return c, nil
}

// check says what is wrong with the next row, finds its columns, and says whether
// it is of the same user as the last.
func (b *Builder) check(r *Row) (sameUser bool, err error) {
	if err := b.checkSize(r); err != nil {
		return false, err
	}
	if sameUser, err = b.checkOrder(r.DistinctID, r.Time, r.ID); err != nil {
		return false, err
	}
	b.limit.came += int64(len(r.DistinctID) + len(r.InsertID))
	return sameUser, b.find(r)
}

// checkOrder holds the next row's user, time and id against those of the last.
func (b *Builder) checkOrder(user string, time int64, id catalog.IngestID) (sameUser bool, err error) {
	if b.Rows() == 0 {
		return false, nil
	}
	last := text(b.users.last)
	sameUser = last == user
	switch {
	case !sameUser && last < user:
		return false, nil
	case sameUser && (b.last.Time < time || b.last.Time == time && b.last.ID.Compare(id) <= 0):
		return true, nil
	}
	return false, fmt.Errorf("user %q at %d after row %s of user %q at %d: %w", user, time, b.last.ID, last, b.last.Time, ErrOrder)
}

// checkSize holds a row against the limits.
func (b *Builder) checkSize(r *Row) error {
	for _, s := range [...]string{r.Name, r.DistinctID, r.InsertID} {
		if len(s) > MaxTextBytes {
			return fmt.Errorf("text of %d bytes, at most %d: %w", len(s), MaxTextBytes, ErrLimit)
		}
	}
	if b.Rows() == MaxRows {
		return fmt.Errorf("%d rows in one file: %w", MaxRows, ErrLimit)
	}
	return nil
}
