package gateway

import "strings"

// withPlainLiterals is a text without the N before the strings N'…', with b'101' for
// 0b101, and with calls for DATE '…' and its kin: the SQL library's grammar takes the first
// two for columns, and the last for texts.
func withPlainLiterals(text string) string {
	if len(text) > maxIdiomText {
		return text
	}
	moments := mayHoldMomentLiteral(text)
	if !moments && !strings.Contains(text, "N'") && !strings.Contains(text, "n'") && !strings.Contains(text, "0b") {
		return text
	}
	r := &idiomRewriter{text: text, tokens: idiomTokens(text)}
	for _, t := range r.tokens {
		word := text[t.start:t.end]
		switch {
		case t.kind != idiomWord || t.start > 0 && text[t.start-1] == '.':
		case (word == "N" || word == "n") && t.end < len(text) && text[t.end] == '\'':
			r.edit(t.start, t.end, " ")
		case len(word) > 2 && word[:2] == "0b" && strings.Trim(word[2:], "01") == "":
			r.edit(t.start, t.end, "b'"+word[2:]+"'")
		}
	}
	if moments {
		momentLiterals(text, r.tokens, func(t idiomToken, with string) { r.edit(t.start, t.end, with) })
	}
	text, _ = r.result()
	return text
}
