package catalog

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FixedColumns are the columns that every events table shows, before those of
// its properties; SystemColumns are read when asked for by name.
var (
	FixedColumns  = []string{"event", "time", "distinct_id", "insert_id", "properties"}
	SystemColumns = []string{"_ingest_id", "_ingested_at", "_time_raw", "_duplicate", "_dup_of", "_dup_kind", "_file", "_shard"}
)

// IsFixedColumn reports whether every events table has a column of that name,
// without regard to case, so that no property can.
func IsFixedColumn(name string) bool {
	for _, list := range [][]string{FixedColumns, SystemColumns} {
		for _, f := range list {
			if strings.EqualFold(f, name) {
				return true
			}
		}
	}
	return false
}

// foldName maps names that any of SQL's comparisons may take for the same to
// the same text: those equal by strings.EqualFold or by strings.ToLower.
func foldName(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	return strings.Map(func(r rune) rune {
		r = unicode.ToLower(r)
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return unicode.ToLower(least)
	}, name)
}

// columnName chooses the SQL name of a property's column: the property's own
// name, or as near to it as MySQL's rules and the names taken allow.
func columnName(property string, taken func(folded string) bool) string {
	base := cleanName(property)
	if !taken(foldName(base)) {
		return base
	}
	for n := 2; ; n++ {
		suffix := "_" + strconv.Itoa(n)
		name := cutRunes(base, MaxColumnName-len(suffix)) + suffix
		if !taken(foldName(name)) {
			return name
		}
	}
}

// cleanName makes a name that MySQL's clients can write between backticks.
func cleanName(property string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(property, "\ufffd"))
	name = strings.TrimRight(cutRunes(name, MaxColumnName), " ")
	if name == "" {
		return "_"
	}
	return name
}

// cutRunes cuts s to at most n characters.
func cutRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
