package clients

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"arbor/sqltests/server"
)

func open(t *testing.T, s *server.Server, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", s.DSN(database)+"?parseTime=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestGoSQLDriver inserts and reads with prepared statements, as Go programs do.
func TestGoSQLDriver(t *testing.T) {
	s := server.Start(t)
	if _, err := open(t, s, "").Exec("CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	db := open(t, s, "shop")
	const statement = "INSERT INTO events (event, time, distinct_id, insert_id, amount, note) VALUES (?, ?, ?, ?, ?, ?)"
	_, err := db.Exec(statement, "Purchase", time.Now(), "ann", "a0", 1, "a column that nobody has sent yet")
	var unknown *mysql.MySQLError
	if !errors.As(err, &unknown) || unknown.Number != 1054 {
		t.Fatalf("got %v, want error 1054", err)
	}
	if _, err := db.Exec("ALTER TABLE events ADD COLUMN amount BIGINT, ADD COLUMN note TEXT"); err != nil {
		t.Fatal(err)
	}
	insert, err := db.Prepare(statement)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
	for range 2 { // the second is a retry
		res, err := insert.Exec("Purchase", at, "ann", "a1", int64(9007199254740993), "ünïcode ✓")
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := res.RowsAffected(); n != 1 {
			t.Errorf("rows affected: got %d, want 1", n)
		}
	}
	var name, user, note string
	var when time.Time
	var amount int64
	err = db.QueryRow("SELECT event, time, distinct_id, amount, note FROM events WHERE amount = ? AND time = ?", int64(9007199254740993), at).Scan(&name, &when, &user, &amount, &note)
	if err != nil {
		t.Fatal(err)
	}
	if name != "Purchase" || !when.Equal(at) || user != "ann" || amount != 9007199254740993 || note != "ünïcode ✓" {
		t.Errorf("got %q %v %q %d %q", name, when, user, amount, note)
	}
	var copies int
	if err := db.QueryRow("SELECT COUNT(*) FROM events_all").Scan(&copies); err != nil || copies != 2 {
		t.Errorf("copies: got %d, %v; want 2", copies, err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}

// TestAcknowledgedSurvivesKill kills the process after each acknowledgement.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	s := server.Start(t)
	if _, err := open(t, s, "").Exec("CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 3; round++ {
		db := open(t, s, "shop")
		if _, err := db.Exec("INSERT INTO events (event, time, distinct_id, insert_id) VALUES ('A', '2026-01-01', 'u', ?), ('A', '2026-01-01', 'u', ?)", round, round); err != nil {
			t.Fatal(err)
		}
		db.Close()
		s.Kill(t)
		s.Run(t)
		var visible, copies int
		db = open(t, s, "shop")
		if err := db.QueryRow("SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM events_all)").Scan(&visible, &copies); err != nil {
			t.Fatal(err)
		}
		if visible != round || copies != 2*round {
			t.Errorf("after kill %d: %d events of %d copies, want %d of %d", round, visible, copies, round, 2*round)
		}
	}
}
