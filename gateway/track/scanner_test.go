package track

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"arbor/catalog"
)

// scanAll reads one value and nothing else.
func scanAll(text []byte) (catalog.Value, bool) {
	d := &Decoder{}
	d.scanner.reset(text)
	r := reading{decoder: d}
	v := r.value("x")
	if d.scanner.peek(); d.scanner.err == nil && d.scanner.i < len(text) {
		d.scanner.failHere("the end")
	}
	return v, d.scanner.err == nil && r.problem == ""
}

// checkAgainstJSON compares the scanner with encoding/json: the same texts are
// valid, and they mean the same.
func checkAgainstJSON(t *testing.T, text []byte) {
	t.Helper()
	v, ok := scanAll(text)
	deep := strings.Count(string(text), "[")+strings.Count(string(text), "{") > 16
	if want := json.Valid(text) && utf8.Valid(text); ok != want && !deep {
		t.Fatalf("%q: valid %v, encoding/json says %v", text, ok, want)
	}
	if !ok {
		return
	}
	switch v.Kind {
	case catalog.KindString:
		var want string
		if err := json.Unmarshal(text, &want); err != nil || v.Text != want {
			t.Fatalf("%q: string %q, encoding/json says %q, %v", text, v.Text, want, err)
		}
	case catalog.KindJSON:
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil || v.Text != want.String() {
			t.Fatalf("%q: compact %q, encoding/json says %q, %v", text, v.Text, want.String(), err)
		}
	case catalog.KindInt, catalog.KindDouble, catalog.KindNumber:
		if want := catalog.Number(strings.TrimSpace(string(text))); v != want {
			t.Fatalf("%q: %+v, catalog.Number says %+v", text, v, want)
		}
	}
}

var jsonTexts = []string{
	`""`, `"a"`, `"abcdefgh"`, `"abcdefghi\n"`, `"\u0041\u00e9\u20ac"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\ud83d\ude00"`,
	`"\u0000"`, `"\x"`, `"\u12g4"`, `"\u12"`, `"`, `"a`, `"a\`, "\"a\nb\"", "\"a\x00b\"", "\"\x7f\"", "\"é€😀éééééééééé\"", "\"\xff\"", "\"aaaaaaaa\xc3\"",
	`"/\/\\\"\b\f\n\r\t"`, "\"\u2028\"",
	`0`, `-0`, `00`, `01`, `1`, `-1`, `+1`, `.5`, `5.`, `0.5`, `-0.5`, `1.50`, `1e5`, `1E+5`, `1e-5`, `1e`, `1e+`, `--1`, `-`, `0x1`, `1_000`,
	`123456789012345`, `1234567890123456`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `12345678901234567890123`,
	`0.1`, `0.1234567890123`, `0.12345678901234`, `0.123456789012345`, `1234567.12345678`, `0.000001`, `0.0000001`, `-0.00001`, `1e999`, `1e21`, `1e-7`, `5e-324`, `0.0`, `100.25`,
	`true`, `false`, `null`, `tru`, `nul`, `nan`, `NaN`, `Infinity`, `True`,
	`[]`, `{}`, `[ ]`, `{ }`, `[1,2,3]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `{`, `]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1,"a":2}`,
	`[[[[1]]],{"a":[{}]}]`, ` [ 1 , "a b\" ]" , { "k" : null } ] `, `[1]x`, `[1] 2`, `{"a":"\u00zz"}`, `["\ud800"]`, "[\"\xff\"]", "[1,\x00]", `{"a":1}}`, `[1}`, `{"a":1]`,
	"", " ", "\t", "\x00", "\xef\xbb\xbf1",
}

func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range jsonTexts {
		checkAgainstJSON(t, []byte(text))
		checkAgainstJSON(t, []byte(" "+text+"\r\n"))
		checkAgainstJSON(t, []byte("["+text+"]"))
		checkAgainstJSON(t, []byte(`{"k" : `+text+` }`))
	}
}

// The run of plain bytes ends at the right byte wherever that is in a word,
// whatever stands before and after it.
func TestPlainStopsAtTheFirstSpecialByte(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			for _, around := range []byte{'a', 0x7f, 0x80, 0xff, ' ', '!', '#', '[', ']'} {
				b := bytes.Repeat([]byte{around}, 24)
				b[at] = byte(c)
				want := len(b)
				if c < 0x20 || c == '"' || c == '\\' {
					want = at
				}
				if got := plain(b, 0); got != want {
					t.Fatalf("byte %#02x at %d among %#02x: stops at %d, want %d", c, at, around, got, want)
				}
			}
		}
	}
}

// No depth of nesting costs stack.
func TestScannerSurvivesAbsurdNesting(t *testing.T) {
	const deep = 1_000_000
	for _, text := range []string{
		strings.Repeat("[", deep),
		strings.Repeat("[", deep) + strings.Repeat("]", deep),
		strings.Repeat(`{"a":`, deep),
		strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep),
	} {
		d := &Decoder{}
		batch, err := d.all(Options{}, []byte(`{"event":"e","properties":{"x":`+text+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		if len(batch.Failed) != 1 || len(batch.Events) != 0 {
			t.Fatalf("%d failed, %d events; want the record refused", len(batch.Failed), len(batch.Events))
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(checkAgainstJSON)
}
