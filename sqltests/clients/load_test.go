package clients

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"arbor/sqltests/server"
)

// writeLoadFile writes a file for LOAD DATA.
func writeLoadFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMariaDBLoadsFiles loads files with the mariadb command line.
func TestMariaDBLoadsFiles(t *testing.T) {
	s := server.Start(t)
	file := writeLoadFile(t, "visits.csv", "when,who,what\n"+
		"2026-01-01 10:00:00,\"ann, the first\",\"say \"\"hi\"\"\"\n2026-01-01 10:00:01,bob,\\N\nnever,eve,x\n2026-01-01 10:00:00,\"ann, the first\",again\n")
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, "Load\t2026-01-01 %02d:%02d:%02d\tuser %d\tid %d\n", i/3600%24, i/60%60, i%60, i%1000, i)
	}
	large := writeLoadFile(t, "many.tsv", many.String())
	out, complaint, err := mariadb(t, s, `
CREATE DATABASE shop;
USE shop;
ALTER TABLE events ADD COLUMN said TEXT;
LOAD DATA LOCAL INFILE '`+file+`' INTO TABLE events
  FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' LINES TERMINATED BY '\n' IGNORE 1 LINES
  (time, distinct_id, @said) SET event = 'Visit', said = UPPER(@said), insert_id = CONCAT(distinct_id, '!');
SHOW WARNINGS;
SELECT event, time, distinct_id, insert_id, said FROM events ORDER BY time;
SELECT COUNT(*) FROM events_all;
LOAD DATA LOCAL INFILE '`+large+`' INTO TABLE events (event, time, distinct_id, insert_id);
SELECT COUNT(*), COUNT(DISTINCT distinct_id), SUM(CAST(SUBSTRING(insert_id, 4) AS SIGNED)) FROM events WHERE event = 'Load';
LOAD DATA LOCAL INFILE '`+large+`' INTO TABLE events (event, time, distinct_id, insert_id);
SELECT COUNT(*) FROM events WHERE event = 'Load';
`, "--local-infile=1", "-N", "-vv")
	if err != nil {
		t.Fatalf("%v: %s", err, complaint)
	}
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "\t") || strings.HasPrefix(line, "Records") || strings.HasPrefix(line, "Query OK") || strings.Trim(line, "0123456789") == "" && line != "" {
			line, _, _ = strings.Cut(line, " (") // the time that it took
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		"Query OK, 2 rows affected, 1 warning\nRecords: 4  Deleted: 0  Skipped: 2  Warnings: 1\nWarning\t1292\tIncorrect datetime value: 'never' for column 'time' at row 3",
		"Visit\t2026-01-01 10:00:00.000000\tann, the first\tann, the first!\tSAY \"HI\"\nVisit\t2026-01-01 10:00:01.000000\tbob\tbob!\tNULL\n3",
		"Query OK, 100000 rows affected\nRecords: 100000  Deleted: 0  Skipped: 0  Warnings: 0\n100000\t1000\t4999950000",
		"Query OK, 0 rows affected\nRecords: 100000  Deleted: 0  Skipped: 100000  Warnings: 0\n100000",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwhich lacks\n%s", got, want)
		}
	}
	for _, c := range []struct{ sql, want string }{
		{"LOAD DATA INFILE '/etc/passwd' INTO TABLE shop.events (event)", "ERROR 1235 (42000)"},
		{"LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE shop.events (nothing)", "ERROR 1054 (42S22)"},
		{"LOAD DATA LOCAL INFILE '" + file + ".none' INTO TABLE shop.events (event)", "not found"},
	} {
		if _, complaint, err := mariadb(t, s, c.sql+";", "--local-infile=1"); err == nil || !strings.Contains(complaint, c.want) {
			t.Errorf("%s: got %q, want %s", c.sql, strings.TrimSpace(complaint), c.want)
		}
	}
	if _, complaint, err := mariadb(t, s, "LOAD DATA LOCAL INFILE '"+file+"' INTO TABLE shop.events (event);", "--local-infile=0"); err == nil {
		t.Errorf("a client that sends no files: got no error but %q", complaint)
	}
}

// TestMariaDBImport loads a file with mariadb-import.
func TestMariaDBImport(t *testing.T) {
	s := server.Start(t)
	s.Exec(t, "CREATE DATABASE shop")
	file := writeLoadFile(t, "events.txt", "Open;ann\nOpen;bob\n")
	out, err := exec.Command("mariadb-import", "--no-defaults", "-h", "127.0.0.1", "-P", server.Port(s.MySQL), "-u", "root", "--local",
		"--fields-terminated-by=;", "--columns=event,distinct_id", "--verbose", "shop", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Records: 2  Deleted: 0  Skipped: 0  Warnings: 0") {
		t.Errorf("%v: %s", err, out)
	}
	if got := s.QueryOne(t, "SELECT GROUP_CONCAT(distinct_id ORDER BY distinct_id) FROM shop.events"); got != "ann,bob" {
		t.Errorf("got %s", got)
	}
}

// TestGoSQLDriverLoads loads what a Go program reads.
func TestGoSQLDriverLoads(t *testing.T) {
	s := server.Start(t)
	s.Exec(t, "CREATE DATABASE shop")
	mysql.RegisterReaderHandler("events", func() io.Reader { return strings.NewReader("Open,ann\nOpen,bob") })
	defer mysql.DeregisterReaderHandler("events")
	res, err := open(t, s, "shop").Exec("LOAD DATA LOCAL INFILE 'Reader::events' INTO TABLE events FIELDS TERMINATED BY ',' (event, distinct_id)")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := res.RowsAffected(); n != 2 {
		t.Errorf("got %d rows, want 2", n)
	}
}
