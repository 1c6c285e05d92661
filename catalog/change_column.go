package catalog

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Observe adds the columns of properties that a project has not seen, and
// widens those of properties that came with another kind of value. Columns past
// the limit are not added: such a property is in the properties column only.
// It can be repeated, and loses nothing when it comes late.
type Observe struct {
	Project    ProjectID
	Properties []Observed
}

func (o Observe) apply(n *next) error {
	if len(o.Properties) > MaxObserved {
		return fmt.Errorf("%w: %d properties observed at once, at most %d are allowed", ErrLimit, len(o.Properties), MaxObserved)
	}
	p, err := n.project(o.Project)
	if err != nil {
		return err
	}
	b := newColumnBuilder(p)
	for _, seen := range o.Properties {
		if len(seen.Name) > MaxPropertyName {
			return fmt.Errorf("property %q: %w: its name has %d bytes, at most %d are allowed", clip(seen.Name), ErrLimit, len(seen.Name), MaxPropertyName)
		}
		b.observe(seen, n.MaxColumns())
	}
	if !b.changed {
		n.unchanged = true
		return nil
	}
	n.setColumns(p, b.columns)
	return nil
}

// columnBuilder is a project's columns in the making.
type columnBuilder struct {
	columns    []Column
	byProperty map[string]int
	names      map[string]bool // folded
	changed    bool
}

func newColumnBuilder(p *Project) *columnBuilder {
	b := &columnBuilder{
		columns:    slices.Clone(p.Columns),
		byProperty: make(map[string]int, len(p.Columns)),
		names:      make(map[string]bool, len(p.Columns)),
	}
	for i := range p.Columns {
		b.byProperty[p.Columns[i].Property] = i
		b.names[foldName(p.Columns[i].Name)] = true
	}
	return b
}

func (b *columnBuilder) taken(folded string) bool {
	return b.names[folded] || IsFixedColumn(folded)
}

func (b *columnBuilder) observe(seen Observed, limit int) {
	if i, ok := b.byProperty[seen.Name]; ok {
		c := &b.columns[i]
		if t := Widen(c.Type, seen.Kind); !c.Pinned && t != c.Type {
			c.Type, b.changed = t, true
		}
		return
	}
	if len(b.columns) < limit {
		b.add(Column{Property: seen.Name, Name: columnName(seen.Name, b.taken), Type: Widen(TypeNull, seen.Kind)})
	}
}

func (b *columnBuilder) add(c Column) {
	b.byProperty[c.Property] = len(b.columns)
	b.names[foldName(c.Name)] = true
	b.columns = append(b.columns, c)
	b.changed = true
}

// ModifyColumn pins the type of the column that Column.Name names, or, with Add,
// adds a column of that name and type for the property Column.Property, which
// is the name itself where it is empty. Columns of a pinned type never widen.
type ModifyColumn struct {
	Project ProjectID
	Column  Column
	Add     bool
}

func (m ModifyColumn) apply(n *next) error {
	p, err := n.project(m.Project)
	if err != nil {
		return err
	}
	c := m.Column
	c.Pinned = true
	if c.Type == TypeNull {
		return fmt.Errorf("column %q: %w: choose one", clip(c.Name), ErrType)
	}
	if err := c.checkType(); err != nil {
		return err
	}
	b := newColumnBuilder(p)
	if m.Add {
		err = b.addPinned(c, n.MaxColumns())
	} else {
		err = b.pin(c)
	}
	if err != nil {
		return err
	}
	n.setColumns(p, b.columns)
	return nil
}

func (b *columnBuilder) pin(c Column) error {
	folded := foldName(c.Name)
	for i := range b.columns {
		if foldName(b.columns[i].Name) == folded {
			c.Property, c.Name = b.columns[i].Property, b.columns[i].Name
			b.columns[i] = c
			return nil
		}
	}
	if IsFixedColumn(c.Name) {
		return fmt.Errorf("column %q: %w: it is the same in every events table", c.Name, ErrColumnExists)
	}
	return fmt.Errorf("column %q: %w", clip(c.Name), ErrNoColumn)
}

func (b *columnBuilder) addPinned(c Column, limit int) error {
	if err := checkIdentifier(c.Name, MaxColumnName); err != nil {
		return fmt.Errorf("column %q: %w", clip(c.Name), err)
	}
	if b.taken(foldName(c.Name)) {
		return fmt.Errorf("column %q: %w", c.Name, ErrColumnExists)
	}
	if c.Property == "" {
		c.Property = c.Name
	}
	if len(c.Property) > MaxPropertyName || !utf8.ValidString(c.Property) {
		return fmt.Errorf("property %q: %w: want UTF-8 of at most %d bytes", clip(c.Property), ErrName, MaxPropertyName)
	}
	if i, ok := b.byProperty[c.Property]; ok {
		return fmt.Errorf("property %q: %w: it is the column %q", c.Property, ErrColumnExists, b.columns[i].Name)
	}
	if len(b.columns) >= limit {
		return fmt.Errorf("column %q: %w: the project has %d columns, at most %d are allowed (setting %s)", c.Name, ErrLimit, len(b.columns), limit, SettingMaxColumns)
	}
	c.Property, c.Name = strings.Clone(c.Property), strings.Clone(c.Name)
	b.add(c)
	return nil
}

// checkType holds type, precision and scale to what SQL can show.
func (c *Column) checkType() error {
	switch {
	case c.Type > TypeDecimal:
		return fmt.Errorf("column %q: %w: there is no type %d", c.Name, ErrType, c.Type)
	case c.Type != TypeDecimal && (c.Precision != 0 || c.Scale != 0):
		return fmt.Errorf("column %q: %w: %s has no precision", c.Name, ErrType, c.Type)
	case c.Type == TypeDecimal && (c.Precision < 1 || c.Precision > MaxPrecision || c.Scale > MaxScale || c.Scale > c.Precision):
		return fmt.Errorf("column %q: %w: DECIMAL(%d,%d): want a precision of 1 to %d and a scale of 0 to %d, at most the precision",
			c.Name, ErrType, c.Precision, c.Scale, MaxPrecision, MaxScale)
	}
	return nil
}
