package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"arbor/catalog"
	"arbor/cluster/tables"
)

func TestStateComesBackFromItsBytes(t *testing.T) {
	s := initial(1)
	s.Trust, s.Placement, s.PlacementEpoch = []byte("keys"), []byte{0, 255}, 7
	s.Secrets = []Secret{{Hash: [32]byte{1}, Expires: 5}}
	s, _ = s.Apply(RequestID{1}, project("p"))
	s, err := s.Apply(RequestID{2}, project("p"))
	if !errors.Is(err, catalog.ErrProjectExists) {
		t.Fatal(err)
	}
	s, err = s.Apply(RequestID{3}, lookup())
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeState(b)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := back.Encode()
	if diff := cmp.Diff(string(b), string(again)); diff != "" {
		t.Fatal(diff)
	}
	// A command that is sent again ends as it did, after a snapshot too.
	after, err := back.Apply(RequestID{2}, project("other"))
	if !errors.Is(err, catalog.ErrProjectExists) || after != back {
		t.Fatalf("applied again: %v", err)
	}
	if table, ok := back.Tables.Table(1, "plans"); !ok || table.Entries() != 1 {
		t.Fatal("the table is not there")
	}
	if _, err := back.Apply(RequestID{4}, lookup()); !errors.Is(err, tables.ErrTableExists) {
		t.Fatal(err)
	}
	// Version 1 has no tables.
	c := s.Catalog.Encode()
	plain := append([]byte(stateKind), statePlain)
	plain = binary.LittleEndian.AppendUint64(plain, uint64(len(c)))
	plain = append(append(plain, c...), b[stateHead+8+len(c)+len(s.Tables.Encode()):]...)
	old, err := DecodeState(plain)
	if err != nil || old.Version != s.Version || len(old.Members) != 1 || old.Tables.Version != 0 {
		t.Fatalf("version 1 is read as %v, %v", old, err)
	}
	b[len(stateKind)] = stateVersion + 1
	if _, err := DecodeState(b); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
	for i := range len(b) {
		if _, err := DecodeState(b[:i]); err == nil {
			t.Fatalf("cut after %d bytes it is read", i)
		}
	}
}

// lookup makes a table with a row.
func lookup() Command {
	return ChangeTables{tables.Change{{Op: tables.OpCreate, Project: 1, Name: "plans", Definition: []byte("d")}, {Op: tables.OpPut, Key: []byte("k"), Value: []byte("v")}}}
}

func TestRequestsAreRememberedToALimit(t *testing.T) {
	s := initial(1)
	for i := range MaxRequests + 1 {
		s, _ = s.Apply(RequestID{byte(i), byte(i >> 8), 1}, Change{catalog.SetSetting{Name: "max_columns", Value: fmt.Sprint(i % 100)}})
	}
	if len(s.Requests) != MaxRequests || s.Requests[0].ID != (RequestID{1, 0, 1}) {
		t.Fatalf("%d are remembered, the first is %v", len(s.Requests), s.Requests[0].ID)
	}
}

