package catalog

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// show is a value as a test table writes it.
func show(v Value, ok bool) string {
	if !ok {
		return "NULL"
	}
	return fmt.Sprintf("%d:%s", v.Kind, v.AppendJSON(nil))
}

func TestConvert(t *testing.T) {
	const null = "NULL"
	for _, test := range []struct {
		from Value
		to   Type
		want string
	}{
		{Null, TypeString, null},
		{Null, TypeJSON, null},
		{Null, TypeBool, null},

		{Bool(true), TypeBool, "1:true"},
		{Int(1), TypeBool, "1:true"},
		{Int(0), TypeBool, "1:false"},
		{Int(2), TypeBool, null},
		{Double(1), TypeBool, "1:true"},
		{Double(0.5), TypeBool, null},
		{Number("1.0"), TypeBool, "1:true"},
		{String("TRUE"), TypeBool, "1:true"},
		{String(" false "), TypeBool, "1:false"},
		{String("0"), TypeBool, "1:false"},
		{String("yes"), TypeBool, null},
		{JSON("[]"), TypeBool, null},

		{Bool(true), TypeInt, "2:1"},
		{Int(-5), TypeInt, "2:-5"},
		{Double(2.5), TypeInt, "2:3"},
		{Double(-2.5), TypeInt, "2:-3"},
		{Double(9223372036854774784), TypeInt, "2:9223372036854774784"},
		{Double(9223372036854775808), TypeInt, null},
		{Double(-9223372036854775808), TypeInt, "2:-9223372036854775808"},
		{Number("1.0"), TypeInt, "2:1"},
		{Number("9223372036854775807.4"), TypeInt, "2:9223372036854775807"},
		{Number("9223372036854775807.5"), TypeInt, null},
		{Number("18446744073709551615"), TypeInt, null},
		{Number("1e3"), TypeInt, "2:1000"},
		{Number("1e400"), TypeInt, null},
		{Number("1e-400"), TypeInt, "2:0"},
		{String("12"), TypeInt, "2:12"},
		{String(" +12 "), TypeInt, "2:12"},
		{String("12a"), TypeInt, null},
		{String("0x10"), TypeInt, null},
		{String("1_0"), TypeInt, null},
		{String(""), TypeInt, null},
		{String("-"), TypeInt, null},
		{String("."), TypeInt, null},
		{JSON("[1]"), TypeInt, null},

		{Bool(false), TypeDouble, "3:0"},
		{Int(3), TypeDouble, "3:3"},
		{Double(0.1), TypeDouble, "3:0.1"},
		{Number("1e5"), TypeDouble, "3:100000"},
		{Number("1e400"), TypeDouble, null},
		{Number("1e-400"), TypeDouble, "3:0"},
		{String("1.5e2"), TypeDouble, "3:150"},
		{String(".5"), TypeDouble, "3:0.5"},
		{String("5."), TypeDouble, "3:5"},
		{String("Inf"), TypeDouble, null},
		{String("NaN"), TypeDouble, null},
		{String("0x1p4"), TypeDouble, null},
		{String("1_000"), TypeDouble, null},
		{JSON("{}"), TypeDouble, null},

		{Bool(true), TypeString, `5:"true"`},
		{Int(7), TypeString, `5:"7"`},
		{Double(1e21), TypeString, `5:"1e+21"`},
		{Number("1.50"), TypeString, `5:"1.50"`},
		{String("a\"b"), TypeString, `5:"a\"b"`},
		{JSON(`{"a":1}`), TypeString, `5:"{\"a\":1}"`},
		{Int(7), TypeNull, `5:"7"`},

		{Bool(false), TypeJSON, "6:false"},
		{Int(7), TypeJSON, "6:7"},
		{Number("1.50"), TypeJSON, "6:1.50"},
		{String("a"), TypeJSON, `6:"a"`},
		{JSON(`[1]`), TypeJSON, `6:[1]`},

		{Int(1700000000), TypeDatetime, "2:1700000000000000"},
		{Int(99_999_999_999), TypeDatetime, "2:99999999999000000"},
		{Int(100_000_000_000), TypeDatetime, "2:100000000000000"},
		{Int(1700000000123), TypeDatetime, "2:1700000000123000"},
		{Int(-100_000_000_000), TypeDatetime, "2:-100000000000000"},
		{Int(-62_135_596_800), TypeDatetime, "2:-62135596800000000"},
		{Int(-62_135_596_801), TypeDatetime, null},
		{Int(253_402_300_799_999), TypeDatetime, "2:253402300799999000"},
		{Int(253_402_300_800_000), TypeDatetime, null},
		{Int(math.MaxInt64), TypeDatetime, null},
		{Int(math.MinInt64), TypeDatetime, null},
		{Double(1700000000.25), TypeDatetime, "2:1700000000250000"},
		{Double(1700000000123.5), TypeDatetime, "2:1700000000123500"},
		{Double(1e300), TypeDatetime, null},
		{Number("1.70e9"), TypeDatetime, "2:1700000000000000"},
		{String("2023-11-14 22:13:20"), TypeDatetime, "2:1700000000000000"},
		{String("yesterday"), TypeDatetime, null},
		{Bool(true), TypeDatetime, null},
		{JSON("[]"), TypeDatetime, null},

		{Int(1), Type(99), null},
	} {
		v, ok := Convert(test.from, test.to, 0, 0)
		if got := show(v, ok); got != test.want {
			t.Errorf("convert %s to %s: got %s, want %s", show(test.from, true), test.to, got, test.want)
		}
		if !ok && v != Null {
			t.Errorf("convert %s to %s: NULL comes with %+v", show(test.from, true), test.to, v)
		}
	}
}

