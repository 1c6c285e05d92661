package gateway

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"arbor/catalog"
	"arbor/engine/exec"
)

var loadHandlers atomic.Int64

// loader sends files of LOAD DATA LOCAL to a world over one connection.
type loader struct {
	t  *testing.T
	db *sql.DB
	c  *sql.Conn
}

func newLoader(t *testing.T, w *sqlWorld, parameters string) *loader {
	t.Helper()
	db, err := sql.Open("mysql", "root@tcp("+w.listen()+")/shop?"+parameters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &loader{t, db, c}
}

// load runs a statement in which ? is the file, and gives the affected rows.
func (l *loader) load(file io.Reader, statement string) (int64, error) {
	l.t.Helper()
	name := fmt.Sprint("file", loadHandlers.Add(1))
	driver.RegisterReaderHandler(name, func() io.Reader { return file })
	defer driver.DeregisterReaderHandler(name)
	res, err := l.c.ExecContext(context.Background(), strings.Replace(statement, "?", "'Reader::"+name+"'", 1))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// want loads a file and compares the affected rows and the warnings.
func (l *loader) want(file, statement string, affected int64, warnings ...string) {
	l.t.Helper()
	n, err := l.load(strings.NewReader(file), "LOAD DATA LOCAL INFILE ? "+statement)
	if err != nil || n != affected {
		l.t.Errorf("%s\ngot %d affected rows, %v; want %d", statement, n, err, affected)
		return
	}
	var got []string
	rows, err := l.c.QueryContext(context.Background(), "SHOW WARNINGS")
	if err != nil {
		l.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var level, code, text string
		if err := rows.Scan(&level, &code, &text); err != nil {
			l.t.Fatal(err)
		}
		got = append([]string{code + " " + text}, got...)
	}
	bad := len(got) != len(warnings)
	for i := range min(len(got), len(warnings)) {
		bad = bad || !strings.HasPrefix(got[i], warnings[i])
	}
	if bad {
		l.t.Errorf("%s\ngot warnings\n  %s\nwant\n  %s", statement, strings.Join(got, "\n  "), strings.Join(warnings, "\n  "))
	}
}

func (l *loader) refused(statement string, code uint16, words string) {
	l.t.Helper()
	_, err := l.load(strings.NewReader("a\tb\n"), statement)
	var fault *driver.MySQLError
	if !errors.As(err, &fault) || fault.Number != code || !strings.Contains(fault.Message, words) {
		l.t.Errorf("%s\ngot %v, want %d %q", statement, err, code, words)
	}
}

func newLoadWorld(t *testing.T) (*sqlWorld, *loader) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop",
		"ALTER TABLE events ADD COLUMN n BIGINT, ADD COLUMN price DOUBLE, ADD COLUMN plan TEXT, ADD COLUMN paid BOOL, ADD COLUMN cost DECIMAL(20,4), ADD COLUMN tags JSON, ADD COLUMN due DATETIME(6)")
	return w, newLoader(t, w, "")
}

