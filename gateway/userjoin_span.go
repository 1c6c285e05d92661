package gateway

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/engine/exec"
)

// How much later one side's moment is than the other's is compared in microseconds, and of
// rows that are in order by it, found.

// Moments that a DATETIME can be, in microseconds.
var (
	leastMoment    = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	greatestMoment = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() - 1
)

// sideMoment is a moment of a side, some time later.
type sideMoment struct {
	side, column int
	later        int64
	moved        bool
}

// span takes a comparison of moments of the two sides.
func (s *groupSource) span(c composite) bool {
	switch e := c.expr.(type) {
	case *ownComparison:
		return s.span(composite{e.stock, c.over})
	case *ownBetween:
		return s.span(composite{e.stock, c.over})
	case *expression.Between:
		before := slices.Clone(s.join.spans)
		if s.spanOf(c.over, e.Val, e.Lower, 0, math.MaxInt64) && s.spanOf(c.over, e.Val, e.Upper, math.MinInt64, 0) {
			return true
		}
		s.join.spans = before
	case *expression.Equals:
		return s.spanOf(c.over, e.Left(), e.Right(), 0, 0)
	case *expression.GreaterThan:
		return s.spanOf(c.over, e.Left(), e.Right(), 1, math.MaxInt64)
	case *expression.GreaterThanOrEqual:
		return s.spanOf(c.over, e.Left(), e.Right(), 0, math.MaxInt64)
	case *expression.LessThan:
		return s.spanOf(c.over, e.Left(), e.Right(), math.MinInt64, -1)
	case *expression.LessThanOrEqual:
		return s.spanOf(c.over, e.Left(), e.Right(), math.MinInt64, 0)
	}
	return false
}

// spanOf takes the condition that a is from least to greatest microseconds after b.
func (s *groupSource) spanOf(over []slot, a, b sql.Expression, least, greatest int64) bool {
	x, ok1 := s.moment(over, a)
	y, ok2 := s.moment(over, b)
	if !ok1 || !ok2 || x.side == y.side {
		return false
	}
	if x.side == 0 { // the right one comes first
		x, y = y, x
		least, greatest = negated(greatest), negated(least)
	}
	// right + x.later is between left + y.later + least and left + y.later + greatest
	by := y.later - x.later
	if least != math.MinInt64 {
		least += by
	}
	if greatest != math.MaxInt64 {
		greatest += by
	}
	span := exec.JoinSpan{Left: y.column, Right: x.column, Least: least, Greatest: greatest, OfLeft: y.bounds(), OfRight: x.bounds()}
	for i := range s.join.spans {
		if o := &s.join.spans[i]; o.Left == span.Left && o.Right == span.Right {
			o.Least, o.Greatest = max(o.Least, least), min(o.Greatest, greatest)
			o.OfLeft, o.OfRight = within(o.OfLeft, span.OfLeft), within(o.OfRight, span.OfRight)
			return true
		}
	}
	s.join.spans = append(s.join.spans, span)
	return true
}

func within(a, b exec.MomentSpan) exec.MomentSpan {
	return exec.MomentSpan{Least: max(a.Least, b.Least), Greatest: min(a.Greatest, b.Greatest)}
}

// bounds are the moments of which the sum is a DATETIME; of others it is NULL.
func (m *sideMoment) bounds() exec.MomentSpan {
	if !m.moved {
		return exec.AllMoments
	}
	return exec.MomentSpan{Least: leastMoment - m.later, Greatest: greatestMoment - m.later}
}

// moment is an expression that is a moment of a side, or one and a constant interval.
func (s *groupSource) moment(over []slot, e sql.Expression) (m sideMoment, ok bool) {
	if call, is := e.(*plainFunction); is && (call.kind.name == offsetOnFunction || call.kind.name == offsetBackFunction) {
		if m, ok = s.moment(over, call.args[0]); !ok || m.moved {
			return m, false
		}
		by, constant := constantOf(call.args[1])
		if !constant || by.Val == nil {
			return m, false
		}
		micros, months, known := offsetBy(s.ctx, by.Val, offsetUnit(call.args))
		if call.kind.name == offsetBackFunction {
			micros = -micros
		}
		m.later, m.moved = micros, true
		return m, known && months == 0
	}
	c := composite{e, over}
	m.side, m.column, ok = s.sideColumn(c, e)
	if !ok || !types.IsDatetimeType(e.Type(s.ctx)) {
		return m, false
	}
	d := s.join.sides[m.side]
	return m, d.source.columns[m.column].form == formMoment && types.IsDatetimeType(d.source.columns[m.column].typ)
}

// spanText is a span for people.
func spanText(left, right string, s exec.JoinSpan) string {
	var words []string
	bound := func(op string, by int64) {
		word := right + " " + op + " " + left
		switch d := time.Duration(by) * time.Microsecond; {
		case by > 0:
			word += " + " + d.String()
		case by < 0:
			word += " - " + (-d).String()
		}
		words = append(words, word)
	}
	switch {
	case s.Least == s.Greatest:
		bound("=", s.Least)
	default:
		if s.Least == 1 {
			words = append(words, right+" > "+left)
		} else if s.Least != math.MinInt64 {
			bound(">=", s.Least)
		}
		if s.Greatest == -1 {
			words = append(words, right+" < "+left)
		} else if s.Greatest != math.MaxInt64 {
			bound("<=", s.Greatest)
		}
	}
	return strings.Join(words, ", ")
}
