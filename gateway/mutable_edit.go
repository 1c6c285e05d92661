package gateway

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/cluster/tables"
)

// mutableEditor changes rows in the session's transaction.
type mutableEditor struct {
	table *mutableTable
	draft *tables.Draft
	shape *mutableShape
	mark  int
	err   error
	// clocks are those by which the session sees rows; none for rows as they are stored.
	clocks clocks
}

var _ sql.TableEditor = (*mutableEditor)(nil)

func (t *mutableTable) editor(ctx *sql.Context) *mutableEditor {
	e := &mutableEditor{table: t, draft: t.gateway.tablesOf(ctx)}
	if _, e.shape, e.err = t.now(ctx); e.err == nil {
		e.clocks = e.shape.clocksOf(ctx)
	}
	return e
}

// Inserter changes rows.
func (t *mutableTable) Inserter(ctx *sql.Context) sql.RowInserter { return t.editor(ctx) }

// Replacer changes rows.
func (t *mutableTable) Replacer(ctx *sql.Context) sql.RowReplacer { return t.editor(ctx) }

// Updater changes rows.
func (t *mutableTable) Updater(ctx *sql.Context) sql.RowUpdater { return t.editor(ctx) }

// Deleter changes rows.
func (t *mutableTable) Deleter(ctx *sql.Context) sql.RowDeleter { return t.editor(ctx) }

// StatementBegin marks where the statement began.
func (e *mutableEditor) StatementBegin(*sql.Context) { e.mark = e.draft.Mark() }

// DiscardChanges takes back what the statement did.
func (e *mutableEditor) DiscardChanges(*sql.Context, error) error { return e.draft.Return(e.mark) }

// StatementComplete does nothing: the transaction has it all.
func (e *mutableEditor) StatementComplete(*sql.Context) error { return nil }

// Close does nothing.
func (e *mutableEditor) Close(*sql.Context) error { return nil }

// Insert adds a row.
func (e *mutableEditor) Insert(ctx *sql.Context, row sql.Row) error {
	if e.err != nil {
		return e.err
	}
	row, err := e.clocks.store(e.unpadded(row), e.columnName)
	if err != nil {
		return err
	}
	key, err := e.shape.rowKey(ctx, row)
	if err != nil {
		return err
	}
	if err := e.checkKey(ctx, key, row); err != nil {
		return err
	}
	entries, err := e.entries(ctx, row, key)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := e.checkEntry(ctx, entry, row); err != nil {
			return err
		}
	}
	if err := e.put(ctx, key, row); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := e.draft.Put(e.table.id, entry.key, key); err != nil {
			return err
		}
	}
	return nil
}

// unpadded is a row whose CHARs have no spaces at their ends: MySQL fills a CHAR up with
// spaces, and takes all of them off when it is read.
func (e *mutableEditor) unpadded(row sql.Row) sql.Row {
	copied := false
	for i, v := range row {
		text, ok := v.(string)
		if !ok || !strings.HasSuffix(text, " ") || e.shape.types[i].Type() != sqltypes.Char {
			continue
		}
		if !copied {
			row, copied = slices.Clone(row), true
		}
		row[i] = strings.TrimRight(text, " ")
	}
	return row
}

func (e *mutableEditor) put(ctx *sql.Context, key []byte, row sql.Row) error {
	value, err := e.shape.appendRow(ctx, nil, row)
	if err != nil {
		return err
	}
	return e.draft.Put(e.table.id, key, value)
}

// Delete removes a row.
func (e *mutableEditor) Delete(ctx *sql.Context, row sql.Row) error {
	if e.err != nil {
		return e.err
	}
	row, key, ok, err := e.existing(ctx, row)
	if err != nil {
		return err
	}
	if !ok {
		return sql.ErrDeleteRowNotFound.New()
	}
	return e.remove(ctx, key, row)
}

// remove removes a stored row and its entries in indexes.
func (e *mutableEditor) remove(ctx *sql.Context, key []byte, row sql.Row) error {
	entries, err := e.entries(ctx, row, key)
	if err != nil {
		return err
	}
	if err := e.draft.Remove(e.table.id, key); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := e.draft.Remove(e.table.id, entry.key); err != nil {
			return err
		}
	}
	return nil
}

// Update changes a row.
func (e *mutableEditor) Update(ctx *sql.Context, old, row sql.Row) error {
	if e.err != nil {
		return e.err
	}
	seenOld, seenRow := old, row
	old, oldKey, ok, err := e.existing(ctx, old)
	if err != nil {
		return err
	}
	if !ok {
		return sql.ErrDeleteRowNotFound.New()
	}
	if row, err = e.clocks.store(e.unpadded(row), e.columnName); err != nil {
		return err
	}
	e.clocks.kept(old, row, seenOld, seenRow)
	key := oldKey
	if len(e.shape.key) > 0 {
		if key, err = e.shape.rowKey(ctx, row); err != nil {
			return err
		}
	} else if key, err = e.shape.digestKey(ctx, row); err != nil {
		return err
	} else {
		key = append(key, oldKey[len(key):]...)
	}
	if !bytes.Equal(key, oldKey) {
		if err := e.checkKey(ctx, key, row); err != nil {
			return err
		}
	}
	before, err := e.entries(ctx, old, oldKey)
	if err != nil {
		return err
	}
	after, err := e.entries(ctx, row, key)
	if err != nil {
		return err
	}
	for i := range after {
		if !bytes.Equal(before[i].key, after[i].key) {
			if err := e.checkEntry(ctx, after[i], row); err != nil {
				return err
			}
		}
	}
	if !bytes.Equal(key, oldKey) {
		if err := e.draft.Remove(e.table.id, oldKey); err != nil {
			return err
		}
	}
	if err := e.put(ctx, key, row); err != nil {
		return err
	}
	for i := range after {
		same := bytes.Equal(before[i].key, after[i].key)
		if same && bytes.Equal(key, oldKey) {
			continue
		}
		if !same {
			if err := e.draft.Remove(e.table.id, before[i].key); err != nil {
				return err
			}
		}
		if err := e.draft.Put(e.table.id, after[i].key, key); err != nil {
			return err
		}
	}
	return nil
}

