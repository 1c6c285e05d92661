package gateway

import (
	"regexp"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"arbor/engine/exec"
)

// JSON_EXTRACT(properties, '$.plan') looks at one property. The object of all of an
// event's is dear to make and to take apart, and hardly two are equal; the object of one
// property comes from a dictionary, and what is made of it is made once for each value.

// onePath is a path into an object whose first step is a name, of plain names and
// places behind it.
var onePath = regexp.MustCompile(`^\$\.(?:([A-Za-z_][A-Za-z0-9_]*)|"([^"\\]+)")(?:\.[A-Za-z_][A-Za-z0-9_]*|\."[^"\\]+"|\[[0-9]{1,9}\])*$`)

// namedProperty is the column of the source that a composite may be made of in the
// place of one: of `properties`, if it looks at one property only, that property's. It
// is the same column otherwise.
func (s *groupSource) namedProperty(c *composite, column int) int {
	of := s.columns[column]
	if s.table == nil || of.exec.Source != exec.SourceProperties || of.exec.Property != "" {
		return column
	}
	name, ok := onlyProperty(c.expr, c.over, column)
	if !ok {
		return column
	}
	of.exec.Property = name
	i := slices.IndexFunc(s.columns, func(o sourceColumn) bool { return o.exec == of.exec })
	if i < 0 {
		s.columns = append(s.columns, of)
		i = len(s.columns) - 1
	}
	return i
}

// nameProperties has the expressions over a scan's rows that look at one property only of
// `properties` look at that one: at columns behind those of the rows, which it gives.
func (p *columnPlan) nameProperties(lists ...[]sql.Expression) (named []exec.Column) {
	over := make([]slot, p.table.width())
	column := -1
	for i := range over {
		over[i] = slot{kind: slotColumn, column: i}
		if c := &p.table.all[p.table.place(i)].exec; c.Source == exec.SourceProperties {
			column = i
		}
	}
	if column < 0 {
		return nil
	}
	for _, list := range lists {
		for i, e := range list {
			name, ok := onlyProperty(e, over, column)
			if !ok {
				continue
			}
			c := p.table.all[p.table.place(column)].exec
			c.Property = name
			at := slices.Index(named, c)
			if at < 0 && len(named) == maxNamed {
				continue
			}
			if at < 0 {
				at, named = len(named), append(named, c)
			}
			out, _, err := transform.Expr(p.ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
				if f, ok := e.(*expression.GetField); ok && f.Index() == column {
					return f.WithIndex(p.table.width() + at), transform.NewTree, nil
				}
				return e, transform.SameTree, nil
			})
			if err == nil {
				list[i] = out
			}
		}
	}
	return named
}

// maxNamed is how many properties a scan is asked for by their objects.
const maxNamed = 32

// onlyProperty is the name of the one property that an expression looks at of a column;
// false if it looks at none, or at more.
func onlyProperty(e sql.Expression, over []slot, column int) (name string, ok bool) {
	ok = true
	(&groupSource{}).propertiesOf(e, over, column, func(n string) {
		ok = ok && n != "" && (name == "" || name == n)
		name = n
	})
	return name, ok && name != ""
}

// propertiesOf calls note for each place where an expression looks at a column: with
// the name of the property that it takes, or "" where it takes more.
func (s *groupSource) propertiesOf(e sql.Expression, over []slot, column int, note func(name string)) {
	switch w := e.(type) {
	case nil:
		return
	case *expression.Alias:
		s.propertiesOf(w.Child, over, column, note)
		return
	case jsonMoment:
		s.propertiesOf(w.Expression, over, column, note)
		return
	case jsonCopied:
		s.propertiesOf(w.Expression, over, column, note)
		return
	case jsonNumbered:
		s.propertiesOf(w.Expression, over, column, note)
		return
	case *expression.GetField:
		switch at := slotAt(over, w); {
		case at == nil:
		case at.kind == slotColumn && at.column == column:
			note("")
		case at.kind == slotComputed:
			s.propertiesOf(at.of.expr, at.of.over, column, note)
		}
		return
	}
	children := e.Children()
	if n, ok := describeScalar(e); ok {
		children = n.children
		if name := pathProperty(n, over, column); name != "" {
			note(name)
			return
		}
	}
	for _, c := range children {
		s.propertiesOf(c, over, column, note)
	}
}

// pathProperty is the name of the property that a call takes of a column, "" if it is
// no such call.
func pathProperty(n scalarNode, over []slot, column int) string {
	if n.tag != "call" || n.words[0] != "json_extract" && n.words[0] != "json_value" || len(n.children) != 2 {
		return ""
	}
	of := n.children[0]
	if copied, ok := of.(jsonCopied); ok {
		of = copied.Expression
	}
	f, ok := of.(*expression.GetField)
	if !ok {
		return ""
	}
	if at := slotAt(over, f); at == nil || at.kind != slotColumn || at.column != column {
		return ""
	}
	path, ok := n.children[1].(*expression.Literal)
	if !ok {
		return ""
	}
	text, ok := path.Val.(string)
	if !ok {
		return ""
	}
	found := onePath.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1] + found[2]
}

// slotAt is the slot that a field refers to, nil for none.
func slotAt(over []slot, f *expression.GetField) *slot {
	if i := f.Index(); i >= 0 && i < len(over) {
		return &over[i]
	}
	return nil
}
