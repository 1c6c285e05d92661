package indexfile

import (
	"fmt"

	"arbor/catalog"
)

// Copier gives rows of a file, in ascending order, to a Builder. Values of a dictionary
// are looked up in the Builder once each, and then a code stands for another; codes and
// numbers are decoded a block at a time. The Builder comes to hold the same as if Add
// had been given the rows. It is for one goroutine.
type Copier struct {
	cursor *Cursor
	block  int // that codes and heads are of, -1 for none
	heads  heads
	codes  [][]int64 // of a block: codes or numbers of the cursor's dense columns, nil for others
	key    InsertKey // of the row at hand
	text   string    // its insert id, if the key does not stand for it

	to      *Builder
	copied  []copied // by column number
	pending int      // columns of properties without one in the Builder
	row     Row      // scratch
}

// copied is a column of the Builder that has a column's values.
type copied struct {
	column *valueBuilder // nil before the first value
	codes  []coded       // by the file's codes; of no kind where none was met
	epoch  int           // of the column that codes are of
}

// Copier returns a new one that uses the cursor.
func (c *Cursor) Copier() *Copier { return &Copier{cursor: c, block: -1} }

// Head goes to row i and gives what decides its place among others, and the key of its
// insert id.
func (c *Copier) Head(i int) (time int64, id catalog.IngestID, key InsertKey, err error) {
	if err := c.enter(i); err != nil {
		return 0, id, key, err
	}
	insert := c.cursor.insert
	if slot, other := insert.rest.slot(i); other {
		v, err := insert.rest.value(slot, &c.cursor.inserted)
		if err != nil {
			return 0, id, key, err
		}
		c.text, c.key = v.Text, InsertKeyOf(v.Text)
	} else {
		c.text, c.key = "", c.heads.keys[i%encoderRows]
	}
	at := i % encoderRows
	return c.heads.times[at], c.heads.ids[at], c.key, nil
}

// Add adds row i, which Head went to last, of the user of that name.
func (c *Copier) Add(b *Builder, i int, user string) error {
	if err := c.cursor.enter(i); err != nil { // another row may have been looked at
		return err
	}
	if c.to == nil {
		c.begin(b)
	}
	if c.pending > 0 || !c.cursor.columns[columnOthers].empty() {
		if all, err := c.find(i); err != nil {
			return err
		} else if !all {
			if err := c.cursor.Row(i, &c.row); err != nil {
				return err
			}
			return b.Add(&c.row)
		}
	}
	at := i % encoderRows
	time, id := c.heads.times[at], c.heads.ids[at]
	if err := b.enter(user, time, id); err != nil {
		return err
	}
	row := uint32(b.Rows())
	b.times.add(time)
	b.ids.add(id)
	b.inserts.add(c.text, c.key)
	b.limit.came += int64(len(c.text))
	if err := c.properties(row, i); err != nil {
		return err
	}
	return b.keepLimit()
}

// properties adds what row i has beside its head, as the Builder's given row.
func (c *Copier) properties(row uint32, i int) error {
	cursor, at := c.cursor, i%encoderRows
	if len(c.heads.names) > 0 {
		c.code(row, cursor.columns[columnEvent], uint32(c.heads.events[at]))
	} else if err := c.slot(row, cursor.columns[columnEvent], i); err != nil {
		return err
	}
	if _, server := cursor.columns[columnServerTime].slot(i); server {
		c.to.serverTimes.add(row, catalog.Bool(true))
	}
	for k, column := range cursor.dense {
		if column.presence != nil && !bitGet(column.presence, i) {
			continue
		}
		switch codes := c.codes[k]; {
		case codes == nil:
			if err := c.slot(row, column, i); err != nil {
				return err
			}
		case column.dictionary != nil:
			c.code(row, column, uint32(codes[at]))
		default:
			c.copied[column.number].column.add(row, column.numbered(codes[at]))
		}
	}
	for _, v := range cursor.sparseIn(i) {
		if err := c.slot(row, cursor.columns[v.column], int(v.slot)); err != nil {
			return err
		}
	}
	return nil
}

// code adds an entry of a column's dictionary.
func (c *Copier) code(row uint32, column *column, code uint32) {
	to := &c.copied[column.number]
	if epoch := len(to.column.aside.epochs); to.epoch != epoch {
		clear(to.codes)
		to.epoch = epoch
	}
	if to.codes[code] == (coded{}) {
		v := column.dictionary.value(code)
		c.to.limit.came += int64(len(v.Text))
		to.codes[code] = to.column.coded(v)
	}
	to.column.repeat(row, to.codes[code])
}

