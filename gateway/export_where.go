package gateway

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"arbor/catalog"
)

// The where of an export, as far as it is understood:
//
//	or:         and ("or" and)*
//	and:        not ("and" not)*
//	not:        "not" not | comparison
//	comparison: value (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") value)?
//	value:      properties["NAME"] | event["NAME"] | defined(value) | string | number | true | false | "(" or ")"
//
// A property is its column; one that nobody has sent is undefined, which is equal to
// nothing. "in" looks for a text in a text, and for a value in a list.

// maxWhereDepth bounds how deep an expression is nested.
const maxWhereDepth = 64

// exportWhere is the condition in SQL.
func exportWhere(p *catalog.Project, text string) (string, error) {
	w := &whereParser{project: p, text: text}
	sql, err := w.or()
	if err == nil && w.next() != "" {
		err = w.unexpected()
	}
	if err != nil {
		return "", fmt.Errorf("%w: where: %w", ErrExportRequest, err)
	}
	return sql, nil
}

type whereParser struct {
	project *catalog.Project
	text    string
	at      int
	depth   int
}

// next is the token that comes next, "" at the end. A string comes with its quotes.
func (w *whereParser) next() string {
	for w.at < len(w.text) && isSpace(w.text[w.at]) {
		w.at++
	}
	rest := w.text[w.at:]
	if rest == "" {
		return ""
	}
	switch c := rest[0]; {
	case c == '"' || c == '\'':
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == c {
				return rest[:i+1]
			}
		}
		return rest
	case isWordByte(c) || c == '-' || c == '.':
		end := 1
		for end < len(rest) && (isWordByte(rest[end]) || rest[end] == '.') {
			end++
		}
		return rest[:end]
	}
	if len(rest) >= 2 && (rest[1] == '=' && strings.IndexByte("=!<>", rest[0]) >= 0 || rest[:2] == "&&" || rest[:2] == "||") {
		return rest[:2]
	}
	_, n := utf8.DecodeRuneInString(rest)
	return rest[:n]
}

// take moves over the token, if it comes next.
func (w *whereParser) take(tokens ...string) bool {
	next := w.next()
	for _, t := range tokens {
		if next == t {
			w.at += len(next)
			return true
		}
	}
	return false
}

func (w *whereParser) unexpected() error {
	if next := w.next(); next != "" {
		return fmt.Errorf("%q at position %d is not understood", clip(next), w.at+1)
	}
	return fmt.Errorf("it ends too early")
}

func (w *whereParser) or() (string, error) {
	if w.depth++; w.depth > maxWhereDepth {
		return "", fmt.Errorf("it is nested more than %d deep", maxWhereDepth)
	}
	defer func() { w.depth-- }()
	return w.chain(w.and, " OR ", "or", "||")
}

func (w *whereParser) and() (string, error) { return w.chain(w.not, " AND ", "and", "&&") }

func (w *whereParser) chain(part func() (string, error), with string, words ...string) (string, error) {
	sql, err := part()
	for err == nil && w.take(words...) {
		var right string
		right, err = part()
		sql += with + right
	}
	return "(" + sql + ")", err
}

func (w *whereParser) not() (string, error) {
	if !w.take("not", "!") {
		return w.comparison()
	}
	if w.depth++; w.depth > maxWhereDepth {
		return "", fmt.Errorf("it is nested more than %d deep", maxWhereDepth)
	}
	defer func() { w.depth-- }()
	sql, err := w.not()
	return "(NOT COALESCE(" + sql + ", FALSE))", err
}

// whereOperators are the comparisons, in SQL.
var whereOperators = map[string]string{"==": "(%s <=> %s)", "!=": "(NOT (%s <=> %s))", "<": "(%s < %s)", "<=": "(%s <= %s)", ">": "(%s > %s)", ">=": "(%s >= %s)"}

func (w *whereParser) comparison() (string, error) {
	left, kind, err := w.value()
	if err != nil {
		return "", err
	}
	operator := w.next()
	pattern, ok := whereOperators[operator]
	if !ok && operator != "in" {
		return left, nil
	}
	w.at += len(operator)
	right, rightKind, err := w.value()
	switch {
	case err != nil:
		return "", err
	case !ok && rightKind == catalog.TypeJSON:
		return fmt.Sprintf("JSON_CONTAINS(%s, %s)", right, asJSON(left, kind)), nil
	case !ok:
		return fmt.Sprintf("(LOCATE(%s, %s) > 0)", left, right), nil
	}
	return fmt.Sprintf(pattern, left, right), nil
}

// asJSON is a value as the text of JSON.
func asJSON(sql string, kind catalog.Type) string {
	if kind == catalog.TypeString || kind == catalog.TypeDatetime {
		return "JSON_QUOTE(" + sql + ")"
	}
	return "CAST(" + sql + " AS CHAR)"
}

// value reads a value and tells its type.
func (w *whereParser) value() (string, catalog.Type, error) {
	token := w.next()
	switch {
	case token == "":
		return "", 0, w.unexpected()
	case token == "(":
		w.at++
		sql, err := w.or()
		if err == nil && !w.take(")") {
			err = w.unexpected()
		}
		return sql, catalog.TypeBool, err
	case token == "properties" || token == "event":
		return w.property()
	case token == "defined":
		w.at += len(token)
		if !w.take("(") {
			return "", 0, w.unexpected()
		}
		sql, _, err := w.value()
		if err == nil && !w.take(")") {
			err = w.unexpected()
		}
		return "(" + sql + " IS NOT NULL)", catalog.TypeBool, err
	case token == "true", token == "false":
		w.at += len(token)
		return strings.ToUpper(token), catalog.TypeBool, nil
	case token[0] == '"' || token[0] == '\'':
		text, err := w.string()
		return sqlText(text), catalog.TypeString, err
	case isWhereNumber(token):
		w.at += len(token)
		return token, catalog.TypeDouble, nil
	}
	return "", 0, w.unexpected()
}

// isWhereNumber reports whether a token is a number of digits and a point.
func isWhereNumber(token string) bool {
	digits := strings.TrimPrefix(token, "-")
	return digits != "" && len(digits) <= 30 && strings.Trim(digits, "0123456789.") == "" && strings.Count(digits, ".") <= 1 &&
		digits[0] != '.' && digits[len(digits)-1] != '.'
}

// string reads a string.
func (w *whereParser) string() (string, error) {
	token := w.next()
	if len(token) < 2 || token[len(token)-1] != token[0] {
		return "", fmt.Errorf("the string at position %d does not end", w.at+1)
	}
	w.at += len(token)
	var b strings.Builder
	for body := token[1 : len(token)-1]; body != ""; body = body[1:] {
		if body[0] == '\\' && len(body) > 1 {
			body = body[1:]
		}
		b.WriteByte(body[0])
	}
	return b.String(), nil
}

// property reads properties["NAME"].
func (w *whereParser) property() (string, catalog.Type, error) {
	w.take("properties", "event")
	if !w.take("[") {
		return "", 0, w.unexpected()
	}
	name, err := w.string()
	if err != nil {
		return "", 0, err
	}
	if !w.take("]") {
		return "", 0, w.unexpected()
	}
	switch name {
	case "distinct_id":
		return "distinct_id", catalog.TypeString, nil
	case "$insert_id":
		return "insert_id", catalog.TypeString, nil
	case "time":
		return "UNIX_TIMESTAMP(time)", catalog.TypeDouble, nil
	}
	c, ok := w.project.ColumnOf(name)
	if !ok {
		return "NULL", catalog.TypeNull, nil
	}
	return "`" + strings.ReplaceAll(c.Name, "`", "``") + "`", c.Type, nil
}
