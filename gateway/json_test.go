package gateway

import (
	"context"
	"fmt"
	"testing"

	"arbor/catalog"
)

func TestJSONValuesAreExact(t *testing.T) {
	for text, want := range map[string]catalog.Value{
		`null`: catalog.Null, `true`: catalog.Bool(true), ` false `: catalog.Bool(false),
		`"a\u00fc\n"`: catalog.String("aü\n"), `12`: catalog.Int(12), `-0`: {Kind: catalog.KindNumber, Text: "-0"},
		`1.50`: {Kind: catalog.KindNumber, Text: "1.50"}, `1.5`: catalog.Double(1.5),
		`123456789012345678901`:     {Kind: catalog.KindNumber, Text: "123456789012345678901"},
		`[ 1, {"b" : 2.0, "a":1} ]`: catalog.JSON(`[1,{"b":2.0,"a":1}]`),
	} {
		if got, err := jsonValue([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := jsonValue([]byte("  ")); err == nil {
		t.Error("empty text was taken")
	}
}

func TestStoredJSON(t *testing.T) {
	j := storedJSON(`{"i":9223372036854775807,"u":18446744073709551615,"f":1.5,"big":1e400,"a":[1,null,"x"]}`)
	v, err := j.ToInterface(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	m := v.(map[string]any)
	if m["i"] != int64(1<<63-1) || m["u"] != uint64(1<<64-1) || m["f"] != 1.5 || fmt.Sprint(m["a"]) != "[1 <nil> x]" {
		t.Errorf("got %v", m)
	}
	if s := fmt.Sprint(m["big"]); s != "1E+400" {
		t.Errorf("1e400 became %v", s)
	}
	if b, err := j.GetBytes(context.Background()); err != nil || string(b) != string(j) {
		t.Errorf("the text became %s, %v", b, err)
	}
	if _, err := storedJSON("{").ToInterface(context.Background()); err == nil {
		t.Error("damaged JSON was taken")
	}
}
