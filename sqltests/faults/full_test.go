package faults

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"arbor/sqltests/server"
)

// importSome sends events, and gives the answer.
func importSome(t *testing.T, m *process, token string, from, to int) (code int, answer string) {
	t.Helper()
	var events []string
	for i := from; i < to; i++ {
		events = append(events, fmt.Sprintf(`{"event":"e","properties":{"time":1767225600,"distinct_id":"u%d","$insert_id":"i%d"}}`, i%17, i))
	}
	code, answer, err := m.do(t.Context(), http.MethodPost, "/import?strict=1", token, "["+strings.Join(events, ",")+"]")
	if err != nil {
		t.Fatal(err)
	}
	return code, answer
}

const countAll = "SELECT COUNT(*) FROM shop.events"

// restartFull fills the disk and starts the member again, by a kill and by asking it to.
func restartFull(t *testing.T, m *process, by syscall.Signal) (giveBack func()) {
	t.Helper()
	giveBack = fill(t, m.disk)
	m.end(t, by)
	m.run(t)
	return giveBack
}

// TestServerStartsOnAFullDisk: a server that is alone starts, answers, refuses what it
// has no room for and says why, and goes on when there is room.
func TestServerStartsOnAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("processes")
	}
	n := newNetwork(t, 1)
	m := newProcess(t, n.hosts[0], server.Binary(t))
	m.run(t)
	m.call(t, "CREATE DATABASE shop")
	token := m.one(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	have := 0
	for _, by := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		if code, answer := importSome(t, m, token, have, have+100); code != http.StatusOK {
			t.Fatal(code, answer)
		}
		have += 100
		giveBack := restartFull(t, m, by)
		if got := m.one(t, countAll); got != fmt.Sprint(have) {
			t.Errorf("on a full disk there are %s events, want %d", got, have)
		}
		code, answer := importSome(t, m, token, have, have+100)
		if code != http.StatusServiceUnavailable || !strings.Contains(answer, "disk is full") {
			t.Errorf("events for a full disk: %d %s", code, answer)
		}
		if _, err := m.query(t.Context(), "INSERT INTO shop.events (event, time, distinct_id) VALUES ('x', NOW(), 'x')"); err == nil || !strings.Contains(err.Error(), "1021") || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("a row for a full disk: %v", err)
		}
		giveBack()
		if code, answer := importSome(t, m, token, have, have+100); code != http.StatusOK {
			t.Fatal(code, answer)
		}
		if have += 100; m.one(t, countAll) != fmt.Sprint(have) {
			t.Errorf("with room again there are %s events, want %d", m.one(t, countAll), have)
		}
	}
}

// TestMembersStartOnFullDisks: a member whose disk is full starts and answers, and the
// others take events in; when all disks are full and all members start again they answer,
// and refuse events; with room all is as ever.
func TestMembersStartOnFullDisks(t *testing.T) {
	if testing.Short() {
		t.Skip("processes")
	}
	_, all := newCluster(t, 3)
	first, second := all[0], all[1]
	first.call(t, "CREATE DATABASE shop")
	token := first.one(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	if code, answer := importSome(t, first, token, 0, 500); code != http.StatusOK {
		t.Fatal(code, answer)
	}
	second.eventually(t, countAll, "500")
	giveBack := restartFull(t, second, syscall.SIGKILL)
	if got := second.one(t, countAll); got != "500" {
		t.Errorf("a member with a full disk answers %s", got)
	}
	for i, m := range []*process{first, second} {
		if code, answer := importSome(t, m, token, 500+100*i, 600+100*i); code != http.StatusOK {
			t.Errorf("two of three have room: %d %s", code, answer)
		}
	}
	for _, m := range all {
		m.eventually(t, countAll, "700")
	}
	giveBack()
	settle(t, first, 3)

	var back []func()
	for _, m := range all {
		m.end(t, syscall.SIGTERM) // so that each knows without a leader what was agreed on
		back = append(back, fill(t, m.disk))
	}
	for _, m := range all {
		m.start(t)
	}
	for _, m := range all {
		if err := m.ready(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, m.log)
		}
	}
	for _, m := range all {
		m.eventually(t, countAll, "700")
	}
	if code, answer := importSome(t, first, token, 700, 800); code != http.StatusServiceUnavailable || !strings.Contains(answer, "no room") {
		t.Errorf("all disks are full: %d %s", code, answer)
	}
	for _, giveBack := range back {
		giveBack()
	}
	settle(t, first, 3)
	if code, answer := importSome(t, first, token, 700, 900); code != http.StatusOK {
		t.Errorf("with room again: %d %s", code, answer)
	}
	for _, m := range all {
		m.eventually(t, countAll, "900")
		if got := m.one(t, "SELECT generation FROM arbor.members WHERE self"); got != "1" {
			t.Errorf("a member goes on under generation %s", got)
		}
		m.noCrash(t)
	}
}
