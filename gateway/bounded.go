package gateway

import (
	"math"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// codePacketOverflow is MySQL's warning about a function's result that would be
// longer than max_allowed_packet, and is NULL therefore.
const codePacketOverflow = 1301

// minMaxPacket is the least that max_allowed_packet can be: results up to it
// need no look at the variable.
const minMaxPacket = 1024

// bounded is a function that can make much out of little. The SQL library's take
// any length, and build it before anybody can object: a few bytes of SQL fill
// the memory, and REPEAT of 3,000,000,000 panics. This one has the arguments
// computed, once, tells from them how long the result would be, and gives NULL
// where that is too long. Then the library's function, or one of ours where the
// library's is slow or counts bytes as characters, makes the result.
type bounded struct {
	sql.Expression // the library's, over the arguments
	rule           *boundedRule
	over           sql.Expression // the library's, over a row of their values
}

// boundedRule is what is known of a function.
type boundedRule struct {
	// skipsNulls says that only the first argument's NULL makes the result NULL.
	skipsNulls bool
	// joins says that the result is at least as long as the arguments together,
	// from the one of that number on; 0 says nothing.
	joins int
	// measure gives the length of the result in bytes. The function it gives makes
	// the result; nil leaves that to the library.
	measure func(*boundedCall) (length, func() any, error)
	// first says that the library computes with the other arguments by itself, where
	// they are the same for all rows, so that it need not begin anew with each.
	first bool
}

// length is a number of bytes, at most math.MaxInt64.
type length int64

// times gives n times l.
func (l length) times(n int64) length {
	if l <= 0 || n <= 0 {
		return 0
	}
	if int64(l) > math.MaxInt64/n {
		return math.MaxInt64
	}
	return l * length(n)
}

// plus gives the sum.
func (l length) plus(m length) length {
	if l > math.MaxInt64-m {
		return math.MaxInt64
	}
	return l + m
}

// boundFunction is the library's function f with a bound.
func boundFunction(f sql.Function, rule *boundedRule) sql.Function {
	return sql.FunctionN{Name: f.FunctionName(), Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		e, err := f.NewInstance(ctx, args)
		if err != nil {
			return nil, err
		}
		return newBounded(ctx, e, rule)
	}}
}

// boundedFunctions are the functions with a bound, by their names.
func boundedFunctions() map[string]sql.Function {
	stock, all := function.NewRegistry(), make(map[string]sql.Function)
	for name, rule := range boundedRules {
		all[name] = boundFunction(stock[name], rule)
	}
	return all
}

func newBounded(ctx *sql.Context, e sql.Expression, rule *boundedRule) (sql.Expression, error) {
	args := e.Children()
	values := make([]sql.Expression, len(args))
	for i, a := range args {
		values[i] = &argument{Expression: a, index: i}
		if _, constant := constantOf(a); rule.first && i > 0 && constant {
			values[i] = a
		}
	}
	over, err := e.WithChildren(ctx, values...)
	if err != nil {
		return nil, err
	}
	return &bounded{Expression: e, rule: rule, over: over}, nil
}

// Eval gives the result, or NULL with a warning where it would be too long.
func (b *bounded) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	call := &boundedCall{ctx: ctx, exprs: b.Expression.Children()}
	call.args = make(sql.Row, len(call.exprs))
	var joined length
	for i, e := range call.exprs {
		v, err := e.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if v == nil && (i == 0 || !b.rule.skipsNulls) {
			return nil, nil
		}
		if v, err = sql.UnwrapAny(ctx, v); err != nil {
			return nil, err
		}
		call.args[i] = v
		if b.rule.joins > 0 && i+1 >= b.rule.joins {
			n, err := call.bytes(i)
			if err != nil {
				return nil, err
			}
			if joined = joined.plus(n); tooLong(ctx, joined) {
				return b.overflow(ctx)
			}
		}
	}
	n, build, err := b.rule.measure(call)
	switch {
	case err != nil:
		return nil, err
	case tooLong(ctx, n):
		return b.overflow(ctx)
	case build != nil:
		return build(), nil
	}
	return b.over.Eval(ctx, call.args)
}

// overflow is the result of a call whose result would be too long.
func (b *bounded) overflow(ctx *sql.Context) (any, error) {
	warn(ctx, codePacketOverflow, "Result of %s() was larger than max_allowed_packet (%d) - truncated",
		strings.ToLower(b.FunctionName()), maxResult(ctx))
	return nil, nil
}

// tooLong reports whether no result may have that many bytes.
func tooLong(ctx *sql.Context, n length) bool { return n > minMaxPacket && n > maxResult(ctx) }

// maxResult is how long a function's result may be: max_allowed_packet, which a
// client may set for itself, but not above what the server takes.
func maxResult(ctx *sql.Context) length {
	v, err := ctx.GetSessionVariable(ctx, "max_allowed_packet")
	if err == nil {
		if n, _, err := types.Int64.Convert(ctx, v); err == nil && n != nil {
			return length(min(max(n.(int64), minMaxPacket), DefaultMaxPacket))
		}
	}
	return DefaultMaxPacket
}

// maxWarnings is how many warnings of a statement are kept: MySQL's max_error_count.
const maxWarnings = 1024

// warn adds a warning, unless there are many: a function may give one for each row.
func warn(ctx *sql.Context, code int, format string, args ...any) {
	if ctx.Session != nil && ctx.Session.WarningCount() < maxWarnings {
		ctx.Warn(code, format, args...)
	}
}

// WithChildren replaces the arguments.
func (b *bounded) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := b.Expression.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	return newBounded(ctx, e, b.rule)
}

// IsNullable is true: the result may be too long.
func (b *bounded) IsNullable(*sql.Context) bool { return true }

// FunctionName is the function's.
func (b *bounded) FunctionName() string { return b.Expression.(sql.FunctionExpression).FunctionName() }

// Description is the function's.
func (b *bounded) Description() string { return b.Expression.(sql.FunctionExpression).Description() }

// CollationCoercibility is the function's.
func (b *bounded) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, b.Expression)
}

// argument stands for an argument whose value is known: it is in the row.
type argument struct {
	sql.Expression
	index int
}

// Eval gives the value.
func (a *argument) Eval(_ *sql.Context, row sql.Row) (any, error) { return row[a.index], nil }

// IsNonDeterministic is true: it is another value with each row, which the library
// must not take for a constant.
func (a *argument) IsNonDeterministic() bool { return true }

// CollationCoercibility is the argument's.
func (a *argument) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, a.Expression)
}

// GetSessionVariable gives a variable of the session. What GROUP_CONCAT makes
// may be no longer than the result of any function, whatever the client has set.
func (s *session) GetSessionVariable(ctx *sql.Context, name string) (any, error) {
	v, err := s.BaseSession.GetSessionVariable(ctx, name)
	if n, ok := v.(uint64); ok && err == nil && strings.EqualFold(name, "group_concat_max_len") {
		return min(n, uint64(maxResult(ctx))), nil
	}
	return v, err
}
