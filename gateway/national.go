package gateway

import "strings"

// withoutNational is a text without the N before the strings N'…', which the SQL
// library's grammar takes for a column. The text's length stays.
func withoutNational(text string) string {
	if len(text) > maxIdiomText || !strings.Contains(text, "N'") && !strings.Contains(text, "n'") {
		return text
	}
	var changed []byte
	for _, t := range idiomTokens(text) {
		if t.kind == idiomWord && t.end == t.start+1 && text[t.start]|0x20 == 'n' && t.end < len(text) && text[t.end] == '\'' {
			if changed == nil {
				changed = []byte(text)
			}
			changed[t.start] = ' '
		}
	}
	if changed == nil {
		return text
	}
	return string(changed)
}
