package gateway

import (
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// keptFunctions are the functions that statements may call whose plans are kept:
// their value follows from their arguments and the session's variables, and they
// keep nothing from one call to the next. The planner evaluates calls without
// columns; one whose value changes with time would stay as it was.
var keptFunctions = nameSet(`
	count sum avg min max std stddev stddev_pop stddev_samp variance var_pop var_samp bit_and bit_or bit_xor any_value
	approx_count_distinct percentile_cont percentile_disc approx_percentile
	abs ceil ceiling floor round truncate mod sign sqrt pow power exp ln log log2 log10
	if ifnull nullif coalesce greatest least isnull
	concat concat_ws length octet_length char_length character_length lower lcase upper ucase left right substring substr mid
	substring_index trim ltrim rtrim replace reverse repeat lpad rpad locate instr position strcmp ascii hex md5 sha1 sha2 crc32
	date date_format date_add date_sub adddate subdate datediff year month monthname day dayname dayofmonth dayofweek dayofyear
	weekday week weekofyear yearweek quarter hour minute second microsecond last_day to_days from_days from_unixtime
	unix_timestamp timestampdiff str_to_date makedate bit_count
	window_funnel retention sequence_match sequence_count sessions session_seconds first_touch last_touch ` + offsetOnFunction + ` ` + offsetBackFunction + `
	` + momentLiteralPrefix + `date ` + momentLiteralPrefix + `time ` + momentLiteralPrefix + `timestamp`)

func nameSet(words string) map[string]bool {
	names := make(map[string]bool)
	for name := range strings.FieldsSeq(words) {
		names[name] = true
	}
	return names
}

// keepable reports whether a statement is a SELECT that means the same whenever it
// is run, as far as its text says: what is not known to be so is not.
func keepable(stmt sqlparser.SQLNode) bool {
	if _, ok := stmt.(*sqlparser.Select); !ok {
		return false
	}
	k := &keepableWalk{ok: true, derived: make(map[*sqlparser.Subquery]bool)}
	w := syntaxWalk{
		node: func(n any, _ bool) { k.ok = k.ok && k.node(n) },
		expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr {
			k.ok = k.ok && k.expr(e)
			return nil
		},
	}
	w.walk(reflect.ValueOf(stmt), false)
	return k.ok
}

// keepableWalk is one look at a statement.
type keepableWalk struct {
	ok bool
	// derived are the subqueries that stand in FROM.
	derived map[*sqlparser.Subquery]bool
}

// node judges what a pointer points to; what holds no nodes is not visited.
func (k *keepableWalk) node(n any) bool {
	switch n := n.(type) {
	case *sqlparser.Select:
		return n.Into == nil && (n.Lock == nil || n.Lock.Type == "") && n.With == nil && len(n.Window) == 0 && !n.QueryOpts.SQLCalcFoundRows
	case *sqlparser.AliasedTableExpr:
		if s, ok := n.Expr.(*sqlparser.Subquery); ok {
			k.derived[s] = true
		}
		return (n.AsOf == nil || onlyMarks(n.AsOf)) && !n.Lateral && len(n.Partitions) == 0 && n.Hints == nil
	case *sqlparser.AsOf:
		return onlyMarks(n)
	case *sqlparser.Subquery:
		return k.derived[n] // elsewhere it is a value, which may be kept with the plan
	case *sqlparser.Where, *sqlparser.Order, *sqlparser.Limit, *sqlparser.AliasedExpr, *sqlparser.StarExpr, *sqlparser.When:
		return true
	case sqlparser.Expr:
		return k.expr(n)
	}
	return false
}

// expr judges an expression without its parts.
func (k *keepableWalk) expr(e sqlparser.Expr) bool {
	switch e := e.(type) {
	case *sqlparser.AndExpr, *sqlparser.OrExpr, *sqlparser.XorExpr, *sqlparser.NotExpr, *sqlparser.ParenExpr, *sqlparser.RangeCond,
		*sqlparser.IsExpr, *sqlparser.NullVal, sqlparser.BoolVal, sqlparser.ValTuple, *sqlparser.BinaryExpr, *sqlparser.UnaryExpr,
		*sqlparser.IntervalExpr, *sqlparser.CaseExpr, *sqlparser.SubstrExpr, *sqlparser.TrimExpr,
		*sqlparser.ExtractFuncExpr:
		return true
	case *sqlparser.ConvertExpr:
		return e.Type != nil && !strings.EqualFold(e.Type.Type, "time") // which becomes a moment by the date of today
	case *sqlparser.TimestampFuncExpr:
		return true // TIMESTAMPADD and TIMESTAMPDIFF
	case *sqlparser.Subquery:
		return k.derived[e]
	case *sqlparser.SQLVal:
		return e.Type != sqlparser.ValArg
	case *sqlparser.ColName:
		return !strings.HasPrefix(e.Name.String(), "@") && !strings.HasPrefix(e.Qualifier.Name.String(), "@")
	case *sqlparser.ComparisonExpr:
		return e.Operator != sqlparser.RegexpStr && e.Operator != sqlparser.NotRegexpStr
	case *sqlparser.FuncExpr:
		name := e.Name.Lowered()
		return keptFunctions[name] && e.Qualifier.IsEmpty() && e.Over == nil && (name != "unix_timestamp" || len(e.Exprs) > 0)
	case sqlparser.InjectedExpr:
		switch e.Expression.(type) {
		case exactMark, checkedMark:
			return true
		case systemMark:
			return len(e.Children) == 0
		}
	}
	return false
}

// onlyMarks reports whether an AS OF names no moment, but is there because the statement
// reads system columns.
func onlyMarks(a *sqlparser.AsOf) bool {
	e, ok := a.Time.(sqlparser.InjectedExpr)
	if !ok || len(e.Children) > 0 {
		return false
	}
	_, ok = e.Expression.(systemMark)
	return ok
}

// keptNodes reports whether a plan consists of nodes that change nothing in
// themselves when they run, over tables of events.
func keptNodes(ctx *sql.Context, n sql.Node) bool {
	switch n := n.(type) {
	case *plan.Project, *plan.GroupBy, *plan.Having, *plan.Filter, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset, *plan.Distinct, *plan.TableAlias:
		return keptNodes(ctx, n.Children()[0])
	case *plan.SubqueryAlias:
		return !n.IsLateral && keptNodes(ctx, n.Child)
	case *plan.InsertInto:
		_, ok := eventsBelow(n.Destination)
		return ok
	case *plan.ResolvedTable:
		t, ok := n.UnderlyingTable().(*eventsTable)
		return ok && t.asOf.IsZero()
	}
	return false
}
