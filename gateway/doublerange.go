package gateway

import (
	"math"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// +, -, * and / of DOUBLEs fail where the result is beyond all DOUBLEs. The SQL library
// gives an infinity, which MySQL does not know.

// doubleFunction is the name under which the check travels.
const doubleFunction = "arbor_double"

// A call looks like its argument.
var doubleKind = &plainKind{name: doubleFunction, least: 1, most: 1, typ: ofType(types.Float64),
	shown: func(args []string) string { return args[0] },
	eval: func(_ *sql.Context, args []sql.Expression, v []any) (any, error) {
		if f, ok := v[0].(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return nil, mysql.NewSQLError(codeNumberRange, "22003", "DOUBLE value is out of range in '%s'", args[0])
		}
		return v[0], nil
	}}

// withDoubleRange is an operation of DOUBLEs that is checked, nil for other expressions.
func withDoubleRange(ctx *sql.Context, e sql.Expression) sql.Expression {
	switch e := e.(type) {
	case *expression.Arithmetic, *expression.Div:
		if e.Type(ctx) == types.Float64 {
			return &plainFunction{kind: doubleKind, args: []sql.Expression{e}}
		}
	case *plainFunction: // it was checked before
		if e.kind == doubleKind {
			if inner, ok := e.args[0].(*plainFunction); ok && inner.kind == doubleKind {
				return inner
			}
		}
	}
	return nil
}