func TestLoadData(t *testing.T) {
	w, l := newLoadWorld(t)
	l.want("Buy\t2026-05-01 10:00:00.5\tann\ti1\t-7\t2.5\tpro\t1\t12.3456\t[1, {\"a\": null}]\t2026-05-02 00:00:00\n"+
		"Buy\t2026-05-01 10:00:01\tbob\t\\N\t\\N\t\\N\tNULL\t\\N\t\\N\t\\N\t\\N\n",
		"INTO TABLE events (event, time, distinct_id, insert_id, n, price, plan, paid, cost, tags, due)", 2)
	w.want("SELECT event, time, distinct_id, insert_id, n, price, plan, paid, cost, tags, due FROM events ORDER BY time",
		`Buy 2026-05-01 10:00:00.500000 ann i1 -7 2.5 pro 1 12.3456 [1,{"a":null}] 2026-05-02 00:00:00.000000`,
		"Buy 2026-05-01 10:00:01.000000 bob NULL NULL NULL NULL NULL NULL NULL NULL")
	w.want("SELECT properties FROM events WHERE distinct_id = 'bob'", `{"plan":"NULL"}`)
	w.must("DELETE FROM events")

	// Without a list, the columns of SELECT * in their order.
	l.want("Buy\t2026-05-01 10:00:00\tann\tx\t1\t1.5\tfree\t0\t1\t{}\t2026-05-02 00:00:00\t{\"more\": 12345678901234567890}\n", "INTO TABLE events", 1)
	w.want("SELECT n, plan, paid, properties->'$.more' FROM events", "1 free 0 12345678901234567890")
	w.must("DELETE FROM events")

	// Fields, lines, IGNORE, variables and SET.
	l.want("time;who;paid\r\n1777629600;'ann; the 1st';3\r\n1777629601;bob;4\r\n",
		`INTO TABLE shop.events CHARACTER SET utf8mb4 FIELDS TERMINATED BY ';' OPTIONALLY ENCLOSED BY '\'' LINES TERMINATED BY '\r\n' IGNORE 1 LINES
		(@seconds, distinct_id, @paid) SET event = 'Visit', time = FROM_UNIXTIME(@seconds), n = @paid * 2, plan = CONCAT(UPPER(distinct_id), '-', @paid), insert_id = NULL`, 2)
	w.want("SELECT event, time, distinct_id, n, plan, insert_id FROM events ORDER BY time",
		"Visit 2026-05-01 10:00:00.000000 ann; the 1st 6 ANN; THE 1ST-3 NULL", "Visit 2026-05-01 10:00:01.000000 bob 8 BOB-4 NULL")
	w.must("DELETE FROM events")
	l.want("Open\tann\t5\n", "INTO TABLE events (event, distinct_id, n) SET n = n + 1, price = plan, properties = JSON_OBJECT('colour', 'red', 'n', 99)", 1)
	w.want("SELECT event, distinct_id, n, price, properties FROM events", `Open ann 6 NULL {"colour":"red","n":6}`)
	w.must("DELETE FROM events")
}

func TestLoadDataCounts(t *testing.T) {
	w, l := newLoadWorld(t)
	l.want("a\tann\t1\t2026-05-01\na\tann\t1\t2026-05-01\na\tann\t2\t2026-05-01\n", "INTO TABLE events (event, distinct_id, insert_id, time)", 2)
	w.want("SELECT COUNT(*) FROM events", "2")
	// A row that was loaded before is skipped; REPLACE takes its place.
	l.want("a\tann\t1\t2026-05-01\n", "INTO TABLE events (event, distinct_id, insert_id, time)", 0)
	l.want("a\tann\t1\t2026-05-01\t7\n", "REPLACE INTO TABLE events (event, distinct_id, insert_id, time, n)", 2)
	w.want("SELECT insert_id, n FROM events ORDER BY insert_id", "1 7", "2 NULL")
	w.must("DELETE FROM events")

	l.want("a\tx\n\n\\N\t3\nb\t4\t5\nc\n", "INTO TABLE events (event, n)", 3,
		"1366 Incorrect integer value: 'x' for column 'n' at row 1",
		"1261 Row 2 doesn't contain data for all columns",
		"1366 Incorrect value for column 'event' at row 2",
		"1048 Column 'event' cannot be null",
		"1262 Row 4 was truncated; it contained more data than there were input columns",
		"1261 Row 5 doesn't contain data for all columns")
	w.want("SELECT event, n FROM events ORDER BY event", "a NULL", "b 4", "c NULL")
	w.must("DELETE FROM events")
	l.want("a\t\\N\t\\N\nb\tnever\tann\nc\t2030-01-01\tbob\n", "INTO TABLE events (event, time, distinct_id)", 1,
		"1263 Column set to default value; NULL supplied to NOT NULL column 'time' at row 1",
		"1263 Column set to default value; NULL supplied to NOT NULL column 'distinct_id' at row 1",
		"1292 Incorrect datetime value: 'never' for column 'time' at row 2",
		"1292 Incorrect datetime value for column 'time' at row 3: it is more than 48 hours ahead")
	w.want("SELECT event, _time_raw, distinct_id FROM events", "a NULL ")
	w.must("DELETE FROM events")
	l.want("a\t\xff\nb\tü\n", "INTO TABLE events (event, plan)", 2, "1366 Incorrect string value: '\\xFF' for column 'plan' at row 1")
	w.want("SELECT event, plan FROM events ORDER BY event", "a NULL", "b ü")
	w.must("DELETE FROM events")
	l.want("a\t\xfc\n", "INTO TABLE events CHARACTER SET latin1 (event, plan)", 1)
	w.want("SELECT event, plan FROM events", "a ü")
	w.must("DELETE FROM events")
	l.want("", "INTO TABLE events (event)", 0)
	l.want("a\nb\nc", "INTO TABLE events IGNORE 2 ROWS (event)", 1)
	l.want("a\nb\nc", "INTO TABLE events IGNORE 4 LINES (event)", 0)
	w.want("SELECT event FROM events", "c")
	// Many warnings are counted, and the first of them kept.
	n, err := l.load(strings.NewReader(strings.Repeat("\\N\n", 3*maxWarnings)+"d\n"), "LOAD DATA LOCAL INFILE ? INTO TABLE events (event)")
	if err != nil || n != 1 {
		t.Errorf("got %d, %v", n, err)
	}
	var warnings int
	if err := l.c.QueryRowContext(context.Background(), "SHOW COUNT(*) WARNINGS").Scan(&warnings); err == nil && warnings != maxWarnings {
		t.Errorf("%d warnings are kept", warnings)
	}
}

