package gateway

import (
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// A moment or a number where a function takes a text. In MySQL it is the text that a
// client would be sent: a DATETIME(6) with its six digits, a DATE without a time, a zero
// without a sign. The SQL library drops digits that are zero, gives a DATE a time, writes
// a number otherwise, and some of its functions take no such value at all. So what makes the text is put between.

// textFunction is the name under which it travels.
const textFunction = "arbor_text"

// textValues are the function that makes such a text. A call looks like its argument, since
// the SQL library knows groups by their texts.
func textValues() []*plainKind {
	return []*plainKind{{name: textFunction, least: 1, most: 1, typ: ofType(types.LongText),
		shown: func(args []string) string { return args[0] },
		collation: func(ctx *sql.Context, args []sql.Expression) (sql.CollationID, byte) {
			return sql.GetCoercibility(ctx, args[0])
		},
		eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			if t, ok := v[0].(time.Time); ok {
				return t.Format(momentLayout(args[0].Type(ctx), shownDigits(ctx, args[0]))), nil
			}
			return printedValue(v[0]), nil
		}}}
}

// momentLayout is how a moment of a type is written, with so many digits of its seconds.
func momentLayout(t sql.Type, digits int) string {
	switch {
	case types.IsDateType(t):
		return time.DateOnly
	case digits > 0:
		return time.DateTime + "." + strings.Repeat("0", digits)
	}
	return time.DateTime
}

// shownDigits are the digits of a moment's seconds. NOW(3) has three, though its type in
// the SQL library has six.
func shownDigits(ctx *sql.Context, e sql.Expression) int {
	if now, ok := e.(*function.Now); ok && len(now.Children()) == 1 {
		if l, ok := now.Children()[0].(*expression.Literal); ok {
			if n, ok := asInteger(l.Val); ok {
				return int(min(max(n, 0), 6))
			}
		}
	}
	return momentDigits(e.Type(ctx))
}

// printedValue is a TIME or a number as a client would be sent it. Other values stay.
func printedValue(v any) any {
	if n, ok := asInteger(v); ok {
		return strconv.FormatInt(n, 10)
	}
	switch v := v.(type) {
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return doubleText(v)
	case float32:
		return floatText(v)
	case types.Timespan:
		return strings.TrimSuffix(v.String(), ".000000")
	case *apd.Decimal:
		if v.IsZero() && v.Negative {
			return strings.TrimPrefix(v.Text('f'), "-")
		}
		return v.Text('f')
	}
	return v
}

// textArguments say which arguments of a function are texts: so many from the first one,
// all for -1.
var textArguments = map[string]int{
	"concat": -1, "concat_ws": -1, "replace": -1, "find_in_set": -1, "instr": -1, "strcmp": -1,
	"regexp_like": 2, "regexp_instr": 2, "regexp_substr": 2, "regexp_replace": 3, "locate": 2, "position": 2,
	"length": 1, "octet_length": 1, "char_length": 1, "character_length": 1, "bit_length": 1,
	"substr": 1, "substring": 1, "mid": 1, "substring_index": 1, "left": 1, "right": 1,
	"lower": 1, "lcase": 1, "upper": 1, "ucase": 1, "reverse": 1, "repeat": 1, "lpad": 1, "rpad": 1, "insert": 1,
	"trim": 1, "ltrim": 1, "rtrim": 1, "md5": 1, "sha": 1, "sha1": 1, "sha2": 1, "crc32": 1, "to_base64": 1, "ascii": 1, "ord": 1, "hex": 1, "soundex": 1, "quote": 1,
}

// withTextValues is an expression whose arguments are texts where it takes texts, nil if
// nothing is to be changed.
func withTextValues(ctx *sql.Context, e sql.Expression) sql.Expression {
	first, count, numbers := 0, 0, true
	switch e := e.(type) {
	case *expression.Like:
		count = 2
	case *expression.Convert:
		switch hidden(e, "castToType").String() {
		case expression.ConvertToChar, expression.ConvertToNChar, expression.ConvertToBinary:
			count = 1
		}
	case *function.If:
		if types.IsText(e.Type(ctx)) {
			first, count, numbers = 1, 2, false
		}
	case *function.Coalesce, *function.IfNull:
		if types.IsText(e.Type(ctx)) {
			count, numbers = -1, false
		}
	case *aggregation.GroupConcat:
		count = len(e.OutputExpressions())
		first = len(e.Children()) - count // what it is ordered by comes before
	case sql.FunctionExpression:
		name := strings.ToLower(e.FunctionName())
		count, numbers = textArguments[name], name != "hex" // which has a meaning of its own for them
	}
	if count == 0 {
		return nil
	}
	children := e.Children()
	if count < 0 {
		count = len(children)
	}
	var changed []sql.Expression
	for i := first; i < min(first+count, len(children)); i++ {
		if children[i] == nil || !children[i].Resolved() {
			continue
		}
		if t := children[i].Type(ctx); !types.IsTime(t) && !types.IsTimespan(t) && (!numbers || !types.IsNumber(t)) {
			continue
		}
		if changed == nil {
			changed = append(changed, children...)
		}
		changed[i] = &plainFunction{kind: textKind, args: []sql.Expression{children[i]}}
	}
	if changed == nil {
		return nil
	}
	out, err := e.WithChildren(ctx, changed...)
	if err != nil {
		return nil
	}
	return out
}

var textKind = textValues()[0]
