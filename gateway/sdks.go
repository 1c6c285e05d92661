package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"arbor/gateway/track"
)

// sdk is how the messages of one kind of SDK are taken in and answered.
type sdk struct {
	dialect track.Dialect
	// kind is the type of messages that do not say it.
	kind   string
	reply  func(w http.ResponseWriter, done Ingested)
	refuse func(w http.ResponseWriter, r *http.Request, err error)
}

// sdkRoutes are the paths of SDKs other than Mixpanel's, as routes.
func sdkRoutes() map[string]route {
	segment := sdk{track.Segment, "", replySegment, refuseSegment}
	postHog := sdk{track.PostHog, "", replyPostHog, refusePostHog}
	amplitude := sdk{track.Amplitude, "", replyAmplitude, refuseAmplitude}
	snowplow := sdk{track.Snowplow, "", replySnowplow, refuseSnowplow}
	paths := map[string]route{
		"/e":          postHog.route(),
		"/i/v0/e":     postHog.route(),
		"/capture":    postHog.route(),
		"/batch":      {methods: post, serve: (*Gateway).serveBatch, refuse: refuseBatch, origin: anyOriginWithCookies},
		"/flags":      {methods: getPost, serve: (*Gateway).serveFlags, refuse: refusePostHog, origin: anyOriginWithCookies},
		"/decide":     {methods: getPost, serve: (*Gateway).serveFlags, refuse: refusePostHog, origin: anyOriginWithCookies},
		"/2/httpapi":  amplitude.route(),
		"/v1/m":       {methods: post, serve: (*Gateway).serveMeasurements, refuse: refuseSegment, origin: anyOriginWithCookies},
		"/v1/batch":   segment.route(),
		"/v1/b":       segment.route(),
		"/v1/import":  segment.route(),
		snowplowPost:  snowplow.route(),
		snowplowPixel: {methods: getPost, serve: (*Gateway).servePixel, refuse: refuseSnowplow, origin: anyOriginWithCookies},
	}
	for _, kind := range []string{"track", "identify", "page", "screen", "group", "alias"} {
		one := segment
		one.kind = kind
		paths["/v1/"+kind], paths["/v1/"+kind[:1]] = one.route(), one.route()
	}
	return paths
}

// The paths of Snowplow's tracker protocol.
const (
	snowplowPost  = "/com.snowplowanalytics.snowplow/tp2"
	snowplowPixel = "/i"
)

var post = []string{http.MethodPost}

// route is where the SDK's messages come. They may stand in the URL, too.
func (s sdk) route() route {
	return route{methods: getPost, serve: func(g *Gateway, w http.ResponseWriter, r *http.Request) error {
		c := g.beginCollection()
		defer g.endCollection(c)
		if err := c.open(r); err != nil {
			return err
		}
		return g.serveMessages(w, r, c, s)
	}, refuse: s.refuse, origin: anyOriginWithCookies}
}

// serveMessages takes in the messages of an opened request. The project is that
// of the token in the message, in what is around it, in the Basic user, or in the
// URL.
func (g *Gateway) serveMessages(w http.ResponseWriter, r *http.Request, c *collection, s sdk) error {
	fallback, _, _ := r.BasicAuth()
	if fallback == "" {
		fallback = first(c.parameters, "token", "api_key", "write_key", "writeKey", "aid")
	}
	done, err := g.collect(w, r, c, fallback, func(take func(*track.Record) error) ([]RecordError, error) {
		return c.translate(s.dialect, s.kind, take)
	})
	if err != nil {
		return err
	}
	if len(done.Rejected) > 0 {
		message := s.dialect.Words(summary(done))
		w.Header().Set("X-Arbor-Error", headerText(message))
		// RudderStack's SDK ends its program on a 400, and Segment's own service
		// gives none for what can be read.
		if done.Stored == 0 && s.dialect != track.Segment {
			return fmt.Errorf("%w: %s", errAllRefused, message)
		}
	}
	s.reply(w, done)
	return nil
}

// serveBatch takes the batches of PostHog's and of Amplitude's SDKs, which have
// the path in common.
func (g *Gateway) serveBatch(w http.ResponseWriter, r *http.Request) error {
	c := g.beginCollection()
	defer g.endCollection(c)
	if err := c.open(r); err != nil {
		return err
	}
	s := sdk{dialect: track.PostHog, reply: replyPostHog}
	if len(c.texts) == 1 && track.DialectOf(c.texts[0]) == track.Amplitude {
		s = sdk{dialect: track.Amplitude, reply: replyAmplitude}
	}
	return g.serveMessages(w, r, c, s)
}

// servePixel takes an event of Snowplow that stands in the URL of a picture.
func (g *Gateway) servePixel(w http.ResponseWriter, r *http.Request) error {
	c := g.beginCollection()
	defer g.endCollection(c)
	c.parameters = r.URL.Query()
	message := make(map[string]string, len(c.parameters))
	for name, values := range c.parameters {
		message[name] = values[0]
	}
	if len(message) == 0 {
		return fmt.Errorf("%w: send an event's fields in the URL", track.ErrEmpty)
	}
	c.texts = [][]byte{jsonText(message)}
	return g.serveMessages(w, r, c, sdk{dialect: track.Snowplow, reply: replyPixel})
}

// serveMeasurements answers what an SDK tells of itself, which nobody keeps.
func (g *Gateway) serveMeasurements(w http.ResponseWriter, r *http.Request) error {
	drain(r.Body)
	writeJSON(w, http.StatusOK, map[string]bool{"success": true})
	return nil
}

// routeOf finds what is served at a path without its trailing slash, and the name
// that the metrics have for it.
func routeOf(path string) (name string, to route, ok bool) {
	if to, ok = routes[path]; ok {
		return path, to, true
	}
	for _, p := range keyedRoutes {
		if middle, found := strings.CutPrefix(path, p.prefix); found {
			if key, found := strings.CutSuffix(middle, p.suffix); found && isWriteKey(key) {
				return p.prefix + "KEY" + p.suffix, p.to, true
			}
		}
	}
	if name, found := strings.CutPrefix(path, lookupPrefix); found && isLookupTable(name) {
		return lookupPrefix + "NAME", lookupRoute, true
	}
	return "", route{}, false
}

// keyedRoutes are the routes with a write key in the middle of their paths.
var keyedRoutes = []struct {
	prefix, suffix string
	to             route
}{
	{"/array/", "/config.js", route{methods: get, serve: (*Gateway).servePostHogScript, refuse: refusePostHog, origin: anyOriginWithCookies}},
	{"/array/", "/config", route{methods: get, serve: (*Gateway).servePostHogConfig, refuse: refusePostHog, origin: anyOriginWithCookies}},
	{"/v1/projects/", "/settings", route{methods: get, serve: (*Gateway).serveSegmentSettings, refuse: refuseSegment, origin: anyOriginWithCookies}},
}

// isWriteKey reports whether a part of a path may be a project's token.
func isWriteKey(key string) bool {
	return len(key) > 0 && len(key) <= 255 && strings.Trim(key, "-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// writeKeyOf is the write key in the middle of a path.
func writeKeyOf(r *http.Request, prefix, suffix string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimRight(r.URL.Path, "/"), prefix), suffix)
}
