package track

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
	"unsafe"
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

// plainString reads a string, where one comes next that stands for itself, as
// nearly all do. Where it reports false it has done nothing.
func (s *scanner) plainString() (text string, ok bool) {
	b, start := s.b, s.i+1
	if start >= len(b) || b[start-1] != '"' || s.dirty {
		return "", false
	}
	end := plain(b, start)
	if end >= len(b) || b[end] != '"' {
		return "", false
	}
	s.i = end + 1
	return alias(b[start:end]), true
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

// bytesOf gives s as bytes without a copy; they must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// alias gives b as a string without a copy; b must not change afterwards.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
