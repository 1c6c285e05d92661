package sqltests

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/go-sql-driver/mysql"
)

// judge is a MariaDB, which says what the statements of tools answer.
type judge struct {
	conn *sql.Conn
}

// eventsOfJudge is the table that a project has from the beginning.
const eventsOfJudge = "CREATE TABLE `%s`.events (event TEXT NOT NULL, time DATETIME(6) NOT NULL, distinct_id TEXT, insert_id TEXT, properties JSON)"

// judgeMode is the mode that MySQL has and MariaDB has not.
const judgeMode = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

// startJudge starts a MariaDB on a socket in a directory of its own.
func startJudge(t *testing.T, zones []string) *judge {
	t.Helper()
	dir, err := os.MkdirTemp("", "judge") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--user="+me.Username, "--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v (sqltests/clients/install.sh installs it)\n%s", err, out)
	}
	program := "mariadbd"
	if _, err := exec.LookPath(program); err != nil {
		program = "/usr/sbin/mariadbd"
	}
	server := exec.Command(program, "--no-defaults", "--datadir="+data, "--user="+me.Username, "--socket="+socket, "--skip-networking", "--skip-grant-tables", "--skip-log-bin",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin", "--default-time-zone=+00:00", "--sql-mode="+judgeMode)
	var complaints strings.Builder
	server.Stderr = &complaints
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.Collation = "unix", socket, "root", "utf8mb4_bin"
	config.AllowFallbackToPlaintext = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	t.Cleanup(func() { pool.Close() })
	ctx := context.Background()
	for deadline := time.Now().Add(2 * time.Minute); pool.PingContext(ctx) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("mariadbd does not answer:\n%s", complaints.String())
		}
	}
	j := &judge{}
	if j.conn, err = pool.Conn(ctx); err != nil {
		t.Fatal(err)
	}
	for _, zone := range zones {
		j.loadZone(t, socket, zone)
	}
	return j
}

// loadZone tells the judge of a time zone.
func (j *judge) loadZone(t *testing.T, socket, zone string) {
	t.Helper()
	statements, err := exec.Command("mariadb-tzinfo-to-sql", filepath.Join("/usr/share/zoneinfo", zone), zone).Output()
	if err != nil {
		t.Fatalf("mariadb-tzinfo-to-sql %s: %v", zone, err)
	}
	load := exec.Command("mariadb", "--no-defaults", "--socket="+socket, "mysql")
	load.Stdin = strings.NewReader(string(statements))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("time zone %s: %v\n%s", zone, err, out)
	}
}

// statement runs what changes something.
func (j *judge) statement(t *testing.T, text string) {
	t.Helper()
	ctx := context.Background()
	name, creates := strings.CutPrefix(text, "CREATE DATABASE ")
	if creates { // another file's
		if _, err := j.conn.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.conn.ExecContext(ctx, text); err != nil {
		t.Fatalf("the judge refuses %s: %v", text, err)
	}
	if creates {
		if _, err := j.conn.ExecContext(ctx, fmt.Sprintf(eventsOfJudge, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// answer is what a connection says to a statement: rows, and the names of columns.
type answer struct {
	columns []string
	rows    []string
	failed  bool
	text    string
}

func answerOf(conn *sql.Conn, statement string, args ...any) answer {
	rows, err := conn.QueryContext(context.Background(), statement, args...)
	if err != nil {
		return answer{failed: true, text: failureOf(err)}
	}
	defer rows.Close()
	a := answer{}
	if a.columns, err = rows.Columns(); err != nil {
		return answer{failed: true, text: failureOf(err)}
	}
	values, into := make([]sql.NullString, len(a.columns)), make([]any, len(a.columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return answer{failed: true, text: failureOf(err)}
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = "NULL"
			if v.Valid {
				texts[i] = v.String
			}
		}
		a.rows = append(a.rows, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		return answer{failed: true, text: failureOf(err)}
	}
	if !strings.Contains(strings.ToUpper(statement), "ORDER BY") {
		slices.Sort(a.rows)
	}
	return a
}

// failureOf is an error's number: texts differ.
func failureOf(err error) string {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return fmt.Sprintf("error %d", e.Number)
	}
	return err.Error()
}

// asksServer are statements whose answer tells of the server that gives it.
var asksServer = regexp.MustCompile(`(?i)information_schema|performance_schema|\bsys\.|\bmysql\.|@@|^\s*(show|explain|describe|desc|use|set|kill)\b|version\(\)|connection_id\(\)|user\(\)|current_user|database\(\)|schema\(\)|\bcharset\(|collation\(`)

// zoneNames are the time zones that a file's statements name.
var zoneNames = regexp.MustCompile(`'(UTC|[A-Z][A-Za-z]+/[A-Za-z_]+)'`)

// otherwise are the reasons for which a statement may be answered otherwise than by
// MariaDB, as its command names them.
var otherwise = map[string]string{
	"server":  "tells of the server",
	"mysql":   "MariaDB is not MySQL there",
	"refused": "arbor refuses it",
	"types":   "arbor has another type or other digits",
}

// verdicts counts the statements of a tool.
type verdicts struct {
	all, same int
	reasons   map[string]int
}

// right are those that are answered as MariaDB does, or as MySQL does where MariaDB is
// none, or that tell of the server.
func (v *verdicts) right() int { return v.same + v.reasons["server"] + v.reasons["mysql"] }

// rightShare is how many of a hundred statements must be right.
const rightShare = 95

// TestToolsAsMariaDB compares what tools write with MariaDB's answers, and holds the table
// of docs/bi.md to what comes of it. Where an answer is another one the command says why:
// otherwise=REASON.
func TestToolsAsMariaDB(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts another server")
	}
	files, err := filepath.Glob("testdata/bi/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata of tools: %v", err)
	}
	j := startJudge(t, zonesOf(t, files))
	var table strings.Builder
	all := verdicts{reasons: map[string]int{}}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".test")
		v := verdicts{reasons: map[string]int{}}
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, shapes[1])
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				judgeCommand(t, r, j, d, &v)
				return d.Expected
			})
		})
		fmt.Fprintf(&table, "| %s | %s |\n", name, v.row())
		all.all, all.same = all.all+v.all, all.same+v.same
		for reason, n := range v.reasons {
			all.reasons[reason] += n
		}
	}
	fmt.Fprintf(&table, "| all | %s |\n", all.row())
	t.Logf("%d of %d statements are right: %.1f %%", all.right(), all.all, 100*float64(all.right())/float64(all.all))
	if all.right()*100 < rightShare*all.all {
		t.Errorf("%d of %d statements are right, fewer than %d %%", all.right(), all.all, rightShare)
	}
	if t.Failed() {
		return
	}
	holdTable(t, table.String())
}

