package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"arbor/catalog"
)

// ErrStamp says that a request bears a stamp that cannot be taken.
var ErrStamp = errors.New("the request's stamp is not valid")

// The headers that a siphon stamps a request with, and its replay directs it with.
const (
	edgeHeader         = "X-Edge-Id"
	edgeTimeHeader     = "X-Edge-Time"
	edgeMACHeader      = "X-Edge-Mac"
	edgeOnlyHeader     = "X-Edge-Only"
	edgeIntoHeader     = "X-Edge-Into"
	edgeTokensHeader   = "X-Edge-Tokens"
	edgeAcceptedHeader = "X-Edge-Accepted"
)

// edge is what a siphon says of a request: its ingest id, and for a replay of one
// project, which one, and where its events go. The zero value is that of a request
// that came from nobody known.
type edge struct {
	id         catalog.IngestID
	only, into *catalog.Project
	// retired are the projects of tokens that open nothing any more, but did when the
	// request was copied.
	retired map[string]*catalog.Project
}

// edge reads a request's stamp, checks that a siphon with the key of ours made it,
// and answers that it was taken. Without a key, stamps mean nothing, for whoever
// chooses ingest ids can make the events of others vanish.
func (g *Gateway) edge(w http.ResponseWriter, r *http.Request) (e edge, err error) {
	h := r.Header
	if len(g.edgeKey) == 0 || h.Get(edgeMACHeader) == "" {
		return e, nil
	}
	if !g.signed(h) {
		return e, fmt.Errorf("%w: it was not signed with this server's edge key; start the siphon with the same --edge-key", ErrStamp)
	}
	number, err := strconv.ParseUint(h.Get(edgeHeader), 16, 32)
	if err != nil {
		return e, fmt.Errorf("%w: %s %q is not a number of 8 hexadecimal digits", ErrStamp, edgeHeader, clip(h.Get(edgeHeader)))
	}
	at, err := strconv.ParseUint(h.Get(edgeTimeHeader), 10, 63)
	switch {
	case err != nil || at == 0:
		return e, fmt.Errorf("%w: %s %q is not a time in nanoseconds since 1970", ErrStamp, edgeTimeHeader, clip(h.Get(edgeTimeHeader)))
	case time.Unix(0, int64(at)).After(g.now().Add(maxEdgeAhead)):
		return e, fmt.Errorf("%w: its time is more than %s ahead of the server's clock; set the siphon's clock", ErrStamp, maxEdgeAhead)
	}
	e.id = catalog.IngestID{Time: at, Edge: uint32(number)}
	if e.only, err = g.replayed(h.Get(edgeOnlyHeader)); err != nil {
		return edge{}, err
	}
	if e.into, err = g.replayed(h.Get(edgeIntoHeader)); err != nil {
		return edge{}, err
	}
	if e.retired, err = g.retiredTokens(h.Get(edgeTokensHeader)); err != nil {
		return edge{}, err
	}
	w.Header().Set(edgeAcceptedHeader, "1")
	return e, nil
}

// signed reports whether a stamp was signed with one of the keys.
func (g *Gateway) signed(h http.Header) bool {
	given, err := hex.DecodeString(h.Get(edgeMACHeader))
	if err != nil {
		return false
	}
	text := fmt.Sprintf("arbor edge 1\n%s\n%s\n%s\n%s", h.Get(edgeHeader), h.Get(edgeTimeHeader), h.Get(edgeOnlyHeader), h.Get(edgeIntoHeader))
	if tokens := h.Get(edgeTokensHeader); tokens != "" {
		text += "\n" + tokens
	}
	for _, key := range append([][]byte{g.edgeKey}, g.oldEdgeKeys...) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		if hmac.Equal(given, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// retiredTokens reads the tokens that a replay names, each with its project.
func (g *Gateway) retiredTokens(text string) (map[string]*catalog.Project, error) {
	if text == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrStamp, edgeTokensHeader, err)
	}
	retired := make(map[string]*catalog.Project, len(values))
	for token, names := range values {
		if retired[token], err = g.replayed(names[0]); err != nil {
			return nil, err
		}
	}
	return retired, nil
}

// projectByToken is the live project that a token of the request opens, or opened.
func (e edge) projectByToken(c *catalog.Catalog, token string) (*catalog.Project, bool) {
	p, ok := c.ProjectByToken(token)
	if !ok && token != "" && e.retired[token] != nil {
		return e.retired[token], true
	}
	return p, ok
}

// maxEdgeAhead is how far a siphon's clock may be ahead: as far as the time of an
// event.
const maxEdgeAhead = 48 * time.Hour

// replayed is the project of a replay's header, nil if there is none.
func (g *Gateway) replayed(name string) (*catalog.Project, error) {
	if name == "" {
		return nil, nil
	}
	p, ok := g.Catalog().Project(name)
	if !ok {
		return nil, fmt.Errorf("%w: the replay names project %q, which does not exist; CREATE DATABASE makes it", ErrStamp, clip(name))
	}
	return p, nil
}

// divert is where a project's events of the request go; nil means nowhere: a
// replay leaves them out.
func (e edge) divert(p *catalog.Project) *catalog.Project {
	switch {
	case e.only != nil && e.only.ID != p.ID:
		return nil
	case e.into != nil:
		return e.into
	}
	return p
}
