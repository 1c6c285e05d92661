package gateway

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Functions of texts that the SQL library answers otherwise than MySQL: LOCATE compares
// without case whatever the collation, and with NULL for a position; FROM_BASE64 fails
// where MySQL's is NULL; QUOTE(NULL) is NULL.

// textKinds are those functions.
func textKinds() []*plainKind {
	locate := func(name string, least, most, text, part int) *plainKind {
		return &plainKind{name: name, least: least, most: most, typ: ofType(types.Int64), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			from := int64(1)
			if len(v) > 2 {
				var ok bool
				if from, ok = argumentNumber(ctx, v[2]); !ok {
					return nil, nil
				}
			}
			whole, err := valueText(ctx, v[text], args[text])
			if err != nil {
				return nil, err
			}
			wanted, err := valueText(ctx, v[part], args[part])
			if err != nil {
				return nil, err
			}
			return placeIn(whole, wanted, from, commonCollation(ctx, args[text], args[part])), nil
		}}
	}
	return []*plainKind{
		locate("locate", 2, 3, 1, 0), locate("position", 2, 3, 1, 0), locate("instr", 2, 2, 0, 1),
		{name: "field", least: 2, most: maxFieldValues, typ: ofType(types.Int64), nulls: true, eval: fieldOf},
		{name: "from_base64", least: 1, most: 1, typ: ofType(types.LongBlob), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			text, err := valueText(ctx, v[0], args[0])
			if err != nil {
				return nil, err
			}
			decoded, err := base64.StdEncoding.DecodeString(strings.Map(withoutSpace, text))
			if err != nil {
				return nil, nil
			}
			return decoded, nil
		}},
		{name: "substring_index", least: 3, most: 3, typ: ofType(types.LongText), eval: substringIndex,
			collation: func(ctx *sql.Context, args []sql.Expression) (sql.CollationID, byte) {
				return sql.GetCoercibility(ctx, args[0])
			}},
		{name: "quote", least: 1, most: 1, typ: ofType(types.LongText), nulls: true, eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			if v[0] == nil {
				return "NULL", nil
			}
			text, err := valueText(ctx, v[0], args[0])
			if err != nil {
				return nil, err
			}
			return "'" + literalEscapes.Replace(text) + "'", nil
		}},
	}
}

// substringIndex is SUBSTRING_INDEX(text, delimiter, n): what stands before the nth
// delimiter, or behind the nth from the end. The SQL library takes no delimiter for one
// between any two characters.
func substringIndex(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
	text, err := valueText(ctx, v[0], args[0])
	if err != nil {
		return nil, err
	}
	delimiter, err := valueText(ctx, v[1], args[1])
	if err != nil {
		return nil, err
	}
	n, ok := argumentNumber(ctx, v[2])
	if !ok {
		return nil, nil
	}
	if n == 0 || delimiter == "" {
		return "", nil
	}
	at := 0
	for ; n > 0; n-- {
		next := strings.Index(text[at:], delimiter)
		if next < 0 {
			return text, nil
		}
		if at += next; n == 1 {
			return text[:at], nil
		}
		at += len(delimiter)
	}
	for at = len(text); n < 0; n++ {
		if at = strings.LastIndex(text[:at], delimiter); at < 0 {
			return text, nil
		}
	}
	return text[at+len(delimiter):], nil
}

// maxFieldValues bounds the values of FIELD.
const maxFieldValues = 65_535

// fieldOf is FIELD(x, a, b, …): the place of the first value that is equal to x, 0 for none.
// Texts are compared as texts, by their collation, and everything else as numbers.
func fieldOf(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
	if v[0] == nil {
		return int64(0), nil
	}
	texts := true
	for _, a := range args {
		t := a.Type(ctx)
		texts = texts && (types.IsText(t) || t == types.Null)
	}
	for i := 1; i < len(v); i++ {
		if v[i] == nil {
			continue
		}
		same, err := equalValues(ctx, texts, args[0], args[i], v[0], v[i])
		if err != nil {
			return nil, err
		}
		if same {
			return int64(i), nil
		}
	}
	return int64(0), nil
}

