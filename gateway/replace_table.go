package gateway

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// CALL arbor.replace_table makes a mutable table hold the rows of a CSV file and no
// others, in one change: nobody sees the table between. A table that has the file's
// columns keeps its definition; any other is made anew, with types that the values fit.

// Limits of a file.
const (
	// maxLookupColumns is how many columns a file may have, and maxLookupName how many
	// characters the name of one, which is MySQL's limit.
	maxLookupColumns = 256
	maxLookupName    = 64
	// lookupText is the longest text of a VARCHAR that is made, and of a key.
	lookupText = 255
)

var replaceSchema = answerSchema(systemColumn{"rows", countType, ""})

// callReplaceTable replaces a table.
func (g *Gateway) callReplaceTable(ctx *sql.Context, project, name, text string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Create)
	if err != nil {
		return nil, err
	}
	for _, privilege := range []sql.PrivilegeType{sql.PrivilegeType_Drop, sql.PrivilegeType_Insert, sql.PrivilegeType_Delete} {
		if err := requirePrivilege(ctx, project, privilege); err != nil {
			return nil, err
		}
	}
	if _, isView := p.View(name); isView || isEventsTable(name) || name == "" || utf8.RuneCountInString(name) > maxLookupName || !utf8.ValidString(name) {
		return nil, refuse(erWrongArguments, "HY000", "replace_table: '%s' cannot be a lookup table's name", clip(name))
	}
	file, err := readLookup(text)
	if err != nil {
		return nil, err
	}
	err = g.changeTables(ctx, func(sctx *sql.Context, draft *tables.Draft) error {
		return g.replaceTable(sctx, draft, p, name, file)
	})
	if err != nil {
		return nil, err
	}
	return sql.RowsToRowIter(sql.Row{int64(len(file.rows))}), nil
}

// replaceTable makes the changes in a draft.
func (g *Gateway) replaceTable(ctx *sql.Context, draft *tables.Draft, p *catalog.Project, name string, file *lookupFile) error {
	found, ok := draft.Table(uint32(p.ID), name)
	keep := false
	if ok {
		shape, err := g.shapes.shape(found.Definition)
		if err != nil {
			return err
		}
		if keep = file.fits(shape); keep {
			err = draft.Clear(found.ID)
		} else {
			err = draft.Drop(found.ID)
		}
		if err != nil {
			return err
		}
	}
	if !keep {
		definition, err := file.definition()
		if err != nil {
			return err
		}
		if _, err := draft.Create(uint32(p.ID), name, definition); err != nil {
			return err
		}
		if found, ok = draft.Table(uint32(p.ID), name); !ok {
			return fmt.Errorf("table %s was created and is not there", name)
		}
	}
	shape, err := g.shapes.shape(found.Definition)
	if err != nil {
		return err
	}
	e := &mutableEditor{table: &mutableTable{gateway: g, project: p, id: found.ID, name: found.Name, shape: shape}, draft: draft, shape: shape}
	places := make([]int, len(file.header))
	for i, column := range file.header {
		places[i] = shape.named(column)
	}
	for i, fields := range file.rows {
		row, err := lookupRow(ctx, shape, places, fields)
		if err == nil {
			err = e.Insert(ctx, row)
		}
		if errors.Is(err, tables.ErrLimit) {
			return err
		}
		if err != nil {
			return refuse(erWrongValue, "22007", "line %d: %s", file.lines[i], err)
		}
	}
	return nil
}

// lookupRow is a line's row. A field without text is NULL where there may be one.
func lookupRow(ctx *sql.Context, shape *mutableShape, places []int, fields []string) (sql.Row, error) {
	row := make(sql.Row, len(shape.Columns))
	for i, text := range fields {
		c, t := &shape.Columns[places[i]], shape.types[places[i]]
		if text == "" {
			if slices.Contains(shape.key, places[i]) {
				return nil, fmt.Errorf("column %s is the key and empty", c.Name)
			}
			if c.Nullable {
				continue
			}
		}
		v, inRange, err := t.Convert(ctx, text)
		if err == nil && inRange != sql.InRange {
			err = errors.New("out of range")
		}
		if err == nil && types.IsNumber(t) {
			err = allNumber(text)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s, %s: '%s': %w", c.Name, c.Type, clip(text), err)
		}
		row[places[i]] = v
	}
	return row, nil
}

