package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// A mutable table of a backup comes back in pieces. A piece names the table, says how it
// is defined, and has some of its rows with their keys, as they are kept:
//
//	name · definition · key · row · key · row · …     each behind its length as a uvarint
//
// Nothing is taken away or changed: a row that is here with other values stays.

// AppendTablePiece appends what begins a piece of a table that is restored.
func AppendTablePiece(b []byte, name string, definition []byte) []byte {
	return appendTablePart(appendTablePart(b, []byte(name)), definition)
}

// AppendTableRow appends a row of the piece.
func AppendTableRow(b, key, row []byte) []byte { return appendTablePart(appendTablePart(b, key), row) }

// TableRows gives the rows of a table with their keys, and not the entries of its indexes.
func TableRows(t *tables.Table) *tables.Cursor { return t.Cursor([]byte{rowPrefix}) }

func appendTablePart(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// restoredTable says what became of a piece, or what would.
type restoredTable struct {
	// Here are the rows that the table has before it, and Exists says that there is one.
	Here   int  `json:"here"`
	Exists bool `json:"exists"`
	// Missing rows were only in the piece, and were added; Same are in both, and Other
	// here with other values under the same key.
	Missing int `json:"missing"`
	Same    int `json:"same"`
	Other   int `json:"other"`
	// Clashing rows cannot be here besides another one that has the same values in a
	// unique index, and Erased ones are of users who were erased.
	Clashing int `json:"clashing"`
	Erased   int `json:"erased"`
	// Refused says why the table can take nothing of the piece.
	Refused string `json:"refused,omitempty"`
}

// serveRestoreTables takes a piece of a table of a backup into a project, or only says what
// that would do. "of" names the project that it was of, "at" is when the backup was made,
// in microseconds since 1970, and dry=1 changes nothing.
func (g *Gateway) serveRestoreTables(w http.ResponseWriter, r *http.Request) (err error) {
	user, err := g.mayRestore(r)
	if err != nil {
		return err
	}
	p, err := g.restoreTarget(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	at, err := strconv.ParseInt(q.Get("at"), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: at is when the backup was made, in microseconds since 1970", ErrRestoreRequest)
	}
	in := tableIntake{gateway: g, project: p, of: []*catalog.Project{p}, at: at, dry: q.Get("dry") == "1"}
	if origin, ok := g.Catalog().Project(q.Get("of")); ok && origin.ID != p.ID {
		in.of = append(in.of, origin)
	}
	l := loan{budget: &g.bodies}
	defer l.end()
	body, err := readBody(nil, r, maxBodyBytes, &l)
	if err != nil {
		return err
	}
	if err := l.grow(2 * len(body)); err != nil { // decoded, and in a transaction
		return err
	}
	if err := in.read(body); err != nil {
		return fmt.Errorf("%w: %w", ErrRestoreRequest, err)
	}
	if !in.dry {
		entry, err := g.auditRestore(r, user, p)
		if err != nil {
			return err
		}
		defer func() { entry.ended(g.logger, err) }()
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.storeTimeout)
	defer cancel()
	if err := in.take(ctx); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, in.done)
	return nil
}

// tableIntake takes a piece of a table in.
type tableIntake struct {
	gateway *Gateway
	project *catalog.Project
	// of are the projects whose erasures keep rows out, if they were not over at.
	of  []*catalog.Project
	at  int64
	dry bool

	name       string
	definition []byte
	rows       []keptRow
	done       restoredTable
}

// keptRow is a row and its key as the store keeps them.
type keptRow struct{ key, value []byte }

// read reads a piece, whose bytes stay where they are.
func (in *tableIntake) read(body []byte) error {
	next := func() (v []byte, err error) {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			return nil, errors.New("the piece is cut off")
		}
		v, body = body[n:][:size], body[n:][size:]
		return v, nil
	}
	name, err := next()
	if err != nil {
		return err
	}
	if in.definition, err = next(); err != nil {
		return err
	}
	in.name = string(name)
	for len(body) > 0 {
		var row keptRow
		if row.key, err = next(); err != nil {
			return err
		}
		if row.value, err = next(); err != nil {
			return err
		}
		in.rows = append(in.rows, row)
	}
	if _, err := newMutableShape(in.definition); err != nil {
		return err
	}
	return nil
}

// take adds what is missing, in one transaction, or counts it. The table is made by a
// transaction of its own, so that one with rows is refused if an erasure comes between.
func (in *tableIntake) take(ctx context.Context) error {
	g := in.gateway
	exists := false
	create := func(_ *sql.Context, draft *tables.Draft) error {
		if _, exists = draft.Table(uint32(in.project.ID), in.name); exists {
			return nil
		}
		if _, isView := in.project.View(in.name); isView {
			return errViewsName
		}
		_, err := draft.Create(uint32(in.project.ID), in.name, in.definition)
		return err
	}
	run := g.changeTables
	if in.dry {
		draft := tables.NewDraft(g.cluster.Tables())
		run = func(ctx context.Context, change func(*sql.Context, *tables.Draft) error) error {
			return change(sql.NewContext(ctx, sql.WithSession(withVariables(sql.NewBaseSession))), draft)
		}
	}
	err := run(ctx, create)
	if errors.Is(err, errViewsName) {
		in.done.Refused = "a view has its name"
		return nil
	}
	if err != nil {
		return err
	}
	if err := run(ctx, in.add); err != nil {
		return err
	}
	in.done.Exists = exists
	return nil
}

var errViewsName = errors.New("a view has the name of the table")