// slot adds the value of a column's slot.
func (c *Copier) slot(row uint32, column *column, slot int) error {
	last := &c.cursor.last[column.number]
	if column.dictionary != nil {
		c.code(row, column, column.code(slot, last))
		return nil
	}
	v, err := column.value(slot, last)
	if err != nil {
		return err
	}
	c.to.limit.came += int64(len(v.Text))
	c.copied[column.number].column.add(row, v)
	return nil
}

// begin readies the Copier for a Builder.
func (c *Copier) begin(b *Builder) {
	cursor := c.cursor
	c.to = b
	c.copied = make([]copied, len(cursor.columns))
	for k := range c.copied {
		if d := cursor.columns[k]; d != nil && d.dictionary != nil {
			c.copied[k].codes = make([]coded, d.dictionary.entries)
		}
	}
	c.copied[columnEvent].column = &b.events
	c.pending = len(cursor.dense) + len(cursor.sparse)
}

// find finds the Builder's columns for the properties of row i: those come to be in the
// order of rows, as many as there may be. It says whether each property has one.
func (c *Copier) find(i int) (all bool, err error) {
	if _, other := c.cursor.columns[columnOthers].slot(i); other {
		return false, nil
	}
	// All properties are looked up in the order of their names, the dense and the sparse
	// ones: which of them still get a column depends on it.
	rest := c.cursor.sparseIn(i)
	for _, column := range c.cursor.dense {
		if column.presence != nil && !bitGet(column.presence, i) {
			continue
		}
		for len(rest) > 0 && int(rest[0].column) < column.number {
			if all, err := c.findOne(c.cursor.columns[rest[0].column]); err != nil || !all {
				return false, err
			}
			rest = rest[1:]
		}
		if all, err := c.findOne(column); err != nil || !all {
			return false, err
		}
	}
	for _, v := range rest {
		if all, err := c.findOne(c.cursor.columns[v.column]); err != nil || !all {
			return false, err
		}
	}
	return true, nil
}

func (c *Copier) findOne(column *column) (found bool, err error) {
	to := &c.copied[column.number]
	if to.column != nil {
		return true, nil
	}
	if to.column, err = c.to.property(column.info.name); err != nil || to.column == nil {
		return false, err
	}
	to.epoch = len(to.column.aside.epochs)
	c.pending--
	return true, nil
}

// enter decodes the block of row i, if it is another one than that at hand.
func (c *Copier) enter(i int) error {
	cursor := c.cursor
	if err := cursor.enter(i); err != nil {
		return err
	}
	block := i / encoderRows
	if block == c.block {
		return nil
	}
	if c.codes == nil {
		c.heads.load(cursor)
		c.codes = make([][]int64, len(cursor.dense))
		for k, column := range cursor.dense {
			if column.dictionary != nil || column.isNumbered() {
				c.codes[k] = make([]int64, min(encoderRows, cursor.reader.Rows()))
			}
		}
	}
	lo, hi := block*encoderRows, min((block+1)*encoderRows, cursor.reader.Rows())
	for k, column := range cursor.dense {
		if c.codes[k] != nil {
			column.numbersIn(c.codes[k], lo, hi)
		}
	}
	c.heads.enter(cursor, lo, hi)
	c.block = block
	return nil
}

// sparseIn are the values that sparse columns have in row i, of the block at hand.
func (c *Cursor) sparseIn(i int) []sparseValue {
	if len(c.sparse) == 0 {
		return nil
	}
	at := i % BlockRows
	return c.values[c.starts[at]:c.starts[at+1]]
}

// enter takes user, time and id of the next row, unless it is out of order or one too
// many.
func (b *Builder) enter(user string, time int64, id catalog.IngestID) error {
	if b.Rows() == MaxRows {
		return fmt.Errorf("%d rows in one file: %w", MaxRows, ErrLimit)
	}
	sameUser, err := b.checkOrder(user, time, id)
	if err != nil {
		return fmt.Errorf("row %s: %w", id, err)
	}
	b.begin(user, time, id, sameUser)
	b.limit.came += int64(len(user))
	return nil
}
