package gateway

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// TestDecimalCasts casts values of all kinds, at the ends of what a decimal holds.
func TestDecimalCasts(t *testing.T) {
	ctx := sql.NewEmptyContext()
	nines := strings.Repeat("9", 65)
	for _, c := range []struct {
		value            any
		of               sql.Type
		precision, scale uint8
		want             string
	}{
		{"99.994", types.LongText, 4, 2, "99.99"}, {"99.995", types.LongText, 4, 2, "99.99"}, {"-99.995", types.LongText, 4, 2, "-99.99"},
		{"99.985", types.LongText, 4, 2, "99.99"}, {"-99.985", types.LongText, 4, 2, "-99.99"}, {"100", types.LongText, 4, 2, "99.99"},
		{"-0.004", types.LongText, 4, 2, "0.00"}, {"0.005", types.LongText, 4, 2, "0.01"}, {"-0.005", types.LongText, 4, 2, "-0.01"},
		{nines, types.LongText, 65, 0, nines}, {nines + "9", types.LongText, 65, 0, nines}, {nines + ".5", types.LongText, 65, 0, nines},
		{"0." + strings.Repeat("0", 29) + "5", types.LongText, 65, 30, "0." + strings.Repeat("0", 29) + "5"},
		{"0." + strings.Repeat("0", 30) + "5", types.LongText, 65, 30, "0." + strings.Repeat("0", 29) + "1"},
		{"1e999999", types.LongText, 5, 1, "9999.9"}, {"-1e9999999999", types.LongText, 5, 1, "-9999.9"}, {"1e-999999", types.LongText, 5, 1, "0.0"}, {"1e-9999999999", types.LongText, 5, 1, "0.0"}, {"0e99999", types.LongText, 5, 1, "0.0"}, {"1.5e000001", types.LongText, 5, 1, "15.0"}, {"1e9999", types.LongText, 5, 1, "9999.9"},
		{strings.Repeat("1", 5000), types.LongText, 3, 0, "999"}, {"0" + strings.Repeat("0", 900) + "7", types.LongText, 3, 0, "7"},
		{"", types.LongText, 3, 1, "0.0"}, {"x", types.LongText, 3, 1, "0.0"}, {" +1.5x", types.LongText, 3, 1, "1.5"}, {"1e", types.LongText, 3, 1, "1.0"}, {".", types.LongText, 3, 1, "0.0"},
		{int64(math.MinInt64), types.Int64, 20, 0, "-9223372036854775808"}, {uint64(math.MaxUint64), types.Uint64, 20, 0, "18446744073709551615"},
		{math.Inf(1), types.Float64, 3, 1, "99.9"}, {math.Inf(-1), types.Float64, 3, 1, "-99.9"}, {1e-320, types.Float64, 3, 1, "0.0"}, {0.125, types.Float64, 5, 2, "0.13"}, {float32(0.1), types.Float32, 9, 8, "0.10000000"},
		{apd.New(125, -2), types.InternalDecimalType, 3, 1, "1.3"}, {true, types.Boolean, 3, 1, "1.0"}, {[]byte{0x41}, types.LongBlob, 3, 1, "65.0"},
		{time.Date(2026, 1, 2, 3, 4, 5, 600000000, time.UTC), types.DatetimeMaxPrecision, 20, 2, "20260102030405.60"},
		{time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), types.Date, 10, 0, "20260102"}, {"2026-01-02", types.Date, 10, 0, "20260102"},
	} {
		typ := types.MustCreateDecimalType(c.precision, c.scale)
		got, err := castDecimal(ctx, c.of, typ, c.value, stringer("x"))
		if err != nil {
			t.Fatalf("%v: %v", c.value, err)
		}
		d := got.(*apd.Decimal)
		if d.Text('f') != c.want || d.Exponent != -int32(c.scale) {
			t.Errorf("%v as DECIMAL(%d,%d): %s, want %s", c.value, c.precision, c.scale, d.Text('f'), c.want)
		}
	}
}

type stringer string

func (s stringer) String() string { return string(s) }
