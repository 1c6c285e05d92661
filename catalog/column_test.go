package catalog

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWiden(t *testing.T) {
	kinds := []Kind{KindNull, KindBool, KindInt, KindDouble, KindString, KindJSON}
	table := map[Type]string{ // by the kinds above
		TypeNull:     "null bool int double string json",
		TypeBool:     "bool bool int double string string",
		TypeInt:      "int int int double string string",
		TypeDouble:   "double double double double string string",
		TypeString:   "string string string string string string",
		TypeJSON:     "json string string string string json",
		TypeDatetime: "datetime datetime datetime datetime datetime datetime",
		TypeDecimal:  "decimal decimal decimal decimal decimal decimal",
	}
	for typ, row := range table {
		for i, want := range strings.Fields(row) {
			if got := Widen(typ, kinds[i]); got.String() != want {
				t.Errorf("%s with kind %d: got %s, want %s", typ, kinds[i], got, want)
			}
		}
		if Widen(typ, KindNumber) != Widen(typ, KindDouble) {
			t.Errorf("%s widens to different types for a number and a double", typ)
		}
	}
}

// TestWidenDoesNotDependOnOrder: two members that saw the same values in other
// orders have the same type.
func TestWidenDoesNotDependOnOrder(t *testing.T) {
	for a := KindNull; a <= KindJSON; a++ {
		for b := KindNull; b <= KindJSON; b++ {
			for typ := TypeNull; typ <= TypeDecimal; typ++ {
				ab, ba := Widen(Widen(typ, a), b), Widen(Widen(typ, b), a)
				if ab != ba {
					t.Errorf("%s with %d, %d: %s, in the other order %s", typ, a, b, ab, ba)
				}
				if again := Widen(Widen(ab, a), b); again != ab {
					t.Errorf("%s with %d, %d: %s, and then %s", typ, a, b, ab, again)
				}
			}
		}
	}
}

func TestColumnNames(t *testing.T) {
	long := strings.Repeat("é", 70)
	var seen []Observed
	var want []string
	for _, c := range []struct{ property, column string }{
		{"plan", "plan"},
		{"Plan", "Plan_2"},
		{"PLAN", "PLAN_3"},
		{"plan_2", "plan_2_2"},
		{"event", "event_2"},
		{"_Shard", "_Shard_2"},
		{"Properties", "Properties_2"},
		{"", "_"},
		{"_", "__2"},
		{"   ", "__3"},
		{"trailing  ", "trailing"},
		{" leading", " leading"},
		{"a\x00b\nc", "a_b_c"},
		{"tick`s", "tick`s"},
		{"bad\xffbyte", "bad\ufffdbyte"},
		{long, long[:128]},
		{long + "x", long[:124] + "_2"},
		{strings.Repeat("x", 63) + " y", strings.Repeat("x", 63)},
		{"ſet", "ſet"},
		{"set", "set_2"},         // ſ folds to s
		{"\u212aey", "\u212aey"}, // the sign for kelvin folds to k
		{"key", "key_2"},
		{"🙂", "🙂"},
	} {
		seen = append(seen, Observed{c.property, KindInt})
		want = append(want, c.column)
	}
	c := apply(t, &Catalog{}, CreateProject{Name: "p"}, Observe{Project: 1, Properties: seen})
	p := c.Projects[0]
	for i := range want {
		got := p.Columns[i]
		if got.Name != want[i] || got.Property != seen[i].Name {
			t.Errorf("property %q: got column %q, want %q", seen[i].Name, got.Name, want[i])
		}
		if n := utf8.RuneCountInString(got.Name); n > MaxColumnName {
			t.Errorf("column %q has %d characters", got.Name, n)
		}
		if found, ok := p.Column(strings.ToUpper(got.Name)); strings.ToUpper(got.Name) != "ſET" && (!ok || found.Name != got.Name) {
			t.Errorf("column %q is not found in capitals: %v", got.Name, found)
		}
	}
	if err := p.validate(); err != nil {
		t.Error(err)
	}
}

