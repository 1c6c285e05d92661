package gateway

import "strings"

// withPlainLiterals is a text without the N before the strings N'…', and with b'101' for
// 0b101: the SQL library's grammar takes both for columns.
func withPlainLiterals(text string) string {
	if len(text) > maxIdiomText || !strings.Contains(text, "N'") && !strings.Contains(text, "n'") && !strings.Contains(text, "0b") {
		return text
	}
	var b strings.Builder
	at := 0
	put := func(t idiomToken, with string) {
		b.WriteString(text[at:t.start])
		b.WriteString(with)
		at = t.end
	}
	for _, t := range idiomTokens(text) {
		word := text[t.start:t.end]
		switch {
		case t.kind != idiomWord || t.start > 0 && text[t.start-1] == '.':
		case (word == "N" || word == "n") && t.end < len(text) && text[t.end] == '\'':
			put(t, " ")
		case len(word) > 2 && word[:2] == "0b" && strings.Trim(word[2:], "01") == "":
			put(t, "b'"+word[2:]+"'")
		}
	}
	if at == 0 {
		return text
	}
	return b.String() + text[at:]
}
