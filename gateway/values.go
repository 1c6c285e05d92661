package gateway

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/dolthub/vitess/go/sqltypes"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// An INSERT … VALUES spends most of its time in the parser. Nearly all are
// written by programs, in one plain form: names, VALUES, and rows of strings in
// single quotes, decimal numbers and NULL. Of such a text only the part up to the
// end of the first row is given to the parser; the rows are read here, as the
// parser's own scanner reads them. A text of any other form, one with a comment
// among the rows for example, is left to the parser as a whole.

// splitValues reads the rows of an INSERT or REPLACE. head is the statement with the first row. It is nil where the text has another form.
func splitValues(text string) (head string, rows *literals) {
	at := valuesStart(text)
	if at < 0 {
		return "", nil
	}
	rows = newLiterals(0)
	s := &valuesScanner{text: text, at: at, found: rows.all}
	head, ok := s.rows(rows)
	rows.all, rows.ascii = s.found, s.seen&highBits == 0
	if !ok {
		rows.release()
		return "", nil
	}
	return head, rows
}

// rows reads all rows, and gives the text up to the end of the first.
func (s *valuesScanner) rows(into *literals) (head string, ok bool) {
	text, at := s.text, s.at
	for {
		n := len(s.found)
		if !s.row() {
			return "", false
		}
		switch width := len(s.found) - n; {
		case head == "":
			head, into.width = text[:s.at], width
			// The first row tells how many there are, more or less.
			s.found = slices.Grow(s.found, width*(1+len(text)/(s.at-at+1)))
		case width != into.width:
			return "", false
		}
		switch s.next() {
		case ',':
			s.at++
			continue
		case ';':
			s.at++
			s.next()
		}
		return head, s.at == len(text) // or there is another statement, or what is none
	}
}

