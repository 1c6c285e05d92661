package indexfile

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// column reads one column. Its head is what zone maps need: the dictionary, the
// zones and the list of rows. Its body is the rest, loaded and checked when a
// value is first asked for, so that whatever is read afterwards is in bounds.
type column struct {
	reader *Reader
	number int
	info   *columnInfo
	kind   catalog.Kind // of all values, if uniform
	parts  []partRef
	// uniform is set when all values are of one kind.
	uniform bool

	head, body lazy[struct{}]
	tally      lazy[Tally]

	// Set by the head.
	dictionary *dictionary
	ordinals   []uint32
	zones      []byte

	// Set by the body.
	presence  []byte
	codes     codes       // in coding whole
	stored    slotNumbers // in another one
	numbers   []uint64
	slotKinds []byte
	chunks    *chunks
	kept      atomic.Pointer[keptCodes]
	asked     atomic.Int64 // rows whose codes were decoded
	keeping   sync.Mutex   // held by who decodes codes to keep

	// buffers are the bytes of presence, codes and numbers as Arrow has them.
	presenceBuffer, codesBuffer, numbersBuffer *memory.Buffer

	mu    sync.Mutex // guards typed
	typed map[typeKey]*typed
}

// empty reports whether no row has a value.
func (c *column) empty() bool { return c.info.slots == 0 || c.info.values() == 0 }

func (c *column) corrupt(kind partKind, wrong string) error {
	return c.reader.corrupt(c.reader.partName(kind, c.number), wrong)
}

// sized gives a part that must have a length.
func (c *column) sized(kind partKind, n int) ([]byte, error) {
	b, err := c.part(kind)
	if err == nil && len(b) != n {
		err = c.corrupt(kind, fmt.Sprintf("%d bytes, want %d", len(b), n))
	}
	return b, err
}

func (c *column) loadHead() error {
	_, err := c.head.get(func() (*struct{}, error) { return &struct{}{}, c.readHead() })
	return err
}

func (c *column) readHead() error {
	if c.empty() {
		return nil
	}
	if c.info.placement == placeSparse {
		if err := c.readOrdinals(); err != nil {
			return err
		}
		for i, row := range c.ordinals {
			if int(row) >= c.reader.Rows() || i > 0 && c.ordinals[i-1] >= row {
				return c.corrupt(partOrdinals, "order")
			}
		}
	}
	if c.info.layout == layoutDictionary {
		b, err := c.part(partDictionary)
		if err != nil {
			return err
		}
		d, wrong := readDictionary(b)
		if wrong == "" && d.entries != c.info.distinct {
			wrong = "number of entries"
		}
		if wrong != "" {
			return c.corrupt(partDictionary, wrong)
		}
		c.dictionary = d
	}
	return c.readZones()
}

// readOrdinals reads which rows have a value.
func (c *column) readOrdinals() error {
	if c.reader.version == 1 {
		b, err := c.sized(partOrdinals, 4*c.info.slots)
		c.ordinals = view[uint32](b)
		return err
	}
	b, err := c.part(partOrdinals)
	if err != nil {
		return err
	}
	if len(b) < c.info.slots {
		return c.corrupt(partOrdinals, "length")
	}
	d := &decoder{bytes: b}
	c.ordinals = make([]uint32, c.info.slots)
	holds[uint32](c.reader, c.info.slots)
	row := uint64(0)
	for i := range c.ordinals {
		row += d.uvarint("row", MaxRows)
		c.ordinals[i] = uint32(min(row, math.MaxUint32))
	}
	if wrong := d.end(); wrong != "" {
		return c.corrupt(partOrdinals, wrong)
	}
	return nil
}

func (c *column) readZones() error {
	b, err := c.part(partZones)
	if err != nil || b == nil {
		return err
	}
	n := 16
	if c.info.layout == layoutDictionary {
		n = 8
		for _, code := range view[uint32](b) {
			if int(code) >= c.info.distinct && code != emptyZone {
				return c.corrupt(partZones, "code without an entry")
			}
		}
	}
	if len(b) != n*c.reader.Blocks() {
		return c.corrupt(partZones, "length")
	}
	c.zones = b
	return nil
}

func (c *column) load() error {
	if c.body.value.Load() != nil {
		return nil
	}
	_, err := c.body.get(func() (*struct{}, error) { return &struct{}{}, c.readBody() })
	return err
}

func (c *column) readBody() error {
	if err := c.loadHead(); err != nil || c.empty() {
		return err
	}
	if c.info.placement == placeBitmap {
		b, err := c.sized(partPresence, bitmapLen(c.reader.Rows()))
		if err != nil {
			return err
		}
		if bitCount(b) != c.info.values() || c.reader.Rows()%8 != 0 && b[len(b)-1]>>(c.reader.Rows()%8) != 0 {
			return c.corrupt(partPresence, "number of values")
		}
		c.presence, c.presenceBuffer = b, memory.NewBufferBytes(b)
	}
	switch c.info.layout {
	case layoutDictionary:
		return c.readCodes()
	case layoutIntegers:
		return c.readStored(partNumbers)
	case layoutDecimals:
		if err := c.readStored(partNumbers); err != nil {
			return err
		}
		return c.readDecimals()
	case layoutNumbers:
		return c.readNumbers()
	default:
		return c.readChunks()
	}
}

