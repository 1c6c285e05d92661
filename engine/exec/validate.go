package exec

import (
	"errors"
	"fmt"
	"math/big"

	"arbor/catalog"
)

// Errors of this package.
var (
	// ErrFragment means that a fragment makes no sense or exceeds a limit.
	ErrFragment = errors.New("bad fragment")
	// ErrVersion means that a fragment was encoded by a newer arbor.
	ErrVersion = errors.New("fragment has a newer encoding")
	// ErrArray means that a batch's array has a type that its column cannot have.
	ErrArray = errors.New("array of the wrong type")
)

// Limits on a fragment.
const (
	MaxColumns    = catalog.MaxColumns + 64 // a project's columns and all others
	MaxComputed   = 1024
	MaxExprDepth  = 64
	MaxExprNodes  = 4096
	MaxExprValues = 1 << 16 // of one expression
	MaxValueBytes = 1 << 20 // of one constant
	// MaxFunctionBytes is how long the texts of all functions are together, which may
	// hold small tables.
	MaxFunctionBytes = 64 << 20
	MaxNumberBytes   = 400 // of a number given as text, so that its exact value stays small
	MaxExponent      = 400 // of a number given as text
)

// Result is the type of the column's arrays: Type for a property, else what the
// source has.
func (c Column) Result() catalog.Type {
	switch c.Source {
	case SourceProperty:
		return c.Type
	case SourceTime, SourceIngestedAt, SourceTimeRaw:
		return catalog.TypeDatetime
	case SourceProperties:
		return catalog.TypeJSON
	case SourceDuplicate:
		return catalog.TypeBool
	}
	return catalog.TypeString
}

