package gateway

import (
	"slices"
	"strings"
)

// What MySQL says that the SQL library's grammar does not know, written in what it
// does know: a text that does not parse is rewritten and parsed again. One that
// parses costs nothing.

// maxIdiomText bounds the texts that are looked at.
const maxIdiomText = 1 << 20

// rewriteIdioms rewrites a text, with chains of comparisons or without, and reports whether
// that changed it.
func rewriteIdioms(text string, chains bool) (string, bool) {
	if len(text) > maxIdiomText {
		return text, false
	}
	text, whole := rewriteStatement(text)
	r := &idiomRewriter{text: text, tokens: idiomTokens(text)}
	for i := range r.tokens {
		r.at(i)
	}
	if chains {
		r.chains()
	}
	text, parts := r.result()
	return text, whole || parts
}

// token is a word, a quoted text or a sign of a statement's text.
type idiomToken struct {
	start, end int
	kind       idiomKind
	depth      int // of the parentheses around it; a parenthesis counts as outside
}

type idiomKind uint8

const (
	idiomSign idiomKind = iota
	idiomWord
	idiomQuoted // a string or a name in quotes
)

func idiomTokens(text string) []idiomToken {
	var tokens []idiomToken
	depth := 0
	add := func(start, end int, kind idiomKind) int {
		tokens = append(tokens, idiomToken{start, end, kind, depth})
		return end
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case isSpace(c):
			i++
		case c == '\'' || c == '"' || c == '`':
			i = add(i, skipQuotes(text, i), idiomQuoted)
		case c == '#' || c == '-' && strings.HasPrefix(text[i:], "-- "):
			i = skipTo(text, i, "\n")
		case c == '/' && strings.HasPrefix(text[i:], "/*"):
			i = skipTo(text, i, "*/")
		case c == '@' || wordByte(c):
			end := i + 1
			for end < len(text) && (wordByte(text[end]) || text[end] == '@') {
				end++
			}
			i = add(i, end, idiomWord)
		case strings.HasPrefix(text[i:], ":="):
			i = add(i, i+2, idiomSign)
		case c == ')':
			depth--
			i = add(i, i+1, idiomSign)
		default:
			i = add(i, i+1, idiomSign)
			if c == '(' {
				depth++
			}
		}
	}
	return tokens
}

// idiomRewriter collects changes of a text.
type idiomRewriter struct {
	text   string
	tokens []idiomToken
	edits  []idiomEdit
}

// idiomEdit puts something in the place of a part of the text.
type idiomEdit struct {
	start, end int
	with       string
}

func (r *idiomRewriter) edit(start, end int, with string) {
	r.edits = append(r.edits, idiomEdit{start, end, with})
}

func (r *idiomRewriter) word(i int) string {
	if i < 0 || i >= len(r.tokens) {
		return ""
	}
	return strings.ToUpper(r.text[r.tokens[i].start:r.tokens[i].end])
}

// at looks at what begins with a token.
func (r *idiomRewriter) at(i int) {
	t := r.tokens[i]
	switch w := r.word(i); {
	case w == "{":
		r.escape(i)
	case t.kind != idiomWord && w != ":=":
	case w == ":=":
		r.assignment(i)
	case w == "ALL", w == "ANY", w == "SOME":
		r.quantifier(i)
	case w == "WITH" && r.word(i+1) == "ROLLUP":
		r.edit(t.start, r.tokens[i+1].end, ", "+rollupFunction+"()")
	case w == "INTERVAL":
		r.interval(i)
	case w == "GET_FORMAT" && r.word(i+1) == "(" && i+2 < len(r.tokens):
		if kind := r.tokens[i+2]; kind.kind == idiomWord {
			r.edit(kind.start, kind.end, "'"+r.text[kind.start:kind.end]+"'")
		}
	}
}

// escape reads ODBC's {d '…'}, {ts '…'}, {t '…'}, {fn …} and {oj …}.
func (r *idiomRewriter) escape(i int) {
	with, ok := map[string]string{"D": momentLiteralPrefix + "date(", "T": momentLiteralPrefix + "time(", "TS": momentLiteralPrefix + "timestamp(", "FN": "", "OJ": ""}[r.word(i+1)]
	if !ok {
		return
	}
	closed := ""
	if with != "" {
		closed = ")"
	}
	open := 0
	for j := i; j < len(r.tokens); j++ {
		switch r.word(j) {
		case "{":
			open++
		case "}":
			if open--; open == 0 {
				r.edit(r.tokens[i].start, r.tokens[i+1].end, with)
				r.edit(r.tokens[j].start, r.tokens[j].end, closed)
				return
			}
		}
	}
}

