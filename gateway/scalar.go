package gateway

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
)

// A scalar is a SQL expression on its way to whoever holds the data. It travels
// as what it is, not as what it does: the kinds of its nodes, the names of its
// functions, its constants with their types and the settings of the session that
// its meaning depends on. There it is built again by the constructors that built
// it here, and so means the same.
//
// A node is a tag, words that say more, and its operands. Tags and words are
// never given another meaning, since fragments travel between versions.

// scalarNode is a node of an expression as it travels.
type scalarNode struct {
	tag      string
	words    []string
	children []sql.Expression
}

// volatileNames are the functions that depend on more than their arguments, or
// do more than give a value.
var volatileNames = map[string]bool{
	"rand": true, "uuid": true, "uuid_short": true, "random_bytes": true, "sleep": true, "benchmark": true, "load_file": true,
	"get_lock": true, "is_free_lock": true, "is_used_lock": true, "release_lock": true, "release_all_locks": true,
	"last_insert_id": true, "last_insert_uuid": true, "row_count": true, "found_rows": true, "sysdate": true, "values": true,
	"icu_version": true, "ps_current_thread_id": true,
}

// statementNames are the functions that have one value for a whole statement.
var statementNames = map[string]bool{
	"now": true, "current_timestamp": true, "localtime": true, "localtimestamp": true, "utc_timestamp": true,
	"curdate": true, "current_date": true, "utc_date": true, "curtime": true, "current_time": true, "utc_time": true,
	"unix_timestamp": true, "user": true, "current_user": true, "session_user": true, "system_user": true,
	"database": true, "schema": true, "connection_id": true, "version": true,
}

// foldable reports whether an expression is to travel as its value: it has one
// for the whole statement, which whoever gets it cannot know.
func foldable(e sql.Expression) bool {
	if g, ok := e.(*grouped); ok {
		e = g.Expression
	}
	f, ok := e.(sql.FunctionExpression)
	if !ok || !statementNames[strings.ToLower(f.FunctionName())] {
		return false
	}
	for _, c := range e.Children() {
		if _, ok := c.(*expression.Literal); !ok {
			return false
		}
	}
	now, ok := e.(*function.Now)
	return !ok || !hidden(now, "alwaysUseExactTime").Bool() // SYSDATE
}

// describeScalar says what an expression is; not ok for one that does not travel.
func describeScalar(e sql.Expression) (n scalarNode, ok bool) {
	switch e := e.(type) {
	case *expression.Interval:
		return scalarNode{"interval", []string{e.Unit}, e.Children()}, true
	case *checkedArithmetic:
		return scalarNode{"checked", []string{e.Op}, e.Children()}, true
	case *expression.Arithmetic:
		return scalarNode{"arithmetic", []string{e.Op}, e.Children()}, true
	case *expression.BitOp:
		return scalarNode{"bits", []string{e.Op}, e.Children()}, true
	case *expression.Between:
		return scalarNode{"between", nil, []sql.Expression{e.Val, e.Lower, e.Upper}}, true
	case *expression.InTuple:
		return scalarNode{"in", nil, []sql.Expression{e.Left(), e.Right()}}, true
	case *expression.HashInTuple:
		return scalarNode{"hash in", nil, []sql.Expression{e.Left(), e.Right()}}, true
	case *expression.Like:
		n := scalarNode{"like", nil, []sql.Expression{e.LeftChild, e.RightChild}}
		if e.Escape != nil {
			n.children = append(n.children, e.Escape)
		}
		return n, true
	case *expression.IsTrue:
		return scalarNode{"is true", []string{strconv.FormatBool(hidden(e, "invert").Bool())}, e.Children()}, true
	case *expression.Case:
		return scalarNode{"case", []string{strconv.FormatBool(e.Expr != nil), strconv.FormatBool(e.Else != nil)}, e.Children()}, true
	case *expression.Convert:
		return scalarNode{"convert", []string{
			hidden(e, "castToType").String(), strconv.FormatInt(hidden(e, "typeLength").Int(), 10), strconv.FormatInt(hidden(e, "typeScale").Int(), 10),
		}, e.Children()}, true
	case *expression.ConvertUsing:
		return scalarNode{"using", []string{e.TargetCharSet.Name()}, e.Children()}, true
	case *expression.CollatedExpression:
		collation, _ := e.CollationCoercibility(nil)
		return scalarNode{"collate", []string{collation.Name()}, e.Children()}, true
	case *ownComparison:
		return scalarNode{"own", nil, []sql.Expression{e.stock}}, true
	case *ownBetween:
		return scalarNode{"own", nil, []sql.Expression{e.stock}}, true
	case *ownIn:
		return scalarNode{"own", nil, []sql.Expression{e.stock}}, e.query == nil
	case *ownCase:
		return scalarNode{"own", nil, []sql.Expression{e.Case}}, true
	case *ownNullIf:
		return scalarNode{"own", nil, []sql.Expression{e.NullIf}}, true
	case *shapedNumber:
		return e.describe(), true
	case *broadcastValue:
		text, ok := e.table.encoded()
		return scalarNode{"broadcast", []string{text}, e.Children()}, ok
	case *numberMoment:
		return scalarNode{"moment", nil, e.Children()}, true
	case *exactString:
		return scalarNode{"exact", nil, e.Children()}, true
	case *function.Trim:
		return scalarNode{"trim", []string{hidden(e, "dir").String()}, e.Children()}, true
	}
	if tag, ok := plainTag(e); ok {
		return scalarNode{tag, nil, e.Children()}, true
	}
	return describeCall(e)
}