func TestLoadDataLimits(t *testing.T) {
	w, l := newLoadWorld(t)
	for _, c := range []struct {
		bytes    int
		affected int64
	}{{1000, 1}, {1 << 20, 0}, {maxLoadRow - 2, 0}, {maxLoadRow - 1, 0}} {
		warnings := []string{"1406 Data too long"}
		if c.affected == 1 {
			warnings = nil
		}
		l.want("a\t"+strings.Repeat("x", c.bytes)+"\nb\ty\n", "INTO TABLE events (event, plan)", c.affected+1, warnings...)
	}
	w.want("SELECT COUNT(*) FROM events WHERE event = 'b'", "4")
}

func TestLoadDataRefusals(t *testing.T) {
	w, l := newLoadWorld(t)
	l.refused("LOAD DATA INFILE ? INTO TABLE events (event)", 1235, "LOCAL")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event, nothing)", 1054, "nothing")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event) SET n = nothing", 1054, "nothing")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event) SET nothing = 1", 1054, "nothing")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event, event)", 1110, "")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (distinct_id)", 1364, "event")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (@a)", 1364, "event")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event, @@version)", 1064, "")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE nothing (event)", 1146, "nothing")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE nowhere.events (event)", 1049, "nowhere")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events FIELDS TERMINATED BY '' (event)", 1235, "fixed width")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events FIELDS ENCLOSED BY 'ab' (event)", 1083, "")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events FIELDS ESCAPED BY 'ab' (event)", 1083, "")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events CHARACTER SET klingon (event)", 1115, "klingon")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events CHARACTER SET utf16 (event)", 1235, "utf16")
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event) SET plan = (SELECT MAX(plan) FROM events)", 1235, "subquery")
	var fault *driver.MySQLError
	if _, err := l.c.PrepareContext(context.Background(), "LOAD DATA LOCAL INFILE 'x' INTO TABLE events (event)"); !errors.As(err, &fault) || fault.Number != 1295 {
		t.Errorf("prepared: got %v, want 1295", err)
	}
	if _, err := l.c.ExecContext(context.Background(), "PREPARE s FROM \"LOAD DATA LOCAL INFILE 'x' INTO TABLE events (event)\""); err == nil {
		_, err = l.c.ExecContext(context.Background(), "EXECUTE s")
		if !errors.As(err, &fault) || fault.Number != 1295 && fault.Number != 1235 {
			t.Errorf("prepared as text: got %v, want 1295", err)
		}
	} else if !errors.As(err, &fault) || fault.Number != 1295 {
		t.Errorf("prepared as text: got %v, want 1295", err)
	}
	if _, err := l.c.ExecContext(context.Background(), "SET GLOBAL local_infile = 0"); err != nil {
		t.Fatal(err)
	}
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event)", 3948, "disabled")
	if _, err := l.c.ExecContext(context.Background(), "SET GLOBAL local_infile = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.c.ExecContext(context.Background(), "START TRANSACTION READ ONLY"); err != nil {
		t.Fatal(err)
	}
	l.refused("LOAD DATA LOCAL INFILE ? INTO TABLE events (event)", 1792, "READ ONLY")
	if _, err := l.c.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	w.want("SELECT COUNT(*) FROM events", "0")
	// The connection is as it was.
	l.want("a\n", "INTO TABLE events (event)", 1)
}

// repeated is a text n times over, without holding it.
type repeated struct {
	text []byte
	n    int
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.at:])
	if r.at += n; r.at == len(r.text) {
		r.at = 0
		r.n--
	}
	return n, nil
}