func TestConvertToDecimal(t *testing.T) {
	for _, test := range []struct {
		from             Value
		precision, scale uint8
		want             string
	}{
		{Bool(true), 5, 2, "1.00"},
		{Int(-7), 5, 2, "-7.00"},
		{Int(999), 5, 2, "999.00"},
		{Int(1000), 5, 2, "NULL"},
		{Double(0.125), 5, 2, "0.13"},
		{Double(-0.125), 5, 2, "-0.13"},
		{Double(1e21), 65, 0, "1000000000000000000000"},
		{Double(math.Copysign(0, -1)), 5, 2, "0.00"},
		{Number("-0.004"), 5, 2, "0.00"},
		{Number("-0.005"), 5, 2, "-0.01"},
		{Number("999.994"), 5, 2, "999.99"},
		{Number("999.995"), 5, 2, "NULL"},
		{Number("99.995"), 5, 2, "100.00"},
		{Number("0.5"), 1, 0, "1"},
		{Number("9.5"), 1, 0, "NULL"},
		{Number("0.49999999999999999999999999999999"), 1, 0, "0"},
		{Number("1E2"), 5, 2, "100.00"},
		{Number("12345e-5"), 5, 5, "0.12345"},
		{Number("0.12345"), 5, 5, "0.12345"},
		{Number("0.999995"), 5, 5, "NULL"},
		{Number("1e-999999999999"), 5, 5, "0.00000"},
		{Number("1e999999999999"), 65, 0, "NULL"},
		{Number("0e999999999999"), 65, 30, "0." + strings.Repeat("0", 30)},
		{Number(strings.Repeat("9", 65)), 65, 0, strings.Repeat("9", 65)},
		{Number(strings.Repeat("9", 66)), 65, 0, "NULL"},
		{String("  12.345 "), 5, 2, "12.35"},
		{String("000012.3"), 5, 2, "12.30"},
		{String("12,3"), 5, 2, "NULL"},
		{String("1e"), 5, 2, "NULL"},
		{String("1e+"), 5, 2, "NULL"},
		{String("--1"), 5, 2, "NULL"},
		{JSON("[1]"), 5, 2, "NULL"},
	} {
		v, ok := Convert(test.from, TypeDecimal, test.precision, test.scale)
		got := "NULL"
		if ok {
			got = v.Text
		}
		if got != test.want || ok && v.Kind != KindNumber {
			t.Errorf("convert %s to DECIMAL(%d,%d): got %s, want %s", show(test.from, true), test.precision, test.scale, got, test.want)
		}
	}
}

// TestRoundDecimalAgreesWithBig compares with rationals of any size.
func TestRoundDecimalAgreesWithBig(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		text := fmt.Sprint(r.Int64N(1 << r.IntN(63)))
		if at := r.IntN(len(text) + 1); r.IntN(2) == 0 {
			text = text[:at] + "." + text[at:]
		}
		if r.IntN(2) == 0 {
			text = "-" + text
		}
		if r.IntN(2) == 0 {
			text += fmt.Sprintf("e%d", r.IntN(40)-20)
		}
		precision := 1 + r.IntN(MaxPrecision)
		scale := r.IntN(min(precision, MaxScale) + 1)
		got, ok := roundDecimal(text, precision, scale)
		if !ok {
			got = "NULL"
		}
		if want := bigRound(t, text, precision, scale); got != want {
			t.Fatalf("%s as DECIMAL(%d,%d): got %s, want %s", text, precision, scale, got, want)
		}
	}
}

