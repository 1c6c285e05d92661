package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	driver "github.com/go-sql-driver/mysql"
)

// endless is a table without an end, which tells when it has given a row.
func endless() (*testTable, chan struct{}) {
	running := make(chan struct{}, 1)
	return &testTable{name: "endless", schema: sql.Schema{column("endless", "i", types.Int64)},
		next: func(ctx *sql.Context, i int) (sql.Row, error) {
			select {
			case running <- struct{}{}:
			default:
			}
			return sql.Row{int64(i)}, nil
		}}, running
}

func TestExecutionTimeLimit(t *testing.T) {
	table, _ := endless()
	c := startServer(t, serverOptions{tables: []*testTable{table}}).conn()
	mustExec(t, c, `SET max_execution_time = 20`)
	for _, q := range []string{`SELECT COUNT(*) FROM endless`, `SELECT i FROM endless WHERE i < 0`, `SELECT i FROM endless ORDER BY i`,
		`SELECT i % 3, COUNT(*) FROM endless GROUP BY i % 3`, `SELECT DISTINCT i % 2 FROM endless WHERE i > 5`, `SELECT SLEEP(100)`} {
		failing(t, c, q, 3024, "maximum statement execution time exceeded")
	}
	mustExec(t, c, `SET max_execution_time = 0`)
	mustQuery(t, c, `SELECT 1`, "1")
}

func TestKill(t *testing.T) {
	table, running := endless()
	s := startServer(t, serverOptions{tables: []*testTable{table}})
	victim, killer := s.conn(), s.conn()
	id, err := rowsText(t, victim, `SELECT CONNECTION_ID()`)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`SELECT COUNT(*) FROM endless`, `SELECT i FROM endless ORDER BY i`} {
		failed := make(chan error, 1)
		go func() {
			_, err := rowsText(t, victim, q)
			failed <- err
		}()
		<-running
		mustQuery(t, killer, `SELECT command, info FROM information_schema.processlist WHERE id = `+id, "Query|"+q)
		mustExec(t, killer, `KILL QUERY `+id)
		wantError(t, <-failed, 1317, "Query execution was interrupted")
		select {
		case <-running:
		default:
		}
	}
	mustQuery(t, victim, `SELECT 1`, "1")
	mustExec(t, killer, `KILL `+id)
	if _, err := rowsText(t, victim, `SELECT 1`); err == nil {
		t.Error("the connection lives on after KILL")
	}
}

func TestStatementEndsWithItsClient(t *testing.T) {
	table, running := endless()
	s := startServer(t, serverOptions{tables: []*testTable{table}})
	for _, prepared := range []bool{false, true} {
		c := dialRaw(t, s.address)
		c.login()
		if prepared {
			c.execute(c.prepare("SELECT COUNT(*) FROM endless"), 0)
		} else {
			c.command([]byte("\x03SELECT COUNT(*) FROM endless"))
		}
		<-running
		c.conn.Close()
		ended := s.conn()
		for {
			n, err := rowsText(t, ended, `SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%endless' AND id <> CONNECTION_ID()`)
			if err != nil {
				t.Fatal(err)
			}
			if n == "0" {
				break
			}
		}
	}
}

func TestPanicsTellNothing(t *testing.T) {
	bad := &testTable{name: "bad", schema: sql.Schema{column("bad", "i", types.Int64)},
		next: func(_ *sql.Context, i int) (sql.Row, error) { panic("the secret of /etc/arbor") }}
	s := startServer(t, serverOptions{tables: []*testTable{bad}})
	c := s.conn()
	for _, q := range []string{`SELECT * FROM bad`, `SELECT COUNT(*) FROM bad GROUP BY i`, `SELECT * FROM bad a JOIN bad b ON a.i = b.i`} {
		_, err := rowsText(t, c, q)
		wantError(t, err, 1105, "Internal error ")
		var e *driver.MySQLError
		errors.As(err, &e)
		for _, leak := range []string{"secret", "goroutine", ".go", "/"} {
			if strings.Contains(e.Message, leak) {
				t.Errorf("%s: the error tells %q: %s", q, leak, e.Message)
			}
		}
		id := strings.Fields(e.Message)[2]
		if log := s.log.String(); !strings.Contains(log, strings.TrimSuffix(id, ";")) || !strings.Contains(log, "secret") {
			t.Errorf("%s: the log does not have %s: %s", q, id, log)
		}
	}
	mustQuery(t, c, `SELECT 1`, "1")
}

