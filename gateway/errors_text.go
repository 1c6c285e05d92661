package gateway

import "strings"

// reword replaces the library's words around a name by MySQL's.
func reword(prefix, before, after string) func(string) string {
	return func(s string) string {
		name, hint, _ := strings.Cut(strings.TrimPrefix(s, prefix), ",")
		if hint != "" {
			hint = ";" + hint
		}
		return before + name + after + hint
	}
}

// quoted puts MySQL's words around the name that the library's text quotes.
func quoted(before, after string) func(string) string {
	return func(s string) string {
		i := strings.IndexAny(s, `"'`)
		if i < 0 {
			return s
		}
		j := strings.IndexByte(s[i+1:], s[i])
		if j < 0 {
			return s
		}
		return before + s[i+1:i+1+j] + after
	}
}

func constant(text string) func(string) string { return func(string) string { return text } }

func syntaxText(s string) string { return "You have an error in your SQL syntax; " + s }
