package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/event"
	"arbor/sqltests/oracle"
)

// countedAppends counts acknowledgements.
type countedAppends struct {
	*oracle.Model
	appends atomic.Int64
	fail    error
}

func (c *countedAppends) Append(ctx context.Context, records [][]byte) error {
	c.appends.Add(1)
	if c.fail != nil {
		return c.fail
	}
	return c.Model.Append(ctx, records)
}

// Duplicates is not asked of the model here: it looks at all it has for each
// record.
func (c *countedAppends) Duplicates(context.Context, [][]byte) (int64, error) { return 0, nil }

func newCountedWorld(t *testing.T) (*sqlWorld, *countedAppends) {
	var counted *countedAppends
	w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		counted = &countedAppends{Model: m}
		return counted
	})
	w.must("CREATE DATABASE shop", "USE shop")
	return w, counted
}

func TestInsertSaysWhatItDid(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT")
	w.want("INSERT INTO events (event, time, insert_id) VALUES ('a', '2026-05-01', '1'), ('a', '2026-05-01', '1'), ('a', '2026-05-01', '2')",
		"OK 3 Records: 3  Duplicates: 1  Warnings: 0")
	w.want("INSERT INTO events (event, time, insert_id) VALUES ('a', '2026-05-01', '1')", "OK 1 Records: 1  Duplicates: 1  Warnings: 0")
	w.want("INSERT IGNORE INTO events (event, time, n) VALUES ('a', '2026-05-01', 'x'), ('', '2026-05-01', 1)", "OK 1 Records: 1  Duplicates: 0  Warnings: 2")
	w.want("REPLACE INTO events (event, time, insert_id) VALUES ('a', '2026-05-01', '1')", "OK 2 Records: 1  Duplicates: 0  Warnings: 0")
	w.want("INSERT INTO events (event) SELECT event FROM events WHERE 1 = 0", "OK 0 Records: 0  Duplicates: 0  Warnings: 0")
	w.want("SELECT ROW_COUNT()", "0")
	w.want("DELETE FROM events WHERE insert_id = '2'", "OK 1")
	w.want("SELECT ROW_COUNT()", "1")
}

// One acknowledgement a statement, whatever its rows are.
func TestInsertIsAcknowledgedOnce(t *testing.T) {
	w, counted := newCountedWorld(t)
	var rows []string
	for i := range insertRows + 1 {
		rows = append(rows, fmt.Sprintf("('e', '2026-05-0%d', 'u%d')", 1+i%5, i%100))
	}
	w.want("INSERT INTO events (event, time, distinct_id) VALUES "+strings.Join(rows, ","), fmt.Sprintf("OK %d Records: %[1]d  Duplicates: 0  Warnings: 0", insertRows+1))
	if n := counted.appends.Load(); n != 1 {
		t.Errorf("%d acknowledgements, want 1", n)
	}
	// All or nothing.
	rows[insertRows] = "('e', 'never', 'u')"
	w.refused("INSERT INTO events (event, time, distinct_id) VALUES "+strings.Join(rows, ","), erWrongValue, fmt.Sprint("at row ", insertRows+1))
	if n := counted.appends.Load(); n != 1 {
		t.Errorf("%d acknowledgements after a refused statement, want 1", n)
	}
}

// INSERT … SELECT is stored in parts from one row past the limit on.
func TestLongInsertSelectIsStoredInParts(t *testing.T) {
	w, counted := newCountedWorld(t)
	const sequence = "(WITH RECURSIVE s AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 199) SELECT i FROM s)"
	insert := func(n int) string {
		return fmt.Sprintf("INSERT INTO events (event, time, insert_id) SELECT 'e', IF(i = %d, '9000-01-01', '2026-05-01'), i FROM "+
			"(SELECT a.i * 200 + b.i + 1 AS i FROM %s a, %s b) x WHERE i <= %d ORDER BY i", n, sequence, sequence, n)
	}
	w.refused(insert(insertRows), erWrongValue, fmt.Sprint("at row ", insertRows))
	if n := counted.appends.Load(); n != 0 {
		t.Errorf("%d acknowledgements of a statement that was refused, want 0", n)
	}
	w.refused(insert(insertRows+1), erWrongValue, fmt.Sprint("at row ", insertRows+1), fmt.Sprintf("(the first %d rows are stored)", insertRows))
	if n := counted.appends.Load(); n != 1 {
		t.Errorf("%d acknowledgements of a part, want 1", n)
	}
	if n := len(w.model.Records()); n != insertRows {
		t.Errorf("%d rows are stored, want %d", n, insertRows)
	}
}

