package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dolthub/vitess/go/vt/sqlparser"
	driver "github.com/go-sql-driver/mysql"

	"arbor/cluster"
	"arbor/sqltests/oracle"
)

// insertPair is two servers over models that get the same statements: one reads
// literals beside the plan, the other plans every row.
type insertPair struct {
	t      *testing.T
	worlds [2]*sqlWorld
	served [2]*testServer
	raw    [2]*rawClient
	seen   [2]int // records of the models that were compared
}

// newInsertPair makes a pair. Counting duplicates takes the model long, so it is
// for tests of few rows.
func newInsertPair(t *testing.T, duplicates bool) *insertPair {
	p := &insertPair{t: t}
	for i := range p.worlds {
		w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
			if duplicates {
				return m
			}
			return &countedAppends{Model: m}
		})
		w.must("CREATE DATABASE test", "USE test", "ALTER TABLE events ADD COLUMN n BIGINT, ADD COLUMN d DOUBLE, ADD COLUMN s LONGTEXT, ADD COLUMN b TINYINT(1)",
			"ALTER TABLE events ADD COLUMN j JSON, ADD COLUMN at DATETIME(6), ADD COLUMN m DECIMAL(10,2), ADD COLUMN Zed BIGINT, ADD COLUMN `a b` VARCHAR(255)")
		if i == 1 {
			w.engine.events = nil
		}
		p.worlds[i] = w
		p.served[i] = serveEngine(t, w.engine, serverOptions{})
		p.raw[i] = dialRaw(t, p.served[i].address)
		p.raw[i].login()
	}
	return p
}

// same sends a statement to both and compares the answers, byte for byte, and
// what is stored.
func (p *insertPair) same(statement string) {
	p.t.Helper()
	var answers [2]string
	for i, c := range p.raw {
		_, last := c.query(statement)
		answers[i] = string(last)
		_, last = c.query("SHOW WARNINGS")
		answers[i] += string(last)
	}
	if answers[0] != answers[1] {
		p.t.Fatalf("%.300s\nanswers %q\nwant    %q", statement, answers[0], answers[1])
	}
	p.compareStored(statement)
}

func (p *insertPair) compareStored(statement string) {
	p.t.Helper()
	var stored [2][]string
	for i, w := range p.worlds {
		records := w.model.Records()
		for _, r := range records[p.seen[i]:] {
			if r.Event == nil {
				stored[i] = append(stored[i], "a delete")
				continue
			}
			e := *r.Event
			e.ID.Time, e.ID.Edge = 0, 0
			if e.ServerTime {
				e.Time = 0
			}
			stored[i] = append(stored[i], fmt.Sprintf("%+v", e))
		}
		p.seen[i] = len(records)
	}
	if !slices.Equal(stored[0], stored[1]) {
		p.t.Fatalf("%.300s\nstored %s\nwant   %s", statement, strings.Join(stored[0], "\n"), strings.Join(stored[1], "\n"))
	}
}

// literalTexts are what a row gives for a column.
var literalTexts = []string{
	"NULL", "TRUE", "false", "0", "1", "-1", "127", "128", "-129", "70000", "4294967296", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615",
	"123456789012345678901234567890", "1.5", "-1.5", "0.0", "-0.0", "00012", "1.10", ".5", "5.", "123456789.123456789", "1e3", "-2.5E-3", "1e400", "12345678.995", "0.1", "99999999999999.99",
	"-0", "-00.50", "999999999999999", "-123456789012345678", "1234567890.12345", "'-0'", "'007'", "'-7'", "'-'", "'.1'", "'1.'", "'1e3'", "'999999999999999'", "'-12.25'",
	"''", "'a'", "'It''s'", `'tab\tand \\ and é'`, "'5'", "' 5 '", "'1.5'", "'x'", "'[1, 2]'", `'{"a": 1}'`, `'{"a":'`, "'2026-05-01'", "'2026-05-01 10:00:00'", "'2026-05-01 10:00:00.5'",
	"'2026-05-01 10:00:00.123456'", "'2026-05-01 10:00:00.1234567'", "'2026-02-29 10:00:00'", "'2024-02-29 23:59:59'", "'2026-13-01 10:00:00'", "'0000-00-00 00:00:00'", "'2026-05-01T10:00:00Z'",
	"'2026-05-01 24:00:00'", "'9999-12-31 23:59:59.999998'", "'1000-01-01 00:00:00'", "'2026-05-01 1:00:00'", "'2026-05-01 10:00:00.'", "20260501", "20260501100000",
	`'\0\0\0\0\0\0\0\0\0\0 10:00:00'`, `'\0'`, `'2026-05-01 10:00:00\0'`,
	"X'41'", "0x41", "b'1'", "DEFAULT", "1 + 1", "NOW(6) > 0", "_utf8mb4'x'", "- 5", "+5", "-'5'", "'" + strings.Repeat("x", 256) + "'", "'" + strings.Repeat("é", 255) + "'",
}

