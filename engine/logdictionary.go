package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// logDictionary is the distinct values of a column of logged events, as they were
// sent: kind, bits and text. It only grows, so that codes and the arrays made of
// its first entries stay good. The lock of its logColumns guards it.
type logDictionary struct {
	table   hashtable
	kinds   []uint8 // of the entries; nil as long as all are strings
	offsets []int32
	bytes   []byte // texts; of bools and numbers the bits, little-endian
	numbers int    // entries that are no texts
	typed   map[columnType]*typedEntries
}

// maxDictionaryBytes is how long the texts of a dictionary may be before its
// shard's columns take no further batch: with another batch, and each byte
// escaped as JSON does, they are still short enough for an array.
const maxDictionaryBytes = 256 << 20

// columnType is what a column is wanted as.
type columnType struct {
	t                catalog.Type
	precision, scale uint8
	// object makes of each value an object that has it by this name, "" for none; t is
	// TypeJSON then.
	object string
}

// convert makes what the type has of a value.
func (k columnType) convert(v catalog.Value) (catalog.Value, bool) {
	if k.object == "" {
		return catalog.Convert(v, k.t, k.precision, k.scale)
	}
	return catalog.JSON(string(appendProperties(nil, []catalog.Property{{Name: k.object, Value: v}}))), true
}

// keyOf is what a column of a fragment is wanted as.
func keyOf(c *exec.Column) columnType {
	if c.Source == exec.SourceProperties {
		return columnType{t: catalog.TypeJSON, object: c.Property}
	}
	return typeOf(c.Type, c.Precision, c.Scale)
}

func typeOf(t catalog.Type, precision, scale uint8) columnType {
	switch t {
	case catalog.TypeDecimal:
		return columnType{t: t, precision: precision, scale: scale}
	case catalog.TypeNull:
		return columnType{t: catalog.TypeString}
	}
	return columnType{t: t}
}

// isText reports whether arrays of the type hold texts.
func (k columnType) isText() bool {
	return k.t == catalog.TypeString || k.t == catalog.TypeJSON || k.t == catalog.TypeDecimal
}

func isTextKind(k catalog.Kind) bool { return k >= catalog.KindNumber }

func (d *logDictionary) len() int { return max(0, len(d.offsets)-1) }

// code is the code of a value, which is added if it is new.
func (d *logDictionary) code(v catalog.Value, size *int64) int32 {
	var bits [8]byte
	text := v.Text
	if !isTextKind(v.Kind) {
		binary.LittleEndian.PutUint64(bits[:], v.Bits)
		text = textOf(bits[:])
	}
	slots := len(d.table.slots)
	hash := tableHash(xxh3.HashString(text) + uint64(v.Kind)*0x9e3779b97f4a7c15)
	code, found := d.table.find(hash, uint32(d.len()), func(o uint32) bool {
		return d.text(int32(o)) == text && d.kind(int32(o)) == v.Kind
	})
	*size += 8 * int64(len(d.table.slots)-slots)
	if !found {
		d.add(v.Kind, text, size)
	}
	return int32(code)
}

// add adds an entry that is not there yet.
func (d *logDictionary) add(kind catalog.Kind, text string, size *int64) {
	// Arrays may hold on to what a slice was before it grew, so that growth counts
	// in full.
	before, beforeOffsets := cap(d.bytes), cap(d.offsets)
	if d.offsets == nil {
		d.offsets = append(d.offsets, 0)
	}
	if kind != catalog.KindString && d.kinds == nil {
		d.kinds = slices.Repeat([]uint8{uint8(catalog.KindString)}, d.len())
		*size += int64(cap(d.kinds))
	}
	if d.kinds != nil {
		d.kinds = appendCounted(d.kinds, uint8(kind), size)
	}
	if !isTextKind(kind) {
		d.numbers++
	}
	d.bytes = append(d.bytes, text...)
	d.offsets = append(d.offsets, int32(len(d.bytes)))
	if after := cap(d.bytes); after != before {
		*size += int64(after)
	}
	if after := cap(d.offsets); after != beforeOffsets {
		*size += 4 * int64(after)
	}
}

func (d *logDictionary) kind(code int32) catalog.Kind {
	if d.kinds == nil {
		return catalog.KindString
	}
	return catalog.Kind(d.kinds[code])
}

func (d *logDictionary) text(code int32) string {
	return textOf(d.bytes[d.offsets[code]:d.offsets[code+1]])
}

