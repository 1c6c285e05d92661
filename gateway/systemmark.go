package gateway

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"
)

// systemMark is the expression of a marked table's AS OF: a string that begins
// with systemMarkPrefix and goes on with the AS OF that was written, if any.
type systemMark struct{ asOf sql.Expression }

const systemMarkPrefix = "\x00system columns\x00"

// WithResolvedChildren takes the AS OF that was written.
func (m systemMark) WithResolvedChildren(_ context.Context, children []any) (any, error) {
	if len(children) == 0 {
		return m, nil
	}
	asOf, ok := children[0].(sql.Expression)
	if !ok {
		return nil, sql.ErrInvalidAsOfExpression.New(children[0])
	}
	return systemMark{asOf: asOf}, nil
}

// Eval gives the marked AS OF.
func (m systemMark) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	if m.asOf == nil {
		return systemMarkPrefix, nil
	}
	v, err := m.asOf.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	id, err := parseAsOf(v)
	if err != nil {
		return nil, refuseAsOf(v, err)
	}
	return systemMarkPrefix + id.String(), nil
}

func (m systemMark) String() string               { return "system columns" }
func (m systemMark) Resolved() bool               { return m.asOf == nil || m.asOf.Resolved() }
func (m systemMark) IsNullable(*sql.Context) bool { return false }
func (m systemMark) Type(*sql.Context) sql.Type   { return stringType }
func (m systemMark) Children() []sql.Expression   { return nil }

func (m systemMark) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 0)
	}
	return m, nil
}
