package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

func TestAdminStatements(t *testing.T) {
	p := &parser{}
	for _, c := range []struct{ text, want, err string }{
		{"OPTIMIZE TABLE events", "optimize [events] false", ""},
		{"optimize local tables shop.events , `a``b`.`events_all` final ;", "optimize [shop.events a`b.events_all] true", ""},
		{"OPTIMIZE NO_WRITE_TO_BINLOG TABLE e; SELECT 1", "optimize [e] false", ""},
		{" /* c */ -- x\n CHECK # y\n TABLE t QUICK EXTENDED", "check [t] false", ""},
		{"CHECK TABLE t FINAL", "", "syntax error at position 14"},
		{"OPTIMIZE TABLE t QUICK", "", "syntax error at position 17"},
		{"OPTIMIZE TABLE", "", "want a table's name"},
		{"OPTIMIZE TABLE a,", "", "want a table's name"},
		{"OPTIMIZE TABLE a.", "", "want a table's name"},
		{"OPTIMIZE TABLE `a", "", "want a table's name"},
		{"OPTIMIZE TABLE ``", "", "want a table's name"},
		{"OPTIMIZETABLE a", "", ""},
		{"OPTIMIZER", "", ""},
		{"CHECKSUM TABLE t", "", ""},
		{"SELECT 'OPTIMIZE TABLE t'", "", ""},
		{"", "", ""},
		{"/* unfinished", "", ""},
	} {
		statement, length, err := p.admin(c.text)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.err)
			continue
		}
		got := ""
		if statement != nil {
			got = adminText(statement)
			if rest := c.text[length:]; rest != "" && rest[0] != ';' {
				t.Errorf("%q: %q is left over", c.text, rest)
			}
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func FuzzAdmin(f *testing.F) {
	for _, s := range []string{"OPTIMIZE TABLE a.b FINAL;x", "CHECK TABLES `a``b`, c QUICK", "/*", "-- ", "OPTIMIZE LOCAL"} {
		f.Add(s)
	}
	p := &parser{}
	f.Fuzz(func(t *testing.T, text string) {
		namesSystemColumn(text)
		statement, length, err := p.admin(text)
		if length < 0 || length > len(text) || err != nil && statement != nil {
			t.Errorf("%q: %v, %d, %v", text, statement, length, err)
		}
		if statement != nil {
			if again, _, err := p.admin(text[:length]); err != nil || adminText(again) != adminText(statement) {
				t.Errorf("%q: what was read reads as %v, %v", text, again, err)
			}
		}
	})
}

func TestSystemColumnNames(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT _ingest_id FROM e": true, "select e._FILE": true, "`_shard`": true, "_duplicate": true, "x = '_dup_of'": true,
		"SELECT my_file": false, "_files": false, "_ingest_id2": false, "a_duplicate": false, "é_file": false, "": false, "SELECT a_b": false,
		"my_file, _file": true, "_time_raw+1": true,
	} {
		if got := namesSystemColumn(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// adminText shows what was parsed.
func adminText(s sqlparser.Statement) string {
	a := s.(sqlparser.InjectedStatement).Statement.(*adminStatement)
	var tables []string
	for _, table := range a.tables {
		name := table.Name.String()
		if !table.DbQualifier.IsEmpty() {
			name = table.DbQualifier.String() + "." + name
		}
		tables = append(tables, name)
	}
	return fmt.Sprint(a.op, " ", tables, " ", a.final)
}