func TestResultsAreNotHeld(t *testing.T) {
	skipShort(t)
	const rows, size = 60_000, 2 << 10
	var most atomic.Uint64
	wide := &testTable{name: "wide", schema: sql.Schema{column("wide", "s", types.LongText)},
		next: func(_ *sql.Context, i int) (sql.Row, error) {
			if i == rows {
				return nil, io.EOF
			}
			if i%5000 == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
			}
			return sql.Row{strings.Repeat("x", size)}, nil
		}}
	s := startServer(t, serverOptions{tables: []*testTable{wide}})
	c := s.conn()
	for _, args := range [][]any{nil, {1}} {
		q := `SELECT s FROM wide`
		if args != nil {
			q += ` WHERE 1 = ?`
		}
		got, err := c.QueryContext(t.Context(), q, args...)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for got.Next() {
			n++
		}
		if err := errors.Join(got.Err(), got.Close()); err != nil || n != rows {
			t.Errorf("%d rows, %v; want %d", n, err, rows)
		}
	}
	if limit := uint64(rows * size / 3); most.Load() > limit {
		t.Errorf("a result of %d bytes took %d bytes of memory, want at most %d", rows*size, most.Load(), limit)
	}
}

func TestMemoryLimit(t *testing.T) {
	skipShort(t)
	few := numbers(2000)
	few.name = "few"
	s := startServer(t, serverOptions{tables: []*testTable{numbers(100_000), few}, limits: queryLimits{Memory: 1 << 20, Groups: 2000}})
	c := s.conn()
	for _, q := range []string{`SELECT i FROM numbers ORDER BY s`, `SELECT DISTINCT s FROM numbers`, `SELECT COUNT(DISTINCT s) FROM numbers`,
		`SELECT s FROM numbers UNION SELECT 'x'`, `SELECT s FROM numbers EXCEPT SELECT s FROM numbers`, `SELECT JSON_ARRAYAGG(s) FROM numbers`,
		`SELECT COUNT(*) FROM numbers a JOIN numbers b ON a.s = b.s`, `SELECT ROW_NUMBER() OVER (ORDER BY s) FROM numbers`,
		`SELECT SUM(DISTINCT i) FROM numbers`} {
		failing(t, c, q, 3170, "Memory capacity of 1048576 bytes")
	}
	mustQuery(t, c, `SELECT COUNT(*) FROM (SELECT i % 2000 g FROM numbers GROUP BY g) x`, "2000")
	failing(t, c, `SELECT i % 2001 g FROM numbers GROUP BY g`, 3170, "more than 2000 groups")
	mustQuery(t, c, `SELECT i FROM (SELECT i FROM numbers ORDER BY s DESC LIMIT 3) x ORDER BY i LIMIT 1`, "99997") // of which a few are kept
	// what a statement has given back may be taken again, also within one
	mustQuery(t, c, `SELECT COUNT(*) FROM few n WHERE n.i < 40 AND 1500 - n.i = (SELECT MAX(i) FROM (SELECT i FROM few m WHERE m.i <= 1500 - n.i ORDER BY m.s) x)`, "40")
}

func TestRefusals(t *testing.T) {
	events := rowsOf("events", sql.Schema{column("events", "event", types.LongText)})
	s := startServer(t, serverOptions{tables: []*testTable{words(), events}})
	c := s.conn()
	failing(t, c, `SELECT * FROM words INTO OUTFILE '/tmp/arbor-test'`, 1290, "--export-dir")
	failing(t, c, `SELECT k FROM words LIMIT 1 INTO DUMPFILE '/tmp/arbor-test'`, 1235, "DUMPFILE")
	failing(t, c, `LOAD DATA INFILE '/etc/passwd' INTO TABLE words`, 1235, "LOCAL")
	failing(t, c, `SELECT LOAD_FILE('/etc/passwd')`, 1235, "LOAD_FILE")
	failing(t, c, `INSERT INTO events (event) VALUES ('a') ON DUPLICATE KEY UPDATE event = 'b'`, 1235, "ON DUPLICATE KEY UPDATE is not possible on events")
	failing(t, c, `SELECT`, 1064, "")
	failing(t, c, ``, 1065, "Query was empty")
	failing(t, c, `SELECT nope FROM words`, 1054, "Unknown column 'nope'")
	failing(t, c, `SELECT * FROM nope`, 1146, "Table 'nope' doesn't exist")
	failing(t, c, `USE nope`, 1049, "Unknown database 'nope'")
	failing(t, c, `SELECT NOPE(1)`, 1305, "FUNCTION nope does not exist")
	failing(t, c, `SELECT k, COUNT(*) FROM words`, 1140, "")
	failing(t, c, `SELECT (SELECT k FROM words)`, 1242, "Subquery returns more than 1 row")
	failing(t, c, `SET nope = 1`, 1193, "")
	mustQuery(t, c, `SELECT 1`, "1")
}

