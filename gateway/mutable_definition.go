package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// A mutable table's definition is kept as JSON. Columns and indexes have numbers
// that are never used again, by which rows and entries know them: so a column can be
// renamed or dropped, and one that is NULL added, without touching a row.

// mutableDefinition says what a mutable table is.
type mutableDefinition struct {
	Columns []mutableColumn `json:"columns"`
	// Key are the numbers of the primary key's columns, none for a table without.
	Key           []int              `json:"key,omitempty"`
	Indexes       []mutableIndexForm `json:"indexes,omitempty"`
	Collation     string             `json:"collation"`
	Comment       string             `json:"comment,omitempty"`
	AutoIncrement uint64             `json:"auto_increment,omitempty"`
	// LastID is the number that was given last.
	LastID int `json:"last_id"`
}

// mutableColumn is a column. Default and OnUpdate are expressions in SQL.
type mutableColumn struct {
	ID            int     `json:"id"`
	Name          string  `json:"name"`
	Type          string  `json:"type"`
	Collation     string  `json:"collation,omitempty"`
	Nullable      bool    `json:"nullable,omitempty"`
	AutoIncrement bool    `json:"auto_increment,omitempty"`
	Default       *string `json:"default,omitempty"`
	OnUpdate      *string `json:"on_update,omitempty"`
	Comment       string  `json:"comment,omitempty"`
}

