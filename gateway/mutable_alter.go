package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/cluster/tables"
)

// CREATE, ALTER, RENAME and DROP of mutable tables. All of it happens in the
// session's transaction, which ends with the statement: a table, its indexes and its
// rows change together or not at all.

// CreateTable makes a mutable table.
func (d *database) CreateTable(ctx *sql.Context, name string, schema sql.PrimaryKeySchema, collation sql.CollationID, comment string) error {
	if isEventsTable(name) {
		return sql.ErrTableAlreadyExists.New(name)
	}
	if _, isView := d.project.View(name); isView {
		return sql.ErrTableAlreadyExists.New(name)
	}
	draft := d.gateway.tablesOf(ctx)
	if _, exists := draft.Table(uint32(d.project.ID), name); exists {
		return sql.ErrTableAlreadyExists.New(name)
	}
	definition := mutableDefinition{Collation: collation.Name(), Comment: comment}
	for i, c := range schema.Schema {
		if err := definition.addColumn(i, c); err != nil {
			return err
		}
	}
	for _, i := range schema.PkOrdinals {
		definition.Key = append(definition.Key, definition.Columns[i].ID)
	}
	encoded, err := definition.encode()
	if err != nil {
		return err
	}
	_, err = draft.Create(uint32(d.project.ID), name, encoded)
	return err
}

// DropTable drops a mutable table.
func (d *database) DropTable(ctx *sql.Context, name string) error {
	draft := d.gateway.tablesOf(ctx)
	t, ok := draft.Table(uint32(d.project.ID), name)
	if !ok {
		return sql.ErrTableNotFound.New(name)
	}
	return draft.Drop(t.ID)
}

// RenameTable gives a mutable table another name.
func (d *database) RenameTable(ctx *sql.Context, from, to string) error {
	draft := d.gateway.tablesOf(ctx)
	t, ok := draft.Table(uint32(d.project.ID), from)
	if !ok {
		return sql.ErrTableNotFound.New(from)
	}
	_, isView := d.project.View(to)
	if other, exists := draft.Table(uint32(d.project.ID), to); isEventsTable(to) || isView || exists && other.ID != t.ID {
		return sql.ErrTableAlreadyExists.New(to)
	}
	return draft.Define(t.ID, to, t.Definition)
}

// redefine changes the table's definition.
func (t *mutableTable) redefine(ctx *sql.Context, change func(*mutableDefinition) error) error {
	now, shape, err := t.now(ctx)
	if err != nil {
		return err
	}
	d := shape.mutableDefinition
	d.Columns, d.Key = slices.Clone(d.Columns), slices.Clone(d.Key)
	d.Indexes = slices.Clone(d.Indexes)
	if err := change(&d); err != nil {
		return err
	}
	encoded, err := d.encode()
	if err != nil {
		return err
	}
	return t.gateway.tablesOf(ctx).Define(t.id, now.Name, encoded)
}

// orderOf is the place of a column that is added or moved.
func (d *mutableDefinition) orderOf(order *sql.ColumnOrder, last int) (int, error) {
	switch {
	case order == nil:
		return last, nil
	case order.First:
		return 0, nil
	}
	after := d.named(order.AfterColumn)
	if after < 0 {
		return 0, sql.ErrTableColumnNotFound.New("", order.AfterColumn)
	}
	return after + 1, nil
}

// AddColumn adds a column that is NULL in all rows.
func (t *mutableTable) AddColumn(ctx *sql.Context, c *sql.Column, order *sql.ColumnOrder) error {
	return t.redefine(ctx, func(d *mutableDefinition) error {
		at, err := d.orderOf(order, len(d.Columns))
		if err != nil {
			return err
		}
		return d.addColumn(at, c)
	})
}

// DropColumn drops a column. What rows hold of it is not read any more, and goes when
// they are written again.
func (t *mutableTable) DropColumn(ctx *sql.Context, name string) error {
	return t.redefine(ctx, func(d *mutableDefinition) error {
		i := d.named(name)
		if i < 0 {
			return sql.ErrTableColumnNotFound.New(t.name, name)
		}
		d.Columns = slices.Delete(d.Columns, i, i+1)
		return nil
	})
}

