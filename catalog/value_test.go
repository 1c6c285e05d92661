package catalog

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumberKeepsLiterals(t *testing.T) {
	for literal, kind := range map[string]Kind{
		"0": KindInt, "-1": KindInt, "9223372036854775807": KindInt, "-9223372036854775808": KindInt,
		"0.5": KindDouble, "-1.25": KindDouble, "1e+21": KindDouble, "1e-7": KindDouble, "0.000001": KindDouble,
		"-0": KindNumber, "1.0": KindNumber, "1e5": KindNumber, "1E5": KindNumber, "1.50": KindNumber, "1e-07": KindNumber,
		"9223372036854775808": KindNumber, "0.1000000000000000055": KindNumber, "1e400": KindNumber, "1e-400": KindNumber,
		"NaN": KindNumber, "+Inf": KindNumber, "-Inf": KindNumber, // no literals; event.Check refuses them
	} {
		v := Number(literal)
		if got := string(v.AppendJSON(nil)); v.Kind != kind || got != literal {
			t.Errorf("%s: kind %d, gives %s back", literal, v.Kind, got)
		}
	}
}

func TestValues(t *testing.T) {
	for want, v := range map[string]Value{
		"null": Null, "true": Bool(true), "false": Bool(false), "-7": Int(-7), "2.5": Double(2.5),
		`"a\"\\\n\r\t\b\f\u0001é🙂"`: String("a\"\\\n\r\t\b\f\x01é🙂"), `"` + "\ufffd" + `x"`: String("\xffx"), `[1]`: JSON("[1]"),
	} {
		if got := string(v.AppendJSON([]byte("x"))); got != "x"+want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !Bool(true).Bool() || Int(-7).Int() != -7 || Double(2.5).Double() != 2.5 {
		t.Error("values do not give themselves back")
	}
}

// FuzzNumber: every JSON number comes back as it was written, and means what
// the standard library says it means.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "1.0", "1e5", "123456789012345678901", "0.1", "1e-400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		var n json.Number
		if json.Unmarshal([]byte(literal), &n) != nil || n.String() != literal {
			return
		}
		v := Number(literal)
		if got := string(v.AppendJSON(nil)); got != literal {
			t.Fatalf("%s comes back as %s", literal, got)
		}
		want, err := n.Float64()
		got, ok := Convert(v, TypeDouble, 0, 0)
		if ok != (err == nil) || ok && got.Double() != want {
			t.Fatalf("%s is %v, %v; want %v, %v", literal, got.Double(), ok, want, err)
		}
	})
}

// FuzzAppendJSONString: the text reads back as the string, with what is not
// UTF-8 replaced.
func FuzzAppendJSONString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028\xff\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendJSONString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil || !utf8.Valid(b) {
			t.Fatalf("%q gives %s: %v", s, b, err)
		}
		var want strings.Builder
		for _, r := range s { // gives U+FFFD for each byte that is not UTF-8
			want.WriteRune(r)
		}
		if got != want.String() {
			t.Fatalf("%q reads back as %q", s, got)
		}
	})
}

func TestDoublesLookAsInJavaScript(t *testing.T) {
	for want, f := range map[string]float64{
		"0": 0, "-0": math.Copysign(0, -1), "100000000000000000000": 1e20, "1e+21": 1e21, "0.000001": 1e-6, "1e-7": 1e-7, "1.5e-10": 1.5e-10, "1e+100": 1e100,
	} {
		if got := string(Double(f).AppendJSON(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
