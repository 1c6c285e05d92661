package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/engine/exec"
)

// showJoin is a pushed join in a plan that is shown.
func (g *Gateway) showJoin(ctx *sql.Context, p *pushedJoin) (*shownScan, error) {
	s := &shownScan{Node: p, name: "PushedJoin", table: p.table.project.Name + "." + p.table.name}
	s.rows, _ = g.estimate(ctx, p.table.project.ID)
	s.answerLines(p.fragment)
	return s, g.joinLines(ctx, s, p.source.join)
}

// joinLines adds what a join does.
func (g *Gateway) joinLines(ctx *sql.Context, s *shownScan, j *userJoin) error {
	s.line("join: %s", j.text())
	for i, d := range j.sides {
		part := &shownScan{}
		of := d.source
		var groups *exec.Fragment
		for of.inner != nil {
			f, ok := of.inner.fragment()
			if !ok {
				return nil
			}
			groups = f
			part.line("groups of:")
			for _, l := range fragmentLines(f) {
				part.line("  %s", l)
			}
			of = of.inner.source
		}
		var err error
		switch {
		case of.join != nil:
			err = g.joinLines(ctx, part, of.join)
		case of.window != nil:
			part.line("windows: %s", of.window.functionsText())
			err = g.sortReads(ctx, part, of.window.sort)
		default:
			f := groups
			if d.scan != nil {
				f, _ = d.fragment(d.sorting())
				if f.Filter != nil {
					part.line("filter: %s", exprText(f.Filter, columnNames(f), f))
				}
			}
			err = g.showReads(ctx, part, of.table, f)
		}
		if err != nil {
			return err
		}
		s.line("%s side:", []string{"left", "right"}[i])
		for _, l := range part.lines {
			s.line("  %s", l)
		}
	}
	return nil
}

// text is the join for people.
func (j *userJoin) text() string {
	name := func(side, column int) string {
		d := j.sides[side]
		if d.name == "" {
			return d.source.columns[column].name
		}
		return d.name + "." + d.source.columns[column].name
	}
	kinds := map[exec.JoinKind]string{exec.JoinInner: "inner", exec.JoinLeft: "left", exec.JoinSemi: "semi", exec.JoinAnti: "anti"}
	words := []string{kinds[j.kind] + " by " + name(0, j.sides[0].key) + " = " + name(1, j.sides[1].key)}
	for _, e := range j.equals {
		words = append(words, name(0, e.Left)+" = "+name(1, e.Right))
	}
	for _, s := range j.spans {
		words = append(words, spanText(name(0, s.Left), name(1, s.Right), s))
	}
	if j.rest != nil {
		columns := make([]int, 0, len(j.rest.used))
		f := j.rest.filterOver(append(columns, j.rest.used...))
		words = append(words, exprText(f.Filter, columnNames(f), f))
	}
	return strings.Join(words, ", ")
}
