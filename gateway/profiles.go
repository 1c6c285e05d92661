package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/cluster/tables"
	"arbor/gateway/track"
)

// The updates of /engage and /groups change rows of the project's mutable tables
// people and groups, which are made when they are first wanted. All updates of a
// request for one project are one transaction.

// maxProfiles bounds the updates of a request, as Mixpanel does.
const maxProfiles = 2000

// The tables of profiles, as CREATE TABLE would define them.
var (
	peopleTable = profileTable{"people", `{"columns":[{"id":1,"name":"distinct_id","type":"varchar(255)","collation":"utf8mb4_bin"},{"id":2,"name":"last_seen","type":"datetime(6)","nullable":true},{"id":3,"name":"properties","type":"json"}],"key":[1],"collation":"utf8mb4_bin","comment":"profiles of users, as /engage sets them","last_id":3}`}
	groupsTable = profileTable{"groups", `{"columns":[{"id":1,"name":"group_key","type":"varchar(255)","collation":"utf8mb4_bin"},{"id":2,"name":"group_id","type":"varchar(255)","collation":"utf8mb4_bin"},{"id":3,"name":"last_seen","type":"datetime(6)","nullable":true},{"id":4,"name":"properties","type":"json"}],"key":[1,2],"collation":"utf8mb4_bin","comment":"profiles of groups, as /groups sets them","last_id":4}`}
)

type profileTable struct{ name, definition string }

func (g *Gateway) serveEngage(w http.ResponseWriter, r *http.Request) error {
	return g.serveProfiles(w, r, peopleTable)
}

func (g *Gateway) serveGroups(w http.ResponseWriter, r *http.Request) error {
	return g.serveProfiles(w, r, groupsTable)
}

// serveProfiles takes updates whose own tokens say which project they are for.
func (g *Gateway) serveProfiles(w http.ResponseWriter, r *http.Request, to profileTable) error {
	c := g.beginCollection()
	defer g.endCollection(c)
	edge, err := g.edge(w, r)
	if err != nil {
		return err
	}
	if err := c.open(r); err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	all, failed, err := track.DecodeProfiles(c.texts, to == groupsTable, maxProfiles)
	if err != nil {
		return err
	}
	var done Ingested
	done.Rejected = failed
	fallback := first(c.parameters, "token", "$token", "api_key")
	type target struct{ into, from *catalog.Project }
	byProject := map[target][]track.Profile{}
	id := edge.id
	if id.IsZero() {
		id = g.stamper.Stamp()
	}
	unknown := 0
	for _, p := range all {
		if p.Token == "" {
			p.Token = fallback
		}
		project, ok := edge.projectByToken(g.Catalog(), p.Token)
		if !ok {
			unknown++
			done.Rejected = append(done.Rejected, RecordError{Index: p.Index, Field: "$token", Message: fmt.Sprintf("'$token' is missing or opens no project: %q", clip(p.Token))})
			continue
		}
		if into := edge.divert(project); into != nil {
			at := target{into, project}
			byProject[at] = append(byProject[at], p)
		}
	}
	if unknown > 0 && unknown == len(all) {
		return fmt.Errorf("%w: %s", ErrUnauthorized, done.Rejected[len(done.Rejected)-1].Message)
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.storeTimeout)
	defer cancel()
	for at, profiles := range byProject {
		erased := func(p *track.Profile) bool {
			return to == peopleTable && g.suppressedProfile([]*catalog.Project{at.into, at.from}, id, p.ID)
		}
		if err := g.updateProfiles(ctx, at.into, to, profiles, erased); err != nil {
			return err
		}
		done.Stored += len(profiles)
	}
	done.Rejected = joinFailed(done.Rejected)
	replyTrack(w, c.parameters, done)
	return nil
}

// ErrProfileTable says that a project has a table of a profiles' table's name that
// cannot hold profiles.
var ErrProfileTable = errors.New("project's table cannot hold profiles")

