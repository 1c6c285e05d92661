package gateway

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/dolthub/vitess/go/sqltypes"
)

func TestDoublesAreWrittenAsMySQL(t *testing.T) {
	for _, c := range []struct {
		value float64
		text  string
	}{
		{0, "0"}, {math.Copysign(0, -1), "-0"}, {2.5, "2.5"}, {-128, "-128"}, {1234567, "1234567"}, {12345678.9, "12345678.9"},
		{999999999999999.9, "999999999999999.9"}, {1e15, "1e15"}, {-1e15, "-1e15"}, {1234567890123456, "1.234567890123456e15"},
		{1e-15, "0.000000000000001"}, {9.5e-16, "9.5e-16"}, {1e-5, "0.00001"}, {1e20, "1e20"}, {1.5e300, "1.5e300"},
		{math.MaxFloat64, "1.7976931348623157e308"}, {math.SmallestNonzeroFloat64, "5e-324"}, {0.30000000000000004, "0.30000000000000004"},
	} {
		if got := doubleText(c.value); got != c.text {
			t.Errorf("%g is written %s and not %s", c.value, got, c.text)
		}
		ofLibrary := sqltypes.MakeTrusted(sqltypes.Float64, strconv.AppendFloat(nil, c.value, 'g', -1, 64))
		if got := asPrinted(ofLibrary).ToString(); got != c.text {
			t.Errorf("%s, as the library writes it, is printed as %s and not %s", ofLibrary.ToString(), got, c.text)
		}
		if back, err := strconv.ParseFloat(c.text, 64); err != nil || back != c.value {
			t.Errorf("%s reads as %g, %v", c.text, back, err)
		}
	}
	if got := floatText(3.1415927); got != "3.1415927" {
		t.Errorf("a FLOAT is written %s", got)
	}
	if got := floatText(1e10); got != "10000000000" {
		t.Errorf("a FLOAT is written %s", got)
	}
}

func TestSetNamesSetsTheCollation(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustExec(t, c, `SET NAMES utf8mb4 COLLATE utf8mb4_bin`)
	mustQuery(t, c, `SELECT @@collation_connection, 'a' = 'A', LOCATE('A', 'xa')`, "utf8mb4_bin|0|0")
	mustExec(t, c, `SET NAMES utf8mb4`)
	mustQuery(t, c, `SELECT @@collation_connection, 'a' = 'A', LOCATE('A', 'xa')`, "utf8mb4_0900_ai_ci|1|2")
	mustExec(t, c, "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'")
	mustQuery(t, c, `SELECT 'a' = 'A'`, "0")
	failing(t, c, `SET NAMES utf8mb4 COLLATE no_such`, 1273, "no_such")
	mustQuery(t, c, `SELECT COUNT(*) FROM words WHERE LOCATE('a', k) > 0`, "1") // the column's own collation is by bytes
}

func TestGroupConcatIsCutBetweenCharacters(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	mustExec(t, c, `SET SESSION group_concat_max_len = 5`)
	mustQuery(t, c, `SELECT GROUP_CONCAT('é', 'é', 'é') FROM words WHERE n = 1`, "éé")
	mustQuery(t, c, `SHOW WARNINGS`, "Warning|1260|Row 1 was cut by GROUP_CONCAT()")
	mustExec(t, c, `SET SESSION group_concat_max_len = 6`)
	mustQuery(t, c, `SELECT GROUP_CONCAT('é', 'é', 'é') FROM words WHERE n = 1`, "ééé")
}

// A number of hundredths is written without the search for the shortest text.
func TestHundredthsAreTheShortestText(t *testing.T) {
	check := func(f float64) {
		t.Helper()
		if short := appendHundredths(nil, f); short != nil && string(short) != strconv.FormatFloat(f, 'f', -1, 64) {
			t.Errorf("%s is written %s", strconv.FormatFloat(f, 'f', -1, 64), short)
		}
	}
	for n := range int64(200_000) {
		f := float64(n) / 100
		if short := appendHundredths(nil, f); (short == nil) != (n == 0) {
			t.Fatalf("%d hundredths: %q", n, short)
		}
		for _, f := range []float64{f, math.Nextafter(f, 0), math.Nextafter(f, math.Inf(1)), float64(n) / 10, float64(n), float64(n) / 1000} {
			check(f)
			check(-f)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		n := r.Int64N(pastHundredths * 100)
		if short := appendHundredths(nil, float64(n)/100); short == nil {
			t.Fatalf("%d hundredths are none", n)
		}
		check(float64(n) / 100)
		check(r.NormFloat64() * 1e3)
		check(math.Float64frombits(r.Uint64()))
	}
	for _, f := range []float64{0, math.Copysign(0, -1), pastHundredths, math.Inf(1), math.Inf(-1), math.NaN()} {
		if short := appendHundredths(nil, f); short != nil {
			t.Errorf("%g: %s", f, short)
		}
	}
	for _, f := range []float64{math.Nextafter(pastHundredths, 0), pastHundredths - 0.25, pastHundredths - 0.01} {
		check(f)
	}
}