// plainTag is the tag of a node that its operands say all about.
func plainTag(e sql.Expression) (string, bool) {
	switch e.(type) {
	case *expression.Div:
		return "/", true
	case *expression.IntDiv:
		return "div", true
	case *expression.Mod:
		return "mod", true
	case *expression.UnaryMinus:
		return "minus", true
	case *expression.Not:
		return "not", true
	case *expression.And:
		return "and", true
	case *expression.Or:
		return "or", true
	case *expression.Xor:
		return "xor", true
	case *expression.Equals:
		return "=", true
	case *expression.NullSafeEquals:
		return "<=>", true
	case *expression.LessThan:
		return "<", true
	case *expression.LessThanOrEqual:
		return "<=", true
	case *expression.GreaterThan:
		return ">", true
	case *expression.GreaterThanOrEqual:
		return ">=", true
	case expression.Tuple:
		return "tuple", true
	case *expression.IsNull:
		return "is null", true
	case *expression.Binary:
		return "binary", true
	}
	return "", false
}

// describeCall says what a call of a function is.
func describeCall(e sql.Expression) (scalarNode, bool) {
	f, ok := e.(sql.FunctionExpression)
	if !ok {
		return scalarNode{}, false
	}
	switch e.(type) {
	case sql.Aggregation, sql.WindowAdaptableExpression, sql.ExpressionWithNodes, *volatile, *random, *grouped:
		return scalarNode{}, false
	}
	if n, ok := e.(sql.NonDeterministicExpression); ok && n.IsNonDeterministic() {
		return scalarNode{}, false
	}
	name := strings.ToLower(f.FunctionName())
	if volatileNames[name] || statementNames[name] && name != "unix_timestamp" {
		return scalarNode{}, false
	}
	children := e.Children()
	if name == "unix_timestamp" && len(children) == 0 {
		return scalarNode{}, false
	}
	return scalarNode{"call", []string{name}, children}, true
}

// hidden reads a field of one of the SQL library's expressions that has no
// other way to it.
func hidden(e sql.Expression, field string) reflect.Value {
	return reflect.Indirect(reflect.ValueOf(e)).FieldByName(field)
}

// buildScalar makes the expression that describeScalar has described.
func buildScalar(ctx *sql.Context, n scalarNode) (sql.Expression, error) {
	b, ok := scalarBuilders[n.tag]
	if !ok {
		return nil, fmt.Errorf("unknown kind of expression %q", n.tag)
	}
	if len(n.words) != b.words || len(n.children) < b.least || b.most >= 0 && len(n.children) > b.most {
		return nil, fmt.Errorf("expression %q of %d words and %d operands", n.tag, len(n.words), len(n.children))
	}
	return b.build(ctx, n.words, n.children)
}

// scalarBuilder makes the expressions of a tag.
type scalarBuilder struct {
	words       int
	least, most int // operands; most is -1 for any number
	build       func(ctx *sql.Context, words []string, c []sql.Expression) (sql.Expression, error)
}

// binaryScalar builds a node with two operands.
func binaryScalar[E sql.Expression](make func(l, r sql.Expression) E) scalarBuilder {
	return scalarBuilder{0, 2, 2, func(_ *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		return make(c[0], c[1]), nil
	}}
}

// unaryScalar builds a node with one operand.
func unaryScalar[E sql.Expression](make func(e sql.Expression) E) scalarBuilder {
	return scalarBuilder{0, 1, 1, func(_ *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		return make(c[0]), nil
	}}
}

