package gateway

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// Groups of rows with windows, such as the mean time between a user's events, or how many
// users began with which event, are made of the batches that the windows give.

// windowRows gives the slots of the rows of a window.
func (s *groupSource) windowRows(n *plan.Window) ([]slot, bool) {
	w, err := newPushedWindow(s.ctx, n, s.run)
	if err != nil || w == nil {
		s.err = err
		return nil, false
	}
	s.window = w
	rows := make([]slot, len(w.outputs))
	s.columns = make([]sourceColumn, len(w.outputs))
	for i := range w.outputs {
		o := &w.outputs[i]
		s.columns[i] = sourceColumn{name: fmt.Sprintf("window %d", i), typ: o.typ, null: true, form: o.form}
		switch {
		case o.known:
			rows[i] = s.column(i)
		case w.sort.outputs[o.input].column < 0 && !w.sort.outputs[o.input].unread:
			rows[i] = slot{kind: slotConstant, typ: n.SelectExprs[i].Type(s.ctx), null: true, value: w.sort.outputs[o.input].value}
		}
	}
	return rows, true
}

// picked takes the given outputs out of batches.
func (w *pushedWindow) picked(outputs []int) func(*exec.Batch) *exec.Batch {
	return func(b *exec.Batch) *exec.Batch {
		out := &exec.Batch{Rows: b.Rows}
		for _, i := range outputs {
			o := &w.outputs[i]
			if o.function < 0 {
				out.Columns = append(out.Columns, b.Columns[w.sort.outputs[o.input].column])
				continue
			}
			a := b.Columns[len(w.sort.types)+o.function]
			if n, ok := a.(*array.Int64); ok && o.form == formDecimal {
				a = decimalTexts(n)
			}
			out.Columns = append(out.Columns, a)
		}
		return out
	}
}