// ModifyColumn changes what does not touch rows.
func (t *mutableTable) ModifyColumn(ctx *sql.Context, name string, c *sql.Column, order *sql.ColumnOrder) error {
	return t.redefine(ctx, func(d *mutableDefinition) error {
		i := d.named(name)
		if i < 0 {
			return sql.ErrTableColumnNotFound.New(t.name, name)
		}
		m := d.Columns[i]
		if err := m.define(c); err != nil {
			return err
		}
		d.Columns = slices.Delete(d.Columns, i, i+1)
		at, err := d.orderOf(order, i)
		if err != nil {
			return err
		}
		d.Columns = slices.Insert(d.Columns, at, m)
		return nil
	})
}

// ShouldRewriteTable reports whether rows must be written again: where a column is
// used by a key and dropped, or gets another type.
func (t *mutableTable) ShouldRewriteTable(_ *sql.Context, _, _ sql.PrimaryKeySchema, old, changed *sql.Column) bool {
	switch {
	case old == nil && changed == nil:
		return true
	case old == nil:
		return false
	case changed == nil:
		i := t.shape.named(old.Name)
		return i < 0 || t.shape.uses(t.shape.Columns[i].ID)
	}
	return !old.Type.Equals(changed.Type) || old.Nullable && !changed.Nullable || old.AutoIncrement != changed.AutoIncrement
}

// uses reports whether a key or an index has a column.
func (d *mutableDefinition) uses(id int) bool {
	return slices.Contains(d.Key, id) || slices.ContainsFunc(d.Indexes, func(x mutableIndexForm) bool { return slices.Contains(x.Columns, id) })
}

// RewriteInserter takes all rows again, as they are under another schema.
func (t *mutableTable) RewriteInserter(ctx *sql.Context, _, schema sql.PrimaryKeySchema, old, changed *sql.Column, _ []sql.IndexColumn) (sql.RowInserter, error) {
	draft := t.gateway.tablesOf(ctx)
	mark := draft.Mark()
	if err := draft.Keep(t.id); err != nil {
		return nil, err
	}
	before, shape, err := t.now(ctx)
	if err != nil {
		return nil, err
	}
	t.frozen = before
	if err := t.redefine(ctx, func(d *mutableDefinition) error { return d.rewrite(schema, old, changed) }); err != nil {
		return nil, err
	}
	if err := draft.Clear(t.id); err != nil {
		return nil, err
	}
	e := t.editor(ctx)
	e.mark = mark
	if e.err == nil {
		e.clocks = e.clocks.changed(e.shape, shape)
	}
	return rewriteEditor{e}, nil
}

// rewriteEditor takes the rows of a table that is rewritten; its statement began before.
type rewriteEditor struct{ *mutableEditor }

// Close ends the rewriting.
func (e rewriteEditor) Close(*sql.Context) error {
	e.table.frozen = nil
	return nil
}

// StatementBegin keeps the mark of the rewriting.
func (rewriteEditor) StatementBegin(*sql.Context) {}

// rewrite makes the definition that of a schema, in which a column was added (old is
// nil), dropped (changed is nil) or changed.
func (d *mutableDefinition) rewrite(schema sql.PrimaryKeySchema, old, changed *sql.Column) error {
	columns := d.Columns
	d.Columns = nil
	for i, c := range schema.Schema {
		name := c.Name
		if old != nil && changed != nil && strings.EqualFold(name, changed.Name) {
			name = old.Name
		}
		at := slices.IndexFunc(columns, func(m mutableColumn) bool { return strings.EqualFold(m.Name, name) })
		if at < 0 {
			if err := d.addColumn(i, c); err != nil {
				return err
			}
			continue
		}
		m := columns[at]
		if changed != nil && strings.EqualFold(c.Name, changed.Name) {
			if err := m.define(changed); err != nil {
				return err
			}
		}
		d.Columns = append(d.Columns, m)
	}
	d.Key = nil
	for _, i := range schema.PkOrdinals {
		d.Key = append(d.Key, d.Columns[i].ID)
	}
	for i := range d.Indexes {
		d.Indexes[i].Columns = slices.DeleteFunc(slices.Clone(d.Indexes[i].Columns), func(id int) bool { return d.place(id) < 0 })
	}
	d.Indexes = slices.DeleteFunc(d.Indexes, func(x mutableIndexForm) bool { return len(x.Columns) == 0 })
	return nil
}

