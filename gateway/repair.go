package gateway

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// mend changes a parsed statement, in place, where the SQL library would take it
// for something else than MySQL does. With placeholders set it does so for the
// values that placeholders may get, too.
func mend(s sqlparser.Statement, placeholders bool) sqlparser.Statement {
	if s == nil {
		return s
	}
	if own := diagnostics(s); own != nil {
		return own
	}
	if f, ok := s.(*sqlparser.Flush); ok {
		f.Type = "" // LOCAL keeps it out of a binary log, of which there is none
	}
	chooseExplain(s)
	chooseLogin(s)
	leaveAccess(s)
	correctAccess(s)
	if !selects(s) {
		return s
	}
	liftGroups(s)
	readAssigned(s)
	var found stringsSeen
	assigned := make(map[*sqlparser.SQLVal]bool)
	var counts rowCounts
	written := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr {
		if of := writeQuantified(e); of != nil {
			return of
		}
		if of := writeExists(e); of != nil {
			return of
		}
		return writeTuples(e)
	}}
	written.walk(reflect.ValueOf(s), false)
	var arithmetic, aggregates, constants, intervals, negated, decimals, inverted, queried bool
	look := syntaxWalk{node: func(n any, inside bool) {
		correctAccess(n)
		queried = queried || hasQueriedArguments(n)
		switch n := n.(type) {
		case *sqlparser.Select:
			orderByPlaces(n)
		case *sqlparser.AliasedExpr:
			nameColumn(n)
		case *sqlparser.SetOp:
			nameColumns(n)
		case *sqlparser.GroupConcatExpr:
			joinConcatenated(n)
			showSeparator(n)
		case *sqlparser.ComparisonExpr:
			nameEscape(n, placeholders)
			keepDigits(n)
		case *sqlparser.BinaryExpr:
			arithmetic = arithmetic || checkable(n)
		case *sqlparser.UnaryExpr:
			negated = negated || negatedPart(n) != nil
			inverted = inverted || n.Operator == sqlparser.TildaStr
		case *sqlparser.IntervalExpr, *sqlparser.TimestampFuncExpr:
			intervals = true
		case *sqlparser.ConvertExpr:
			mendCast(n)
			decimals = decimals || decimalCast(n)
		case *sqlparser.AssignmentExpr:
			if l, ok := n.Expr.(*sqlparser.SQLVal); ok {
				assigned[l] = true
			}
		case *sqlparser.SQLVal:
			if !assigned[n] { // to a column, where they are numbers
				bitsAsBytes(n)
			}
			if inside {
				found.add(n)
			}
		case *sqlparser.FuncExpr:
			counts.add(n)
			mendDate(n)
			intervals = intervals || n.Name.EqualString("adddate") || n.Name.EqualString("subdate")
			aggregates = aggregates || n.IsAggregate() || orderedNames[n.Name.Lowered()]
		}
		if e, ok := n.(sqlparser.Expr); ok && inside {
			constants = constants || withoutColumns(e)
		}
	}}
	look.walk(reflect.ValueOf(s), false)
	counts.rename()
	if negated {
		w := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr { return negatedPart(e) }}
		w.walk(reflect.ValueOf(s), false)
	}
	if inverted {
		w := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr { return writeBitNot(e) }}
		w.walk(reflect.ValueOf(s), false)
	}
	if intervals {
		writeOffsets(s)
	}
	if decimals {
		writeDecimalCasts(s)
	}
	if found.confusable() {
		found.keepApart(s)
	}
	if aggregates && constants {
		admitConstants(s)
	}
	if arithmetic {
		checkArithmetic(s)
	}
	if queried {
		nameQueriedArguments(s)
	}
	return s
}

// selects reports whether a statement holds a SELECT or a condition; the values
// of an INSERT may be many and need not be looked at.
func selects(s sqlparser.Statement) bool {
	switch s := s.(type) {
	case sqlparser.SelectStatement, *sqlparser.Explain, *sqlparser.DDL, *sqlparser.Update, *sqlparser.Delete,
		*sqlparser.Set, *sqlparser.Call, *sqlparser.BeginEndBlock:
		return true
	case *sqlparser.Insert:
		_, ok := s.Rows.(sqlparser.SelectStatement)
		return ok
	}
	return false
}

