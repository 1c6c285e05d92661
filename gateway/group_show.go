package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// showGroup is a pushed group in a plan that is shown: what is asked for, and
// what is read for it.
func (g *Gateway) showGroup(ctx *sql.Context, p *pushedGroup) (*shownScan, error) {
	t := p.plan.bottom()
	s := &shownScan{Node: p, name: "PushedGroup", table: t.project.Name + "." + t.name, lines: fragmentLines(p.fragment)}
	if _, ok := p.Node.(*plan.Distinct); ok {
		s.name = "PushedDistinct"
	}
	s.rows, _ = g.estimate(ctx, t.project.ID)
	f := p.fragment
	for inner := p.plan.source.inner; inner != nil; inner = inner.source.inner {
		below, ok := inner.fragment()
		if !ok {
			return s, nil
		}
		f = below
		s.line("groups of:")
		for _, l := range fragmentLines(f) {
			s.line("  %s", l)
		}
	}
	source := p.plan.source
	for source.inner != nil {
		source = source.inner.source
	}
	if j := source.join; j != nil {
		if err := g.joinLines(ctx, s, j); err != nil {
			return nil, err
		}
		return s, g.showTables(ctx, s, p.plan.source)
	}
	var err error
	if w := source.window; w != nil {
		s.line("windows: %s", w.functionsText())
		if f := w.sort.fragment; f.Filter != nil {
			s.line("filter: %s", exprText(f.Filter, columnNames(f), f))
		}
		err = g.sortReads(ctx, s, w.sort)
	} else {
		err = g.showReads(ctx, s, t, f)
	}
	if err != nil {
		return nil, err
	}
	return s, g.showTables(ctx, s, p.plan.source)
}

// fragmentLines say what a fragment asks for.
func fragmentLines(f *exec.Fragment) []string {
	names := columnNames(f)
	list := func(numbers []int) string {
		var words []string
		for _, n := range numbers {
			words = append(words, names[n])
		}
		return strings.Join(words, ", ")
	}
	lines := []string{fmt.Sprintf("keys: [%s]", list(f.Group.Keys))}
	var answer []string
	for _, k := range f.Group.Keys {
		answer = append(answer, names[k])
	}
	var aggregates []string
	for _, a := range f.Group.Aggregates {
		text := fmt.Sprintf("%s(%s)", aggregateOpTexts[a.Op], list(a.Args))
		aggregates = append(aggregates, text)
		answer = append(answer, text)
	}
	lines = append(lines, fmt.Sprintf("aggregates: [%s]", strings.Join(aggregates, ", ")))
	if f.Filter != nil {
		lines = append(lines, "filter: "+exprText(f.Filter, names, f))
	}
	if len(f.Order) > 0 {
		var words []string
		for _, o := range f.Order {
			word := answer[o.Column]
			if o.Descending {
				word += " DESC"
			}
			words = append(words, word)
		}
		lines = append(lines, "order: "+strings.Join(words, ", "))
	}
	if f.Limit > 0 {
		lines = append(lines, fmt.Sprintf("limit: %d", f.Limit))
	}
	return lines
}

var aggregateOpTexts = map[exec.AggregateOp]string{
	exec.AggCount: "COUNT", exec.AggCountDistinct: "COUNT DISTINCT", exec.AggSum: "SUM", exec.AggMin: "MIN", exec.AggMax: "MAX",
	exec.AggVarPop: "VAR_POP", exec.AggVarSamp: "VAR_SAMP", exec.AggStdPop: "STDDEV_POP", exec.AggStdSamp: "STDDEV_SAMP",
	exec.AggBitAnd: "BIT_AND", exec.AggBitOr: "BIT_OR", exec.AggBitXor: "BIT_XOR",
	exec.AggPercentile: "PERCENTILE_CONT", exec.AggPercentileDisc: "PERCENTILE_DISC", exec.AggFirst: "FIRST", exec.AggLast: "LAST",
	exec.AggBehaviour: "BEHAVIOUR", exec.AggConcat: "CONCAT", exec.AggConcatCut: "CONCAT CUT",
}

// columnNames are a fragment's columns as SQL, with the periods for which
// computed ones are the same.
func columnNames(f *exec.Fragment) []string {
	var names []string
	for _, c := range f.Columns {
		names = append(names, columnText(c))
	}
	for _, c := range f.Computed {
		var args []string
		for _, a := range c.Args {
			args = append(args, names[a])
		}
		names = append(names, functionText(c.Function, args))
	}
	return names
}
