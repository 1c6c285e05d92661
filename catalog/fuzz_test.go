package catalog

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzConvert converts any value to any type: the result is of the kind that
// the type promises, and converting it again to the same type changes nothing.
func FuzzConvert(f *testing.F) {
	f.Add("2024-02-29T12:00:00.5+01:00", uint8(KindString), uint64(0), uint8(TypeDatetime), uint8(0), uint8(0))
	f.Add("-123.456e2", uint8(KindNumber), uint64(0), uint8(TypeDecimal), uint8(10), uint8(2))
	f.Add("", uint8(KindDouble), uint64(0x7fefffffffffffff), uint8(TypeDecimal), uint8(65), uint8(30))
	f.Fuzz(func(t *testing.T, text string, kind uint8, bits uint64, typ, precision, scale uint8) {
		v := Value{Kind: Kind(kind % 7), Bits: bits, Text: text}
		c := Column{Name: "c", Type: Type(typ), Precision: precision, Scale: scale}
		if c.checkType() != nil {
			return
		}
		got, ok := Convert(v, c.Type, precision, scale)
		if !ok {
			return
		}
		want := map[Type]Kind{TypeNull: KindString, TypeBool: KindBool, TypeInt: KindInt, TypeDouble: KindDouble,
			TypeString: KindString, TypeJSON: KindJSON, TypeDatetime: KindInt, TypeDecimal: KindNumber}[c.Type]
		if got.Kind != want {
			t.Fatalf("%+v to %s: got %+v", v, c.Type, got)
		}
		if c.Type == TypeDecimal && !json.Valid([]byte(got.Text)) {
			t.Fatalf("%+v to DECIMAL(%d,%d): %q is no number", v, precision, scale, got.Text)
		}
		if c.Type == TypeDatetime || c.Type == TypeDouble { // a moment is no unix time; NaN is not itself
			return
		}
		if again, ok := Convert(got, c.Type, precision, scale); !ok || again != got {
			t.Fatalf("%+v to %s: got %+v, and of that %+v, %v", v, c.Type, got, again, ok)
		}
	})
}

// FuzzParseDatetime compares with the standard library where both know a form.
func FuzzParseDatetime(f *testing.F) {
	for _, s := range []string{"2024-02-29", "2024-02-29T12:00:00Z", "2024-02-29 12:00:00.123456+01:00", "1969-12-31 23:59:59.9999995"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDatetime(s)
		if ok && (got < MinDatetime || got > MaxDatetime) {
			t.Fatalf("%q: %d", s, got)
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || want.Year() < 1 || want.Year() > 9999 {
			return
		}
		if rounded := want.Add(500 * time.Nanosecond).UnixMicro(); ok && got != rounded {
			t.Fatalf("%q: got %d, want %d", s, got, rounded)
		}
	})
}
