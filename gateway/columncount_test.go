package gateway

import (
	"fmt"
	"strings"
	"testing"
)

// newWideWorld has a project with many columns.
func newWideWorld(t testing.TB, columns int) *sqlWorld {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE wide", "USE wide")
	for at := 0; at < columns; at += 250 {
		var properties []string
		for i := at; i < min(at+250, columns); i++ {
			properties = append(properties, fmt.Sprintf(`"p%d": %[1]d`, i))
		}
		w.must(fmt.Sprintf(`INSERT INTO events (event, time, insert_id, properties) VALUES ('x', '2026-01-10', '%d', '{%s}')`, at, strings.Join(properties, ",")))
	}
	return w
}

func TestColumnsOfAStatement(t *testing.T) {
	const width = 3995
	w := newWideWorld(t, width)
	w.want("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'wide' AND table_name = 'events'", fmt.Sprint(width+leadingColumns+1))
	most := MaxStatementColumns / (width + leadingColumns + 1)
	legs := func(n int) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf("SELECT p%d AS p FROM events WHERE p%[1]d IS NOT NULL", i*260))
		}
		return strings.Join(parts, " UNION ALL ")
	}
	w.want("SELECT COUNT(*), MAX(p) FROM ("+legs(most)+") x", fmt.Sprint(most, (most-1)*260))
	w.refused(legs(most+1), 1117, "60000 in all")
	var many []string
	for range 9 {
		many = append(many, "(SELECT p1 FROM (SELECT * FROM events) d WHERE p1 = 1)")
	}
	w.refused("SELECT "+strings.Join(many, " + "), 1117)
	// Looking at every table is not naming it.
	for i := range 16 {
		w.must(fmt.Sprintf("CREATE DATABASE narrow%d", i))
	}
	w.want("SELECT COUNT(*) > 4000 FROM information_schema.columns a", "1")
	w.want("SELECT 1", "1")
}
