package gateway

import (
	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// The columns of a UNION have a type that holds the values of both sides. The SQL
// library makes decimals of doubles and texts of integers beside doubles, forgets
// the digits of decimals, and sorts all rows by the type of the first side. Here its
// conversions are replaced in the plan.

// unionTypesID is the rule's number, above those of the library's rules.
const unionTypesID = ownComparisonsID + 1

// unionTypes replaces them, from the innermost UNION outwards.
func unionTypes(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	return transform.NodeWithOpaque(ctx, n, func(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		n, same, err := transform.OneNodeExpressions(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			q, ok := e.(*plan.Subquery)
			if !ok {
				return e, transform.SameTree, nil
			}
			query, same, err := unionTypes(ctx, q.Query)
			if err != nil || same {
				return e, transform.SameTree, err
			}
			return q.WithQuery(query), transform.NewTree, nil
		})
		if err != nil {
			return nil, transform.SameTree, err
		}
		u, ok := n.(*plan.SetOp)
		if !ok {
			return n, same, nil
		}
		changed, err := unionOfTypes(ctx, u)
		if err != nil || changed == nil {
			return n, same, err
		}
		return changed, transform.NewTree, nil
	})
}

// unionOfTypes is a UNION with converted columns, nil if there is nothing to convert.
func unionOfTypes(ctx *sql.Context, u *plan.SetOp) (sql.Node, error) {
	left, ok1 := u.Left().(*plan.Project)
	right, ok2 := u.Right().(*plan.Project)
	if !ok1 || !ok2 || len(left.Projections) != len(right.Projections) || !unionSide(ctx, left) || !unionSide(ctx, right) {
		return nil, nil
	}
	ls, rs := left.Child.Schema(ctx), right.Child.Schema(ctx)
	les, res := make([]sql.Expression, len(ls)), make([]sql.Expression, len(ls))
	converted := make(map[string]sql.Type)
	for i := range ls {
		les[i], res[i] = left.Projections[i], right.Projections[i]
		a, left := unionColumn(les[i])
		b, right := unionColumn(res[i])
		if !left && !right {
			continue
		}
		t, ok := unionType(ls[i].Type, rs[i].Type)
		if !ok {
			continue
		}
		les[i] = expression.NewAlias(ctx, ls[i].Name, &unionValue{expression.UnaryExpressionStub{Child: typedField(a, ls[i].Type)}, t})
		res[i] = expression.NewAlias(ctx, rs[i].Name, &unionValue{expression.UnaryExpressionStub{Child: typedField(b, rs[i].Type)}, t})
		converted[ls[i].Name] = t
	}
	if len(converted) == 0 {
		return nil, nil
	}
	n, err := u.WithChildren(ctx, plan.NewProject(ctx, les, left.Child), plan.NewProject(ctx, res, right.Child))
	if err != nil {
		return nil, err
	}
	out := *n.(*plan.SetOp)
	out.SortConditions = nil
	for _, c := range u.SortConditions {
		e, _, err := transform.Expr(ctx, c.Expr, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			f, ok := e.(*expression.GetField)
			if t := converted[fieldName(f)]; ok && t != nil {
				return typedField(f, t), transform.NewTree, nil
			}
			return e, transform.SameTree, nil
		})
		if err != nil {
			return nil, err
		}
		c.Expr = e
		out.SortConditions = append(out.SortConditions, c)
	}
	return &out, nil
}

func fieldName(f *expression.GetField) string {
	if f == nil {
		return ""
	}
	return f.Name()
}

// unionSide reports whether a side of a UNION is one whose columns the library has
// converted: what it wrote around the SELECT, which names each column once more.
func unionSide(ctx *sql.Context, p *plan.Project) bool {
	switch p.Child.(type) {
	case *plan.Project, *plan.Distinct, *plan.Limit, *plan.Offset, *plan.SetOp:
	default:
		return false
	}
	schema := p.Child.Schema(ctx)
	if len(schema) != len(p.Projections) {
		return false
	}
	for i, e := range p.Projections {
		f, _ := unionColumn(e)
		if f == nil || f.Name() != schema[i].Name {
			return false
		}
		if a, ok := e.(*expression.Alias); ok && a.Name() != f.Name() {
			return false
		}
	}
	return true
}

// unionColumn is a column of such a side, and whether it is converted.
func unionColumn(e sql.Expression) (f *expression.GetField, converted bool) {
	if a, ok := e.(*expression.Alias); ok {
		e = a.Child
	}
	if c, ok := e.(*expression.Convert); ok {
		e, converted = c.Child, true
	}
	if p, ok := e.(*plainFunction); ok && converted && p.kind.name == textFunction {
		e = p.args[0]
	}
	f, _ = e.(*expression.GetField)
	return f, converted
}