// CreateIndex makes an index over the rows that there are.
func (t *mutableTable) CreateIndex(ctx *sql.Context, def sql.IndexDef) error {
	if def.Constraint != sql.IndexConstraint_None && def.Constraint != sql.IndexConstraint_Unique {
		return unsupported("index %s: mutable tables have plain and UNIQUE indexes alone", def.Name)
	}
	form := mutableIndexForm{Name: def.Name, Unique: def.Constraint == sql.IndexConstraint_Unique, Comment: def.Comment}
	if err := t.redefine(ctx, func(d *mutableDefinition) error {
		if slices.ContainsFunc(d.Indexes, func(x mutableIndexForm) bool { return strings.EqualFold(x.Name, def.Name) }) {
			return sql.ErrDuplicateKey.New(def.Name)
		}
		for _, c := range def.Columns {
			i := d.named(c.Name)
			switch {
			case i < 0:
				return sql.ErrKeyColumnDoesNotExist.New(c.Name)
			case c.Length > 0:
				return unsupported("index %s: an index over the beginning of a column (%s(%d)) is not supported; index the column", def.Name, c.Name, c.Length)
			}
			form.Columns = append(form.Columns, d.Columns[i].ID)
		}
		form.ID = d.next()
		d.Indexes = append(d.Indexes, form)
		return nil
	}); err != nil {
		return err
	}
	now, shape, err := t.now(ctx)
	if err != nil {
		return err
	}
	if now.Entries() > 0 {
		if err := t.gateway.tablesOf(ctx).Keep(t.id); err != nil {
			return err
		}
	}
	e := t.editor(ctx) // whose rows are as they are stored
	for key, value := range now.Seek([]byte{rowPrefix}) {
		row, err := shape.readRow(value, nil)
		if err != nil {
			return err
		}
		entryKey, sole, err := shape.indexKey(ctx, &form, row, key)
		if err != nil {
			return err
		}
		if err := e.checkEntry(ctx, indexEntry{&form, entryKey, sole}, row); err != nil {
			return err
		}
		if err := e.draft.Put(t.id, entryKey, key); err != nil {
			return err
		}
	}
	return nil
}

// DropIndex drops an index with its entries.
func (t *mutableTable) DropIndex(ctx *sql.Context, name string) error {
	var form mutableIndexForm
	if err := t.redefine(ctx, func(d *mutableDefinition) error {
		i := slices.IndexFunc(d.Indexes, func(x mutableIndexForm) bool { return strings.EqualFold(x.Name, name) })
		if i < 0 {
			return sql.ErrIndexNotFound.New(name)
		}
		form = d.Indexes[i]
		d.Indexes = slices.Delete(d.Indexes, i, i+1)
		return nil
	}); err != nil {
		return err
	}
	now, _, err := t.now(ctx)
	if err != nil {
		return err
	}
	return t.removeAll(ctx, now, form.head())
}

func (t *mutableTable) removeAll(ctx *sql.Context, now *tables.Table, prefix []byte) error {
	draft := t.gateway.tablesOf(ctx)
	if err := draft.Keep(t.id); err != nil {
		return err
	}
	for key := range now.Seek(prefix) {
		if err := draft.Remove(t.id, key); err != nil {
			return err
		}
	}
	return nil
}

// RenameIndex gives an index another name.
func (t *mutableTable) RenameIndex(ctx *sql.Context, from, to string) error {
	return t.redefine(ctx, func(d *mutableDefinition) error {
		i := slices.IndexFunc(d.Indexes, func(x mutableIndexForm) bool { return strings.EqualFold(x.Name, from) })
		if i < 0 {
			return sql.ErrIndexNotFound.New(from)
		}
		d.Indexes[i].Name = to
		return nil
	})
}

// ModifyComment changes the table's comment.
func (t *mutableTable) ModifyComment(ctx *sql.Context, comment string) error {
	return t.redefine(ctx, func(d *mutableDefinition) error {
		d.Comment = comment
		return nil
	})
}
