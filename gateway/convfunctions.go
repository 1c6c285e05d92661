package gateway

import (
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// CONV, INET_NTOA and SOUNDEX at the edges of their arguments: of a number with something
// behind it CONV reads what it begins with, a negative number is no address, and a text
// without letters has no sound. The SQL library gives all bits, an address and 0000.

// convKinds are those functions.
func convKinds(stock map[string]sql.Function) []*plainKind {
	rest := func(name string) func(*sql.Context, any, sql.Type) (any, error) {
		return func(ctx *sql.Context, v any, t sql.Type) (any, error) {
			e, err := stock[name].NewInstance(ctx, []sql.Expression{expression.NewLiteral(v, t)})
			if err != nil {
				return nil, err
			}
			return e.Eval(ctx, nil)
		}
	}
	address, sound := rest("inet_ntoa"), rest("soundex")
	return []*plainKind{
		{name: "conv", least: 3, most: 3, typ: ofType(types.LongText), eval: conv},
		{name: "inet_ntoa", least: 1, most: 1, typ: ofType(types.LongText), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			if n, ok := argumentNumber(ctx, v[0]); !ok || n < 0 || n > 1<<32-1 {
				return nil, nil
			}
			return address(ctx, v[0], args[0].Type(ctx))
		}},
		{name: "soundex", least: 1, most: 1, typ: ofType(types.LongText), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			text, err := valueText(ctx, v[0], args[0])
			if err != nil || strings.ToUpper(text) == strings.ToLower(text) {
				return "", err
			}
			return sound(ctx, text, types.LongText)
		}},
	}
}

// conv is CONV(n, from, to). A negative base means numbers with a sign.
func conv(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
	text, err := valueText(ctx, v[0], args[0])
	if err != nil {
		return nil, err
	}
	from, okFrom := argumentNumber(ctx, v[1])
	to, okTo := argumentNumber(ctx, v[2])
	base := func(n int64) bool { return n >= 2 && n <= 36 || n <= -2 && n >= -36 }
	if text == "" || !okFrom || !okTo || !base(from) || !base(to) {
		return nil, nil
	}
	n := parseInBase(text, from)
	if to < 0 {
		return strings.ToUpper(strconv.FormatInt(int64(n), int(-to))), nil
	}
	return strings.ToUpper(strconv.FormatUint(n, int(to))), nil
}

// parseInBase reads the number that a text begins with, and gives its 64 bits; one beyond
// them is the largest, or least, that there is.
func parseInBase(text string, base int64) uint64 {
	text = strings.TrimLeft(text, " \t\r\n")
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimLeft(text[:min(1, len(text))], "+-") + text[min(1, len(text)):]
	signed := base < 0
	if signed {
		base = -base
	}
	end := 0
	for end < len(text) {
		digit, err := strconv.ParseUint(text[end:end+1], 36, 8)
		if err != nil || digit >= uint64(base) {
			break
		}
		end++
	}
	n, _ := strconv.ParseUint(text[:end], int(base), 64) // which is the largest if it is beyond
	switch {
	case signed && negative:
		return -min(n, 1<<63)
	case signed:
		return min(n, 1<<63-1)
	case negative:
		return -n
	}
	return n
}
