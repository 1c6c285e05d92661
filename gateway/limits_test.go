package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"arbor/engine/event"
	"arbor/gateway/track"
)

var trackOptions = track.Options{MaxRecords: 1 << 20}

// sampleLines writes events of the shape that web SDKs send, one a line.
func sampleLines(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, `{"event":"page_view","properties":{"token":"token-shop","time":%d,"distinct_id":"user_%d","$insert_id":"%016x-%016x","$os":"iOS","$browser":"Chrome","mp_country_code":"US","plan":"free","screen_w":%d,"price":%d.%02d,"url":"https://shop.example.com/products/%d","utm_source":"newsletter"}}`+"\n",
			testNow.UnixMilli()-r.Int64N(86_400_000), r.IntN(200_000), r.Uint64(), r.Uint64(), 360+r.IntN(2000), r.IntN(300), 1+r.IntN(9), r.IntN(20_000))
	}
	return []byte(b.String())
}

// paddedEvent is an event for shop whose JSON has that many bytes, by white
// space, which costs no limit of the event itself.
func paddedEvent(size int) []byte {
	const text = `{"event":"e","properties":{"token":"token-shop"}}`
	return []byte(text[:len(text)-1] + strings.Repeat(" ", size-len(text)) + "}")
}

// post sends a body to a path and gives the status and the answer.
func (w *httpWorld) post(path string, body io.Reader) (int, string) {
	answer := w.do(httptest.NewRequest(http.MethodPost, path, body))
	return answer.Code, answer.Body.String()
}

