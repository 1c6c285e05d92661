package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// all are all packets of a statement's answer.
func (c *rawClient) all(q string) (packets []string) {
	c.t.Helper()
	c.command(append([]byte{3}, q...))
	for ends := 0; ends < 2; {
		p := c.read()
		packets = append(packets, string(p))
		switch {
		case p[0] == packetError, len(packets) == 1 && p[0] == packetOK:
			return packets
		case p[0] == packetEnd && len(p) < packetEndMax:
			ends++
		}
	}
	return packets
}

// An INSERT by its kept plan does what one that is planned does, whatever became of the
// session, the table and the privileges since the plan was made.
func TestKeptInsertsAreThoseOfThePlan(t *testing.T) {
	p := newInsertPair(t, true)
	for i := range p.worlds {
		p.worlds[i].must("CREATE DATABASE other")
	}
	inserts := []string{
		"INSERT INTO events (event, time, n, d, s) VALUES ('a', '2026-05-01 10:00:00', %d, 1.5, 'x')",
		"INSERT INTO events (event, time, n, d, s) VALUES ('a', '2026-05-01 10:00:00', %[1]d, 1.5, 'x'), ('b', '2026-05-02 10:00:00.%[1]d', NULL, -2.25, 'It''s \\' \\\\')",
		"INSERT INTO events (event, time, distinct_id, insert_id, b) VALUES ('a', '2026-05-01 10:00:00', 'u', 'i%d', 1)",
		"INSERT IGNORE INTO events (event, n, at) VALUES ('a', 'x', '2026-05-01'), ('', 1, NULL), ('c', '%d', 'never')",
		"INSERT INTO events (event, n) VALUES ('a', 'x%d')",
		"INSERT INTO events (event, time) VALUES ('a', '2026-05-20 00:00:%02d')",
		"REPLACE INTO events (event, time, distinct_id, insert_id) VALUES ('a', '2026-05-01 10:00:00', 'u', 'i%d')",
		"INSERT INTO test.events (event, x) VALUES ('a', %d)",
		"INSERT INTO other.events (event) VALUES ('a%d')",
		"INSERT INTO events (event, properties, j) VALUES ('a', '{\"n\": %d, \"more\": [1]}', '{}')",
		"INSERT INTO events (event, s) VALUES ('\xe4', 'é%d')",
		"INSERT INTO events (event, n) VALUES (NULL, %d)",
		"INSERT INTO events (event, distinct_id, n) VALUES ('a', NULL, %d)",
	}
	changes := []string{
		"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT p", "ROLLBACK TO p", "RELEASE SAVEPOINT p", "START TRANSACTION READ ONLY", "SET autocommit = 0", "SET autocommit = 1",
		"SET sql_mode = ''", "SET sql_mode = DEFAULT", "SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SET time_zone = '+02:00'", "SET time_zone = DEFAULT",
		"SET NAMES latin1", "SET NAMES utf8mb4", "SET arbor_idempotency_key = 'key'", "SET arbor_idempotency_key = ''", "SET max_execution_time = 100000", "SET max_execution_time = 0",
		"ALTER TABLE events ADD COLUMN x BIGINT", "ALTER TABLE events MODIFY COLUMN x VARCHAR(3)", "ALTER TABLE events DROP COLUMN x", "DROP DATABASE other", "CREATE DATABASE other",
		"USE other", "USE test", "SET TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE", "SELECT 1", "SELECT nothing",
	}
	r := rand.New(rand.NewPCG(21, 22))
	for step := range 400 {
		statement := changes[r.IntN(len(changes))]
		if r.IntN(4) > 0 {
			statement = fmt.Sprintf(inserts[r.IntN(len(inserts))], r.IntN(12))
		}
		var answers [2][]string
		for i, c := range p.raw {
			for _, s := range []string{statement, "SHOW WARNINGS", statement, "SELECT ROW_COUNT(), LAST_INSERT_ID(), FOUND_ROWS()", "SHOW STATUS LIKE 'Com_insert'"} {
				answers[i] = append(answers[i], c.all(s)...)
			}
		}
		if !slices.Equal(answers[0], answers[1]) {
			t.Fatalf("step %d: %s\nanswers %q\nwant    %q", step, statement, answers[0], answers[1])
		}
		p.compareStored(statement)
	}
	if n := p.worlds[0].engine.plans.reused.Load(); n < 100 {
		t.Errorf("only %d plans were reused", n)
	}
}

// Nobody inserts by a plan of the rights of before: of a user that is gone, that is back
// with others, or whose role does not count any more.
func TestKeptInsertsAskForPrivileges(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "CREATE USER writer", "GRANT INSERT ON shop.* TO writer", "CREATE ROLE filler", "GRANT INSERT ON shop.* TO filler",
		"CREATE USER helper", "GRANT filler TO helper")
	address := w.listen()
	const insert = "INSERT INTO shop.events (event, distinct_id) VALUES ('a', 'b')"
	refused := func(c *planClient, when string) {
		t.Helper()
		for range 2 {
			if text, reused, err := c.rows(insert); err == nil || reused {
				t.Errorf("%s: %q, reused %v, %v", when, text, reused, err)
			}
		}
	}
	writer := newPlanClient(t, w, "writer", address)
	writer.inserts(insert, 1, false)
	writer.inserts(insert, 1, true)
	w.must("DROP USER writer")
	refused(writer, "the user is gone")
	w.must("CREATE USER writer", "GRANT SELECT ON shop.* TO writer")
	refused(writer, "the user may only read")
	w.must("GRANT INSERT ON shop.* TO writer")
	writer.inserts(insert, 1, false)
	writer.inserts(insert, 1, true)

	helper := newPlanClient(t, w, "helper", address)
	helper.exec("SET ROLE ALL")
	helper.inserts(insert, 1, false)
	helper.inserts(insert, 1, true)
	helper.exec("SET ROLE NONE")
	refused(helper, "no role counts")
	helper.exec("SET ROLE filler")
	helper.inserts(insert, 1, false)
	helper.inserts(insert, 1, true)
	w.must("REVOKE INSERT ON shop.* FROM filler")
	refused(helper, "the role has lost the right")
	w.must("GRANT INSERT ON shop.* TO filler")
	helper.inserts(insert, 1, false)
	w.must("REVOKE filler FROM helper")
	refused(helper, "the role is revoked")
}
