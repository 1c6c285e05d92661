package indexfile

import (
	"fmt"

	"arbor/catalog"
)

// BuilderOptions say how a file is built.
type BuilderOptions struct {
	// Rows is about how many rows will come, if that is known.
	Rows int
}

// Builder collects rows by column and writes them as a file. It is for one
// goroutine. It holds what the file will hold, distinct values once: its memory
// is bounded by the file's columns.
type Builder struct {
	times       []int64
	ids         []catalog.IngestID
	inserts     insertBuilder
	users       userBuilder
	events      valueBuilder
	serverTimes valueBuilder
	properties  map[string]*valueBuilder
	// first is the column that the row before had first: the first guess.
	first *valueBuilder
}

// NewBuilder returns an empty Builder.
func NewBuilder(o BuilderOptions) *Builder {
	n := min(max(o.Rows, 0), MaxRows)
	b := &Builder{
		times:      make([]int64, 0, n),
		ids:        make([]catalog.IngestID, 0, n),
		properties: map[string]*valueBuilder{},
	}
	b.inserts.packed = make([][16]byte, 0, n)
	b.inserts.forms = make([]Form, 0, n)
	b.events.codes = make([]uint32, 0, n)
	b.users.init()
	return b
}

// Rows is the number of rows added.
func (b *Builder) Rows() int { return len(b.times) }

// Add takes the next row, which must come after the last one in the order of
// Row.Compare; equal rows may follow each other. Its bytes are copied. After an
// error the row is not in, and the Builder may go on.
func (b *Builder) Add(r *Row) error {
	if err := b.check(r); err != nil {
		return fmt.Errorf("row %s: %w", r.ID, err)
	}
	row := uint32(len(b.times))
	b.users.add(r.DistinctID)
	b.times = append(b.times, r.Time)
	b.ids = append(b.ids, r.ID)
	b.inserts.add(r.InsertID)
	b.events.add(row, catalog.String(r.Name))
	if r.ServerTime {
		b.serverTimes.add(row, catalog.Bool(true))
	}
	guess := &b.first
	for i := range r.Properties {
		p := &r.Properties[i]
		c := *guess
		if c == nil || c.name != p.Name {
			c = b.property(p.Name)
			*guess = c
		}
		c.add(row, p.Value)
		guess = &c.next
	}
	return nil
}

// property is the column of a property, a new one if need be.
func (b *Builder) property(name string) *valueBuilder {
	c, ok := b.properties[name]
	if !ok {
		c = &valueBuilder{name: string([]byte(name))}
		b.properties[c.name] = c
	}
	return c
}

// check says what is wrong with the next row.
func (b *Builder) check(r *Row) error {
	if err := r.check(); err != nil {
		return err
	}
	n := len(b.times)
	switch {
	case n == MaxRows:
		return fmt.Errorf("%d rows in one file: %w", MaxRows, ErrLimit)
	case len(b.properties)+len(r.Properties) > MaxProperties && b.newProperties(r) > MaxProperties:
		return fmt.Errorf("%d properties in one file: %w", MaxProperties, ErrLimit)
	case n == 0:
		return nil
	}
	last := Row{ID: b.ids[n-1], Time: b.times[n-1], DistinctID: b.users.last}
	if last.Compare(r) > 0 {
		return fmt.Errorf("user %q at %d after row %s of user %q at %d: %w", r.DistinctID, r.Time, last.ID, last.DistinctID, last.Time, ErrOrder)
	}
	return nil
}

// newProperties is the number of properties there would be with a row.
func (b *Builder) newProperties(r *Row) int {
	n := len(b.properties)
	for i := range r.Properties {
		if _, ok := b.properties[r.Properties[i].Name]; !ok {
			n++
		}
	}
	return n
}
