package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// apply makes a catalog of changes that all must be accepted.
func apply(t testing.TB, c *Catalog, changes ...Change) *Catalog {
	t.Helper()
	for _, change := range changes {
		next, err := c.Apply(change)
		if err != nil {
			t.Fatalf("apply %#v: %v", change, err)
		}
		c = next
	}
	return c
}

// same compares all but the indexes.
var same = cmp.Options{
	cmpopts.IgnoreUnexported(Catalog{}, Project{}),
	cmpopts.EquateEmpty(),
}

// shop is a catalog with one of everything.
func shop(t testing.TB) *Catalog {
	return apply(t, &Catalog{}, everyChange()...)
}

// everyChange is one change of every kind at least, each allowed after those
// before it.
func everyChange() []Change {
	return []Change{
		CreateProject{Name: "shop", Token: "tok", Secret: "sec", Buckets: 4, At: 1_700_000_000_000_000},
		CreateProject{Name: "blog", At: 2},
		CreateProject{Name: "wiki", At: 3},
		Observe{Project: 1, Properties: []Observed{{"amount", KindInt}, {"plan", KindString}, {"Event", KindJSON}}},
		ModifyColumn{Project: 1, Column: Column{Name: "amount", Type: TypeDecimal, Precision: 10, Scale: 2}},
		ModifyColumn{Project: 1, Column: Column{Name: "signed_up", Property: "signed up", Type: TypeDatetime}, Add: true},
		AddPolicy{Project: 1, From: MinDay, To: MaxDay, Policy: Policy{Survivor: SurvivorLast}},
		AddPolicy{Project: 1, From: 19_000, To: 19_030, Policy: Policy{Disabled: true, Key: KeyID, Conflict: ConflictKeep, Missing: MissingContent}},
		AddPolicy{Project: 2, From: 1, To: 2, Policy: Policy{Key: KeyExact}},
		RemovePolicies{Project: 2},
		Truncate{Project: 1, ID: IngestID{9, 8, 7}, UpTo: IngestID{9, 8, 6}},
		UndoTruncate{Project: 1, ID: IngestID{9, 8, 7}},
		CreateView{Project: 1, View: View{Name: "daily", Definition: "SELECT 1", Statement: "CREATE VIEW daily AS SELECT 1"}},
		CreateView{Project: 1, View: View{Name: "gone"}},
		DropView{Project: 1, Name: "GONE"},
		SetSetting{Name: SettingSealAfterBytes, Value: "1048576"},
		SetSetting{Name: SettingCloseGrace, Value: "90m"},
		SetSetting{Name: SettingCloseGrace},
		SetGrants{Blob: []byte{1, 2, 3}}, ReplaceGrants{Over: GrantsSum([]byte{1, 2, 3}), Blob: []byte{1, 2, 3}},
		RotateToken{Project: 1, Token: "tok2"},
		DropProject{ID: 2, At: 5},
		DropProject{ID: 3, At: 6},
		PurgeProject{ID: 3},
		UndropProject{ID: 2, Name: "diary"},
		DropProject{ID: 2, At: 7},
	}
}