func equalValues(ctx *sql.Context, texts bool, left, right sql.Expression, a, b any) (bool, error) {
	if !texts {
		if order, ok := compareExactly(a, b); ok {
			return order == 0, nil
		}
		x, okX := numberAsDouble(ctx, a)
		y, okY := numberAsDouble(ctx, b)
		return okX && okY && x == y, nil
	}
	x, err := valueText(ctx, a, left)
	if err != nil {
		return false, err
	}
	y, err := valueText(ctx, b, right)
	if err != nil {
		return false, err
	}
	by := commonCollation(ctx, left, right)
	if byBytes(by) {
		return x == y, nil
	}
	return utf8.RuneCountInString(x) == utf8.RuneCountInString(y) && beginsWith(x, y, by.Sorter()), nil
}

// literalEscapes are the characters that QUOTE escapes.
var literalEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\x1a", `\Z`)

// withoutSpace leaves out what separates lines of base64.
func withoutSpace(r rune) rune {
	switch r {
	case ' ', '\t', '\r', '\n', '\v', '\f':
		return -1
	}
	return r
}

// valueText is a value as a text.
func valueText(ctx *sql.Context, v any, of sql.Expression) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	s, _, err := types.ConvertToCollatedString(ctx, v, of.Type(ctx))
	return s, err
}

// commonCollation is the collation by which two texts are compared.
func commonCollation(ctx *sql.Context, a, b sql.Expression) sql.CollationID {
	x, coercibleX := sql.GetCoercibility(ctx, a)
	y, coercibleY := sql.GetCoercibility(ctx, b)
	c, _ := sql.ResolveCoercibility(x, coercibleX, y, coercibleY)
	return c
}

// placeIn is the place, from one on and counted in characters, at which a text holds
// another one, looked for from a place on; 0 for none.
func placeIn(whole, wanted string, from int64, by sql.CollationID) int64 {
	start := 0
	for n := int64(1); n < from; n++ {
		if start >= len(whole) {
			return 0
		}
		_, size := utf8.DecodeRuneInString(whole[start:])
		start += size
	}
	if from < 1 {
		return 0
	}
	if wanted == "" {
		return from
	}
	if byBytes(by) {
		at := strings.Index(whole[start:], wanted)
		if at < 0 {
			return 0
		}
		return from + int64(utf8.RuneCountInString(whole[start:start+at]))
	}
	weight := by.Sorter()
	for place := from; start < len(whole); place++ {
		if beginsWith(whole[start:], wanted, weight) {
			return place
		}
		_, size := utf8.DecodeRuneInString(whole[start:])
		start += size
	}
	return 0
}

// byBytes reports whether texts of a collation are equal only where their bytes are.
func byBytes(c sql.CollationID) bool {
	return c == sql.Collation_Unspecified || c == sql.Collation_binary || strings.HasSuffix(c.Name(), "_bin")
}

// beginsWith reports whether a text begins with another one, character by character.
func beginsWith(text, start string, weight sql.CollationSorter) bool {
	for start != "" {
		if text == "" {
			return false
		}
		a, n := utf8.DecodeRuneInString(text)
		b, m := utf8.DecodeRuneInString(start)
		if a != b && weight(a) != weight(b) {
			return false
		}
		text, start = text[n:], start[m:]
	}
	return true
}

// momentOrNullFunction reads a text as a moment, NULL with a warning where it is none.
const momentOrNullFunction = "arbor_moment_or_null"

var momentOrNullKind = &plainKind{name: momentOrNullFunction, least: 1, most: 1, typ: ofType(types.DatetimeMaxPrecision),
	shown: func(args []string) string { return args[0] },
	eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
		t, ok := argumentMoment(ctx, v[0])
		if !ok {
			ctx.Warn(codeWrongValue, "Incorrect datetime value: '%v'", v[0])
			return nil, nil
		}
		return t, nil
	}}

// codeWrongValue is MySQL's warning about a text that cannot be read as what is wanted.
const codeWrongValue = 1292

// withReadMoments is TIMESTAMPDIFF of texts, of which those that are no moment make NULL as
// in MySQL, where the library fails; nil for other expressions.
func withReadMoments(ctx *sql.Context, e sql.Expression) sql.Expression {
	if _, ok := e.(*function.TimestampDiff); !ok {
		return nil
	}
	children := e.Children()
	changed := append([]sql.Expression(nil), children...)
	texts := false
	for i := 1; i < len(children); i++ {
		if children[i].Resolved() && types.IsText(children[i].Type(ctx)) {
			changed[i], texts = &plainFunction{kind: momentOrNullKind, args: []sql.Expression{children[i]}}, true
		}
	}
	if !texts {
		return nil
	}
	out, err := e.WithChildren(ctx, changed...)
	if err != nil {
		return nil
	}
	return out
}
