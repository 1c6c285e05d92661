package indexfile

import (
	"slices"
	"strings"

	"arbor/catalog"
)

// Cursor reads rows one after the other, cheapest in ascending order: it keeps
// what it looked at last in each column, and where the sparse columns have values
// in the block at hand. It is for one goroutine; many may be open at once.
type Cursor struct {
	reader  *Reader
	times   *times
	ingest  *ingestIDs
	insert  *insertIDs
	users   *users
	columns []*column // by number
	dense   []*column // those of properties, in the order of their names
	sparse  []*column
	last    []recent // of each column, by number
	// inserted is of the insert ids that are texts.
	inserted recent
	compared [2]recent // of those that are compared with each other
	walked   recent    // of the distinct ids that User gave

	user  int // of the row read last
	named int // 1 + the user whose distinct id is name, 0 for none
	name  string
	block int // that spread is about, -1 for none
	// spread holds the sparse values of the block: those of row i of it are
	// values[starts[i]:starts[i+1]].
	starts []uint32
	values []sparseValue
	from   []int // the first slot of the block, of each sparse column
	id     []byte
}

type sparseValue struct{ column, slot uint32 }

// Cursor returns a new cursor.
func (r *Reader) Cursor() *Cursor { return &Cursor{reader: r, block: -1} }

// Row fills in row i exactly as it was added. into.Properties is reused, and
// into.InsertID holds until the cursor's next Row; all other strings hold until
// the Reader is closed.
func (c *Cursor) Row(i int, into *Row) error {
	if err := c.Head(i, into); err != nil {
		return err
	}
	var err error
	into.Properties, err = c.properties(i, into.Properties[:0])
	return err
}

// Head fills in row i but for its properties. into.InsertID holds until the cursor's
// next row.
func (c *Cursor) Head(i int, into *Row) (err error) {
	if err := c.enter(i); err != nil {
		return err
	}
	into.ID, into.Time = c.ingest.at(i), c.times.at(i)
	_, into.ServerTime = c.columns[columnServerTime].slot(i)
	name, err := c.value(columnEvent, i)
	if err != nil {
		return err
	}
	into.Name = name.Text
	if into.DistinctID, err = c.distinctID(i); err != nil {
		return err
	}
	into.InsertID, err = c.insertID(i)
	return err
}

// load finds the columns.
func (c *Cursor) load() (err error) {
	r := c.reader
	if c.times, err = r.timeColumn(); err != nil {
		return err
	}
	if c.ingest, err = r.ingestColumn(); err != nil {
		return err
	}
	if c.insert, err = r.insertColumn(); err != nil {
		return err
	}
	c.dense, c.sparse = c.dense[:0], c.sparse[:0]
	c.columns = make([]*column, len(r.columns))
	for k := columnEvent; k < len(r.columns); k++ {
		column := r.column(k)
		c.columns[k] = column
		if err := column.load(); err != nil {
			return err
		}
		switch {
		case k < columnProperties || column.empty():
		case column.info.placement == placeSparse:
			c.sparse = append(c.sparse, column)
		default:
			c.dense = append(c.dense, column)
		}
	}
	c.last = make([]recent, len(r.columns))
	c.from = make([]int, len(c.sparse))
	c.users, err = r.userColumn()
	return err
}

func (c *Cursor) value(column, slot int) (catalog.Value, error) {
	return c.columns[column].value(slot, &c.last[column])
}

func (c *Cursor) distinctID(i int) (string, error) {
	ends := c.users.ends
	switch {
	case c.user < len(ends) && i < int(ends[c.user]) && (c.user == 0 || i >= int(ends[c.user-1])):
	case c.user+1 < len(ends) && i >= int(ends[c.user]) && i < int(ends[c.user+1]):
		c.user++
	default:
		var err error
		if c.user, err = c.reader.UserOf(i); err != nil {
			return "", err
		}
	}
	if c.named == c.user+1 {
		return c.name, nil
	}
	v, err := c.value(columnDistinctID, c.user)
	if err == nil {
		c.named, c.name = c.user+1, v.Text
	}
	return v.Text, err
}

func (c *Cursor) insertID(i int) (string, error) {
	slot, other := c.insert.rest.slot(i)
	if !other {
		c.id = c.insert.append(c.id[:0], i)
		return text(c.id), nil
	}
	v, err := c.insert.rest.value(slot, &c.inserted)
	return v.Text, err
}

