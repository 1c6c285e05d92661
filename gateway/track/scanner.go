package track

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
	"unsafe"

	"arbor/catalog"
)

// scanner reads JSON text strictly as RFC 8259 has it, in one pass and without
// recursion, so that no nesting can exhaust the stack. Strings are given as
// slices of the text wherever they hold no escape. After a syntax error it
// stands still: err stays, and every further call returns at once.
type scanner struct {
	b   []byte
	i   int
	err error
	// dirty says that b is not valid UTF-8 as a whole, so each string must be
	// looked at.
	dirty bool
	// stack holds the closing brackets that a container waits for.
	stack []byte
	// arena holds unescaped strings and compacted values. What it gave out stays
	// valid when it grows, since it then starts a new block.
	arena []byte
}

// arenaBlock is the least that the arena grows by.
const arenaBlock = 16 << 10

// reset makes the scanner read b from the start. Strings from before stay valid.
func (s *scanner) reset(b []byte) {
	s.b, s.i, s.err = b, 0, nil
	s.dirty = !utf8.Valid(b)
}

// fail notes a syntax error at the place where the scanner stands.
func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = &SyntaxError{Offset: s.i, Problem: fmt.Sprintf(format, args...)}
	}
}

// failHere says that something else was expected where the scanner stands.
func (s *scanner) failHere(expected string) {
	if s.i >= len(s.b) {
		s.fail("the text ends where %s is expected", expected)
	} else if r, n := utf8.DecodeRune(s.b[s.i:]); r == utf8.RuneError && n <= 1 {
		s.fail("byte 0x%02x where %s is expected", s.b[s.i], expected)
	} else {
		s.fail("%q where %s is expected", r, expected)
	}
}

// space skips white space.
func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek skips white space and gives the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// expect skips white space and the byte c, which must come next.
func (s *scanner) expect(c byte, what string) bool {
	if s.err != nil {
		return false
	}
	if s.peek() != c || s.i >= len(s.b) {
		s.failHere(what)
		return false
	}
	s.i++
	return true
}

// The bytes of a word that a string's scan must stop at are found eight at a
// time: those below 0x20, the quote and the backslash.
const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops marks, in its high bit, the lowest byte of w that ends a plain run. The
// marks above that one may be wrong: a subtraction borrows, but only from bytes
// above one that is rightly marked.
func stops(w uint64) uint64 {
	quote := w ^ (lows * '"')
	slash := w ^ (lows * '\\')
	return ((w - lows*0x20) | (quote - lows) | (slash - lows)) & ^w & highs
}

// plain moves from i over bytes that stand for themselves in a string.
func plain(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := stops(w); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		i += 8
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// skipString moves over a string, whose opening quote is behind the scanner,
// and reports whether it held an escape.
func (s *scanner) skipString() (escaped, ok bool) {
	for {
		s.i = plain(s.b, s.i)
		switch {
		case s.i >= len(s.b):
			s.fail("the text ends inside a string")
			return escaped, false
		case s.b[s.i] == '"':
			s.i++
			return escaped, true
		case s.b[s.i] != '\\':
			s.fail("control character 0x%02x inside a string; write it as \\u%04x", s.b[s.i], s.b[s.i])
			return escaped, false
		}
		escaped = true
		n := escapeLength(s.b[s.i:])
		if n == 0 {
			s.fail("invalid escape inside a string")
			return escaped, false
		}
		s.i += n
	}
}

// escapeLength is the length of the escape that b starts with, 0 if it is none.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && hex4(b[2:]) >= 0 {
			return 6
		}
	}
	return 0
}

// str reads a string, whose opening quote is behind the scanner. The second
// result is false where it is not valid UTF-8; a syntax error is in err.
func (s *scanner) str() (text string, valid bool) {
	start := s.i
	escaped, ok := s.skipString()
	if !ok {
		return "", true
	}
	raw := s.b[start : s.i-1]
	if s.dirty && !utf8.Valid(raw) {
		return "", false
	}
	if escaped {
		return s.unescape(raw), true
	}
	return alias(raw), true
}

// unescape gives the string that raw stands for. Half a surrogate pair, which
// SDKs make when they cut a string, becomes U+FFFD.
func (s *scanner) unescape(raw []byte) string {
	s.room(len(raw))
	start := len(s.arena)
	out := s.arena
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			j := plain(raw, i)
			out = append(out, raw[i:j]...)
			i = j
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(raw[i+2:])
			i += 4
			if r >= 0xd800 && r < 0xe000 {
				low := rune(-1)
				if i+8 <= len(raw) && raw[i+2] == '\\' && raw[i+3] == 'u' {
					low = hex4(raw[i+4:])
				}
				if r < 0xdc00 && low >= 0xdc00 && low < 0xe000 {
					r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		i += 2
	}
	s.arena = out
	return alias(out[start:])
}

// hex4 reads four hexadecimal digits; -1 if they are none.
func hex4(b []byte) rune {
	h := hexDigit(b[0])<<12 | hexDigit(b[1])<<8 | hexDigit(b[2])<<4 | hexDigit(b[3])
	return rune(max(h, -1))
}

// room makes sure that the arena takes n more bytes without moving.
func (s *scanner) room(n int) {
	if cap(s.arena)-len(s.arena) < n {
		s.arena = make([]byte, 0, max(n, arenaBlock))
	}
}

// literal moves over the word, which must come next.
func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.failHere("a value")
		return false
	}
	s.i += len(word)
	return true
}

