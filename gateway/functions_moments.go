package gateway

import (
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// How much later one moment is than another is asked of pairs of moments that are nearly all
// different, so there is no value of a dictionary to work it out once for. It is a
// subtraction: TIMESTAMPDIFF and DATEDIFF of two columns, and comparisons of these with
// constants and of the columns with each other, are worked out in microseconds. Whatever is
// special, NULL among it, is left to the scalar.

// momentsFunction is such a function.
type momentsFunction struct {
	exec.Function // the scalar
	of            momentsNumber
	truth         bool
}

// momentsNumber is a number, not ok where it is left to the scalar.
type momentsNumber func(args []catalog.Value) (n int64, ok bool)

// Eval gives the value.
func (f *momentsFunction) Eval(args []catalog.Value) (catalog.Value, error) {
	n, ok := f.of(args)
	switch {
	case !ok:
		return f.Function.Eval(args)
	case f.truth:
		return catalog.Bool(n != 0), nil
	}
	return catalog.Int(n), nil
}

// ofMoments is a scalar as a function of moments, if it is one.
func ofMoments(d *decodedScalar, scalar exec.Function) exec.Function {
	switch d.as {
	case formInt:
		if of := d.difference(d.expr); of != nil {
			return &momentsFunction{Function: scalar, of: of}
		}
	case formTruth:
		if of := d.comparison(d.expr); of != nil {
			return &momentsFunction{Function: scalar, of: of, truth: true}
		}
	}
	return scalar
}

var (
	leastKnownMoment = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	// differenceUnits are the units of TIMESTAMPDIFF that are so many microseconds.
	differenceUnits = map[string]int64{"microsecond": 1, "second": 1_000_000, "minute": microMinute, "hour": microHour, "day": microDay, "week": 7 * microDay}
)

// mostDays bounds a DATEDIFF that is worked out in microseconds.
const mostDays = 100_000

// moment is a column of moments.
func (p *scalarProgram) moment(e sql.Expression) momentsNumber {
	f, ok := e.(*expression.GetField)
	if !ok || f.Index() < 0 || f.Index() >= len(p.inputs) || !types.IsDatetimeType(f.Type(nil)) {
		return nil
	}
	switch in := &p.inputs[f.Index()]; {
	case in.program != nil:
		return in.program.moment(in.program.expr)
	case in.constant || in.form != formMoment || !types.IsDatetimeType(in.typ):
		return nil
	default:
		at := in.arg
		return func(args []catalog.Value) (int64, bool) {
			if at >= len(args) || args[at].Kind != catalog.KindInt {
				return 0, false
			}
			n := args[at].Int()
			return n, n >= leastKnownMoment && n <= greatestMoment
		}
	}
}

// difference is TIMESTAMPDIFF or DATEDIFF of two columns.
func (p *scalarProgram) difference(e sql.Expression) momentsNumber {
	var from, to momentsNumber
	size, days := int64(1), false
	switch e := e.(type) {
	case *function.TimestampDiff:
		children := e.Children()
		unit, ok := children[0].(*expression.Literal)
		if !ok {
			return nil
		}
		word, _ := unit.Val.(string)
		size = differenceUnits[strings.TrimPrefix(strings.ToLower(word), "sql_tsi_")]
		from, to = p.moment(children[1]), p.moment(children[2])
	case *function.DateDiff:
		children := e.Children()
		to, from, days = p.moment(children[0]), p.moment(children[1]), true
	}
	if from == nil || to == nil || size == 0 {
		return nil
	}
	return func(args []catalog.Value) (int64, bool) {
		a, ok := from(args)
		b, also := to(args)
		if days {
			n := wholeDays(b) - wholeDays(a)
			return n, ok && also && n < mostDays && n > -mostDays // the library counts no further than 292 years
		}
		return (b - a) / size, ok && also
	}
}

// wholeDays is a moment's day, from 1970.
func wholeDays(micros int64) int64 {
	if day := micros / microDay; micros%microDay >= 0 {
		return day
	}
	return micros/microDay - 1
}

// comparison is a comparison of differences or of columns.
func (p *scalarProgram) comparison(e sql.Expression) momentsNumber {
	number := func(e sql.Expression) momentsNumber {
		if l, ok := e.(*expression.Literal); ok && types.IsInteger(l.Typ) {
			if n, ok := asInteger(l.Val); ok {
				return func([]catalog.Value) (int64, bool) { return n, true }
			}
			return nil
		}
		return p.difference(e)
	}
	compared := func(a, b momentsNumber, holds func(a, b int64) bool) momentsNumber {
		if a == nil || b == nil {
			return nil
		}
		return func(args []catalog.Value) (int64, bool) {
			x, ok := a(args)
			y, also := b(args)
			if ok && also && holds(x, y) {
				return 1, true
			}
			return 0, ok && also
		}
	}
	both := func(l, r sql.Expression, holds func(a, b int64) bool) momentsNumber {
		if of := compared(p.moment(l), p.moment(r), holds); of != nil {
			return of
		}
		return compared(number(l), number(r), holds)
	}
	switch e := e.(type) {
	case *ownComparison:
		return p.comparison(e.stock)
	case *ownBetween:
		return p.comparison(e.stock)
	case *expression.Equals:
		return both(e.Left(), e.Right(), func(a, b int64) bool { return a == b })
	case *expression.GreaterThan:
		return both(e.Left(), e.Right(), func(a, b int64) bool { return a > b })
	case *expression.GreaterThanOrEqual:
		return both(e.Left(), e.Right(), func(a, b int64) bool { return a >= b })
	case *expression.LessThan:
		return both(e.Left(), e.Right(), func(a, b int64) bool { return a < b })
	case *expression.LessThanOrEqual:
		return both(e.Left(), e.Right(), func(a, b int64) bool { return a <= b })
	case *expression.Between:
		least := both(e.Val, e.Lower, func(a, b int64) bool { return a >= b })
		greatest := both(e.Val, e.Upper, func(a, b int64) bool { return a <= b })
		return compared(least, greatest, func(a, b int64) bool { return a == 1 && b == 1 })
	}
	return nil
}
