package gateway

import (
	"regexp"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// SET NAMES also sets collation_connection: to the collation that it names, or else to the
// default one of the character set. The grammar forgets the first, the library the second.

// namesCollated finds the collation in a text.
var namesCollated = regexp.MustCompile("(?is)\\bNAMES\\s+['\"`]?\\w+['\"`]?\\s+COLLATE\\s+['\"`]?(\\w+)")

// nameCollation adds what a SET NAMES says of the collation. Only utf8mb4 has several here:
// texts of other character sets are compared as they were.
func nameCollation(s sqlparser.Statement, text string) {
	set, ok := s.(*sqlparser.Set)
	if !ok {
		return
	}
	for _, e := range set.Exprs {
		v, ok := e.Expr.(*sqlparser.SQLVal)
		if !ok || !strings.EqualFold(e.Name.String(), "names") {
			continue
		}
		charset, err := sql.ParseCharacterSet(string(v.Val))
		if err != nil || charset != sql.CharacterSet_utf8mb4 {
			continue
		}
		collation := charset.DefaultCollation().Name()
		if named := namesCollated.FindStringSubmatch(text); named != nil {
			collation = named[1]
		}
		set.Exprs = append(set.Exprs, &sqlparser.SetVarExpr{Scope: sqlparser.SetScope_Session, Name: sqlparser.NewColName("collation_connection"), Expr: sqlparser.NewStrVal([]byte(collation))})
		return
	}
}
