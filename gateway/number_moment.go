package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// A number that is compared with a moment stands for one: 20260102 for a day,
// 20260102030405 for a second. The SQL library finds it neither equal nor
// greater nor less; here it is converted as MySQL does, and one that is no
// moment, such as a Unix time, is error 1292.

// withNumberMoments gives a node whose comparisons of moments with numbers are
// comparisons of moments; nil where there are none.
func withNumberMoments(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	holder, ok := n.(sql.Expressioner)
	if !ok {
		return nil, nil
	}
	exprs := holder.Expressions()
	found := false
	for _, e := range exprs {
		sql.Inspect(ctx, e, func(ctx *sql.Context, e sql.Expression) bool {
			found = found || e != nil && comparesNumberMoment(ctx, e)
			return !found
		})
	}
	if !found {
		return nil, nil
	}
	next := make([]sql.Expression, len(exprs))
	for i, e := range exprs {
		var err error
		next[i], _, err = transform.Expr(ctx, e, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			if !comparesNumberMoment(ctx, e) {
				return e, transform.SameTree, nil
			}
			children := append([]sql.Expression(nil), e.Children()...)
			for i, c := range children {
				if types.IsNumber(c.Type(ctx)) {
					var err error
					if children[i], err = momentOf(ctx, c); err != nil {
						return nil, transform.SameTree, err
					}
				}
			}
			e, err := e.WithChildren(ctx, children...)
			return e, transform.NewTree, err
		})
		if err != nil {
			return nil, err
		}
	}
	return holder.WithExpressions(ctx, next...)
}

// comparesNumberMoment reports whether an expression compares a moment with a number.
func comparesNumberMoment(ctx *sql.Context, e sql.Expression) bool {
	switch e.(type) {
	case *expression.Equals, *expression.NullSafeEquals, *expression.LessThan, *expression.LessThanOrEqual,
		*expression.GreaterThan, *expression.GreaterThanOrEqual, *expression.Between:
	default:
		return false
	}
	moment, number := false, false
	for _, c := range e.Children() {
		t := c.Type(ctx)
		moment = moment || types.IsTime(t)
		number = number || types.IsNumber(t)
	}
	return moment && number
}

// momentOf is a number as a moment, at once if it is a constant.
func momentOf(ctx *sql.Context, e sql.Expression) (sql.Expression, error) {
	m := &numberMoment{expression.UnaryExpressionStub{Child: e}}
	if _, ok := e.(*expression.Literal); !ok {
		return m, nil
	}
	v, err := m.Eval(ctx, nil)
	if err != nil {
		return nil, err
	}
	return expression.NewLiteral(v, datetimeType), nil
}

// numberMoment is a number as a moment.
type numberMoment struct{ expression.UnaryExpressionStub }

// Eval gives the moment.
func (m *numberMoment) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := m.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	s := plainNumber(v)
	t, ok := parseNumberMoment(s)
	if !ok {
		return nil, refuse(erWrongValue, "22007", "Incorrect datetime value: '%s'; compare with a moment such as '2026-01-02 03:04:05', or with FROM_UNIXTIME of seconds since 1970", clip(s))
	}
	return t, nil
}

// Type is DATETIME(6).
func (m *numberMoment) Type(*sql.Context) sql.Type { return datetimeType }

// String is the number's text.
func (m *numberMoment) String() string { return m.Child.String() }

// WithChildren replaces the number.
func (m *numberMoment) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	return &numberMoment{expression.UnaryExpressionStub{Child: children[0]}}, nil
}

// plainNumber is a number's digits.
func plainNumber(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32)
	case *apd.Decimal:
		return v.Text('f')
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	return fmt.Sprint(v)
}

// parseNumberMoment reads [YY]YYMMDD and [YY]YYMMDDhhmmss, with a fraction of a
// second or none. Two digits of a year are from 1970 to 2069. 0 is before all.
func parseNumberMoment(s string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if whole == "" && fraction == "" {
		return types.ZeroTime, true
	}
	const day, second = "20060102", "20060102150405"
	layout := day
	if len(whole) > len(day) {
		layout = second
	}
	if n := len(layout) - len("20"); len(whole) >= 3 && len(whole) <= n {
		whole = strings.Repeat("0", n-len(whole)) + whole
		if whole < "70" {
			whole = "20" + whole
		} else {
			whole = "19" + whole
		}
	}
	if len(whole) != len(layout) {
		return time.Time{}, false
	}
	t, err := time.Parse(layout, whole)
	if err != nil {
		return time.Time{}, false
	}
	const microDigits = 6
	micros, err := strconv.Atoi((fraction + "000000")[:microDigits])
	return t.Add(time.Duration(micros) * time.Microsecond), err == nil && micros >= 0
}
