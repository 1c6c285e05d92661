package catalog

import (
	"fmt"
	"slices"
)

// CreateProject makes a project. Its id is the catalog's NextProject; Token and
// Secret may be empty, and then open nothing. Buckets 0 means 1.
type CreateProject struct {
	Name, Token, Secret string
	Buckets             uint16
	At                  int64 // microseconds since 1970
}

func (c CreateProject) apply(n *next) error {
	if err := CheckProjectName(c.Name); err != nil {
		return err
	}
	if err := n.nameIsFree(c.Name); err != nil {
		return err
	}
	if err := n.tokensAreFree(0, c.Token, c.Secret); err != nil {
		return err
	}
	if c.Buckets > MaxBuckets {
		return fmt.Errorf("project %q: %w: %d user buckets, at most %d are allowed", c.Name, ErrLimit, c.Buckets, MaxBuckets)
	}
	if len(n.Projects) >= MaxProjects {
		return fmt.Errorf("project %q: %w: there are %d projects, dropped ones included; purge some", c.Name, ErrLimit, len(n.Projects))
	}
	p := &Project{
		ID: n.NextProject, Name: c.Name, CreatedAt: c.At,
		Token: c.Token, Secret: c.Secret, Buckets: max(c.Buckets, 1),
	}
	n.setColumns(p, nil)
	n.NextProject++
	n.Projects = append(n.Projects, p)
	n.names = &names{}
	return nil
}

// nameIsFree says whether no live project bears the name, in any case: SQL's
// host folds names here and there, so two that differ only in case could be
// taken for each other.
func (n *next) nameIsFree(name string) error {
	folded := foldName(name)
	for _, p := range n.Projects {
		if p.DroppedAt == 0 && foldName(p.Name) == folded {
			return fmt.Errorf("project %q: %w", p.Name, ErrProjectExists)
		}
	}
	return nil
}

// tokensAreFree says whether token and secret are well-formed, differ, and open
// no project but the one with that id, dropped ones included.
func (n *next) tokensAreFree(id ProjectID, token, secret string) error {
	if token != "" && token == secret {
		return fmt.Errorf("%w: token and secret are the same", ErrTokenExists)
	}
	for _, t := range []string{token, secret} {
		if err := checkToken(t); err != nil {
			return err
		}
	}
	for _, p := range n.Projects {
		if p.ID == id {
			continue
		}
		for _, t := range []string{token, secret} {
			if t != "" && (t == p.Token || t == p.Secret) {
				return fmt.Errorf("%w: by project %q", ErrTokenExists, p.Name)
			}
		}
	}
	return nil
}

// checkToken allows the characters that a form, a header and a URL carry as
// they are.
func checkToken(t string) error {
	if len(t) > MaxToken {
		return fmt.Errorf("token: %w: %d bytes, at most %d are allowed", ErrLimit, len(t), MaxToken)
	}
	for _, c := range []byte(t) {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return fmt.Errorf("token: %w: it holds the byte %#02x; use letters, digits, - and _", ErrName, c)
		}
	}
	return nil
}

// DropProject hides a project and all its data until UndropProject brings it
// back or PurgeProject ends it. Its name is free at once.
type DropProject struct {
	ID ProjectID
	At int64 // microseconds since 1970, after 0
}

func (d DropProject) apply(n *next) error {
	p, err := n.project(d.ID)
	if err != nil {
		return err
	}
	p.DroppedAt = max(d.At, 1)
	n.names = &names{}
	return nil
}

// UndropProject brings a dropped project back under Name, or, where Name is
// empty, under its own.
type UndropProject struct {
	ID   ProjectID
	Name string
}

func (u UndropProject) apply(n *next) error {
	p, err := n.anyProject(u.ID)
	if err != nil {
		return err
	}
	if p.DroppedAt == 0 {
		return fmt.Errorf("project %d (%q): %w", u.ID, p.Name, ErrProjectLive)
	}
	if u.Name != "" {
		p.Name = u.Name
	}
	if err := CheckProjectName(p.Name); err != nil {
		return err
	}
	if err := n.nameIsFree(p.Name); err != nil {
		return err
	}
	p.DroppedAt = 0
	n.names = &names{}
	return nil
}

// PurgeProject forgets a dropped project for good.
type PurgeProject struct{ ID ProjectID }

func (u PurgeProject) apply(n *next) error {
	i, ok := n.find(u.ID)
	if !ok {
		return fmt.Errorf("project %d: %w", u.ID, ErrNoProject)
	}
	if p := n.Projects[i]; p.DroppedAt == 0 {
		return fmt.Errorf("project %d (%q): %w: drop it first", u.ID, p.Name, ErrProjectLive)
	}
	n.Projects = slices.Delete(n.Projects, i, i+1)
	n.names = &names{}
	n.forgetErasures(u.ID)
	return nil
}

// RotateToken gives a project a new token, a new secret, or both: the one that
// is empty stays as it is.
type RotateToken struct {
	Project       ProjectID
	Token, Secret string
}

func (r RotateToken) apply(n *next) error {
	p, err := n.project(r.Project)
	if err != nil {
		return err
	}
	if r.Token != "" {
		p.Token = r.Token
	}
	if r.Secret != "" {
		p.Secret = r.Secret
	}
	n.names = &names{}
	return n.tokensAreFree(p.ID, p.Token, p.Secret)
}
