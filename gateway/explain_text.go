package gateway

import (
	"fmt"
	"strings"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Filters and constants as EXPLAIN shows them.

var opTexts = map[exec.Op]string{
	exec.OpEqual: "=", exec.OpLess: "<", exec.OpLessEq: "<=", exec.OpMore: ">", exec.OpMoreEq: ">=", exec.OpIn: "IN", exec.OpLike: "LIKE",
}

// exprText is a pushed filter as SQL.
func exprText(x *exec.Expr, names []string, f *exec.Fragment) string {
	switch x.Op {
	case exec.OpAnd, exec.OpOr:
		word := " AND "
		if x.Op == exec.OpOr {
			word = " OR "
		}
		parts := make([]string, len(x.Args))
		for i, a := range x.Args {
			parts[i] = exprText(a, names, f)
		}
		return "(" + strings.Join(parts, word) + ")"
	case exec.OpNot:
		return "NOT " + exprText(x.Args[0], names, f)
	case exec.OpIsNull:
		return names[x.Column] + " IS NULL"
	case exec.OpTrue:
		return names[x.Column]
	case exec.OpPrefix:
		return fmt.Sprintf("%s LIKE '%s'", names[x.Column], clip(prefixPattern(x.Values[0].Text)))
	}
	const most = 5
	values := make([]string, 0, most)
	t, _, _ := f.ColumnType(x.Column)
	for i, v := range x.Values {
		if i == most {
			values = append(values, fmt.Sprintf("… %d in all", len(x.Values)))
			break
		}
		values = append(values, constantText(v, t))
	}
	text := strings.Join(values, ", ")
	if x.Op == exec.OpIn {
		text = "(" + text + ")"
	}
	return fmt.Sprintf("%s %s %s", names[x.Column], opTexts[x.Op], text)
}

func columnText(c exec.Column) string {
	if c.Source == exec.SourceProperty {
		return c.Property
	}
	for _, known := range append(append(firstColumns[:], propertiesColumn), systemColumns...) {
		if known.exec.Source == c.Source {
			return known.name
		}
	}
	return "?"
}

func constantText(v catalog.Value, t catalog.Type) string {
	switch {
	case t == catalog.TypeDatetime && v.Kind == catalog.KindInt:
		return "'" + moment(v.Int()).Format(datetimeLayout) + "'"
	case v.Kind == catalog.KindString:
		return "'" + clip(v.Text) + "'"
	}
	return string(v.AppendJSON(nil))
}
