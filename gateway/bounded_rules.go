package gateway

import (
	"encoding/base64"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// boundedRules say how long the results of functions are, by their names.
var boundedRules = map[string]*boundedRule{
	"concat":     {joins: 1, measure: measureConcat},
	"concat_ws":  {joins: 2, skipsNulls: true, measure: measureConcatWS},
	"export_set": {measure: measureExportSet},
	"hex":        {measure: measureHex},
	"insert":     {measure: measureInsert},
	"lpad":       {measure: func(c *boundedCall) (length, func() any, error) { return measurePad(c, true) }},
	"repeat":     {measure: measureRepeat},
	"replace":    {measure: measureReplace},

	"regexp_instr":   regexpRule(false),
	"regexp_like":    regexpRule(false),
	"regexp_replace": regexpRule(true),
	"regexp_substr":  regexpRule(false),
	"rpad":           {measure: func(c *boundedCall) (length, func() any, error) { return measurePad(c, false) }},
	"space":          {measure: measureSpace},
	"to_base64":      {measure: measureBase64},
}

// boundedCall is one call of a function: the arguments and their values.
type boundedCall struct {
	ctx   *sql.Context
	exprs []sql.Expression
	args  sql.Row
}

// text is a value as a string.
func (c *boundedCall) text(i int) (string, error) {
	if s, ok := c.args[i].(string); ok {
		return s, nil
	}
	s, _, err := types.ConvertToCollatedString(c.ctx, c.args[i], c.exprs[i].Type(c.ctx))
	return s, err
}

// textOf is a value as a string, empty for NULL and for an argument that is not there.
func (c *boundedCall) textOf(i int) (string, error) {
	if i >= len(c.args) || c.args[i] == nil {
		return "", nil
	}
	return c.text(i)
}

// bytes is how long a value is as a string; NULL has no bytes.
func (c *boundedCall) bytes(i int) (length, error) {
	switch v := c.args[i].(type) {
	case nil:
		return 0, nil
	case []byte:
		return length(len(v)), nil
	}
	s, err := c.text(i)
	return length(len(s)), err
}

// integer is a value as an integer, or the nearest that there is.
func (c *boundedCall) integer(i int) (int64, error) {
	v, fits, err := types.Int64.Convert(c.ctx, c.args[i])
	switch {
	case sql.ErrTruncatedIncorrect.Is(err):
		warn(c.ctx, mysql.ERTruncatedWrongValue, "%s", err.Error())
	case fits == sql.Overflow:
		return math.MaxInt64, nil
	case fits == sql.Underflow:
		return math.MinInt64, nil
	case err != nil:
		return 0, err
	}
	n, _ := v.(int64)
	return n, nil
}

func measureConcat(c *boundedCall) (n length, _ func() any, _ error) {
	return 0, nil, nil // joins has measured it
}

func measureConcatWS(c *boundedCall) (n length, _ func() any, _ error) {
	separator, err := c.bytes(0)
	parts := int64(0)
	for i := 1; i < len(c.args) && err == nil; i++ {
		if c.args[i] != nil {
			var part length
			part, err = c.bytes(i)
			n = n.plus(part)
			parts++
		}
	}
	return n.plus(separator.times(parts - 1)), nil, err
}

// measureExportSet measures EXPORT_SET(bits, on, off, separator, number of bits).
func measureExportSet(c *boundedCall) (n length, _ func() any, err error) {
	if _, isText := c.args[0].(string); isText {
		return 0, nil, nil
	}
	bits, err := c.integer(0)
	if err != nil {
		return 0, nil, err
	}
	sizes := []length{0, 0, 0, 1} // the separator is a comma
	for i := 1; i < min(len(c.args), 4); i++ {
		if sizes[i], err = c.bytes(i); err != nil {
			return 0, nil, err
		}
	}
	count := int64(64)
	if len(c.args) > 4 {
		if count, err = c.integer(4); err != nil {
			return 0, nil, err
		}
		if count < 0 || count > 64 {
			count = 64
		}
	}
	for i := range count {
		if bits>>i&1 == 1 {
			n = n.plus(sizes[1])
		} else {
			n = n.plus(sizes[2])
		}
	}
	return n.plus(sizes[3].times(count - 1)), nil, nil
}

func measureHex(c *boundedCall) (n length, _ func() any, _ error) {
	switch v := c.args[0].(type) {
	case string:
		n = length(len(v))
	case []byte:
		n = length(len(v))
	}
	return n.times(2), nil, nil
}

// base64Line is how long the lines of TO_BASE64 are.
const base64Line = 76

func measureBase64(c *boundedCall) (length, func() any, error) {
	n, err := c.bytes(0)
	n = length(base64.StdEncoding.EncodedLen(int(n)))
	return n + max(n-1, 0)/base64Line, nil, err
}

// measureInsert measures INSERT(s, position, length, new).
func measureInsert(c *boundedCall) (length, func() any, error) {
	old, err := c.bytes(0)
	if err != nil {
		return 0, nil, err
	}
	position, err := c.integer(1)
	if err != nil {
		return 0, nil, err
	}
	cut, err := c.integer(2)
	if err != nil {
		return 0, nil, err
	}
	added, err := c.bytes(3)
	if err != nil || position < 1 || position > int64(old) {
		return old, nil, err
	}
	text, err := c.text(0)
	if err != nil {
		return 0, nil, err
	}
	start := characterAt(text, position-1)
	if start == len(text) {
		return old, func() any { return text }, nil
	}
	end := len(text)
	if cut >= 0 && cut <= int64(len(text)) {
		end = start + characterAt(text[start:], cut)
	}
	put, err := c.text(3)
	if err != nil {
		return 0, nil, err
	}
	return (old - length(end-start)).plus(added), func() any { return text[:start] + put + text[end:] }, nil
}

// characterAt is where a text's character of that number, from 0 on, begins: the text's
// length, if it has not so many.
func characterAt(text string, n int64) int {
	at := 0
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

func measureReplace(c *boundedCall) (length, func() any, error) {
	s, err := c.text(0)
	if err != nil {
		return 0, nil, err
	}
	from, err := c.text(1)
	if err != nil {
		return 0, nil, err
	}
	to, err := c.text(2)
	if err != nil || from == "" || len(to) <= len(from) {
		return length(len(s)), nil, err
	}
	more := length(len(to) - len(from)).times(int64(strings.Count(s, from)))
	return more.plus(length(len(s))), nil, nil
}

func measureRepeat(c *boundedCall) (length, func() any, error) {
	s, err := c.text(0)
	if err != nil {
		return 0, nil, err
	}
	count, err := c.integer(1)
	if s == "" {
		count = 0
	}
	return length(len(s)).times(count), func() any { return strings.Repeat(s, int(max(count, 0))) }, err
}

func measureSpace(c *boundedCall) (length, func() any, error) {
	count, err := c.integer(0)
	count = max(count, 0)
	return length(count), func() any { return strings.Repeat(" ", int(count)) }, err
}

// measurePad measures LPAD and RPAD, which count characters.
func measurePad(c *boundedCall, left bool) (length, func() any, error) {
	s, err := c.text(0)
	if err != nil {
		return 0, nil, err
	}
	count, err := c.integer(1)
	if err != nil {
		return 0, nil, err
	}
	pad, err := c.text(2)
	if err != nil {
		return 0, nil, err
	}
	_, binary := c.args[0].([]byte)
	missing := count - characters(s, binary)
	switch {
	case count < 0:
		return 0, func() any { return nil }, nil
	case missing <= 0:
		return 0, func() any { return prefix(s, count, binary) }, nil
	case pad == "":
		return 0, func() any { return "" }, nil
	}
	whole := missing / characters(pad, binary)
	part := prefix(pad, missing%characters(pad, binary), binary)
	n := length(len(pad)).times(whole).plus(length(len(part) + len(s)))
	return n, func() any {
		padding := strings.Repeat(pad, int(whole)) + part
		if left {
			return padding + s
		}
		return s + padding
	}, nil
}

// characters counts a string's characters, or its bytes.
func characters(s string, binary bool) int64 {
	if binary {
		return int64(len(s))
	}
	return int64(utf8.RuneCountInString(s))
}

// prefix gives the first n characters of a string, or bytes.
func prefix(s string, n int64, binary bool) string {
	if binary {
		return s[:min(n, int64(len(s)))]
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
