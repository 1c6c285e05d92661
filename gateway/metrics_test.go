package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func (w *httpWorld) get(path string) (int, string) {
	answer := w.do(httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

func TestMetrics(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	for range 2 { // the second is a retry
		w.post("/track", strings.NewReader(`[{"event":"a","properties":{"token":"token-shop","$insert_id":"1","time":1794182400}},{"event":"b","properties":{"token":"token-shop"}},{"event":""}]`))
	}
	w.post("/track", strings.NewReader("broken"))
	status, text := w.get("/metrics")
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	for _, line := range []string{
		`arbor_http_requests_total{path="/track",status="200"} 2`,
		`arbor_http_requests_total{path="/track",status="400"} 1`,
		`arbor_http_request_seconds_count{path="/track"} 3`,
		`arbor_events_accepted_total{project="shop"} 4`,
		`arbor_events_unidentified_total{project="shop"} 2`,
		`arbor_events_rejected_total{project=""} 2`,
		`arbor_events{project="shop",state="accepted"} 4`,
		`arbor_events{project="shop",state="visible"} 3`,
		`arbor_events{project="shop",state="retry"} 1`,
		`arbor_alarms_total 0`,
		`arbor_http_inflight_bytes 0`,
		"go_goroutines ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// However many projects and paths there are, the metrics stay small.
func TestMetricsAreBounded(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	for i := range maxMetricProjects + 2 {
		p := w.project(t, fmt.Sprint("p", i))
		w.gateway.metrics.ingested(&part{project: p, rejected: 1})
		w.get(fmt.Sprint("/random/", i))
	}
	_, text := w.get("/metrics")
	if n := strings.Count(text, "arbor_events_rejected_total{"); n != maxMetricProjects+1 {
		t.Errorf("%d projects have counters, want %d and one for the others", n, maxMetricProjects)
	}
	if !strings.Contains(text, `arbor_events_rejected_total{project="other"} 2`) {
		t.Error("the projects past the limit are not counted together")
	}
	if n := strings.Count(text, "arbor_http_requests_total{"); n != 1 {
		t.Errorf("%d kinds of requests, want 1", n)
	}
}

func TestHealth(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	for _, path := range []string{"/healthz", "/readyz", "/"} {
		if status, text := w.get(path); status != 200 || text == "" {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if answer := w.do(httptest.NewRequest(http.MethodHead, "/healthz", nil)); answer.Code != 200 {
		t.Errorf("HEAD: %d", answer.Code)
	}
	if err := w.gateway.cluster.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("/healthz"); status != 200 {
		t.Errorf("going down: /healthz %d", status)
	}
	if status, text := w.get("/readyz"); status != 503 {
		t.Errorf("going down: /readyz %d %s", status, text)
	}
}