// interval reads INTERVAL '1:30' HOUR_MINUTE, and INTERVAL(n, a, b).
func (r *idiomRewriter) interval(i int) {
	depth := r.tokens[i].depth
	list := r.word(i+1) == "("
	for j := i + 1; j < len(r.tokens) && r.tokens[j].depth >= depth; j++ {
		t := r.tokens[j]
		if t.depth > depth {
			continue
		}
		w := r.word(j)
		if c, ok := compoundUnits[w]; ok {
			r.edit(r.tokens[i].end, r.tokens[i].end, " "+intervalFunction+"(")
			r.edit(t.start, t.end, ", '"+w+"') "+c.smallest)
			return
		}
		if w == ")" && j > i+1 && list {
			if r.tokens[j].start > 0 && simpleUnits[r.word(j+1)] || compoundUnits[r.word(j+1)].smallest != "" {
				continue
			}
			if strings.ContainsRune("+-*/", rune((r.word(j+1) + " ")[0])) {
				continue // INTERVAL (a) + b DAY
			}
			r.edit(r.tokens[i].start, r.tokens[i].end, intervalIndex)
			return
		}
		if simpleUnits[w] || w == "," {
			return
		}
	}
}

var simpleUnits = map[string]bool{"MICROSECOND": true, "SECOND": true, "MINUTE": true, "HOUR": true, "DAY": true, "WEEK": true, "MONTH": true, "QUARTER": true, "YEAR": true}

// afterAssigned are words that end the expression behind a :=.
var afterAssigned = wordSet(`as from order group having where limit union then else end when window into for procedure asc desc`)

// assignment reads @x := expression.
func (r *idiomRewriter) assignment(i int) {
	if r.word(0) == "SET" || i == 0 {
		return
	}
	name := r.tokens[i-1]
	if name.kind != idiomWord || r.text[name.start] != '@' || strings.HasPrefix(r.text[name.start:], "@@") || name.end == name.start+1 {
		return
	}
	depth, end := r.tokens[i].depth, len(r.text)
	j := i + 1
	for ; j < len(r.tokens); j++ {
		t := r.tokens[j]
		if t.depth < depth || t.depth == depth && (r.word(j) == "," || r.word(j) == ";" || t.kind == idiomWord && afterAssigned[strings.ToLower(r.word(j))] && !r.inCase(i+1, j)) {
			end = t.start
			break
		}
	}
	if last := j - 1; last > i+1 && end < len(r.text) || last > i+1 {
		if r.tokens[last].kind != idiomSign && (r.tokens[last-1].kind != idiomSign && !operatorWords[strings.ToLower(r.word(last-1))] || r.word(last-1) == ")") &&
			!operatorWords[strings.ToLower(r.word(last))] && r.tokens[last].depth == depth {
			end = r.tokens[last].start // an alias without AS
		}
	}
	r.edit(name.start, r.tokens[i].end, assignFunction+"('"+r.text[name.start+1:name.end]+"',")
	r.edit(end, end, ") ")
}

// operatorWords are words that stand between operands, or before one.
var operatorWords = wordSet(`and or xor not div mod is like in between regexp rlike binary distinct interval null true false case end`)

// inCase reports whether the words from i to j hold a CASE without its END: its
// words do not end an expression.
func (r *idiomRewriter) inCase(i, j int) bool {
	open := 0
	for ; i < j; i++ {
		switch r.word(i) {
		case "CASE":
			open++
		case "END":
			open--
		}
	}
	return open > 0
}

// result is the text with all changes.
func (r *idiomRewriter) result() (string, bool) {
	if len(r.edits) == 0 {
		return r.text, false
	}
	slices.SortStableFunc(r.edits, func(a, b idiomEdit) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for i, e := range r.edits {
		if e.start < at && (i == 0 || e.start != r.edits[i-1].start) {
			continue // within what is replaced
		}
		b.WriteString(r.text[min(at, e.start):e.start])
		b.WriteString(e.with)
		at = max(at, e.end)
	}
	b.WriteString(r.text[at:])
	return b.String(), true
}
