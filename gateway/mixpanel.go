package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"arbor/catalog"
	"arbor/gateway/track"
)

// collection is one request of /track or /import while it is served, with the
// buffers that go from request to request.
type collection struct {
	body, plain []byte
	texts       [][]byte
	decoder     track.Decoder
	loan        loan
	// parameters are those of the URL and of the form.
	parameters url.Values
	// form is set when the events came in a data field: such clients expect the
	// old answers.
	form bool
}

var collections = sync.Pool{New: func() any { return new(collection) }}

// beginCollection takes a collection from the pool.
func (g *Gateway) beginCollection() *collection {
	c := collections.Get().(*collection)
	c.loan = loan{budget: &g.bodies}
	return c
}

// end gives the collection back. Nothing that its decoder gave may be used after.
func (c *collection) end() {
	c.loan.end()
	if cap(c.body) > keptBufferBytes || cap(c.plain) > keptBufferBytes {
		return // and so do the decoder's buffers, which grow with them
	}
	c.parameters, c.texts, c.form = nil, nil, false
	collections.Put(c)
}

// serveTrack takes events whose own tokens say which project they are for.
func (g *Gateway) serveTrack(w http.ResponseWriter, r *http.Request) error {
	c := g.beginCollection()
	defer c.end()
	if err := c.open(r); err != nil {
		return err
	}
	batch, err := c.decode(false)
	if err != nil {
		return err
	}
	o := IngestOptions{IdempotencyKey: r.Header.Get("Idempotency-Key")}
	fallback := first(c.parameters, "token", "api_key")
	shares, unknown := g.shares(batch, fallback)
	done, err := g.take(r.Context(), shares, o)
	if err != nil {
		return err
	}
	g.metrics.refused(nil, len(batch.Failed)+len(unknown))
	done.Rejected = joinFailed(done.Rejected, batch.Failed, unknown)
	if done.Stored == 0 && len(unknown) > 0 && len(unknown) == len(done.Rejected) {
		return fmt.Errorf("%w: %s", ErrUnauthorized, unknown[0].Message)
	}
	replyTrack(w, c.parameters, done)
	return nil
}

// serveImport takes events for the project of the request's credentials.
func (g *Gateway) serveImport(w http.ResponseWriter, r *http.Request) error {
	c := g.beginCollection()
	defer c.end()
	if err := c.open(r); err != nil {
		return err
	}
	project, err := g.importProject(r, c.parameters)
	if err != nil {
		return err
	}
	strict := isSet(c.parameters, "strict")
	batch, err := c.decode(strict)
	if err != nil {
		return err
	}
	o := IngestOptions{IdempotencyKey: r.Header.Get("Idempotency-Key"), RequireInsertID: strict}
	done, err := g.take(r.Context(), []share{{project, batch.Events, batch.Indexes}}, o)
	if err != nil {
		return err
	}
	g.metrics.refused(project, len(batch.Failed))
	done.Rejected = joinFailed(done.Rejected, batch.Failed)
	if c.form && !strict {
		replyTrack(w, c.parameters, done)
	} else {
		replyImport(w, strict, done)
	}
	return nil
}

// open reads a request, whatever form it has, down to the JSON texts in it.
func (c *collection) open(r *http.Request) (err error) {
	c.parameters = r.URL.Query()
	r.Form = c.parameters // for the answer, should it be an error
	if data, ok := c.parameters["data"]; ok {
		c.texts, err = c.readURL(data)
	} else {
		c.texts, err = c.readBody(r)
	}
	return err
}

// decode reads the events of the texts.
func (c *collection) decode(strict bool) (*track.Batch, error) {
	size := 0
	for _, text := range c.texts {
		size += len(text)
	}
	if size > maxTextBytes {
		return nil, fmt.Errorf("%w: its events have %d bytes as JSON, at most %d are allowed; send smaller batches", track.ErrTooLarge, size, maxTextBytes)
	}
	// Decoded events take about as much again as their text.
	if err := c.loan.grow(size); err != nil {
		return nil, err
	}
	return c.decoder.Decode(c.texts, track.Options{MaxRecords: maxRecords, Strict: strict})
}

// readURL reads the data parameters of a GET.
func (c *collection) readURL(data []string) (texts [][]byte, err error) {
	c.form = true
	for _, d := range data {
		text, err := track.Data([]byte(d), maxTextBytes)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// readBody reads a body, and adds a form's fields to the parameters.
func (c *collection) readBody(r *http.Request) (texts [][]byte, err error) {
	if c.body, err = readBody(c.body, r, maxBodyBytes, &c.loan); err != nil {
		return nil, err
	}
	plain := c.body
	if track.CompressionOf(c.body) != track.Plain {
		if err := c.loan.grow(maxTextBytes); err != nil {
			return nil, err
		}
		if c.plain, err = track.Decompress(c.plain[:0], c.body, maxTextBytes); err != nil {
			return nil, err
		}
		plain = c.plain
	} else if err := checkEncoding(r.Header.Get("Content-Encoding"), plain); err != nil {
		return nil, err
	}
	texts, form, err := track.Unwrap(plain, maxTextBytes)
	if c.form = form != nil; c.form {
		c.parameters.Set("data", "") // its value is in the texts
	}
	for name, values := range form {
		c.parameters[name] = append(c.parameters[name], values...)
	}
	return texts, err
}

// checkEncoding explains bodies that are compressed in another way. What is said
// of a body counts only where the body itself says nothing.
func checkEncoding(declared string, body []byte) error {
	switch strings.ToLower(strings.TrimSpace(declared)) {
	case "br", "deflate", "compress":
		if len(body) > 0 && !slices.Contains([]byte("{[ \t\r\nd"), body[0]) {
			return fmt.Errorf("%w %q; use gzip or zstd, or none", ErrEncoding, declared)
		}
	}
	return nil
}

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

// take stores the shares of a request, which all become durable together.
func (g *Gateway) take(ctx context.Context, shares []share, o IngestOptions) (Ingested, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return g.ingest(ctx, shares, o)
}

// joinFailed puts all the refused records of a request in their order.
func joinFailed(lists ...[]RecordError) []RecordError {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b RecordError) int { return a.Index - b.Index })
	return all
}

// isSet reports whether a switch such as verbose=1 is on.
func isSet(parameters url.Values, name string) bool {
	switch strings.ToLower(parameters.Get(name)) {
	case "", "0", "false":
		return false
	}
	return true
}

// first is the first of the named parameters that is given.
func first(parameters url.Values, names ...string) string {
	for _, name := range names {
		if v := parameters.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
