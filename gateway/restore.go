package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/gateway/audit"
)

// Errors of /restore/.
var (
	// ErrRestoreRequest says that a request makes no sense.
	ErrRestoreRequest = errors.New("not a restore")
	// ErrRestoreProject says that there is no project of the name.
	ErrRestoreProject = errors.New("no such project")
	// ErrRestoreTaken says that a project of the name is one that takes events.
	ErrRestoreTaken = errors.New("the project takes events by itself")
)

// What a backup holds comes back into a running server through two paths: one makes the
// project that it goes to, the other says which records a day has, by id and hash, and
// takes records in that bring their ids with them. A record's id is what it is known by,
// so that taking it in again changes nothing; and for the same reason whoever may do this
// may do everything: an id that is taken could keep another event from being seen.

// mayRestore lets those in who log in as a MySQL user with SUPER. Nobody is let in for
// being on this machine.
func (g *Gateway) mayRestore(r *http.Request) (user string, err error) {
	if err := crossOrigin.Check(r); err != nil {
		return "", fmt.Errorf("%w: %w; pages of other origins may not restore", ErrForbidden, err)
	}
	user, password, ok := r.BasicAuth()
	if _, bySecret := g.secretProject(user, password); !ok || bySecret {
		return "", fmt.Errorf("%w: send a MySQL user with the SUPER privilege and its password as Basic authorization", ErrUnauthorized)
	}
	db, err := g.openQuery(r, query{})
	if err != nil {
		return "", err
	}
	defer db.Close()
	if err := db.PingContext(r.Context()); err != nil {
		return "", err
	}
	if !g.readers.administers(user, hostOf(remoteAddr(r))) {
		return "", fmt.Errorf("%w: restoring needs the SUPER privilege", ErrForbidden)
	}
	return user, nil
}

// restoreTarget is the live project that a request names.
func (g *Gateway) restoreTarget(r *http.Request) (*catalog.Project, error) {
	name := r.URL.Query().Get("project")
	if name == "" {
		return nil, fmt.Errorf("%w: project is missing", ErrRestoreRequest)
	}
	p, ok := g.Catalog().Project(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrRestoreProject, clip(name))
	}
	return p, nil
}

// serveRestoreProject makes the project that events are restored into beside the one that
// they were of: with its columns, views, policies and truncations, and without a token or
// a secret, so that nobody sends to it. The body is the encoded catalog of the backup,
// and "of" names the project in it. One that was made so before stays as it is.
func (g *Gateway) serveRestoreProject(w http.ResponseWriter, r *http.Request) (err error) {
	user, err := g.mayRestore(r)
	if err != nil {
		return err
	}
	l := loan{budget: &g.bodies}
	defer l.end()
	body, err := readBody(nil, r, maxBodyBytes, &l)
	if err != nil {
		return err
	}
	given, err := catalog.DecodeCatalog(body)
	if err != nil {
		return fmt.Errorf("%w: the catalog: %w", ErrRestoreRequest, err)
	}
	name, of := r.URL.Query().Get("project"), r.URL.Query().Get("of")
	from, ok := given.Project(of)
	if !ok {
		return fmt.Errorf("%w: the catalog has no project %q", ErrRestoreRequest, clip(of))
	}
	if err := catalog.CheckProjectName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrRestoreRequest, err)
	}
	entry, err := g.auditRestore(r, user, &catalog.Project{Name: name})
	if err != nil {
		return err
	}
	defer func() { entry.ended(g.logger, err) }()
	p, ok := g.Catalog().Project(name)
	if !ok {
		if p, err = g.createRestored(r, name, from); err != nil {
			return err
		}
	}
	if p.Token != "" || p.Secret != "" {
		return fmt.Errorf("%w: %q has a token, so that it is not one that was restored; name another one", ErrRestoreTaken, clip(name))
	}
	if err := g.copySchema(r, p, from); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"project": name})
	return nil
}

