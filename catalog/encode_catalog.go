package catalog

import (
	"fmt"
	"maps"
	"slices"
)

// The code functions name the fields of each value in the order in which they
// are encoded. A field is only ever added at the end, with a new version.

func (c *Catalog) code(k *coder) {
	unsigned(k, "catalog version", &c.Version)
	unsigned(k, "next project", &c.NextProject)
	list(k, "projects", &c.Projects, MaxProjects, func(p **Project, k *coder) {
		if k.decoding {
			*p = &Project{}
		}
		(*p).code(k)
	})
	c.codeSettings(k)
	text(k, "grants", &c.Grants, MaxGrants)
	if k.version >= erasureVersion {
		c.codeErasures(k)
	}
	switch {
	case k.version >= rowsVersion:
		staged := c.Stage != nil
		k.bool("staged", &staged)
		if staged {
			c.codeStage(k)
		}
		c.codeErasedRows(k)
	case k.version == stageVersion:
		c.codeStage(k)
	}
}

// codeSettings codes the map as a list sorted by name.
func (c *Catalog) codeSettings(k *coder) {
	type setting struct{ name, value string }
	var settings []setting
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		settings = append(settings, setting{name, c.Settings[name]})
	}
	list(k, "settings", &settings, maxSettings, func(s *setting, k *coder) {
		text(k, "setting name", &s.name, MaxSettingValue)
		text(k, "setting value", &s.value, MaxSettingValue)
	})
	if k.decoding && len(settings) > 0 {
		c.Settings = make(map[string]string, len(settings))
		for _, s := range settings {
			c.Settings[s.name] = s.value
		}
	}
}

// maxSettings is more than there will ever be, so that a catalog with settings
// of a newer arbor can be read.
const maxSettings = 1000

// maxNameBytes is the most bytes that a name of 64 characters has.
const maxNameBytes = 4 * 64

func (p *Project) code(k *coder) {
	unsigned(k, "project id", &p.ID)
	text(k, "name", &p.Name, maxNameBytes)
	signed(k, "created at", &p.CreatedAt)
	signed(k, "dropped at", &p.DroppedAt)
	text(k, "token", &p.Token, MaxToken)
	text(k, "secret", &p.Secret, MaxToken)
	unsigned(k, "buckets", &p.Buckets)
	list(k, "columns", &p.Columns, MaxColumns, (*Column).code)
	list(k, "policies", &p.Policies, MaxPolicies, (*PolicyRule).code)
	list(k, "truncations", &p.Truncations, MaxTruncations, (*Truncation).code)
	list(k, "views", &p.Views, MaxViews, (*View).code)
	if k.version >= quorumVersion {
		unsigned(k, "write quorum", &p.WriteQuorum)
	}
}

func (c *Column) code(k *coder) {
	text(k, "property", &c.Property, MaxPropertyName)
	text(k, "column name", &c.Name, maxNameBytes)
	unsigned(k, "type", &c.Type)
	unsigned(k, "precision", &c.Precision)
	unsigned(k, "scale", &c.Scale)
	k.bool("pinned", &c.Pinned)
}

func (r *PolicyRule) code(k *coder) {
	unsigned(k, "policy version", &r.Version)
	signed(k, "from day", &r.From)
	signed(k, "to day", &r.To)
	r.Policy.code(k)
}

func (p *Policy) code(k *coder) {
	k.bool("disabled", &p.Disabled)
	unsigned(k, "key", &p.Key)
	unsigned(k, "survivor", &p.Survivor)
	unsigned(k, "conflict", &p.Conflict)
	unsigned(k, "missing", &p.Missing)
}

func (t *Truncation) code(k *coder) {
	k.ingestID("truncation id", &t.ID)
	k.ingestID("truncation up to", &t.UpTo)
	k.bool("undone", &t.Undone)
}

func (v *View) code(k *coder) {
	text(k, "view name", &v.Name, maxNameBytes)
	text(k, "view definition", &v.Definition, MaxViewDefinition)
	text(k, "view statement", &v.Statement, MaxViewDefinition)
}

// validate checks after decoding what Apply upholds.
func (c *Catalog) validate() error {
	if err := c.validateErasures(); err != nil {
		return err
	}
	if err := c.validateStage(); err != nil {
		return err
	}
	taken := map[string]bool{}
	for i, p := range c.Projects {
		if p.ID == 0 || i > 0 && p.ID <= c.Projects[i-1].ID || p.ID >= c.NextProject {
			return fmt.Errorf("project ids are out of order at %d", p.ID)
		}
		if p.DroppedAt == 0 {
			if err := CheckProjectName(p.Name); err != nil {
				return err
			}
			if name := foldName(p.Name); taken[name] {
				return fmt.Errorf("%w: %q", ErrProjectExists, p.Name)
			} else {
				taken[name] = true
			}
		}
		if err := p.validate(); err != nil {
			return fmt.Errorf("project %d: %w", p.ID, err)
		}
	}
	return nil
}

func (p *Project) validate() error {
	if p.Buckets < 1 || p.Buckets > MaxBuckets {
		return fmt.Errorf("%w: %d buckets", ErrLimit, p.Buckets)
	}
	if p.WriteQuorum > MaxWriteQuorum {
		return fmt.Errorf("%w: a write quorum of %d", ErrLimit, p.WriteQuorum)
	}
	properties, names := map[string]bool{}, map[string]bool{}
	for i := range p.Columns {
		c := &p.Columns[i]
		name := foldName(c.Name)
		if properties[c.Property] || names[name] || IsFixedColumn(c.Name) || c.Name == "" {
			return fmt.Errorf("%w: %q", ErrColumnExists, c.Name)
		}
		properties[c.Property], names[name] = true, true
		if err := c.checkType(); err != nil {
			return err
		}
	}
	for i := range p.Policies {
		if r := &p.Policies[i]; !r.Policy.valid() || r.From > r.To {
			return fmt.Errorf("%w: rule %d", ErrPolicy, i)
		}
	}
	return nil
}