// nameColumn corrects the text that names a column of the result. After a space
// and a comma it begins with the comma, and after a comment with that.
func nameColumn(c *sqlparser.AliasedExpr) {
	text := c.InputExpression
	for {
		text = strings.TrimLeft(text, ", \t\r\n")
		_, rest, ok := strings.Cut(text, "*/")
		if !ok || !strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "/*!") {
			break
		}
		text = rest
	}
	if l, ok := c.Expr.(*sqlparser.SQLVal); ok && l.Type == sqlparser.StrVal && text != c.InputExpression {
		text = string(l.Val) // its quotes stood behind what is cut
	}
	c.InputExpression = withMomentLiterals(strings.ReplaceAll(text, intervalIndex+"(", "INTERVAL("))
}

// joinConcatenated makes GROUP_CONCAT(a, b) out of CONCAT(a, b): the library
// takes the first expression only.
func joinConcatenated(g *sqlparser.GroupConcatExpr) {
	for _, o := range g.OrderBy { // by the number of one of them, which the library takes for a constant
		if l, ok := o.Expr.(*sqlparser.SQLVal); ok && l.Type == sqlparser.IntVal {
			if n, err := strconv.Atoi(string(l.Val)); err == nil && n >= 1 && n <= len(g.Exprs) {
				if of, ok := g.Exprs[n-1].(*sqlparser.AliasedExpr); ok {
					o.Expr = of.Expr
				}
			}
		}
	}
	if len(g.Exprs) < 2 {
		return
	}
	g.Exprs = sqlparser.SelectExprs{&sqlparser.AliasedExpr{
		Expr: &sqlparser.FuncExpr{Name: sqlparser.NewColIdent("concat"), Exprs: g.Exprs},
	}}
}

// rowCounts are the counts of all rows in a statement. The library calls COUNT(*) by the
// name that COUNT(1) has in a result, and refuses what comes behind a COUNT(1) and means
// the same.
type rowCounts struct {
	stars int
	ones  []*sqlparser.SQLVal
}

func (c *rowCounts) add(f *sqlparser.FuncExpr) {
	if len(f.Exprs) != 1 || f.Distinct || f.Over != nil || !f.Qualifier.IsEmpty() || !f.Name.EqualString("count") {
		return
	}
	switch of := f.Exprs[0].(type) {
	case *sqlparser.StarExpr:
		c.stars++
	case *sqlparser.AliasedExpr:
		if l, ok := of.Expr.(*sqlparser.SQLVal); ok && l.Type == sqlparser.IntVal {
			c.ones = append(c.ones, l)
		}
	}
}

// rename has COUNT(1) count a constant by which it is nothing else's name.
func (c *rowCounts) rename() {
	if len(c.ones) == 0 || c.stars+len(c.ones) == 1 {
		return
	}
	for _, l := range c.ones {
		l.Val = []byte(rowCounted)
	}
}

// rowCounted is a constant that nobody counts otherwise.
const rowCounted = "9007199254740881"

// nameEscape names the escape character of a LIKE whose pattern may have one.
// Where none is named, the library makes comparisons of strings out of simple
// patterns, and leaves the escape characters in them.
func nameEscape(c *sqlparser.ComparisonExpr, placeholders bool) {
	if c.Escape != nil || c.Operator != sqlparser.LikeStr && c.Operator != sqlparser.NotLikeStr {
		return
	}
	if l, ok := c.Right.(*sqlparser.SQLVal); ok {
		if l.Type == sqlparser.ValArg && !placeholders || l.Type == sqlparser.StrVal && !strings.Contains(string(l.Val), `\`) {
			return
		}
	}
	c.Escape = sqlparser.NewStrVal([]byte(`\`))
}
