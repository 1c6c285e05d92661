package exec

import (
	"strings"
	"unicode/utf8"
)

// likePattern is the pattern of an OpLike made ready. % stands for any characters, also
// for none, _ for one, and \ takes what is special from the character behind it.
// Everything else stands for itself, byte by byte.
//
// What lies between the % are segments. The first and the last are held against
// the text's ends, where no % is, and those between are looked for from left to
// right: the first place where one is found is the best, since it leaves most.
type likePattern struct {
	segments []likeSegment
}

// likeSegment is a part of a pattern without %.
type likeSegment []likePiece

// likePiece is so many characters of any kind, and then a text.
type likePiece struct {
	skip int
	text string
}

// wholeLike reports whether a text can be a pattern: its last character is not
// an escape that has nothing to escape.
func wholeLike(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				return false
			}
		}
	}
	return true
}

// parseLike reads a whole pattern.
func parseLike(s string) likePattern {
	var p likePattern
	var at likeSegment
	text, skip := []byte(nil), 0
	end := func() {
		if skip > 0 || len(text) > 0 {
			at = append(at, likePiece{skip, string(text)})
		}
		text, skip = nil, 0
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '%':
			end()
			p.segments = append(p.segments, at)
			at = nil
			continue
		case '_':
			if len(text) > 0 {
				end()
			}
			skip++
			continue
		case '\\':
			i++
		}
		text = append(text, s[i])
	}
	end()
	p.segments = append(p.segments, at)
	return p
}

// prefix is the text that all matching texts begin with.
func (p likePattern) prefix() string {
	if first := p.segments[0]; len(first) > 0 && first[0].skip == 0 {
		return first[0].text
	}
	return ""
}

// matcher is the function that reports whether a text matches.
func (p likePattern) matcher() func(string) bool {
	last := len(p.segments) - 1
	plain := true
	for _, s := range p.segments {
		plain = plain && (len(s) == 0 || len(s) == 1 && s[0].skip == 0)
	}
	text := func(i int) string {
		if len(p.segments[i]) == 0 {
			return ""
		}
		return p.segments[i][0].text
	}
	switch {
	case plain && last == 0:
		whole := text(0)
		return func(s string) bool { return s == whole }
	case plain && last == 1:
		first, end := text(0), text(1)
		return func(s string) bool {
			return len(s) >= len(first)+len(end) && strings.HasPrefix(s, first) && strings.HasSuffix(s, end)
		}
	case plain && last == 2 && text(0) == "" && text(2) == "":
		inner := text(1)
		return func(s string) bool { return strings.Contains(s, inner) }
	}
	return p.matches
}

// matches reports whether a text matches.
func (p likePattern) matches(s string) bool {
	at, ok := p.segments[0].at(s)
	if !ok {
		return false
	}
	last := len(p.segments) - 1
	if last == 0 {
		return at == len(s)
	}
	s = s[at:]
	for _, g := range p.segments[1:last] {
		if at, ok = g.in(s); !ok {
			return false
		}
		s = s[at:]
	}
	return p.segments[last].ends(s)
}

// at reports whether a text begins with the segment, and where that ends.
func (g likeSegment) at(s string) (end int, ok bool) {
	for _, p := range g {
		for range p.skip {
			if end == len(s) {
				return 0, false
			}
			_, size := utf8.DecodeRuneInString(s[end:])
			end += size
		}
		if !strings.HasPrefix(s[end:], p.text) {
			return 0, false
		}
		end += len(p.text)
	}
	return end, true
}

// in looks for the segment in a text, and says where the first one ends.
func (g likeSegment) in(s string) (end int, ok bool) {
	if len(g) == 0 {
		return 0, true
	}
	for from := 0; ; {
		if g[0].skip == 0 {
			found := strings.Index(s[from:], g[0].text)
			if found < 0 {
				return 0, false
			}
			from += found
		}
		if n, ok := g.at(s[from:]); ok {
			return from + n, true
		}
		if from == len(s) {
			return 0, false
		}
		_, size := utf8.DecodeRuneInString(s[from:])
		from += size
	}
}

// ends reports whether a text ends with the segment.
func (g likeSegment) ends(s string) bool {
	for i := len(g) - 1; i >= 0; i-- {
		if !strings.HasSuffix(s, g[i].text) {
			return false
		}
		s = s[:len(s)-len(g[i].text)]
		for range g[i].skip {
			if s == "" {
				return false
			}
			_, size := utf8.DecodeLastRuneInString(s)
			s = s[:len(s)-size]
		}
	}
	return true
}

// after is a text that no text with a prefix is greater than; empty for none.
func after(prefix string) string {
	b := []byte(prefix)
	for n := len(b); n > 0; n-- {
		if b[n-1] < 0xff {
			b[n-1]++
			return string(b[:n])
		}
	}
	return ""
}
