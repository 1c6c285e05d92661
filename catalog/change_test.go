package catalog

import (
	"errors"
	"testing"
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

func TestCreateProject(t *testing.T) {
	c := apply(t, &Catalog{}, CreateProject{Name: "shop", Token: "tok", Secret: "sec", At: 7})
	p, ok := c.Project("shop")
	if !ok || p.ID != 1 || p.Buckets != 1 || p.CreatedAt != 7 || c.Version != 1 || c.NextProject != 2 {
		t.Fatalf("got %+v of %+v", p, c)
	}
	for _, token := range []string{"tok", "sec"} {
		if q, ok := c.ProjectByToken(token); !ok || q != p {
			t.Fatalf("token %q opens %+v", token, q)
		}
	}
	for name, want := range map[string]error{
		"shop": ErrProjectExists, "SHOP": ErrProjectExists, "": ErrName, "mysql": ErrName, "Arbor": ErrName, "a ": ErrName, "a\x00b": ErrName,
	} {
		if _, err := c.Apply(CreateProject{Name: name}); !errors.Is(err, want) {
			t.Errorf("create %q: got %v, want %v", name, err, want)
		}
	}
}

func TestObserveIsIdempotent(t *testing.T) {
	c := apply(t, &Catalog{}, CreateProject{Name: "shop"})
	p, _ := c.Project("shop")
	props := []Property{{"amount", Int(3)}, {"plan", String("pro")}, {"Time", Bool(true)}}
	needs := p.Needs(props)
	if len(needs) != 3 {
		t.Fatalf("needs %v", needs)
	}
	c = apply(t, c, Observe{Project: 1, Properties: needs})
	p, _ = c.Project("shop")
	if got := p.Needs(props); got != nil {
		t.Fatalf("still needs %v", got)
	}
	if again := apply(t, c, Observe{Project: 1, Properties: needs}); again != c {
		t.Fatal("observing again made another catalog")
	}
	if col, ok := p.ColumnOf("Time"); !ok || col.Name != "Time_2" || col.Type != TypeBool {
		t.Fatalf("got %+v", col)
	}
	if n := testing.AllocsPerRun(100, func() { p.Needs(props) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestEncodeGivesBackCatalog(t *testing.T) {
	c := apply(t, &Catalog{},
		CreateProject{Name: "shop", Token: "tok", Secret: "sec", Buckets: 4, At: 7},
		Observe{Project: 1, Properties: []Observed{{"a", KindInt}, {"b", KindJSON}}},
		AddPolicy{Project: 1, From: MinDay, To: MaxDay, Policy: Policy{Key: KeyID}},
		SetSetting{Name: "seal_after_bytes", Value: "1MiB"},
		SetGrants{Blob: []byte("grants")})
	b := c.Encode()
	d, err := DecodeCatalog(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(d.Encode()) != string(b) {
		t.Fatal("encoded again, the bytes differ")
	}
	if d.SealAfterBytes() != 1<<20 || d.Projects[0].Policy(5).Key != KeyID {
		t.Fatalf("got %+v", d)
	}
}
