package siphon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// way is what becomes of a request.
type way int

const (
	// keep: it may bring events, so it is copied.
	keep way = iota
	// pass: it is passed on and brings none.
	pass
	// deny: it asks for what only a gateway itself gives. Behind a siphon every
	// client looks like the siphon, which may be on the gateway's own machine, where
	// more is allowed.
	deny
)

// asking are the paths that bring no events and are not passed on.
var asking = map[string]bool{"": true, "/query": true, "/metrics": true}

// wayOf says what becomes of a request. What is posted is copied wherever it is
// sent, so that a new way in is never forgotten.
func wayOf(r *http.Request) way {
	path := strings.TrimRight(r.URL.Path, "/")
	switch {
	case path == "/healthz" || path == "/readyz":
		return pass
	case asking[path] || strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/restore/"):
		return deny
	case r.Method == http.MethodHead || r.Method == http.MethodOptions || r.Method == http.MethodGet && r.URL.RawQuery == "":
		return pass
	}
	return keep // events may come in the URL of a GET
}

// hopByHop are the headers that are between two neighbours only.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// ServeHTTP passes one request on.
func (s *Siphon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, name := range edgeHeaders {
		r.Header.Del(name)
	}
	switch wayOf(r) {
	case deny:
		s.counts.refused.Add(1)
		drain(r.Body)
		refuse(w, http.StatusForbidden, "this is the way in for events; ask a gateway itself")
		return
	case pass:
		s.counts.passed.Add(1)
		s.pass(w, r)
		return
	}
	if s.o.OnFailure == Closed && s.spool.failing.Load() && !s.canCopy() {
		s.counts.refused.Add(1)
		refuse(w, http.StatusServiceUnavailable, "requests cannot be copied now, and are refused until they can: the policy is closed")
		return
	}
	c, status, err := s.receive(r)
	defer s.release(c)
	if err != nil {
		s.counts.refused.Add(1)
		refuse(w, status, err.Error())
		return
	}
	answer, err := s.forward(r.Context(), c)
	if err != nil {
		if r.Context().Err() != nil {
			return // the client is gone
		}
		s.counts.unanswered.Add(1)
		s.o.Logger.Error("no gateway answered", "error", err)
		refuse(w, http.StatusServiceUnavailable, "no gateway answered; the events may or may not be stored, so send them again")
		return
	}
	defer answer.Body.Close() // before the release, which waits for what is still being sent
	if !s.copy(c, answer) {
		refuse(w, http.StatusServiceUnavailable, "the request was stored and could not be copied; send it again, and set insert ids so that it is not counted twice")
		return
	}
	reply(w, answer)
}

// canCopy tries whether copies can be made again.
func (s *Siphon) canCopy() bool {
	b := appendHead(nil, s.stamper.stamp(), probeMethod, "", nil)
	finish(b, len(b), 0)
	return s.spool.keep(&copyJob{record: b, done: make(chan error, 1)}) == nil
}

// probeMethod is that of records that only show that records can be written.
const probeMethod = "PROBE"

// pass passes a request on that brings no events, without holding it.
func (s *Siphon) pass(w http.ResponseWriter, r *http.Request) {
	proxy := httputil.ReverseProxy{
		Transport: s.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(s.upstream(0))
			p.Out.Host = r.Host
			p.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.o.Logger.Error("no gateway answered", "path", r.URL.Path, "error", err)
			refuse(w, http.StatusServiceUnavailable, "no gateway answered")
		},
	}
	proxy.ServeHTTP(w, r)
}

// upstream is the one whose turn it is, or the one i places after it.
func (s *Siphon) upstream(i uint64) *url.URL {
	return s.o.Upstreams[(s.next.Load()+i)%uint64(len(s.o.Upstreams))]
}

// collected is a request that was read whole, as the record it will be kept as.
type collected struct {
	record []byte
	body   int // where the body starts
	stamp  Stamp
	method string
	uri    *url.URL
	host   string
	peer   string
	header http.Header
	// taken is what it took of the memory for requests under way.
	taken int64
	// sending counts the upstream requests that may still read the body: an
	// upstream may answer before it was sent whole.
	sending sync.WaitGroup
}

// receive reads a request. What it returns is to be released in any case.
func (s *Siphon) receive(r *http.Request) (c *collected, status int, err error) {
	c = &collected{stamp: s.stamper.stamp(), method: r.Method, uri: r.URL, host: r.Host, peer: peer(r), header: r.Header}
	if r.ContentLength > MaxBodyBytes {
		drain(r.Body)
		return c, http.StatusRequestEntityTooLarge, tooLarge()
	}
	for _, name := range hopByHop {
		c.header.Del(name)
	}
	room := recordHead + fixedHead + len(r.RequestURI) + headerBytes(c.header) + 64
	if r.ContentLength > 0 {
		room += int(r.ContentLength)
	}
	if err := s.take(c, int64(room)); err != nil {
		return c, http.StatusServiceUnavailable, err
	}
	c.record = s.buffer(room)
	c.record = appendHead(c.record, c.stamp, c.method, r.URL.RequestURI(), c.header)
	c.body = len(c.record)
	status, err = s.readBody(c, r.Body)
	return c, status, err
}

func headerBytes(h http.Header) (n int) {
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 10
		}
	}
	return n
}

