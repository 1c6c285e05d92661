package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
)

// resultForm is how the values of an expression are the values of a column.
type resultForm uint8

// The forms: the values in SQL, and the column. They travel: append only.
const (
	formBool     resultForm = 0  // bool; bool
	formTiny     resultForm = 1  // int8, 0 or 1; bool
	formInt      resultForm = 2  // an integer that fits int64; int
	formBits     resultForm = 3  // uint64; int, with the same bits
	formUnsigned resultForm = 4  // uint64; decimal(20, 0)
	formDecimal  resultForm = 5  // *apd.Decimal; decimal
	formDouble   resultForm = 6  // float64; double
	formText     resultForm = 7  // string; string
	formStored   resultForm = 8  // storedJSON; JSON
	formJSON     resultForm = 9  // types.JSONDocument; JSON
	formMoment   resultForm = 10 // time.Time; datetime
	formTruth    resultForm = 11 // whether it is true as a condition; bool
	formNumber   resultForm = 12 // what SUM of a text adds up; double
	forms        resultForm = 13
)

// unsignedDigits is how many digits a BIGINT UNSIGNED has.
const unsignedDigits = 20

// errForm says that a value is not of the form that its expression's type
// promises. The statement is run by the SQL library then.
var errForm = errors.New("value of another form than its type")

// columnType is the type of the columns of a form.
func (f resultForm) columnType(t sql.Type) (c catalog.Type, precision, scale uint8) {
	switch f {
	case formBool, formTiny, formTruth:
		return catalog.TypeBool, 0, 0
	case formInt, formBits:
		return catalog.TypeInt, 0, 0
	case formUnsigned:
		return catalog.TypeDecimal, unsignedDigits, 0
	case formDecimal:
		return catalog.TypeDecimal, catalog.MaxPrecision, t.(sql.DecimalType).Scale() // results may have more digits than their type
	case formDouble, formNumber:
		return catalog.TypeDouble, 0, 0
	case formStored, formJSON:
		return catalog.TypeJSON, 0, 0
	case formMoment:
		return catalog.TypeDatetime, 0, 0
	}
	return catalog.TypeString, 0, 0
}

// formOf is the form of an expression's values, by its type; not ok where no
// column holds them.
func formOf(e sql.Expression, t sql.Type) (f resultForm, ok bool) {
	if _, day := e.(*function.Date); day {
		return formText, true // which is what the SQL library gives
	}
	switch {
	case t == types.Boolean:
		if l, ok := e.(*broadcastValue); ok && l.table.mode == askColumn {
			return formTiny, true // as the tables keep it
		}
		return formBool, true
	case types.IsInteger(t):
		if t == types.Uint64 {
			return formUnsigned, true
		}
		return formInt, true
	case types.IsDecimal(t):
		d := t.(sql.DecimalType)
		return formDecimal, d.Precision() <= catalog.MaxPrecision && d.Scale() <= catalog.MaxScale && d.Scale() <= d.Precision()
	case t == types.Float64:
		return formDouble, true
	case types.IsTextOnly(t):
		s, ok := t.(sql.TypeWithCollation)
		return formText, ok && s.Collation().CharacterSet() == sql.CharacterSet_utf8mb4
	case t == types.JSON:
		return formJSON, true
	case types.IsTime(t):
		return formMoment, true
	}
	return 0, false
}

// byBytes reports whether values of the form are equal and ordered as their
// columns' are.
func (f resultForm) byBytes(t sql.Type) bool {
	switch f {
	case formText:
		s, collated := t.(sql.TypeWithCollation)
		return !collated || binaryCollation(s.Collation())
	case formStored: // one document has many texts
		return false
	}
	return true
}

// ordered reports whether a column of the form has the order of the values.
func (f resultForm) ordered(t sql.Type) bool { return f.byBytes(t) && f != formBits && f != formJSON }

