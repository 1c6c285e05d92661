package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// HTTPOptions say how HTTP is served.
type HTTPOptions struct {
	// Listener is where clients come from; ServeHTTP closes it.
	Listener net.Listener
	// TLS is nil for plain HTTP.
	TLS *tls.Config
	// MaxConnections is how many clients are connected at once; 0 means
	// DefaultMaxHTTPConnections. It is at most half of the files that the process
	// may have open.
	MaxConnections int
	// Grace is how long requests may take to end once the context has ended.
	Grace time.Duration
}

// ServeHTTP serves HTTP until ctx ends, then lets the requests under way end
// within Grace. It returns nil after such a shutdown, and when it returns nothing
// of it runs any more.
func (g *Gateway) ServeHTTP(ctx context.Context, o HTTPOptions) error {
	server := &http.Server{
		Handler:           g.HTTPHandler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		TLSConfig:         o.TLS,
		ErrorLog:          slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	ended := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
		defer cancel()
		err := server.Shutdown(grace)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		stopped <- err
	})
	var err error
	clients := newHTTPListener(o.Listener, o.MaxConnections, o.TLS != nil)
	if o.TLS != nil {
		err = server.ServeTLS(clients, "", "")
	} else {
		err = server.Serve(clients)
	}
	if !ended() { // the context ended: Serve returned because of that
		if err := <-stopped; err != nil {
			return fmt.Errorf("http: requests were cut off at shutdown: %w", err)
		}
		return nil
	}
	server.Close()
	return fmt.Errorf("http: %w", err)
}

// route is what is served at a path.
type route struct {
	methods []string
	serve   func(*Gateway, http.ResponseWriter, *http.Request) error
	// refuse writes an error as this route's clients expect it.
	refuse func(http.ResponseWriter, *http.Request, error)
	origin originPolicy
}

// routes are the paths without their trailing slash, which makes no difference:
// SDKs differ on it, and a redirect would lose the body of a POST.
var routes = func() map[string]route {
	all := sdkRoutes()
	maps.Copy(all, ownRoutes)
	return all
}()

// ownRoutes are the paths of Mixpanel's SDKs and arbor's own.
var ownRoutes = map[string]route{
	"":                 {methods: get, serve: (*Gateway).serveIndex, refuse: refuseJSON},
	"/track":           {methods: getPost, serve: (*Gateway).serveTrack, refuse: refuseTrack, origin: anyOriginWithCookies},
	"/import":          {methods: getPost, serve: (*Gateway).serveImport, refuse: refuseImport, origin: anyOrigin},
	"/engage":          {methods: getPost, serve: (*Gateway).serveEngage, refuse: refuseTrack, origin: anyOriginWithCookies},
	"/groups":          {methods: getPost, serve: (*Gateway).serveGroups, refuse: refuseTrack, origin: anyOriginWithCookies},
	"/api/2.0/export":  {methods: getPost, serve: (*Gateway).serveExport, refuse: refuseExport},
	"/query":           {methods: []string{http.MethodPost}, serve: (*Gateway).serveQuery, refuse: refuseQuery},
	"/restore/project": {methods: []string{http.MethodPost}, serve: (*Gateway).serveRestoreProject, refuse: refuseQuery},
	"/restore/records": {methods: getPost, serve: (*Gateway).serveRestoreRecords, refuse: refuseQuery},
	"/restore/tables":  {methods: []string{http.MethodPost}, serve: (*Gateway).serveRestoreTables, refuse: refuseQuery},
	"/metrics":         {methods: get, serve: (*Gateway).serveMetrics, refuse: refuseJSON},
	"/healthz":         {methods: get, serve: (*Gateway).serveHealth, refuse: refuseJSON},
	"/readyz":          {methods: get, serve: (*Gateway).serveReady, refuse: refuseJSON},
}

var (
	get     = []string{http.MethodGet, http.MethodHead}
	getPost = []string{http.MethodGet, http.MethodPost}
)

// HTTPHandler is everything that is served over HTTP.
func (g *Gateway) HTTPHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, to, ok := routeOf(strings.TrimRight(r.URL.Path, "/"))
		if !ok {
			path, to = "other", route{serve: noSuchPath, refuse: refuseJSON, methods: []string{r.Method}}
		}
		start := time.Now()
		answer := &answer{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				g.recovered(answer, r, to, p)
			}
			g.metrics.request(path, answer.status, time.Since(start))
		}()
		g.serve(answer, r, to)
	})
}