func (v *verdicts) row() string {
	return fmt.Sprintf("%d | %d | %d | %d | %d | %d", v.all, v.same, v.reasons["server"], v.reasons["mysql"], v.reasons["refused"], v.reasons["types"])
}

// zonesOf are the time zones that the statements of files name.
func zonesOf(t *testing.T, files []string) []string {
	var zones []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range zoneNames.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join("/usr/share/zoneinfo", m[1])); err == nil && !slices.Contains(zones, m[1]) {
				zones = append(zones, m[1])
			}
		}
	}
	return zones
}

// holdTable compares the table with the one in docs/bi.md, which -rewrite writes anew.
func holdTable(t *testing.T, table string) {
	t.Helper()
	const path, head = "../docs/bi.md", "|---|---|---|---|---|---|---|\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), head)
	_, after, ok2 := strings.Cut(rest, "\n\n")
	if !ok || !ok2 {
		t.Fatalf("%s has no table", path)
	}
	made := before + head + table + "\n" + after
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if made != string(text) {
		t.Errorf("%s is not what the test makes; go test ./sqltests -run ToolsAsMariaDB -args -rewrite makes it anew:\n%s", path, table)
	}
}

func judgeCommand(t *testing.T, r *runner, j *judge, d *datadriven.TestData, v *verdicts) {
	t.Helper()
	if d.HasArg("user") || d.HasArg("session") {
		return // of whom the judge knows nothing
	}
	var args []any
	statement := d.Input
	switch d.Cmd {
	case "statement":
		r.command(t, d)
		j.statement(t, d.Input)
		return
	case "prepared":
		var arguments string
		arguments, statement, _ = strings.Cut(d.Input, "\n")
		if err := json.Unmarshal([]byte(arguments), &args); err != nil {
			t.Fatal(err)
		}
	case "query":
	default:
		return
	}
	reason := ""
	d.MaybeScanArgs(t, "otherwise", &reason)
	if _, known := otherwise[reason]; reason != "" && !known {
		t.Fatalf("%s: there is no reason %q", d.Pos, reason)
	}
	v.all++
	ours := answerOf(r.session(t, "", "root").conn, statement, args...)
	theirs := answerOf(j.conn, statement, args...)
	same := slices.Equal(ours.rows, theirs.rows) && ours.failed == theirs.failed && ours.text == theirs.text
	switch {
	case same && reason == "types" || same && reason == "refused":
		t.Errorf("%s: it is answered as MariaDB does, which is no reason for otherwise=%s", d.Pos, reason)
	case reason != "":
		v.reasons[reason]++
	case same:
		v.same++
	case asksServer.MatchString(statement) && !ours.failed && slices.Equal(ours.columns, theirs.columns):
		v.reasons["server"]++
	default:
		t.Errorf("%s: %s\n  ours   %s %q\n  theirs %s %q", d.Pos, statement, ours.text, ours.rows, theirs.text, theirs.rows)
	}
}