// value is an entry as it was sent.
func (d *logDictionary) value(code int32) catalog.Value {
	v := catalog.Value{Kind: d.kind(code)}
	if isTextKind(v.Kind) {
		v.Text = d.text(code)
	} else {
		v.Bits = binary.LittleEndian.Uint64(d.bytes[d.offsets[code]:])
	}
	return v
}

// typedEntries are a dictionary's entries converted to a type, as far as somebody
// asked. They grow with the dictionary.
type typedEntries struct {
	key     columnType
	done    int
	shared  bool   // the entries are the dictionary's own texts
	valid   []bool // which entries have a value of the type; nil if all
	offsets []int32
	bytes   []byte
	numbers []uint64 // bits, of a type that is no text
	// values are the first entries as an array; the object is the same until there
	// are more.
	values *array.Data
}

// as gives all entries in a type.
func (d *logDictionary) as(key columnType, size *int64) (*typedEntries, error) {
	t := d.typed[key]
	if t != nil && t.shared && d.kinds != nil {
		t = nil // an entry came that must be converted
	}
	if t == nil {
		if d.typed == nil {
			d.typed = map[columnType]*typedEntries{}
		}
		t = &typedEntries{key: key, shared: d.kinds == nil && key.t == catalog.TypeString}
		d.typed[key] = t
	}
	before := int64(cap(t.valid) + 4*cap(t.offsets) + cap(t.bytes) + 8*cap(t.numbers))
	if err := t.convert(d); err != nil {
		return nil, err
	}
	if after := int64(cap(t.valid) + 4*cap(t.offsets) + cap(t.bytes) + 8*cap(t.numbers)); after != before {
		*size += after
	}
	if t.values == nil || t.values.Len() < t.done {
		t.values = t.array(d, size)
	}
	return t, nil
}

// convert converts the entries that are new.
func (t *typedEntries) convert(d *logDictionary) error {
	if t.shared {
		t.done = d.len()
		return nil
	}
	if t.key.isText() && t.offsets == nil {
		t.offsets = append(t.offsets, 0)
	}
	for ; t.done < d.len(); t.done++ {
		v, ok := t.key.convert(d.value(int32(t.done)))
		if !ok && t.valid == nil {
			t.valid = slices.Repeat([]bool{true}, t.done)
		}
		if t.valid != nil {
			t.valid = append(t.valid, ok)
		}
		if !t.key.isText() {
			t.numbers = append(t.numbers, v.Bits)
			continue
		}
		if len(t.bytes)+len(v.Text) > math.MaxInt32 {
			return fmt.Errorf("%d bytes of text in the log's dictionary: %w", len(t.bytes), indexfile.ErrLimit)
		}
		t.bytes = append(t.bytes, v.Text...)
		t.offsets = append(t.offsets, int32(len(t.bytes)))
	}
	return nil
}

// array is the entries, of which there are some, as an array; what has no value of
// the type is empty or 0.
func (t *typedEntries) array(d *logDictionary, size *int64) *array.Data {
	offsets, bytes := t.offsets, t.bytes
	if t.shared {
		offsets, bytes = d.offsets, d.bytes
	}
	switch {
	case t.key.isText():
		buffers := []*memory.Buffer{nil, bufferOf(offsets[:t.done+1]), memory.NewBufferBytes(bytes[:len(bytes):len(bytes)])}
		return array.NewData(arrow.BinaryTypes.String, t.done, buffers, nil, 0, 0)
	case t.key.t == catalog.TypeBool:
		bits := make([]byte, (t.done+7)/8)
		for i, n := range t.numbers {
			if n != 0 {
				bits[i>>3] |= 1 << (i & 7)
			}
		}
		*size += int64(len(bits))
		return array.NewData(arrow.FixedWidthTypes.Boolean, t.done, []*memory.Buffer{nil, memory.NewBufferBytes(bits)}, nil, 0, 0)
	}
	return array.NewData(t.key.arrowType(), t.done, []*memory.Buffer{nil, bufferOf(t.numbers[:t.done])}, nil, 0, 0)
}

// arrowType is the type of values, of dictionaries too.
func (k columnType) arrowType() arrow.DataType {
	switch k.t {
	case catalog.TypeBool:
		return arrow.FixedWidthTypes.Boolean
	case catalog.TypeInt:
		return arrow.PrimitiveTypes.Int64
	case catalog.TypeDouble:
		return arrow.PrimitiveTypes.Float64
	case catalog.TypeDatetime:
		return microseconds
	}
	return arrow.BinaryTypes.String
}
