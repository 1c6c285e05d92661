package members

import (
	"net/http"
	"testing"

	"arbor/catalog"
	"arbor/sqltests/stack"
)

// TestWriteQuorumOfAProject: events of a project that wants them on all three disks wait
// while one disk hangs, those of another project do not; and three on two are refused.
func TestWriteQuorumOfAProject(t *testing.T) {
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3})
	first := g.Members[0]
	wants, other := first.Project(t, "shop"), first.Project(t, "blog")
	p, _ := first.Catalog().Project("shop")
	want := func(members uint8) {
		if _, err := first.Change(t.Context(), catalog.SetWriteQuorum{Project: p.ID, Members: members}); err != nil {
			t.Fatal(err)
		}
	}
	send := func(token, id string) int {
		return first.Do(http.MethodPost, "/import", token, `[{"event":"e","properties":{"time":1768300000,"distinct_id":"u","$insert_id":"`+id+`"}}]`).Code
	}
	want(3)
	release := g.Members[2].Disk.Hang()
	defer release()
	done := make(chan int, 1)
	go func() { done <- send(wants, "a") }()
	if code := send(other, "b"); code != http.StatusOK {
		t.Errorf("two of three are enough for the other project: %d", code)
	}
	if err := waitWritten(t, first, p.ID); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-done:
		t.Errorf("two of three, and three are wanted: %d", code)
	default:
	}
	release()
	if code := <-done; code != http.StatusOK {
		t.Errorf("all three have it: %d", code)
	}
	want(4)
	if code := send(wants, "c"); code != http.StatusServiceUnavailable {
		t.Errorf("four of three are wanted: %d", code)
	}
	if got := first.One(t, "SELECT COUNT(*) FROM shop.events"); got != "1" {
		t.Errorf("%s events, want 1", got)
	}
}

// waitWritten waits until the member itself has an event of the project on its disk.
func waitWritten(t *testing.T, m *stack.GroupMember, project catalog.ProjectID) error {
	t.Helper()
	for {
		holdings, err := m.Engine.Holdings(t.Context(), func(k catalog.ShardKey, _ uint64) bool { return k.Project == project })
		if err != nil || len(holdings) > 0 {
			return err
		}
	}
}
