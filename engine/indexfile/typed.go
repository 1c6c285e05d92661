package indexfile

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// typed is a column's dictionary converted to a type, once for all the arrays
// that are made of it.
type typed struct {
	valid   []bool      // of each entry; nil if all are valid
	texts   *array.Data // of texts
	values  *array.Data // the entries, as an array
	numbers []uint64    // of anything else: bits of a bool, an integer, a double
	// monotone is set when the converted entries are in the order of the type,
	// so that the least and the greatest code of a block bound its values.
	monotone bool
}

type typeKey struct {
	t                catalog.Type
	precision, scale uint8
	// object makes of each value an object that has it by this name, "" for none; t is
	// TypeJSON then. It is the one conversion that null has a result in.
	object string
}

// convert converts a value.
func (k *typeKey) convert(v catalog.Value) (catalog.Value, bool) {
	if k.object == "" {
		return catalog.Convert(v, k.t, k.precision, k.scale)
	}
	return catalog.JSON(string(appendProperties(nil, []catalog.Property{{Name: k.object, Value: v}}))), true
}

// maxTyped is the number of conversions that a column remembers; queries that
// ask for more pay for each array.
const maxTyped = 8

// textType reports whether arrays of a type hold text.
func textType(t catalog.Type) bool {
	return t == catalog.TypeString || t == catalog.TypeNull || t == catalog.TypeJSON || t == catalog.TypeDecimal
}

// checkType refuses what is no type.
func checkType(t catalog.Type) error {
	if t > catalog.TypeDecimal {
		return fmt.Errorf("type %d: %w", t, ErrColumn)
	}
	return nil
}

// as gives the dictionary in a type. The head is loaded, the column not empty.
func (c *column) as(key typeKey) *typed {
	if key.t != catalog.TypeDecimal {
		key.precision, key.scale = 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.typed[key]; ok {
		return t
	}
	t := c.dictionary.convert(key)
	if c.typed == nil {
		c.typed = map[typeKey]*typed{}
	}
	if len(c.typed) < maxTyped {
		c.typed[key] = t
	}
	return t
}

// convert converts every entry.
func (d *dictionary) convert(key typeKey) *typed {
	if d.kinds == nil && d.kind == catalog.KindString && (key.t == catalog.TypeString || key.t == catalog.TypeNull) {
		t := &typed{texts: textData(d.entries, raw(d.offsets), d.texts), monotone: true}
		t.values = t.texts
		return t
	}
	t := &typed{monotone: key.t != catalog.TypeJSON && key.t != catalog.TypeDecimal}
	var offsets []int32
	var texts []byte
	if textType(key.t) {
		offsets = append(make([]int32, 0, d.entries+1), 0)
	} else {
		t.numbers = make([]uint64, d.entries)
	}
	var last catalog.Value
	for code := range d.entries {
		v, ok := key.convert(d.value(uint32(code)))
		if !ok {
			if t.valid == nil {
				t.valid = make([]bool, d.entries)
				for i := range code {
					t.valid[i] = true
				}
			}
			v = catalog.Value{}
		} else {
			if t.valid != nil {
				t.valid[code] = true
			}
			if last.Kind != catalog.KindNull && compareTyped(key.t, last, v) > 0 || v.Kind == catalog.KindDouble && math.IsNaN(v.Double()) {
				t.monotone = false
			}
			last = v
		}
		if offsets != nil {
			texts = append(texts, v.Text...)
			offsets = append(offsets, int32(len(texts)))
		} else {
			t.numbers[code] = v.Bits
		}
	}
	if offsets != nil {
		t.texts = textData(d.entries, raw(offsets), texts)
		t.values = t.texts
	} else {
		t.values = fixedArray(key.t, pickBools(key.t, t.numbers), nil, d.entries, 0).Data().(*array.Data)
	}
	return t
}

// compareTyped compares two values of a type as SQL does.
func compareTyped(t catalog.Type, a, b catalog.Value) int {
	switch {
	case textType(t):
		return strings.Compare(a.Text, b.Text)
	case t == catalog.TypeDouble:
		switch x, y := a.Double(), b.Double(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case a.Int() < b.Int():
		return -1
	case a.Int() > b.Int():
		return 1
	}
	return 0
}

// isValid reports whether an entry has a value in the type.
func (t *typed) isValid(code uint32) bool { return t.valid == nil || t.valid[code] }

// value is an entry in the type.
func (t *typed) value(key typeKey, code uint32) catalog.Value {
	if t.texts != nil {
		offsets := view[int32](t.texts.Buffers()[1].Bytes())
		v := catalog.String(text(t.texts.Buffers()[2].Bytes()[offsets[code]:offsets[code+1]]))
		return v
	}
	return catalog.Value{Kind: kindOf[key.t], Bits: t.numbers[code]}
}

// kindOf is the kind that catalog.Convert gives for a type.
var kindOf = [...]catalog.Kind{
	catalog.TypeNull: catalog.KindString, catalog.TypeBool: catalog.KindBool, catalog.TypeInt: catalog.KindInt,
	catalog.TypeDouble: catalog.KindDouble, catalog.TypeString: catalog.KindString, catalog.TypeJSON: catalog.KindJSON,
	catalog.TypeDatetime: catalog.KindInt, catalog.TypeDecimal: catalog.KindNumber,
}

// textData is a String array's data without nulls.
func textData(n int, offsets, texts []byte) *array.Data {
	return array.NewData(arrow.BinaryTypes.String, n, []*memory.Buffer{nil, memory.NewBufferBytes(offsets), memory.NewBufferBytes(texts)}, nil, 0, 0)
}