// powers are the powers of ten that a float64 holds exactly and that a number
// of few digits can be divided by.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads a number and gives what catalog.Number makes of its literal. The
// usual ones, integers and decimals of up to 15 digits in their shortest form,
// are read here: both the digits and the power of ten are exact in a float64,
// so their quotient is the nearest one, and its shortest form is the literal.
func (s *scanner) number() catalog.Value {
	start := s.i
	i := start
	b := s.b
	negative := b[i] == '-'
	if negative {
		i++
	}
	digits := i
	var n uint64
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	whole := i - digits
	if whole == 0 || whole > 1 && b[digits] == '0' {
		s.i = digits
		if whole > 0 {
			s.fail("a number with a leading zero")
		} else {
			s.failHere("a digit")
		}
		return catalog.Null
	}
	fraction := 0
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			n = n*10 + uint64(b[i]-'0')
			i++
		}
		if fraction = i - point; fraction == 0 {
			s.i = i
			s.failHere("a digit")
			return catalog.Null
		}
	}
	exponent := i < len(b) && b[i]|0x20 == 'e'
	if exponent {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		power := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == power {
			s.i = i
			s.failHere("a digit")
			return catalog.Null
		}
	}
	s.i = i
	switch {
	case exponent || whole+fraction > 15:
	case fraction == 0 && (n != 0 || !negative):
		if negative {
			return catalog.Int(-int64(n))
		}
		return catalog.Int(int64(n))
	case fraction > 0 && b[i-1] != '0':
		f := float64(n) / powers[fraction]
		if negative {
			f = -f
		}
		if f >= 1e-6 || f <= -1e-6 {
			return catalog.Double(f)
		}
	}
	return catalog.Number(alias(b[start:i]))
}

// container reads an array or object and gives its compact text. depth is how
// many containers it nests, itself included.
func (s *scanner) container() (text string, depth int, valid bool) {
	start := s.i
	depth, spaced := s.skipContainer()
	if s.err != nil {
		return "", 0, true
	}
	raw := s.b[start:s.i]
	if s.dirty && !utf8.Valid(raw) {
		return "", depth, false
	}
	if spaced {
		return s.compact(raw), depth, true
	}
	return alias(raw), depth, true
}

// skipContainer moves over an array or object, checking its grammar.
func (s *scanner) skipContainer() (depth int, spaced bool) {
	stack := s.stack[:0]
	defer func() { s.stack = stack[:0] }()
	for {
		// A value comes next.
		c := s.peekSpaced(&spaced)
		switch {
		case c == '{' || c == '[':
			s.i++
			stack = append(stack, c+2) // its closing bracket
			depth = max(depth, len(stack))
			if s.peekSpaced(&spaced) != c+2 {
				if c == '{' && !s.skipKey(&spaced) {
					return depth, spaced
				}
				continue
			}
		case c == '"':
			s.i++
			s.skipString()
		default:
			s.skipScalar(c)
		}
		// A value or an opening bracket that closes at once is behind.
		for {
			if s.err != nil {
				return depth, spaced
			}
			if len(stack) == 0 {
				return depth, spaced
			}
			top := stack[len(stack)-1]
			switch s.peekSpaced(&spaced) {
			case top:
				s.i++
				stack = stack[:len(stack)-1]
				continue
			case ',':
				s.i++
				if s.peekSpaced(&spaced); top == '}' && !s.skipKey(&spaced) {
					return depth, spaced
				}
			default:
				if top == '}' {
					s.failHere("',' or '}'")
				} else {
					s.failHere("',' or ']'")
				}
				return depth, spaced
			}
			break
		}
	}
}

// skipKey moves over a key and its colon.
func (s *scanner) skipKey(spaced *bool) bool {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		s.failHere("a key in quotes")
		return false
	}
	s.i++
	if _, ok := s.skipString(); !ok {
		return false
	}
	if s.peekSpaced(spaced) != ':' {
		s.failHere("':'")
		return false
	}
	s.i++
	return true
}

// skipScalar moves over a number, true, false or null that starts with c.
func (s *scanner) skipScalar(c byte) {
	switch {
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	default:
		s.failHere("a value")
	}
}

// skipValue moves over any value.
func (s *scanner) skipValue() {
	switch c := s.peek(); c {
	case '{', '[':
		s.skipContainer()
	case '"':
		s.i++
		s.skipString()
	default:
		s.skipScalar(c)
	}
}

// peekSpaced is peek, and sets spaced where there is white space to skip.
func (s *scanner) peekSpaced(spaced *bool) byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	start := s.i
	c := s.peek()
	if s.i > start {
		*spaced = true
	}
	return c
}

// compact copies a container's valid text without the white space.
func (s *scanner) compact(raw []byte) string {
	s.room(len(raw))
	start := len(s.arena)
	out := s.arena
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			j := i + 1
			for j = plain(raw, j); raw[j] != '"'; j = plain(raw, j) {
				j += 2 // a backslash and the byte it escapes
			}
			out = append(out, raw[i:j+1]...)
			i = j + 1
		default:
			out = append(out, c)
			i++
		}
	}
	s.arena = out
	return alias(out[start:])
}

// alias gives b as a string without a copy; b must not change afterwards.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
