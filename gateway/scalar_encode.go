package gateway

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
)

// slot is what a place of a row holds, for a row that is not made: the rows of a
// scan, of a projection over it, of a derived table.
type slot struct {
	kind   slotKind
	typ    sql.Type
	null   bool // it may be NULL
	name   string
	column int        // of the source, for slotColumn
	value  any        // for slotConstant: of the outer row of a subquery
	of     *composite // for slotComputed
}

type slotKind uint8

const (
	slotUnknown slotKind = iota
	slotColumn
	slotConstant
	slotComputed
)

// composite is an expression over a row of slots. What it refers to is not put
// in its place: the SQL library looks at how expressions are nested, and a column
// of a derived table is not nested in what refers to it.
type composite struct {
	expr sql.Expression
	over []slot
}

// scalarEncoder writes programs.
type scalarEncoder struct {
	ctx *sql.Context
	// form is how a column of the source comes as an argument.
	form  func(column int) resultForm
	args  []int // columns of the source
	nodes int
}

// encodedScalar is a scalar that is ready to travel.
type encodedScalar struct {
	function string
	args     []int // columns of the source
}

// encodeScalar writes a composite; not ok for one that does not travel.
func encodeScalar(ctx *sql.Context, c *composite, as resultForm, form func(column int) resultForm) (out encodedScalar, ok bool) {
	e := &scalarEncoder{ctx: ctx, form: form}
	b := []byte{scalarVersion, byte(as)}
	b, ok = appendSettings(ctx, b)
	if !ok {
		return out, false
	}
	if b, ok = e.program(b, c, 0); !ok {
		return out, false
	}
	out = encodedScalar{string(b), e.args}
	p, err := decodeScalar(out.function)
	return out, err == nil && sameProgram(p.ctx, c, p.scalarProgram)
}

// appendSettings appends the settings of the session.
func appendSettings(ctx *sql.Context, b []byte) ([]byte, bool) {
	for _, name := range scalarSettings {
		v, err := ctx.GetSessionVariable(ctx, name)
		if err == nil && name == "time_zone" { // of this member, where it is not named
			v, err = function.SessionTimeZone(ctx)
		}
		if err != nil {
			return b, false
		}
		b = appendScalarText(b, fmt.Sprint(v))
	}
	return b, true
}

// program appends a composite.
func (e *scalarEncoder) program(b []byte, c *composite, depth int) ([]byte, bool) {
	var inputs []int // places of c.over
	var types []sql.Type
	node, ok := e.node(nil, c.expr, func(f *expression.GetField) (int, bool) {
		place := f.Index()
		if place < 0 || place >= len(c.over) || c.over[place].kind == slotUnknown {
			return 0, false
		}
		for i, p := range inputs {
			if p == place {
				return i, true
			}
		}
		inputs, types = append(inputs, place), append(types, f.Type(e.ctx))
		return len(inputs) - 1, true
	}, depth)
	if !ok {
		return b, false
	}
	b = binary.AppendUvarint(b, uint64(len(inputs)))
	for i, place := range inputs {
		if b, ok = e.input(b, &c.over[place], types[i], depth); !ok {
			return b, false
		}
	}
	return append(b, node...), true
}

// input appends where a column of a program's row, of a type, comes from.
func (e *scalarEncoder) input(b []byte, s *slot, typ sql.Type, depth int) ([]byte, bool) {
	t, ok := scalarTypeText(typ)
	if !ok {
		return b, false
	}
	null := byte(0)
	if s.null {
		null = 1
	}
	switch s.kind {
	case slotColumn:
		b = append(binary.AppendUvarint(append(b, inputArgument), uint64(e.arg(s.column))), byte(e.form(s.column)), null)
		return appendScalarText(b, t), true
	case slotConstant:
		return appendScalarValue(appendScalarText(append(b, inputConstant, null), t), s.value)
	}
	return e.program(appendScalarText(append(b, inputProgram, null), t), s.of, depth+1)
}

// arg is the number of the argument that a column is.
func (e *scalarEncoder) arg(column int) int {
	for i, c := range e.args {
		if c == column {
			return i
		}
	}
	e.args = append(e.args, column)
	return len(e.args) - 1
}

