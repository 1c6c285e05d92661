package sqltests

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"arbor/sqltests/stack"
)

// upload sends a CSV file as a user and gives the status and the answer.
func upload(s *stack.Stack, user, target, text string) (int, string) {
	w := s.Do(http.MethodPut, target, user, text)
	return w.Code, w.Body.String()
}

func wantUpload(t *testing.T, s *stack.Stack, text string, rows int) {
	t.Helper()
	want := fmt.Sprintf(`{"code":200,"rows":%d,"status":"OK"}`, rows)
	if code, body := upload(s, "root", "/lookup-tables/plans?project_id=shop", text); code != http.StatusOK || strings.TrimSpace(body) != want {
		t.Errorf("%.60q gives %d %s", text, code, body)
	}
}

func wantLines(t *testing.T, s *stack.Stack, statement string, want ...string) {
	t.Helper()
	if got := s.Rows(t, statement); !slices.Equal(got, want) {
		t.Errorf("%s gives %q, want %q", statement, got, want)
	}
}

// A file's rows take the place of a table's, and are joined with events.
func TestLookupTable(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, `[{"event":"Buy","properties":{"time":1767225600,"distinct_id":"ann","$insert_id":"1","plan":"p1","sku":7}},
		{"event":"Buy","properties":{"time":1767225600,"distinct_id":"bob","$insert_id":"2","plan":"p2","sku":8}}]`)
	wantUpload(t, s, "\ufeffplan,title,price,seats,since\r\np1,\"Pro, \"\"big\"\"\",12.5,3,2026-01-02\r\np2,,0,-1,\r\n", 2)
	wantLines(t, s, "SELECT * FROM shop.plans ORDER BY plan", "p1\tPro, \"big\"\t12.5\t3\t2026-01-02", `p2	\N	0	-1	\N`)
	wantLines(t, s, "SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'plans' ORDER BY ORDINAL_POSITION",
		"varchar(255)", "varchar(255)", "double", "bigint", "varchar(255)")
	wantLines(t, s, "SELECT e.distinct_id, p.title FROM shop.events e JOIN shop.plans p ON p.plan = e.plan ORDER BY 1", "ann\tPro, \"big\"", `bob	\N`)

	// A table that has the file's columns keeps what it is.
	s.Rows(t, "ALTER TABLE shop.plans MODIFY COLUMN price DECIMAL(10,2), MODIFY COLUMN since DATE")
	s.Rows(t, "ALTER TABLE shop.plans ADD INDEX by_seats (seats)")
	wantUpload(t, s, "since,plan,seats,price,title\n2026-02-03,p2,5,1.5,Free\n", 1)
	wantLines(t, s, "SELECT * FROM shop.plans WHERE seats = 5", "p2\tFree\t1.50\t5\t2026-02-03")
	for text, want := range map[string]string{
		"since,plan,seats,price,title\n2026-02-03,p2,5,1.5,a\n2026-02-03,p3,x,1,b\n": "line 3: column seats",
		"since,plan,seats,price,title\n2026-02-30,p2,5,1.5,a\n":                      "line 2: column since",
		"since,plan,seats,price,title\n,p2,5,1.5,a\n,p2,5,1.5,a\n":                   "line 3",
		"since,plan,seats,price,title\n,,5,1.5,a\n":                                  "is the key and empty",
		"plan,title\np1\n":        "wrong number of fields",
		"plan,Plan\np1,2\n":       "names a column",
		"plan,\np1,2\n":           "names a column",
		"plan,title\np1,\"x\n":    "line",
		"":                        "first line",
		strings.Repeat("x", 65):   "64 characters",
		strings.Repeat("a,", 256): "256",
	} {
		if code, body := upload(s, "root", "/lookup-tables/plans?project_id=shop", text); code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%.60q gives %d %s; want %q", text, code, body, want)
		}
	}
	wantLines(t, s, "SELECT plan, seats FROM shop.plans", "p2\t5") // as before

	// Any other is made anew.
	wantUpload(t, s, "sku,title\n7,lamp\n8,chair\n", 2)
	wantLines(t, s, "SELECT e.distinct_id, p.title FROM shop.events e JOIN shop.plans p ON p.sku = e.sku ORDER BY 1", "ann\tlamp", "bob\tchair")
	wantUpload(t, s, "code,title,note\n007,agent,"+strings.Repeat("ü", 300)+"\n", 1)
	wantLines(t, s, "SELECT code, title, CHAR_LENGTH(note) FROM shop.plans", "007\tagent\t300")
	wantUpload(t, s, "code,title,note\n", 0)
	wantLines(t, s, "SELECT COUNT(*) FROM shop.plans", "0")
	wantLines(t, s, "CALL arbor.replace_table('shop', 'plans', 'code,title,note\nx,y,z\n')", "1")
	s.Reopen(t)
	wantLines(t, s, "SELECT * FROM shop.plans", "x\ty\tz")
	if w := s.Do(http.MethodPost, "/lookup-tables/plans/?project_id="+s.One(t, "SELECT id FROM arbor.projects"), "root", "code,title,note\n"); w.Code != http.StatusOK {
		t.Errorf("POST, and the project's number: %d %s", w.Code, w.Body)
	}
}

// Files that are too long, tables that cannot be, and users who may not.
func TestLookupTableRefusals(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Rows(t, "CREATE VIEW shop.seen AS SELECT event FROM shop.events")
	const most = 10 << 20
	line := "key,text\n1," + strings.Repeat("x", most)
	if code, body := upload(s, "root", "/lookup-tables/big?project_id=shop", line[:most+1]); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a byte too many: %d %.200s", code, body)
	}
	var rows strings.Builder
	rows.WriteString("key,text\n")
	for i := 0; rows.Len() < most-100_100; i++ {
		fmt.Fprintf(&rows, "%d,%s\n", i, strings.Repeat("x", 100_000))
	}
	rest := "last," + strings.Repeat("x", most-rows.Len()-len("last,"))
	if code, body := upload(s, "root", "/lookup-tables/big?project_id=shop", rows.String()+rest); code != http.StatusOK {
		t.Errorf("as long as can be: %d %.200s", code, body)
	}
	s.Rows(t, "CREATE USER reader")
	s.Rows(t, "GRANT SELECT, INSERT, DELETE ON shop.* TO reader")
	s.Rows(t, "GRANT EXECUTE ON arbor.* TO reader")
	secret := secretOf(t, s, "shop")
	for _, c := range []struct {
		user, target string
		want         int
	}{
		{"root", "/lookup-tables/events?project_id=shop", 400}, {"root", "/lookup-tables/seen?project_id=shop", 400},
		{"root", "/lookup-tables/x?project_id=nowhere", 400}, {"root", "/lookup-tables/x", 400}, {"root", "/lookup-tables/", 404},
		{"root", "/lookup-tables/a/b?project_id=shop", 404}, {"reader", "/lookup-tables/x?project_id=shop", 403}, {secret, "/lookup-tables/x?project_id=shop", 403},
		{token, "/lookup-tables/x?project_id=shop", 401},
	} {
		if code, body := upload(s, c.user, c.target, "a\n1\n"); code != c.want {
			t.Errorf("%s: %s: %d %s, want %d", c.user, c.target, code, body, c.want)
		}
	}
	if w := s.Do(http.MethodGet, "/lookup-tables/x?project_id=shop", "root", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
}
