package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestLimits applies a change at each limit, which is allowed, and one past it,
// which is not.
func TestLimits(t *testing.T) {
	project := apply(t, &Catalog{}, CreateProject{Name: "p"})
	x := func(n int) string { return strings.Repeat("x", n) }
	e := func(n int) string { return strings.Repeat("é", n) }
	for name, test := range map[string]struct {
		base  *Catalog
		limit int
		want  error
		make  func(n int) Change
	}{
		"MaxProjectName": {project, MaxProjectName, ErrName, func(n int) Change { return CreateProject{Name: e(n)} }},
		"MaxColumnName": {project, MaxColumnName, ErrName, func(n int) Change {
			return ModifyColumn{1, Column{Name: e(n), Type: TypeInt}, true}
		}},
		"MaxPropertyName observed": {project, MaxPropertyName, ErrLimit, func(n int) Change {
			return Observe{1, []Observed{{x(n), KindInt}}}
		}},
		"MaxPropertyName added": {project, MaxPropertyName, ErrName, func(n int) Change {
			return ModifyColumn{1, Column{Name: "c", Property: x(n), Type: TypeInt}, true}
		}},
		"MaxBuckets":     {project, MaxBuckets, ErrLimit, func(n int) Change { return CreateProject{Name: "q", Buckets: uint16(n)} }},
		"MaxToken":       {project, MaxToken, ErrLimit, func(n int) Change { return CreateProject{Name: "q", Token: x(n)} }},
		"MaxToken again": {project, MaxToken, ErrLimit, func(n int) Change { return RotateToken{Project: 1, Secret: x(n)} }},
		"MaxGrants":      {project, MaxGrants, ErrLimit, func(n int) Change { return SetGrants{make([]byte, n)} }},
		"MaxViewName":    {project, MaxViewName, ErrName, func(n int) Change { return CreateView{Project: 1, View: View{Name: e(n)}} }},
		"MaxViewDefinition": {project, MaxViewDefinition, ErrLimit, func(n int) Change {
			return CreateView{Project: 1, View: View{Name: "v", Definition: x(n)}}
		}},
		"MaxViewDefinition of the statement": {project, MaxViewDefinition, ErrLimit, func(n int) Change {
			return CreateView{Project: 1, View: View{Name: "v", Statement: x(n)}}
		}},
		"MaxObserved": {project, MaxObserved, ErrLimit, func(n int) Change { return Observe{1, make([]Observed, n)} }},
		"MaxPrecision": {project, MaxPrecision, ErrType, func(n int) Change {
			return ModifyColumn{1, Column{Name: "c", Type: TypeDecimal, Precision: uint8(n)}, true}
		}},
		"MaxScale": {project, MaxScale, ErrType, func(n int) Change {
			return ModifyColumn{1, Column{Name: "c", Type: TypeDecimal, Precision: 40, Scale: uint8(n)}, true}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			next, err := test.base.Apply(test.make(test.limit))
			if err != nil {
				t.Fatalf("at the limit of %d: %v", test.limit, err)
			}
			if back, err := DecodeCatalog(next.Encode()); err != nil || back.Version != next.Version {
				t.Fatalf("at the limit, encoded and decoded: %v", err)
			}
			if back, err := DecodeChange(EncodeChange(test.make(test.limit))); err != nil || back == nil {
				t.Fatalf("at the limit, encoded and decoded: %v", err)
			}
			if _, err := test.base.Apply(test.make(test.limit + 1)); !errors.Is(err, test.want) {
				t.Fatalf("one past: got %v, want %v", err, test.want)
			}
		})
	}
}