var literalColumns = []string{"event", "time", "distinct_id", "insert_id", "n", "d", "s", "b", "j", "at", "m", "Zed", "`a b`", "properties"}

// Every literal means the same for every column, alone and with IGNORE.
func TestLiteralsMeanWhatThePlanMakesOfThem(t *testing.T) {
	p := newInsertPair(t, false)
	for _, column := range literalColumns {
		for _, text := range literalTexts {
			columns, values, other := "event, "+column, "'e', "+text, "'e', NULL"
			if column == "event" {
				columns, values, other = "event", text, "'f'"
			}
			for _, ignore := range []string{"", "IGNORE "} {
				p.same(fmt.Sprintf("INSERT %sINTO events (%s) VALUES (%s), (%s)", ignore, columns, other, values))
				// The plan may be that of another value of the same kind.
				p.same(fmt.Sprintf("INSERT %sINTO events (%s) VALUES (%s)", ignore, columns, values))
				p.same(fmt.Sprintf("INSERT %sINTO events (%s) VALUES (%s), (%s)", ignore, columns, values, other))
			}
		}
	}
}

func TestRandomInsertsAreThoseOfThePlan(t *testing.T) {
	p := newInsertPair(t, false)
	r := rand.New(rand.NewPCG(9, 10))
	usual := []string{"'a'", "'b'", "1", "2.5", "NULL", "'2026-05-01 10:00:00'"}
	for range 300 {
		columns := slices.Clone(literalColumns)
		r.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
		columns = columns[:1+r.IntN(len(columns))]
		if !slices.Contains(columns, "event") && r.IntN(10) > 0 {
			columns = append(columns, "event")
		}
		var rows []string
		for range 1 + r.IntN(5) {
			var values []string
			for _, c := range columns {
				switch {
				case r.IntN(30) == 0:
					values = append(values, literalTexts[r.IntN(len(literalTexts))])
				case c == "event" || c == "distinct_id" || c == "insert_id":
					values = append(values, []string{"'x'", "'y'", "'z'"}[r.IntN(3)])
				case c == "time":
					values = append(values, []string{"'2026-05-01 10:00:00'", "'2026-05-02 10:00:00.25'"}[r.IntN(2)])
				case c == "properties" || c == "j":
					values = append(values, []string{"NULL", `'{"s": "t", "n": 1, "q": [1]}'`}[r.IntN(2)])
				case c == "at":
					values = append(values, []string{"NULL", "'2026-05-01'"}[r.IntN(2)])
				case c == "b":
					values = append(values, []string{"0", "1", "NULL", "TRUE"}[r.IntN(4)])
				case c == "n" || c == "Zed":
					values = append(values, []string{"0", "-7", "NULL", "123456789"}[r.IntN(4)])
				case c == "d" || c == "m":
					values = append(values, []string{"0.5", "-7.25", "NULL", "3"}[r.IntN(4)])
				default:
					values = append(values, usual[r.IntN(len(usual))])
				}
			}
			if r.IntN(60) == 0 {
				values = values[1:]
			}
			rows = append(rows, "("+strings.Join(values, ", ")+")")
		}
		verb := []string{"INSERT INTO", "INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"}[r.IntN(4)]
		p.same(fmt.Sprintf("%s events (%s) VALUES %s", verb, strings.Join(columns, ", "), strings.Join(rows, ", ")))
	}
}

