package gateway

import (
	"strconv"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// orderByPlaces makes GROUP BY f(x) HAVING … ORDER BY name, where name is that of a selected
// f(x), ORDER BY its number: beside a HAVING the SQL library takes the name for a column that
// is not grouped (1055).
func orderByPlaces(s *sqlparser.Select) {
	if s.Having == nil || len(s.GroupBy) == 0 || len(s.OrderBy) == 0 {
		return
	}
	places := make(map[string]int, len(s.SelectExprs))
	for i, e := range s.SelectExprs {
		a, ok := e.(*sqlparser.AliasedExpr)
		if !ok {
			break // what comes behind a * has another number
		}
		if _, column := a.Expr.(*sqlparser.ColName); column || a.As.IsEmpty() {
			continue
		}
		name := strings.ToLower(a.As.String())
		if _, twice := places[name]; !twice {
			places[name] = i + 1
		}
	}
	for _, o := range s.OrderBy {
		c, ok := o.Expr.(*sqlparser.ColName)
		if !ok || !c.Qualifier.IsEmpty() {
			continue
		}
		if place := places[c.Name.Lowered()]; place > 0 {
			o.Expr = sqlparser.NewIntVal([]byte(strconv.Itoa(place)))
		}
	}
}