func TestEveryChange(t *testing.T) {
	got := shop(t)
	want := &Catalog{
		Version:     uint64(len(everyChange())),
		NextProject: 4,
		Settings:    map[string]string{"seal_after_bytes": "1MiB"},
		Grants:      []byte{1, 2, 3},
		Projects: []*Project{{
			ID: 1, Name: "shop", CreatedAt: 1_700_000_000_000_000, Token: "tok2", Secret: "sec", Buckets: 4,
			Columns: []Column{
				{Property: "amount", Name: "amount", Type: TypeDecimal, Precision: 10, Scale: 2, Pinned: true},
				{Property: "plan", Name: "plan", Type: TypeString},
				{Property: "Event", Name: "Event_2", Type: TypeJSON},
				{Property: "signed up", Name: "signed_up", Type: TypeDatetime, Pinned: true},
			},
			Policies: []PolicyRule{
				{Version: 7, From: MinDay, To: MaxDay, Policy: Policy{Survivor: SurvivorLast}},
				{Version: 8, From: 19_000, To: 19_030, Policy: Policy{Disabled: true, Key: KeyID, Conflict: ConflictKeep, Missing: MissingContent}},
			},
			Truncations: []Truncation{{ID: IngestID{9, 8, 7}, UpTo: IngestID{9, 8, 6}, Undone: true}},
			Views:       []View{{Name: "daily", Definition: "SELECT 1", Statement: "CREATE VIEW daily AS SELECT 1"}},
		}, {
			ID: 2, Name: "diary", CreatedAt: 2, DroppedAt: 7, Buckets: 1,
		}},
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if err := got.validate(); err != nil {
		t.Fatal(err)
	}
}

// TestApplyChangesNothing: the catalog that a change is applied to stays as it
// was, whether the change is allowed or not.
func TestApplyChangesNothing(t *testing.T) {
	c := apply(t, shop(t), Truncate{Project: 1, ID: IngestID{Time: 10}})
	before := string(c.Encode())
	for _, change := range append(everyChange(), UndoTruncate{Project: 1, ID: IngestID{Time: 10}},
		Observe{Project: 1, Properties: []Observed{{"Event", KindInt}}},
		SetSetting{Name: SettingMaxColumns, Value: "1"}, SetGrants{}, RotateToken{Project: 1, Token: "x", Secret: "y"},
		RemovePolicies{Project: 1}, DropView{Project: 1, Name: "daily"}, DropProject{ID: 1}, PurgeProject{ID: 2},
		CreateView{Project: 1, View: View{Name: "Daily", Definition: "SELECT 2"}, Replace: true},
	) {
		c.Apply(change)
		if string(c.Encode()) != before {
			t.Fatalf("%#v changed the catalog it was applied to", change)
		}
	}
}

func TestRefusedChanges(t *testing.T) {
	c := shop(t)
	for _, test := range []struct {
		change Change
		want   error
		says   string
	}{
		{CreateProject{Name: "shop"}, ErrProjectExists, `"shop"`},
		{CreateProject{Name: "SHOP"}, ErrProjectExists, `"shop"`},
		{CreateProject{Name: ""}, ErrName, "empty"},
		{CreateProject{Name: "mysql"}, ErrName, "choose another"},
		{CreateProject{Name: "Arbor"}, ErrName, "choose another"},
		{CreateProject{Name: "information_schema"}, ErrName, "choose another"},
		{CreateProject{Name: "performance_schema"}, ErrName, "choose another"},
		{CreateProject{Name: "SYS"}, ErrName, "choose another"},
		{CreateProject{Name: "a "}, ErrName, "space"},
		{CreateProject{Name: "a\x00b"}, ErrName, "U+0000"},
		{CreateProject{Name: "a\u0085b"}, ErrName, "U+0085"},
		{CreateProject{Name: "a\xffb"}, ErrName, "UTF-8"},
		{CreateProject{Name: "🙂"}, ErrName, "U+1F642"},
		{CreateProject{Name: "p", Token: "tok2"}, ErrTokenExists, `"shop"`},
		{CreateProject{Name: "p", Secret: "tok2"}, ErrTokenExists, `"shop"`},
		{CreateProject{Name: "p", Token: "same", Secret: "same"}, ErrTokenExists, "same"},
		{CreateProject{Name: "p", Token: "a b"}, ErrName, "0x20"},
		{CreateProject{Name: "p", Token: "a:b"}, ErrName, "0x3a"},
		{DropProject{ID: 2}, ErrNoProject, "dropped"},
		{DropProject{ID: 9}, ErrNoProject, "9"},
		{UndropProject{ID: 1}, ErrProjectLive, "shop"},
		{UndropProject{ID: 9}, ErrNoProject, "9"},
		{UndropProject{ID: 2, Name: "Shop"}, ErrProjectExists, "shop"},
		{UndropProject{ID: 2, Name: "sys"}, ErrName, "sys"},
		{PurgeProject{ID: 1}, ErrProjectLive, "drop it first"},
		{PurgeProject{ID: 9}, ErrNoProject, "9"},
		{RotateToken{Project: 9}, ErrNoProject, "9"},
		{RotateToken{Project: 1, Token: "sec"}, ErrTokenExists, "same"},
		{Observe{Project: 9}, ErrNoProject, "9"},
		{ModifyColumn{Project: 9}, ErrNoProject, "9"},
		{ModifyColumn{Project: 1, Column: Column{Name: "nope", Type: TypeInt}}, ErrNoColumn, "nope"},
		{ModifyColumn{Project: 1, Column: Column{Name: "Event", Type: TypeInt}}, ErrColumnExists, "every events table"},
		{ModifyColumn{Project: 1, Column: Column{Name: "plan"}}, ErrType, "choose"},
		{ModifyColumn{Project: 1, Column: Column{Name: "plan", Type: TypeDecimal + 1}}, ErrType, "8"},
		{ModifyColumn{Project: 1, Column: Column{Name: "plan", Type: TypeInt, Precision: 1}}, ErrType, "no precision"},
		{ModifyColumn{Project: 1, Column: Column{Name: "PLAN", Type: TypeInt}, Add: true}, ErrColumnExists, "PLAN"},
		{ModifyColumn{Project: 1, Column: Column{Name: "_file", Type: TypeInt}, Add: true}, ErrColumnExists, "_file"},
		{ModifyColumn{Project: 1, Column: Column{Name: "x", Property: "Event", Type: TypeInt}, Add: true}, ErrColumnExists, "Event_2"},
		{ModifyColumn{Project: 1, Column: Column{Name: "x ", Type: TypeInt}, Add: true}, ErrName, "space"},
		{ModifyColumn{Project: 1, Column: Column{Name: "x", Property: "\xff", Type: TypeInt}, Add: true}, ErrName, "UTF-8"},
		{AddPolicy{Project: 9}, ErrNoProject, "9"},
		{AddPolicy{Project: 1, From: 2, To: 1}, ErrPolicy, "after"},
		{AddPolicy{Project: 1, Policy: Policy{Key: KeyID + 1}}, ErrPolicy, "KEY=3"},
		{RemovePolicies{Project: 9}, ErrNoProject, "9"},
		{Truncate{Project: 9}, ErrNoProject, "9"},
		{Truncate{Project: 1, ID: IngestID{9, 8, 7}}, ErrTruncationExists, "0000000000000009"},
		{UndoTruncate{Project: 1, ID: IngestID{9, 8, 7}}, ErrNoTruncation, "already"},
		{UndoTruncate{Project: 1}, ErrNoTruncation, "0000"},
		{UndoTruncate{Project: 9}, ErrNoProject, "9"},
		{CreateView{Project: 9}, ErrNoProject, "9"},
		{CreateView{Project: 1, View: View{Name: "DAILY"}}, ErrViewExists, "DAILY"},
		{CreateView{Project: 1, View: View{Name: "Events"}}, ErrName, "table"},
		{CreateView{Project: 1, View: View{Name: "events_all"}}, ErrName, "table"},
		{CreateView{Project: 1}, ErrName, "empty"},
		{DropView{Project: 1, Name: "nope"}, ErrNoView, "nope"},
		{DropView{Project: 9}, ErrNoProject, "9"},
		{SetSetting{Name: "nope"}, ErrNoSetting, "arbor.settings"},
		{SetSetting{Name: SettingSealAfterBytes, Value: "many"}, ErrSetting, "32MiB"},
	} {
		got, err := c.Apply(test.change)
		if !errors.Is(err, test.want) || got != nil {
			t.Errorf("%#v: got %v, want %v", test.change, err, test.want)
		} else if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%#v: %q does not say %q", test.change, err, test.says)
		}
	}
}