func bigRound(t *testing.T, text string, precision, scale int) string {
	t.Helper()
	x, ok := new(big.Rat).SetString(strings.TrimSuffix(text, "."))
	if !ok {
		x, ok = new(big.Rat).SetString(strings.Replace(text, ".", "", 1)) // "5.e2"
		if !ok {
			t.Fatal(text)
		}
	}
	digits := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	limit := new(big.Rat).SetFrac(digits, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
	s := x.FloatString(scale) // half away from zero
	y, _ := new(big.Rat).SetString(s)
	if new(big.Rat).Abs(y).Cmp(limit) >= 0 {
		return "NULL"
	}
	if y.Sign() == 0 {
		s = strings.TrimPrefix(s, "-")
	}
	return s
}

func TestParseDatetime(t *testing.T) {
	const refused = math.MinInt64
	for text, want := range map[string]int64{
		"1970-01-01":                             0,
		" 1970-01-01 ":                           0,
		"1970-01-01T00:00:00Z":                   0,
		"1970-01-01t00:00:00z":                   0,
		"1970-01-01 00:00":                       0,
		"1970-01-01 00:00:00.5":                  500_000,
		"1970-01-01 00:00:00.000001":             1,
		"1970-01-01 00:00:00.0000014":            1,
		"1970-01-01 00:00:00.0000015":            2,
		"1969-12-31 23:59:59.9999999":            0,
		"1970-01-01T01:00:00+01:00":              0,
		"1970-01-01T01:00:00+0100":               0,
		"1970-01-01T01:00:00+01":                 0,
		"1969-12-31T18:30:00-05:30":              0,
		"1970-01-01T00:00:01.25-00:00":           1_250_000,
		"2024-02-29":                             1_709_164_800_000_000,
		"0001-01-01 00:00:00":                    MinDatetime,
		"0001-01-01T00:00:00+00:01":              refused,
		"9999-12-31 23:59:59.999999":             MaxDatetime,
		"9999-12-31 23:59:59.9999995":            refused,
		"0000-01-01":                             refused,
		"2023-02-29":                             refused,
		"2023-04-31":                             refused,
		"2023-13-01":                             refused,
		"2023-00-01":                             refused,
		"2023-01-00":                             refused,
		"2023-01-01 24:00:00":                    refused,
		"2023-01-01 00:60:00":                    refused,
		"2023-01-01 00:00:60":                    refused,
		"2023-01-01 00:00:00.":                   refused,
		"2023-01-01 00:00:00 Z":                  refused,
		"2023-01-01 00:00:00+19:00":              refused,
		"2023-01-01 00:00:00+01:60":              refused,
		"2023-01-01 00:00:00+1":                  refused,
		"2023-01-01 00:00:00+01:":                refused,
		"2023-01-01x00:00:00":                    refused,
		"2023-01-01T":                            refused,
		"2023-1-1":                               refused,
		"20230101":                               refused,
		"2023-01-01T00:00:00Zjunk":               refused,
		"+2023-01-01":                            refused,
		"":                                       refused,
		"２０２３-01-01":                             refused,
		"2023-01-01 00:00:00.123456789123456789": 1_672_531_200_123_457,
	} {
		got, ok := ParseDatetime(text)
		if !ok {
			got = refused
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// TestConvertFindsWhatWasSent holds each type that Widen gives for some values
// to showing every one of them: nothing becomes NULL by widening.
func TestConvertFindsWhatWasSent(t *testing.T) {
	values := []Value{Bool(true), Bool(false), Int(math.MinInt64), Int(math.MaxInt64), Double(-0.25), Number("1.00"),
		Number("18446744073709551615"), String(""), String("text"), JSON("[]"), JSON(`{"a":[1]}`)}
	for _, a := range values {
		for _, b := range values {
			for _, c := range values {
				typ := Widen(Widen(Widen(TypeNull, a.Kind), b.Kind), c.Kind)
				for _, v := range []Value{a, b, c} {
					if _, ok := Convert(v, typ, 0, 0); !ok {
						t.Fatalf("%s is NULL as %s", show(v, true), typ)
					}
				}
			}
		}
	}
}