// add is the transaction.
func (in *tableIntake) add(ctx *sql.Context, draft *tables.Draft) error {
	in.done = restoredTable{}
	t, ok := draft.Table(uint32(in.project.ID), in.name)
	if !ok {
		return fmt.Errorf("table %s: %w: it was dropped meanwhile", in.name, tables.ErrConflict)
	}
	shape, err := in.gateway.shapes.shape(t.Definition)
	if err != nil {
		return err
	}
	given, err := in.gateway.shapes.shape(in.definition)
	if err != nil {
		return err
	}
	for range t.Seek([]byte{rowPrefix}) {
		in.done.Here++
	}
	if !given.keptAlike(shape) {
		in.done.Refused = "its columns or its primary key are others here; restore it beside, and copy it by SQL"
		return nil
	}
	erased := newErasedSince(in.gateway.cluster.Catalog(), in.of, in.at)
	column := shape.named(userColumn)
	e := &mutableEditor{table: &mutableTable{gateway: in.gateway, id: t.ID, name: t.Name, shape: shape}, draft: draft, shape: shape}
	for i, row := range in.rows {
		if err := in.addRow(ctx, e, row, column, erased); err != nil {
			return fmt.Errorf("row %d of table %s: %w", i, in.name, err)
		}
	}
	return nil
}

// addRow adds a row, or counts why not.
func (in *tableIntake) addRow(ctx *sql.Context, e *mutableEditor, given keptRow, column int, erased *erasedSince) error {
	row, err := e.shape.readRow(given.value, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRestoreRequest, err)
	}
	if err := e.shape.checkRowKey(ctx, row, given.key); err != nil {
		return err
	}
	if column >= 0 {
		user, ok, err := userOfRow(ctx, row[column])
		if err != nil {
			return err
		}
		if ok && erased.has(user) {
			in.done.Erased++
			return nil
		}
	}
	if here, ok := e.draft.Get(e.table.id, given.key); ok {
		if bytes.Equal(here, given.value) {
			in.done.Same++
		} else {
			in.done.Other++
		}
		return nil
	}
	entries, err := e.entries(ctx, row, given.key)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, taken := e.draft.Get(e.table.id, entry.key); entry.sole && taken {
			in.done.Clashing++
			return nil
		}
	}
	in.done.Missing++
	if err := e.draft.Put(e.table.id, given.key, given.value); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := e.draft.Put(e.table.id, entry.key, given.key); err != nil {
			return err
		}
	}
	return nil
}

// checkRowKey holds a row's key against the row: by another one nobody would find it.
func (s *mutableShape) checkRowKey(ctx *sql.Context, row sql.Row, key []byte) error {
	wanted, err := s.rowKey(ctx, row)
	if err != nil {
		return err
	}
	n := len(wanted)
	if len(s.key) == 0 {
		n -= 8 // which are drawn for each row
	}
	if len(key) != len(wanted) || !bytes.Equal(key[:n], wanted[:n]) {
		return fmt.Errorf("%w: it is kept under a key that is not its own", ErrRestoreRequest)
	}
	return nil
}

// keptAlike reports whether rows of the one are rows of the other.
func (d *mutableDefinition) keptAlike(o *mutableShape) bool {
	if len(d.Columns) != len(o.Columns) || !slices.Equal(d.Key, o.Key) {
		return false
	}
	for i := range d.Columns {
		a, b := &d.Columns[i], &o.Columns[i]
		if a.ID != b.ID || a.Name != b.Name || a.Type != b.Type || a.Collation != b.Collation || a.Nullable && !b.Nullable {
			return false
		}
	}
	return true
}

// erasedSince knows the users of some projects whose erasures were not over at a time.
type erasedSince struct {
	key   catalog.EraseKey
	users map[catalog.ProjectID]map[catalog.UserHash]bool
}

func newErasedSince(c *catalog.Catalog, of []*catalog.Project, at int64) *erasedSince {
	s := &erasedSince{c.EraseKey, map[catalog.ProjectID]map[catalog.UserHash]bool{}}
	for i := range c.Erasures {
		e := &c.Erasures[i]
		if !slices.ContainsFunc(of, func(p *catalog.Project) bool { return p.ID == e.Project }) || e.State == catalog.ErasureDone && e.DoneAt < at {
			continue
		}
		if s.users[e.Project] == nil {
			s.users[e.Project] = map[catalog.UserHash]bool{}
		}
		s.users[e.Project][e.User] = true
	}
	return s
}

func (s *erasedSince) has(user string) bool {
	for project, users := range s.users {
		if users[s.key.HashUser(project, user)] {
			return true
		}
	}
	return false
}

// WithoutErased gives the tables without the rows of users whom a project's erasures
// name that known does not have.
func WithoutErased(ctx context.Context, s *tables.State, project catalog.ProjectID, all, known *catalog.Catalog) (*tables.State, error) {
	reader := rowReader{&Gateway{}}
	for i := range all.Erasures {
		e := &all.Erasures[i]
		if _, _, ok := known.Erasure(e.ID); ok || e.Project != project {
			continue
		}
		_, of, _ := all.Erasure(e.ID)
		for more := true; more; {
			draft := tables.NewDraft(s)
			var err error
			if _, more, err = reader.RemoveRows(ctx, draft, project, of, removedAtOnce); err != nil {
				return nil, err
			}
			change, err := draft.Change()
			if err != nil {
				return nil, err
			}
			if s, err = s.Apply(change); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// removedAtOnce is how many rows WithoutErased removes in a change.
const removedAtOnce = 10_000