// spread finds the values that the sparse columns have in a block: each column's
// list is entered where it was left, so that reading all blocks in order costs
// one step a value and a search a column and block.
func (c *Cursor) spread(block int) {
	lo, hi := block*BlockRows, min((block+1)*BlockRows, c.reader.Rows())
	if cap(c.starts) < hi-lo+2 {
		c.starts = make([]uint32, BlockRows+2)
	}
	c.starts = c.starts[:hi-lo+2]
	clear(c.starts)
	total := 0
	for k, column := range c.sparse {
		from := c.from[k]
		if block < c.block {
			from = 0
		}
		from = column.firstSlot(from, lo)
		c.from[k] = from
		for _, row := range column.ordinals[from:] {
			if int(row) >= hi {
				break
			}
			c.starts[int(row)-lo+2]++
			total++
		}
	}
	for i := 1; i < len(c.starts); i++ {
		c.starts[i] += c.starts[i-1]
	}
	if cap(c.values) < total {
		c.values = make([]sparseValue, total+total/4)
	}
	c.values = c.values[:total]
	for k, column := range c.sparse {
		for slot := c.from[k]; slot < len(column.ordinals) && int(column.ordinals[slot]) < hi; slot++ {
			at := &c.starts[int(column.ordinals[slot])-lo+1]
			c.values[*at] = sparseValue{uint32(column.number), uint32(slot)}
			*at++
		}
	}
	c.block = block
}

// Properties appends the properties of row i; their strings hold until the
// Reader is closed.
func (c *Cursor) Properties(i int, props []catalog.Property) ([]catalog.Property, error) {
	if err := c.enter(i); err != nil {
		return props, err
	}
	return c.properties(i, props)
}

// enter makes the cursor ready for row i.
func (c *Cursor) enter(i int) error {
	if c.users == nil {
		if err := c.load(); err != nil {
			return err
		}
	}
	if i/BlockRows != c.block && len(c.sparse) > 0 {
		c.spread(i / BlockRows)
	}
	return nil
}

// properties appends those of row i, the dense and the sparse ones merged by
// column number, which is by name.
func (c *Cursor) properties(i int, props []catalog.Property) ([]catalog.Property, error) {
	var rest []sparseValue
	if len(c.sparse) > 0 {
		at := i % BlockRows
		rest = c.values[c.starts[at]:c.starts[at+1]]
	}
	add := func(column *column, slot int) error {
		v, err := column.value(slot, &c.last[column.number])
		props = append(props, catalog.Property{Name: column.info.name, Value: v})
		return err
	}
	for _, column := range c.dense {
		if column.presence != nil && !bitGet(column.presence, i) {
			continue
		}
		for len(rest) > 0 && int(rest[0].column) < column.number {
			if err := add(c.columns[rest[0].column], int(rest[0].slot)); err != nil {
				return props, err
			}
			rest = rest[1:]
		}
		if err := add(column, i); err != nil {
			return props, err
		}
	}
	for _, v := range rest {
		if err := add(c.columns[v.column], int(v.slot)); err != nil {
			return props, err
		}
	}
	return c.otherProperties(i, props)
}

// otherProperties adds those that have no column, if the row has any.
func (c *Cursor) otherProperties(i int, props []catalog.Property) ([]catalog.Property, error) {
	others := c.columns[columnOthers]
	slot, ok := others.slot(i)
	if !ok {
		return props, nil
	}
	err := others.others(slot, &c.last[columnOthers], func(p catalog.Property) { props = append(props, p) })
	slices.SortFunc(props, func(a, b catalog.Property) int { return strings.Compare(a.Name, b.Name) })
	return props, err
}

// User is the k-th user, in the order of distinct ids, with the rows [lo, hi). It needs no
// other column: who walks the users of many files does not want their dictionaries.
func (c *Cursor) User(k int) (distinctID string, lo, hi int, err error) {
	return c.reader.user(k, &c.walked)
}

// Row fills in row i exactly as it was added; into.Properties is reused. A
// Cursor reads many rows faster.
func (r *Reader) Row(i int, into *Row) error {
	c, _ := r.cursors.Get().(*Cursor)
	if c == nil {
		c = r.Cursor()
	}
	defer r.cursors.Put(c)
	if err := c.Row(i, into); err != nil {
		return err
	}
	into.InsertID = strings.Clone(into.InsertID)
	return nil
}

// PropertiesJSON appends all properties of row i as a JSON object, sorted by name.
func (r *Reader) PropertiesJSON(i int, dst []byte) ([]byte, error) {
	c, _ := r.cursors.Get().(*Cursor)
	if c == nil {
		c = r.Cursor()
	}
	defer r.cursors.Put(c)
	props, err := c.Properties(i, nil)
	if err != nil {
		return dst, err
	}
	return appendProperties(dst, props), nil
}

func appendProperties(dst []byte, props []catalog.Property) []byte {
	dst = append(dst, '{')
	for i := range props {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(catalog.AppendJSONString(dst, props[i].Name), ':')
		dst = props[i].Value.AppendJSON(dst)
	}
	return append(dst, '}')
}
