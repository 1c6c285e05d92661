package indexfile

import "arbor/catalog"

// placement says which rows have a slot in a column.
type placement uint8

// The placements. The numbers are on disk: append only.
const (
	placeAll    placement = 0 // every row has a value; slot = row
	placeBitmap placement = 1 // every row has a slot, those in the bitmap a value
	placeSparse placement = 2 // the listed rows have a slot each
)

// layout says how the values of a column's slots are stored.
type layout uint8

// The layouts. The numbers are on disk: append only.
const (
	layoutDictionary layout = 0 // codes of a dictionary
	layoutIntegers   layout = 1 // packed: all values are integers
	layoutNumbers    layout = 2 // 8 bytes a slot: bools, integers and doubles
	layoutChunks     layout = 3 // texts or cells in chunks
	layoutDecimals   layout = 4 // integers and doubles, as integers of a power of ten
)

var (
	placementNames = [...]string{placeAll: "all rows", placeBitmap: "bitmap", placeSparse: "sparse"}
	layoutNames    = [...]string{layoutDictionary: "dictionary", layoutIntegers: "packed integers", layoutNumbers: "numbers", layoutChunks: "chunks", layoutDecimals: "decimals"}
)

// columnInfo is what the footer says about a column.
type columnInfo struct {
	name      string // of a property
	placement placement
	layout    layout
	slots     int
	distinct  int    // entries of the dictionary, 0 without one
	width     uint8  // of codes in bytes, once they are decoded
	coding    coding // of a dictionary's codes, integers and decimals
	runs      int    // in coding runs
	base      uint64 // of integers and decimals
	bits      uint8  // of a packed number
	scale     uint8  // of decimals: they are stored as so many times ten to this power
	kinds     [catalog.KindJSON + 1]int32
}

// values is the number of rows that have a value.
func (c *columnInfo) values() int {
	n := 0
	for _, k := range c.kinds {
		n += int(k)
	}
	return n
}

// uniform is the kind of all values, if there is just one.
func (c *columnInfo) uniform() (catalog.Kind, bool) {
	total := c.values()
	for k, n := range c.kinds {
		if int(n) == total && n > 0 {
			return catalog.Kind(k), true
		}
	}
	return 0, false
}

// The columns that every file has, before the properties in the order of their
// names. Column 0 is the file itself: the parts that belong to no value column.
const (
	columnFile       = 0
	columnEvent      = 1
	columnServerTime = 2 // a value, true, where the server's time was taken
	columnInsertText = 3 // insert ids not among the packed ones; null for none
	columnDistinctID = 4 // a slot a user
	columnOthers     = 5 // properties that have no column of their own
	columnProperties = 6 // and after
)

var columnNames = [...]string{columnFile: "file", columnEvent: "event", columnServerTime: "server time",
	columnInsertText: "insert id", columnDistinctID: "distinct id",
	columnOthers: "other properties"}
