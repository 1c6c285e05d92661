package exec

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"arbor/catalog"
)

// likeRunes is LIKE as it is defined, character by character.
func likeRunes(text, pattern []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	switch pattern[0] {
	case '%':
		for n := range len(text) + 1 {
			if likeRunes(text[n:], pattern[1:]) {
				return true
			}
		}
		return false
	case '_':
		return len(text) > 0 && likeRunes(text[1:], pattern[1:])
	case '\\':
		pattern = pattern[1:]
	}
	return len(text) > 0 && text[0] == pattern[0] && likeRunes(text[1:], pattern[1:])
}

// randomLike draws a whole pattern of few characters.
func randomLike(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(7) {
		b.WriteString([]string{"%", "%", "_", "a", "b", "ab", "é", `\\%`, `\\_`, `\\\\`, `\\a`, `\\é`}[rng.IntN(12)])
	}
	return b.String()
}

// TestLike holds patterns against their definition.
func TestLike(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	matched := 0
	for range 20000 {
		pattern := randomLike(rng)
		p := parseLike(pattern)
		matcher, prefix := p.matcher(), p.prefix()
		for range 8 {
			var b strings.Builder
			for range rng.IntN(9) {
				b.WriteString([]string{"a", "b", "ab", "é", "%", "_", `\`, "日"}[rng.IntN(8)])
			}
			text := b.String()
			want := likeRunes([]rune(text), []rune(pattern))
			if matcher(text) != want || p.matches(text) != want {
				t.Fatalf("%q LIKE %q: %v and %v, want %v", text, pattern, matcher(text), p.matches(text), want)
			}
			if !want {
				continue
			}
			matched++
			if end := after(prefix); !strings.HasPrefix(text, prefix) || end != "" && text > end {
				t.Fatalf("%q LIKE %q, but does not lie from %q to %q", text, pattern, prefix, end)
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d texts matched", matched)
	}
}

func TestUnfinishedLike(t *testing.T) {
	for pattern, whole := range map[string]bool{"": true, `\`: false, `a\\`: true, `a\\\`: false, `\%`: true} {
		f := Fragment{Columns: []Column{{Source: SourceEvent}}, Filter: &Expr{Op: OpLike, Values: []catalog.Value{catalog.String(pattern)}}}
		if err := f.Validate(); (err == nil) != whole || err != nil && !errors.Is(err, ErrFragment) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	f := Fragment{Columns: []Column{{Source: SourceTime}}, Filter: &Expr{Op: OpLike, Values: []catalog.Value{catalog.String("%")}}}
	if !errors.Is(f.Validate(), ErrFragment) {
		t.Error("a moment is like a pattern")
	}
}

func TestAfterPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "a": "b", "a\xff": "b", "\xff": "", "é": "\xc3\xaa"} {
		if got := after(prefix); got != want {
			t.Errorf("after %q: %q, want %q", prefix, got, want)
		}
	}
}

// BenchmarkLike matches texts like those of a column of addresses.
func BenchmarkLike(b *testing.B) {
	const text = "https://shop.example.com/category/shoes/item-12345?ref=mail"
	for _, pattern := range []string{"%checkout%", "https://shop.example.com/c%", "%mail", "%shop%item%", "%s_op%item-_____?%"} {
		b.Run(pattern, func(b *testing.B) {
			match := parseLike(pattern).matcher()
			for b.Loop() {
				match(text)
			}
		})
	}
}
