package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"arbor/catalog"
	"arbor/gateway/track"
)

// importProject is the project that a request's credentials open: its token or
// secret as the Basic user name or password, or as api_key, in the URL or in the
// form. A project_id must agree with it.
func (g *Gateway) importProject(r *http.Request, parameters url.Values, edge edge) (*catalog.Project, error) {
	user, password, _ := r.BasicAuth()
	c := g.Catalog()
	for _, key := range []string{user, password, parameters.Get("api_key")} {
		project, ok := edge.projectByToken(c, key)
		if !ok {
			continue
		}
		if id := parameters.Get("project_id"); id != "" && isOther(id, project) {
			return nil, fmt.Errorf("%w: project_id %q is not the project of this token, %d", ErrUnauthorized, clip(id), project.ID)
		}
		return project, nil
	}
	return nil, fmt.Errorf("%w: send a project's token or secret as the Basic user name; SELECT name, token FROM arbor.projects lists them", ErrUnauthorized)
}

// firstForeignID is the first number that is taken for a project's elsewhere, such as
// at Mixpanel, and not looked at.
const firstForeignID = 1_000_000

// isOther reports whether a project_id, a name or a number, is that of another
// project. Whether there is one is not looked at: tokens ship in apps, and who holds
// one must not learn which other projects there are.
func isOther(id string, project *catalog.Project) bool {
	if id == project.Name {
		return false
	}
	number, err := strconv.ParseUint(id, 10, 64)
	return err != nil || number < firstForeignID && number != uint64(project.ID)
}

// tokens finds the parts of a request by its events' tokens.
type tokens struct {
	gateway *Gateway
	catalog *catalog.Catalog
	intake  *intake
	edge    edge
	// fallback is the token of events without one.
	fallback string
	// last is the token of the event before, for most requests have one, and part
	// what it opens, nil for nothing.
	last    string
	part    *part
	known   map[string]*part
	unknown []RecordError
}

// take takes an event in, or refuses one whose token opens nothing.
func (t *tokens) take(r *track.Record) error {
	token := r.Token
	if token == "" {
		token = t.fallback
	}
	if t.known == nil || token != t.last {
		if err := t.turnTo(token); err != nil {
			return err
		}
	}
	if t.part == passedOver {
		return nil
	}
	if t.part == nil {
		t.unknown = append(t.unknown, unknownToken(r, token))
		return nil
	}
	return t.intake.add(t.part, &r.Event, r.Index, r.Kind)
}

// passedOver stands for the part of a project that a replay leaves out.
var passedOver = new(part)

// turnTo looks a token up, once a request.
func (t *tokens) turnTo(token string) error {
	if t.known == nil {
		t.known = make(map[string]*part)
	}
	p, ok := t.known[token]
	if !ok {
		if project, found := t.edge.projectByToken(t.catalog, token); found {
			if project = t.edge.divert(project); project == nil {
				p = passedOver
			} else if err := t.gateway.admitEvents(project); err != nil {
				return err
			} else {
				p = t.intake.part(project)
			}
		}
		t.known[token] = p
	}
	t.last, t.part = token, p
	return nil
}

func unknownToken(r *track.Record, token string) RecordError {
	message := "'properties.token' is missing; send the project's token"
	if token != "" {
		message = fmt.Sprintf("'properties.token' is invalid: %q opens no project", clip(token))
	}
	return RecordError{
		Index: int(r.Index), InsertID: r.Event.InsertID, Field: "properties.token",
		Message: message + "; SELECT name, token FROM arbor.projects lists them",
	}
}