var scalarBuilders = map[string]scalarBuilder{
	"/": binaryScalar(expression.NewDiv), "div": binaryScalar(expression.NewIntDiv), "mod": binaryScalar(expression.NewMod),
	"and": binaryScalar(expression.NewAnd), "or": binaryScalar(expression.NewOr), "xor": binaryScalar(expression.NewXor),
	"=": binaryScalar(expression.NewEquals), "<=>": binaryScalar(expression.NewNullSafeEquals),
	"<": binaryScalar(expression.NewLessThan), "<=": binaryScalar(expression.NewLessThanOrEqual),
	">": binaryScalar(expression.NewGreaterThan), ">=": binaryScalar(expression.NewGreaterThanOrEqual),
	"in":    binaryScalar(expression.NewInTuple),
	"minus": unaryScalar(expression.NewUnaryMinus), "not": unaryScalar(expression.NewNot), "is null": unaryScalar(expression.NewIsNull),
	"binary": unaryScalar(expression.NewBinary),
	"exact":  unaryScalar(func(e sql.Expression) *exactString { return &exactString{e} }),
	"moment": unaryScalar(func(e sql.Expression) *numberMoment { return &numberMoment{expression.UnaryExpressionStub{Child: e}} }),
	"tuple": {0, 0, -1, func(_ *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewTuple(c...), nil
	}},
	"own": {0, 1, 1, func(ctx *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		if own := ownComparisonOf(ctx, c[0]); own != nil {
			return own, nil
		}
		return nil, fmt.Errorf("%s is compared as the SQL library does", c[0])
	}},
	"hash in": {0, 2, 2, func(ctx *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewHashInTuple(ctx, c[0], c[1])
	}},
	shapedTag: {3, 1, 1, buildShaped},
	"interval": {1, 1, 1, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewInterval(c[0], w[0]), nil
	}},
	"arithmetic": {1, 2, 2, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewArithmetic(c[0], c[1], w[0]), nil
	}},
	"checked": {1, 2, 2, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		return &checkedArithmetic{Arithmetic: expression.NewArithmetic(c[0], c[1], w[0])}, nil
	}},
	"bits": {1, 2, 2, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewBitOp(c[0], c[1], w[0]), nil
	}},
	"between": {0, 3, 3, func(_ *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewBetween(c[0], c[1], c[2]), nil
	}},
	"like": {0, 2, 3, func(_ *sql.Context, _ []string, c []sql.Expression) (sql.Expression, error) {
		return expression.NewLike(c[0], c[1], append(c, nil)[2]), nil
	}},
	"is true": {1, 1, 1, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		if w[0] == "true" {
			return expression.NewIsFalse(c[0]), nil
		}
		return expression.NewIsTrue(c[0]), nil
	}},
	"case":      {2, 0, -1, buildCase},
	"broadcast": {1, 1, maxBroadcastKeys, buildBroadcast},
	"convert": {3, 1, 1, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		length, err := strconv.Atoi(w[1])
		if err != nil {
			return nil, err
		}
		scale, err := strconv.Atoi(w[2])
		if err != nil {
			return nil, err
		}
		return expression.NewConvertWithLengthAndScale(c[0], w[0], length, scale), nil
	}},
	"using": {1, 1, 1, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		set, err := sql.ParseCharacterSet(w[0])
		return expression.NewConvertUsing(c[0], set), err
	}},
	"collate": {1, 1, 1, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		collation, err := sql.ParseCollation("", w[0], false)
		return expression.NewCollatedExpression(c[0], collation), err
	}},
	"trim": {1, 2, 2, func(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		return function.NewTrim(c[0], c[1], w[0]), nil
	}},
	"call": {1, 0, -1, func(ctx *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
		f, ok := ownFunction(w[0])
		if !ok {
			f, ok = stockFunctions()[w[0]]
		}
		if !ok || volatileNames[w[0]] {
			return nil, fmt.Errorf("unknown function %q", w[0])
		}
		return f.NewInstance(ctx, c)
	}},
}

func buildCase(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
	var value, other sql.Expression
	if w[0] == "true" && len(c) > 0 {
		value, c = c[0], c[1:]
	}
	if w[1] == "true" && len(c) > 0 {
		other, c = c[len(c)-1], c[:len(c)-1]
	}
	if len(c) == 0 || len(c)%2 != 0 {
		return nil, fmt.Errorf("CASE of %d parts", len(c))
	}
	var branches []expression.CaseBranch
	for i := 0; i < len(c); i += 2 {
		branches = append(branches, expression.CaseBranch{Cond: c[i], Value: c[i+1]})
	}
	return expression.NewCase(value, branches, other), nil
}
