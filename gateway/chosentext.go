package gateway

import (
	"strconv"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// CASE, IF, IFNULL and COALESCE of texts compare as their values do: a column's collation
// is stronger than that of a constant beside it. The SQL library gives some of them the
// connection's, so that IFNULL(country, 'none') makes one group of US and us.

// chosenFunction is the name under which a choice with its collation travels; the
// collation and how strong it is are arguments.
const chosenFunction = "arbor_chosen"

// chosenKind is that function. A call looks like its first argument.
var chosenKind = &plainKind{name: chosenFunction, least: 3, most: 3,
	typ: func(ctx *sql.Context, args []sql.Expression) sql.Type {
		t, ok := args[0].Type(ctx).(sql.StringType)
		collation, _, known := chosenArguments(args)
		if !ok || !known {
			return args[0].Type(ctx)
		}
		made, err := types.CreateString(t.Type(), t.Length(), collation)
		if err != nil {
			return t
		}
		return made
	},
	shown: func(args []string) string { return args[0] },
	collation: func(ctx *sql.Context, args []sql.Expression) (sql.CollationID, byte) {
		collation, strength, ok := chosenArguments(args)
		if !ok {
			return sql.GetCoercibility(ctx, args[0])
		}
		return collation, strength
	},
	eval: func(_ *sql.Context, _ []sql.Expression, v []any) (any, error) { return v[0], nil },
}

// chosenArguments are the collation and its strength.
func chosenArguments(args []sql.Expression) (sql.CollationID, byte, bool) {
	var words [2]string
	for i := range words {
		l, ok := args[i+1].(*expression.Literal)
		if !ok {
			return 0, 0, false
		}
		words[i], _ = l.Val.(string)
	}
	collation, err := sql.ParseCollation("", words[0], false)
	strength, err2 := strconv.ParseUint(words[1], 10, 8)
	return collation, byte(strength), err == nil && err2 == nil
}

// chosenText is a choice of texts with the collation of its values, nil where it has it.
func chosenText(ctx *sql.Context, e sql.Expression) sql.Expression {
	values := chosenValues(e)
	if values == nil || !e.Resolved() {
		return nil
	}
	now, ok := e.Type(ctx).(sql.StringType)
	if !ok || !types.IsTextOnly(now) {
		return nil
	}
	collation, strength, first := sql.Collation_binary, byte(0), true
	for _, v := range values {
		t := v.Type(ctx)
		if types.IsNullType(t) {
			continue
		}
		if !types.IsTextOnly(t) {
			return nil
		}
		c, s := sql.GetCoercibility(ctx, v)
		if first {
			collation, strength, first = c, s, false
			continue
		}
		collation, strength = sql.ResolveCoercibility(collation, strength, c, s)
	}
	if has, strong := sql.GetCoercibility(ctx, e); first || has == collation && strong == strength && now.Collation() == collation {
		return nil
	}
	return &plainFunction{kind: chosenKind, args: []sql.Expression{e,
		expression.NewLiteral(collation.Name(), types.LongText), expression.NewLiteral(strconv.Itoa(int(strength)), types.LongText)}}
}
