package gateway

import (
	"slices"
	"strings"

	"arbor/catalog"
)

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

// unknownColumn says of a column that INSERT names how it comes to be.
func unknownColumn(text string) string {
	name, ok := strings.CutSuffix(text, "' in '"+eventsName+"'")
	name, is := strings.CutPrefix(name, "Unknown column '")
	switch {
	case !ok || !is:
		return text
	case slices.ContainsFunc(catalog.SystemColumns, func(own string) bool { return strings.EqualFold(own, name) }):
		return text + "; what arbor says of an event is read, and cannot be written"
	}
	return text + "; a property has a column once an event has it: write it in the column properties, as JSON, or make the column by ALTER TABLE"
}

// noTable is MySQL's text for a table that is not there. Properties look like one to those
// who write properties.plan.
func noTable(text string) string {
	text = reword("table not found: ", "Table '", "' doesn't exist")(text)
	if strings.EqualFold(text, "Table 'properties' doesn't exist") {
		text += "; each property is a column of its own, and properties->>'$.name' reads one of the object"
	}
	return text
}

// suffixed adds to a text.
func suffixed(more string) func(string) string {
	return func(text string) string { return text + more }
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