func TestManyClashes(t *testing.T) {
	var seen []Observed
	for i := range 12 {
		seen = append(seen, Observed{strings.Repeat("x", 64) + strings.Repeat("y", i), KindInt})
	}
	c := apply(t, &Catalog{}, CreateProject{Name: "p"}, Observe{Project: 1, Properties: seen})
	if got, want := c.Projects[0].Columns[11].Name, strings.Repeat("x", 61)+"_12"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// TestNeedsAndObserveAgree: what Needs asks for, Observe gives, and after it
// Needs asks for nothing; with and without an index.
func TestNeedsAndObserveAgree(t *testing.T) {
	c := apply(t, &Catalog{}, CreateProject{Name: "p"}, SetSetting{SettingMaxColumns, "3"})
	ask := func(props ...Property) int {
		p := c.Projects[0]
		needs := p.Needs(props)
		c = apply(t, c, Observe{Project: 1, Properties: needs})
		p = c.Projects[0]
		if again := p.Needs(props); again != nil {
			t.Fatalf("after observing %v it still needs %v", needs, again)
		}
		if len(needs) > 0 { // what comes late changes nothing
			c2 := apply(t, c, Observe{Project: 1, Properties: needs})
			if c2 != c {
				t.Fatalf("observing %v twice is not the same", needs)
			}
		}
		return len(needs)
	}
	for i, step := range []struct {
		want  int
		props []Property
	}{
		{1, []Property{{"a", Null}}},
		{0, []Property{{"a", Null}}},
		{1, []Property{{"a", Int(1)}}},
		{0, []Property{{"a", Bool(true)}}},
		{2, []Property{{"a", String("x")}, {"b", JSON("[]")}}},
		{2, []Property{{"b", Int(1)}, {"c", Number("1.0")}, {"d", Int(1)}}}, // d finds no room
		{0, []Property{{"e", Int(1)}}},
	} {
		if got := ask(step.props...); got != step.want {
			t.Fatalf("step %d needed %d, want %d", i, got, step.want)
		}
	}
	if got := len(c.Projects[0].Columns); got != 3 {
		t.Fatalf("%d columns", got)
	}
	// A pinned column never widens; a higher limit makes room at once.
	c = apply(t, c, ModifyColumn{Project: 1, Column: Column{Name: "C", Type: TypeBool}}, SetSetting{SettingMaxColumns, "4"})
	if got := ask(Property{"c", String("x")}, Property{"d", Int(1)}); got != 1 {
		t.Fatalf("needed %d", got)
	}
	if col, _ := c.Projects[0].ColumnOf("c"); !col.Pinned || col.Type != TypeBool || col.Name != "c" {
		t.Fatalf("got %+v", col)
	}

	byHand := &Project{Columns: c.Projects[0].Columns}
	for _, name := range []string{"a", "C", "nothing"} {
		x, okX := c.Projects[0].Column(name)
		y, okY := byHand.Column(name)
		if okX != okY || x != y {
			t.Errorf("column %q: %v with an index, %v without", name, x, y)
		}
	}
	if byHand.Needs([]Property{{"a", Int(1)}}) != nil || len(byHand.Needs([]Property{{"z", Int(1)}})) != 1 {
		t.Error("a project without an index needs something else")
	}
}

func BenchmarkNeeds(b *testing.B) {
	for _, columns := range []int{12, 100, MaxColumns} {
		b.Run(fmt.Sprint(columns), func(b *testing.B) {
			var seen []Observed
			var props []Property
			for i := range columns {
				seen = append(seen, Observed{fmt.Sprintf("property %d", i), KindInt})
			}
			for i := range 12 {
				props = append(props, Property{strings.Clone(seen[i*(columns/12)].Name), Int(1)})
			}
			c := apply(b, &Catalog{}, CreateProject{Name: "p"}, Observe{Project: 1, Properties: seen})
			p := c.Projects[0]
			b.ReportAllocs()
			for b.Loop() {
				if p.Needs(props) != nil {
					b.Fatal("it needs something")
				}
			}
		})
	}
}
