package gateway

import (
	"regexp"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// DATE '2026-01-02', TIME '10:20:30' and TIMESTAMP '2026-01-02 10:20:30' are constants of
// those types. The SQL library's grammar drops the word, and a text is left. So the text of
// a statement calls a function instead, which gives the constant when it is planned.

// momentLiteralPrefix stands before the word in the name of the function.
const momentLiteralPrefix = "arbor_"

// momentLiteralFunctions are those functions.
func momentLiteralFunctions() map[string]sql.Function {
	all := make(map[string]sql.Function)
	for word, read := range map[string]func(ctx *sql.Context, text string) (any, sql.Type, bool){
		"date": readDate, "time": readTime, "timestamp": readTimestamp,
	} {
		all[momentLiteralPrefix+word] = sql.FunctionN{Name: momentLiteralPrefix + word, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			if len(args) != 1 {
				return nil, sql.ErrInvalidArgumentNumber.New(momentLiteralPrefix+word, "1", len(args))
			}
			l, ok := constantOf(args[0])
			if !ok {
				return nil, sql.ErrInvalidArgument.New(momentLiteralPrefix + word)
			}
			text, _ := l.Val.(string)
			v, t, ok := read(ctx, strings.TrimSpace(text))
			if !ok {
				kind := strings.ToUpper(word)
				if kind == "TIMESTAMP" {
					kind = "DATETIME"
				}
				return nil, mysql.NewSQLError(codeWrongMoment, stateGeneral, "Incorrect %s value: '%s'", kind, clip(text))
			}
			return expression.NewLiteral(v, t), nil
		}}
	}
	return all
}

// codeWrongMoment is MySQL's ER_WRONG_VALUE.
const codeWrongMoment = 1525

// The parts of such a text: years have two digits or four, the others one or two, with any
// sign between them.
var (
	dateText      = regexp.MustCompile(`^(\d{4}|\d\d)[^\d\s](\d\d?)[^\d\s](\d\d?)$|^\d{6}$|^\d{8}$`)
	timestampText = regexp.MustCompile(`^((?:\d{4}|\d\d)[^\d\s]\d\d?[^\d\s]\d\d?)(?:[T\s]+)(\d\d?)(?:[^\d\s.](\d\d?)(?:[^\d\s.](\d\d?)(\.\d*)?)?)?$|^\d{12}$|^\d{14}(\.\d*)?$`)
	timeText      = regexp.MustCompile(`^-?(\d+\s+)?\d+(:\d\d?(:\d\d?)?)?(\.\d*)?$`)
)

func readDate(_ *sql.Context, text string) (any, sql.Type, bool) {
	t, ok := dayOfText(text)
	return t, types.Date, ok
}

// dayOfText is the day that a text is.
func dayOfText(text string) (time.Time, bool) {
	if !dateText.MatchString(text) {
		return time.Time{}, false
	}
	var year, month, day string
	if parts := dateText.FindStringSubmatch(text); parts[1] != "" {
		year, month, day = parts[1], parts[2], parts[3]
	} else {
		n := len(text) - 4
		year, month, day = text[:n], text[n:n+2], text[n+2:]
	}
	if len(year) == 2 {
		year = map[bool]string{true: "20", false: "19"}[year < "70"] + year
	}
	t, err := time.Parse("2006-1-2", year+"-"+month+"-"+day)
	return t, err == nil && t.Year() > 0
}