// A file is taken in by parts, and held no longer than they are.
func TestLoadDataInParts(t *testing.T) {
	w, counted := newCountedWorld(t)
	l := newLoader(t, w, "")
	const rows = 3*insertRows + 1
	if n, err := l.load(&repeated{text: []byte("Visit\tann\n"), n: rows}, "LOAD DATA LOCAL INFILE ? INTO TABLE events (event, distinct_id)"); err != nil || n != rows {
		t.Fatalf("got %d, %v", n, err)
	}
	if got := counted.appends.Load(); got != 4 {
		t.Errorf("got %d parts, want 4", got)
	}
	w.want("SELECT COUNT(*), COUNT(DISTINCT _ingest_id) FROM events", fmt.Sprint(rows, " ", rows))
	counted.fail = errors.New("the disk is gone")
	if _, err := l.load(&repeated{text: []byte("Visit\tann\n"), n: rows}, "LOAD DATA LOCAL INFILE ? INTO TABLE events (event, distinct_id)"); err == nil {
		t.Error("a load that was not stored succeeded")
	}
	counted.fail = nil
	l.want("a\n", "INTO TABLE events (event)", 1)
}

// KILL ends a load, and its connection goes on.
func TestLoadDataIsKilled(t *testing.T) {
	w, _ := newCountedWorld(t)
	l := newLoader(t, w, "")
	var id string
	if err := l.c.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	begun, killed := make(chan bool), make(chan bool)
	go func(begun <-chan bool) {
		<-begun
		if _, err := l.db.Exec("KILL QUERY " + id); err != nil {
			t.Error(err)
		}
		close(killed)
	}(begun)
	once := false
	_, err := l.load(readerFunc(func(p []byte) (int, error) {
		if !once {
			once = true
			return copy(p, "Visit\n"), nil
		}
		if begun != nil {
			close(begun)
			begun = nil
			<-killed
			return copy(p, strings.Repeat("Visit\n", 10)), nil
		}
		return 0, io.EOF
	}), "LOAD DATA LOCAL INFILE ? INTO TABLE events (event)")
	var fault *driver.MySQLError
	if !errors.As(err, &fault) || fault.Number != 1317 {
		t.Errorf("got %v, want 1317", err)
	}
	w.want("SELECT COUNT(*) FROM events", "0")
	l.want("a\n", "INTO TABLE events (event)", 1)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A load needs the right to insert, and not FILE, which reads on the server.
func TestLoadDataPrivileges(t *testing.T) {
	w, _ := newLoadWorld(t)
	w.must("CREATE USER 'in'@'%' IDENTIFIED BY ''", "CREATE USER 'out'@'%' IDENTIFIED BY ''",
		"GRANT INSERT ON shop.* TO 'in'@'%'", "GRANT SELECT ON shop.* TO 'out'@'%'")
	address := w.listen()
	for user, code := range map[string]uint16{"in": 0, "out": 1142} {
		db, err := sql.Open("mysql", user+"@tcp("+address+")/shop")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		driver.RegisterReaderHandler("privileges", func() io.Reader { return strings.NewReader("a\n") })
		_, err = db.Exec("LOAD DATA LOCAL INFILE 'Reader::privileges' INTO TABLE events (event)")
		var fault *driver.MySQLError
		if errors.As(err, &fault); code == 0 && err != nil || code != 0 && (fault == nil || fault.Number != code) {
			t.Errorf("%s: got %v, want %d", user, err, code)
		}
	}
}

// Texts become the numbers that the SQL library makes of them.
func TestQuickNumbers(t *testing.T) {
	ctx := newSQLWorld(t).context()
	in := &insertion{}
	for _, kind := range []catalog.Type{catalog.TypeInt, catalog.TypeDouble} {
		c := &insertColumn{eventsColumn: eventsColumn{name: "n", sqlType: sqlType(kind, 0, 0), exec: exec.Column{Type: kind}}}
		for _, text := range []string{"0", "-0", "1", "-1", "007", "-12", "123456789012345", "1234567890123456", "1.5", "-1.5", "0.0", "-0.0", "1.", ".5", "1e3", "+1", " 1", "1 ", "", "-", "1.2.3", "0.1", "99999999999.999", "1_000", "0x10", "١"} {
			quick, ok := quickNumber(c.exec.Type, text)
			if !ok {
				continue
			}
			slow, err := in.number(ctx, c, text)
			if err != nil || slow != quick {
				t.Errorf("%s as %s: quickly %v, by the library %v, %v", text, c.sqlType, quick, slow, err)
			}
		}
	}
}