// allNumber refuses what MySQL would take a part of.
func allNumber(text string) error {
	if !lookupNumber.MatchString(text) {
		return errors.New("not a number")
	}
	return nil
}

var (
	lookupNumber  = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	lookupInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	lookupDouble  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// lookupFile is a CSV file.
type lookupFile struct {
	header []string
	rows   [][]string
	lines  []int // where the rows begin
}

// readLookup reads a file, whose first line names the columns.
func readLookup(text string) (*lookupFile, error) {
	if len(text) > maxLookupBytes {
		return nil, refuse(erWrongArguments, "HY000", "the file has %d bytes; at most %d are possible", len(text), maxLookupBytes)
	}
	if !utf8.ValidString(text) {
		return nil, refuse(erWrongArguments, "HY000", "the file is not UTF-8")
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	r.ReuseRecord = false
	header, err := r.Read()
	if err != nil || len(header) > maxLookupColumns {
		return nil, refuse(erWrongArguments, "HY000", "the first line names the columns, at most %d, separated by commas (%v)", maxLookupColumns, err)
	}
	f := &lookupFile{}
	for _, name := range header {
		name = strings.TrimSpace(name)
		taken := slices.ContainsFunc(f.header, func(other string) bool { return strings.EqualFold(other, name) })
		if name == "" || utf8.RuneCountInString(name) > maxLookupName || taken {
			return nil, refuse(erWrongArguments, "HY000", "the first line names a column '%s'; names have 1 to %d characters and differ", clip(name), maxLookupName)
		}
		f.header = append(f.header, name)
	}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, refuse(erWrongValue, "22007", "%s", err) // which says where
		}
		line, _ := r.FieldPos(0)
		f.rows, f.lines = append(f.rows, fields), append(f.lines, line)
	}
}

// fits reports whether a table has the file's columns and no others.
func (f *lookupFile) fits(shape *mutableShape) bool {
	if len(f.header) != len(shape.Columns) {
		return false
	}
	return !slices.ContainsFunc(f.header, func(name string) bool { return shape.named(name) < 0 })
}

// definition is that of a table for the file: its first column is the key.
func (f *lookupFile) definition() ([]byte, error) {
	d := mutableDefinition{Collation: eventsCollation.Name(), Comment: "a lookup table, as it was uploaded"}
	for i, name := range f.header {
		c := mutableColumn{ID: d.next(), Name: name, Type: f.typeOf(i), Nullable: i > 0}
		if c.Type != "bigint" && c.Type != "double" {
			c.Collation = eventsCollation.Name()
		}
		if i == 0 {
			if c.Type != "bigint" { // what is not whole is not found by equality
				c.Type, c.Collation = fmt.Sprintf("varchar(%d)", lookupText), eventsCollation.Name()
			}
			d.Key = []int{c.ID}
		}
		d.Columns = append(d.Columns, c)
	}
	return d.encode()
}

// typeOf is the narrowest type that gives all texts of a column back as they are.
func (f *lookupFile) typeOf(column int) string {
	integers, doubles, some, longest := true, true, false, 0
	for _, fields := range f.rows {
		text := fields[column]
		if text == "" {
			continue
		}
		some = true
		longest = max(longest, utf8.RuneCountInString(text))
		if integers {
			_, err := strconv.ParseInt(text, 10, 64)
			integers = err == nil && lookupInteger.MatchString(text)
		}
		if doubles {
			_, err := strconv.ParseFloat(text, 64)
			doubles = err == nil && lookupDouble.MatchString(text) && len(text) <= 17
		}
	}
	switch {
	case some && integers:
		return "bigint"
	case some && doubles:
		return "double"
	case longest <= lookupText:
		return fmt.Sprintf("varchar(%d)", lookupText)
	}
	return "longtext"
}