func TestInsertsOfOtherFormsAreThoseOfThePlan(t *testing.T) {
	p := newInsertPair(t, true)
	for _, s := range []string{
		"INSERT INTO events VALUES ('a', '2026-05-01', 'u', 'i', 1, 2, 'x', 1, '[]', '2026-05-01', 1.5, 2, 'y', NULL), ('b', '2026-05-01', 'u', 'i', 1, 2, 'x', 1, '[]', '2026-05-01', 1.5, 2, 'y', NULL)",
		"INSERT INTO events VALUES ('a'), ('b')",
		"INSERT INTO events () VALUES (), ()",
		"INSERT INTO events (event) VALUES ('a'), ()",
		"INSERT INTO events (event, event) VALUES ('a', 'b'), ('c', 'd')",
		"INSERT INTO events (event, nothing) VALUES ('a', 'b'), ('c', 'd')",
		"INSERT INTO events (event) VALUES ('a'), ('b', 'c')",
		"INSERT INTO events (n) VALUES (1), (2)",
		"INSERT INTO nothing (event) VALUES ('a'), ('b')",
		"INSERT INTO nothing.events (event) VALUES ('a'), ('b')",
		"INSERT INTO arbor.projects (name) VALUES ('a'), ('b')",
		"INSERT INTO events_all (event) VALUES ('a'), ('b')",
		"INSERT INTO EVENTS (EVENT, N) VALUES ('a', 1), ('b', 2)",
		"INSERT INTO events (event) VALUES ('a'), ('b') ON DUPLICATE KEY UPDATE event = 'c'",
		"INSERT INTO events (event) VALUES ('a'), ('b') AS new",
		"INSERT INTO events (event) SELECT 'a' UNION ALL SELECT 'b'",
		"INSERT INTO events (event, insert_id) VALUES ('a', '1'), ('a', '1'), ('a', '1')",
		"REPLACE INTO events (event, insert_id, time) VALUES ('a', '1', '2026-05-01 00:00:00'), ('a', '1', '2026-05-01 00:00:00')",
		"INSERT INTO events (event, _ingest_id) VALUES ('a', '1'), ('b', '2')",
		"SET arbor_idempotency_key = 'key'",
		"INSERT INTO events (event) VALUES ('a'), ('b')",
		"INSERT INTO events (event, time) VALUES ('late', '2026-05-20 00:00:00'), ('b', '2026-05-01')",
		"START TRANSACTION READ ONLY", "INSERT INTO events (event) VALUES ('a'), ('b')", "COMMIT",
		"BEGIN", "INSERT INTO events (event) VALUES ('a'), ('b')", "ROLLBACK",
		"SELECT ROW_COUNT()",
		"EXPLAIN INSERT INTO events (event) VALUES ('a'), ('b')",
	} {
		p.same(s)
	}
}

// Prepared statements with rows of placeholders.
func TestBoundRowsAreThoseOfThePlan(t *testing.T) {
	p := newInsertPair(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, values := range [][]any{
		{"a", 1, 2.5, "s", "b", 2, -3.25, nil},
		{"a", int64(1) << 62, 1e300, "é", "b", nil, 0.0, []byte("bytes")},
		{"a", "5", "1.5", 5, "b", "x", 1, 1},
		{nil, 1, 1, 1, "b", 2, 2, 2},
		{"a", uint64(1) << 63, 1, 1, "b", 2, 2, 2},
		{"a", true, false, true, "b", 1.5, 2, 1.25},
		{"a", 1, 2, "\xff", "b", 1, 2, "x"},
		{"a", 1, 2, time.Date(2026, 5, 1, 10, 0, 0, 5000, time.UTC), "b", 1, 2, "x"},
	} {
		for _, statement := range []string{
			"INSERT INTO events (event, n, d, s) VALUES (?, ?, ?, ?), (?, ?, ?, ?)",
			"INSERT INTO events (event, n, d, at, time) VALUES (?, ?, ?, ?, '2026-05-01 10:00:00'), (?, ?, ?, ?, '2026-05-01')",
			"INSERT INTO events (event, s, j, properties) VALUES (?, ?, ?, ?), (?, ?, ?, ?)",
			"INSERT INTO events (event, m, s, n) VALUES (?, ?, ?, 1 + ?), (?, ?, ?, ?)",
		} {
			var answers [2]string
			for i, s := range p.served {
				db := s.open("root", "", func(c *driver.Config) { c.DBName = "test" })
				st, err := db.PrepareContext(ctx, statement)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					r, err := st.ExecContext(ctx, values...)
					n := int64(-1)
					if err == nil {
						n, _ = r.RowsAffected()
					}
					answers[i] += fmt.Sprintf("%d %v\n", n, err)
				}
				st.Close()
				db.Close()
			}
			if answers[0] != answers[1] {
				t.Fatalf("%s with %v: %s, want %s", statement, values, answers[0], answers[1])
			}
			p.compareStored(statement)
		}
	}
}

