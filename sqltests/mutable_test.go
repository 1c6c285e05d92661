package sqltests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// logsShape is a member with files.
func logsShape(t *testing.T) shape {
	t.Helper()
	return shapes[slices.IndexFunc(shapes, func(s shape) bool { return s.name == "logs" })]
}

func execAll(t *testing.T, c *sql.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := c.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func hasCode(err error, code uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == code
}

// TestNoUpdateIsLost has sessions add to one counter, by statements of their own and
// by transactions that read first and are begun again after error 1213.
func TestNoUpdateIsLost(t *testing.T) {
	r := newRunner(t, logsShape(t))
	first := r.session(t, "first", "root")
	execAll(t, first.conn, "CREATE DATABASE shop", "CREATE TABLE shop.counters (id INT PRIMARY KEY, n INT NOT NULL)", "INSERT INTO shop.counters VALUES (1, 0)")
	const sessions, adds = 6, 20
	var running sync.WaitGroup
	failed := make(chan error, sessions)
	for i := range sessions {
		s := r.session(t, fmt.Sprint("session ", i), "root")
		running.Go(func() {
			for range adds {
				var err error
				if i%2 == 0 {
					_, err = s.conn.ExecContext(context.Background(), "UPDATE shop.counters SET n = n + 1 WHERE id = 1")
				} else {
					for err = addOne(s.conn); hasCode(err, 1213); err = addOne(s.conn) {
					}
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	running.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	var n int
	if err := first.conn.QueryRowContext(t.Context(), "SELECT n FROM shop.counters").Scan(&n); err != nil || n != sessions*adds {
		t.Errorf("the counter is %d, %v; want %d", n, err, sessions*adds)
	}
}

func addOne(c *sql.Conn) error {
	tx, err := c.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRow("SELECT n FROM shop.counters WHERE id = 1").Scan(&n); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE shop.counters SET n = ? WHERE id = 1", n+1); err != nil {
		return err
	}
	return tx.Commit()
}

// TestTransactionsSeeTheirBeginning has a transaction read the same while others
// write, and lose against them when it writes the same row, or a row with the same
// unique value.
func TestTransactionsSeeTheirBeginning(t *testing.T) {
	r := newRunner(t, logsShape(t))
	a, b := r.session(t, "a", "root").conn, r.session(t, "b", "root").conn
	execAll(t, a, "CREATE DATABASE shop", "USE shop", "CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE)", "INSERT INTO t VALUES (1, 1), (2, 2)")
	execAll(t, b, "USE shop")
	sum := func(c *sql.Conn, want int) {
		t.Helper()
		var n int
		if err := c.QueryRowContext(t.Context(), "SELECT SUM(u) FROM t").Scan(&n); err != nil || n != want {
			t.Errorf("the sum is %d, %v; want %d", n, err, want)
		}
	}
	execAll(t, a, "BEGIN")
	sum(a, 3)
	execAll(t, b, "UPDATE t SET u = 10 WHERE id = 1")
	sum(a, 3)
	sum(b, 12)
	execAll(t, a, "UPDATE t SET u = 20 WHERE id = 2")
	sum(a, 21)
	sum(b, 12)
	execAll(t, a, "COMMIT") // another row: no conflict
	sum(b, 30)

	for _, statement := range []string{"UPDATE t SET u = 11 WHERE id = 1", "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (7, 99)", "INSERT INTO t VALUES (3, 5)", "ALTER TABLE t ADD COLUMN x INT", "DROP TABLE t"} {
		execAll(t, a, "BEGIN", "DELETE FROM t WHERE id > 2", "UPDATE t SET u = 30 WHERE id = 1", "INSERT INTO t VALUES (7, 5)")
		execAll(t, b, statement)
		if _, err := a.ExecContext(t.Context(), "COMMIT"); !hasCode(err, 1213) {
			t.Errorf("%s in between: %v, want error 1213", statement, err)
		}
		execAll(t, a, "DROP TABLE IF EXISTS t", "CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE)", "INSERT INTO t VALUES (1, 1), (2, 2)")
	}
}

// TestTableAgainstMap runs random statements, in transactions and by themselves, and
// holds the table against a map, also after restarts.
func TestTableAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	r := newRunner(t, logsShape(t))
	connect := func() *sql.Conn { return r.session(t, "", "root").conn }
	execAll(t, connect(), "CREATE DATABASE shop", "USE shop", "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, v INT, u INT, UNIQUE KEY (u), KEY (v))")
	type row struct{ v, u int }
	committed := map[string]row{}
	clone := func(m map[string]row) map[string]row {
		c := map[string]row{}
		for k, v := range m {
			c[k] = v
		}
		return c
	}
	now, open := clone(committed), false
	taken := func(u int, but string) bool {
		for k, r := range now {
			if r.u == u && k != but {
				return true
			}
		}
		return false
	}
	for step := range 400 {
		c := connect()
		k, v, u := fmt.Sprint("k", rnd.IntN(12)), rnd.IntN(5), rnd.IntN(20)
		statement, wantDuplicate := "", false
		_, exists := now[k]
		switch rnd.IntN(12) {
		case 0, 1, 2:
			statement = fmt.Sprintf("INSERT INTO t VALUES ('%s', %d, %d)", k, v, u)
			if wantDuplicate = exists || taken(u, ""); !wantDuplicate {
				now[k] = row{v, u}
			}
		case 3:
			statement = fmt.Sprintf("REPLACE INTO t VALUES ('%s', %d, %d)", k, v, u)
			for other, r := range now {
				if r.u == u {
					delete(now, other)
				}
			}
			now[k] = row{v, u}
		case 4:
			statement = fmt.Sprintf("UPDATE t SET v = v + %d WHERE v = %d", v, v)
			for k, r := range now {
				if r.v == v {
					now[k] = row{r.v + v, r.u}
				}
			}
		case 5:
			statement = fmt.Sprintf("UPDATE t SET u = %d WHERE k = '%s'", u, k)
			if wantDuplicate = exists && taken(u, k); exists && !wantDuplicate {
				now[k] = row{now[k].v, u}
			}
		case 6:
			statement = fmt.Sprintf("DELETE FROM t WHERE v = %d", v)
			for k, r := range now {
				if r.v == v {
					delete(now, k)
				}
			}
		case 7:
			statement = fmt.Sprintf("INSERT INTO t VALUES ('%s', %d, %d) ON DUPLICATE KEY UPDATE v = 100", k, v, u)
			if exists && taken(u, k) { // which of two rows it is follows from the order of keys
				continue
			}
			done := false
			for other, r := range now {
				if other == k || r.u == u {
					now[other], done = row{100, r.u}, true
				}
			}
			if !done {
				now[k] = row{v, u}
			}
		case 8:
			if open {
				continue
			}
			execAll(t, c, "BEGIN")
			open = true
		case 9:
			execAll(t, c, "COMMIT")
			open = false
		case 10:
			execAll(t, c, "ROLLBACK")
			if open {
				now = clone(committed)
			}
			open = false
		case 11:
			if rnd.IntN(4) > 0 {
				continue
			}
			r.disconnect()
			r.server.stop(t)
			r.server = serve(t, r.member.reopen())
			execAll(t, connect(), "USE shop")
			now, open = clone(committed), false
		}
		c = connect()
		if statement != "" {
			if _, err := c.ExecContext(t.Context(), statement); (err == nil) == wantDuplicate || err != nil && !hasCode(err, 1062) {
				t.Fatalf("step %d: %s: %v, want a duplicate: %v", step, statement, err, wantDuplicate)
			}
		}
		if !open {
			committed = clone(now)
		}
		var got []string
		rows, err := c.QueryContext(t.Context(), "SELECT k, v, u FROM t")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var k string
			var v, u int
			if err := rows.Scan(&k, &v, &u); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(k, " ", v, " ", u))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for k, r := range now {
			want = append(want, fmt.Sprint(k, " ", r.v, " ", r.u))
			var found string
			if err := c.QueryRowContext(t.Context(), fmt.Sprintf("SELECT k FROM t WHERE u = %d AND v = %d", r.u, r.v)).Scan(&found); err != nil || found != k {
				t.Fatalf("step %d: the row with u = %d is %q, %v; want %q", step, r.u, found, err, k)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("step %d: after %q the table has\n%s\nwant\n%s", step, statement, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestTableLimits has a transaction and a row that are too great refused, with the
// table as it was.
func TestTableLimits(t *testing.T) {
	r := newRunner(t, logsShape(t))
	c := r.session(t, "", "root").conn
	execAll(t, c, "CREATE DATABASE shop", "USE shop", "CREATE TABLE t (id INT PRIMARY KEY, x LONGTEXT)")
	for _, statement := range []string{"INSERT INTO t VALUES (1, REPEAT('x', 5000000))", "INSERT INTO t VALUES (1, REPEAT('x', 4000000)), (2, REPEAT('x', 4000000)), (3, REPEAT('x', 4000000)), (4, REPEAT('x', 4000000)), (5, REPEAT('x', 4000000))"} {
		if _, err := c.ExecContext(t.Context(), statement); !hasCode(err, 1114) {
			t.Errorf("%s: %v, want error 1114", statement, err)
		}
	}
	var n int
	if err := c.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM t").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}
