package siphon

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"arbor/engine/vfs"
)

// gatewayFake answers as a gateway does, and notes what it was sent.
type gatewayFake struct {
	mu     sync.Mutex
	sent   []*http.Request
	bodies []string
	// answer decides; nil is 200 with the stamp taken.
	answer func(*http.Request) (*http.Response, error)
}

func answered(status int, stamped bool) *http.Response {
	h := http.Header{"Content-Type": {"text/plain"}}
	if stamped {
		h.Set(headerAccepted, "1")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(strings.NewReader("1"))}
}

func (g *gatewayFake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	g.mu.Lock()
	g.sent, g.bodies = append(g.sent, r), append(g.bodies, string(body))
	g.mu.Unlock()
	if g.answer != nil {
		return g.answer(r)
	}
	return answered(200, true), nil
}

func mustSiphon(t *testing.T, o Options, g *gatewayFake) *Siphon {
	t.Helper()
	o.Transport = g
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request through a siphon.
func ask(s *Siphon, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestRequestIsPassedOnAndCopied(t *testing.T) {
	mem, g := vfs.NewMem(), &gatewayFake{}
	s := mustSiphon(t, testOptions(mem), g)
	w := ask(s, "POST", "/import?strict=1", "\x1f\x8b not parsed", "Content-Encoding", "gzip", "Authorization", "Basic eDo=", headerID, "forged", headerMAC, "forged", headerOnly, "blog", headerInto, "shop", "Connection", "close")
	if w.Code != 200 || w.Body.String() != "1" || w.Header().Get(headerAccepted) != "" {
		t.Errorf("answer %d %q %v", w.Code, w.Body, w.Header())
	}
	sent := g.sent[0]
	if sent.URL.String() != "http://gateway/import?strict=1" || g.bodies[0] != "\x1f\x8b not parsed" || sent.Header.Get("Content-Encoding") != "gzip" || sent.Header.Get("Connection") != "" {
		t.Errorf("sent %v %q %v", sent.URL, g.bodies[0], sent.Header)
	}
	if sent.Header.Get(headerID) == "forged" || len(sent.Header.Get(headerMAC)) != 64 {
		t.Errorf("the stamp is not the siphon's: %v", sent.Header)
	}
	if sent.Header.Get(headerOnly) != "" || sent.Header.Get(headerInto) != "" {
		t.Errorf("a client directs its request as a replay does: %v", sent.Header)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := &gatewayFake{}
	done, err := Replay(t.Context(), ReplayOptions{Source: Directory(mem, "siphon"), Server: &url.URL{Scheme: "http", Host: "other"}, Key: s.o.Key, Transport: again})
	if err != nil || done.Requests != 1 || done.Segments != 1 {
		t.Fatalf("replay: %+v, %v", done, err)
	}
	for _, name := range []string{headerID, headerTime, headerMAC, "Authorization", "Content-Encoding"} {
		if first, then := sent.Header.Get(name), again.sent[0].Header.Get(name); first != then {
			t.Errorf("%s was %q and is %q in the replay", name, first, then)
		}
	}
	if again.bodies[0] != g.bodies[0] || again.sent[0].URL.String() != "http://other/import?strict=1" || again.sent[0].Method != "POST" {
		t.Errorf("replayed %v %q", again.sent[0].URL, again.bodies[0])
	}
}

func TestWhatIsCopied(t *testing.T) {
	tests := []struct {
		method, target string
		status         int
		want           int // what the client sees
		copied         bool
	}{
		{"POST", "/track", 200, 200, true},
		{"POST", "/a/new/way/in", 200, 200, true},
		{"GET", "/track?data=e30", 200, 200, true},
		{"POST", "/import", 400, 400, true},
		{"POST", "/import", 401, 401, false},
		{"POST", "/import", 413, 413, false},
		{"POST", "/import", 429, 429, false},
		{"POST", "/import", 503, 503, false},
		{"OPTIONS", "/track", 204, 204, false},
		{"GET", "/healthz", 200, 200, false},
		{"POST", "/query", 200, 403, false},
		{"GET", "/", 200, 403, false},
		{"POST", "/restore/records?project=shop", 200, 403, false},
		{"GET", "/metrics/", 200, 403, false},
		{"GET", "/api/2.0/export?from_date=2026-11-01", 200, 403, false},
	}
	for _, test := range tests {
		mem, g := vfs.NewMem(), &gatewayFake{answer: func(*http.Request) (*http.Response, error) { return answered(test.status, true), nil }}
		s := mustSiphon(t, testOptions(mem), g)
		w := ask(s, test.method, test.target, "body")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := len(bodies(t, mem)) == 1; w.Code != test.want || got != test.copied {
			t.Errorf("%s %s answered %d: client sees %d, copied %v; want %d, %v", test.method, test.target, test.status, w.Code, got, test.want, test.copied)
		}
		if test.want == 403 && len(g.sent) > 0 {
			t.Errorf("%s %s reached the gateway", test.method, test.target)
		}
	}
}

func TestUpstreamsStandInForEachOther(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem)
	o.Upstreams = append(o.Upstreams, &url.URL{Scheme: "http", Host: "second"})
	g := &gatewayFake{answer: func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path + "@" + r.URL.Host {
		case "/one@gateway", "/none@gateway", "/none@second":
			return nil, errors.New("connection refused")
		case "/busy@gateway", "/busy@second":
			return answered(503, false), nil
		}
		return answered(200, true), nil
	}}
	s := mustSiphon(t, o, g)
	for path, want := range map[string]int{"/one": 200, "/none": 503, "/busy": 503} {
		for range 2 { // each of them has the first turn once
			if w := ask(s, "POST", path, path); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			} else if want == 503 && path == "/none" && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", path)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, mem); !slices.Equal(got, []string{"/one", "/one"}) {
		t.Errorf("copied %v", got)
	}
	stamps := map[string]int{}
	for _, r := range g.sent {
		stamps[r.Header.Get(headerTime)]++
	}
	if len(stamps) != 6 {
		t.Errorf("%d stamps for 6 requests", len(stamps))
	}
}

func TestPolicies(t *testing.T) {
	for policy, want := range map[Policy]int{Open: 200, Closed: 503} {
		faulty := vfs.NewFaulty(vfs.NewMem())
		o := testOptions(faulty)
		o.OnFailure = policy
		g := &gatewayFake{}
		s := mustSiphon(t, o, g)
		faulty.FailFrom(faulty.Operations()+1, errors.New("disk is gone"))
		for i := range 2 {
			if w := ask(s, "POST", "/track", "x"); w.Code != want {
				t.Errorf("%s: request %d answered %d, want %d", policy, i, w.Code, want)
			}
		}
		if sent := len(g.sent); policy == Closed && sent != 1 || policy == Open && sent != 2 {
			t.Errorf("%s: %d requests reached the gateway; closed, all but the one that met the failure are refused before", policy, sent)
		}
		health := httptest.NewRecorder()
		s.Admin().ServeHTTP(health, httptest.NewRequest("GET", "/healthz", nil))
		if health.Code != 503 {
			t.Errorf("%s: healthz %d while copies fail", policy, health.Code)
		}
		faulty.Inject(nil)
		if w := ask(s, "POST", "/track", "y"); w.Code != 200 {
			t.Errorf("%s: %d after the disk came back", policy, w.Code)
		}
		metrics := httptest.NewRecorder()
		s.Admin().ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
		if text := metrics.Body.String(); !strings.Contains(text, "\narbor_siphon_failing 0\n") || !strings.Contains(text, "\narbor_siphon_copied_requests_total 1\n") || strings.Contains(text, "\narbor_siphon_lost_copies_total 0\n") {
			t.Errorf("%s: metrics\n%s", policy, text)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	g := &gatewayFake{}
	s := mustSiphon(t, testOptions(vfs.NewMem()), g)
	defer s.Close()
	for _, length := range []int64{-1, 0} { // not said, said
		for over, want := range []int{200, 413} {
			size := MaxBodyBytes + over
			r := httptest.NewRequest("POST", "/import", io.LimitReader(zeros{}, int64(size)))
			if r.ContentLength = length; length == 0 {
				r.ContentLength = int64(size)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%d bytes, length %d: %d, want %d", size, r.ContentLength, w.Code, want)
			}
		}
	}
	if n := s.inflight.Load(); n != 0 {
		t.Errorf("%d bytes are still taken", n)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestInflightLimit(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.MaxInflightBytes = 1 << 20
	s := mustSiphon(t, o, &gatewayFake{})
	defer s.Close()
	if w := ask(s, "POST", "/import", strings.Repeat("x", 1<<20)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("past the limit: %d %v", w.Code, w.Header())
	}
	if w := ask(s, "POST", "/import", strings.Repeat("x", 1<<19)); w.Code != 200 {
		t.Errorf("below the limit: %d", w.Code)
	}
}

func TestUpload(t *testing.T) {
	mem, g := vfs.NewMem(), &gatewayFake{}
	o := testOptions(mem)
	o.Bucket = memblob.OpenBucket(nil)
	defer o.Bucket.Close()
	s := mustSiphon(t, o, g)
	for _, body := range []string{"a", "b"} {
		ask(s, "POST", "/track", body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := Bucket(o.Bucket).Segments(t.Context())
	if err != nil || len(names) != 1 {
		t.Fatalf("in the bucket: %v, %v", names, err)
	}
	again := &gatewayFake{}
	done, err := Replay(t.Context(), ReplayOptions{Source: Bucket(o.Bucket), Server: &url.URL{Scheme: "http", Host: "x"}, Key: o.Key, Transport: again})
	if err != nil || done.Requests != 2 {
		t.Errorf("replay from the bucket: %+v, %v", done, err)
	}
	o.Now = func() time.Time { return time.Now().Add(DefaultRetention + time.Hour) }
	s = mustSiphon(t, o, g)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := Bucket(o.Bucket).Segments(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("after the retention: %v, %v", names, err)
	}
}

func TestReplayChooses(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	o.Now = func() time.Time { at = at.Add(time.Hour); return at }
	o.SegmentBytes = 1
	s := mustSiphon(t, o, &gatewayFake{})
	for range 6 {
		ask(s, "POST", "/track", "x")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	replay := func(change func(*ReplayOptions)) (Replayed, *gatewayFake, error) {
		g := &gatewayFake{}
		r := ReplayOptions{Source: Directory(mem, "siphon"), Server: &url.URL{Scheme: "http", Host: "x"}, Key: o.Key, Transport: g, Connections: 1}
		change(&r)
		done, err := Replay(t.Context(), r)
		return done, g, err
	}
	all, _, err := replay(func(*ReplayOptions) {})
	if err != nil || all.Requests != 6 {
		t.Fatalf("all: %+v, %v", all, err)
	}
	stamps := make([]time.Time, 0, 6)
	_, g, _ := replay(func(*ReplayOptions) {})
	for _, r := range g.sent {
		var n int64
		for _, c := range r.Header.Get(headerTime) {
			n = n*10 + int64(c-'0')
		}
		stamps = append(stamps, time.Unix(0, n))
	}
	some, _, err := replay(func(r *ReplayOptions) { r.From, r.To = stamps[1], stamps[4] })
	if err != nil || some.Requests != 3 {
		t.Errorf("from the second until before the fifth: %+v, %v", some, err)
	}
	var done []string
	stop := errors.New("stop")
	_, _, err = replay(func(r *ReplayOptions) {
		r.Done = func(name string) error {
			if done = append(done, name); len(done) == 2 {
				return stop
			}
			return nil
		}
	})
	if !errors.Is(err, stop) {
		t.Errorf("interrupted: %v", err)
	}
	rest, _, err := replay(func(r *ReplayOptions) { r.Skip = map[string]bool{done[0]: true, done[1]: true} })
	if err != nil || rest.Requests != 4 {
		t.Errorf("gone on: %+v, %v", rest, err)
	}
	_, g, err = replay(func(r *ReplayOptions) { r.Project, r.Into = "shop", "check" })
	if err != nil || g.sent[0].Header.Get(headerOnly) != "shop" || g.sent[0].Header.Get(headerInto) != "check" {
		t.Errorf("one project: %v, %v", g.sent[0].Header, err)
	}
	if _, _, err = replay(func(r *ReplayOptions) { r.Into = "check" }); err == nil {
		t.Error("into without a project")
	}
	_, _, err = replay(func(r *ReplayOptions) {
		r.Transport = &gatewayFake{answer: func(*http.Request) (*http.Response, error) { return answered(200, false), nil }}
	})
	if !errors.Is(err, ErrNotStamped) {
		t.Errorf("a gateway with another key: %v", err)
	}
	refused, _, err := replay(func(r *ReplayOptions) {
		r.Transport = &gatewayFake{answer: func(*http.Request) (*http.Response, error) { return answered(400, true), nil }}
	})
	if err != nil || refused.Refused != 6 {
		t.Errorf("refused: %+v, %v", refused, err)
	}
}

func TestReplayGoesOnBehindDamage(t *testing.T) {
	b := testSegment(true, testRequest(1, "one"), testRequest(2, "two"), testRequest(3, "three"))
	b[len(testSegment(false, testRequest(1, "one")))+20] ^= 1
	g := &gatewayFake{}
	done, err := Replay(t.Context(), ReplayOptions{Source: oneSegment(b), Server: &url.URL{Scheme: "http", Host: "x"}, Key: []byte("0123456789abcdef"), Transport: g})
	slices.Sort(g.bodies)
	if err != nil || len(done.Damaged) != 1 || !slices.Equal(g.bodies, []string{"one", "three"}) {
		t.Errorf("%+v, %v, sent %v", done, err, g.bodies)
	}
}

// oneSegment is a Source with one segment.
type oneSegment []byte

func (s oneSegment) Read(_ context.Context, _ string) ([]byte, error) { return s, nil }
func (s oneSegment) Segments(_ context.Context) ([]string, error) {
	return []string{segmentName(time.Unix(1, 0), 1, 1) + sealedSuffix}, nil
}
