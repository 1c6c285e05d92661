package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"arbor/gateway/track"
)

// collection is one request of /track or /import while it is served, with the
// buffers that go from request to request.
type collection struct {
	body, plain []byte
	texts       [][]byte
	decoder     track.Decoder
	intake      intake
	loan        loan
	// parameters are those of the URL and of the form.
	parameters url.Values
	// form is set when the events came in a data field: such clients expect the
	// old answers.
	form bool
}

// beginCollection takes a collection from the pool.
func (g *Gateway) beginCollection() *collection {
	c, ok := g.collections.Get().(*collection)
	if !ok {
		c = new(collection)
	}
	c.loan = loan{budget: &g.bodies}
	c.intake.loan = &c.loan
	return c
}

// endCollection gives a collection back. Nothing that its decoder gave may be
// used after.
func (g *Gateway) endCollection(c *collection) {
	c.loan.end()
	c.intake.end()
	if cap(c.body)+cap(c.plain)+c.decoder.Footprint()+c.intake.footprint() > keptBufferBytes {
		return
	}
	c.parameters, c.texts, c.form = nil, nil, false
	g.collections.Put(c)
}

// serveTrack takes events whose own tokens say which project they are for.
func (g *Gateway) serveTrack(w http.ResponseWriter, r *http.Request) error {
	c := g.beginCollection()
	defer g.endCollection(c)
	if err := c.open(r); err != nil {
		return err
	}
	done, err := g.collect(w, r, c, first(c.parameters, "token", "api_key"), func(take func(*track.Record) error) ([]RecordError, error) {
		return c.decode(false, take)
	})
	if err != nil {
		return err
	}
	replyTrack(w, c.parameters, done)
	return nil
}

// collect takes in what decode gives of an opened request, each event for the
// project of its own token, or, without one, of fallback.
func (g *Gateway) collect(w http.ResponseWriter, r *http.Request, c *collection, fallback string,
	decode func(take func(*track.Record) error) ([]RecordError, error)) (Ingested, error) {
	edge, err := g.edge(w, r)
	if err != nil {
		return Ingested{}, err
	}
	if err := c.intake.begin(g, IngestOptions{ID: edge.id, IdempotencyKey: r.Header.Get("Idempotency-Key")}, true); err != nil {
		return Ingested{}, err
	}
	t := tokens{gateway: g, catalog: g.Catalog(), intake: &c.intake, edge: edge, fallback: fallback}
	failed, err := decode(t.take)
	if err != nil {
		return Ingested{}, err
	}
	done, err := c.store(r.Context())
	if err != nil {
		return Ingested{}, err
	}
	for _, p := range t.known {
		if p != nil && p != passedOver {
			g.tookEvents(p)
		}
	}
	g.metrics.refused(nil, len(failed)+len(t.unknown))
	done.Rejected = joinFailed(done.Rejected, failed, t.unknown)
	if done.Stored == 0 && len(t.unknown) > 0 && len(t.unknown) == len(done.Rejected) {
		return Ingested{}, fmt.Errorf("%w: %s", ErrUnauthorized, t.unknown[0].Message)
	}
	return done, nil
}

// serveImport takes events for the project of the request's credentials.
func (g *Gateway) serveImport(w http.ResponseWriter, r *http.Request) error {
	c := g.beginCollection()
	defer g.endCollection(c)
	edge, err := g.edge(w, r)
	if err != nil {
		return err
	}
	if err := c.open(r); err != nil {
		return err
	}
	project, err := g.importProject(r, c.parameters, edge)
	if err != nil {
		return err
	}
	if project = edge.divert(project); project == nil {
		replyImport(w, false, Ingested{})
		return nil
	}
	strict := isSet(c.parameters, "strict")
	o := IngestOptions{ID: edge.id, IdempotencyKey: r.Header.Get("Idempotency-Key"), RequireInsertID: strict}
	if err := g.admitEvents(project); err != nil {
		return err
	}
	if err := c.intake.begin(g, o, true); err != nil {
		return err
	}
	p := c.intake.part(project)
	failed, err := c.decode(strict, func(r *track.Record) error { return c.intake.add(p, &r.Event, r.Index, r.Kind) })
	if err != nil {
		return err
	}
	done, err := c.store(r.Context())
	if err != nil {
		return err
	}
	g.tookEvents(p)
	g.metrics.refused(project, len(failed))
	done.Rejected = joinFailed(done.Rejected, failed)
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

// decode reads the events of the texts and gives them to take.
func (c *collection) decode(strict bool, take func(*track.Record) error) (failed []RecordError, err error) {
	if err := c.admit(); err != nil {
		return nil, err
	}
	return c.decoder.Decode(c.texts, track.Options{MaxRecords: maxRecords, Strict: strict}, take)
}

// translate is decode for messages of another dialect than Mixpanel's.
func (c *collection) translate(from track.Dialect, kind string, take func(*track.Record) error) (failed []RecordError, err error) {
	if err := c.admit(); err != nil {
		return nil, err
	}
	return c.decoder.Translate(from, kind, c.texts, track.Options{MaxRecords: maxRecords}, take)
}

// admit holds the texts to the limit on them, and pays for what becomes of them.
func (c *collection) admit() error {
	size := 0
	for _, text := range c.texts {
		size += len(text)
	}
	if size > maxTextBytes {
		return fmt.Errorf("%w: its events have %d bytes as JSON, at most %d are allowed; send smaller batches", track.ErrTooLarge, size, maxTextBytes)
	}
	// What is written of an event is smaller than its text. It is held twice: as
	// it comes, and as records.
	return c.loan.grow(2 * size)
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

// store makes what was taken in durable, all of it together.
func (c *collection) store(ctx context.Context) (Ingested, error) {
	ctx, cancel := context.WithTimeout(ctx, c.intake.gateway.storeTimeout)
	defer cancel()
	return c.intake.store(ctx)
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
