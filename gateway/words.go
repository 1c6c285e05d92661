package gateway

import (
	"errors"
	"strings"

	"github.com/dolthub/vitess/go/mysql"
)

// The grammar of the SQL library reserves words that MySQL lets columns bear,
// plan among them. A statement that does not parse is tried again with these in
// back quotes.

// freeWords are names in MySQL and keywords in the library's grammar, in all or
// in some places; freeFunctions are too, unless a parenthesis follows.
var (
	freeWords = wordSet(`plan copy encrypted exclusive shared inplace next off yes escape format vector
		returning transactional system_time sql_cache sql_no_cache page_checksum page_compressed
		page_compression_level encryption_key_id itef_quotes
		event account attribute comment contained execute failed_login_attempts file first full identified none
		password password_lock_time process reload shutdown super versions view`)
	freeFunctions = wordSet(`std stddev stddev_pop stddev_samp variance var_pop var_samp bit_and bit_or bit_xor
		substr substring now group_concat json_arrayagg json_objectagg
		avg cast count extract get_format max min sum position trim timestampadd timestampdiff`)
)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// Limits of quoteNeededWords.
const (
	maxQuotedWords = 64 // in a text
	maxWordsBack   = 3  // that are tried for an error
)

// quoteNeededWords puts those free words into back quotes where a text does not
// parse: the one where the parser stops, or one shortly before it, until it
// parses or gets no further. The others may be meant as the keywords that they
// are. It gives the error of the text that it returns.
func quoteNeededWords(text string, failed error, parse func(string) error) (string, error) {
	for range maxQuotedWords {
		place := errorPlace(failed.Error())
		spans := freeSpans(text, place-1)
		further := false
		for back := 1; back <= min(maxWordsBack, len(spans)) && !further; back++ {
			at := spans[len(spans)-back]
			changed := text[:at[0]] + "`" + text[at[0]:at[1]] + "`" + text[at[1]:]
			err := parse(changed)
			var refused *mysql.SQLError
			if err == nil || errors.As(err, &refused) {
				return changed, err
			}
			if further = errorPlace(err.Error())-len("``") > place; further {
				text, failed = changed, err
			}
		}
		if !further {
			break
		}
	}
	return text, failed
}

// quoteFreeWords puts free words into back quotes, and reports whether there
// were any.
func quoteFreeWords(text string) (string, bool) {
	spans := freeSpans(text, len(text))
	if len(spans) == 0 {
		return text, false
	}
	var b strings.Builder
	copied := 0
	for _, at := range spans {
		b.WriteString(text[copied:at[0]])
		b.WriteString("`" + text[at[0]:at[1]] + "`")
		copied = at[1]
	}
	b.WriteString(text[copied:])
	return b.String(), true
}

// freeSpans are the free words that end by a place. Those in strings, quoted
// names and comments are none.
func freeSpans(text string, last int) [][2]int {
	var spans [][2]int
	for i := 0; i < len(text) && i < last; {
		switch c := text[i]; {
		case c == '\'' || c == '"' || c == '`':
			i = skipQuotes(text, i)
		case c == '#' || c == '-' && strings.HasPrefix(text[i:], "-- "):
			i = skipTo(text, i, "\n")
		case c == '/' && strings.HasPrefix(text[i:], "/*"):
			i = skipTo(text, i, "*/")
		case wordByte(c):
			end := i
			for end < len(text) && wordByte(text[end]) {
				end++
			}
			if end <= last && isFree(text, i, end) {
				spans = append(spans, [2]int{i, end})
			}
			i = end
		default:
			i++
		}
	}
	return spans
}

// isFree reports whether the word text[start:end] is a free one, and neither a
// variable's nor a function's name.
func isFree(text string, start, end int) bool {
	if start > 0 && text[start-1] == '@' {
		return false
	}
	word := strings.ToLower(text[start:end])
	if freeWords[word] || isQualified(text, start) {
		return true
	}
	return freeFunctions[word] && !strings.HasPrefix(strings.TrimLeft(text[end:], " \t\r\n"), "(")
}

// isQualified reports whether what begins at a place follows a name and a period: as in
// MySQL it is a name then, whatever it is elsewhere.
func isQualified(text string, start int) bool {
	if start < 2 || text[start-1] != '.' {
		return false
	}
	if text[start-2] == '`' {
		return true
	}
	name := start - 1
	for name > 0 && wordByte(text[name-1]) {
		name--
	}
	return name < start-1 && (text[name] < '0' || text[name] > '9')
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// skipQuotes gives the place after the quotes that begin at i.
func skipQuotes(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote != '`':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(text)
}

// skipTo gives the place after the next end.
func skipTo(text string, i int, end string) int {
	n := strings.Index(text[i:], end)
	if n < 0 {
		return len(text)
	}
	return i + n + len(end)
}
