package exec

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// WithTies is a fragment whose answer's rows in an order can be merged with those
// of other members: the answer has the time and the ingest id besides, as its last
// two of Columns, which decide where the order does not. What it gives has neither
// batches with runs nor a limit on what is merged in another order.
func WithTies(f *Fragment) *Fragment {
	tied := *f
	tied.Runs = false
	if f.Group != nil || len(f.Order) == 0 {
		return &tied
	}
	columns := len(f.Columns)
	shift := func(n int) int {
		if n >= columns {
			return n + 2
		}
		return n
	}
	tied.Columns = append(slices.Clip(f.Columns), Column{Source: SourceTime}, Column{Source: SourceIngestID})
	visible := 0
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			visible++
		}
	}
	tied.Order = slices.Clone(f.Order)
	for i := range tied.Order {
		if tied.Order[i].Column >= visible {
			tied.Order[i].Column += 2
		}
	}
	tied.Computed = slices.Clone(f.Computed)
	for i := range tied.Computed {
		args := slices.Clone(tied.Computed[i].Args)
		for k := range args {
			args[k] = shift(args[k])
		}
		tied.Computed[i].Args = args
	}
	if f.Filter != nil {
		tied.Filter = f.Filter.shifted(shift)
	}
	return &tied
}

// shifted is the expression over columns with other numbers.
func (x *Expr) shifted(shift func(int) int) *Expr {
	out := *x
	out.Args = make([]*Expr, len(x.Args))
	for i, a := range x.Args {
		out.Args[i] = a.shifted(shift)
	}
	if len(x.Args) == 0 {
		out.Column = shift(x.Column)
	}
	return &out
}

// answerTypes are the types of the columns of an answer without a group.
func (f *Fragment) answerTypes() []catalog.Type {
	var types []catalog.Type
	for i := range f.columnCount() {
		if i < len(f.Columns) && f.Columns[i].Hidden || i >= len(f.Columns) && f.Computed[i-len(f.Columns)].Hidden {
			continue
		}
		t, _, _ := f.ColumnType(i)
		types = append(types, t)
	}
	return types
}

// WriteRows writes a batch of the answer of a fragment without a group.
func (w *PartialWriter) WriteRows(f *Fragment, b *Batch) error {
	types := f.answerTypes()
	if len(types) != len(b.Columns) || b.Runs != nil {
		return fmt.Errorf("%w: %d columns, want %d, in one run", ErrArray, len(b.Columns), len(types))
	}
	for lo := 0; lo < b.Rows; {
		body, hi, err := appendRows(b, types, lo)
		if err != nil {
			return err
		}
		if err := w.write(pieceRows, body); err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

// rowsAtOnce is how many rows of a batch go into one piece: with texts of the usual
// lengths that is about pieceBytes.
const rowsAtOnce = 4096

// appendRows encodes rows from lo on, fewer where their texts are long, and says
// where they end.
func appendRows(b *Batch, types []catalog.Type, lo int) (body []byte, hi int, err error) {
	for n := min(rowsAtOnce, b.Rows-lo); ; n = max(1, n/8) {
		body = binary.AppendUvarint(binary.AppendUvarint(nil, uint64(n)), uint64(len(types)))
		for i, a := range b.Columns {
			if body, err = appendRowsColumn(body, a, types[i], lo, lo+n); err != nil {
				return nil, 0, fmt.Errorf("column %d: %w", i, err)
			}
			if n > 1 && len(body) > 8*pieceBytes {
				break
			}
		}
		if n == 1 || len(body) <= 8*pieceBytes {
			return body, lo + n, nil
		}
	}
}

func appendRowsColumn(dst []byte, a arrow.Array, t catalog.Type, lo, hi int) ([]byte, error) {
	values, err := valuesOf(a, t)
	if err != nil {
		return nil, err
	}
	at := len(dst)
	dst = append(dst, 0)
	for i := lo; i < hi; i++ {
		if values(i).Kind == catalog.KindNull {
			dst[at] = 1
			break
		}
	}
	if dst[at] != 0 {
		valid := make([]byte, (hi-lo+7)/8)
		for i := lo; i < hi; i++ {
			if values(i).Kind != catalog.KindNull {
				valid[(i-lo)>>3] |= 1 << ((i - lo) & 7)
			}
		}
		dst = append(dst, valid...)
	}
	for i := lo; i < hi; i++ {
		if v := values(i); v.Kind != catalog.KindNull {
			dst = appendPieceValue(dst, v, t)
		}
	}
	return dst, nil
}

// valuesOf gives the values of an array, of any layout that a Batch may have.
func valuesOf(a arrow.Array, t catalog.Type) (func(row int) catalog.Value, error) {
	v, err := VectorOf(a, t)
	if err != nil || v.Dictionary == nil {
		return v.plain, err
	}
	words, err := v.Dictionary.values()
	if err != nil {
		return nil, err
	}
	w, err := VectorOf(words, t)
	return func(row int) catalog.Value {
		if v.isNull(row) {
			return catalog.Null
		}
		return w.plain(v.code(row))
	}, err
}

// readRows decodes the rows of a piece.
func readRows(body []byte, types []catalog.Type) (*Batch, error) {
	d := decoder{rest: body}
	n, columns := int(d.below(MaxBatchRows+1)), int(d.below(uint64(len(types))+1))
	if columns != len(types) || n == 0 {
		d.bad = true
	}
	b := &Batch{Rows: n}
	for _, t := range types {
		values := d.rowsColumn(t, n)
		if d.bad {
			break
		}
		a, err := valueArray(t, n, func(i int) catalog.Value { return values[i] })
		if err != nil {
			return nil, err
		}
		b.Columns = append(b.Columns, asBatchColumn(a, t))
	}
	if d.bad || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: rows of %d bytes are damaged", ErrPartial, len(body))
	}
	return b, nil
}

func (d *decoder) rowsColumn(t catalog.Type, n int) []catalog.Value {
	var valid []byte
	if d.bool() {
		if len(d.rest) < (n+7)/8 {
			d.bad = true
			return nil
		}
		valid, d.rest = d.rest[:(n+7)/8], d.rest[(n+7)/8:]
	}
	if valid == nil && n > len(d.rest) {
		d.bad = true
	}
	if d.bad {
		return nil
	}
	values := make([]catalog.Value, n)
	for i := range values {
		if valid == nil || valid[i>>3]>>(i&7)&1 != 0 {
			values[i] = d.pieceValue(t)
		}
	}
	return values
}

// asBatchColumn is an array as a Batch has it: decimals are codes of a dictionary.
func asBatchColumn(a arrow.Array, t catalog.Type) arrow.Array {
	texts, ok := a.(*array.String)
	if !ok || t != catalog.TypeDecimal {
		return a
	}
	numbers := map[string]int32{}
	words, codes := array.NewStringBuilder(goMemory), array.NewInt32Builder(goMemory)
	for i := range texts.Len() {
		if texts.IsNull(i) {
			codes.AppendNull()
			continue
		}
		n, known := numbers[texts.Value(i)]
		if !known {
			n = int32(len(numbers))
			numbers[texts.Value(i)] = n
			words.Append(texts.Value(i))
		}
		codes.Append(n)
	}
	return array.NewDictionaryArray(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, codes.NewArray(), words.NewArray())
}
