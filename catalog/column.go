package catalog

import (
	"slices"
	"strings"
)

// Type is a column's type in SQL.
type Type uint8

// The types. The numbers are on disk: append only.
const (
	TypeNull     Type = 0 // only nulls seen yet; shown as a string column
	TypeBool     Type = 1 // TINYINT(1)
	TypeInt      Type = 2 // BIGINT
	TypeDouble   Type = 3 // DOUBLE
	TypeString   Type = 4 // LONGTEXT, utf8mb4_bin
	TypeJSON     Type = 5 // JSON
	TypeDatetime Type = 6 // DATETIME(6), microseconds since 1970 UTC; pinned only
	TypeDecimal  Type = 7 // DECIMAL(Precision, Scale); pinned only
)

// The bounds of MySQL's DECIMAL.
const (
	MaxPrecision = 65
	MaxScale     = 30
)

var typeNames = [...]string{"null", "bool", "int", "double", "string", "json", "datetime", "decimal"}

// String is the type's name as arbor.* tables show it.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Column is a property's column in a project's events table.
type Column struct {
	// Property is the property's name as sent.
	Property string
	// Name is the column's name in SQL: unique without regard to case, at most
	// MaxColumnName characters, equal to Property where that is possible.
	Name string
	Type Type
	// Precision and Scale are those of a TypeDecimal.
	Precision, Scale uint8
	// Pinned columns keep the type that ALTER TABLE gave them; the others widen
	// to hold what arrives.
	Pinned bool
}

// Widen is the narrowest type that holds what a column of type t holds and a
// value of that kind too. Types widen along null < bool < int < double < string
// and null < json < string; datetime and decimal are pinned and stay.
func Widen(t Type, k Kind) Type {
	var other Type
	switch k {
	case KindNull:
		return t
	case KindBool:
		other = TypeBool
	case KindInt:
		other = TypeInt
	case KindDouble, KindNumber:
		other = TypeDouble
	case KindString:
		other = TypeString
	case KindJSON:
		other = TypeJSON
	default:
		return t
	}
	switch {
	case t == other || t == TypeDatetime || t == TypeDecimal || t == TypeString:
		return t
	case t == TypeNull:
		return other
	case t == TypeJSON || other == TypeJSON:
		return TypeString
	default:
		return max(t, other)
	}
}

// Observed is a property that was seen with a value of some kind.
type Observed struct {
	Name string
	Kind Kind
}

// columnIndex finds a project's columns and says how many it may have.
type columnIndex struct {
	columns    []Column // those it was made of
	byProperty map[string]int32
	byName     map[string]int32 // by foldName
	limit      int
}

func newColumnIndex(columns []Column, limit int) *columnIndex {
	x := &columnIndex{
		columns:    columns,
		byProperty: make(map[string]int32, len(columns)),
		byName:     make(map[string]int32, len(columns)),
		limit:      limit,
	}
	for i := range columns {
		x.byProperty[columns[i].Property] = int32(i)
		x.byName[foldName(columns[i].Name)] = int32(i)
	}
	return x
}

// lookup is the project's index, or nil where the project was put together by
// hand, for a test, and has none that belongs to its columns.
func (p *Project) lookup() *columnIndex {
	x := p.index
	if x == nil || len(x.columns) != len(p.Columns) || len(p.Columns) > 0 && &x.columns[0] != &p.Columns[0] {
		return nil
	}
	return x
}

// Column returns the property column of that SQL name, without regard to case.
func (p *Project) Column(name string) (*Column, bool) {
	folded := foldName(name)
	if x := p.lookup(); x != nil {
		i, ok := x.byName[folded]
		if !ok {
			return nil, false
		}
		return &p.Columns[i], true
	}
	for i := range p.Columns {
		if foldName(p.Columns[i].Name) == folded {
			return &p.Columns[i], true
		}
	}
	return nil, false
}

// ColumnOf returns the column of a property, by the property's exact name.
func (p *Project) ColumnOf(property string) (*Column, bool) {
	i := p.columnAt(property)
	if i < 0 {
		return nil, false
	}
	return &p.Columns[i], true
}

// columnAt gives the place of a property's column, or -1.
func (p *Project) columnAt(property string) int {
	if x := p.lookup(); x != nil {
		i, ok := x.byProperty[property]
		if !ok {
			return -1
		}
		return int(i)
	}
	return slices.IndexFunc(p.Columns, func(c Column) bool { return c.Property == property })
}

// Needs says which observations of an event's properties would change the
// project's columns: nil, without an allocation, when none would. Applying an
// Observe of them makes it nil.
func (p *Project) Needs(props []Property) []Observed {
	room := MaxColumns - len(p.Columns)
	if x := p.lookup(); x != nil {
		room = x.limit - len(p.Columns)
	}
	var needs []Observed
	next := 0 // where the column would be if properties came as they first did
	for i := range props {
		name, kind := props[i].Name, props[i].Value.Kind
		if next >= len(p.Columns) || p.Columns[next].Property != name {
			next = p.columnAt(name)
		}
		if next >= 0 {
			c := &p.Columns[next]
			next++
			if c.Pinned || Widen(c.Type, kind) == c.Type {
				continue
			}
		} else {
			next = 0
			if room <= 0 {
				continue
			}
			room--
		}
		needs = append(needs, Observed{Name: strings.Clone(name), Kind: kind})
	}
	return needs
}
