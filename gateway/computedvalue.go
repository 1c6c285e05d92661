package gateway

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/engine/exec"
)

// computedValue is an expression over the rows of batches. It is evaluated by the
// SQL library's own evaluator, so that it means what it means anywhere: once for
// each word of a dictionary where it depends on nothing else, else for each row,
// of which only the columns that it needs are made.
type computedValue struct {
	expr  sql.Expression
	needs []int // the batch's columns that it looks at
	// fixed says that it depends on nothing but those.
	fixed bool
	// epoch is what it is of the only one that it needs, nil if it is something else.
	epoch *epoch
	// whole says that it is the same integer as the only one that it needs.
	whole bool
}

// newComputedValue makes one of an expression over rows of that layout. It gives
// nil where the expression is more than a value of one row.
func newComputedValue(ctx *sql.Context, e sql.Expression, l *batchLayout) *computedValue {
	c := &computedValue{expr: e, fixed: true}
	at := make(map[int]int, len(l.places))
	for i, place := range l.places {
		at[place] = i
	}
	needed, possible := make(map[int]bool), true
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case nil:
			return true
		case *expression.GetField:
			i, ok := at[e.Index()]
			if possible = possible && ok; possible && !needed[i] {
				needed[i], c.needs = true, append(c.needs, i)
			}
		case sql.ExpressionWithNodes, *expression.SetField:
			possible = false
		}
		c.fixed = c.fixed && !isVolatile(e)
		return possible
	})
	if !possible {
		return nil
	}
	c.epoch = epochOf(e)
	return c
}

// volatileFunctions have values that are not the same each time, or do something
// beside giving one, and do not say so themselves.
var volatileFunctions = map[string]bool{
	"sleep": true, "benchmark": true, "get_lock": true, "release_lock": true, "release_all_locks": true, "is_free_lock": true,
	"is_used_lock": true, "last_insert_id": true, "rand": true, "uuid": true, "uuid_short": true, "random_bytes": true, "load_file": true,
}

func isVolatile(e sql.Expression) bool {
	if n, ok := e.(sql.NonDeterministicExpression); ok && n.IsNonDeterministic() {
		return true
	}
	f, ok := e.(sql.FunctionExpression)
	return ok && volatileFunctions[strings.ToLower(f.FunctionName())]
}

// valueAppender appends what is made of a value to dst.
type valueAppender func(ctx *sql.Context, dst []byte, v any) ([]byte, error)

// batchValue is a computedValue over the rows of one batch.
type batchValue struct {
	*computedValue
	ctx    *sql.Context
	finish valueAppender

	row    []sql.Row // the one that it is evaluated for
	fills  []columnMaker
	places []int

	// What is made once for each word is kept in text, where spans says, by the
	// words' codes; the last is NULL's. Without spans nothing is kept.
	codes func(row int) int
	spans []span
	text  []byte
}

// span is a piece of a text, which begins at from-1; a zero one was not made yet.
type span struct{ from, to int32 }

// over makes the value ready for a batch.
func (c *computedValue) over(ctx *sql.Context, l *batchLayout, b *exec.Batch, finish valueAppender) (*batchValue, error) {
	v := &batchValue{computedValue: c, ctx: ctx, finish: finish, row: []sql.Row{make(sql.Row, l.width)}}
	m := &rowMaker{}
	for _, i := range c.needs {
		fill, err := m.columnMaker(b.Columns[i], l.kinds[i], b.Rows)
		if err != nil {
			return nil, err
		}
		v.fills, v.places = append(v.fills, fill), append(v.places, l.places[i])
	}
	switch {
	case !c.fixed:
	case len(c.needs) == 0:
		v.spans, v.codes = make([]span, 1), func(int) int { return 0 }
	case len(c.needs) == 1:
		if d, ok := b.Columns[c.needs[0]].(*array.Dictionary); ok && d.Dictionary().Len() <= sharedWords*b.Count() {
			codes, err := codesOf(d)
			if err != nil {
				return nil, err
			}
			v.spans, v.codes = make([]span, d.Dictionary().Len()+1), codes
		}
	}
	return v, nil
}

// append appends the value of a row, finished.
func (v *batchValue) append(dst []byte, row int) ([]byte, error) {
	if v.spans == nil {
		return v.evaluate(dst, row)
	}
	s := &v.spans[v.codes(row)]
	if s.from != 0 {
		return append(dst, v.text[s.from-1:s.to]...), nil
	}
	warned, start := v.ctx.WarningCount(), len(dst)
	dst, err := v.evaluate(dst, row)
	// A warning is given for each row, so a value that gives one is not kept.
	if err == nil && v.ctx.WarningCount() == warned && len(v.text)+len(dst)-start <= maxKeptText {
		from := len(v.text)
		v.text = append(v.text, dst[start:]...)
		*s = span{int32(from + 1), int32(len(v.text))}
	}
	return dst, err
}

// maxKeptText bounds what a value keeps of the words of a batch's dictionary.
const maxKeptText = 64 << 20

func (v *batchValue) evaluate(dst []byte, row int) ([]byte, error) {
	clear(v.row[0])
	for i, fill := range v.fills {
		if err := fill(v.row, v.places[i], row); err != nil {
			return dst, err
		}
	}
	value, err := v.expr.Eval(v.ctx, v.row[0])
	if err != nil {
		return dst, err
	}
	return v.finish(v.ctx, dst, value)
}

// codesOf gives a dictionary array's codes; that of NULL is the number of words.
func codesOf(d *array.Dictionary) (func(row int) int, error) {
	null := d.Dictionary().Len()
	switch codes := d.Indices().(type) {
	case *array.Int8:
		return codesFrom(d, codes.Int8Values(), null), nil
	case *array.Int16:
		return codesFrom(d, codes.Int16Values(), null), nil
	case *array.Int32:
		return codesFrom(d, codes.Int32Values(), null), nil
	}
	return nil, fmt.Errorf("scan gave a dictionary by %s", d.Indices().DataType())
}

func codesFrom[T int8 | int16 | int32](d *array.Dictionary, codes []T, null int) func(row int) int {
	if d.NullN() == 0 {
		return func(row int) int { return int(codes[row]) }
	}
	return func(row int) int {
		if d.IsNull(row) {
			return null
		}
		return int(codes[row])
	}
}
