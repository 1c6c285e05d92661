package sqltests

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"arbor/sqltests/stack"
)

// TestEraseUserCertifies: CALL arbor.erase_user removes a user's events, answers with the
// certificate, which arbor.erasures keeps, and the balance adds up.
func TestEraseUserCertifies(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1), purchase("ann", "a1", s.Now(), 1), purchase("bob", "b1", s.Now(), 3)))
	s.Rows(t, "CALL arbor.index_project('shop')")
	s.Import(t, token, list(purchase("ann", "a2", s.Now(), 2)))
	s.Rows(t, "DELETE FROM shop.events WHERE insert_id = 'a2'")
	answer := strings.Split(s.One(t, "CALL arbor.erase_user('shop', 'ann')"), "\t")
	if kept := strings.Split(s.One(t, "SELECT * FROM arbor.erasures"), "\t"); kept[0] != "shop" || !slices.Equal(kept[1:], answer) {
		t.Errorf("arbor.erasures has\n%q, the CALL answered\n%q", kept, answer)
	}
	if answer[2] != "done" || answer[7] != "3" {
		t.Errorf("the certificate is %q, want 3 removed", answer)
	}
	check := func() {
		t.Helper()
		if got := s.Rows(t, "SELECT distinct_id FROM shop.events_all"); !slices.Equal(got, []string{"bob"}) {
			t.Errorf("there are events of %q", got)
		}
		if got := s.One(t, "SELECT SUM(accepted), SUM(visible), SUM(deleted), SUM(erased) FROM arbor.balance"); got != "4\t1\t0\t3" {
			t.Errorf("balance %q", got)
		}
		if got := s.One(t, "SELECT COUNT(*) FROM arbor.balance WHERE accepted <> visible + retry + conflict + deleted + quarantined + erased"); got != "0" {
			t.Errorf("the balance does not add up in %s rows", got)
		}
	}
	check()
	s.Reopen(t)
	check()

	// What comes in afterwards is new.
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1)))
	if got := s.One(t, "SELECT COUNT(*) FROM shop.events WHERE distinct_id = 'ann'"); got != "1" {
		t.Errorf("of a new event %s are seen", got)
	}
	for statement, want := range map[string]string{
		"CALL arbor.erase_user('shop', '')":    "distinct_id is empty",
		"CALL arbor.erase_user('nosuch', 'a')": "nosuch",
	} {
		if _, err := s.Query(statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if got := s.One(t, "CALL arbor.erase_user('shop', 'nobody')"); !strings.Contains(got, "done") {
		t.Errorf("erasing somebody without events: %s", got)
	}
}

// TestEraseUserTakesRows: rows of mutable tables that have the user in their column
// distinct_id go too, whatever its type, with their entries in indexes; others stay, and so
// does what is written afterwards.
func TestEraseUserTakesRows(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Project(t, "blog")
	engage := func(user string) {
		t.Helper()
		if a := s.Do(http.MethodPost, "/engage", "", fmt.Sprintf(`[{"$token":%q,"$distinct_id":%q,"$set":{"n":1}}]`, token, user)); a.Code != http.StatusOK {
			t.Fatalf("/engage answers %d: %s", a.Code, a.Body)
		}
	}
	engage("77")
	engage("bob")
	for _, statement := range []string{
		"CREATE TABLE shop.orders (id INT PRIMARY KEY, Distinct_ID BIGINT, code INT, UNIQUE (code), KEY (Distinct_ID))",
		"INSERT INTO shop.orders VALUES (1, 77, 10), (2, 78, 20), (3, 77, 30), (4, NULL, 40)",
		"CREATE TABLE shop.bag (distinct_id VARBINARY(20), what TEXT)",
		"INSERT INTO shop.bag VALUES ('77', 'a'), ('77', 'a'), ('7', 'b'), ('77 ', 'c')",
		"CREATE TABLE shop.notes (who TEXT, note TEXT)",
		"INSERT INTO shop.notes VALUES ('77', 'stays')",
		"CREATE TABLE blog.people (distinct_id VARCHAR(20) PRIMARY KEY, n INT)",
		"INSERT INTO blog.people VALUES ('77', 1)",
	} {
		s.Rows(t, statement)
	}
	if got := strings.Split(s.One(t, "CALL arbor.erase_user('shop', '77')"), "\t"); got[2] != "done" || got[11] != "5" {
		t.Errorf("the certificate is %q, want 5 rows", got)
	}
	check := func(people string) {
		t.Helper()
		for query, want := range map[string]string{
			"SELECT GROUP_CONCAT(distinct_id ORDER BY 1) FROM shop.people":                    people,
			"SELECT GROUP_CONCAT(id, ':', code ORDER BY id) FROM shop.orders":                 "2:20,4:40",
			"SELECT COUNT(*) FROM shop.orders WHERE distinct_id = 77 OR code = 10":            "0",
			"SELECT GROUP_CONCAT(what ORDER BY what) FROM shop.bag":                           "b,c",
			"SELECT COUNT(*) FROM shop.notes":                                                 "1",
			"SELECT COUNT(*) FROM blog.people":                                                "1",
			"SELECT COUNT(*) FROM arbor.erasures WHERE rows_removed = 5":                      "1",
			"SELECT GROUP_CONCAT(name ORDER BY 1) FROM arbor.projects":                        "blog,shop",
			"SELECT COUNT(*) FROM information_schema.tables WHERE table_name LIKE '%erased%'": "0",
		} {
			if got := s.One(t, query); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
	}
	check("bob")
	s.Reopen(t)
	check("bob")
	s.Rows(t, "INSERT INTO shop.orders VALUES (1, 77, 10)") // no entry of an index is left over
	s.Rows(t, "DELETE FROM shop.orders WHERE id = 1")
	engage("77")
	check("77,bob")
	if got := strings.Split(s.One(t, "CALL arbor.erase_user('shop', '77')"), "\t"); got[2] != "done" || got[11] != "1" {
		t.Errorf("the second certificate is %q, want 1 row", got)
	}
}

// TestNoTransactionBringsRowsBack: one that began before a user was erased, and would put
// a row of the user's back, is refused as after a deadlock.
func TestNoTransactionBringsRowsBack(t *testing.T) {
	r := newRunner(t, logsShape(t))
	first, second := r.session(t, "first", "root"), r.session(t, "second", "root")
	execAll(t, first.conn, "CREATE DATABASE shop", "CREATE TABLE shop.people (distinct_id VARCHAR(20) PRIMARY KEY, n INT)", "CREATE TABLE shop.copies (distinct_id VARCHAR(20), n INT)",
		"INSERT INTO shop.people VALUES ('ann', 1), ('bob', 1)")
	for _, c := range []struct{ name, write string }{
		{"of the same row", "UPDATE shop.people SET n = n + 1 WHERE distinct_id = 'ann'"},
		{"of another row", "UPDATE shop.people SET n = n + 1 WHERE distinct_id = 'bob'"},
		{"into another table", "INSERT INTO shop.copies SELECT * FROM shop.people"},
	} {
		t.Run(c.name, func(t *testing.T) {
			execAll(t, first.conn, "BEGIN", c.write)
			if _, err := second.conn.ExecContext(t.Context(), "CALL arbor.erase_user('shop', 'ann')"); err != nil {
				t.Fatal(err)
			}
			if _, err := first.conn.ExecContext(t.Context(), "COMMIT"); !hasCode(err, 1213) {
				t.Errorf("COMMIT gives %v", err)
			}
			var left int
			if err := second.conn.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM shop.people WHERE distinct_id = 'ann') + (SELECT COUNT(*) FROM shop.copies)").Scan(&left); err != nil || left != 0 {
				t.Errorf("%d rows are there: %v", left, err)
			}
			execAll(t, first.conn, "INSERT INTO shop.people VALUES ('ann', 2)")
		})
	}
}
