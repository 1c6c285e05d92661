package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// plainKind is a scalar function of arbor's, which depends on its arguments and on
// the session's variables alone. It is pushed by its name, as the SQL library's are.
type plainKind struct {
	name        string
	least, most int
	// typ is the type of the result for arguments whose types are known.
	typ func(ctx *sql.Context, args []sql.Expression) sql.Type
	// eval gives the value of the arguments' values, of which none is NULL unless
	// nulls is set.
	eval  func(ctx *sql.Context, args []sql.Expression, values []any) (any, error)
	nulls bool
	// shown is a call's text for those of its arguments; nil means the name and them.
	shown func(args []string) string
	// collation is a text's, with how strong it is; nil means that of a computed value.
	collation func(ctx *sql.Context, args []sql.Expression) (sql.CollationID, byte)
}

// function makes the kind's expressions.
func (k *plainKind) function() sql.Function {
	return sql.FunctionN{Name: k.name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		if len(args) < k.least || len(args) > k.most {
			want := fmt.Sprint(k.least)
			if k.most != k.least {
				want = fmt.Sprintf("%d to %d", k.least, k.most)
			}
			return nil, sql.ErrInvalidArgumentNumber.New(strings.ToUpper(k.name), want, len(args))
		}
		return &plainFunction{kind: k, args: args}, nil
	}}
}

// plainFunction is a call of one.
type plainFunction struct {
	kind *plainKind
	args []sql.Expression
}

var (
	_ sql.FunctionExpression = (*plainFunction)(nil)
	_ sql.CollationCoercible = (*plainFunction)(nil)
)

// FunctionName is the function's.
func (p *plainFunction) FunctionName() string { return p.kind.name }

// Description says what the function is.
func (p *plainFunction) Description() string { return "as MySQL's " + strings.ToUpper(p.kind.name) }

// Resolved reports whether all arguments are known.
func (p *plainFunction) Resolved() bool {
	for _, a := range p.args {
		if !a.Resolved() {
			return false
		}
	}
	return true
}

// String is the call's text.
func (p *plainFunction) String() string {
	texts := make([]string, len(p.args))
	for i, a := range p.args {
		texts[i] = a.String()
	}
	if p.kind.shown != nil {
		return p.kind.shown(texts)
	}
	return p.kind.name + "(" + strings.Join(texts, ",") + ")"
}

// Type is the result's. It cannot be known before the arguments' are.
func (p *plainFunction) Type(ctx *sql.Context) sql.Type {
	for _, a := range p.args {
		if !a.Resolved() {
			return types.Null
		}
		if t := a.Type(ctx); types.IsDeferredType(t) {
			return t
		}
	}
	return p.kind.typ(ctx, p.args)
}

// IsNullable is true.
func (p *plainFunction) IsNullable(*sql.Context) bool { return true }

// Children are the arguments.
func (p *plainFunction) Children() []sql.Expression { return p.args }

// WithChildren replaces the arguments.
func (p *plainFunction) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != len(p.args) {
		return nil, sql.ErrInvalidChildrenNumber.New(p, len(children), len(p.args))
	}
	return &plainFunction{kind: p.kind, args: children}, nil
}

// CollationCoercibility is that of a computed value.
func (p *plainFunction) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	if p.kind.collation != nil {
		return p.kind.collation(ctx, p.args)
	}
	if t, ok := p.Type(ctx).(sql.StringType); ok {
		return t.Collation(), 4
	}
	return sql.Collation_binary, 5
}

// Eval computes the value.
func (p *plainFunction) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	values := make([]any, len(p.args))
	for i, a := range p.args {
		v, err := a.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if v, err = sql.UnwrapAny(ctx, v); err != nil {
			return nil, err
		}
		if v == nil && !p.kind.nulls {
			return nil, nil
		}
		values[i] = v
	}
	return p.kind.eval(ctx, p.args, values)
}

// ofType is a result that always has a type.
func ofType(t sql.Type) func(*sql.Context, []sql.Expression) sql.Type {
	return func(*sql.Context, []sql.Expression) sql.Type { return t }
}

// argumentNumber is a value as an integer, rounded as MySQL rounds arguments.
func argumentNumber(ctx *sql.Context, v any) (int64, bool) {
	n, _, err := types.Int64.Convert(ctx, v)
	if err != nil && !sql.ErrTruncatedIncorrect.Is(err) {
		return 0, false
	}
	i, ok := n.(int64)
	return i, ok
}