func (g *Gateway) createRestored(r *http.Request, name string, from *catalog.Project) (*catalog.Project, error) {
	c, err := g.cluster.Change(r.Context(), catalog.CreateProject{Name: name, Buckets: from.Buckets, At: g.now().UnixMicro()})
	if errors.Is(err, catalog.ErrProjectExists) {
		return nil, fmt.Errorf("%w: %w", ErrRestoreTaken, err)
	}
	if err != nil {
		return nil, fmt.Errorf("make project %q: %w", clip(name), err)
	}
	p, ok := c.Project(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q was dropped again", ErrRestoreProject, clip(name))
	}
	return p, nil
}

// copySchema gives a project what another one has and it lacks. It may be repeated.
func (g *Gateway) copySchema(r *http.Request, p, from *catalog.Project) error {
	changes := missingColumns(p, from)
	if len(p.Policies) == 0 {
		for _, rule := range from.Policies {
			changes = append(changes, catalog.AddPolicy{Project: p.ID, From: rule.From, To: rule.To, Policy: rule.Policy})
		}
	}
	if len(p.Truncations) == 0 {
		for _, t := range from.Truncations {
			if !t.Undone {
				changes = append(changes, catalog.Truncate{Project: p.ID, ID: t.ID, UpTo: t.UpTo})
			}
		}
	}
	for _, v := range from.Views {
		if _, ok := p.View(v.Name); !ok {
			changes = append(changes, catalog.CreateView{Project: p.ID, View: v})
		}
	}
	for _, change := range changes {
		if _, err := g.cluster.Change(r.Context(), change); err != nil {
			return fmt.Errorf("give project %q what %q had: %w", p.Name, from.Name, err)
		}
	}
	return nil
}

// kindOfType is a kind of value whose column has the type.
var kindOfType = map[catalog.Type]catalog.Kind{
	catalog.TypeNull: catalog.KindNull, catalog.TypeBool: catalog.KindBool, catalog.TypeInt: catalog.KindInt,
	catalog.TypeDouble: catalog.KindDouble, catalog.TypeString: catalog.KindString, catalog.TypeJSON: catalog.KindJSON,
}

// missingColumns makes the columns that a project lacks, in the order in which the other
// one has them, which gives them their names.
func missingColumns(p, from *catalog.Project) (changes []catalog.Change) {
	var seen []catalog.Observed
	observe := func() {
		for some := range slices.Chunk(seen, catalog.MaxObserved) {
			changes = append(changes, catalog.Observe{Project: p.ID, Properties: some})
		}
		seen = nil
	}
	for _, c := range from.Columns {
		if _, there := p.ColumnOf(c.Property); there {
			continue
		}
		if !c.Pinned {
			seen = append(seen, catalog.Observed{Name: c.Property, Kind: kindOfType[c.Type]})
			continue
		}
		observe()
		changes = append(changes, catalog.ModifyColumn{Project: p.ID, Column: c, Add: true})
	}
	observe()
	return changes
}

// restores remembers when it was last written down that a user restores into a project.
type restores struct {
	mu    sync.Mutex // guards noted
	noted map[restoreBy]time.Time
}

// restoreBy is who restores, and what.
type restoreBy struct{ user, address, project string }

// maxRestoresNoted bounds what is remembered; beyond it all is forgotten, and written down
// again.
const maxRestoresNoted = 1 << 10

// isDue reports whether it is to be written down again: once an hour.
func (n *restores) isDue(by restoreBy, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.noted[by]; ok && now.Sub(at) < time.Hour && !now.Before(at) {
		return false
	}
	if n.noted == nil || len(n.noted) >= maxRestoresNoted {
		n.noted = map[restoreBy]time.Time{}
	}
	n.noted[by] = now
	return true
}

// auditRestore writes down, before anything is done and once an hour, that a user restores
// into a project.
func (g *Gateway) auditRestore(r *http.Request, user string, p *catalog.Project) (*auditEntry, error) {
	by := restoreBy{user, hostOf(remoteAddr(r)), p.Name}
	if g.audit == nil || !g.restores.isDue(by, g.now()) {
		return nil, nil
	}
	id, err := g.audit.Begin(audit.Record{Kind: auditRestore, User: user, Address: by.address, Via: "http",
		Project: p.Name, ProjectID: uint32(p.ID), Statement: r.Method + " " + r.URL.Path})
	if err != nil {
		return nil, fmt.Errorf("write the restore into the audit trail: %w", err)
	}
	return &auditEntry{g.audit, id}, nil
}
