package gateway

import (
	"strings"
	"testing"
)

// TestMomentLiterals: DATE '…', TIME '…' and TIMESTAMP '…' have their types, in results, in
// arithmetic and in comparisons.
func TestMomentLiterals(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	rows, err := c.QueryContext(t.Context(), `SELECT DATE '2026-01-02', date'2026-1-2' AS d, TIME '10:20:30', TIMESTAMP '2026-01-02 10:20:30.25', {d '2026-01-02'}, {ts "2026-01-02 10:20:30"}, {t '1:2:3'}`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := rows.ColumnTypes()
	rows.Close()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range columns {
		got = append(got, c.Name()+" "+c.DatabaseTypeName())
	}
	const want = "DATE '2026-01-02' DATE, d DATE, TIME '10:20:30' TIME, TIMESTAMP '2026-01-02 10:20:30.25' DATETIME, date( '2026-01-02') DATE"
	if text := strings.Join(got, ", "); !strings.HasPrefix(text, "DATE '2026-01-02' DATE, d DATE, TIME '10:20:30' TIME, TIMESTAMP '2026-01-02 10:20:30.25' DATETIME, ") ||
		!strings.HasSuffix(got[4], " DATE") || !strings.HasSuffix(got[5], " DATETIME") || !strings.HasSuffix(got[6], " TIME") {
		t.Errorf("columns are %s, want %s …", text, want)
	}
	for _, q := range [][2]string{
		{`DATE '2026-01-31' + INTERVAL 1 MONTH, DATE '2026-01-02' + 0, TIMESTAMP '2026-01-02 10:20:30' + 0, TIME '10:00:00' + INTERVAL 1 HOUR`, "2026-02-28|20260102|20260102102030|11:00:00"},
		{`DATE '26-1-2', DATE '20260102', DATE '260102', TIMESTAMP '20260102102030', TIMESTAMP '2026-01-02T10:20', TIMESTAMP '2026/01/02 1:2:3.1234567'`, "2026-01-02|2026-01-02|2026-01-02|2026-01-02 10:20:30|2026-01-02 10:20:00|2026-01-02 01:02:03.123457"},
		{`TIME '-10:20', TIME '2 3:4:5', TIME '102030', TIME '838:59:59'`, "-10:20:00|51:04:05|10:20:30|838:59:59"},
		{`'DATE ''x''', CONCAT(DATE '2026-01-02', '!'), DATE '2026-01-02' > '2026-01-01', TIMESTAMP '2026-01-02 00:00:00' = DATE '2026-01-02'`, "DATE 'x'|2026-01-02!|1|1"},
		{`DATE_FORMAT(DATE '2026-01-02', '%d'), DATE('2026-01-02 10:00:00'), TIMESTAMP('2026-01-02'), TIME('10:20:30')`, "02|2026-01-02|2026-01-02 00:00:00|10:20:30"},
		{`MAX(DATE '2026-01-02'), COUNT(DISTINCT TIMESTAMP '2026-01-02 10:20:30') FROM words`, "2026-01-02|1"},
	} {
		mustQuery(t, c, "SELECT "+q[0], q[1])
	}
	mustQuery(t, c, `SELECT DATE '2026-01-02' + INTERVAL ? DAY`, "2026-01-05", 3)
	for text, code := range map[string]uint16{
		"DATE '2026-02-30'": 1525, "DATE 'x'": 1525, "DATE ''": 1525, "DATE '0000-00-00'": 1525, "DATE '2026-01-02 10:00:00'": 1525, "TIMESTAMP '2026-01-02'": 1525,
		"TIMESTAMP '2026-01-02 25:00:00'": 1525, "TIME 'x'": 1525, "TIME '839:00:00'": 1525, "TIME '2026-01-02 10:00:00'": 1525,
	} {
		failing(t, c, "SELECT "+text, code, "Incorrect ")
	}
}

func TestMomentLiteralsInText(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT DATE '2026-01-02'":                                  "SELECT arbor_DATE( '2026-01-02')",
		"SELECT a.date 'x', time\n\"1:2\"":                          "SELECT a.date 'x', arbor_time(\n\"1:2\")",
		"INSERT INTO t VALUES (DATE '2026-01-02', 'date ')":         "INSERT INTO t VALUES (DATE '2026-01-02', 'date ')",
		"INSERT INTO t VALUES (DATE '2026-01-02' + INTERVAL 1 DAY)": "INSERT INTO t VALUES (arbor_DATE( '2026-01-02') + INTERVAL 1 DAY)",
		"CALL arbor.p(DATE '2026-01-02')":                           "CALL arbor.p(DATE '2026-01-02')",
		"SELECT * FROM e AS OF TIMESTAMP '2026-01-02'":              "SELECT * FROM e AS OF TIMESTAMP '2026-01-02'",
		"SELECT 'a date' 'x', update 'y', `date` 'z'":               "SELECT 'a date' 'x', update 'y', `date` 'z'",
		"SELECT N'x', 0b101":                                        "SELECT  'x', b'101'",
	} {
		got := withPlainLiterals(text)
		if got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
		if again := withPlainLiterals(got); again != got {
			t.Errorf("%s becomes %s", got, again)
		}
		if back := withMomentLiterals(got); strings.Contains(got, momentLiteralPrefix) && back != text {
			t.Errorf("%s is shown as %s, want %s", got, back, text)
		}
	}
}
