package members

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/sqltests/stack"
)

// stageGroup are three members that index by version 1.
func stageGroup(t *testing.T, faults *engine.Faults) (*stack.Group, string) {
	t.Helper()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, Faults: faults, CompareEvery: time.Hour})
	if _, err := g.Members[0].Change(t.Context(), catalog.SetSetting{Name: catalog.SettingIndexVersion, Value: "1"}); err != nil {
		t.Fatal(err)
	}
	return g, g.Members[0].Project(t, "shop")
}

// indexEach has every member index all that it has.
func indexEach(t *testing.T, g *stack.Group, closeDays bool) {
	t.Helper()
	for _, m := range g.Members {
		if err := m.Engine.Index(t.Context(), 0, closeDays); err != nil {
			t.Fatal(err)
		}
	}
}

// alike waits until all members have the same batches, and gives what differs. A member
// has nothing to compare of a shard that it has nothing of yet: so that they hold equally
// many events of each is waited for first.
func alike(t *testing.T, g *stack.Group) (divergences int) {
	t.Helper()
	late := time.Now().Add(reached)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	first := g.Members[0]
	for _, m := range g.Members[1:] {
		for ; !maps.Equal(heldOf(t, first), heldOf(t, m)); <-look.C {
			if time.Now().After(late) {
				t.Fatalf("member %s holds %v, and member %s %v", first.ID, heldOf(t, first), m.ID, heldOf(t, m))
			}
		}
	}
	for {
		c := compareAll(t, g)
		if c.Apart == 0 && len(c.Silent) == 0 {
			return len(c.Divergences)
		}
	}
}

// allHave waits until all members have so many copies: those that were acknowledged
// without one of them come to it later.
func allHave(t *testing.T, g *stack.Group, copies int) {
	t.Helper()
	late := time.Now().Add(5 * time.Minute)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for _, m := range g.Members {
		for ; len(contentsOf(t, m)) != copies; <-look.C {
			if time.Now().After(late) {
				t.Fatalf("a member has %d copies, want %d", len(contentsOf(t, m)), copies)
			}
		}
	}
}

