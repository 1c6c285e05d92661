package catalog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// Change is one decision about what exists. Apply makes the next catalog from
// it; its encoding is what the cluster keeps. The types below are all there are.
type Change interface {
	// apply changes n, which is the next catalog's own copy of everything but
	// its projects: those are taken with project, which copies one.
	apply(n *next) error
	// kind is the number that its encoding begins with.
	kind() uint8
	// code codes its fields, and gives back the change with what it decoded.
	code(k *coder) Change
}

// Apply gives the catalog that follows c by the change, with the next version,
// or an error that wraps one of the package's and leaves nothing changed. It is
// pure: the same changes in the same order make the same catalogs everywhere.
//
// An Observe of what is known already gives c itself.
func (c *Catalog) Apply(change Change) (*Catalog, error) {
	n := &next{Catalog: *c}
	n.Version++
	n.NextProject = max(n.NextProject, 1)
	n.Projects = slices.Clone(c.Projects)
	n.Settings = maps.Clone(c.Settings)
	if n.names == nil {
		n.names = &names{}
	}
	if err := change.apply(n); err != nil {
		return nil, err
	}
	if n.unchanged {
		return c, nil
	}
	return &n.Catalog, nil
}

// next is a catalog in the making.
type next struct {
	Catalog
	unchanged bool
}

// project gives a copy of a live project that may be changed, with its slices
// still shared: change those by cloning them.
func (n *next) project(id ProjectID) (*Project, error) {
	p, err := n.anyProject(id)
	if err != nil {
		return nil, err
	}
	if p.DroppedAt != 0 {
		return nil, fmt.Errorf("project %d (%q): %w: it was dropped", id, p.Name, ErrNoProject)
	}
	return p, nil
}

func (n *next) anyProject(id ProjectID) (*Project, error) {
	i, ok := n.find(id)
	if !ok {
		return nil, fmt.Errorf("project %d: %w", id, ErrNoProject)
	}
	p := *n.Projects[i]
	n.Projects[i] = &p
	return &p, nil
}

func (n *next) find(id ProjectID) (int, bool) {
	return slices.BinarySearchFunc(n.Projects, id, func(p *Project, id ProjectID) int {
		return compareUint(uint64(p.ID), uint64(id))
	})
}

// setColumns gives a project its columns and an index over them.
func (n *next) setColumns(p *Project, columns []Column) {
	p.Columns = columns
	p.index = newColumnIndex(columns, n.MaxColumns())
}

// SetSetting gives a setting a value, or, with the empty Value, its default.
type SetSetting struct{ Name, Value string }

func (s SetSetting) apply(n *next) error {
	setting, ok := settingNamed(s.Name)
	if !ok {
		return fmt.Errorf("setting %q: %w: arbor.settings lists them", clip(s.Name), ErrNoSetting)
	}
	if setting.Name == SettingIndexVersion && n.Stage != nil {
		return fmt.Errorf("%s: %w: promote it or roll it back", setting.Name, ErrStaged)
	}
	delete(n.Settings, setting.Name)
	if s.Value != "" {
		v, err := setting.Parse(s.Value)
		if err != nil {
			return err
		}
		if n.Settings == nil {
			n.Settings = map[string]string{}
		}
		n.Settings[setting.Name] = setting.Format(v)
	}
	if len(n.Settings) == 0 {
		n.Settings = nil
	}
	if setting.Name == SettingMaxColumns {
		for i := range n.Projects {
			p := *n.Projects[i]
			n.setColumns(&p, p.Columns)
			n.Projects[i] = &p
		}
	}
	return nil
}

// SetGrants replaces the users and privileges.
type SetGrants struct{ Blob []byte }

func (s SetGrants) apply(n *next) error {
	if len(s.Blob) > MaxGrants {
		return fmt.Errorf("users and privileges: %w: %d bytes, at most %d are allowed", ErrLimit, len(s.Blob), MaxGrants)
	}
	n.Grants = bytes.Clone(s.Blob)
	return nil
}

// ReplaceGrants replaces the users and privileges if they are still those of the
// given sum, so that of two that change them at once neither undoes the other's.
type ReplaceGrants struct {
	// Over is GrantsSum of what is replaced.
	Over [sha256.Size]byte
	Blob []byte
}

// GrantsSum is SHA-256 of users and privileges.
func GrantsSum(blob []byte) [sha256.Size]byte { return sha256.Sum256(blob) }

func (r ReplaceGrants) apply(n *next) error {
	if GrantsSum(n.Grants) != r.Over {
		return ErrGrantsChanged
	}
	return SetGrants{Blob: r.Blob}.apply(n)
}