// mutableIndexForm is a secondary index, over columns by their numbers.
type mutableIndexForm struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Columns []int  `json:"columns"`
	Unique  bool   `json:"unique,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// encode gives the definition's bytes.
func (d *mutableDefinition) encode() ([]byte, error) { return json.Marshal(d) }

func (d *mutableDefinition) place(id int) int {
	return slices.IndexFunc(d.Columns, func(c mutableColumn) bool { return c.ID == id })
}

func (d *mutableDefinition) named(name string) int {
	return slices.IndexFunc(d.Columns, func(c mutableColumn) bool { return strings.EqualFold(c.Name, name) })
}

func (d *mutableDefinition) next() int {
	d.LastID++
	return d.LastID
}

// addColumn adds a column at a place.
func (d *mutableDefinition) addColumn(at int, c *sql.Column) error {
	m := mutableColumn{ID: d.next()}
	if err := m.define(c); err != nil {
		return err
	}
	d.Columns = slices.Insert(d.Columns, at, m)
	return nil
}

// define makes the column what SQL says of it.
func (m *mutableColumn) define(c *sql.Column) error {
	if c.Generated != nil || c.Virtual {
		return unsupported("column %s: generated columns are not supported; a view can compute them", c.Name)
	}
	if !storable(c.Type) {
		return unsupported("column %s: columns of type %s are not supported in mutable tables", c.Name, c.Type)
	}
	m.Name, m.Nullable, m.AutoIncrement, m.Comment = c.Name, c.Nullable, c.AutoIncrement, c.Comment
	m.Type, m.Collation = c.Type.String(), ""
	if t, ok := c.Type.(sql.TypeWithCollation); ok {
		m.Collation = t.Collation().Name()
		if named, ok := c.Type.(interface {
			StringWithTableCollation(sql.CollationID) string
		}); ok {
			m.Type = named.StringWithTableCollation(t.Collation())
		}
	}
	m.Default, m.OnUpdate = defaultText(c.Default), defaultText(c.OnUpdate)
	return nil
}

func defaultText(v *sql.ColumnDefaultValue) *string {
	if v == nil {
		return nil
	}
	text := v.String()
	return &text
}

// storable reports whether values of a type can be kept.
func storable(t sql.Type) bool {
	switch t.Type() {
	case sqltypes.Int8, sqltypes.Int16, sqltypes.Int24, sqltypes.Int32, sqltypes.Int64, sqltypes.Uint8, sqltypes.Uint16, sqltypes.Uint24, sqltypes.Uint32, sqltypes.Uint64,
		sqltypes.Float32, sqltypes.Float64, sqltypes.Decimal, sqltypes.Year, sqltypes.Bit, sqltypes.Enum, sqltypes.Set,
		sqltypes.Char, sqltypes.VarChar, sqltypes.Text, sqltypes.Binary, sqltypes.VarBinary, sqltypes.Blob,
		sqltypes.Date, sqltypes.Datetime, sqltypes.Timestamp, sqltypes.Time, sqltypes.TypeJSON:
		return true
	}
	return false
}

// mutableShape is a definition with its types. It is immutable.
type mutableShape struct {
	mutableDefinition
	types     []sql.Type
	places    map[int]int // of columns, by their numbers
	key       []int       // places of the primary key's columns
	collation sql.CollationID
}

// shapes are those of definitions that were read lately.
type mutableShapes struct {
	mu    sync.Mutex
	known map[string]*mutableShape
}

// maxShapes are remembered.
const maxShapes = 1000

// shape reads a definition.
func (s *mutableShapes) shape(definition []byte) (*mutableShape, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[string(definition)]; ok {
		return known, nil
	}
	made, err := newMutableShape(definition)
	if err != nil {
		return nil, err
	}
	if len(s.known) >= maxShapes || s.known == nil {
		s.known = make(map[string]*mutableShape)
	}
	s.known[string(definition)] = made
	return made, nil
}

func newMutableShape(definition []byte) (*mutableShape, error) {
	s := &mutableShape{places: make(map[int]int)}
	if err := json.Unmarshal(definition, &s.mutableDefinition); err != nil {
		return nil, fmt.Errorf("definition of a table: %w", err)
	}
	var err error
	if s.collation, err = sql.ParseCollation("", s.Collation, false); err != nil {
		return nil, fmt.Errorf("definition of a table: %w", err)
	}
	for i := range s.Columns {
		t, err := s.Columns[i].sqlType()
		if err != nil {
			return nil, fmt.Errorf("definition of column %s: %w", s.Columns[i].Name, err)
		}
		s.types = append(s.types, t)
		s.places[s.Columns[i].ID] = i
	}
	for _, id := range s.Key {
		s.key = append(s.key, s.places[id])
	}
	return s, nil
}

func (m *mutableColumn) sqlType() (sql.Type, error) {
	parsed, err := sqlparser.Parse("CREATE TABLE t (c " + m.Type + ")")
	if err != nil {
		return nil, err
	}
	ddl, ok := parsed.(*sqlparser.DDL)
	if !ok || ddl.TableSpec == nil || len(ddl.TableSpec.Columns) != 1 {
		return nil, fmt.Errorf("type %q is none", m.Type)
	}
	t, err := types.ColumnTypeToType(&ddl.TableSpec.Columns[0].Type)
	if err != nil {
		return nil, err
	}
	if c, ok := t.(sql.TypeWithCollation); ok && m.Collation != "" {
		collation, err := sql.ParseCollation("", m.Collation, false)
		if err != nil {
			return nil, err
		}
		return c.WithNewCollation(collation)
	}
	return t, nil
}

// schema gives the columns as the planner knows them.
func (s *mutableShape) schema(database, table string) sql.PrimaryKeySchema {
	out := make(sql.Schema, len(s.Columns))
	for i := range s.Columns {
		c := &s.Columns[i]
		out[i] = &sql.Column{
			Name: c.Name, Type: s.types[i], Nullable: c.Nullable, AutoIncrement: c.AutoIncrement, Comment: c.Comment,
			Source: table, DatabaseSource: database, PrimaryKey: slices.Contains(s.Key, c.ID),
		}
		if c.AutoIncrement {
			out[i].Extra = "auto_increment"
		}
		if c.Default != nil {
			out[i].Default = sql.NewUnresolvedColumnDefaultValue(*c.Default)
		}
		if c.OnUpdate != nil {
			out[i].OnUpdate = sql.NewUnresolvedColumnDefaultValue(*c.OnUpdate)
		}
	}
	return sql.NewPrimaryKeySchema(out, s.key...)
}