// valuesStart is the place of the first row's parenthesis in a text that begins
// as INSERT or REPLACE, or -1. Before it there are names, parentheses, dots and
// commas only.
func valuesStart(text string) int {
	depth, first := 0, true
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case isSpace(c) || c == '.' || c == ',':
			i++
		case c == '(':
			depth++
			i++
		case c == ')':
			depth--
			i++
		case c == '`':
			end := strings.IndexByte(text[i+1:], '`')
			if end < 0 {
				return -1
			}
			i += end + 2
		case isWordByte(c):
			start := i
			for i < len(text) && isWordByte(text[i]) {
				i++
			}
			word := text[start:i]
			if first && !strings.EqualFold(word, "insert") && !strings.EqualFold(word, "replace") {
				return -1
			}
			first = false
			if depth == 0 && strings.EqualFold(word, "values") {
				for i < len(text) && isSpace(text[i]) {
					i++
				}
				if i < len(text) && text[i] == '(' {
					return i
				}
				return -1
			}
		default:
			return -1
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// valuesScanner reads rows of literals.
type valuesScanner struct {
	text  string
	at    int
	found []literal
	seen  uint64 // all bits of the strings, byte over byte
}

// next skips white space and gives the byte that comes next, 0 at the end.
func (s *valuesScanner) next() byte {
	for s.at < len(s.text) {
		if c := s.text[s.at]; !isSpace(c) {
			return c
		}
		s.at++
	}
	return 0
}

// row reads a row, with its parentheses.
func (s *valuesScanner) row() bool {
	if s.next() != '(' {
		return false
	}
	s.at++
	for {
		if !s.literal() {
			return false
		}
		switch s.next() {
		case ',':
			s.at++
		case ')':
			s.at++
			return true
		default:
			return false
		}
	}
}

// literal reads one literal.
func (s *valuesScanner) literal() bool {
	switch c := s.next(); {
	case c == '\'':
		return s.str()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case isWordByte(c):
		start := s.at
		for s.at < len(s.text) && isWordByte(s.text[s.at]) {
			s.at++
		}
		switch word := s.text[start:s.at]; {
		case strings.EqualFold(word, "null"):
			s.found = append(s.found, literal{kind: literalNull})
		case strings.EqualFold(word, "true"):
			s.found = append(s.found, literal{kind: literalTrue})
		case strings.EqualFold(word, "false"):
			s.found = append(s.found, literal{kind: literalFalse})
		default:
			return false
		}
		return true
	}
	return false
}

// str reads a string in single quotes.
func (s *valuesScanner) str() bool {
	s.at++
	start := s.at
	n, seen := plainBytes(s.text[start:])
	s.seen |= seen
	end := start + n
	if end < len(s.text) && s.text[end] == '\'' && (end+1 == len(s.text) || s.text[end+1] != '\'') {
		s.at = end + 1
		s.found = append(s.found, literal{kind: sqlparser.StrVal, text: s.text[start:end]})
		return true
	}
	var b strings.Builder
	for i := start; i < len(s.text); i++ {
		s.seen |= uint64(s.text[i])
		switch c := s.text[i]; {
		case c == '\\':
			if i++; i == len(s.text) {
				return false
			}
			c = s.text[i]
			s.seen |= uint64(c)
			if decoded := sqltypes.SQLDecodeMap[c]; decoded != sqltypes.DontEscape {
				c = decoded
			}
			b.WriteByte(c)
		case c == '\'' && i+1 < len(s.text) && s.text[i+1] == '\'':
			i++
			b.WriteByte(c)
		case c == '\'':
			s.at = i + 1
			s.found = append(s.found, literal{kind: sqlparser.StrVal, text: b.String()})
			return true
		default:
			b.WriteByte(c)
		}
	}
	return false
}

// highBits are those that no byte of ASCII has, in a word of eight.
const highBits = 0x8080808080808080

// plainBytes is how many bytes come before a quote or a backslash, and what bits they have,
// byte over byte. It looks at eight bytes at a time: in a word from which another was
// taken bit by bit, a byte is zero where both are equal, and the lowest one of these is
// where a borrow from its highest bit begins.
func plainBytes(s string) (n int, seen uint64) {
	const each, size = 0x0101010101010101, 8
	for ; len(s)-n >= size; n += size {
		x := wordOf(s[n:])
		quote, slash := x^'\''*each, x^'\\'*each
		found := ((quote-each)&^quote | (slash-each)&^slash) & highBits
		if found != 0 {
			at := bits.TrailingZeros64(found) / size
			return n + at, seen | x&(1<<(at*size)-1)
		}
		seen |= x
	}
	for ; n < len(s) && s[n] != '\'' && s[n] != '\\'; n++ {
		seen |= uint64(s[n])
	}
	return n, seen
}

// wordOf are the first eight bytes of a text, which has as many.
func wordOf(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// number reads an integer, or a decimal with digits on both sides of its point,
// of the lengths that are read here.
func (s *valuesScanner) number() bool {
	start := s.at
	if s.text[s.at] == '-' {
		s.at++
	}
	digits := s.digits()
	if digits == 0 {
		return false
	}
	kind := sqlparser.ValType(sqlparser.IntVal)
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		if s.digits() == 0 {
			return false
		}
		kind = sqlparser.FloatVal
	}
	if s.at < len(s.text) && (isWordByte(s.text[s.at]) || s.text[s.at] >= 0x80) {
		return false
	}
	text := s.text[start:s.at]
	if kind == sqlparser.IntVal && len(text) > maxQuickInt {
		return false
	}
	if kind == sqlparser.FloatVal {
		if len(text) > maxQuickDecimal {
			return false
		}
		if text[0] == '-' {
			kind, text = literalNegative, text[1:]
		}
	}
	s.found = append(s.found, literal{kind: kind, text: text})
	return true
}

// digits moves over digits and counts them.
func (s *valuesScanner) digits() (n int) {
	for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
		s.at++
		n++
	}
	return n
}