func TestFindingProjects(t *testing.T) {
	c := shop(t)
	byHand := &Catalog{Projects: c.Projects} // has no index of names
	for _, c := range []*Catalog{c, byHand} {
		for name, want := range map[string]bool{"shop": true, "SHOP": false, "diary": false, "": false} {
			if p, ok := c.Project(name); ok != want || ok && p.ID != 1 {
				t.Errorf("project %q: got %v", name, p)
			}
		}
		for token, want := range map[string]bool{"tok2": true, "sec": true, "tok": false, "": false} {
			if p, ok := c.ProjectByToken(token); ok != want || ok && p.ID != 1 {
				t.Errorf("token %q: got %v", token, p)
			}
		}
		for id, want := range map[ProjectID]bool{0: false, 1: true, 2: true, 3: false, 4: false} {
			if p, ok := c.ProjectByID(id); ok != want || ok && p.ID != id {
				t.Errorf("project %d: got %v", id, p)
			}
		}
	}
}

// TestNamesFollowEveryChange asks for each name and token after each change:
// the index of names must not be older than the catalog.
func TestNamesFollowEveryChange(t *testing.T) {
	c := &Catalog{}
	for _, change := range everyChange() {
		c = apply(t, c, change)
		byHand := &Catalog{Projects: c.Projects}
		for _, name := range []string{"shop", "blog", "wiki", "diary"} {
			got, _ := c.Project(name)
			if want, _ := byHand.Project(name); got != want {
				t.Errorf("after %#v: project %q is %v, not %v", change, name, got, want)
			}
		}
		for _, token := range []string{"tok", "tok2", "sec"} {
			got, _ := c.ProjectByToken(token)
			if want, _ := byHand.ProjectByToken(token); got != want {
				t.Errorf("after %#v: token %q opens %v, not %v", change, token, got, want)
			}
		}
	}
}