func (e *mutableEditor) columnName(i int) string { return e.shape.Columns[i].Name }

// existing is the stored row that the session sees as row, with its key.
func (e *mutableEditor) existing(ctx *sql.Context, row sql.Row) (stored sql.Row, key []byte, ok bool, err error) {
	for _, stored = range e.clocks.seen(row) {
		if key, ok, err = e.find(ctx, stored); err != nil || ok {
			break
		}
	}
	if err != nil || !ok || len(e.clocks.columns) == 0 {
		return stored, key, ok, err
	}
	value, ok := e.draft.Get(e.table.id, key)
	if !ok {
		return nil, nil, false, errMutableRow
	}
	stored, err = e.shape.readRow(value, nil)
	return stored, key, true, err
}

// find is the key of a row's entry.
func (e *mutableEditor) find(ctx *sql.Context, row sql.Row) (key []byte, ok bool, err error) {
	if len(e.shape.key) > 0 {
		if key, err = e.shape.rowKey(ctx, row); err != nil {
			return nil, false, err
		}
		_, ok = e.draft.Get(e.table.id, key)
		return key, ok, nil
	}
	if key, err = e.shape.digestKey(ctx, row); err != nil {
		return nil, false, err
	}
	key, ok = e.draft.First(e.table.id, key)
	return key, ok, nil
}

// indexEntry is a row's entry in an index.
type indexEntry struct {
	form *mutableIndexForm
	key  []byte
	sole bool
}

func (e *mutableEditor) entries(ctx *sql.Context, row sql.Row, rowKey []byte) ([]indexEntry, error) {
	entries := make([]indexEntry, len(e.shape.Indexes))
	for i := range e.shape.Indexes {
		x := &e.shape.Indexes[i]
		key, sole, err := e.shape.indexKey(ctx, x, row, rowKey)
		if err != nil {
			return nil, err
		}
		entries[i] = indexEntry{x, key, sole}
	}
	return entries, nil
}

// checkKey refuses a row whose primary key another row has.
func (e *mutableEditor) checkKey(ctx *sql.Context, key []byte, row sql.Row) error {
	if len(e.shape.key) == 0 {
		return nil
	}
	value, taken := e.draft.Get(e.table.id, key)
	if !taken {
		return nil
	}
	return e.duplicate(ctx, "PRIMARY", e.shape.key, value, row)
}

// checkEntry refuses a row that is not the only one in a unique index.
func (e *mutableEditor) checkEntry(ctx *sql.Context, entry indexEntry, row sql.Row) error {
	if !entry.sole {
		return nil
	}
	other, taken := e.draft.Get(e.table.id, entry.key)
	if !taken {
		return nil
	}
	value, ok := e.draft.Get(e.table.id, other)
	if !ok {
		return errMutableRow
	}
	var places []int
	for _, id := range entry.form.Columns {
		places = append(places, e.shape.places[id])
	}
	return e.duplicate(ctx, entry.form.Name, places, value, row)
}

func (e *mutableEditor) duplicate(ctx *sql.Context, index string, places []int, value []byte, row sql.Row) error {
	existing, err := e.shape.readRow(value, nil)
	if err != nil {
		return err
	}
	e.clocks.show(existing)
	row = row.Copy()
	e.clocks.show(row)
	var texts []string
	for _, i := range places {
		text, _, err := types.Text.Convert(ctx, row[i])
		if err != nil || text == nil {
			text = fmt.Sprint(row[i])
		}
		if at, ok := row[i].(fmt.Stringer); ok && !types.IsText(e.shape.types[i]) {
			text = at.String()
		}
		if at, ok := row[i].(time.Time); ok {
			text = at.Format(momentLayout(e.shape.types[i], momentDigits(e.shape.types[i])))
		}
		texts = append(texts, fmt.Sprint(text))
	}
	return sql.NewUniqueKeyErr(fmt.Sprintf("'%.64s' for key '%s.%s'", strings.Join(texts, "-"), e.table.name, index), index == "PRIMARY", existing)
}

// Truncate removes all rows and counts them.
func (t *mutableTable) Truncate(ctx *sql.Context) (int, error) {
	now, _, err := t.now(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for range now.Seek([]byte{rowPrefix}) {
		n++
	}
	draft := t.gateway.tablesOf(ctx)
	if err := draft.Keep(t.id); err != nil { // the count is what the statement answers
		return 0, err
	}
	t.gateway.increments.forget(t.id)
	return n, draft.Clear(t.id)
}
