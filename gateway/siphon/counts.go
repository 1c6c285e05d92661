package siphon

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// counts are what a siphon counts since it started.
type counts struct {
	copied, copiedBytes, passed, answered, refused, unanswered, lost, unstamped, upstreamErrors atomic.Int64
}

// Admin serves what operators look at: /metrics in Prometheus' text form, and
// /healthz, which is 503 while copies cannot be made.
func (s *Siphon) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.spool.failing.Load() {
			http.Error(w, "the last request could not be copied", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// metric is one line of /metrics with its help.
type metric struct {
	name, kind, help string
	value            int64
}

func (s *Siphon) metrics() []metric {
	failing := int64(0)
	if s.spool.failing.Load() {
		failing = 1
	}
	c := &s.counts
	all := []metric{
		{"copied_requests_total", "counter", "requests that were answered and have a durable copy", c.copied.Load()},
		{"copied_bytes_total", "counter", "bytes of those copies", c.copiedBytes.Load()},
		{"passed_requests_total", "counter", "requests that bring no events, passed on without a copy", c.passed.Load()},
		{"uncopied_answers_total", "counter", "requests of which a gateway stored nothing, not copied", c.answered.Load()},
		{"refused_requests_total", "counter", "requests that the siphon itself refused", c.refused.Load()},
		{"unanswered_requests_total", "counter", "requests that no gateway answered", c.unanswered.Load()},
		{"upstream_errors_total", "counter", "times that a gateway did not answer or could not store", c.upstreamErrors.Load()},
		{"lost_copies_total", "counter", "requests that were stored and could not be copied: raise an alarm", c.lost.Load()},
		{"unstamped_requests_total", "counter", "requests whose stamp no gateway took, so that a replay would double events without insert ids: check the edge key", c.unstamped.Load()},
		{"early_removed_segments_total", "counter", "segments removed before their time because the spool was full: raise an alarm", s.spool.removed.Load()},
		{"failing", "gauge", "1 while copies cannot be made", failing},
		{"spool_bytes", "gauge", "bytes of the segments in the directory", s.spool.bytes.Load()},
		{"inflight_bytes", "gauge", "memory of the requests under way", s.inflight.Load()},
	}
	if s.upload != nil {
		all = append(all,
			metric{"uploaded_segments_total", "counter", "segments whose copy in the bucket was verified", s.upload.uploaded.Load()},
			metric{"upload_errors_total", "counter", "uploads that failed and are tried again", s.upload.errors.Load()},
			metric{"upload_waiting_segments", "gauge", "segments that are not in the bucket yet", s.upload.waiting.Load()})
	}
	return all
}

func (s *Siphon) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, m := range s.metrics() {
		fmt.Fprintf(w, "# HELP arbor_siphon_%s %s\n# TYPE arbor_siphon_%s %s\narbor_siphon_%s %d\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
}