func TestCommandsRefuse(t *testing.T) {
	two := initial(1)
	other := member(2)
	two.Members = append(two.Members, &other)
	two.Secrets = []Secret{{Hash: [32]byte{}, Expires: 10}}
	for _, test := range []struct {
		what string
		c    Command
		want error
	}{
		{"no such secret", Admit{Member: member(3), Secret: []byte("x"), At: 1}, ErrSecret},
		{"an id that is in use", Admit{Member: member(2), At: 1}, ErrMemberExists},
		{"no addresses", Admit{Member: Member{ID: id(3), Roles: RoleBoth}}, ErrMember},
		{"no role", Admit{Member: Member{ID: id(3), Addresses: []string{"a"}}}, ErrMember},
		{"an unknown member", Announce{Member: member(9)}, ErrNoMember},
		{"the same boot, another process", Announce{Member: Member{ID: id(2), Session: Session{7}, Boot: 1}}, ErrStaleBoot},
		{"no such standing", Stand{ID: id(2), Standing: 9}, ErrMember},
		{"the last placement again", Place{Epoch: 0}, ErrEpoch},
		{"a placement too far", Place{Epoch: 2}, ErrEpoch},
		{"a placement too large", Place{Epoch: 1, Placement: make([]byte, MaxPlacement+1)}, ErrLimit},
		{"trust too large", SetTrust{Trust: make([]byte, MaxTrust+1)}, ErrLimit},
	} {
		next, err := two.Apply(NewRequestID(), test.c)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.what, err, test.want)
		}
		if cmp.Diff(two.Members, next.Members) != "" || next.PlacementEpoch != 0 {
			t.Errorf("%s: it changed something", test.what)
		}
	}
	one, err := two.Apply(NewRequestID(), Stand{ID: id(2), Standing: Removed})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Apply(NewRequestID(), Stand{ID: id(1), Standing: Draining}); !errors.Is(err, ErrLastMember) {
		t.Errorf("the last member drains: %v", err)
	}
	if _, err := one.Apply(NewRequestID(), Stand{ID: id(2), Standing: Admitted}); !errors.Is(err, ErrRemoved) {
		t.Errorf("a removed member is back: %v", err)
	}
	lost, err := two.Apply(NewRequestID(), Lost{ID: id(2), Generation: 0})
	if err != nil || lost.Members[1].Generation != 1 {
		t.Errorf("the generation after a loss: %v, %v", lost.Members[1], err)
	}
	lost, _ = lost.Apply(NewRequestID(), Lost{ID: id(2), Generation: 0})
	if lost.Members[1].Generation != 1 {
		t.Error("a generation was lost twice")
	}
	booted, err := lost.Apply(NewRequestID(), Announce{Member: Member{ID: id(2), Boot: 2, Session: Session{3}, Addresses: []string{"b"}, Roles: RoleStorage, Standing: Removed, Generation: 9}})
	if m := booted.Members[1]; err != nil || m.Standing != Admitted || m.Generation != 1 || m.Addresses[0] != "b" {
		t.Errorf("announced: %+v, %v", m, err)
	}
}

func TestCommandsComeBackFromTheirBytes(t *testing.T) {
	for _, c := range []Command{project("p"), Admit{Member: member(1), Secret: []byte("s"), At: 4}, Announce{member(2)}, Stand{id(1), Removed},
		Place{3, []byte("x")}, AddSecret{Secret{[32]byte{1}, 2}, 3}, SetTrust{[]byte("t")}, Lost{ID: id(4), Generation: 5}, lookup()} {
		b, err := EncodeCommand(RequestID{9}, c)
		if err != nil {
			t.Fatal(err)
		}
		name, back, err := DecodeCommand(b)
		if err != nil || name != (RequestID{9}) {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("%T: %s", c, diff)
		}
	}
	if _, _, err := DecodeCommand(make([]byte, commandHead-1)); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if _, _, err := DecodeCommand(append([]byte{commandVersion, 200}, make([]byte, 16)...)); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func FuzzCommand(f *testing.F) {
	for _, c := range []Command{project("p"), Admit{Member: member(1)}, Stand{id(1), Removed}, lookup()} {
		b, _ := EncodeCommand(RequestID{}, c)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name, c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		_, _ = initial(1).Apply(name, c)
	})
}

