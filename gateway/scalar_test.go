package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// selected plans SELECT of expressions over events, and gives the expressions with
// the slots of the rows that they are over.
func (w *sqlWorld) selected(ctx *sql.Context, exprs ...string) (*groupSource, []slot, []sql.Expression, error) {
	n, err := w.engine.gms.AnalyzeQuery(ctx, "SELECT "+strings.Join(exprs, ", ")+" FROM events")
	if err != nil {
		return nil, nil, nil, err
	}
	var project *plan.Project
	transform.InspectWithOpaque(ctx, n, func(_ *sql.Context, n sql.Node) bool {
		if p, ok := n.(*plan.Project); ok && project == nil {
			project = p
		}
		return true
	})
	if project == nil {
		return nil, nil, nil, errors.New("no projection")
	}
	s, rows, err := newGroupSource(ctx, project.Child, nil)
	if err == nil && s == nil {
		err = errors.New("no source")
	}
	return s, rows, project.Projections, err
}

// plainEval evaluates an expression. The SQL library panics for some values.
func plainEval(ctx *sql.Context, e sql.Expression, row sql.Row) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return e.Eval(ctx, row)
}

// An expression that has travelled gives the values that it gave before.
func TestScalarsMeanTheSame(t *testing.T) {
	rounds := 1500
	if testing.Short() {
		rounds = 500
	}
	w := newSQLWorld(t)
	seed := rand.Uint64()
	if s := testSeed(); s != 0 {
		seed = s
	}
	r := rand.New(rand.NewPCG(seed, 2))
	w.fillRandomly(r, 40)
	zones := []string{"+00:00", "-05:30", "America/New_York", "SYSTEM"}
	travelled, compared := 0, 0
	for i := range rounds {
		w.must("SET time_zone = '" + zones[i%len(zones)] + "'")
		g := oracle.Statements{Rand: r}
		kind := g.Kind()
		text := g.Scalar(kind, 1+r.IntN(4))
		if r.IntN(4) == 0 {
			text = g.Condition(3)
		}
		ctx := w.context()
		s, over, exprs, err := w.selected(ctx, text)
		if err != nil {
			continue
		}
		e := exprs[0]
		typ := e.Type(ctx)
		form, ok := formOf(unaliased(e), typ)
		if !ok || !travels(ctx, e) {
			continue
		}
		x, ok := encodeScalar(ctx, &composite{e, over}, form, func(column int) resultForm { return s.columns[column].form })
		if !ok {
			if testing.Verbose() {
				t.Log("does not travel: ", text)
			}
			continue
		}
		travelled++
		f, err := NewFunctions().Function(x.function)
		if err != nil {
			t.Fatalf("seed %d round %d: %s\n%v", seed, i, text, err)
		}
		rows, err := sql.RowIterToRows(ctx, s.table.rows(ctx))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			want, wantErr := plainEval(ctx, e, row)
			var value catalog.Value
			if wantErr == nil {
				value, wantErr = form.value(ctx, want, typ)
			}
			args := make([]catalog.Value, len(x.args))
			for j, column := range x.args {
				place := 0
				for place < len(over) && over[place].column != column {
					place++
				}
				if args[j], err = s.columns[column].form.value(ctx, row[place], s.columns[column].typ); err != nil {
					t.Fatal(err)
				}
			}
			got, err := f.Eval(args)
			if (err == nil) != (wantErr == nil) || err == nil && got != value {
				t.Fatalf("seed %d round %d: %s\nfor %v gives %v, %v\nwant %v, %v", seed, i, text, args, got, err, value, wantErr)
			}
			if err != nil {
				continue
			}
			compared++
			checkBack(t, ctx, form, typ, got, want, text)
		}
	}
	t.Logf("%d of %d expressions travelled, %d values compared", travelled, rounds, compared)
}

func unaliased(e sql.Expression) sql.Expression {
	if a, ok := e.(*expression.Alias); ok {
		return a.Child
	}
	return e
}