// readBody reads a body onto the end of the record.
func (s *Siphon) readBody(c *collected, body io.Reader) (status int, err error) {
	for {
		if len(c.record) == cap(c.record) {
			more := min(max(cap(c.record), 64<<10), 2<<20)
			if err := s.take(c, int64(more)); err != nil {
				return http.StatusServiceUnavailable, err
			}
			bigger := make([]byte, len(c.record), cap(c.record)+more)
			copy(bigger, c.record)
			c.record = bigger
		}
		n, err := body.Read(c.record[len(c.record):cap(c.record)])
		c.record = c.record[:len(c.record)+n]
		if len(c.record)-c.body > MaxBodyBytes {
			drain(body)
			return http.StatusRequestEntityTooLarge, tooLarge()
		}
		if err == io.EOF {
			return 0, nil
		}
		if err != nil {
			return http.StatusBadRequest, fmt.Errorf("the body did not arrive whole: %w", err)
		}
	}
}

func tooLarge() error {
	return fmt.Errorf("the body is too large: at most %d bytes are allowed; send smaller batches", MaxBodyBytes)
}

// drain reads what a client sends before it listens, so that it sees why its
// request was refused.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, 2*MaxBodyBytes) }

// errBusy says that the requests under way take all the memory they may.
var errBusy = errors.New("the siphon is busy; send it again a little later")

// take takes n bytes of the memory for requests under way.
func (s *Siphon) take(c *collected, n int64) error {
	if s.inflight.Add(n) > s.o.MaxInflightBytes {
		s.inflight.Add(-n)
		return errBusy
	}
	c.taken += n
	return nil
}

// keptBuffer is the biggest buffer that is kept for another request.
const keptBuffer = 4 << 20

// buffer gives an empty buffer with room for n bytes.
func (s *Siphon) buffer(n int) []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	return make([]byte, 0, n)
}

// release gives back what a request took.
func (s *Siphon) release(c *collected) {
	c.sending.Wait()
	s.inflight.Add(-c.taken)
	if cap(c.record) > 0 && cap(c.record) <= keptBuffer {
		s.buffers.Put(&c.record)
	}
}

// forward sends the request to the upstream whose turn it is, and to the others
// when it does not answer or cannot store. That is harmless: a gateway that has
// the events already has them under the same ingest ids.
func (s *Siphon) forward(ctx context.Context, c *collected) (*http.Response, error) {
	turn := s.next.Add(1)
	var failed error
	for i := range s.o.Upstreams {
		to := s.o.Upstreams[(turn+uint64(i))%uint64(len(s.o.Upstreams))]
		answer, err := s.transport.RoundTrip(c.request(ctx, to, s.o.Key))
		last := i == len(s.o.Upstreams)-1
		switch {
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", to.Host, err))
			s.counts.upstreamErrors.Add(1)
		case answer.StatusCode >= http.StatusInternalServerError && !last:
			s.counts.upstreamErrors.Add(1)
			drain(answer.Body)
			answer.Body.Close()
		default:
			return answer, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, failed
}

// request is the request as it goes to an upstream.
func (c *collected) request(ctx context.Context, to *url.URL, key []byte) *http.Request {
	u := *c.uri
	u.Scheme, u.Host = to.Scheme, to.Host
	if prefix := strings.TrimRight(to.Path, "/"); prefix != "" {
		u.Path, u.RawPath = prefix+u.Path, ""
	}
	h := c.header.Clone()
	h.Add("X-Forwarded-For", c.peer)
	c.stamp.sign(h, key, "", "", "")
	r := &http.Request{Method: c.method, URL: &u, Host: c.host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	if body := c.record[c.body:]; len(body) > 0 {
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) {
			c.sending.Add(1)
			return &sentBody{Reader: bytes.NewReader(body), done: sync.OnceFunc(c.sending.Done)}, nil
		}
		r.Body, _ = r.GetBody()
	}
	return r.WithContext(ctx)
}

// sentBody is a body that says when nobody reads it any more. The transport
// closes every body once.
type sentBody struct {
	*bytes.Reader
	done func()
}

// Close says so.
func (b *sentBody) Close() error {
	b.done()
	return nil
}

// copy keeps a request that was answered, and reports whether its client may be
// told.
func (s *Siphon) copy(c *collected, answer *http.Response) bool {
	status := answer.StatusCode
	if !copied(status) {
		s.counts.answered.Add(1)
		return true
	}
	if answer.Header.Get(headerAccepted) == "" && status < http.StatusMultipleChoices {
		s.counts.unstamped.Add(1)
	}
	finish(c.record, c.body, status)
	err := s.spool.keep(&copyJob{record: c.record, done: make(chan error, 1)})
	if err == nil {
		s.counts.copied.Add(1)
		s.counts.copiedBytes.Add(int64(len(c.record)))
		return true
	}
	s.counts.lost.Add(1)
	s.o.Logger.Error("a request could not be copied", "policy", s.o.OnFailure, "error", err)
	return s.o.OnFailure == Open
}

// reply gives the client the upstream's answer.
func reply(w http.ResponseWriter, answer *http.Response) {
	h := w.Header()
	for name, values := range answer.Header {
		h[name] = values
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
	for _, name := range edgeHeaders {
		h.Del(name)
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // a client that is gone cannot be told
}

// refuse answers in the siphon's own name.
func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if origin := w.Header().Get("Access-Control-Allow-Origin"); origin == "" {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"code":%d,"status":0,"error":%s}`+"\n", status, strconv.Quote(text))
}

// peer is the address of a client without its port.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