func TestPlanOfVoters(t *testing.T) {
	start := time.Unix(1000, 0)
	timing := DefaultTiming
	world := func(n int, voters ...byte) (*State, []raft.Server, map[MemberID]health) {
		s, seen := &State{Catalog: &catalog.Catalog{}}, map[MemberID]health{}
		var servers []raft.Server
		for i := byte(1); i <= byte(n); i++ {
			m := member(i)
			s.Members = append(s.Members, &m)
			seen[m.ID] = health{answers: true, since: start.Add(-time.Hour)}
			server := raft.Server{ID: raft.ServerID(m.ID.String()), Suffrage: raft.Nonvoter}
			for _, v := range voters {
				if v == i {
					server.Suffrage = raft.Voter
				}
			}
			servers = append(servers, server)
		}
		return s, servers, seen
	}
	for _, test := range []struct {
		what   string
		n      int
		voters []byte
		change func(s *State, servers *[]raft.Server, seen map[MemberID]health)
		want   action
	}{
		{what: "one alone", n: 1, voters: []byte{1}},
		{what: "two have one voter", n: 2, voters: []byte{1}},
		{what: "three have three", n: 3, voters: []byte{1}, want: action{actPromote, id(2)}},
		{what: "and go on", n: 3, voters: []byte{1, 2}, want: action{actPromote, id(3)}},
		{what: "done", n: 3, voters: []byte{1, 2, 3}},
		{what: "six have three", n: 6, voters: []byte{1, 2, 3}},
		{what: "seven have five", n: 7, voters: []byte{1, 2, 3}, want: action{actPromote, id(4)}},
		{what: "a new member", n: 3, voters: []byte{1}, change: func(_ *State, servers *[]raft.Server, _ map[MemberID]health) { *servers = (*servers)[:2] }, want: action{actAdd, id(3)}},
		{what: "one who just came gets no vote, and two voters would be worse than one", n: 3, voters: []byte{1}, change: func(_ *State, _ *[]raft.Server, seen map[MemberID]health) {
			seen[id(3)] = health{answers: true, since: start}
		}},
		{what: "a dead voter is replaced: first one more", n: 4, voters: []byte{1, 2, 3}, change: func(_ *State, _ *[]raft.Server, seen map[MemberID]health) {
			seen[id(2)] = health{since: start.Add(-timing.Dead)}
		}, want: action{actPromote, id(4)}},
		{what: "then the dead one less", n: 4, voters: []byte{1, 2, 3, 4}, change: func(_ *State, _ *[]raft.Server, seen map[MemberID]health) {
			seen[id(2)] = health{since: start.Add(-timing.Dead)}
		}, want: action{actDemote, id(2)}},
		{what: "one silent for a moment stays", n: 4, voters: []byte{1, 2, 3}, change: func(_ *State, _ *[]raft.Server, seen map[MemberID]health) {
			seen[id(2)] = health{since: start.Add(-timing.Dead + 1)}
		}},
		{what: "a dead voter that nobody can replace stays", n: 3, voters: []byte{1, 2, 3}, change: func(_ *State, _ *[]raft.Server, seen map[MemberID]health) {
			seen[id(2)] = health{since: start.Add(-time.Hour)}
		}},
		{what: "a removed member goes", n: 4, voters: []byte{1, 2, 3}, change: func(s *State, _ *[]raft.Server, _ map[MemberID]health) {
			s.Members[3].Standing = Removed
		}, want: action{actRemove, id(4)}},
		{what: "a leader that is to go and votes alone has another one vote", n: 3, voters: []byte{1}, change: func(s *State, _ *[]raft.Server, _ map[MemberID]health) {
			s.Members[0].Standing = Draining
		}, want: action{actPromote, id(2)}},
		{what: "and keeps its vote while it leads", n: 3, voters: []byte{1, 2}, change: func(s *State, _ *[]raft.Server, _ map[MemberID]health) {
			s.Members[0].Standing = Draining
		}},
		{what: "all that vote are to go", n: 4, voters: []byte{1, 2}, change: func(s *State, _ *[]raft.Server, _ map[MemberID]health) {
			s.Members[0].Standing, s.Members[1].Standing = Draining, Draining
		}, want: action{actPromote, id(3)}},
		{what: "the next leader takes it", n: 3, voters: []byte{1, 3}, change: func(s *State, _ *[]raft.Server, _ map[MemberID]health) {
			s.Members[2].Standing = Draining
		}, want: action{actDemote, id(3)}},
		{what: "nobody could vote in its place", n: 2, voters: []byte{1}, change: func(s *State, _ *[]raft.Server, seen map[MemberID]health) {
			s.Members[0].Standing, seen[id(2)] = Draining, health{since: start}
		}},
		{what: "of two that are left one votes", n: 2, voters: []byte{1, 2}, want: action{actDemote, id(2)}},
	} {
		s, servers, seen := world(test.n, test.voters...)
		if test.change != nil {
			test.change(s, &servers, seen)
		}
		if got := plan(id(1), s, servers, seen, start, timing); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.what, got, test.want)
		}
	}
}