// node appends an expression whose columns are inputs by their places.
func (e *scalarEncoder) node(b []byte, x sql.Expression, input func(*expression.GetField) (int, bool), depth int) ([]byte, bool) {
	if e.nodes++; e.nodes > maxScalarNodes || depth > maxScalarDepth {
		return b, false
	}
	switch w := x.(type) {
	case *expression.Alias:
		return e.node(b, w.Child, input, depth)
	case jsonMoment: // which the function around it makes again, like the next
		return e.node(b, w.Expression, input, depth)
	case jsonCopied:
		return e.node(b, w.Expression, input, depth)
	case jsonNumbered:
		return e.node(b, w.Expression, input, depth)
	}
	if foldable(x) {
		v, err := x.Eval(e.ctx, nil)
		if err != nil {
			return b, false
		}
		x = expression.NewLiteral(v, x.Type(e.ctx))
	}
	switch x := x.(type) {
	case *expression.GetField:
		i, ok := input(x)
		return binary.AppendUvarint(append(b, nodeField), uint64(i)), ok
	case *expression.Literal:
		t, ok := scalarTypeText(x.Typ)
		if !ok {
			return b, false
		}
		return appendScalarValue(appendScalarText(append(b, nodeLiteral), t), x.Val)
	}
	n, ok := describeScalar(x)
	if !ok {
		return b, false
	}
	b = appendScalarText(append(b, nodeOther), n.tag)
	b = binary.AppendUvarint(b, uint64(len(n.words)))
	for _, w := range n.words {
		b = appendScalarText(b, w)
	}
	b = binary.AppendUvarint(b, uint64(len(n.children)))
	for _, c := range n.children {
		if c == nil {
			return b, false
		}
		if b, ok = e.node(b, c, input, depth+1); !ok {
			return b, false
		}
	}
	return b, true
}

// sameProgram reports whether a program that was built is what was encoded. A
// function that keeps more than its operands, of which nothing is known here,
// differs and does not travel.
func sameProgram(ctx *sql.Context, c *composite, p *scalarProgram) bool {
	return sameScalar(ctx, c.expr, p.expr, func(place, input int) bool {
		s, in := &c.over[place], &p.inputs[input]
		if s.kind == slotComputed {
			return in.program != nil && sameProgram(ctx, s.of, in.program)
		}
		return in.program == nil
	})
}

func sameType(a, b sql.Type) bool {
	return a == nil && b == nil || a != nil && b != nil && reflect.DeepEqual(a, b)
}

func sameScalar(ctx *sql.Context, a, b sql.Expression, field func(place, input int) bool) bool {
	if alias, ok := a.(*expression.Alias); ok {
		return sameScalar(ctx, alias.Child, b, field)
	}
	switch l := b.(type) {
	case *expression.Literal:
		return sameType(a.Type(ctx), l.Typ)
	case *expression.GetField:
		f, ok := a.(*expression.GetField)
		return ok && sameType(f.Type(ctx), l.Type(ctx)) && field(f.Index(), l.Index())
	}
	if reflect.TypeOf(a) != reflect.TypeOf(b) || !sameType(a.Type(ctx), b.Type(ctx)) || !sameFields(reflect.ValueOf(a), reflect.ValueOf(b)) {
		return false
	}
	x, y := a.Children(), b.Children()
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if (x[i] == nil) != (y[i] == nil) || x[i] != nil && !sameScalar(ctx, x[i], y[i], field) {
			return false
		}
	}
	return true
}

// sameFields compares what two structures hold beside expressions.
func sameFields(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return sameFields(a.Elem(), b.Elem())
	case reflect.Struct:
		if strings.HasPrefix(a.Type().PkgPath(), "sync") {
			return true
		}
		for i := range a.NumField() {
			switch a.Field(i).Kind() {
			case reflect.Pointer: // what is kept from one row for the next
			default:
				if !sameFields(a.Field(i), b.Field(i)) {
					return false
				}
			}
		}
		return true
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return a.Uint() == b.Uint()
	case reflect.Float32, reflect.Float64:
		return a.Float() == b.Float()
	case reflect.String:
		return a.String() == b.String()
	}
	return true
}