// updateProfiles makes updates of a project's profiles durable, all of them together, but
// for those of users who were erased since they came in.
//
// An erasure gives the table its definition anew when it has removed the user's rows, so
// that this transaction is refused if it began before; and one that begins later sees the
// erasure. For the same reason the table is made by a transaction of its own.
func (g *Gateway) updateProfiles(ctx context.Context, project *catalog.Project, to profileTable, profiles []track.Profile, erased func(*track.Profile) bool) error {
	var err error
	for range maxConflictTries {
		if err = g.makeProfiles(ctx, project, to); err != nil {
			return err
		}
		err = g.changeTables(ctx, func(sctx *sql.Context, draft *tables.Draft) error {
			e, err := g.profileEditor(draft, project, to)
			if err != nil {
				return err
			}
			for i := range profiles {
				if erased(&profiles[i]) {
					continue
				}
				if err := e.update(sctx, &profiles[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, errProfilesGone) {
			return err
		}
	}
	return err
}

// errProfilesGone says that the table was dropped meanwhile.
var errProfilesGone = errors.New("table of profiles was dropped meanwhile")

// makeProfiles makes the table of profiles, unless it is there.
func (g *Gateway) makeProfiles(ctx context.Context, project *catalog.Project, to profileTable) error {
	if _, ok := g.cluster.Tables().Table(uint32(project.ID), to.name); ok {
		return nil
	}
	if _, isView := project.View(to.name); isView {
		return fmt.Errorf("%w: %s is a view", ErrProfileTable, to.name)
	}
	return g.changeTables(ctx, func(_ *sql.Context, draft *tables.Draft) error {
		if _, ok := draft.Table(uint32(project.ID), to.name); ok {
			return nil
		}
		_, err := draft.Create(uint32(project.ID), to.name, []byte(to.definition))
		return err
	})
}

// changeTables makes a transaction of what change does to a draft, again for as long as
// others change the same. Those of a member take turns, since they often would.
func (g *Gateway) changeTables(ctx context.Context, change func(*sql.Context, *tables.Draft) error) error {
	select {
	case g.contended <- struct{}{}:
		defer func() { <-g.contended }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errStorage, ctx.Err())
	}
	sctx := sql.NewContext(ctx, sql.WithSession(withVariables(sql.NewBaseSession)))
	for tries := 1; ; tries++ {
		draft := tables.NewDraft(g.cluster.Tables())
		if err := change(sctx, draft); err != nil {
			return err
		}
		if draft.Empty() {
			return nil
		}
		made, err := draft.Change()
		if err != nil {
			return err
		}
		_, err = g.cluster.ChangeTables(ctx, made)
		disturbed := errors.Is(err, tables.ErrConflict) || errors.Is(err, tables.ErrNoTable) || errors.Is(err, tables.ErrTableExists)
		if err == nil || !disturbed || tries == maxConflictTries {
			return err
		}
	}
}

// profileEditor changes profiles in a transaction.
type profileEditor struct {
	mutableEditor
	seen, properties int // places of columns
}

func (g *Gateway) profileEditor(draft *tables.Draft, project *catalog.Project, to profileTable) (*profileEditor, error) {
	found, ok := draft.Table(uint32(project.ID), to.name)
	if !ok {
		return nil, errProfilesGone
	}
	shape, err := g.shapes.shape(found.Definition)
	if err != nil {
		return nil, err
	}
	wanted, err := g.shapes.shape([]byte(to.definition))
	if err != nil {
		return nil, err
	}
	e := &profileEditor{mutableEditor: mutableEditor{table: &mutableTable{gateway: g, project: project, id: found.ID, name: found.Name, shape: shape}, draft: draft, shape: shape}}
	names := func(s *mutableShape) (names []string) {
		for _, i := range s.key {
			names = append(names, s.Columns[i].Name)
		}
		return names
	}
	e.seen, e.properties = shape.named("last_seen"), shape.named("properties")
	if !slices.Equal(names(shape), names(wanted)) || e.properties < 0 || shape.types[e.properties] != types.JSON {
		return nil, fmt.Errorf("%w: %s has not the primary key %v and the column properties JSON; rename it, and it is made anew", ErrProfileTable, to.name, names(wanted))
	}
	for i := range shape.Columns {
		if c := &shape.Columns[i]; !c.Nullable && i != e.properties && !slices.Contains(shape.key, i) {
			return nil, fmt.Errorf("%w: column %s of %s may not be NULL, and no update sets it", ErrProfileTable, c.Name, to.name)
		}
	}
	return e, nil
}

// update changes one profile.
func (e *profileEditor) update(ctx *sql.Context, p *track.Profile) error {
	row := make(sql.Row, len(e.shape.Columns))
	id := []string{p.Key, p.ID}
	for n, i := range e.shape.key {
		row[i] = id[n+2-len(e.shape.key)]
	}
	key, err := e.shape.rowKey(ctx, row)
	if err != nil {
		return err
	}
	properties := map[string]any{}
	value, exists := e.draft.Get(e.table.id, key)
	var before sql.Row
	if exists {
		if before, err = e.shape.readRow(value, nil); err != nil {
			return err
		}
		copy(row, before)
		if properties, err = readProperties(ctx, before[e.properties]); err != nil {
			return err
		}
	}
	if p.Delete {
		if !exists {
			return nil
		}
		return e.Delete(ctx, before)
	}
	p.Apply(properties)
	encoded, err := json.Marshal(properties)
	if err != nil {
		return err
	}
	row[e.properties] = types.NewLazyJSONDocument(encoded)
	if e.seen >= 0 && (!p.Silent || !exists) {
		row[e.seen] = e.table.gateway.now().UTC()
	}
	if exists {
		return e.Update(ctx, before, row)
	}
	return e.Insert(ctx, row)
}

// readProperties reads the properties of a profile.
func readProperties(ctx *sql.Context, v any) (map[string]any, error) {
	document, ok := v.(types.JSONBytes)
	if !ok {
		return map[string]any{}, nil
	}
	text, err := document.GetBytes(ctx)
	if err != nil {
		return nil, err
	}
	properties := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&properties); err != nil || properties == nil {
		return map[string]any{}, nil // somebody has put something else there
	}
	return properties, nil
}