// readStored reads the numbers of slots that are not coded whole.
func (c *column) readStored(kind partKind) error {
	s := &c.stored
	s.coding = c.info.coding
	numbers := c.info.slots
	switch s.coding {
	case codingRanked:
		s.ranks, numbers = newRanks(c.presence), c.info.values()
		holds[uint32](c.reader, len(s.ranks.sums))
	case codingUsers:
		u, err := c.reader.userColumn()
		if err != nil {
			return err
		}
		s.ends, numbers = u.ends, len(u.ends)
	case codingRuns:
		b, err := c.part(partRunEnds)
		if err != nil {
			return err
		}
		d := &decoder{bytes: b}
		s.ends = readRunLengths(d, c.info.runs, c.info.slots)
		holds[uint32](c.reader, len(s.ends))
		if d.end() != "" {
			return c.corrupt(partRunEnds, "lengths")
		}
		numbers = c.info.runs
	}
	b, err := c.sized(kind, packedLen(numbers, c.info.bits))
	if err != nil {
		return err
	}
	s.packed = packed{bytes: b, base: c.info.base, width: c.info.bits}
	if c.info.layout == layoutDictionary && c.info.distinct != 1<<c.info.bits && s.packed.maxCode(numbers, c.info.width) >= uint32(c.info.distinct) {
		return c.corrupt(kind, "code without an entry")
	}
	return nil
}

func (c *column) readCodes() error {
	if c.info.coding != codingWhole {
		return c.readStored(partCodes)
	}
	b, err := c.sized(partCodes, c.info.slots*int(c.info.width))
	if err != nil {
		return err
	}
	c.codes = codes{bytes: b, width: c.info.width}
	if int(c.codes.max()) >= c.info.distinct {
		return c.corrupt(partCodes, "code without an entry")
	}
	c.codesBuffer = memory.NewBufferBytes(b)
	return nil
}

func (c *column) readNumbers() error {
	b, err := c.sized(partNumbers, 8*c.info.slots)
	if err != nil {
		return err
	}
	c.numbers, c.numbersBuffer = view[uint64](b), memory.NewBufferBytes(b)
	if c.uniform {
		return nil
	}
	if c.slotKinds, err = c.sized(partKinds, c.info.slots); err != nil {
		return err
	}
	for _, k := range c.slotKinds {
		if k != 0 && !fixedKind(catalog.Kind(k)) {
			return c.corrupt(partKinds, "kind")
		}
	}
	return nil
}

func (c *column) readChunks() error {
	b, err := c.part(partChunks)
	if err != nil {
		return err
	}
	index, err := c.part(partChunkIndex)
	if err != nil {
		return err
	}
	chunks, ok := readChunks(b, index, c.info.slots)
	if !ok {
		return c.corrupt(partChunkIndex, "order")
	}
	c.chunks = chunks
	return nil
}

// chunk decodes chunk n.
func (c *column) chunk(n int) (*chunk, error) {
	out, err := c.chunks.decode(n)
	if err != nil {
		return nil, c.corrupt(partChunks, err.Error())
	}
	return out, nil
}

// slot is the slot of a row that has a value. The column is loaded.
func (c *column) slot(row int) (slot int, ok bool) {
	switch {
	case c.info.placement == placeAll:
		return row, true
	case c.presence != nil:
		return row, bitGet(c.presence, row)
	case len(c.ordinals) == 0:
		return 0, false
	}
	return slices.BinarySearch(c.ordinals, uint32(row))
}

// slotsIn are the slots [from, to) of a sparse column's rows [lo, hi).
func (c *column) slotsIn(lo, hi int) (from, to int) {
	from, _ = slices.BinarySearch(c.ordinals, uint32(lo))
	n, _ := slices.BinarySearch(c.ordinals[from:], uint32(min(hi, math.MaxUint32)))
	return from, from + n
}

// rowsOf calls f for each slot of the rows [lo, hi) that has a value.
func (c *column) rowsOf(lo, hi int, f func(row, slot int) error) error {
	if c.empty() {
		return nil
	}
	if c.info.placement == placeSparse {
		from, to := c.slotsIn(lo, hi)
		for slot := from; slot < to; slot++ {
			if err := f(int(c.ordinals[slot]), slot); err != nil {
				return err
			}
		}
		return nil
	}
	for row := lo; row < hi; row++ {
		if c.presence == nil || bitGet(c.presence, row) {
			if err := f(row, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstSlot is the first slot of a sparse column at or after a row, no earlier
// than from.
func (c *column) firstSlot(from, row int) int {
	rest := c.ordinals[from:]
	return from + sort.Search(len(rest), func(i int) bool { return int(rest[i]) >= row })
}
