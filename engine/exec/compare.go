package exec

import (
	"cmp"
	"math"
	"math/big"
	"strings"

	"arbor/catalog"
)

// compareValues orders two values that are not null as a column of type t does.
func compareValues(a, b catalog.Value, t catalog.Type) int {
	if isText(t) {
		return strings.Compare(a.Text, b.Text)
	}
	if a.Kind == b.Kind {
		switch a.Kind {
		case catalog.KindInt:
			return cmp.Compare(a.Int(), b.Int())
		case catalog.KindDouble:
			return cmp.Compare(a.Double(), b.Double())
		}
	}
	x, ok := rationalOf(a)
	y, ok2 := rationalOf(b)
	if !ok || !ok2 {
		return 0
	}
	return x.Cmp(y)
}

// holds reports whether an ordering operator is true of a comparison's sign.
func (op Op) holds(sign int) bool {
	switch op {
	case OpEqual, OpIn:
		return sign == 0
	case OpLess:
		return sign < 0
	case OpLessEq:
		return sign <= 0
	case OpMore:
		return sign > 0
	case OpMoreEq:
		return sign >= 0
	}
	return false
}

// intRange is the integers for which x op c is true, as a closed interval,
// empty if lo > hi: so every comparison of an integer column with any number
// becomes two integer comparisons a row.
func intRange(op Op, c catalog.Value) (lo, hi int64) {
	const least, most = math.MinInt64, math.MaxInt64
	floor, place := floorOf(c)
	switch {
	case place < 0: // c is below every integer
		if op == OpMore || op == OpMoreEq {
			return least, most
		}
		return 1, 0
	case place > 0: // c is above every integer
		if op == OpLess || op == OpLessEq {
			return least, most
		}
		return 1, 0
	}
	exact := isExact(c, floor)
	switch op {
	case OpEqual, OpIn:
		if exact {
			return floor, floor
		}
	case OpLess:
		if !exact {
			return least, floor
		}
		if floor > least {
			return least, floor - 1
		}
	case OpLessEq:
		return least, floor
	case OpMore:
		if floor < most {
			return floor + 1, most
		}
	case OpMoreEq:
		if exact {
			return floor, most
		}
		if floor < most {
			return floor + 1, most
		}
	}
	return 1, 0
}

// floorOf is the greatest integer that is not above the number c; place says
// that c lies below (-1) or above (1) all int64.
func floorOf(c catalog.Value) (floor int64, place int) {
	if c.Kind == catalog.KindInt || c.Kind == catalog.KindBool {
		return c.Int(), 0
	}
	r, ok := rationalOf(c)
	if !ok {
		return 0, 1
	}
	// Div rounds towards minus infinity for the positive denominator.
	q := new(big.Int).Div(r.Num(), r.Denom())
	if q.IsInt64() {
		return q.Int64(), 0
	}
	return 0, q.Sign()
}

func isExact(c catalog.Value, floor int64) bool {
	if c.Kind == catalog.KindInt || c.Kind == catalog.KindBool {
		return true
	}
	r, ok := rationalOf(c)
	return ok && r.IsInt() && r.Num().Int64() == floor
}

// doubleBound is a number beside a float64: the float nearest to it, and on
// which side of that float it lies.
type doubleBound struct {
	near float64
	side int // the sign of the number minus near
}

func doubleBoundOf(c catalog.Value) doubleBound {
	if c.Kind == catalog.KindDouble {
		return doubleBound{near: c.Double()}
	}
	r, ok := rationalOf(c)
	if !ok {
		return doubleBound{near: math.NaN()}
	}
	near, exact := r.Float64()
	if exact || math.IsInf(near, 0) {
		return doubleBound{near: near}
	}
	return doubleBound{near: near, side: r.Cmp(new(big.Rat).SetFloat64(near))}
}

// sign compares f with the number.
func (b doubleBound) sign(f float64) int {
	switch {
	case f < b.near:
		return -1
	case f > b.near:
		return 1
	}
	return -b.side
}
