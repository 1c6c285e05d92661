package members

import (
	"bytes"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
	"arbor/sqltests/stack"
)

const forgotten = "the one who is to be forgotten"

// linesOf are events of one user among others.
func linesOf(user string, from, to int) string {
	var lines []string
	for n := from; n < to; n++ {
		lines = append(lines, fmt.Sprintf(`{"event":"view","properties":{"time":%d,"distinct_id":%q,"$insert_id":"%s-%d","n":%d}}`, 1768300000+n%3*86400, user, user[:3], n, n))
	}
	return "[" + strings.Join(lines, ",") + "]"
}

// holding are the files of a member that have the text in them.
func holding(t *testing.T, fs vfs.FS, text string) (names []string) {
	t.Helper()
	var walk func(dir string)
	walk = func(dir string) {
		all, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all {
			at := path.Join(dir, name)
			if strings.HasSuffix(name, "/") {
				walk(at)
				continue
			}
			f, err := fs.Open(at)
			if err != nil {
				t.Fatal(err)
			}
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, size)
			if n, err := f.ReadAt(b, 0); n < len(b) {
				t.Fatal(at, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(text)) || strings.HasSuffix(at, ".idx") && inRows(t, fs, at, text) {
				names = append(names, at)
			}
		}
	}
	walk("data")
	return names
}

// inRows says whether an indexed file has a row of the user.
func inRows(t *testing.T, fs vfs.FS, name, user string) (found bool) {
	t.Helper()
	r, err := indexfile.Open(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range r.Rows() {
		var row indexfile.Row
		if err := r.Row(i, &row); err != nil {
			t.Fatal(err)
		}
		found = found || row.DistinctID == user
	}
	return found
}

// reached bounds how long members may take to reach each other, which is a moment on a
// machine that has time for them.
const reached = 5 * time.Minute

// TestMembersForgetAUser: a user is hidden everywhere at once, and gone everywhere when all
// members have erased; who was away brings nothing back, nor do batches that come late.
func TestMembersForgetAUser(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 2})
	first, second, third := g.Members[0], g.Members[1], g.Members[2]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, linesOf(forgotten, 0, 60))
	first.Stack.Import(t, token, events(0, 60))
	allHave(t, g, 120)
	if err := second.Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	first.Stack.Import(t, token, linesOf(forgotten, 30, 90)) // half of them are duplicates
	allHave(t, g, 180)
	if err := third.Engine.Index(t.Context(), 0, true); err != nil {
		t.Fatal(err)
	}
	engage(t, second, token, forgotten, "the other")
	third.Kill(t)
	first.Stack.Import(t, token, linesOf(forgotten, 90, 100))
	first.Stack.Import(t, token, events(60, 80))
	rest := "SELECT _ingest_id, distinct_id, n, _duplicate FROM shop.events_all WHERE distinct_id <> '" + forgotten + "' ORDER BY _ingest_id"
	mine := "SELECT COUNT(*) FROM shop.events_all WHERE distinct_id = '" + forgotten + "'"
	want := first.Rows(t, rest)
	if got := first.One(t, mine); got != "130" || len(want) != 80 {
		t.Fatalf("%s events of the user, %d of others", got, len(want))
	}
	if len(holding(t, second.FS, forgotten)) == 0 || len(holding(t, third.FS, forgotten)) == 0 {
		t.Fatal("nothing of the user is found in files: the test would show little")
	}

	call := "CALL arbor.erase_user('shop', '" + forgotten + "')"
	if _, err := first.Query(call); err == nil || !strings.Contains(err.Error(), "is not done") {
		t.Fatalf("erased while a member is away: %v", err)
	}
	profiles := "SELECT GROUP_CONCAT(distinct_id) FROM shop.people"
	for _, m := range g.Members[:2] {
		if got := m.One(t, mine); got != "0" {
			t.Errorf("%s events are seen", got)
		}
		if got := m.One(t, profiles); got != "the other" {
			t.Errorf("%s have profiles while a member is away", got)
		}
	}
	third.Open(t)
	deadline := time.Now().Add(reached)
	rows, err := second.Query(call)
	for err != nil { // it takes a moment until the others reach it
		if !strings.Contains(err.Error(), "is not done") || time.Now().After(deadline) {
			t.Fatal(err)
		}
		rows, err = second.Query(call)
	}
	answer := strings.Split(rows[0], "\t")
	if answer[2] != "done" || answer[7] != "130" || answer[11] != "1" {
		t.Errorf("the certificate is %q, want 130 removed and a row", answer)
	}

	// A batch from before that was under way, by two names.
	p := first.Catalog().Projects[0]
	shard := p.Shard(1768300000_000000, forgotten, "")
	record, err := event.AppendBatch(nil, &event.Batch{Shard: shard, Events: []event.Event{
		{ID: catalog.IngestID{Time: 1, Edge: 9, Index: 1}, Name: "late", Time: shard.Day.Start(), DistinctID: forgotten}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range g.Members {
		for i := range 4 { // each twice
			named := []dot.Named{{Dot: dot.Dot{Stream: dot.Stream{5}, Seq: uint64(1 + i/2)}, Record: record}}
			if outcomes, err := m.Engine.AppendNamed(t.Context(), named); err != nil || !slices.Equal(outcomes, []dot.Outcome{dot.Stored}) {
				t.Fatal(outcomes, err)
			}
		}
	}
	for round := range 2 {
		for i, m := range g.Members {
			if got := m.One(t, mine); got != "0" {
				t.Errorf("round %d: member %d sees %s events", round, i, got)
			}
			if got := m.One(t, profiles); got != "the other" {
				t.Errorf("round %d: member %d says that %s have profiles", round, i, got)
			}
			if got := m.Rows(t, rest); !slices.Equal(got, want) {
				t.Errorf("round %d: member %d sees %d events of others, want %d", round, i, len(got), len(want))
			}
			if found := holding(t, m.FS, forgotten); len(found) > 0 {
				t.Errorf("round %d: member %d has something of the user in %q", round, i, found)
			}
		}
		if err := first.Cluster.Index(t.Context(), 0, true); err != nil {
			t.Fatal(err)
		}
	}
	deadline = time.Now().Add(reached)
	for c := compareAll(t, g); ; c = compareAll(t, g) {
		if len(c.Divergences) > 0 || len(c.Silent) > 0 || time.Now().After(deadline) {
			t.Fatalf("%+v", c)
		}
		if c.Compared > 0 && c.Apart == 0 {
			break
		}
	}
	if got := first.One(t, "SELECT SUM(accepted), SUM(visible) + SUM(retry), SUM(erased) FROM arbor.balance"); got != "210\t80\t130" {
		t.Errorf("the balance is %s", got)
	}
}

// engage gives users profiles.
func engage(t *testing.T, m *stack.GroupMember, token string, users ...string) {
	t.Helper()
	var updates []string
	for _, user := range users {
		updates = append(updates, fmt.Sprintf(`{"$token":%q,"$distinct_id":%q,"$set":{"who":%q}}`, token, user, user))
	}
	if a := m.Do(http.MethodPost, "/engage", "", "["+strings.Join(updates, ",")+"]"); a.Code != http.StatusOK {
		t.Fatalf("/engage answers %d: %s", a.Code, a.Body)
	}
}