func TestRandomIsRandom(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{numbers(2000)}}).conn()
	for _, q := range []string{`SELECT COUNT(*) FROM numbers WHERE RAND() < 0.5`, `SELECT COUNT(*) FROM numbers WHERE UUID() < '8'`,
		`SELECT COUNT(*) FROM numbers WHERE HEX(RANDOM_BYTES(1)) < '8'`} {
		got, err := rowsText(t, c, q)
		var n int
		fmt.Sscan(got, &n)
		if err != nil || n < 700 || n > 1300 {
			t.Errorf("%s: %q, %v; want about 1000", q, got, err)
		}
	}
	mustQuery(t, c, `SELECT COUNT(DISTINCT UUID()), COUNT(DISTINCT RAND()) > 1900 FROM numbers`, "2000|1")
	mustQuery(t, c, `SELECT RAND(3) FROM numbers LIMIT 3`, "0.9057697559760601\n0.37307905813034536\n0.14808605345719125")
	mustQuery(t, c, `SELECT COUNT(*) FROM numbers WHERE RAND(3) < 0.5`, "993")
}

func TestTransactions(t *testing.T) {
	s := startServer(t, serverOptions{tables: []*testTable{words()}})
	c := dialRaw(t, s.address)
	c.login()
	flags := func(q string, want uint16) {
		t.Helper()
		_, p := c.query(q)
		if p[0] != packetOK {
			t.Fatalf("%s: %q", q, p)
		}
		if got := uint16(p[3]) | uint16(p[4])<<8; got&3 != want {
			t.Errorf("%s: flags %d, want %d", q, got&3, want)
		}
	}
	const autocommit, inside = 2, 1
	flags("SET @a = 1", autocommit)
	flags("BEGIN", autocommit|inside)
	flags("INSERT INTO words (k) VALUES ('x')", autocommit|inside)
	flags("COMMIT", autocommit)
	flags("START TRANSACTION", autocommit|inside)
	flags("ROLLBACK", autocommit)
	flags("SET autocommit = 0", 0)
	flags("INSERT INTO words (k) VALUES ('x')", inside)
	flags("COMMIT", 0)
	flags("SET autocommit = 1", autocommit)

	d := s.conn()
	mustExec(t, d, "BEGIN")
	mustExec(t, d, "INSERT INTO words (k) VALUES ('x')")
	mustExec(t, d, "ROLLBACK")
	mustQuery(t, d, "SHOW WARNINGS", "Warning|1196|Some non-transactional changed tables couldn't be rolled back")
	mustExec(t, d, "SAVEPOINT outside")
	mustExec(t, d, "BEGIN")
	mustExec(t, d, "SAVEPOINT a")
	mustExec(t, d, "SAVEPOINT b")
	mustExec(t, d, "INSERT INTO words (k) VALUES ('x')")
	mustExec(t, d, "ROLLBACK TO SAVEPOINT A")
	mustQuery(t, d, "SHOW WARNINGS", "Warning|1196|Some non-transactional changed tables couldn't be rolled back")
	failing(t, d, "ROLLBACK TO SAVEPOINT b", 1305, "SAVEPOINT b does not exist")
	mustExec(t, d, "RELEASE SAVEPOINT a")
	failing(t, d, "RELEASE SAVEPOINT a", 1305, "SAVEPOINT a does not exist")
	mustExec(t, d, "SAVEPOINT a")
	mustExec(t, d, "COMMIT")
	failing(t, d, "ROLLBACK TO SAVEPOINT a", 1305, "SAVEPOINT a does not exist")
	mustExec(t, d, "START TRANSACTION READ ONLY")
	failing(t, d, "INSERT INTO words (k) VALUES ('x')", 1792, "")
	mustExec(t, d, "COMMIT")
}