// Which statements' rows are read beside the plan.
func TestLiteralRowsAreFound(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE test", "USE test")
	ctx := w.context()
	for statement, want := range map[string]bool{
		"INSERT INTO events (event, n) VALUES ('a', 1), ('b', -2.5), (NULL, TRUE)": true,
		"INSERT IGNORE INTO test.events (event) VALUES ('a'), ('b')":               true,
		"REPLACE INTO Events_All VALUES ('a'), ('b')":                              true,
		"INSERT INTO events (event) VALUES ('a')":                                  true,
		"INSERT INTO events (event) VALUES ('a'), (NOW())":                         false,
		"INSERT INTO events (event) VALUES ('a'), (DEFAULT)":                       false,
		"INSERT INTO events (event) VALUES ('a'), (1e400)":                         false,
		"INSERT INTO events (event) VALUES ('a'), ('b', 'c')":                      false,
		"INSERT INTO events (event) VALUES ('a'), ('b') AS new":                    false,
		"INSERT INTO others (event) VALUES ('a'), ('b')":                           false,
		"INSERT INTO other.events (event) VALUES ('a'), ('b')":                     false,
		"INSERT INTO events (event) SELECT 'a'":                                    false,
		"DELETE FROM events":                                                       false,
	} {
		stmt, err := w.engine.gms.Parser.ParseSimple(statement)
		if err != nil {
			t.Fatal(err)
		}
		cut, _, rows := w.gateway.literalRowsOf(ctx, stmt, nil)
		if got := rows != nil; got != want {
			t.Errorf("%s: found %v, want %v", statement, got, want)
		}
		if rows != nil && len(cut.Rows.(*sqlparser.AliasedValues).Values) != 1 {
			t.Errorf("%s: more than one row is left", statement)
		}
	}
}

// A user without the right to insert is refused either way.
func TestLiteralsNeedTheRightToInsert(t *testing.T) {
	p := newInsertPair(t, true)
	var answers [2]string
	for i, c := range p.raw {
		c.query("CREATE USER reader IDENTIFIED BY 'secret'")
		c.query("GRANT SELECT ON test.* TO reader")
		db := p.served[i].open("reader", "secret", func(c *driver.Config) { c.DBName = "test" })
		_, err := db.Exec("INSERT INTO events (event) VALUES ('a'), ('b')")
		if err == nil {
			t.Error("the insert is allowed")
		}
		answers[i] = fmt.Sprint(err)
		db.Close()
	}
	if answers[0] != answers[1] {
		t.Errorf("%s, want %s", answers[0], answers[1])
	}
	p.compareStored("as reader")
}

func TestQuickDatetimeAgreesWithTheLibrary(t *testing.T) {
	w := newSQLWorld(t)
	ctx := w.context()
	r := rand.New(rand.NewPCG(11, 12))
	var q quickRows
	day := ""
	for range 20_000 {
		if day == "" || r.IntN(3) > 0 {
			day = fmt.Sprintf("%04d-%02d-%02d", r.IntN(10_000), r.IntN(14), r.IntN(33))
		}
		text := day + fmt.Sprintf(" %02d:%02d:%02d", r.IntN(25), r.IntN(61), r.IntN(61))
		if n := r.IntN(9); n > 0 {
			text += "." + fmt.Sprintf("%08d", r.IntN(100_000_000))[:n-1]
		}
		if r.IntN(20) == 0 {
			b := []byte(text)
			b[r.IntN(len(b))] = " x-:.5"[r.IntN(6)]
			text = string(b)
		}
		got, ok := quickDatetime(text)
		if inRow, read := q.time(&literal{sqlparser.StrVal, text}); read != ok || ok && inRow != got {
			t.Fatalf("%q: %d, %v, and in a row %d, %v", text, got, ok, inRow, read)
		}
		if !ok {
			continue
		}
		want, _, err := datetimeType.Convert(ctx, text)
		at, isTime := want.(time.Time)
		if err != nil || !isTime || at.UnixMicro() != got {
			t.Fatalf("%q: %d (%s), the library has %v, %v", text, got, time.UnixMicro(got).UTC(), want, err)
		}
	}
}
