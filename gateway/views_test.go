package gateway

import (
	"fmt"
	"strings"
	"testing"
)

func TestViewsThatReadThemselves(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE DATABASE other", "USE shop",
		"CREATE VIEW a AS SELECT insert_id FROM events", "CREATE VIEW b AS SELECT * FROM A", "CREATE VIEW other.c AS SELECT * FROM shop.b")
	for _, s := range []string{
		"CREATE OR REPLACE VIEW a AS SELECT * FROM a",
		"CREATE OR REPLACE VIEW a AS SELECT * FROM b",
		"CREATE OR REPLACE VIEW A AS SELECT insert_id FROM events WHERE insert_id IN (SELECT insert_id FROM other.c)",
		"CREATE OR REPLACE VIEW a AS SELECT 1 UNION (SELECT 2 UNION SELECT insert_id FROM b)",
		"CREATE OR REPLACE VIEW a AS WITH x AS (SELECT * FROM b) SELECT * FROM x",
		"CREATE OR REPLACE VIEW a AS SELECT (SELECT MAX(insert_id) FROM b) FROM events ORDER BY (SELECT 1 FROM b)",
		"CREATE OR REPLACE VIEW a AS (SELECT x.* FROM (SELECT * FROM b) x JOIN events)",
	} {
		w.refused(s, 1462, "`shop`.`a` contains view recursion")
	}
	w.must("CREATE OR REPLACE VIEW a AS WITH b AS (SELECT 1 AS n) SELECT * FROM b", "CREATE OR REPLACE VIEW b AS SELECT n FROM a")
	w.refused("CREATE OR REPLACE VIEW a AS SELECT * FROM events e WHERE NOT EXISTS (SELECT 1 FROM b)", 1462)
}

// TestCircleOfViews has a dropped project come back under another's name, so
// that its view becomes the one that it reads.
func TestCircleOfViews(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE one", "CREATE DATABASE two", "CREATE VIEW one.v AS SELECT 1 AS n", "CREATE VIEW two.v AS SELECT n FROM one.v",
		"DROP DATABASE one", "DROP DATABASE two", "CALL arbor.undrop_database('two', 'one')")
	w.refused("SELECT * FROM one.v", 1462, "256")
	w.refused("SELECT COUNT(*) FROM one.v", 1462)
	w.want("SELECT table_name FROM information_schema.views")
	w.want("SELECT 1", "1")
	w.must("DROP VIEW one.v")
}

func TestManyViews(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "CREATE VIEW v0 AS SELECT 1 AS n")
	for i := range 7 {
		w.must(fmt.Sprintf("CREATE VIEW v%d AS SELECT a.n FROM v%d a JOIN v%[2]d b ON a.n = b.n", i+1, i))
	}
	w.refused("CREATE VIEW v8 AS SELECT a.n FROM v7 a JOIN v7 b ON a.n = b.n", 1462)
	w.want("SELECT * FROM v5", "1")
	for i := range 300 {
		w.must(fmt.Sprintf("CREATE VIEW w%d AS SELECT n FROM v1", i))
	}
	w.want("SELECT COUNT(*) FROM information_schema.views WHERE table_name LIKE 'w%'", "300")
	w.want("SELECT COUNT(*) FROM information_schema.columns WHERE table_name LIKE 'w%' AND column_name = 'n'", "300")
	w.want("SHOW CREATE VIEW w1", "w1 CREATE VIEW `w1` AS SELECT n FROM v1 utf8mb4 utf8mb4_0900_bin")
}

