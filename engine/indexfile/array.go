package indexfile

import (
	"encoding/hex"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// Arrays hold while the Reader is open, whether or not they are released. A
// Dictionary's values (Data().Dictionary()) are the same object in all arrays
// of one column and type, so that work on them can be done once.

// PropertyArray is a property of rows [lo, hi), converted by catalog.Convert to
// the type wanted, null where a row has no such property, an explicit null, or
// a value that does not convert. The array's type is the one that exec.Batch
// lists. A property that the file does not have gives nulls. ErrLimit means
// that fewer rows must be asked for.
func (r *Reader) PropertyArray(property string, t catalog.Type, precision, scale uint8, lo, hi int) (arrow.Array, error) {
	if err := checkType(t); err != nil {
		return nil, fmt.Errorf("property %q: %w", property, err)
	}
	key := typeKey{t: t, precision: precision, scale: scale}
	if c := r.property(property); c != nil {
		return c.array(key, lo, hi)
	}
	others := r.column(columnOthers)
	if others.empty() {
		return nullArray(t, hi-lo), nil
	}
	if err := others.load(); err != nil {
		return nil, err
	}
	var last recent
	return others.convertedArray(key, lo, hi, func(slot int) (catalog.Value, error) { return others.other(slot, &last, property) })
}

// PropertyCoded is PropertyArray, but of a type that is no text too it gives a
// Dictionary where the file has one: of Int8, Int16 or Int32 over Int64, Float64,
// Timestamp or Boolean.
func (r *Reader) PropertyCoded(property string, t catalog.Type, precision, scale uint8, lo, hi int) (arrow.Array, error) {
	c := r.property(property)
	if textType(t) || c == nil || c.info.layout != layoutDictionary || c.empty() || lo == hi {
		return r.PropertyArray(property, t, precision, scale, lo, hi)
	}
	if err := checkType(t); err != nil {
		return nil, fmt.Errorf("property %q: %w", property, err)
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c.dictionaryArray(c.as(typeKey{t: t, precision: precision, scale: scale}), lo, hi), nil
}

// EventArray is the event names of rows [lo, hi): a Dictionary over String, or
// a String where names are hardly ever repeated.
func (r *Reader) EventArray(lo, hi int) (arrow.Array, error) {
	return r.column(columnEvent).array(typeKey{t: catalog.TypeString}, lo, hi)
}

// TimeArray is the raw times of rows [lo, hi): Timestamps in microseconds.
func (r *Reader) TimeArray(lo, hi int) (arrow.Array, error) {
	t, err := r.timeColumn()
	if err != nil {
		return nil, err
	}
	out := make([]int64, hi-lo)
	t.fill(out, lo)
	return fixedArray(catalog.TypeDatetime, raw(out), nil, hi-lo, 0), nil
}

// TimeRawArray is TimeArray with a null where the server's time was taken.
func (r *Reader) TimeRawArray(lo, hi int) (arrow.Array, error) {
	t, err := r.timeColumn()
	if err != nil {
		return nil, err
	}
	c := r.column(columnServerTime)
	if err := c.load(); err != nil {
		return nil, err
	}
	out := make([]int64, hi-lo)
	t.fill(out, lo)
	if c.empty() {
		return fixedArray(catalog.TypeDatetime, raw(out), nil, hi-lo, 0), nil
	}
	valid := make([]byte, bitmapLen(hi-lo))
	for i := range valid {
		valid[i] = 0xff
	}
	err = c.rowsOf(lo, hi, func(row, _ int) error {
		valid[(row-lo)>>3] &^= 1 << ((row - lo) & 7)
		return nil
	})
	return fixedArray(catalog.TypeDatetime, raw(out), valid, hi-lo, 0), err
}

// IngestedAtArray is the edge's clock for rows [lo, hi): Timestamps in microseconds.
func (r *Reader) IngestedAtArray(lo, hi int) (arrow.Array, error) {
	s, err := r.ingestColumn()
	if err != nil {
		return nil, err
	}
	out := make([]int64, hi-lo)
	for i := range out {
		out[i] = int64(s.at(lo+i).Time / 1000)
	}
	return fixedArray(catalog.TypeDatetime, raw(out), nil, hi-lo, 0), nil
}

// IngestIDArray is the ingest ids of rows [lo, hi) in 32 hexadecimal digits: a String.
func (r *Reader) IngestIDArray(lo, hi int) (arrow.Array, error) {
	s, err := r.ingestColumn()
	if err != nil {
		return nil, err
	}
	b := newTextBuilder(hi-lo, 2*catalog.IngestIDSize)
	var id [catalog.IngestIDSize]byte
	for i := lo; i < hi; i++ {
		bytes, _ := s.at(i).AppendBinary(id[:0])
		b.texts = hex.AppendEncode(b.texts, bytes)
		if err := b.end(true); err != nil {
			return nil, err
		}
	}
	return b.array(), nil
}

// InsertIDArray is the insert ids of rows [lo, hi), null where there is none: a String.
func (r *Reader) InsertIDArray(lo, hi int) (arrow.Array, error) {
	s, err := r.insertColumn()
	if err != nil {
		return nil, err
	}
	b := newTextBuilder(hi-lo, 36)
	var last recent
	for i := lo; i < hi; i++ {
		slot, other := s.rest.slot(i)
		if !other {
			b.texts = s.append(b.texts, i)
			if err := b.end(true); err != nil {
				return nil, err
			}
			continue
		}
		v, err := s.rest.value(slot, &last)
		if err != nil {
			return nil, err
		}
		b.texts = append(b.texts, v.Text...)
		if err := b.end(v.Kind != catalog.KindNull); err != nil {
			return nil, err
		}
	}
	return b.array(), nil
}

// DistinctIDArray is the distinct ids of rows [lo, hi): a Dictionary of Int32
// over String, whose values are the users of these rows only, in order.
func (r *Reader) DistinctIDArray(lo, hi int) (arrow.Array, error) {
	u, err := r.userColumn()
	if err != nil {
		return nil, err
	}
	indices := make([]int32, hi-lo)
	first, k := 0, 0
	if lo < hi {
		if first, err = r.UserOf(lo); err != nil {
			return nil, err
		}
		k = first
		for row := lo; row < hi; k++ {
			for end := min(int(u.ends[k]), hi); row < end; row++ {
				indices[row-lo] = int32(k - first)
			}
		}
	}
	ids, err := u.column.slotTexts(first, k)
	if err != nil {
		return nil, err
	}
	return dictionaryArray(4, memory.NewBufferBytes(raw(indices)), nil, ids.data(), hi-lo, 0), nil
}

// UserCodes puts the number of the user, as User counts them, of each of the rows
// [lo, hi) into codes, which is made longer if need be, and gives it back.
func (r *Reader) UserCodes(codes []int32, lo, hi int) ([]int32, error) {
	u, err := r.userColumn()
	if err != nil || lo == hi {
		return codes[:0], err
	}
	if cap(codes) < hi-lo {
		codes = make([]int32, hi-lo)
	}
	codes = codes[:hi-lo]
	k, err := r.UserOf(lo)
	if err != nil {
		return nil, err
	}
	for row := lo; row < hi; k++ {
		end := min(int(u.ends[k]), hi)
		run := codes[row-lo : end-lo]
		for i := range run {
			run[i] = int32(k)
		}
		row = end
	}
	return codes, nil
}

// UserEnds are where the rows of each user end, in the order of User. Not to be
// changed.
func (r *Reader) UserEnds() ([]uint32, error) {
	u, err := r.userColumn()
	if err != nil {
		return nil, err
	}
	return u.ends, nil
}

// UserArray is all distinct ids, in order: a String.
func (r *Reader) UserArray() (arrow.Array, error) {
	u, err := r.userColumn()
	if err != nil {
		return nil, err
	}
	ids, err := u.column.slotTexts(0, r.Users())
	if err != nil {
		return nil, err
	}
	return ids.array(), nil
}

// WalkUsers gives all distinct ids, in order, some at a time: their texts one behind the
// other, and where each ends. They hold until yield returns.
func (r *Reader) WalkUsers(yield func(texts []byte, ends []uint32) error) error {
	u, err := r.userColumn()
	if err != nil {
		return err
	}
	var c chunk
	var room []byte
	for n := range u.chunks.len() {
		if err := u.chunks.decodeInto(&c, n, &room); err != nil {
			return u.column.corrupt(partChunks, err.Error())
		}
		if err := yield(c.texts, c.ends); err != nil {
			return err
		}
	}
	return nil
}

// slotTexts are the texts of the slots [lo, hi), whole chunks at a time. All
// values of the column are texts.
func (c *column) slotTexts(lo, hi int) (*textBuilder, error) {
	b := newTextBuilder(hi-lo, 0)
	if lo == hi {
		return b, nil
	}
	var parts []*chunk
	size := 0
	chunk := c.chunk
	if hi-lo <= fewTexts {
		chunk = c.fewOf
	}
	for n := c.chunks.find(lo); n < c.chunks.len() && c.chunks.first(n) < hi; n++ {
		part, err := chunk(n)
		if err != nil {
			return nil, err
		}
		parts, size = append(parts, part), size+len(part.texts)
	}
	b.texts = make([]byte, 0, size)
	for _, part := range parts {
		from, to := max(lo-part.first, 0), min(hi-part.first, len(part.ends))
		start := uint32(0)
		if from > 0 {
			start = part.ends[from-1]
		}
		shift := int32(len(b.texts)) - int32(start)
		b.texts = append(b.texts, part.texts[start:part.ends[to-1]]...)
		if len(b.texts) > MaxArrayBytes {
			return nil, b.tooLong()
		}
		for _, end := range part.ends[from:to] {
			b.offsets = append(b.offsets, int32(end)+shift)
		}
	}
	return b, nil
}

// PropertiesArray is all properties of each of the rows [lo, hi) as a JSON
// object: a String. ErrLimit means that fewer rows must be asked for.
func (r *Reader) PropertiesArray(lo, hi int) (arrow.Array, error) {
	b := newTextBuilder(hi-lo, 0)
	cursor := r.Cursor()
	var props []catalog.Property
	for i := lo; i < hi; i++ {
		var err error
		if props, err = cursor.Properties(i, props[:0]); err != nil {
			return nil, err
		}
		b.texts = appendProperties(b.texts, props)
		if err := b.end(true); err != nil {
			return nil, err
		}
	}
	return b.array(), nil
}

// PropertyObjectArray is PropertiesArray for who looks at one property only: objects
// of it alone, and null where a row has not that property, in the layout of a property
// that is a text; or all properties, where its name has no column.
func (r *Reader) PropertyObjectArray(property string, lo, hi int) (arrow.Array, error) {
	c := r.property(property)
	switch {
	case property != "" && c != nil:
		return c.array(typeKey{t: catalog.TypeJSON, object: property}, lo, hi)
	case property != "" && r.column(columnOthers).empty():
		return nullArray(catalog.TypeJSON, hi-lo), nil
	}
	return r.PropertiesArray(lo, hi)
}

// textBuilder makes a String array: append to texts, then end each.
type textBuilder struct {
	texts   []byte
	offsets []int32
	valid   []byte // nil as long as all are valid
}

// newTextBuilder expects n texts of about size bytes.
func newTextBuilder(n, size int) *textBuilder {
	return &textBuilder{texts: make([]byte, 0, n*size), offsets: append(make([]int32, 0, n+1), 0)}
}

func (b *textBuilder) end(valid bool) error {
	if len(b.texts) > MaxArrayBytes {
		return b.tooLong()
	}
	n := len(b.offsets) - 1
	if !valid && b.valid == nil {
		b.valid = make([]byte, bitmapLen(cap(b.offsets)))
		for i := range n {
			bitSet(b.valid, i)
		}
	}
	if b.valid != nil {
		if n/8 == len(b.valid) {
			b.valid = append(b.valid, 0)
		}
		if valid {
			bitSet(b.valid, n)
		}
	}
	b.offsets = append(b.offsets, int32(len(b.texts)))
	return nil
}

func (b *textBuilder) tooLong() error {
	return fmt.Errorf("%d bytes of text in one array, ask for fewer rows: %w", len(b.texts), ErrLimit)
}

func (b *textBuilder) data() *array.Data {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(raw(b.offsets)), memory.NewBufferBytes(b.texts)}
	nulls := 0
	if b.valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(b.valid), array.UnknownNullCount
	}
	return array.NewData(arrow.BinaryTypes.String, len(b.offsets)-1, buffers, nil, nulls, 0)
}