// value is an expression's value as a column's.
func (f resultForm) value(ctx *sql.Context, v any, t sql.Type) (catalog.Value, error) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return catalog.Null, err
	}
	if v == nil {
		return catalog.Null, nil
	}
	switch f {
	case formBool, formTiny, formTruth:
		if n, ok := asInteger(v); ok && (n == 0 || n == 1) {
			return catalog.Bool(n == 1), nil
		}
	case formInt:
		if n, ok := asInteger(v); ok {
			return catalog.Int(n), nil
		}
	case formBits:
		if n, ok := v.(uint64); ok {
			return catalog.Int(int64(n)), nil
		}
		if n, ok := asInteger(v); ok {
			return catalog.Int(n), nil
		}
	case formUnsigned, formDecimal:
		return decimalValue(v, t)
	case formDouble:
		return doubleValue(v)
	case formNumber:
		d, err := asDouble(ctx, v)
		if err != nil || math.IsNaN(d) || math.IsInf(d, 0) {
			return catalog.Null, errors.Join(errForm, err)
		}
		return catalog.Double(d), nil
	case formText:
		return textOf(v)
	case formStored:
		if j, ok := v.(storedJSON); ok {
			return catalog.JSON(string(j)), nil
		}
	case formJSON:
		return documentValue(ctx, v)
	case formMoment:
		return momentValue(v)
	}
	return catalog.Null, fmt.Errorf("%w: %T", errForm, v)
}

func textOf(v any) (catalog.Value, error) {
	s, ok := v.(string)
	if b, isBytes := v.([]byte); isBytes {
		s, ok = string(b), true
	}
	if !ok || !utf8.ValidString(s) {
		return catalog.Null, fmt.Errorf("%w: %T as a text", errForm, v)
	}
	return catalog.String(s), nil
}

func doubleValue(v any) (catalog.Value, error) {
	d, ok := v.(float64)
	if n, isInt := asInteger(v); isInt {
		d, ok = float64(n), n > -exactDouble && n < exactDouble
	}
	if !ok || math.IsNaN(d) || math.IsInf(d, 0) {
		return catalog.Null, fmt.Errorf("%w: %T %v as a number", errForm, v, v)
	}
	return catalog.Double(d), nil
}

// decimalValue gives a decimal the digits of its type, by which it is known.
func decimalValue(v any, t sql.Type) (catalog.Value, error) {
	d, ok := asDecimal(v)
	if !ok {
		return catalog.Null, fmt.Errorf("%w: %T as a decimal", errForm, v)
	}
	scale, digits := int32(0), unsignedDigits
	if x, ok := t.(sql.DecimalType); ok {
		scale, digits = int32(x.Scale()), catalog.MaxPrecision
	}
	fixed := new(apd.Decimal)
	wide := apd.BaseContext.WithPrecision(2 * types.DecimalTypeMaxPrecision)
	condition, err := wide.Quantize(fixed, d, -scale)
	if err != nil || condition.Inexact() || fixed.NumDigits() > int64(digits) {
		return catalog.Null, fmt.Errorf("%w: %s as a decimal with %d digits after the point", errForm, d, scale)
	}
	if fixed.IsZero() {
		fixed.Negative = false
	}
	return catalog.Value{Kind: catalog.KindNumber, Text: fixed.Text('f')}, nil
}

func momentValue(v any) (catalog.Value, error) {
	t, ok := v.(time.Time)
	if !ok || t.Location() != time.UTC || t.Nanosecond()%1000 != 0 || t.Year() < 0 || t.Year() > 9999 {
		return catalog.Null, fmt.Errorf("%w: %T %v as a moment", errForm, v, v)
	}
	return catalog.Int(t.UnixMicro()), nil
}

// documentValue is a document in its normal form, if that says all.
func documentValue(ctx *sql.Context, v any) (catalog.Value, error) {
	w, ok := v.(sql.JSONWrapper)
	if _, stored := v.(types.JSONBytes); !ok || stored {
		return catalog.Null, fmt.Errorf("%w: %T as a document", errForm, v)
	}
	plain, err := w.ToInterface(ctx)
	if err != nil {
		return catalog.Null, err
	}
	text, err := types.MarshallJsonValue(plain)
	if err != nil {
		return catalog.Null, err
	}
	back, err := storedJSON(text).ToInterface(ctx)
	if err != nil || !sameDocument(plain, back) {
		return catalog.Null, fmt.Errorf("%w: a document that changes in its text", errForm)
	}
	return catalog.JSON(string(text)), nil
}

