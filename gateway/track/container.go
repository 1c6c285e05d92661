package track

import "unicode/utf8"

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

// members moves over the object at which the scanner stands, and calls each
// behind every key and its colon, to move over the value.
func (s *scanner) members(each func(key string, valid bool)) error {
	s.i++ // '{'
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		if !s.expect('"', "a key in quotes") {
			return s.err
		}
		key, valid := s.str()
		if !s.expect(':', "':'") {
			return s.err
		}
		if each(key, valid); s.err != nil {
			return s.err
		}
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			s.failHere("',' or '}'")
			return s.err
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
