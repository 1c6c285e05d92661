package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// showSort is a pushed order in a plan that is shown: what is asked for, and what is
// read for it.
func (g *Gateway) showSort(ctx *sql.Context, p *pushedSort) (*shownScan, error) {
	f := p.fragment
	s := &shownScan{Node: p, name: "PushedSort", table: p.table.project.Name + "." + p.table.name}
	s.rows, _ = g.estimate(ctx, p.table.project.ID)
	shown := s.answerLines(f)
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
	if p.come > 0 {
		s.line("sorted: in parts, as the join gives them")
	}
	if err := g.sortReads(ctx, s, p); err != nil {
		return nil, err
	}
	return s, g.showTables(ctx, s, p.source)
}

// answerLines adds the columns of the answer, which it gives, and the filter.
func (s *shownScan) answerLines(f *exec.Fragment) (shown []string) {
	names := columnNames(f)
	for i, name := range names {
		if i < len(f.Columns) && !f.Columns[i].Hidden || i >= len(f.Columns) && !f.Computed[i-len(f.Columns)].Hidden {
			shown = append(shown, name)
		}
	}
	s.line("columns: [%s]", strings.Join(shown, ", "))
	if f.Filter != nil {
		s.line("filter: %s", exprText(f.Filter, names, f))
	}
	return shown
}

// sortReads adds what is read to be sorted.
func (g *Gateway) sortReads(ctx *sql.Context, s *shownScan, p *pushedSort) error {
	if p.source.join != nil {
		return g.joinLines(ctx, s, p.source.join)
	}
	return g.showReads(ctx, s, p.table, p.fragment)
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