func TestInsertThatIsNotStored(t *testing.T) {
	w, counted := newCountedWorld(t)
	counted.fail = cluster.ErrUnavailable
	if _, _, err := w.query("INSERT INTO events (event) VALUES ('a')"); err == nil {
		t.Error("an INSERT that was not stored is acknowledged")
	}
	counted.fail = nil
	w.want("SELECT COUNT(*) FROM events", "0")
	w.must("DROP DATABASE shop")
	w.refused("INSERT INTO shop.events (event) VALUES ('a')", 1049)
}

// The same numbers of properties, and of bytes, at the limit and one past it.
func TestInsertLimits(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop")
	object := func(n int) string {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"p%d": %d`, i, i))
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	insert := func(properties string) string {
		return "INSERT INTO events (event, time, properties) VALUES ('a', '2026-05-01', '" + properties + "')"
	}
	w.must(insert(object(event.MaxProperties)))
	w.refused(insert(object(event.MaxProperties+1)), erTooManyFields, "256 properties, at most 255")
	w.refused(insert(object(10_000)), erTooManyFields, "10000 properties")
	deep := func(n int) string {
		return `{"deep": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	w.must(insert(deep(event.MaxDepth)))
	w.refused(insert(deep(event.MaxDepth+1)), erDataTooLong, "17 levels")
	w.refused(insert(deep(100_000)), erInvalidJSON)
	w.must(insert(`{"` + strings.Repeat("x", event.MaxPropertyName) + `": 1}`))
	w.refused(insert(`{"`+strings.Repeat("x", event.MaxPropertyName+1)+`": 1}`), erDataTooLong, "256 bytes in a property")
	w.must("INSERT INTO events (event, time) VALUES ('" + strings.Repeat("x", event.MaxEventName) + "', '2026-05-01')")
	w.refused("INSERT INTO events (event, time) VALUES ('"+strings.Repeat("x", event.MaxEventName+1)+"', '2026-05-01')", erDataTooLong, "column 'event' at row 1")
	w.must("INSERT INTO events (event, time) VALUES ('a', '2026-05-12 11:59:59')", "INSERT INTO events (event, time) VALUES ('a', '0001-01-01')")
	w.refused("INSERT INTO events (event, time) VALUES ('a', '2026-05-12 12:30:00')", erWrongValue, "48 hours")
	w.refused("INSERT INTO events (event, time) VALUES ('a', '10000-01-01')", erWrongValue)
	w.want("SELECT COUNT(*) FROM events", "6")
}

// Every type of column takes what MySQL's takes, and says what it refuses.
func TestInsertConverts(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop",
		"ALTER TABLE events ADD COLUMN s TEXT, ADD COLUMN n BIGINT, ADD COLUMN d DOUBLE, ADD COLUMN b BOOLEAN, ADD COLUMN m DECIMAL(6, 2), ADD COLUMN t DATETIME(6), ADD COLUMN j JSON")
	for i, c := range []struct {
		column, value, stored string
		code                  int
	}{
		{"s", "5", `"5"`, 0}, {"s", "1.50", `"1.50"`, 0}, {"s", "TRUE", `"1"`, 0}, {"s", "DATE('2026-05-01')", `"2026-05-01"`, 0},
		{"s", "JSON_OBJECT('a', 1)", `"{\"a\": 1}"`, 0}, {"s", "''", `""`, 0}, {"s", "X'41'", `"A"`, 0}, {"s", "X'C328'", "", erWrongFieldValue},
		{"n", "'42'", "42", 0}, {"n", "1.5", "2", 0}, {"n", "-1.5", "-2", 0}, {"n", "TRUE", "1", 0}, {"n", "9223372036854775807", "9223372036854775807", 0},
		{"n", "9223372036854775808", "", erOutOfRange}, {"n", "'x'", "", erWrongFieldValue}, {"n", "'4x'", "", erWrongFieldValue}, {"n", "''", "", erWrongFieldValue}, {"n", "'[1]'", "", erWrongFieldValue},
		{"d", "1", "1", 0}, {"d", "'1e3'", "1000", 0}, {"d", "0.1", "0.1", 0}, {"d", "'x'", "", erWrongFieldValue},
		{"b", "TRUE", "true", 0}, {"b", "0", "false", 0}, {"b", "'1'", "true", 0}, {"b", "2", "", erOutOfRange}, {"b", "'yes'", "", erWrongFieldValue}, {"b", "-1", "", erOutOfRange},
		{"m", "1", "1.00", 0}, {"m", "'1234.565'", "1234.57", 0}, {"m", "9999.99", "9999.99", 0}, {"m", "10000", "", erOutOfRange}, {"m", "'x'", "", erWrongFieldValue},
		{"t", "'2026-05-01'", `"2026-05-01 00:00:00"`, 0}, {"t", "TIMESTAMP('2026-05-01 01:02:03.000004')", `"2026-05-01 01:02:03.000004"`, 0}, {"t", "'x'", "", erWrongValue}, {"t", "'0000-00-00'", "", erWrongValue},
		{"j", "'{\"a\": 1.0}'", `{"a":1.0}`, 0}, {"j", "'5'", "5", 0}, {"j", "'\"x\"'", `"x"`, 0}, {"j", "JSON_ARRAY(1, 'x')", `[1,"x"]`, 0}, {"j", "'x'", "", erInvalidJSON}, {"j", "7", "7", 0},
		{"j", "'null'", "null", 0},
	} {
		statement := fmt.Sprintf("INSERT INTO events (event, time, insert_id, %s) VALUES ('a', '2026-05-01', '%d', %s)", c.column, i, c.value)
		if c.code != 0 {
			w.refused(statement, c.code, "'"+c.column+"' at row 1")
			continue
		}
		w.must(statement)
		w.want(fmt.Sprintf("SELECT properties FROM events WHERE insert_id = '%d'", i), fmt.Sprintf(`{"%s":%s}`, c.column, c.stored))
	}
	w.refused("INSERT INTO events (event, time, d) VALUES ('a', '2026-05-01', 1e308 * 10)", codeNumberRange, "DOUBLE value")
}

func TestReplaceUnderEachKey(t *testing.T) {
	const at = catalog.DayMicros + 500
	p := &catalog.Project{ID: 1, Buckets: 4}
	day, ok := keyOf(p, "buy", at, "ann", "1")
	if !ok || day.name != "buy" || day.millis != 0 || day.shard.Day != 1 {
		t.Errorf("KEY=DAY: %+v", day)
	}
	p.Policies = []catalog.PolicyRule{{From: 1, To: 1, Policy: catalog.Policy{Key: catalog.KeyExact}}, {From: -1, To: -1, Policy: catalog.Policy{Key: catalog.KeyExact}}, {From: 2, To: 2, Policy: catalog.Policy{Key: catalog.KeyID}}}
	if k, _ := keyOf(p, "buy", at+1000, "ann", "1"); k.millis != 86_400_001 || k.name != "buy" {
		t.Errorf("KEY=EXACT: %+v", k)
	}
	if k, _ := keyOf(p, "buy", -1, "ann", "1"); k.millis != -1 {
		t.Errorf("KEY=EXACT before 1970: %+v", k)
	}
	if k, _ := keyOf(p, "buy", at+catalog.DayMicros, "ann", "1"); k.name != "" || k.millis != 0 {
		t.Errorf("KEY=ID: %+v", k)
	}
	if _, ok := keyOf(p, "buy", at, "ann", ""); ok {
		t.Error("an event without an insert id has a key")
	}
}

func BenchmarkInsertIntoManyColumns(b *testing.B) {
	w := newWideWorld(b, 3990)
	b.ResetTimer()
	for i := range b.N {
		w.must(fmt.Sprintf("INSERT INTO events (event, time, insert_id, p1) VALUES ('x', '2026-01-11', 'b%d', 1)", i))
	}
}