func readTimestamp(_ *sql.Context, text string) (any, sql.Type, bool) {
	parts := timestampText.FindStringSubmatch(text)
	if parts == nil {
		return nil, nil, false
	}
	day, clock := parts[1], ""
	if day != "" {
		clock = parts[2]
		for _, p := range parts[3:5] {
			if p == "" {
				p = "0"
			}
			clock += ":" + p
		}
		clock += parts[5]
	} else {
		digits, fraction, _ := strings.Cut(text, ".")
		n := len(digits) - 6
		day, clock = digits[:n], digits[n:n+2]+":"+digits[n+2:n+4]+":"+digits[n+4:]
		if fraction != "" {
			clock += "." + fraction
		}
	}
	t, ok := dayOfText(day)
	whole, fraction, _ := strings.Cut(clock, ".")
	at, err := time.Parse("15:4:5", whole)
	if !ok || err != nil {
		return nil, nil, false
	}
	micros, digits := fractionOf(fraction)
	t = t.Add(at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)) + time.Duration(micros)*time.Microsecond)
	return t, datetimeOf(digits), t.Year() <= 9999
}

// fractionOf reads the digits of a second's fraction, of which six count: the seventh
// rounds.
func fractionOf(text string) (micros int64, digits int) {
	digits = min(len(text), 6)
	for i := range 7 {
		d := int64(0)
		if i < len(text) {
			d = int64(text[i] - '0')
		}
		if i == 6 {
			if d >= 5 {
				micros++
			}
			break
		}
		micros = micros*10 + d
	}
	return micros, digits
}

func readTime(ctx *sql.Context, text string) (any, sql.Type, bool) {
	if !timeText.MatchString(text) {
		return nil, nil, false
	}
	span, ok := spanOf(ctx, text)
	if most := int64(838*3600+59*60+59) * microSecond; !ok || (span == most || span == -most) && !strings.Contains(strings.ReplaceAll(text, ":", ""), "8385959") {
		return nil, nil, false // it was cut down to that
	}
	return types.Timespan(span), types.Time, true
}

// momentLiterals finds the constants of a statement's text, and gives what is to stand
// in their places: the word becomes a call. Where a value stands for itself, in the rows of
// an INSERT, as a default or as the moment of AS OF, a text does as well.
func momentLiterals(text string, tokens []idiomToken, edit func(t idiomToken, with string)) {
	first := ""
	word := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return text[tokens[i].start:tokens[i].end]
	}
	for i, t := range tokens {
		if first == "" && t.kind == idiomWord {
			first = strings.ToLower(word(i))
		}
		if t.kind != idiomWord || i+1 >= len(tokens) || tokens[i+1].kind != idiomQuoted || text[tokens[i+1].start] == '`' || !isMomentWord(word(i)) {
			continue
		}
		before, behind := strings.ToLower(word(i-1)), word(i+2)
		switch {
		case first == "call", before == "of", before == "default", before == ".":
			continue
		case (first == "insert" || first == "replace") && (before == "(" || before == ",") && (behind == "," || behind == ")"):
			continue
		case tokens[i+1].end-tokens[i+1].start < 2:
			continue
		}
		edit(t, momentLiteralPrefix+word(i)+"(")
		edit(idiomToken{start: tokens[i+1].end, end: tokens[i+1].end}, ")")
	}
}

func isMomentWord(word string) bool {
	return strings.EqualFold(word, "date") || strings.EqualFold(word, "time") || strings.EqualFold(word, "timestamp")
}

// mayHoldMomentLiteral reports whether a text may hold such a constant.
func mayHoldMomentLiteral(text string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c != '\'' && c != '"' {
			continue
		}
		end := i
		for end > 0 && isSpace(text[end-1]) {
			end--
		}
		start := end
		for start > 0 && inName(lower(text[start-1])) && end-start < len("timestamp") {
			start--
		}
		if isMomentWord(text[start:end]) {
			return true
		}
	}
	return false
}

// calledLiteral is such a call in a text.
var calledLiteral = regexp.MustCompile(`(?i)\b` + momentLiteralPrefix + `(date|time|timestamp)\((\s*'(?:[^'\\]|\\.|'')*'|\s*"(?:[^"\\]|\\.|"")*")\)`)

// withMomentLiterals is a text with the constants as they were written.
func withMomentLiterals(text string) string {
	if !strings.Contains(text, momentLiteralPrefix) {
		return text
	}
	return calledLiteral.ReplaceAllString(text, "$1$2")
}
