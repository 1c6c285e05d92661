package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"arbor/sqltests/server"
)

// installNode installs the packages that the lock file pins, unless they are
// there already.
var installNode = sync.OnceValue(func() error {
	installed, err := os.Stat("node/node_modules/.package-lock.json")
	if err == nil {
		if lock, err := os.Stat("node/package-lock.json"); err == nil && !lock.ModTime().After(installed.ModTime()) {
			return nil
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = "node"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
})

// node runs a script of the directory node and decodes what it prints.
func node(t *testing.T, results any, script string, args ...string) {
	t.Helper()
	if err := installNode(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{filepath.Join("node", script)}, args...)...)
	// The SDK would send everything through a proxy that it finds here.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		return name == "HTTP_PROXY" || name == "HTTPS_PROXY"
	})
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, stderr.String())
	}
	if err := json.Unmarshal(out, results); err != nil {
		t.Fatalf("node %s printed %s: %v", script, out, err)
	}
}

// TestMixpanelNode runs Mixpanel's SDK for Node, of which only the host is
// changed.
func TestMixpanelNode(t *testing.T) {
	s := server.Start(t)
	db := open(t, s, "")
	if _, err := db.Exec("CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	var token string
	if err := db.QueryRow("SELECT token FROM arbor.projects WHERE name = 'shop'").Scan(&token); err != nil {
		t.Fatal(err)
	}
	var errors map[string][]string
	node(t, &errors, "mixpanel.js", s.HTTP, token)
	failures := map[string]string{
		"wrongToken":        `"wrong\" opens no project`,
		"wrongTokenVerbose": `"wrong" opens no project`,
		"wrongKey":          "send a project's token or secret",
		"badTime":           "Mixpanel Server Error: 0",
	}
	for call, messages := range errors {
		want, fails := failures[call]
		if !fails && messages != nil {
			t.Errorf("%s: %q", call, messages)
		}
		if fails && (len(messages) != 1 || !strings.Contains(messages[0], want)) {
			t.Errorf("%s: %q, want one error with %q", call, messages, want)
		}
	}
	if len(errors) != 14 {
		t.Errorf("%d calls answered: %v", len(errors), errors)
	}

	rows, err := db.Query("SELECT event, COUNT(*), COUNT(DISTINCT insert_id) FROM shop.events GROUP BY event")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string][2]int{}
	for rows.Next() {
		var name string
		var n [2]int
		if err := rows.Scan(&name, &n[0], &n[1]); err != nil {
			t.Fatal(err)
		}
		got[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := map[string][2]int{
		"track": {1, 1}, "track verbose": {1, 1}, "no properties": {1, 0}, "$create_alias": {1, 0},
		"batch": {120, 120}, "batch verbose": {1, 1}, "import": {1, 1}, "import batch": {60, 60},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events, and those with distinct insert ids (-want +got):\n%s", diff)
	}
	var copies, plus, inTime int
	if err := db.QueryRow("SELECT COUNT(*) FROM shop.events_all WHERE event = 'batch'").Scan(&copies); err != nil || copies != 240 {
		t.Errorf("copies of the batch that was sent twice: %d, %v", copies, err)
	}
	if err := db.QueryRow("SELECT COUNT(*) FROM shop.events WHERE plus = '~~~>>>???éü😀'").Scan(&plus); err != nil || plus != 182 {
		t.Errorf("events whose text arrived whole: %d, %v", plus, err)
	}
	if err := db.QueryRow("SELECT COUNT(*) FROM shop.events WHERE time = '2026-01-02 03:04:05.678'").Scan(&inTime); err != nil || inTime != 183 {
		t.Errorf("events with their own time: %d, %v", inTime, err)
	}
}

// TestMixpanelNodeProfiles sets profiles with Mixpanel's SDK for Node, and reads them
// as the tables that they are.
func TestMixpanelNodeProfiles(t *testing.T) {
	s := server.Start(t)
	db := open(t, s, "")
	if _, err := db.Exec("CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	var token string
	if err := db.QueryRow("SELECT token FROM arbor.projects WHERE name = 'shop'").Scan(&token); err != nil {
		t.Fatal(err)
	}
	var errors map[string][]string
	node(t, &errors, "mixpanel-people.js", s.HTTP, token)
	for call, messages := range errors {
		if messages != nil {
			t.Errorf("%s: %q", call, messages)
		}
	}
	if len(errors) != 20 {
		t.Errorf("%d calls answered: %v", len(errors), errors)
	}
	for query, want := range map[string]string{
		"SELECT GROUP_CONCAT(distinct_id ORDER BY distinct_id) FROM shop.people":                                           "ann,bob",
		"SELECT JSON_REMOVE(properties, '$.\"$transactions\"') FROM shop.people WHERE distinct_id = 'ann'":                 `{"plan": "pro", "tags": ["b", "c"], "$name": "Ann Ö", "first": 7, "bought": [{"sku": 1}], "points": 1.5, "visits": 4}`,
		"SELECT JSON_EXTRACT(properties, '$.\"$transactions\"[0].\"$amount\"') FROM shop.people WHERE distinct_id = 'ann'": "12.5",
		"SELECT CONCAT(group_key, ' ', group_id, ' ', properties) FROM shop.`groups`":                                      `company acme {"tags": ["y"], "seats": 5}`,
		"SELECT COUNT(*) FROM shop.people WHERE last_seen > '2026-01-01'":                                                  "2",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", query, got, err, want)
		}
	}
}

// TestMySQL2 writes and reads with the driver that Node programs use.
func TestMySQL2(t *testing.T) {
	s := server.Start(t)
	var got struct {
		Affected []int
		Rows     []map[string]any
		All      map[string]any
		Errors   [][]any
		Loaded   []any
	}
	host, port, _ := strings.Cut(s.MySQL, ":")
	node(t, &got, "mysql2.js", host, port)
	row := func(id string, plan any) map[string]any {
		return map[string]any{
			"event": "buy", "time": "2026-01-02T03:04:05.678Z", "distinct_id": "ann", "insert_id": id,
			"amount": "9007199254740993", "plan": plan,
		}
	}
	for _, r := range got.Rows {
		properties, _ := json.Marshal(r["properties"])
		if !strings.Contains(string(properties), `"nested":[1,{"a":null}]`) {
			t.Errorf("properties %s", properties)
		}
		delete(r, "properties")
	}
	if diff := cmp.Diff([]map[string]any{row("id 0", "pro ü😀"), row("id 1", nil)}, got.Rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1, 1, 1}, got.Affected); diff != "" {
		t.Errorf("affected rows (-want +got):\n%s", diff)
	}
	if copies, duplicates := fmt.Sprint(got.All["copies"]), fmt.Sprint(got.All["duplicates"]); copies != "3" || duplicates != "1" {
		t.Errorf("%s copies, %s duplicates", copies, duplicates)
	}
	want := [][]any{
		{1054.0, "42S22", "ER_BAD_FIELD_ERROR"}, {1146.0, "42S02", "ER_NO_SUCH_TABLE"},
		{1064.0, "42000", "ER_PARSE_ERROR"}, {1049.0, "42000", "ER_BAD_DB_ERROR"},
	}
	if diff := cmp.Diff(want, got.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	// mysql2 shows the text with its length before it.
	if diff := cmp.Diff([]any{2.0, "/Records: 2  Deleted: 0  Skipped: 0  Warnings: 0"}, got.Loaded); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}