// contentsOf are all copies that a member has, asked of its engine alone: rows and who
// hides whom.
func contentsOf(t *testing.T, m *stack.GroupMember) (rows []string) {
	t.Helper()
	columns := []exec.Column{{Source: exec.SourceIngestID, Type: catalog.TypeString}, {Source: exec.SourceEvent, Type: catalog.TypeString}, {Source: exec.SourceTime, Type: catalog.TypeDatetime},
		{Source: exec.SourceDistinctID, Type: catalog.TypeString}, {Source: exec.SourceInsertID, Type: catalog.TypeString}, {Source: exec.SourceProperties, Type: catalog.TypeJSON},
		{Source: exec.SourceDuplicate, Type: catalog.TypeBool}, {Source: exec.SourceDupOf, Type: catalog.TypeString}, {Source: exec.SourceDupKind, Type: catalog.TypeString}}
	_, err := m.Engine.Scan(t.Context(), &exec.Fragment{Project: 1, Copies: true, Columns: columns}, func(b *exec.Batch) error {
		for i := range b.Rows {
			var row []string
			for _, column := range b.Columns {
				row = append(row, column.ValueStr(i))
			}
			rows = append(rows, strings.Join(row, "\t"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}

// versions are the versions of the files that a member has.
func versions(t *testing.T, m *stack.GroupMember) string {
	t.Helper()
	table, err := m.Engine.Describe(t.Context(), "files")
	if err != nil {
		t.Fatal(err)
	}
	at := len(table.Columns) - 1
	var all []string
	for _, row := range table.Rows {
		all = append(all, fmt.Sprint(row[at].Int()))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

func refused(t *testing.T, m *stack.GroupMember, statement, text string) {
	t.Helper()
	if _, err := m.Query(statement); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s says %v, not %q", statement, err, text)
	}
}

// TestStagedVersionIsPromoted: a canary indexes by the new version, alone; what it makes
// agrees with the others', and once the time is over and all was compared everybody does.
func TestStagedVersionIsPromoted(t *testing.T) {
	t.Parallel()
	g, token := stageGroup(t, nil)
	first, second, third := g.Members[0], g.Members[1], g.Members[2]
	first.Stack.Import(t, token, events(0, 200))
	indexEach(t, g, false)
	refused(t, first, "CALL arbor.set_setting('index_version', '2')", "CALL arbor.stage")
	refused(t, first, "CALL arbor.promote()", "no index version is staged")
	refused(t, first, "CALL arbor.rollback()", "no index version is staged")
	refused(t, first, "CALL arbor.stage('3')", "from 1 to 2")
	refused(t, first, "CALL arbor.stage('1')", "1 is in force")
	refused(t, first, "CALL arbor.stage('2', '77')", "arbor.members lists them")
	refused(t, first, "CALL arbor.stage('2', '01,02,03')", "nobody to compare")
	refused(t, first, "CALL arbor.stage('2', NULL, 'soon')", "want a time")
	refused(t, first, "CALL arbor.stage('2', NULL, '2161h')", "want a time")
	first.Rows(t, "CALL arbor.stage('2', NULL, '1h')")
	refused(t, first, "CALL arbor.stage('2')", "staged already")
	refused(t, first, "CALL arbor.promote()", "compared for another 1h0m0s")

	first.Stack.Import(t, token, events(150, 400))
	alike(t, g)
	indexEach(t, g, true)
	for i, want := range []string{"1", "1", "2"} {
		if got := versions(t, g.Members[i]); got != want {
			t.Errorf("member %d has files of versions %s, want %s", i, got, want)
		}
	}
	for _, m := range g.Members {
		m.Advance(time.Hour)
	}
	first.Kill(t)
	second.Kill(t)
	refused(t, third, "CALL arbor.promote()", "were not compared yet")
	first.Open(t)
	second.Open(t)
	want := fmt.Sprintf("%s\trunning\t1\t2\t4\t4\t4\t0\t\\N", third.ID)
	got := ""
	for late := time.Now().Add(5 * time.Minute); got != want; { // they have to find each other again
		if time.Now().After(late) {
			t.Fatalf("arbor.stage has %q, want %q", got, want)
		}
		if err := third.Parts.WatchStage(t.Context()); err != nil {
			t.Fatal(err)
		}
		got = first.One(t, "SELECT member, state, from_version, to_version, shards, files, compared, fresh, problem FROM arbor.stage")
	}
	if got := first.One(t, "SELECT state, progress FROM arbor.jobs WHERE kind = 'stage'"); got != "running\t1" {
		t.Errorf("arbor.jobs has %q", got)
	}
	first.Rows(t, "CALL arbor.promote()")
	if got := first.One(t, "SELECT value FROM arbor.settings WHERE name = 'index_version'"); got != "2" {
		t.Errorf("index_version is %s", got)
	}
	first.Stack.Import(t, token, events(400, 500))
	alike(t, g)
	indexEach(t, g, true)
	for i, m := range g.Members {
		if got := versions(t, m); got != "2" {
			t.Errorf("member %d has files of versions %s", i, got)
		}
	}
	if n := alike(t, g); n > 0 {
		t.Errorf("%d shards differ", n)
	}
}

// TestStagedFaultIsCaught plants faults in the new version's indexer, with its proof turned
// off: the comparison finds each, stops the stage, and nobody else takes anything of it.
// The rollback gives the canary back what the others have, row by row.
func TestStagedFaultIsCaught(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	once := func(do func(*indexfile.Row) int) func(*indexfile.Row) int {
		return func(r *indexfile.Row) int {
			if on.Load() && r.InsertID == "i260" {
				return do(r)
			}
			return 1
		}
	}
	for name, faults := range map[string]*engine.Faults{
		"drops a row":         {Row: once(func(*indexfile.Row) int { return 0 })},
		"changes an event":    {Row: once(func(r *indexfile.Row) int { r.Name = "bought"; return 1 })},
		"forgets older files": {Overwrite: true},
	} {
		t.Run(name, func(t *testing.T) {
			on.Store(true)
			faults.Version, faults.Unproven = 2, true
			g, token := stageGroup(t, faults)
			first, second, third := g.Members[0], g.Members[1], g.Members[2]
			first.Stack.Import(t, token, events(0, 200))
			alike(t, g)
			allHave(t, g, 200)
			indexEach(t, g, false)
			first.Rows(t, "CALL arbor.stage('2', '03', '1h')")
			first.Rows(t, "CALL arbor.set_setting('trash_retention', '0s')")
			first.Stack.Import(t, token, events(200, 300))
			first.Stack.Import(t, token, events(250, 260))
			first.Rows(t, "DELETE FROM shop.events WHERE insert_id = 'i7'")
			alike(t, g)
			allHave(t, g, 309) // one is deleted
			indexEach(t, g, true)
			want := contentsOf(t, first)
			if got := contentsOf(t, third); slices.Equal(got, want) {
				t.Fatal("the fault does nothing")
			}
			for _, m := range g.Members {
				m.Tick(t)
			}
			if name == "changes an event" { // who promotes has all compared before
				third.Advance(2 * time.Hour)
				first.Advance(2 * time.Hour)
				refused(t, first, "CALL arbor.promote()", "same batches, and differs in")
			} else if err := third.Parts.WatchStage(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := first.One(t, "SELECT state, problem LIKE '%same batches, and differs in%' FROM arbor.stage"); got != "stopped\t1" {
				t.Fatalf("arbor.stage has %q", got)
			}
			if got := first.One(t, "SELECT COUNT(*) FROM arbor.alarms WHERE kind = 'stage'"); got != "1" {
				t.Errorf("%s alarms", got)
			}
			for _, m := range g.Members {
				m.Advance(2 * time.Hour)
			}
			refused(t, first, "CALL arbor.promote()", "it is stopped")

			// Members that come go by the others, and so do questions, once they know.
			late := time.Now().Add(reached)
			look := time.NewTicker(2 * time.Millisecond)
			defer look.Stop()
			for c := third.Catalog(); c.Stage == nil || c.Stage.State != catalog.StageStopped; c = third.Catalog() {
				if <-look.C; time.Now().After(late) {
					t.Fatal("the canary does not hear that the stage was stopped")
				}
			}
			if got, right := third.Rows(t, everyCopy), first.Rows(t, everyCopy); !slices.Equal(got, right) || len(got) != len(want) {
				t.Errorf("a question gets %d copies, and not the %d that there are", len(got), len(right))
			}
			first.Stack.Import(t, token, events(300, 320))
			alike(t, g)
			indexEach(t, g, false)
			if got := versions(t, third); got != "1,2" {
				t.Errorf("after the stop the canary has files of versions %s", got)
			}
			if err := third.Engine.Index(t.Context(), 0, true); err != nil {
				t.Fatal(err)
			}
			if got := versions(t, third); got != "1,2" {
				t.Errorf("what is wrong was merged: versions %s", got)
			}

			first.Rows(t, "CALL arbor.rollback()")
			want = contentsOf(t, first)
			for i, m := range []*stack.GroupMember{second, third} {
				if got := contentsOf(t, m); !slices.Equal(got, want) {
					t.Errorf("member %d has %d copies, the first %d, or others", i+2, len(got), len(want))
				}
			}
			if got := versions(t, third); got != "1" {
				t.Errorf("after the rollback the canary has files of versions %s", got)
			}
			if got := first.Rows(t, "SELECT * FROM arbor.stage"); len(got) > 0 {
				t.Errorf("arbor.stage has %q", got)
			}
			if n := alike(t, g); n > 0 {
				t.Errorf("%d shards differ", n)
			}
			// It stays so.
			third.Close(t)
			third.Open(t)
			if got := contentsOf(t, third); !slices.Equal(got, want) {
				t.Error("after another start the canary has something else")
			}
		})
	}
}

// TestStageStopsByItself: nobody asks, and a fault that the proof catches, or a file that
// cannot be read, stops the stage all the same; a rollback heals a shard that was damaged.
func TestStageStopsByItself(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"unproven", "damaged"} {
		t.Run(kind, func(t *testing.T) {
			faults := &engine.Faults{Version: 2}
			if kind == "unproven" {
				faults.Row = func(*indexfile.Row) int { return 2 }
			}
			g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 2, Faults: faults, CompareEvery: time.Millisecond})
			first, third := g.Members[0], g.Members[2]
			first.Stack.Change(t, catalog.SetSetting{Name: catalog.SettingIndexVersion, Value: "1"})
			token := first.Project(t, "shop")
			first.Stack.Import(t, token, events(0, 100))
			first.Rows(t, "CALL arbor.stage('2', '03', '1h')")
			first.Stack.Import(t, token, events(100, 200))
			alike(t, g)
			allHave(t, g, 200)
			want := contentsOf(t, first)
			if err := third.Engine.Index(t.Context(), 0, false); (err != nil) != (kind == "unproven") {
				t.Fatal(err)
			}
			if kind == "damaged" {
				staged, err := third.Engine.Staged(t.Context())
				if err != nil || len(staged.Shards) != 2 {
					t.Fatal(staged, err)
				}
				third.Close(t)
				spoilFile(t, third, "data/shards/"+staged.Shards[0].Shard.String()+"/"+staged.Shards[0].Files[0])
				third.Open(t)
				if _, err := third.Engine.Check(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
			}
			look := time.NewTicker(2 * time.Millisecond)
			defer look.Stop()
			for late := time.Now().Add(5 * time.Minute); first.Catalog().Stage.State != catalog.StageStopped; <-look.C {
				if time.Now().After(late) {
					t.Fatal("the stage goes on")
				}
			}
			text := map[string]string{"unproven": "could not be made", "damaged": "cannot be read"}[kind]
			if got := first.Catalog().Stage.Reason; !strings.Contains(got, text) {
				t.Errorf("it was stopped because %s", got)
			}
			// The canary may not be found again yet, since it was started anew; then it goes on by
			// itself.
			if _, err := first.Query("CALL arbor.rollback()"); err != nil && !strings.Contains(err.Error(), "goes on by itself") {
				t.Fatal(err)
			}
			for late := time.Now().Add(5 * time.Minute); first.Catalog().Stage != nil; <-look.C {
				if time.Now().After(late) {
					t.Fatal("the stage does not end")
				}
			}
			if got := contentsOf(t, third); !slices.Equal(got, want) {
				t.Errorf("the canary has %d copies, the first %d, or others", len(got), len(want))
			}
			third.Close(t)
			third.Open(t)
			if got := contentsOf(t, third); !slices.Equal(got, want) {
				t.Error("after another start the canary has something else")
			}
		})
	}
}

// spoilFile changes a byte in the middle of a file.
func spoilFile(t *testing.T, m *stack.GroupMember, name string) {
	t.Helper()
	changeFile(m.FS, name, func(b []byte) { b[len(b)/2] ^= 0x55 })
}

// TestCanaryGivesNothingStaged: who lacks something gets it from others than a canary,
// unless the canary has it in its log.
func TestCanaryGivesNothingStaged(t *testing.T) {
	t.Parallel()
	g, token := stageGroup(t, nil)
	first, third := g.Members[0], g.Members[2]
	first.Rows(t, "CALL arbor.stage('2', '03', '1h')")
	first.Stack.Import(t, token, events(0, 200))
	alike(t, g)
	for _, m := range g.Members {
		m.Advance(100 * 365 * 24 * time.Hour) // past the log's own clock
	}
	indexEach(t, g, false)
	for _, m := range g.Members {
		m.Advance(100 * time.Hour) // what left the log lately is given from there
	}
	given := func(m *stack.GroupMember) int {
		held, _, err := m.Engine.Held(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for slot, dots := range held {
			got, err := m.Engine.Fetch(t.Context(), func(s catalog.Slot) bool { return s == slot }, dots, 1<<20, 16)
			if err != nil {
				t.Fatal(err)
			}
			n += len(got.Files) + len(got.Batches)
		}
		return n
	}
	if a, b := given(first), given(third); a != 4 || b != 0 {
		t.Errorf("the first gives %d files, want 4; the canary %d, want none", a, b)
	}
	first.Rows(t, "CALL arbor.promote('force')")
	if n := given(third); n != 4 {
		t.Errorf("once it is promoted the canary gives %d files, want 4", n)
	}
}