// typedField is a column of another type.
func typedField(f *expression.GetField, t sql.Type) *expression.GetField {
	return expression.NewGetFieldWithTable(int(f.Id()), int(f.TableId()), t, f.Database(), f.Table(), f.Name(), true).WithIndex(f.Index()).(*expression.GetField)
}

// unionType is the type that holds the values of two, not ok where the library's is.
func unionType(a, b sql.Type) (sql.Type, bool) {
	switch {
	case types.IsNullType(a) && types.IsDecimal(b):
		return b, true
	case types.IsNullType(b) && types.IsDecimal(a):
		return a, true
	case types.IsNullType(a) || types.IsNullType(b) || types.IsDeferredType(a) || types.IsDeferredType(b):
		return nil, false
	case types.IsNumber(a) && types.IsNumber(b):
		if types.IsFloat(a) || types.IsFloat(b) {
			return types.Float64, true
		}
		da, ok1 := decimalShape(a)
		db, ok2 := decimalShape(b)
		whole := !types.IsDecimal(a) && !types.IsDecimal(b)
		if !ok1 || !ok2 || whole && (a == types.Uint64) == (b == types.Uint64) {
			return nil, false
		}
		if whole && types.IsUnsigned(a) && types.IsUnsigned(b) {
			return types.Uint64, true
		}
		scale := max(da.scale, db.scale)
		t, err := types.CreateDecimalType(min(types.DecimalTypeMaxPrecision, max(da.whole, db.whole)+scale), scale)
		return t, err == nil
	case types.IsTime(a) && types.IsTime(b):
		if types.IsDateType(a) && types.IsDateType(b) {
			return types.Date, true
		}
		return datetimeOf(max(momentDigits(a), momentDigits(b))), true
	case types.IsBlobType(a) || types.IsBlobType(b) || types.IsJSON(a) || types.IsJSON(b) || types.IsEnum(a) || types.IsEnum(b) || types.IsSet(a) || types.IsSet(b):
		return nil, false
	case types.IsTextOnly(a) && types.IsTextOnly(b):
		return nil, false
	}
	return types.LongText, true
}

// shape is how many digits a number has before and after its point.
type shape struct{ whole, scale uint8 }

// decimalShape is that of an integer or a decimal.
func decimalShape(t sql.Type) (shape, bool) {
	if d, ok := t.(sql.DecimalType); ok {
		return shape{d.Precision() - d.Scale(), d.Scale()}, true
	}
	if !types.IsInteger(t) {
		return shape{}, false
	}
	if t == types.Uint64 {
		return shape{20, 0}, true
	}
	return shape{19, 0}, true
}

// momentDigits are the digits of a moment's fraction.
func momentDigits(t sql.Type) int {
	if d, ok := t.(sql.DatetimeType); ok && !types.IsDateType(t) {
		return d.Precision()
	}
	return 0
}

// unionValue is a column's value in the UNION's type.
type unionValue struct {
	expression.UnaryExpressionStub
	typ sql.Type
}

var (
	_ sql.Expression         = (*unionValue)(nil)
	_ sql.CollationCoercible = (*unionValue)(nil)
)

// String is the column's text.
func (u *unionValue) String() string { return u.Child.String() }

// Type is the UNION's.
func (u *unionValue) Type(*sql.Context) sql.Type { return u.typ }

// CollationCoercibility is that of a column.
func (u *unionValue) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	if t, ok := u.typ.(sql.StringType); ok {
		return t.Collation(), 2
	}
	return sql.Collation_binary, 5
}

// Eval converts the value. A text is what a client would be sent.
func (u *unionValue) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := u.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil || v == nil {
		return nil, err
	}
	of := u.Child.Type(ctx)
	if !types.IsText(u.typ) || types.IsText(of) {
		v, _, err = u.typ.Convert(ctx, v)
		if d, ok := v.(*apd.Decimal); ok && err == nil {
			return withScale(d, u.typ.(sql.DecimalType).Scale())
		}
		return v, err
	}
	text, err := of.SQL(ctx, nil, v)
	if err != nil {
		return nil, err
	}
	return asPrinted(text).ToString(), nil
}

// withScale is a decimal with a number of digits behind its point.
func withScale(d *apd.Decimal, scale uint8) (*apd.Decimal, error) {
	if d.Exponent == -int32(scale) {
		return d, nil
	}
	var out apd.Decimal
	_, err := apd.BaseContext.WithPrecision(2*types.DecimalTypeMaxPrecision).Quantize(&out, d, -int32(scale))
	return &out, err
}

// WithChildren replaces the column.
func (u *unionValue) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(u, len(children), 1)
	}
	return &unionValue{expression.UnaryExpressionStub{Child: children[0]}, u.typ}, nil
}
