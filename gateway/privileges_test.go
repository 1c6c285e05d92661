package gateway

import "testing"

// TestDatabasePrivileges has users make and drop databases: what counts is the
// database that the statement names, whatever the session's is.
func TestDatabasePrivileges(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE DATABASE s3", "CREATE DATABASE s4",
		"CREATE USER mix@localhost IDENTIFIED BY 'pw'", "GRANT ALL ON shop.* TO mix@localhost", "GRANT SELECT ON s3.* TO mix@localhost",
		"GRANT DROP ON s4.* TO mix@localhost", "GRANT CREATE ON later.* TO mix@localhost")
	mix := w.as("mix")
	for _, database := range []string{"", "shop"} {
		mix.session.SetCurrentDatabase(database)
		for _, name := range []string{"s3", "other", "arbor", "mysql", "information_schema"} {
			for _, statement := range []string{"DROP DATABASE ", "DROP SCHEMA ", "DROP DATABASE IF EXISTS ", "CREATE DATABASE ", "CREATE SCHEMA ", "CREATE DATABASE IF NOT EXISTS "} {
				mix.refused(statement+name, 1044, "Access denied for user 'mix'@'localhost' to database '"+name+"'")
			}
		}
		mix.refused("ALTER DATABASE s3 COLLATE utf8mb4_bin", 1044, "to database 's3'")
		mix.refused("CREATE DATABASE s4", 1044, "to database 's4'")
	}
	w.want("SELECT COUNT(*) FROM arbor.projects", "3")
	mix.session.SetCurrentDatabase("")
	mix.must("DROP DATABASE s4", "CREATE DATABASE later", "DROP SCHEMA shop")
	mix.refused("DROP DATABASE later", 1044)
	w.want("SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ('s3', 's4', 'shop', 'later') ORDER BY 1", "later", "s3")
}

func TestDroppingWhatIsNotThere(t *testing.T) {
	w := newSQLWorld(t)
	w.refused("DROP DATABASE nothing", 1008, "Can't drop database 'nothing'; database doesn't exist")
	w.refused("DROP SCHEMA nothing", 1008, "Can't drop database 'nothing'; database doesn't exist")
	w.must("DROP DATABASE IF EXISTS nothing", "CREATE DATABASE shop")
	w.refused("DROP DATABASE Shop", 1008, "Can't drop database 'Shop'; database doesn't exist")
	w.must("DROP DATABASE IF EXISTS Shop")
	w.want("SELECT name FROM arbor.projects", "shop")
	w.refused("DROP DATABASE arbor", 1036, "arbor's own")
	for _, name := range []string{"mysql", "information_schema"} {
		w.refused("DROP DATABASE "+name, 1044, "to database '"+name+"'")
	}
	w.refused("USE nothing", 1049, "Unknown database 'nothing'")
}

func TestShowGrantsForOneself(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE USER low@localhost", "CREATE USER sees@localhost", "GRANT SELECT ON shop.* TO low@localhost", "GRANT SELECT ON mysql.* TO sees@localhost")
	low := w.as("low")
	own := []string{"GRANT USAGE ON *.* TO `low`@`localhost`", "GRANT SELECT ON `shop`.* TO `low`@`localhost`"}
	for _, statement := range []string{"SHOW GRANTS", "SHOW GRANTS FOR CURRENT_USER", "SHOW GRANTS FOR CURRENT_USER()", "SHOW GRANTS FOR low@localhost"} {
		low.want(statement, own...)
	}
	w.want("SHOW GRANTS FOR low@localhost", own...)
	w.as("sees").want("SHOW GRANTS FOR low@localhost", own...)
	for _, other := range []string{"root@localhost", "low", "low@'%'", "nobody@localhost", "sees@localhost"} {
		low.refused("SHOW GRANTS FOR "+other, 1044, "Access denied for user 'low'@'localhost' to database 'mysql'")
	}
}

func TestRecursionWithoutADatabase(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE USER low@localhost")
	low := w.as("low")
	low.want("SELECT 1", "1")
	low.want("WITH r AS (SELECT 1 n) SELECT n FROM r", "1")
	low.want("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n<5) SELECT COUNT(*) FROM r", "5")
	low.refused("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r JOIN shop.events e) SELECT COUNT(*) FROM r", 1044, "to database 'shop'")
	low.refused("WITH RECURSIVE events(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM shop.events) SELECT COUNT(*) FROM events", 1044, "to database 'shop'")
}

