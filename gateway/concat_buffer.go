package gateway

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/sorters"
)

// concatBuffer is the state of a GROUP_CONCAT in one group. The SQL library's takes an empty
// text for NULL, and may cut a result within a character. Rows that are behind what the
// result has room for are not kept.
type concatBuffer struct {
	of        sql.Expression // the value of a row
	order     sql.SortConditions
	separator string
	most      int                 // bytes of the result
	seen      map[string]struct{} // for DISTINCT, else nil
	rows      []sql.Row           // each with its text at the end, and how often it comes
	length    int64               // of all texts with separators
	pruneAt   int64               // the length from which on rows are looked for that have no room
	holding   *holding
}

// codeConcatCut is MySQL's warning about a result that is cut.
const codeConcatCut = 1260

func newConcatBuffer(ctx *sql.Context, g *aggregation.GroupConcat) (sql.AggregationBuffer, error) {
	outputs := g.OutputExpressions()
	if len(outputs) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(g, len(outputs), 1)
	}
	if correlated(ctx, outputs[0]) {
		return nil, notSupported("GROUP_CONCAT of a subquery that depends on the row is not supported; select the subquery in a derived table, and GROUP_CONCAT that")
	}
	b := &concatBuffer{of: outputs[0], separator: hidden(g, "separator").String(), most: int(hidden(g, "maxLen").Int()), holding: newHolding(ctx)}
	b.pruneAt = 2 * (int64(b.most) + 1)
	if hidden(g, "distinct").String() != "" {
		b.seen = make(map[string]struct{})
	}
	b.order = concatOrder(g)
	return b, nil
}

// correlated reports whether an expression has a subquery that depends on the row. The SQL
// library leaves the columns that such a one needs out of the rows of a GROUP_CONCAT.
func correlated(ctx *sql.Context, e sql.Expression) (found bool) {
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		q, ok := e.(*plan.Subquery)
		found = found || ok && !q.Correlated().Empty()
		return !found
	})
	return found
}

// Update adds a row.
func (b *concatBuffer) Update(ctx *sql.Context, row sql.Row) error { return b.add(ctx, row, 1) }

// add adds a row that comes so many times.
func (b *concatBuffer) add(ctx *sql.Context, row sql.Row, times int64) error {
	v, err := b.of.Eval(ctx, row)
	if err != nil {
		return err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil || v == nil {
		return err
	}
	if len(b.order) == 0 && b.length > b.room() {
		return nil
	}
	text, err := valueText(ctx, v, b.of)
	if err != nil {
		return err
	}
	if b.seen != nil {
		if _, again := b.seen[text]; again {
			return nil
		}
		b.seen[text] = struct{}{}
		if err := b.holding.take(mapOverhead + int64(len(text))); err != nil {
			return err
		}
		times = 1
	}
	// What is appended must not reach another GROUP_CONCAT of the same row.
	kept := append(row[:len(row):len(row)], text, times)
	if err := b.holding.take(rowBytes(kept)); err != nil {
		return err
	}
	b.rows = append(b.rows, kept)
	if b.length += b.lengthOf(kept); b.length > b.pruneAt {
		return b.prune(ctx)
	}
	return nil
}

// room is the length up to which values, each with a separator, are part of a result.
func (b *concatBuffer) room() int64 { return int64(b.most + len(b.separator)) }

// lengthOf is how long the text of a row is as often as it comes, with separators.
func (b *concatBuffer) lengthOf(row sql.Row) int64 {
	n := len(row)
	return row[n-1].(int64) * int64(len(row[n-2].(string))+len(b.separator))
}

// sort puts the rows in order.
func (b *concatBuffer) sort(ctx *sql.Context) error {
	if len(b.order) == 0 {
		return nil
	}
	sorter := sorters.NewRowSorterWithRows(ctx, b.order, b.rows)
	sort.Stable(sorter)
	return sorter.GetError()
}

// prune lets go of rows that come behind the one that a result is cut in, whatever else
// comes.
func (b *concatBuffer) prune(ctx *sql.Context) error {
	if err := b.sort(ctx); err != nil {
		return err
	}
	n, freed := 0, int64(0)
	for b.length = 0; n < len(b.rows) && b.length <= b.room(); n++ {
		b.length += b.lengthOf(b.rows[n])
	}
	for _, row := range b.rows[n:] {
		freed += rowBytes(row)
	}
	clear(b.rows[n:])
	b.rows, b.pruneAt = b.rows[:n], 2*b.length
	return b.holding.take(-freed)
}

// Eval is the texts of all rows, in order, up to group_concat_max_len bytes.
func (b *concatBuffer) Eval(ctx *sql.Context) (any, error) {
	if len(b.rows) == 0 {
		return nil, nil
	}
	if err := b.sort(ctx); err != nil {
		return nil, err
	}
	var out strings.Builder
	number := int64(0) // of the row at hand, each time that it comes
	for _, row := range b.rows {
		text, times := row[len(row)-2].(string), row[len(row)-1].(int64)
		for range times {
			if number%checkEvery == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if number++; number > 1 {
				out.WriteString(b.separator)
			}
			if out.WriteString(text); out.Len() > b.most {
				warnConcatCut(ctx, number)
				return wholeCharacters(out.String(), b.most), nil
			}
		}
	}
	return out.String(), nil
}

func warnConcatCut(ctx *sql.Context, row int64) {
	ctx.Warn(codeConcatCut, "Row %d was cut by GROUP_CONCAT()", row)
}

// wholeCharacters is the beginning of a text that has at most so many bytes.
func wholeCharacters(text string, most int) string {
	if most >= len(text) {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// Dispose frees the values.
func (b *concatBuffer) Dispose(*sql.Context) { b.holding.release() }

// collectBuffer is the state of an aggregate that keeps the values of its arguments.
type collectBuffer struct {
	sql.AggregationBuffer
	holding *holding
}

// Dispose frees the values.
func (b *collectBuffer) Dispose(ctx *sql.Context) {
	b.AggregationBuffer.Dispose(ctx)
	b.holding.release()
}

// newCollectBuffer makes the state of an aggregate that keeps the values of its
// arguments: those that are computed are counted, as those of GROUP_CONCAT are.
func newCollectBuffer(ctx *sql.Context, a sql.Aggregation, args []sql.Expression) (sql.AggregationBuffer, error) {
	h := newHolding(ctx)
	held := make([]sql.Expression, len(args))
	for i, e := range args {
		held[i] = &heldValue{Expression: e, holding: h}
	}
	counted, err := a.WithChildren(ctx, held...)
	if err != nil {
		return nil, err
	}
	b, err := counted.(sql.Aggregation).NewBuffer(ctx)
	return &collectBuffer{AggregationBuffer: b, holding: h}, err
}

// heldValue is an expression whose values are kept.
type heldValue struct {
	sql.Expression
	holding *holding
}

// Eval gives a value, and counts it.
func (h *heldValue) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := h.Expression.Eval(ctx, row)
	if err != nil || v == nil {
		return v, err
	}
	return v, h.holding.take(valueBytes(v))
}

// WithChildren puts other arguments in their place: the library copies expressions so.
func (h *heldValue) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := h.Expression.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	return &heldValue{Expression: e, holding: h.holding}, nil
}
