package gateway

import (
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

// TestFreeWordsBesideKeywords has statements that need a free word as a name
// and another, or the same one, as the keyword that it is.
func TestFreeWordsBesideKeywords(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, insert_id, properties) VALUES ('x', '2026-01-10', '1', '{"plan": "p", "view": "a_", "first": 1, "off": 3}')`)
	for _, s := range []string{"CREATE VIEW plans AS SELECT plan, view, event FROM events", "CREATE OR REPLACE VIEW view AS SELECT view FROM events",
		"ALTER TABLE events ADD COLUMN versions BIGINT"} {
		w.must(s)
	}
	w.want("SELECT plan, view FROM plans", "p a_")
	w.want("SELECT plan FROM events WHERE view LIKE 'a|_' ESCAPE '|' AND plan = 'p'", "p")
	w.want("SELECT e.plan, off FROM events AS e WHERE plan LIKE 'p'", "p 3")
	w.want("SELECT plan, off, view, first, plan, versions FROM events ORDER BY plan, off LIMIT 1 OFFSET 0", "p 3 a_ 1 p NULL")
	w.must("SHOW FULL COLUMNS FROM events WHERE field = 'plan'", "EXPLAIN FORMAT=TREE SELECT plan FROM events", "EXPLAIN PLAN SELECT plan FROM events")
	w.refused("SELECT plan, off FROM events WHERE", 1064, "position")
	w.refused("SELECT plan view off FROM events", 1064)
	w.must("CREATE DATABASE other")
	w.refused("CREATE VIEW other.v AS SELECT plan FROM events", 1235, "`shop`.`events`")
}

// TestProceduresCanBeCalled: their names may be keywords, as replace is.
func TestProceduresCanBeCalled(t *testing.T) {
	p := &strictParser{Parser: sql.NewMysqlParser()}
	for _, procedure := range (&Gateway{}).procedures() {
		for _, text := range []string{"CALL arbor." + procedure.name + "('a', 'b')", "call `arbor`." + procedure.name + "()"} {
			if _, err := p.ParseSimple(text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	for text, want := range map[string]bool{"t.replace": true, "`t`.replace": true, "1.replace": false, ".replace": false, "replace": false, "t replace": false} {
		if got := isQualified(text, strings.Index(text, "replace")); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestPreparable(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":             "SELECT 1",
		"SELECT plan FROM t":   "SELECT `plan` FROM t",
		"SELECT 'plan' FROM t": "SELECT 'plan' FROM t",
		"SHOW FULL TABLES":     "SHOW FULL TABLES",
		"SELECT plan FROM t WHERE x LIKE ? ESCAPE '|'": "SELECT `plan` FROM t WHERE x LIKE ? ESCAPE '|'",
		"EXPLAIN FORMAT=TREE SELECT plan FROM t":       "EXPLAIN FORMAT=TREE SELECT `plan` FROM t",
		"SELECT plan FROM":                             wrapped("SELECT plan FROM"),
	} {
		if got := preparable(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	if held, ok := heldStatement(wrapped("SELECT 'é")); !ok || held != "SELECT 'é" {
		t.Errorf("what was wrapped is %q", held)
	}
	if _, ok := heldStatement("SELECT 1"); ok {
		t.Error("a plain statement holds another one")
	}
}