// TestLimitsOfLists fills a project up to each limit and adds one more.
func TestLimitsOfLists(t *testing.T) {
	project := apply(t, &Catalog{}, CreateProject{Name: "p"})
	for name, test := range map[string]struct {
		limit int
		fill  func(p *Project, i int)
		add   Change
	}{
		"MaxPolicies": {MaxPolicies, func(p *Project, i int) {
			p.Policies = append(p.Policies, PolicyRule{From: Day(i), To: Day(i)})
		}, AddPolicy{1, -1, -1, DefaultPolicy}},
		"MaxTruncations": {MaxTruncations, func(p *Project, i int) {
			p.Truncations = append(p.Truncations, Truncation{ID: IngestID{Time: uint64(i) + 1}})
		}, Truncate{Project: 1, ID: IngestID{Edge: 1}}},
		"MaxViews": {MaxViews, func(p *Project, i int) {
			p.Views = append(p.Views, View{Name: fmt.Sprint("v", i)})
		}, CreateView{Project: 1, View: View{Name: "w"}}},
		"MaxColumns": {MaxColumns, func(p *Project, i int) {
			p.Columns = append(p.Columns, Column{Property: fmt.Sprint(i), Name: fmt.Sprint(i)})
		}, ModifyColumn{1, Column{Name: "c", Type: TypeInt}, true}},
	} {
		t.Run(name, func(t *testing.T) {
			p := *project.Projects[0]
			for i := range test.limit - 1 {
				test.fill(&p, i)
			}
			c := &Catalog{Version: 1, NextProject: 2, Projects: []*Project{&p}}
			c, err := c.Apply(test.add)
			if err != nil {
				t.Fatalf("at the limit: %v", err)
			}
			if back, err := DecodeCatalog(c.Encode()); err != nil || string(back.Encode()) != string(c.Encode()) {
				t.Fatalf("at the limit, encoded and decoded: %v", err)
			}
			test.fill(&p, test.limit-1)
			c = &Catalog{Version: 1, NextProject: 2, Projects: []*Project{&p}}
			if _, err = c.Apply(test.add); !errors.Is(err, ErrLimit) {
				t.Fatalf("one past: %v", err)
			}
		})
	}
}

// TestTruncationsUndoneMakeRoom: only those in force count.
func TestTruncationsUndoneMakeRoom(t *testing.T) {
	c := apply(t, &Catalog{}, CreateProject{Name: "p"})
	p := *c.Projects[0]
	for i := range MaxTruncations {
		p.Truncations = append(p.Truncations, Truncation{ID: IngestID{Time: uint64(i) + 1}, Undone: i == 5})
	}
	c = &Catalog{Version: 1, NextProject: 2, Projects: []*Project{&p}}
	c = apply(t, c, Truncate{Project: 1, ID: IngestID{Edge: 1}})
	if n := len(c.Projects[0].Truncations); n != MaxTruncations {
		t.Fatalf("%d truncations", n)
	}
}

func TestMaxProjects(t *testing.T) {
	c := &Catalog{NextProject: MaxProjects}
	for i := range MaxProjects - 1 {
		c.Projects = append(c.Projects, &Project{ID: ProjectID(i + 1), Name: fmt.Sprint("p", i), Buckets: 1, DroppedAt: int64(i % 2)})
	}
	c = apply(t, c, CreateProject{Name: "last"})
	if back, err := DecodeCatalog(c.Encode()); err != nil || len(back.Projects) != MaxProjects {
		t.Fatal(err)
	}
	if _, err := c.Apply(CreateProject{Name: "one more"}); !errors.Is(err, ErrLimit) {
		t.Fatalf("one past: %v", err)
	}
	c = apply(t, c, PurgeProject{ID: 2})
	c = apply(t, c, CreateProject{Name: "one more"})
	if p, ok := c.Project("one more"); !ok || p.ID != MaxProjects+1 {
		t.Fatalf("ids are used again: %+v", p)
	}
}

// TestObservePastTheColumns: what finds no room is no error, since every event
// still has it in its properties.
func TestObservePastTheColumns(t *testing.T) {
	var seen []Observed
	for i := range MaxColumns + 1 {
		seen = append(seen, Observed{fmt.Sprint("p", i), KindInt})
	}
	c := apply(t, &Catalog{}, CreateProject{Name: "p"}, Observe{1, seen})
	p := c.Projects[0]
	if len(p.Columns) != MaxColumns {
		t.Fatalf("%d columns", len(p.Columns))
	}
	if p.Needs([]Property{{fmt.Sprint("p", MaxColumns), Int(1)}}) != nil {
		t.Fatal("a full project still needs a column")
	}
}
