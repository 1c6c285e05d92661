package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"arbor/catalog"
	"arbor/gateway/track"
)

// importProject is the project that a request's credentials open: its token or
// secret as the Basic user name or password, or as api_key, in the URL or in the
// form. A project_id must agree with it.
func (g *Gateway) importProject(r *http.Request, parameters url.Values) (*catalog.Project, error) {
	user, password, _ := r.BasicAuth()
	c := g.Catalog()
	for _, key := range []string{user, password, parameters.Get("api_key")} {
		project, ok := c.ProjectByToken(key)
		if !ok {
			continue
		}
		if id := parameters.Get("project_id"); id != "" && g.isOther(id, project) {
			return nil, fmt.Errorf("%w: project_id %q is not the project of this token, %d", ErrUnauthorized, clip(id), project.ID)
		}
		return project, nil
	}
	return nil, fmt.Errorf("%w: send a project's token or secret as the Basic user name; SELECT name, token FROM arbor.projects lists them", ErrUnauthorized)
}

// isOther reports whether a project_id, a name or a number, is that of another
// project. What is no project of ours, such as an id at Mixpanel, is not.
func (g *Gateway) isOther(id string, project *catalog.Project) bool {
	c := g.Catalog()
	if named, ok := c.Project(id); ok {
		return named.ID != project.ID
	}
	number, err := strconv.ParseUint(id, 10, 32)
	numbered, ok := c.ProjectByID(catalog.ProjectID(number))
	return err == nil && ok && numbered.DroppedAt == 0 && numbered.ID != project.ID
}

// shares parts a batch by its events' tokens, those without one by the fallback.
// Events of tokens that open nothing are refused.
func (g *Gateway) shares(b *track.Batch, fallback string) (shares []share, unknown []RecordError) {
	c := g.Catalog()
	token, at := "", -1 // of the event before, for most requests have one token
	known := make(map[string]int)
	for i := range b.Events {
		t := b.Tokens[i]
		if t == "" {
			t = fallback
		}
		if i == 0 || t != token {
			token = t
			place, ok := known[t]
			if !ok {
				place = -1
				if project, ok := c.ProjectByToken(t); ok {
					place = slices.IndexFunc(shares, func(s share) bool { return s.project.ID == project.ID })
					if place < 0 {
						place = len(shares)
						shares = append(shares, share{project: project})
					}
				}
				known[t] = place
			}
			at = place
		}
		if at < 0 {
			unknown = append(unknown, unknownToken(b, i, token))
			continue
		}
		s := &shares[at]
		if len(known) == 1 && len(s.events) == i {
			s.events, s.indexes = b.Events[:i+1:i+1], b.Indexes[:i+1:i+1]
		} else {
			s.events, s.indexes = append(s.events, b.Events[i]), append(s.indexes, b.Indexes[i])
		}
	}
	return shares, unknown
}

func unknownToken(b *track.Batch, i int, token string) RecordError {
	message := "'properties.token' is missing; send the project's token"
	if token != "" {
		message = fmt.Sprintf("'properties.token' is invalid: %q opens no project", clip(token))
	}
	return RecordError{
		Index: int(b.Indexes[i]), InsertID: b.Events[i].InsertID, Field: "properties.token",
		Message: message + "; SELECT name, token FROM arbor.projects lists them",
	}
}