// Each limit holds at the limit, and one past it gives the error that names it.
func TestHTTPLimits(t *testing.T) {
	skipShort(t)
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	zeros := func(n int) string { return strings.Repeat("a", n) }
	records := func(n int) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(`{"event":"e","properties":{"token":"token-shop"}},`, n), ",") + "]")
	}
	nested := func(n int) []byte {
		return []byte(`{"event":"e","properties":{"token":"token-shop","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`)
	}
	properties := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"p%d":%d`, n-i, i)
		}
		return []byte(`{"event":"e","properties":{"token":"token-shop"` + b.String() + `}}`)
	}
	named := func(n int) []byte {
		return []byte(`{"event":"e","properties":{"token":"token-shop","` + zeros(n) + `":1}}`)
	}
	form := func(text []byte, padding int) []byte {
		return append(append([]byte("data="), text...), ("&x=" + zeros(padding))...)
	}
	for _, c := range []struct {
		name   string
		body   []byte
		status int
		says   string
	}{
		{"text at the limit", paddedEvent(maxTextBytes), 200, "1"},
		{"text past the limit", paddedEvent(maxTextBytes + 1), 413, "at most 10485760 are allowed"},
		{"gzip at the limit", gzipped(t, paddedEvent(maxTextBytes)), 200, "1"},
		{"gzip past the limit", gzipped(t, paddedEvent(maxTextBytes+1)), 413, "10485760 bytes when decompressed"},
		{"two gzip members past the limit together", append(gzipped(t, paddedEvent(maxTextBytes)), gzipped(t, []byte(" "))...), 413, "when decompressed"},
		{"zstd at the limit", encodeBody(t, "zstd", paddedEvent(maxTextBytes)), 200, "1"},
		{"zstd past the limit", encodeBody(t, "zstd", paddedEvent(maxTextBytes+1)), 413, "when decompressed"},
		{"base64 of gzip past the limit", encodeBody(t, "base64", gzipped(t, paddedEvent(maxTextBytes+1))), 413, "when decompressed"},
		{"body at the limit", form(paddedEvent(100), maxBodyBytes-100-len("data=&x=")), 200, "1"},
		{"body past the limit", form(paddedEvent(100), maxBodyBytes-100-len("data=&x=")+1), 413, "at most 16777216"},
		{"records at the limit", records(maxRecords), 200, "1"},
		{"records past the limit", records(maxRecords + 1), 413, "at most 2000 are allowed"},
		{"nesting at the limit", nested(event.MaxDepth), 200, "1"},
		{"nesting past the limit", nested(event.MaxDepth + 1), 400, "nested 17 deep, at most 16 are allowed"},
		{"absurd nesting", nested(1_000_000), 400, "nested 1000000 deep"},
		{"properties at the limit", properties(event.MaxProperties), 200, "1"},
		{"properties past the limit", properties(event.MaxProperties + 1), 400, "256 properties, at most 255 are allowed"},
		{"10,000 properties", properties(10_000), 400, "10000 properties, at most 255 are allowed"},
		{"name at the limit", named(event.MaxPropertyName), 200, "1"},
		{"name past the limit", named(event.MaxPropertyName + 1), 400, "256 bytes in a property's name, at most 255 are allowed"},
		{"long string", []byte(`{"event":"e","properties":{"token":"token-shop","x":"` + zeros(event.MaxEventBytes) + `"}}`), 400, "bytes in the whole event, at most 1048576 are allowed"},
		{"long number", []byte(`{"event":"e","properties":{"token":"token-shop","x":1` + strings.Repeat("0", event.MaxEventBytes) + `}}`), 400, "bytes in the whole event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, length := range []string{"announced", "chunked"} {
				var body io.Reader = bytes.NewReader(c.body)
				if length == "chunked" {
					body = struct{ io.Reader }{body}
				}
				r := httptest.NewRequest(http.MethodPost, "/track", body)
				if length == "chunked" {
					r.ContentLength = -1
				}
				answer := w.do(r)
				said := answer.Body.String()
				if answer.Code == http.StatusBadRequest {
					said = answer.Header().Get("X-Arbor-Error")
				}
				if answer.Code != c.status || !strings.Contains(said, c.says) {
					t.Errorf("%s: %d %.200s, want %d with %q", length, answer.Code, said, c.status, c.says)
				}
			}
		})
	}
	if used := w.gateway.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes of the budget were never given back", used)
	}
}

// A body that decompresses without end is given up at the limit, and so is one
// that asks for a large window.
func TestDecompressionBombs(t *testing.T) {
	skipShort(t)
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	bomb := gzipped(t, make([]byte, 64<<20))
	if status, said := w.post("/track", bytes.NewReader(bytes.Repeat(bomb, 50))); status != 413 {
		t.Errorf("gzip of 3 GB: %d %s", status, said)
	}
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 12<<20)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	if status, said := w.post("/track", bytes.NewReader(z.EncodeAll(random, nil))); status != 413 || !strings.Contains(said, "window") {
		t.Errorf("zstd of a large window: %d %s", status, said)
	}
}

// When the requests under way hold all the memory they may, the next is told to
// come back, and is served once they are done.
func TestBackPressure(t *testing.T) {
	w := newHTTPWorld(t, Options{MaxInflightBytes: 3 * bodyStep})
	w.project(t, "shop")
	slow, sender := io.Pipe()
	first := make(chan int)
	go func() {
		r := httptest.NewRequest(http.MethodPost, "/track", slow)
		r.ContentLength = -1
		first <- w.do(r).Code
	}()
	text := paddedEvent(bodyStep + 100)
	if _, err := sender.Write(text[:bodyStep+1]); err != nil { // more than one step is held now
		t.Fatal(err)
	}
	answer := w.do(httptest.NewRequest(http.MethodPost, "/track", bytes.NewReader(text)))
	if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") != "1" || !strings.Contains(answer.Body.String(), `"status":0`) {
		t.Errorf("while the budget is used up: %d, Retry-After %q, %s", answer.Code, answer.Header().Get("Retry-After"), answer.Body)
	}
	sender.CloseWithError(io.ErrUnexpectedEOF)
	if status := <-first; status != http.StatusBadRequest {
		t.Errorf("a body that broke off: %d", status)
	}
	if answer := w.do(httptest.NewRequest(http.MethodPost, "/track", bytes.NewReader(text[len(text)-50:]))); answer.Code == http.StatusTooManyRequests {
		t.Error("still busy afterwards")
	}
	if used := w.gateway.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes of the budget were never given back", used)
	}
}

// A panic is told to the client as an error without details, and to the log with
// them; the server goes on.
func TestPanicIsNotShown(t *testing.T) {
	w := newHTTPWorld(t, Options{Now: func() time.Time { panic("a secret detail") }})
	status, said := w.post("/track", strings.NewReader(`{"event":"e"}`))
	if status != http.StatusInternalServerError || strings.Contains(said, "secret") || !json.Valid([]byte(said)) {
		t.Errorf("%d %s", status, said)
	}
}

// The server refuses headers that are too long, and lets requests under way end
// when it is told to stop.
func TestServeHTTP(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	base, stop := w.serve(t, nil)
	for size, want := range map[int]int{maxHeaderBytes: http.StatusBadRequest, maxHeaderBytes + 8<<10: http.StatusRequestHeaderFieldsTooLarge} {
		answer, err := http.Get(base + "/track?data=" + strings.Repeat("a", size))
		if err != nil || answer.StatusCode != want {
			t.Errorf("a request line of %d bytes: %v, %v; want %d", size, answer, err, want)
		}
	}
	body, sender := io.Pipe()
	done := make(chan error)
	reading := make(chan bool) // the server has begun to read the body
	go func() {
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got100Continue: func() { close(reading) },
		}), http.MethodPost, base+"/track", body)
		if err != nil {
			done <- err
			return
		}
		r.Header.Set("Expect", "100-continue")
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		answer, err := client.Do(r)
		if err == nil && answer.StatusCode != 200 {
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
		client.CloseIdleConnections()
		done <- err
	}()
	text := paddedEvent(1000)
	<-reading
	if _, err := sender.Write(text[:500]); err != nil { // the request is under way
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	if _, err := sender.Write(text[500:]); err != nil {
		t.Fatal(err)
	}
	sender.Close()
	if err := <-done; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := http.Get(base + "/healthz"); err == nil {
		t.Error("still serving")
	}
	if len(w.model.Records()) != 1 {
		t.Errorf("%d events", len(w.model.Records()))
	}
}

// A client past the limit of connections is told to come back, and is let in when
// another one has left.
func TestHTTPConnectionLimit(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := newHTTPListener(l, 2, false)
	left := make(chan bool, 8)
	server := &http.Server{Handler: w.gateway.HTTPHandler(), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed { // which is told after the connection is closed
			left <- true
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(limited) }()
	ask := func(c net.Conn) (*http.Response, error) {
		if _, err := c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			return nil, err
		}
		return http.ReadResponse(bufio.NewReader(c), nil)
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var open []net.Conn
	for range 2 {
		c := dial()
		if answer, err := ask(c); err != nil || answer.StatusCode != 200 {
			t.Fatalf("within the limit: %v, %v", answer, err)
		}
		open = append(open, c)
	}
	third := dial()
	answer, err := http.ReadResponse(bufio.NewReader(third), nil)
	if err != nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "5" {
		t.Errorf("past the limit: %v, %v", answer, err)
	}
	third.Close()
	open[0].Close()
	<-left
	c := dial()
	if answer, err := ask(c); err != nil || answer.StatusCode != 200 {
		t.Errorf("after one has left: %v, %v", answer, err)
	}
	c.Close()
	open[1].Close()
	server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if n := limited.open.Load(); n != 0 {
		t.Errorf("%d connections are still counted", n)
	}
}

// TLS works with what main gives: a configuration with a certificate.
func TestServeHTTPS(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	lender := httptest.NewTLSServer(nil) // lends its certificate
	defer lender.Close()
	base, _ := w.serve(t, &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12})
	answer, err := lender.Client().Get(strings.Replace(base, "http:", "https:", 1) + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.TLS == nil {
		t.Errorf("status %d, TLS %v", answer.StatusCode, answer.TLS)
	}
}

// serve runs ServeHTTP on a port; stop ends it.
func (w *httpWorld) serve(t testing.TB, config *tls.Config) (base string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- w.gateway.ServeHTTP(ctx, HTTPOptions{Listener: l, TLS: config, Grace: 10 * time.Second})
	}()
	var err2 error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			err2 = <-ended
		}
		return err2
	}
	t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String(), stop
}
