package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// showSort is a pushed order in a plan that is shown: what is asked for, and what is
// read for it.
func (g *Gateway) showSort(ctx *sql.Context, p *pushedSort) (*shownScan, error) {
	f := p.fragment
	s := &shownScan{Node: p, name: "PushedSort", table: p.table.project.Name + "." + p.table.name}
	s.rows, _ = g.estimate(ctx, p.table.project.ID)
	names := columnNames(f)
	var shown []string
	for i, name := range names {
		if i < len(f.Columns) && !f.Columns[i].Hidden || i >= len(f.Columns) && !f.Computed[i-len(f.Columns)].Hidden {
			shown = append(shown, name)
		}
	}
	s.lines = append(s.lines, fmt.Sprintf("columns: [%s]", strings.Join(shown, ", ")))
	if f.Filter != nil {
		s.lines = append(s.lines, "filter: "+exprText(f.Filter, names, f))
	}
	var words []string
	for _, o := range f.Order {
		word := shown[o.Column]
		if o.Descending {
			word += " DESC"
		}
		words = append(words, word)
	}
	s.lines = append(s.lines, "order: "+strings.Join(words, ", "))
	if f.Limit > 0 {
		s.lines = append(s.lines, fmt.Sprintf("limit: %d", f.Limit))
	}
	if err := g.showReads(ctx, s, p.table, f); err != nil {
		return nil, err
	}
	return s, g.showTables(ctx, s, p.source)
}

// showWindow is a pushed window in a plan that is shown.
func (g *Gateway) showWindow(ctx *sql.Context, p *pushedWindow) (*shownScan, error) {
	s, err := g.showSort(ctx, p.sort)
	if err != nil {
		return nil, err
	}
	s.Node, s.name = p, "PushedWindow"
	s.lines = append([]string{"functions: " + p.functionsText()}, s.lines...)
	return s, nil
}

// functionsText are the functions of a window. The text of some has lines.
func (w *pushedWindow) functionsText() string {
	var words []string
	for _, e := range w.Node.(*plan.Window).SelectExprs {
		if windowOf(e) != nil {
			words = append(words, strings.Join(strings.FieldsFunc(unnamed(e).String(), func(r rune) bool { return r == '\n' }), " "))
		}
	}
	return strings.Join(words, ", ")
}