func (b *textBuilder) array() arrow.Array { return array.NewStringData(b.data()) }

// fixedArray is an array of a type that is not text, from its values and the
// bitmap of those that are valid, nil for all.
func fixedArray(t catalog.Type, values, valid []byte, n, offset int) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(values)}
	nulls := 0
	if valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
	}
	switch t {
	case catalog.TypeBool:
		return array.NewBooleanData(array.NewData(arrow.FixedWidthTypes.Boolean, n, buffers, nil, nulls, offset))
	case catalog.TypeInt:
		return array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, n, buffers, nil, nulls, offset))
	case catalog.TypeDouble:
		return array.NewFloat64Data(array.NewData(arrow.PrimitiveTypes.Float64, n, buffers, nil, nulls, offset))
	default:
		return array.NewTimestampData(array.NewData(micros, n, buffers, nil, nulls, offset))
	}
}

var micros = &arrow.TimestampType{Unit: arrow.Microsecond}

// dictionaryTypes are the types of Dictionary arrays by the width of their codes.
var dictionaryTypes = [...]*arrow.DictionaryType{
	0: {IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
	1: {IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
	2: {IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String},
	4: {IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String},
}

func dictionaryArray(width uint8, codes, valid *memory.Buffer, values *array.Data, n, offset int) arrow.Array {
	nulls := 0
	if valid != nil {
		nulls = array.UnknownNullCount
	}
	types := dictionaryTypes[width]
	if !arrow.TypeEqual(values.DataType(), arrow.BinaryTypes.String) {
		types = &arrow.DictionaryType{IndexType: types.IndexType, ValueType: values.DataType()}
	}
	data := array.NewDataWithDictionary(types, n, []*memory.Buffer{valid, codes}, nulls, offset, values)
	return array.NewDictionaryData(data)
}

// zeros are the codes of columns with one value, the bitmaps and numbers of
// nulls. Nobody writes to them.
var zeros [maxZeros]byte

const maxZeros = 1 << 20

// zeroBytes are n zero bytes.
func zeroBytes(n int) []byte {
	if n <= maxZeros {
		return zeros[:n:n]
	}
	return aligned(n)
}

// nullArray is n nulls.
func nullArray(t catalog.Type, n int) arrow.Array {
	valid := zeroBytes(bitmapLen(n))
	if textType(t) {
		return dictionaryArray(1, memory.NewBufferBytes(zeroBytes(n)), memory.NewBufferBytes(valid), oneEmptyText, n, 0)
	}
	return fixedArray(t, zeroBytes(8*n), valid, n, 0)
}

var oneEmptyText = textData(1, make([]byte, 8), nil)
