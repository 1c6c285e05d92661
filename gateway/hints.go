package gateway

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// codeHintIgnored is MySQL's warning about an optimizer hint that has no effect
// where it stands.
const codeHintIgnored = 3125

// hintStart is how a comment with optimizer hints begins.
const hintStart = "/*+"

// timeHint is the optimizer hint MAX_EXECUTION_TIME(milliseconds).
var timeHint = regexp.MustCompile(`(?i)\bMAX_EXECUTION_TIME\s*\(\s*([0-9]+)\s*\)`)

// hintedTime is the time that the hint MAX_EXECUTION_TIME gives a statement, and
// whether it has one: it stands behind the statement's first SELECT.
func hintedTime(s sqlparser.Statement) (time.Duration, bool) {
	if top := firstSelect(s); top != nil {
		return timeHintOf(top.Comments)
	}
	return 0, false
}

// firstSelect is the SELECT that a statement begins with, nil if there is none.
func firstSelect(s sqlparser.Statement) *sqlparser.Select {
	for {
		switch inner := s.(type) {
		case *sqlparser.Select:
			return inner
		case *sqlparser.SetOp:
			s = inner.Left
		case *sqlparser.ParenSelect:
			s = inner.Select
		default:
			return nil
		}
	}
}

// warnOfHints warns of the hint MAX_EXECUTION_TIME where it has no effect: in a
// SELECT that is not the statement's first, and in other statements.
func warnOfHints(ctx *sql.Context, s sqlparser.Statement, text string) {
	if !strings.Contains(text, hintStart) {
		return
	}
	top, ignored := firstSelect(s), false
	look := func(c sqlparser.Comments) {
		_, found := timeHintOf(c)
		ignored = ignored || found
	}
	_ = sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *sqlparser.Select:
			if n != top {
				look(n.Comments)
			}
		case *sqlparser.Insert:
			look(n.Comments)
		case *sqlparser.Update:
			look(n.Comments)
		case *sqlparser.Delete:
			look(n.Comments)
		case sqlparser.Values:
			return false, nil // they may be many
		}
		return true, nil
	}, s)
	if ignored {
		warn(ctx, codeHintIgnored, "MAX_EXECUTION_TIME hint is supported by top-level standalone SELECT statements only")
	}
}

// timeHintOf finds the hint among a statement's comments. The first one counts.
func timeHintOf(comments sqlparser.Comments) (time.Duration, bool) {
	for _, c := range comments {
		if !strings.HasPrefix(string(c), hintStart) {
			continue
		}
		if m := timeHint.FindSubmatch(c); m != nil {
			if ms, err := strconv.ParseUint(string(m[1]), 10, 32); err == nil {
				return time.Duration(ms) * time.Millisecond, true
			}
		}
	}
	return 0, false
}