func TestStatementsOfDumps(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	for _, q := range []string{
		"/*!999999\\- enable the sandbox mode */", "/*M!999999\\- enable the sandbox mode */", "/*!999999 no */ SET @a = 1",
		"/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */", "/*!40101 SET NAMES utf8mb4 */", "SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci",
		"/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */", "/*!40103 SET TIME_ZONE='+00:00' */",
		"/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */", "/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */",
		"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */",
		"/*!40101 SET SQL_MODE=@OLD_SQL_MODE */", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET SQL_QUOTE_SHOW_CREATE=1", "SET character_set_results = NULL",
		"SET autocommit=1", "SET sql_safe_updates=1",
	} {
		if _, err := c.ExecContext(t.Context(), q); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	mustQuery(t, c, "SELECT @@character_set_client, @@character_set_connection, @@collation_connection", "utf8mb4|utf8mb4|utf8mb4_0900_ai_ci")
	mustQuery(t, c, "SELECT VERSION() = @@version, @@version LIKE '8.0.%arbor', @@version_comment", "1|1|arbor")
}

func TestPreparedStatementsAreBounded(t *testing.T) {
	skipShort(t)
	s := startServer(t, serverOptions{})
	c := dialRaw(t, s.address)
	c.login()
	for i := range 3000 { // closed again, each
		id := c.prepare(fmt.Sprintf("SELECT %d", i))
		c.command([]byte{0x19, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
	}
	c.query("SELECT 1")
	for i := range MaxPreparedStatements {
		c.prepare(fmt.Sprintf("SELECT %d", i))
	}
	c.command([]byte("\x16SELECT 'one more'"))
	if p := c.read(); errorCode(p) != 1461 {
		t.Errorf("%q, want error 1461", p)
	}
	c.command([]byte{0x1f}) // reset the connection
	c.read()
	c.execute(c.prepare("SELECT ':v1', ':v2'"), 0)
	if _, last := c.result(); errorCode(last) != 0 {
		t.Errorf("strings that look like placeholders: %q", last)
	}

	d := s.conn()
	for i := range MaxPreparedStatements {
		mustExec(t, d, fmt.Sprintf("PREPARE s%d FROM 'SELECT %d'", i, i))
	}
	failing(t, d, "PREPARE more FROM 'SELECT 1'", 1461, "max_prepared_stmt_count")
	mustQuery(t, d, "EXECUTE s7", "7")
	mustExec(t, d, "DEALLOCATE PREPARE s7")
	mustExec(t, d, "PREPARE more FROM 'SELECT ?'")
}

// TestPreparedExplain: the placeholders of the statement that is explained are the
// EXPLAIN's.
func TestPreparedExplain(t *testing.T) {
	s := startServer(t, serverOptions{})
	for _, how := range []string{"EXPLAIN FORMAT=TREE", "EXPLAIN FORMAT=JSON", "EXPLAIN ANALYZE", "DESCRIBE FORMAT=TREE"} {
		rows, err := s.conn().QueryContext(t.Context(), how+" SELECT ?, host FROM mysql.user WHERE user = ? LIMIT ?", 7, "root", 1)
		if err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || n == 0 {
			t.Errorf("%s: %d rows, %v", how, n, err)
		}
	}
}

func TestShutdownLetsStatementsFinish(t *testing.T) {
	release, running := make(chan struct{}), make(chan struct{})
	slow := &testTable{name: "slow", schema: sql.Schema{column("slow", "i", types.Int64)},
		next: func(_ *sql.Context, i int) (sql.Row, error) {
			if i == 0 {
				close(running)
				<-release
				return sql.Row{int64(7)}, nil
			}
			return nil, io.EOF
		}}
	s := startServer(t, serverOptions{tables: []*testTable{slow}, mysql: MySQLOptions{Grace: time.Minute}})
	idle, busy := s.conn(), s.conn()
	mustQuery(t, idle, "SELECT 1", "1")
	answer := make(chan string, 1)
	go func() {
		got, err := rowsText(t, busy, "SELECT i FROM slow")
		answer <- fmt.Sprint(got, err)
	}()
	<-running
	s.stop()
	for s.ping("root", "") == nil { // until it takes no more clients
	}
	close(release)
	if got := <-answer; got != "7<nil>" {
		t.Errorf("the statement that ran gives %q", got)
	}
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	s.done = nil
}

func TestShutdownEndsWhatLastsTooLong(t *testing.T) {
	table, running := endless()
	s := startServer(t, serverOptions{tables: []*testTable{table}, mysql: MySQLOptions{Grace: time.Millisecond}})
	c := s.conn()
	failed := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), "SELECT COUNT(*) FROM endless")
		failed <- err
	}()
	<-running
	s.close()
	if <-failed == nil {
		t.Error("an endless statement succeeds")
	}
}