// TestNamesOfCommonTableExpressions has users without a privilege name common
// table expressions as the tables that they want and their databases.
func TestNamesOfCommonTableExpressions(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE USER low@localhost", "GRANT INSERT ON shop.* TO low@localhost",
		"CREATE USER view@localhost", "GRANT SELECT ON shop.* TO view@localhost",
		"INSERT INTO shop.events (event, insert_id, distinct_id) VALUES ('secret', 's1', 'ann')", "USE shop", "CREATE VIEW v AS SELECT event FROM events")
	w.session.SetCurrentDatabase("")
	low, view := w.as("low"), w.as("view")
	for _, s := range []string{
		"WITH shop AS (SELECT 1) SELECT event FROM shop.events",
		"WITH shop AS (SELECT 1) SELECT event FROM shop.events_all",
		"WITH shop AS (SELECT 1) SELECT event FROM shop.v",
		"WITH shop AS (SELECT 1) SELECT (SELECT event FROM shop.events)",
		"WITH shop AS (SELECT 1) SELECT 1 WHERE EXISTS (SELECT event FROM shop.events)",
		"WITH shop AS (SELECT 1) SELECT 1 UNION SELECT event FROM shop.events",
		"WITH shop AS (SELECT 1) SELECT 1 FROM (SELECT event FROM shop.events) x",
		"WITH shop AS (SELECT 1) SELECT 1 FROM shop.events a JOIN shop.events b",
		"WITH mysql AS (SELECT 1) SELECT user FROM mysql.user",
		"WITH shop AS (SELECT 1), x AS (SELECT event FROM shop.events) SELECT * FROM x",
		"WITH x AS (WITH shop AS (SELECT 1) SELECT event FROM shop.events) SELECT * FROM x",
		"WITH RECURSIVE shop AS (SELECT 1) SELECT event FROM shop.events",
		"WITH RECURSIVE shop(n) AS (SELECT 1 UNION ALL SELECT e.event FROM shop, shop.events e) SELECT n FROM shop",
		"INSERT INTO shop.events (event) WITH shop AS (SELECT 1) SELECT event FROM shop.events",
		"WITH shop AS (SELECT 1) INSERT INTO shop.events (event) SELECT event FROM shop.events",
		"EXPLAIN WITH shop AS (SELECT 1) SELECT event FROM shop.events",
	} {
		for _, database := range []string{"", "shop"} {
			low.session.SetCurrentDatabase(database)
			if _, rows, err := low.query(s); err == nil {
				t.Errorf("%s, in %q\ngave %v", s, database, rows)
			} else if e := sqlError(err, nil); e.Num != 1142 && e.Num != 1044 {
				t.Errorf("%s, in %q\n%v", s, database, err)
			}
		}
	}
	for _, s := range []string{
		"WITH events AS (SELECT event FROM events) SELECT * FROM events",
		"WITH a AS (WITH events AS (SELECT 1 event) SELECT * FROM events) SELECT event FROM events",
		"WITH a AS (SELECT event FROM events), events AS (SELECT 1) SELECT * FROM a",
		"WITH RECURSIVE events(n) AS (SELECT event FROM events UNION ALL SELECT n FROM events) SELECT * FROM events",
		"SELECT * FROM (WITH events AS (SELECT 1 event) SELECT * FROM events) x, events",
		"SELECT event FROM events UNION (WITH events AS (SELECT 2 event) SELECT 1)",
	} {
		low.refused(s, 1142, "SELECT command denied")
	}
	for _, database := range []string{"", "shop"} {
		view.session.SetCurrentDatabase(database)
		for _, s := range []string{
			"WITH shop AS (SELECT 1) INSERT INTO shop.events (event) SELECT 'x'",
			"WITH shop AS (SELECT 1) INSERT INTO shop.events SET event = 'x'",
			"WITH shop AS (SELECT 1) INSERT INTO shop.events (event) VALUES ('x')",
			"WITH shop AS (SELECT 1) REPLACE INTO shop.events (event, insert_id) SELECT 'x', 'y'",
			"WITH shop AS (SELECT 1) DELETE FROM shop.events",
			"WITH shop AS (SELECT 1) DELETE e FROM shop.events e",
			"WITH shop AS (SELECT 1) UPDATE shop.events SET event = 'x'",
		} {
			view.refused(s, 1142, "command denied")
		}
	}
	for _, s := range []string{
		"WITH events AS (SELECT 1) INSERT INTO events (event) SELECT 'x'",
		"WITH events AS (SELECT 1) DELETE FROM events",
		"WITH events AS (SELECT 1) DELETE events FROM events",
	} {
		view.refused(s, 1142, "command denied")
	}
	w.want("SELECT event FROM shop.events", "secret")
	view.want("WITH shop AS (SELECT event FROM events) SELECT event FROM shop", "secret")
	view.want("WITH RECURSIVE r(n) AS (SELECT event FROM events UNION ALL SELECT CONCAT(n, '!') FROM r WHERE n < 'secret!!') SELECT * FROM r", "secret", "secret!", "secret!!")
	low.want("WITH events AS (SELECT 2 event) SELECT 1 UNION SELECT event FROM events", "1", "2")
	low.must("WITH x AS (SELECT 'new' event) INSERT INTO events (event, insert_id) SELECT event, 'n' FROM x")
	w.want("SELECT event FROM shop.events ORDER BY 1", "new", "secret")
}