// Validate reports what is wrong with a fragment, wrapping ErrFragment.
func (f *Fragment) Validate() error {
	if len(f.Columns) > MaxColumns {
		return fmt.Errorf("%w: %d columns, at most %d", ErrFragment, len(f.Columns), MaxColumns)
	}
	if f.Limit < 0 {
		return fmt.Errorf("%w: limit %d", ErrFragment, f.Limit)
	}
	for i, b := range f.Buckets {
		if b >= catalog.MaxBuckets || i > 0 && b <= f.Buckets[i-1] {
			return fmt.Errorf("%w: bucket %d after %d others: below %d and ascending", ErrFragment, b, i, catalog.MaxBuckets)
		}
	}
	for i := range f.Columns {
		if err := f.Columns[i].validate(); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	if len(f.Computed) > MaxComputed {
		return fmt.Errorf("%w: %d computed columns, at most %d", ErrFragment, len(f.Computed), MaxComputed)
	}
	functions := 0
	for i := range f.Computed {
		if functions += len(f.Computed[i].Function); functions > MaxFunctionBytes {
			return fmt.Errorf("%w: functions of %d bytes, at most %d", ErrFragment, functions, MaxFunctionBytes)
		}
		if err := f.validateComputed(&f.Computed[i]); err != nil {
			return fmt.Errorf("computed column %d: %w", i, err)
		}
	}
	if f.Stored() && (!f.Copies || f.Group != nil || len(f.Order) > 0) {
		return fmt.Errorf("%w: what is stored is asked for as rows, all copies of them", ErrFragment)
	}
	if err := f.validateGroup(); err != nil {
		return err
	}
	if f.Filter == nil {
		return nil
	}
	v := validator{fragment: f}
	return v.expr(f.Filter, 1)
}

func (f *Fragment) validateComputed(c *Computed) error {
	if c.Type > catalog.TypeDecimal {
		return fmt.Errorf("%w: type %d", ErrFragment, c.Type)
	}
	if len(c.Args) > MaxAggregateArgs || c.Period < 0 {
		return fmt.Errorf("%w: function of %d bytes with %d arguments and period %d", ErrFragment, len(c.Function), len(c.Args), c.Period)
	}
	for _, a := range c.Args {
		if a < 0 || a >= len(f.Columns) {
			return fmt.Errorf("%w: argument on column %d of %d", ErrFragment, a, len(f.Columns))
		}
	}
	if c.Period > 0 && (len(c.Args) != 1 || f.Columns[c.Args[0]].Result() != catalog.TypeDatetime) {
		return fmt.Errorf("%w: a period takes one argument, a moment", ErrFragment)
	}
	return nil
}

func (c *Column) validate() error {
	if c.Source > SourceRecord {
		return fmt.Errorf("%w: source %d", ErrFragment, c.Source)
	}
	if c.Source != SourceProperty {
		return nil
	}
	if c.Type > catalog.TypeDecimal {
		return fmt.Errorf("%w: type %d", ErrFragment, c.Type)
	}
	if c.Type == catalog.TypeDecimal && (c.Precision > catalog.MaxPrecision || c.Scale > catalog.MaxScale || c.Scale > c.Precision) {
		return fmt.Errorf("%w: decimal(%d, %d)", ErrFragment, c.Precision, c.Scale)
	}
	return nil
}

// validator walks an expression and counts what it meets.
type validator struct {
	fragment      *Fragment
	nodes, values int
}

func (v *validator) expr(x *Expr, depth int) error {
	if x == nil {
		return fmt.Errorf("%w: an expression is missing", ErrFragment)
	}
	if v.nodes++; v.nodes > MaxExprNodes {
		return fmt.Errorf("%w: filter of more than %d expressions", ErrFragment, MaxExprNodes)
	}
	if depth > MaxExprDepth {
		return fmt.Errorf("%w: filter nested deeper than %d", ErrFragment, MaxExprDepth)
	}
	switch x.Op {
	case OpAnd, OpOr, OpNot:
		return v.args(x, depth)
	case OpEqual, OpLess, OpLessEq, OpMore, OpMoreEq, OpPrefix, OpLike:
		if len(x.Values) != 1 {
			return fmt.Errorf("%w: operator %d with %d constants, want 1", ErrFragment, x.Op, len(x.Values))
		}
		return v.leaf(x)
	case OpIn:
		if len(x.Values) == 0 {
			return fmt.Errorf("%w: IN without constants", ErrFragment)
		}
		return v.leaf(x)
	case OpIsNull, OpTrue:
		if len(x.Values) != 0 {
			return fmt.Errorf("%w: operator %d with constants", ErrFragment, x.Op)
		}
		return v.leaf(x)
	}
	return fmt.Errorf("%w: operator %d", ErrFragment, x.Op)
}

func (v *validator) args(x *Expr, depth int) error {
	if len(x.Args) == 0 || x.Op == OpNot && len(x.Args) != 1 {
		return fmt.Errorf("%w: operator %d with %d arguments", ErrFragment, x.Op, len(x.Args))
	}
	for _, a := range x.Args {
		if err := v.expr(a, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) leaf(x *Expr) error {
	if x.Column < 0 || x.Column >= v.fragment.columnCount() {
		return fmt.Errorf("%w: filter on column %d of %d", ErrFragment, x.Column, v.fragment.columnCount())
	}
	if len(x.Args) != 0 {
		return fmt.Errorf("%w: operator %d with arguments", ErrFragment, x.Op)
	}
	if v.values += len(x.Values); v.values > MaxExprValues {
		return fmt.Errorf("%w: filter with more than %d constants", ErrFragment, MaxExprValues)
	}
	t, _, _ := v.fragment.ColumnType(x.Column)
	if (x.Op == OpPrefix || x.Op == OpLike) && !isText(t) {
		return fmt.Errorf("%w: prefix or pattern of a %s", ErrFragment, t)
	}
	if x.Op == OpLike && !wholeLike(x.Values[0].Text) {
		return fmt.Errorf("%w: pattern that ends with an escape", ErrFragment)
	}
	if x.Op == OpTrue && !isNumber(t) {
		return fmt.Errorf("%w: truth of a %s", ErrFragment, t)
	}
	for _, c := range x.Values {
		if err := constant(c, t); err != nil {
			return fmt.Errorf("filter on column %d: %w", x.Column, err)
		}
	}
	return nil
}

// constant checks that a value can be compared with a column of type t.
func constant(c catalog.Value, t catalog.Type) error {
	switch c.Kind {
	case catalog.KindNull:
		return nil
	case catalog.KindString, catalog.KindJSON:
		if isText(t) && len(c.Text) <= MaxValueBytes {
			return nil
		}
	case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
		if !isText(t) && (c.Kind != catalog.KindDouble || !(c.Double() != c.Double() || c.Double()-c.Double() != 0)) {
			return nil
		}
	case catalog.KindNumber:
		if _, ok := rationalOf(c); ok && !isText(t) {
			return nil
		}
	}
	return fmt.Errorf("%w: a constant of kind %d cannot be compared with a %s", ErrFragment, c.Kind, t)
}

// isText reports whether values of the type compare as bytes.
func isText(t catalog.Type) bool {
	return t == catalog.TypeString || t == catalog.TypeJSON || t == catalog.TypeNull
}

// rationalOf is the exact number that a value stands for; false for one that is
// none or whose exact form would be large.
func rationalOf(v catalog.Value) (*big.Rat, bool) {
	switch v.Kind {
	case catalog.KindBool, catalog.KindInt:
		return new(big.Rat).SetInt64(v.Int()), true
	case catalog.KindDouble:
		r := new(big.Rat).SetFloat64(v.Double())
		return r, r != nil
	case catalog.KindNumber:
		return parseNumber(v.Text)
	}
	return nil, false
}

// parseNumber reads [+-]digits[.digits][e[+-]digits] exactly, up to the limits.
func parseNumber(s string) (*big.Rat, bool) {
	if len(s) == 0 || len(s) > MaxNumberBytes {
		return nil, false
	}
	exponent, inExponent := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'e' || c == 'E':
			if inExponent {
				return nil, false
			}
			inExponent = true
		case '0' <= c && c <= '9':
			if inExponent {
				if exponent = exponent*10 + int(c-'0'); exponent > MaxExponent {
					return nil, false
				}
			}
		case c != '+' && c != '-' && c != '.':
			return nil, false // big.Rat would take fractions and other bases
		}
	}
	return new(big.Rat).SetString(s)
}