// serve answers one request.
func (g *Gateway) serve(w *answer, r *http.Request, to route) {
	h := w.Header()
	h["X-Content-Type-Options"], h["Cache-Control"] = noSniff, noStore
	to.origin.allow(h, r)
	var err error
	switch {
	case slices.Contains(to.methods, r.Method):
		err = to.serve(g, w, r)
	case r.Method == http.MethodOptions:
		h.Set("Allow", allowed(to.methods))
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", allowed(to.methods))
		err = fmt.Errorf("%w: %s wants %s", ErrMethod, r.URL.Path, strings.Join(to.methods, " or "))
	}
	if err == nil {
		return
	}
	status, retryAfter := statusOf(err)
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented {
		g.logger.Error("http request", "path", r.URL.Path, "status", status, "error", err)
	}
	if w.status != 0 { // part of an answer is out: all that is left is to cut it off
		panic(http.ErrAbortHandler)
	}
	setRetryAfter(h, retryAfter)
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="arbor", charset="UTF-8"`)
	}
	if status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close")
	}
	to.refuse(w, r, err)
}

// Values of headers that all answers have, which nobody changes in place.
var noSniff, noStore, jsonType = []string{"nosniff"}, []string{"no-store"}, []string{"application/json"}

// allowed is the Allow header of a path.
func allowed(methods []string) string {
	return strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
}

// recovered answers a request whose handler panicked: the client learns that
// something is wrong, and only the log what.
func (g *Gateway) recovered(w *answer, r *http.Request, to route, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	g.logger.Error("http request panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	to.refuse(w, r, errPanic)
}

// answer is a ResponseWriter that knows its status, and that gives every write
// its own time limit rather than one to the whole answer.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the answer within writeTimeout.
func (a *answer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// begin notes the first status and gives the next write its time.
func (a *answer) begin(status int) {
	if a.status == 0 {
		a.status = status
	}
	// The recorders of tests have no deadline, which is no harm.
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// originPolicy says what pages of other origins may do.
type originPolicy uint8

const (
	// ownOrigin allows nothing: what a browser keeps for this server, such as a
	// password, is not to be used by other people's pages.
	ownOrigin originPolicy = iota
	// anyOrigin allows requests that carry nothing the browser keeps.
	anyOrigin
	// anyOriginWithCookies also allows those that do, since Mixpanel's browser
	// SDK asks for it. Nothing that the browser keeps means anything there: what
	// counts is the token inside the event.
	anyOriginWithCookies
)

// allow writes the headers that a browser looks for.
func (p originPolicy) allow(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if p == ownOrigin || origin == "" {
		return
	}
	if p == anyOriginWithCookies {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Vary", "Origin")
	} else {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Arbor-Error")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", p.headers(r.Header.Get("Access-Control-Request-Headers")))
		h.Set("Access-Control-Max-Age", "86400")
	}
}

// headers are those that a page's request may have. SDKs have some of their own,
// none of which mean anything here.
func (p originPolicy) headers(asked string) string {
	const usual = "Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-Requested-With"
	if p != anyOriginWithCookies || asked == "" || len(asked) > maxAskedHeaders || !headerNames.MatchString(asked) {
		return usual
	}
	return asked
}

// headerNames is a list of names of headers as browsers write it.
var headerNames = regexp.MustCompile(`^[A-Za-z0-9-]+( ?, ?[A-Za-z0-9-]+)*$`)

// maxAskedHeaders is the longest list of headers that a page is granted.
const maxAskedHeaders = 1024

func noSuchPath(_ *Gateway, _ http.ResponseWriter, r *http.Request) error {
	return fmt.Errorf("%w: %s; see / for what there is", ErrNoSuchPath, r.URL.Path)
}

// serveHealth says that the process runs and answers.
func (g *Gateway) serveHealth(w http.ResponseWriter, _ *http.Request) error {
	writeText(w, http.StatusOK, "ok\n")
	return nil
}

// serveReady says whether the member takes events and answers queries.
func (g *Gateway) serveReady(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := g.ready(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNotServing, err)
	}
	writeText(w, http.StatusOK, "ready\n")
	return nil
}

// readyTimeout is how long the storage may take to answer before it counts as
// not ready.
const readyTimeout = 2 * time.Second

// ready asks this member's storage a small question: whether others answer is not for
// its health.
func (g *Gateway) ready(ctx context.Context) error {
	_, err := g.cluster.DescribeHere(ctx, "alarms")
	return err
}

// writeText writes a whole answer. A client that is gone cannot be told, so the
// error of the write is nobody's.
func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
