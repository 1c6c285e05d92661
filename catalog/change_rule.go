package catalog

import (
	"fmt"
	"slices"
)

// AddPolicy puts a policy in force for the days From to To, over what earlier
// rules say of them.
type AddPolicy struct {
	Project  ProjectID
	From, To Day
	Policy   Policy
}

func (a AddPolicy) apply(n *next) error {
	p, err := n.project(a.Project)
	if err != nil {
		return err
	}
	if !a.Policy.valid() {
		return fmt.Errorf("%w: %s has a part that this arbor does not know", ErrPolicy, a.Policy)
	}
	if a.From > a.To {
		return fmt.Errorf("%w: its first day %d is after its last %d", ErrPolicy, a.From, a.To)
	}
	// A rule whose days the new one covers can never decide again.
	rules := slices.DeleteFunc(slices.Clone(p.Policies), func(r PolicyRule) bool {
		return a.From <= r.From && r.To <= a.To
	})
	if len(rules) >= MaxPolicies {
		return fmt.Errorf("project %q: %w: it has %d policy rules; add one for all days, which replaces them", p.Name, ErrLimit, len(rules))
	}
	p.Policies = append(rules, PolicyRule{Version: n.Version, From: a.From, To: a.To, Policy: a.Policy})
	return nil
}

// RemovePolicies puts DefaultPolicy in force for all of a project's days.
type RemovePolicies struct{ Project ProjectID }

func (r RemovePolicies) apply(n *next) error {
	p, err := n.project(r.Project)
	if err != nil {
		return err
	}
	p.Policies = nil
	return nil
}

// Truncate deletes a project's records with an ingest id at or below UpTo.
type Truncate struct {
	Project  ProjectID
	ID, UpTo IngestID
}

func (t Truncate) apply(n *next) error {
	p, err := n.project(t.Project)
	if err != nil {
		return err
	}
	if i := p.truncation(t.ID); i >= 0 {
		return fmt.Errorf("truncation %s: %w", t.ID, ErrTruncationExists)
	}
	kept := slices.Clone(p.Truncations)
	if len(kept) >= MaxTruncations { // those undone are only history
		kept = slices.DeleteFunc(kept, func(t Truncation) bool { return t.Undone })
	}
	if len(kept) >= MaxTruncations {
		return fmt.Errorf("project %q: %w: it was truncated %d times; undo some", p.Name, ErrLimit, len(kept))
	}
	p.Truncations = append(kept, Truncation{ID: t.ID, UpTo: t.UpTo})
	return nil
}

func (p *Project) truncation(id IngestID) int {
	return slices.IndexFunc(p.Truncations, func(t Truncation) bool { return t.ID == id })
}

// UndoTruncate brings back what the truncation of that id deleted.
type UndoTruncate struct {
	Project ProjectID
	ID      IngestID
}

func (u UndoTruncate) apply(n *next) error {
	p, err := n.project(u.Project)
	if err != nil {
		return err
	}
	i := p.truncation(u.ID)
	if i < 0 {
		return fmt.Errorf("truncation %s: %w", u.ID, ErrNoTruncation)
	}
	if p.Truncations[i].Undone {
		return fmt.Errorf("truncation %s: %w: it was undone already", u.ID, ErrNoTruncation)
	}
	p.Truncations = slices.Clone(p.Truncations)
	p.Truncations[i].Undone = true
	return nil
}

// CreateView makes a view, or with Replace makes it anew.
type CreateView struct {
	Project ProjectID
	View    View
	Replace bool
}

func (c CreateView) apply(n *next) error {
	p, err := n.project(c.Project)
	if err != nil {
		return err
	}
	if err := checkIdentifier(c.View.Name, MaxViewName); err != nil {
		return fmt.Errorf("view %q: %w", clip(c.View.Name), err)
	}
	if name := foldName(c.View.Name); name == "events" || name == "events_all" {
		return fmt.Errorf("view %q: %w: every project has a table of that name", c.View.Name, ErrName)
	}
	if size := max(len(c.View.Definition), len(c.View.Statement)); size > MaxViewDefinition {
		return fmt.Errorf("view %q: %w: its text has %d bytes, at most %d are allowed", c.View.Name, ErrLimit, size, MaxViewDefinition)
	}
	views, i := slices.Clone(p.Views), p.viewIndex(c.View.Name)
	switch {
	case i >= 0 && !c.Replace:
		return fmt.Errorf("view %q: %w", c.View.Name, ErrViewExists)
	case i >= 0:
		views[i] = c.View
	case len(views) >= MaxViews:
		return fmt.Errorf("view %q: %w: the project has %d views", c.View.Name, ErrLimit, len(views))
	default:
		views = append(views, c.View)
	}
	p.Views = views
	return nil
}

func (p *Project) viewIndex(name string) int {
	folded := foldName(name)
	return slices.IndexFunc(p.Views, func(v View) bool { return foldName(v.Name) == folded })
}

// DropView removes a view.
type DropView struct {
	Project ProjectID
	Name    string
}

func (d DropView) apply(n *next) error {
	p, err := n.project(d.Project)
	if err != nil {
		return err
	}
	i := p.viewIndex(d.Name)
	if i < 0 {
		return fmt.Errorf("view %q: %w", clip(d.Name), ErrNoView)
	}
	p.Views = slices.Delete(slices.Clone(p.Views), i, i+1)
	if len(p.Views) == 0 {
		p.Views = nil
	}
	return nil
}