// TestViewsFromElsewhere reads views with another database, or none, as the
// current one.
func TestViewsFromElsewhere(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE DATABASE other", "CREATE USER ann@localhost", "GRANT SELECT ON shop.* TO ann@localhost",
		"INSERT INTO shop.events (event, insert_id) VALUES ('buy', '1')", "USE shop",
		"CREATE VIEW plain AS SELECT event, e.insert_id FROM events e",
		"CREATE VIEW nested AS SELECT event FROM plain WHERE insert_id IN (SELECT insert_id FROM events_all)",
		"CREATE VIEW named AS WITH events AS (SELECT event FROM shop.events) SELECT event FROM events",
		"CREATE VIEW shards AS SELECT *, _shard FROM events",
		"USE other", "CREATE VIEW plain AS SELECT 'other' AS event")
	ann := w.as("ann")
	for _, current := range []string{"", "shop", "other", "arbor"} {
		w.session.SetCurrentDatabase(current)
		w.want("SELECT * FROM shop.plain", "buy 1")
		w.want("SELECT * FROM shop.nested", "buy")
		w.want("SELECT * FROM shop.named", "buy")
		w.want("SELECT COUNT(_shard) FROM shop.shards", "1")
		w.want("SELECT a.event, b.event FROM shop.nested a, other.plain b", "buy other")
		w.want("SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE table_name IN ('plain', 'nested', 'named') ORDER BY 1, 2, 3",
			"other plain event", "shop named event", "shop nested event", "shop plain event", "shop plain insert_id")
		w.want("SELECT table_schema, table_name FROM information_schema.views ORDER BY 1, 2",
			"other plain", "shop named", "shop nested", "shop plain", "shop shards")
		want := current
		if want == "" {
			want = "NULL"
		}
		w.want("SELECT DATABASE() FROM shop.plain", want)
		if current == "other" {
			continue // which ann must not use
		}
		ann.session.SetCurrentDatabase(current)
		ann.want("SELECT * FROM shop.nested", "buy")
		ann.refused("SELECT * FROM other.plain", 1044)
		ann.want("SELECT table_name FROM information_schema.columns WHERE column_name = 'event' ORDER BY 1", "events", "events_all", "named", "nested", "plain", "shards")
	}
	w.session.SetCurrentDatabase("")
	w.refused("SELECT * FROM shop.plain, events", 1046)
}

// TestMarksOfViews has clients write the marks that the planner's texts have.
func TestMarksOfViews(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE DATABASE mine", "CREATE USER ann@localhost", "GRANT ALL ON mine.* TO ann@localhost",
		"INSERT INTO shop.events (event, insert_id) VALUES ('secret', '1')", "USE shop", "CREATE VIEW v AS SELECT * FROM events")
	ann := w.as("ann")
	ann.must("USE mine")
	mark := viewMark + "73686f70" + viewMarkEnd // shop
	for _, s := range []string{"CREATE VIEW v AS SELECT * FROM shop.events", "CREATE VIEW w AS SELECT * FROM events", "CREATE VIEW v AS SELECT * FROM events"} {
		ann.query(mark + s)
	}
	for _, s := range []string{"CREATE OR REPLACE VIEW shop.v AS SELECT 1", "CREATE VIEW shop.u AS SELECT 1", "CREATE VIEW x AS SELECT * FROM shop.v", "SELECT * FROM shop.v"} {
		for _, text := range []string{s, mark + s, "/*" + s} {
			if _, _, err := ann.query(text); err == nil {
				t.Errorf("%q was not refused", text)
			}
		}
	}
	w.want("SELECT table_schema, table_name, view_definition FROM information_schema.views WHERE table_schema = 'shop'", "shop v SELECT * FROM events")
	for _, text := range []string{viewMark, viewMark + "7*/SELECT 1", viewMark + viewMarkEnd + "CREATE VIEW z AS SELECT 2 AS n", viewMark + strings.Repeat("z", 70) + viewMarkEnd + "CREATE VIEW y AS SELECT 3 AS n"} {
		ann.query(text)
	}
	ann.want("SELECT * FROM z, y", "2 3")
}

func TestViewsInOtherModes(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "SET sql_mode = 'ANSI_QUOTES'")
	w.refused(`CREATE VIEW v AS SELECT "event" FROM events`, 1235, "ANSI_QUOTES")
	w.must("SET sql_mode = ''", `CREATE VIEW v AS SELECT "event" AS e`, "SET sql_mode = 'ANSI_QUOTES'")
	w.want("SELECT e FROM v", "event")
	w.must("SET sql_mode = ''", "CREATE VIEW IF NOT EXISTS v AS SELECT 2", "CREATE VIEW IF NOT EXISTS events AS SELECT 2")
	w.want("SELECT e FROM v", "event")
	w.refused("CREATE VIEW events AS SELECT 1", 1050)
	w.refused("CREATE OR REPLACE VIEW events_all AS SELECT 1", 1050)
	w.refused("CREATE VIEW v AS SELECT 1", 1050)
	w.refused("CREATE VIEW arbor.v AS SELECT 1", 1235)
	w.refused("CREATE OR REPLACE VIEW v AS SELECT '"+strings.Repeat("x", 1<<16)+"'", 1117)
	w.want("SELECT e FROM v", "event")
}
