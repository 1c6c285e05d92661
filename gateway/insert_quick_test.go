package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// checkQuickNumber holds what is quickly read of a literal to what the library makes of it.
func checkQuickNumber(t *testing.T, ctx *sql.Context, v literal) (read bool) {
	t.Helper()
	in, rows := &insertion{}, &literalRows{literals: &literals{}}
	for _, kind := range []catalog.Type{catalog.TypeInt, catalog.TypeDouble} {
		var quick catalog.Value
		var ok bool
		if kind == catalog.TypeInt {
			var n int64
			n, ok = shortInt(&v)
			quick = catalog.Int(n)
		} else {
			var f float64
			f, ok = shortDouble(&v)
			quick = catalog.Double(f)
		}
		if !ok {
			continue
		}
		read = true
		c := &insertColumn{eventsColumn: eventsColumn{name: "n", sqlType: sqlType(kind, 0, 0), exec: exec.Column{Type: kind}}}
		written, err := rows.value(ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		if slow, err := in.number(ctx, c, written); err != nil || slow != quick {
			t.Errorf("%+v as %s: quickly %v, by the library %v, %v", v, c.sqlType, quick, slow, err)
		}
	}
	return read
}

var quickKinds = []sqlparser.ValType{sqlparser.IntVal, sqlparser.FloatVal, sqlparser.StrVal, literalNegative}

// numberLiteral is a literal of that kind as a statement or a driver may write it.
func numberLiteral(kind sqlparser.ValType, text string) bool {
	digits := strings.TrimPrefix(text, "-")
	switch kind {
	case sqlparser.IntVal:
		return digits != "" && len(text) <= maxQuickInt && strings.Trim(digits, "0123456789") == ""
	case sqlparser.FloatVal, literalNegative:
		mantissa, exponent, scientific := strings.Cut(digits, "e")
		if kind == literalNegative && (scientific || digits != text) {
			return false
		}
		return (scientific || isDecimal(mantissa)) && strings.Trim(mantissa, "0123456789") == strings.Repeat(".", strings.Count(mantissa, ".")) && strings.Count(mantissa, ".") < 2 &&
			mantissa != "" && mantissa != "." && len(exponent) < 3 && (!scientific || exponent != "") && strings.Trim(exponent, "0123456789") == ""
	}
	return true
}

func TestQuickNumbersAreTheLibrarys(t *testing.T) {
	ctx := newSQLWorld(t).context()
	r := rand.New(rand.NewPCG(15, 16))
	read := 0
	for range 20_000 {
		var b strings.Builder
		for range 1 + r.IntN(18) {
			b.WriteByte("0123456789012345678901234567890123456789.-e"[r.IntN(43)])
		}
		for _, kind := range quickKinds {
			if numberLiteral(kind, b.String()) && checkQuickNumber(t, ctx, literal{kind, b.String()}) {
				read++
			}
		}
	}
	if read < 10_000 {
		t.Errorf("only %d literals were read", read)
	}
}

func FuzzQuickNumbers(f *testing.F) {
	ctx := newSQLWorld(f).context()
	for i, text := range []string{"7", "-12.25", "123456789012345", "-5", "1e3", "00.10", "999999999999999999"} {
		f.Add(byte(i), text)
	}
	f.Fuzz(func(t *testing.T, kind byte, text string) {
		if k := quickKinds[int(kind)%len(quickKinds)]; numberLiteral(k, text) {
			checkQuickNumber(t, ctx, literal{k, text})
		}
	})
}

// Rows of one kind have the same name, and properties of the same names; beyond so many
// kinds there is none.
func TestRowKinds(t *testing.T) {
	columns := []insertColumn{{eventsColumn: firstColumns[columnEvent], source: 0}}
	for i, name := range []string{"a", "b"} {
		columns = append(columns, insertColumn{eventsColumn{name: name, sqlType: sqlType(catalog.TypeString, 0, 0), nullable: true,
			exec: exec.Column{Source: exec.SourceProperty, Property: name, Type: catalog.TypeString}}, i + 1})
	}
	q := quickRowsOf(columns, []int{0, 1, 2})
	text := func(s string) literal { return literal{sqlparser.StrVal, s} }
	kinds := map[int]string{}
	for i := range 2 * maxRowKinds {
		row := []literal{text(fmt.Sprint("event ", i%(maxRowKinds/2))), text("x"), text("y")}
		if i%3 == 0 {
			row[1+i%2] = literal{kind: literalNull}
		}
		var e event.Event
		kind, ok := q.event(row, &e)
		if !ok || e.Name != row[0].text {
			t.Fatalf("row %d is not read: %+v", i, e)
		}
		shape := e.Name
		for _, p := range e.Properties {
			shape += "," + p.Name
		}
		if was, ok := kinds[kind]; ok && was != shape && kind != 0 {
			t.Fatalf("kind %d is %q and %q", kind, was, shape)
		}
		kinds[kind] = shape
	}
	if _, none := kinds[0]; !none || len(kinds) != maxRowKinds+1 {
		t.Errorf("%d kinds", len(kinds))
	}
}
