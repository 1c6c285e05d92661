package gateway

import (
	"maps"
	"math"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// function gives the function that stands in place of the SQL library's of that
// name, if there is one.
func (g *Gateway) function(name string) (sql.Function, bool) { return ownFunction(name) }

// ownFunction gives arbor's function of a name.
func ownFunction(name string) (sql.Function, bool) {
	f, ok := ownFunctions()[strings.ToLower(name)]
	return f, ok
}

var ownFunctions = sync.OnceValue(func() map[string]sql.Function {
	all := make(map[string]sql.Function)
	for name, kind := range aggregateNames {
		all[name] = sql.Function1{Name: name, Fn: func(_ *sql.Context, e sql.Expression) sql.Expression {
			return &aggregate{kind: kind, child: e}
		}}
	}
	stock := function.NewRegistry()
	for _, name := range []string{"uuid", "uuid_short", "random_bytes", "sleep"} {
		all[name] = volatileFunction(name, stock[name])
	}
	for _, name := range []string{"json_object", "json_array", "json_arrayagg", "json_objectagg"} {
		all[name] = jsonFunction(name, stock[name])
	}
	for name, copied := range jsonChanges {
		if f, ok := stock[name]; ok {
			all[name] = jsonChange(name, copied, f)
		}
	}
	for name, values := range jsonCompares {
		all[name] = jsonCompare(name, values, stock[name])
	}
	all["json_extract"] = newJSONExtract(stock["json_extract"])
	all["greatest"], all["least"] = newExtreme("greatest", 1), newExtreme("least", -1)
	for _, kinds := range [][]*plainKind{roundings(), dateFunctions(), clientFunctions(), clockFunctions(), offsetFunctions(), unixMoments(), textValues(), {chosenKind},
		numberKinds(), textKinds(), momentFormats(), bitFunctions(), momentNumbers(), {moduloKind, divideKind, quotientKind, averageKind, doubleKind, memberKind}, {momentOrNullKind}, convKinds(stock)} {
		for _, k := range kinds {
			all[k.name] = k.function()
		}
	}
	maps.Copy(all, momentFunctions())
	maps.Copy(all, momentLiteralFunctions())
	all[decimalFunction] = decimalCastFunction()
	all["benchmark"] = sql.Function2{Name: "benchmark", Fn: newBenchmark}
	all[readFunction] = sql.Function1{Name: readFunction, Fn: newAssignedRead}
	all[assignFunction] = sql.Function2{Name: assignFunction, Fn: newAssignment}
	maps.Copy(all, boundedFunctions())
	maps.Copy(all, moreAggregates)
	maps.Copy(all, windowValueFunctions())
	maps.Copy(all, behaviourFunctions())
	all["unix_timestamp"] = sql.FunctionN{Name: "unix_timestamp", Fn: newUnixTimestamp}
	all["rand"] = sql.FunctionN{Name: "rand", Fn: newRandom}
	all["load_file"] = sql.FunctionN{Name: "load_file", Fn: func(*sql.Context, ...sql.Expression) (sql.Expression, error) {
		return nil, notSupported("LOAD_FILE reads on the server, which it may not")
	}}
	return all
})

// volatileFunction is a function that gives another value for each row. The SQL
// library computes it once where it stands in a WHERE without a column.
func volatileFunction(name string, f sql.Function) sql.Function {
	return sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		e, err := f.NewInstance(ctx, args)
		if err != nil {
			return nil, err
		}
		return newVolatile(ctx, e), nil
	}}
}

// volatile is an expression that must be computed for each row. Among its
// children is one that the library takes for a variable of a procedure, so that
// it never takes the expression for a constant.
type volatile struct {
	sql.Expression
	anchor sql.Expression
}

func newVolatile(ctx *sql.Context, e sql.Expression) *volatile {
	return &volatile{Expression: e, anchor: expression.NewProcedureParam("volatile", e.Type(ctx))}
}

// Children are the expression's and the anchor.
func (v *volatile) Children() []sql.Expression {
	children := v.Expression.Children()
	return append(children[:len(children):len(children)], v.anchor)
}

// WithChildren replaces the expression's.
func (v *volatile) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) == 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(v, len(children), len(v.Expression.Children())+1)
	}
	e, err := v.Expression.WithChildren(ctx, children[:len(children)-1]...)
	if err != nil {
		return nil, err
	}
	return &volatile{Expression: e, anchor: v.anchor}, nil
}

// IsNonDeterministic tells the planner not to keep the value.
func (v *volatile) IsNonDeterministic() bool { return true }

// FunctionName is the function's.
func (v *volatile) FunctionName() string {
	if f, ok := v.Expression.(sql.FunctionExpression); ok {
		return f.FunctionName()
	}
	return ""
}

// Description is the function's.
func (v *volatile) Description() string {
	if f, ok := v.Expression.(sql.FunctionExpression); ok {
		return f.Description()
	}
	return ""
}

// CollationCoercibility is the function's.
func (v *volatile) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, v.Expression)
}

// random is RAND and RAND(seed). With a constant seed it gives MySQL's own
// sequence; with one that changes from row to row, that sequence's first number.
type random struct {
	stock *function.Rand
	state *randomState
}

// randomState is where a sequence is.
type randomState struct {
	started        bool
	first, second  uint64
	constant, seed bool
}

const randomMax = 0x3FFFFFFF

func newRandom(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	e, err := function.NewRand(ctx, args...)
	if err != nil {
		return nil, err
	}
	r := &random{stock: e.(*function.Rand), state: &randomState{}}
	if len(args) > 0 {
		r.state.seed = true
		_, r.state.constant = args[0].(*expression.Literal)
	}
	return newVolatile(ctx, r), nil
}

// start begins the sequence of a seed.
func (s *randomState) start(seed uint32) {
	s.started = true
	s.first = uint64(seed*0x10001+55555555) % randomMax
	s.second = uint64(seed*0x10000001) % randomMax
}

// next gives the sequence's next number.
func (s *randomState) next() float64 {
	s.first = (s.first*3 + s.second) % randomMax
	s.second = (s.first + s.second + 33) % randomMax
	return float64(s.first) / randomMax
}

// Eval gives a number from 0 up to 1.
func (r *random) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	if !r.state.seed {
		return r.stock.Eval(ctx, row)
	}
	if !r.state.started || !r.state.constant {
		v, err := r.stock.Child.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		seed, _, err := types.Float64.Convert(ctx, v)
		if err != nil {
			return nil, err
		}
		f, _ := seed.(float64)
		r.state.start(uint32(int64(math.RoundToEven(f))))
	}
	return r.state.next(), nil
}

// Type is DOUBLE.
func (r *random) Type(*sql.Context) sql.Type { return types.Float64 }

// IsNullable is false.
func (r *random) IsNullable(*sql.Context) bool { return false }

// Resolved reports whether the seed is known.
func (r *random) Resolved() bool { return r.stock.Resolved() }

// String is the function's text.
func (r *random) String() string { return r.stock.String() }

// FunctionName is rand.
func (r *random) FunctionName() string { return r.stock.FunctionName() }

// Description says what the function does.
func (r *random) Description() string { return r.stock.Description() }

// Children is the seed, if there is one.
func (r *random) Children() []sql.Expression { return r.stock.Children() }

// WithChildren replaces the seed.
func (r *random) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := r.stock.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	state := *r.state
	return &random{stock: e.(*function.Rand), state: &state}, nil
}
