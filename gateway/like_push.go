package gateway

import (
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/catalog"
	"arbor/engine/exec"
)

// like translates LIKE where texts are compared by their bytes. A pattern whose
// last character is the escape stays with the SQL library.
func (p *pusher) like(e *expression.Like) translation {
	c, ok := p.column(e.LeftChild)
	if !ok || c.exec.Type != catalog.TypeString && c.exec.Type != catalog.TypeNull || !p.byCodePoint(e.LeftChild, e.RightChild) {
		return nothing
	}
	v, ok := p.constant(e.RightChild)
	pattern, isString := v.(string)
	if !ok || !isString || !utf8.ValidString(pattern) {
		return nothing
	}
	escape, ok := p.escapeOf(e)
	if !ok {
		return nothing
	}
	op, text, ok := likeOperator(pattern, escape)
	if !ok {
		return nothing
	}
	return p.simple(c, op, catalog.String(text), true)
}

// escapeOf is the character that takes what is special from the one behind it.
func (p *pusher) escapeOf(e *expression.Like) (rune, bool) {
	if e.Escape == nil {
		return '\\', true
	}
	v, ok := p.constant(e.Escape)
	if ok && v == nil {
		return '\\', true
	}
	s, isString := v.(string)
	if !ok || !isString || !utf8.ValidString(s) || utf8.RuneCountInString(s) > 1 {
		return 0, false
	}
	if s == "" {
		return 0, true // as the SQL library has it
	}
	escape, _ := utf8.DecodeRuneInString(s)
	return escape, escape != '%' && escape != '_'
}

// likeOperator is the operator that a pattern stands for, with its constant: an
// equality, a prefix, or a pattern with the escape \.
func likeOperator(pattern string, escape rune) (op exec.Op, text string, ok bool) {
	var whole, literal strings.Builder
	wildcards, last := 0, rune(0)
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			escaped = false
		case r == escape:
			escaped = true
			continue
		case r == '%' || r == '_':
			whole.WriteRune(r)
			wildcards, last = wildcards+1, r
			continue
		}
		if r == '%' || r == '_' || r == '\\' {
			whole.WriteByte('\\')
		}
		whole.WriteRune(r)
		literal.WriteRune(r)
		last = 0
	}
	switch {
	case escaped:
		return 0, "", false
	case wildcards == 0:
		return exec.OpEqual, literal.String(), true
	case wildcards == 1 && last == '%':
		return exec.OpPrefix, literal.String(), true
	}
	return exec.OpLike, whole.String(), true
}

// prefixPattern is the pattern of texts with a prefix.
func prefixPattern(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(prefix) + "%"
}
