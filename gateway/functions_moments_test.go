package gateway

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
)

// What is worked out in microseconds is what the scalar says.
func TestFunctionsOfMoments(t *testing.T) {
	ctx := newSQLWorld(t).context()
	a := expression.NewGetField(0, types.DatetimeMaxPrecision, "a", true)
	b := expression.NewGetField(1, types.DatetimeMaxPrecision, "b", true)
	slots := []slot{{kind: slotColumn, typ: types.DatetimeMaxPrecision, null: true}, {kind: slotColumn, typ: types.DatetimeMaxPrecision, null: true, column: 1}}
	integer := func(n int64) sql.Expression { return expression.NewLiteral(n, types.Int64) }
	var numbers []sql.Expression
	for _, unit := range []string{"MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK"} {
		numbers = append(numbers, function.NewTimestampDiff(ctx, expression.NewLiteral(unit, types.LongText), a, b))
	}
	numbers = append(numbers, function.NewDateDiff(ctx, a, b))
	var truths []sql.Expression
	for _, n := range numbers {
		truths = append(truths, expression.NewBetween(n, integer(-1), integer(2)), expression.NewEquals(n, integer(0)), expression.NewGreaterThan(n, integer(3)))
	}
	truths = append(truths, expression.NewGreaterThan(a, b), expression.NewGreaterThanOrEqual(a, b), expression.NewLessThan(a, b), expression.NewLessThanOrEqual(a, b), expression.NewEquals(a, b))
	r := rand.New(rand.NewPCG(1, 2))
	moment := func() catalog.Value {
		switch r.IntN(8) {
		case 0:
			return catalog.Null
		case 1:
			return catalog.Int(time.Date(1+r.IntN(9999), time.Month(1+r.IntN(12)), 1+r.IntN(31), r.IntN(24), 0, 0, 0, time.UTC).UnixMicro())
		case 2:
			return catalog.Int(-r.Int64N(3 * microDay))
		}
		return catalog.Int(r.Int64N(3) * microDay / (1 + r.Int64N(3)))
	}
	for i, e := range append(numbers, truths...) {
		as := formInt
		if i >= len(numbers) {
			as = formTruth
		}
		x, ok := encodeScalar(ctx, &composite{e, slots}, as, func(int) resultForm { return formMoment })
		if !ok {
			t.Fatalf("%s does not travel", e)
		}
		f, err := NewFunctions().Function(x.function)
		if err != nil {
			t.Fatal(err)
		}
		m, is := f.(*momentsFunction)
		if !is {
			t.Errorf("%s is not worked out in microseconds", e)
			continue
		}
		for range 300 {
			args := []catalog.Value{moment(), moment()}
			want, err := m.Function.Eval(args)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := f.Eval(args); err != nil || got != want {
				t.Fatalf("%s of %v is %v, %v; want %v", e, args, got, err, want)
			}
		}
	}
}
