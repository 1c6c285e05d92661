package sqltests

import (
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