// sameDocument reports whether a document is what its text has given back, but for
// the size of Go's integers.
func sameDocument(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; !ok || !sameDocument(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, sameDocument)
	case bool:
		return a == b
	}
	if n, ok := asInteger(a); ok {
		m, ok := b.(int64)
		return ok && n == m
	}
	return reflect.DeepEqual(a, b)
}

// argument is a column's value as an expression's. Text is kept.
func (f resultForm) argument(v catalog.Value, t sql.Type) (any, error) {
	switch v.Kind {
	case catalog.KindNull:
		return nil, nil
	case catalog.KindBool:
		return f.adapt(int8(v.Bits), t)
	case catalog.KindInt:
		if f == formMoment {
			return time.UnixMicro(v.Int()).UTC(), nil
		}
		return f.adapt(v.Int(), t)
	case catalog.KindDouble:
		return v.Double(), nil
	case catalog.KindNumber:
		d, _, err := apd.NewFromString(v.Text)
		if err != nil {
			return nil, fmt.Errorf("the decimal %q: %w", v.Text, err)
		}
		return f.adapt(d, t)
	case catalog.KindString:
		return v.Text, nil
	case catalog.KindJSON:
		return f.adapt(storedJSON(v.Text), t)
	}
	return nil, fmt.Errorf("%w: kind %d", errForm, v.Kind)
}

// adapt makes the value of an expression of one that rows are made of.
func (f resultForm) adapt(v any, t sql.Type) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch f {
	case formBool:
		if n, ok := v.(int8); ok {
			return n != 0, nil
		}
	case formInt:
		if n, ok := v.(int64); ok && t != types.Int64 {
			if narrow := narrowInteger(n, t); sameInteger(narrow, n) {
				return narrow, nil
			}
		}
	case formBits:
		if n, ok := v.(int64); ok {
			return uint64(n), nil
		}
	case formUnsigned:
		if d, ok := v.(*apd.Decimal); ok {
			return d.Coeff.Uint64(), nil
		}
	case formJSON:
		if j, ok := v.(storedJSON); ok {
			plain, err := j.ToInterface(context.Background())
			return types.JSONDocument{Val: plain}, err
		}
	}
	return v, nil
}

// sameInteger reports whether nothing was lost: the SQL library gives some
// functions types that are too small for their values.
func sameInteger(v any, n int64) bool {
	m, ok := asInteger(v)
	return ok && m == n
}

// narrowInteger is an integer of the Go type that a SQL type has.
func narrowInteger(n int64, t sql.Type) any {
	switch t {
	case types.Int8, types.Boolean:
		return int8(n)
	case types.Int16:
		return int16(n)
	case types.Int24, types.Int32:
		return int32(n)
	case types.Uint8:
		return uint8(n)
	case types.Uint16:
		return uint16(n)
	case types.Uint24, types.Uint32:
		return uint32(n)
	case types.Uint64:
		return uint64(n)
	}
	return n
}

// eval evaluates the program for a row's arguments.
func (p *scalarProgram) eval(ctx *sql.Context, args []catalog.Value, as resultForm) (any, error) {
	for i := range p.inputs {
		in := &p.inputs[i]
		var err error
		switch {
		case in.constant:
			p.row[i] = in.value
		case in.program != nil:
			p.row[i], err = in.program.eval(ctx, args, formText)
		default:
			p.row[i], err = in.form.argument(args[in.arg], in.typ)
		}
		if err != nil {
			return nil, err
		}
	}
	if as == formTruth {
		return sql.EvaluateCondition(ctx, p.expr, p.row)
	}
	return p.expr.Eval(ctx, p.row)
}

// bareColumn is the column that an expression is, if it is one.
func bareColumn(e sql.Expression) (*expression.GetField, bool) {
	for {
		a, ok := e.(*expression.Alias)
		if !ok {
			break
		}
		e = a.Child
	}
	f, ok := e.(*expression.GetField)
	return f, ok
}
