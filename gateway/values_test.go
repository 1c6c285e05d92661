package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// checkSplit holds what splitValues reads to what the parser reads.
func checkSplit(t *testing.T, text string) bool {
	t.Helper()
	head, rows := splitValues(text)
	if rows == nil {
		return false
	}
	stmt, err := sqlparser.Parse(text)
	if err != nil {
		// Where the head does not parse either the whole text is parsed and refused.
		if _, headErr := sqlparser.Parse(head); headErr == nil {
			t.Fatalf("%q: the parser says %v, and nothing of %q", text, err, head)
		}
		return false
	}
	ins, ok := stmt.(*sqlparser.Insert)
	if !ok {
		t.Fatalf("%q is a %T", text, stmt)
	}
	values, ok := ins.Rows.(*sqlparser.AliasedValues)
	if !ok || len(values.Values) != rows.count() {
		t.Fatalf("%q: %d rows, the parser has %v", text, rows.count(), ins.Rows)
	}
	var want []literal
	for _, row := range values.Values {
		for _, e := range row {
			l, ok := literalOf(e, nil)
			if !ok {
				t.Fatalf("%q: the parser has %s, which is no literal", text, sqlparser.String(e))
			}
			want = append(want, l)
		}
	}
	if !slices.Equal(rows.all, want) {
		t.Fatalf("%q: %v, want %v", text, rows.all, want)
	}
	if got := !slices.ContainsFunc(rows.all, func(l literal) bool { return !isASCII(l.text) }); got != rows.ascii {
		t.Fatalf("%q: all texts are ASCII: %v, and it says %v", text, got, rows.ascii)
	}
	first, err := sqlparser.Parse(head)
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	cut := *ins
	cutValues := *values
	cutValues.Values = values.Values[:1]
	cut.Rows = &cutValues
	if got, want := sqlparser.String(first), sqlparser.String(&cut); got != want {
		t.Fatalf("%q: the head is %s, want %s", text, got, want)
	}
	return true
}

func TestSplitValuesReadsWhatTheParserReads(t *testing.T) {
	const into = "INSERT INTO events (event, n) VALUES "
	for text, want := range map[string]bool{
		into + "('a', 1), ('b', 2)":                                                true,
		into + "('a',1),('b',2);":                                                  true,
		into + "( 'a' ,\t1 )\r\n, ( 'b' , 2 ) ; \n":                                true,
		into + "('it''s', -1), ('\\'\\\"\\\\\\n\\t\\0\\Z\\%\\_\\x', -2.50)":        true,
		into + "('', NULL), ('', true), ('', FALSE)":                               true,
		into + "('a(b),(''c'');--/*', 0), ('é\x00😀', 007)":                         true,
		"insert ignore into `shop`.`events`(`event`,`a b`) values(1,2),(3,4)":      true,
		"replace into events values (1), (2)":                                      true,
		"INSERT INTO `values` (`VALUES`) VALUES (1), (2)":                          true,
		"INSERT INTO events (event, n) VALUES (1.5, 9223372036854775807), (0.0,1)": true,
		into + "('a', 1)\x00, ('b', 2)":                                            false, into + "('a', 1), ('b', 2)\x00": false, into + "('a', 1), ('b', 2);\x00x": false,
		into + "('a', 1)": true, into + "('a', 1), ('b')": false, into + "('a', 1), ('b', 2) x": false,
		into + "('a', 1), ('b', 2); SELECT 1": false, into + "('a', 1), ('b', 2) ON DUPLICATE KEY UPDATE n = 1": false,
		into + "('a' 'b', 1), ('c', 2)": false, into + "('a', 1), ('b', NOW())": false, into + "('a', 1), ('b', 1e5)": false,
		into + "('a', 1), ('b', 0x10)": false, into + "('a', 1), ('b', .5)": false, into + "('a', 1), ('b', 5.)": false,
		into + "('a', 1), ('b', - 5)": false, into + "('a', 1), (\"b\", 5)": false, into + "('a', 1), /* c */ ('b', 5)": false,
		into + "('a', 1), ('b', 5) -- end": false, into + "('a', 1), ('b', ?)": false, into + "('a', 1), ('b": false, into + "('a', 1), ('b\\": false,
		into + "('a', 1), ('b', 12345678901234567890)": false, into + "('a', 1), ('b', 1é)": false, into + "(), ()": false,
		"INSERT INTO events (event) SELECT 1": false, "UPDATE events SET event = 1": false, "": false, "INSERT": false, "VALUES (1), (2)": false,
		"INSERT /* x */ INTO events VALUES (1), (2)": false, "INSERT INTO events SET values = (1), (2)": false,
	} {
		if got := checkSplit(t, text); got != want {
			t.Errorf("%q: read %v, want %v", text, got, want)
		}
	}
}

func TestSplitValuesOfRandomTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	pieces := append(slices.Clone(literalTexts), "'\\", "''", "\\'", "'a\\'b'", ",", "(", ")", " ", "--", "/*", "*/", "#", "\"", "`", ";", "é", "x")
	read := 0
	for range 20_000 {
		var b strings.Builder
		b.WriteString("INSERT INTO events VALUES ")
		for i := range 1 + r.IntN(3) {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "(%s, %s)", literalTexts[r.IntN(len(literalTexts))], pieces[r.IntN(len(pieces))])
		}
		if r.IntN(5) == 0 {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		if checkSplit(t, b.String()) {
			read++
		}
	}
	if read < 1000 {
		t.Errorf("only %d texts were read", read)
	}
}

// TestSplitValuesOfTextsOfAllLengths has a byte that is looked at closely, or none, at each
// place of texts that are shorter and longer than the words in which they are read.
func TestSplitValuesOfTextsOfAllLengths(t *testing.T) {
	const longest = 20
	for n := range longest {
		for at := range n + 1 {
			for _, some := range []string{"", "''", `\'`, `\n`, "é", "\xff", "\x80", "\xa7\xdc", `\é`, "&", "(", "]", "["} {
				text := strings.Repeat("x", at) + some + strings.Repeat("y", n-at)
				if statement := "INSERT INTO events VALUES ('" + text + "', 1), ('" + text + "',2)"; !checkSplit(t, statement) {
					t.Fatalf("%q is not read", statement)
				}
			}
		}
	}
}

func isASCII(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c >= utf8.RuneSelf })
}

func FuzzSplitValues(f *testing.F) {
	for _, text := range literalTexts {
		f.Add("INSERT INTO events (a, b) VALUES (" + text + ", 1), (2, " + text + ")")
	}
	f.Fuzz(func(t *testing.T, text string) { checkSplit(t, text) })
}
