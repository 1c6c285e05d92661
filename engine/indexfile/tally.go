package indexfile

import (
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// Tally is how often a column has each of its values, in a file. It is worked out
// from the codes when it is first asked for, and kept.
type Tally struct {
	column *column
	counts []int64 // by code; the last is that of rows without a value

	mu     sync.Mutex // guards arrays
	arrays map[typeKey]arrow.Array
}

// maxTallyEntries is the size of a dictionary up to which a Tally is kept.
const maxTallyEntries = 1 << 20

// EventTally is how often each event name comes; nil if names have no dictionary.
func (r *Reader) EventTally() (*Tally, error) { return r.column(columnEvent).tallied() }

// PropertyTally is how often a property has each value; nil if it has no
// dictionary here, or too large a one.
func (r *Reader) PropertyTally(property string) (*Tally, error) {
	c := r.property(property)
	if c == nil {
		return nil, nil
	}
	return c.tallied()
}

// HasProperty reports whether rows of the file may have a property.
func (r *Reader) HasProperty(property string) bool {
	c := r.property(property)
	return c != nil && !c.empty() || c == nil && !r.column(columnOthers).empty()
}

func (c *column) tallied() (*Tally, error) {
	if c.empty() || c.info.layout != layoutDictionary || c.info.distinct > maxTallyEntries {
		return nil, nil
	}
	return c.tally.get(func() (*Tally, error) {
		if err := c.load(); err != nil {
			return nil, err
		}
		return &Tally{column: c, counts: c.countCodes()}, nil
	})
}

// countCodes counts the rows of each code, and those of none.
func (c *column) countCodes() []int64 {
	counts := make([]int64, c.info.distinct+1)
	switch s := &c.stored; {
	case c.info.width == 0:
		counts[0] = int64(c.info.values())
	case c.info.coding == codingRanked:
		countPacked(counts, &s.packed, c.info.values(), c.info.width)
	case c.presence == nil && (c.info.coding == codingUsers || c.info.coding == codingRuns):
		last := uint32(0)
		for k, end := range s.ends {
			counts[s.packed.at(k)] += int64(end - last)
			last = end
		}
	case c.presence == nil && c.info.coding == codingPacked:
		countPacked(counts, &s.packed, c.info.slots, c.info.width)
	case c.presence == nil:
		countAll(counts, &c.codes)
	default:
		var last recent
		c.rowsOf(0, c.reader.Rows(), func(_, slot int) error {
			counts[c.code(slot, &last)]++
			return nil
		})
	}
	counts[c.info.distinct] = int64(c.reader.Rows() - c.info.values())
	return counts
}

// countPacked counts the first n of packed codes that are width bytes long once
// they are unpacked.
func countPacked(counts []int64, p *packed, n int, width uint8) {
	room := codes{width: width, bytes: aligned(min(n, 8*fillSlots) * int(width))}
	for lo := 0; lo < n; lo += 8 * fillSlots {
		some := codes{width: width, bytes: room.bytes[:min(n-lo, 8*fillSlots)*int(width)]}
		p.fill(some.bytes, width, lo)
		countAll(counts, &some)
	}
}

// maxCode is the greatest of the first n of packed codes that are width bytes long
// once they are unpacked.
func (p *packed) maxCode(n int, width uint8) (greatest uint32) {
	room := codes{width: width, bytes: aligned(min(n, 8*fillSlots) * int(width))}
	for lo := 0; lo < n; lo += 8 * fillSlots {
		some := codes{width: width, bytes: room.bytes[:min(n-lo, 8*fillSlots)*int(width)]}
		p.fill(some.bytes, width, lo)
		greatest = max(greatest, some.max())
	}
	return greatest
}

// countAll counts codes of slots that all have a value.
func countAll(counts []int64, c *codes) {
	switch c.width {
	case 1:
		// Neighbours with one code do not wait for each other.
		var parts [4][256]uint32
		b := c.bytes
		for len(b) >= 4 {
			parts[0][b[0]]++
			parts[1][b[1]]++
			parts[2][b[2]]++
			parts[3][b[3]]++
			b = b[4:]
		}
		for _, code := range b {
			parts[0][code]++
		}
		for code := range len(counts) - 1 {
			for p := range parts {
				counts[code] += int64(parts[p][code])
			}
		}
	case 2:
		for _, code := range view[uint16](c.bytes) {
			counts[code]++
		}
	case 4:
		for _, code := range view[uint32](c.bytes) {
			counts[code]++
		}
	}
}

// Counts are how many rows have the values of Array. Not to be changed.
func (t *Tally) Counts() []int64 { return t.counts }

// Code is the place in Array of the value of a row.
func (t *Tally) Code(row int) int {
	slot, ok := t.column.slot(row)
	if !ok {
		return len(t.counts) - 1
	}
	return int(t.column.code(slot, nil))
}

// Array is each value once, converted to a type, and a null for the rows without
// one: a Dictionary as PropertyCoded gives.
func (t *Tally) Array(typ catalog.Type, precision, scale uint8) (arrow.Array, error) {
	if err := checkType(typ); err != nil {
		return nil, err
	}
	key := typeKey{t: typ, precision: precision, scale: scale}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.arrays[key]; a != nil {
		return a, nil
	}
	a := t.array(key)
	// What arrays work out when they are first asked is worked out for all who share it.
	a.NullN()
	if d, ok := a.(*array.Dictionary); ok {
		d.Dictionary().NullN()
	}
	if t.arrays == nil {
		t.arrays = map[typeKey]arrow.Array{}
	}
	if len(t.arrays) < maxTyped {
		holds[int32](t.column.reader, len(t.counts))
		t.arrays[key] = a
	}
	return a, nil
}

func (t *Tally) array(key typeKey) arrow.Array {
	as := t.column.as(key)
	n := len(t.counts)
	codes := make([]int32, n)
	valid := make([]byte, bitmapLen(n))
	for i := range n - 1 {
		codes[i] = int32(i)
		if as.isValid(uint32(i)) {
			bitSet(valid, i)
		}
	}
	return dictionaryArray(4, memory.NewBufferBytes(raw(codes)), memory.NewBufferBytes(valid), as.values, n, 0)
}

// UserTally is how many rows each user has, in the order of User.
func (r *Reader) UserTally() ([]int64, error) {
	u, err := r.userColumn()
	if err != nil {
		return nil, err
	}
	counts := make([]int64, len(u.ends))
	last := uint32(0)
	for k, end := range u.ends {
		counts[k] = int64(end - last)
		last = end
	}
	return counts, nil
}