// checkBack checks that a column's value is the expression's value again.
func checkBack(t *testing.T, ctx *sql.Context, form resultForm, typ sql.Type, v catalog.Value, want any, text string) {
	t.Helper()
	back, err := form.argument(v, typ)
	if err != nil {
		t.Fatal(err)
	}
	if back == nil || want == nil {
		if back != nil || want != nil {
			t.Fatalf("%s: %v comes back as %v", text, want, back)
		}
		return
	}
	x, err := typ.SQL(ctx, nil, back)
	if err != nil {
		t.Fatal(err)
	}
	y, err := typ.SQL(ctx, nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if x.ToString() != y.ToString() && !(types.IsDecimal(typ) || types.IsFloat(typ)) {
		t.Fatalf("%s: %v comes back as %v", text, y, x)
	}
	if !sameValue(x.ToString(), y.ToString()) {
		t.Fatalf("%s: %v comes back as %v", text, y, x)
	}
}

// What depends on more than its arguments does not travel.
func TestVolatileScalarsStay(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, properties) VALUES ('a', '2026-01-10', '{"n": 1}')`, "SET @x = 1")
	for text, want := range map[string]bool{
		"n + 1": true, "NOW(6) > time": true, "CONCAT(event, USER())": true, "DATABASE()": true, "UNIX_TIMESTAMP() + n": true,
		"RAND() + n": false, "UUID()": false, "n + @x": false, "SLEEP(0) + n": false, "n + (SELECT 1)": false, "n IN (SELECT n FROM events)": false,
		"LAST_INSERT_ID() + n": false, "@@max_allowed_packet + n": false, "GET_LOCK('a', 1)": false, "RANDOM_BYTES(n)": false, "SYSDATE()": false,
	} {
		ctx := w.context()
		s, over, exprs, err := w.selected(ctx, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		form, ok := formOf(unaliased(exprs[0]), exprs[0].Type(ctx))
		if ok = ok && travels(ctx, exprs[0]); ok {
			_, ok = encodeScalar(ctx, &composite{exprs[0], over}, form, func(column int) resultForm { return s.columns[column].form })
		}
		if ok != want {
			t.Errorf("%s travels: %v, want %v", text, ok, want)
		}
	}
}

// A function with a period is the same for all moments of it.
func TestPeriods(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "SET time_zone = '+00:00'", `INSERT INTO events (event, time, properties) VALUES ('a', '2026-01-10', '{"n": 1}')`)
	r := rand.New(rand.NewPCG(rand.Uint64(), 3))
	for text, want := range map[string]int64{
		"DATE(time)": periodDay, "CAST(time AS DATE)": periodDay, "YEAR(time)": periodDay, "WEEK(time, 3)": periodDay, "LAST_DAY(time)": periodDay,
		"DATE_FORMAT(time, '%Y-%m-%d')": periodDay, "DATE_FORMAT(time, '%Y-%m-%d %H:00')": periodHour, "DATE_FORMAT(time, '%H:%i')": periodMinute,
		"DATE_FORMAT(time, '%T')": periodSecond, "DATE_FORMAT(time, '%f')": 0, "DATE_FORMAT(time, event)": 0,
		"HOUR(time)": periodHour, "MINUTE(time)": periodMinute, "SECOND(time)": periodSecond, "MICROSECOND(time)": 0,
		"EXTRACT(YEAR_MONTH FROM time)": periodDay, "EXTRACT(HOUR FROM time)": periodHour, "EXTRACT(MICROSECOND FROM time)": 0,
		"DATEDIFF(time, '2026-01-01')": periodDay, "1 << DATEDIFF(time, '2026-01-01')": periodDay, "TO_DAYS(time) % 7": periodDay,
		"CASE WHEN HOUR(time) < 12 THEN DATE(time) ELSE 'x' END": periodHour, "UNIX_TIMESTAMP(time) DIV 86400": periodDay, "UNIX_TIMESTAMP(time) DIV 7200": periodHour,
		"UNIX_TIMESTAMP(time) DIV 90": periodSecond, "UNIX_TIMESTAMP(time)": 0, "time": 0, "DATE(time) + n": 0, "time > '2026-01-01'": 0,
		"DATE(CONVERT_TZ(time, '+00:00', '+05:30'))": periodMinute, "HOUR(CONVERT_TZ(time, '+00:00', '-08:00'))": periodHour,
		"DATE(CONVERT_TZ(time, 'UTC', 'America/New_York'))":           periodHour,
		"HOUR(CONVERT_TZ(time, 'Europe/Berlin', 'America/New_York'))": periodHour, "DATE(CONVERT_TZ(time, 'Asia/Kolkata', 'UTC'))": periodMinute,
		"DATE(CONVERT_TZ(time, 'UTC', 'Australia/Lord_Howe'))": periodMinute, "DATE(CONVERT_TZ(time, 'UTC', 'Nowhere/At_All'))": periodSecond, "DATE_SUB(DATE(time), INTERVAL WEEKDAY(time) DAY)": periodDay,
		"LEFT(DATE(time), 7)": periodDay, "CONCAT(YEAR(time), '-', QUARTER(time))": periodDay, "DATE_ADD(time, INTERVAL 1 DAY)": 0,
	} {
		ctx := w.context()
		s, over, exprs, err := w.selected(ctx, text, "1")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		c := &composite{exprs[0], over}
		if got := periodOf(ctx, c); got != want {
			t.Errorf("%s has period %d, want %d", text, got, want)
		}
		if want == 0 {
			continue
		}
		form, _ := formOf(unaliased(exprs[0]), exprs[0].Type(ctx))
		x, ok := encodeScalar(ctx, c, form, func(column int) resultForm { return s.columns[column].form })
		if !ok {
			t.Errorf("%s does not travel", text)
			continue
		}
		f, err := NewFunctions().Function(x.function)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			from := time.Date(1500+r.IntN(1000), 1, r.IntN(366), 0, 0, r.IntN(86400), 0, time.UTC).UnixMicro()
			if strings.Contains(text, "UNIX") || strings.Contains(text, "CONVERT_TZ") && r.IntN(3) > 0 {
				from = time.Date(1971+r.IntN(60), 1, r.IntN(366), 0, 0, r.IntN(86400), 0, time.UTC).UnixMicro()
			}
			from -= ((from % want) + want) % want
			if from >= -periodDay && from < periodDay { // by themselves, see exec
				continue
			}
			a, errA := f.Eval([]catalog.Value{catalog.Int(from)})
			b, errB := f.Eval([]catalog.Value{catalog.Int(from + r.Int64N(want))})
			if !reflect.DeepEqual(a, b) || (errA == nil) != (errB == nil) {
				t.Errorf("%s is %v and %v (%v, %v) in the period from %s", text, a, b, errA, errB, time.UnixMicro(from).UTC())
				break
			}
		}
	}
}

// FuzzScalar: bytes that are no scalar are an error, and those that are one can be
// evaluated or not, but do no harm.
func FuzzScalar(f *testing.F) {
	w := newSQLWorld(f)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, properties) VALUES ('a', '2026-01-10', '{"n": 1, "s": "x"}')`)
	for _, text := range []string{"n + 1", "CONCAT(event, s)", "CASE WHEN s LIKE '%x' THEN 1.5 ELSE n END", "DATE_ADD(time, INTERVAL n DAY)", "n IN (1, 2.5, NULL)"} {
		ctx := w.context()
		s, over, exprs, err := w.selected(ctx, text)
		if err != nil {
			f.Fatal(err)
		}
		form, _ := formOf(unaliased(exprs[0]), exprs[0].Type(ctx))
		x, ok := encodeScalar(ctx, &composite{exprs[0], over}, form, func(column int) resultForm { return s.columns[column].form })
		if !ok {
			f.Fatalf("%s does not travel", text)
		}
		f.Add(x.function)
	}
	f.Add(someLookup(f, w.context()))
	f.Fuzz(func(t *testing.T, encoded string) {
		if strings.Contains(strings.ToLower(encoded), "benchmark") {
			return
		}
		fn, err := NewFunctions().Function(encoded)
		if err != nil {
			if !errors.Is(err, exec.ErrFunction) {
				t.Fatalf("%v is not wrapped", err)
			}
			return
		}
		args := []catalog.Value{catalog.Int(1), catalog.String("a"), catalog.Null, catalog.Double(0.5)}
		fn.Eval(args)
		fn.Eval(nil)
	})
}