// TestPinnedColumnsNeverWiden, whatever is observed.
func TestPinnedColumnsNeverWiden(t *testing.T) {
	c := apply(t, &Catalog{}, CreateProject{Name: "p"}, ModifyColumn{1, Column{Name: "n", Type: TypeInt}, true})
	if next := apply(t, c, Observe{1, []Observed{{"n", KindString}}}); next != c {
		t.Errorf("got %+v", next.Projects[0].Columns)
	}
}

func TestViewsAreFoundInAnyCase(t *testing.T) {
	p := shop(t).Projects[0]
	if v, ok := p.View("DaiLY"); !ok || v.Name != "daily" {
		t.Errorf("got %v", v)
	}
	if _, ok := p.View("gone"); ok {
		t.Error("the dropped view is there")
	}
}

// TestPolicyOfADay: the last rule added that holds the day decides; rules that
// can never decide again are dropped.
func TestPolicyOfADay(t *testing.T) {
	last, id, off := Policy{Survivor: SurvivorLast}, Policy{Key: KeyID}, Policy{Disabled: true}
	c := apply(t, &Catalog{}, CreateProject{Name: "p"},
		AddPolicy{1, 10, 20, last}, AddPolicy{1, 15, 30, id}, AddPolicy{1, 20, 20, off})
	check := func(want map[Day]Policy) {
		t.Helper()
		for d, w := range want {
			if got := c.Projects[0].Policy(d); got != w {
				t.Errorf("day %d: got %s, want %s", int(d), got, w)
			}
		}
	}
	check(map[Day]Policy{MinDay: DefaultPolicy, 9: DefaultPolicy, 10: last, 14: last, 15: id, 19: id, 20: off, 21: id, 30: id, 31: DefaultPolicy, MaxDay: DefaultPolicy})
	c = apply(t, c, AddPolicy{1, 10, 20, last})
	check(map[Day]Policy{10: last, 20: last, 21: id})
	if n := len(c.Projects[0].Policies); n != 2 {
		t.Errorf("%d rules", n)
	}
	c = apply(t, c, RemovePolicies{1})
	check(map[Day]Policy{10: DefaultPolicy, 25: DefaultPolicy})
}

func TestNeedsAllocatesNothing(t *testing.T) {
	c := shop(t)
	props := []Property{{"Event", JSON("[]")}, {"amount", Int(3)}, {"plan", String("pro")}}
	if n := testing.AllocsPerRun(100, func() { c.Projects[0].Needs(props) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestReplaceGrantsComparesFirst: of two changes that were made of the same users,
// only the first holds.
func TestReplaceGrantsComparesFirst(t *testing.T) {
	c := apply(t, &Catalog{}, ReplaceGrants{Over: GrantsSum(nil), Blob: []byte("a")})
	mine, theirs := ReplaceGrants{Over: GrantsSum(c.Grants), Blob: []byte("ab")}, ReplaceGrants{Over: GrantsSum(c.Grants), Blob: []byte("ac")}
	c = apply(t, c, mine)
	if _, err := c.Apply(theirs); !errors.Is(err, ErrGrantsChanged) {
		t.Errorf("the second gives %v", err)
	}
	theirs.Over = GrantsSum(c.Grants)
	if c = apply(t, c, theirs); string(c.Grants) != "ac" {
		t.Errorf("the users are %q", c.Grants)
	}
}
