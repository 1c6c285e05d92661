package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestMetricsNeedALogin once a user has a password.
func TestMetricsNeedALogin(t *testing.T) {
	w := newSQLWorld(t)
	t.Cleanup(func() { w.gateway.Close() })
	w.gateway.readers.use(w.engine.grants)
	w.listen()
	status := func(user, password string) int {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.RemoteAddr = "127.0.0.1:1"
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		a := httptest.NewRecorder()
		w.gateway.HTTPHandler().ServeHTTP(a, r)
		return a.Code
	}
	if got := status("", ""); got != http.StatusOK {
		t.Errorf("at first: %d", got)
	}
	w.must("CREATE ROLE r")
	if got := status("", ""); got != http.StatusOK {
		t.Errorf("without a password anywhere: %d", got)
	}
	w.must("CREATE DATABASE shop", "CREATE USER watch IDENTIFIED BY 'x'", "GRANT PROCESS ON *.* TO watch", "CREATE USER low IDENTIFIED BY 'x'", "GRANT ALL ON shop.* TO low",
		"CREATE USER seer IDENTIFIED BY 'x'", "GRANT PROCESS ON *.* TO r", "GRANT r TO seer", "CREATE ROLE all_of_it", "CREATE USER chief IDENTIFIED BY 'x'", "GRANT SUPER ON *.* TO all_of_it", "GRANT all_of_it TO chief")
	for _, c := range []struct {
		user, password string
		want           int
	}{{"", "", 401}, {"watch", "x", 200}, {"watch", "wrong", 401}, {"low", "x", 403}, {"nobody", "x", 401}, {"root", "", 200}, {"seer", "x", 200}, {"chief", "x", 200}} {
		if got := status(c.user, c.password); got != c.want {
			t.Errorf("%s with %q: %d, want %d", c.user, c.password, got, c.want)
		}
	}
	// A restore needs SUPER, which may come by a role too.
	for user, want := range map[string]bool{"seer": false, "chief": true, "root": true, "low": false} {
		if got := w.gateway.readers.administers(user, "127.0.0.1"); got != want {
			t.Errorf("%s may restore: %t", user, got)
		}
	}
	w.must("REVOKE all_of_it FROM chief")
	if got := status("chief", "x"); got != 403 || w.gateway.readers.administers("chief", "127.0.0.1") { // it logs in first
		t.Errorf("whose role was taken away gets %d for metrics, or may restore", got)
	}
}
