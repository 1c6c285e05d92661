package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"arbor/catalog"
	"arbor/engine/exec"
)

// maxMetricProjects is how many projects have counters of their own; those that
// come later share one named "other", so that tenants cannot swell the metrics.
const maxMetricProjects = 200

// otherProjects is the label of the projects past maxMetricProjects.
const otherProjects = "other"

// metrics are what /metrics gives, in a registry of their own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec

	accepted, rejected, unidentified *prometheus.CounterVec

	// mu guards projects, the counters of those that have their own, and answers, the
	// metrics of each path and status that came.
	mu       sync.RWMutex
	projects map[catalog.ProjectID]*projectMetrics
	answers  map[answerKind]answerMetrics
}

// answerKind is what answers to requests are counted by.
type answerKind struct {
	path   string
	status int
}

// answerMetrics are those of the answers of one kind.
type answerMetrics struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// projectMetrics are the counters of one project.
type projectMetrics struct{ accepted, rejected, unidentified prometheus.Counter }

func newMetrics(g *Gateway) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), projects: make(map[catalog.ProjectID]*projectMetrics), answers: make(map[answerKind]answerMetrics)}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "arbor_http_requests_total", Help: "HTTP requests answered, by path and status.",
	}, []string{"path", "status"})
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "arbor_http_request_seconds", Help: "Time from a request's header to the end of its answer, by path.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"path"})
	perProject := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"project"})
	}
	m.accepted = perProject("arbor_events_accepted_total", "Events made durable since the start, copies included.")
	m.rejected = perProject("arbor_events_rejected_total", "Events refused since the start, each for its own fault.")
	m.unidentified = perProject("arbor_events_unidentified_total", "Events accepted without an insert id, whose retries are not recognised.")
	m.registry.MustRegister(m.requests, m.seconds, m.accepted, m.rejected, m.unidentified,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "arbor_http_inflight_bytes", Help: "Memory that requests being read and decoded hold.",
		}, func() float64 { return float64(g.bodies.used.Load()) }),
		&storageCollector{g})
	return m
}

// request counts an answered request.
func (m *metrics) request(path string, status int, took time.Duration) {
	if path == "" {
		path = "/"
	}
	kind := answerKind{path, status}
	m.mu.RLock()
	a, ok := m.answers[kind]
	m.mu.RUnlock()
	if !ok { // of which there are as many as paths and statuses
		a = answerMetrics{m.requests.WithLabelValues(path, strconv.Itoa(status)), m.seconds.WithLabelValues(path)}
		m.mu.Lock()
		m.answers[kind] = a
		m.mu.Unlock()
	}
	a.requests.Inc()
	a.seconds.Observe(took.Seconds())
}

// ingested counts what became of a project's events.
func (m *metrics) ingested(p *part) {
	c := m.project(p.project)
	c.accepted.Add(float64(p.stored))
	c.rejected.Add(float64(p.rejected))
	c.unidentified.Add(float64(p.unidentified))
}

// refused counts records that never became events of a project.
func (m *metrics) refused(p *catalog.Project, n int) {
	if n > 0 {
		m.project(p).rejected.Add(float64(n))
	}
}

// project gives a project's counters; nil is for records of no project.
func (m *metrics) project(p *catalog.Project) *projectMetrics {
	if p == nil {
		return m.counters("")
	}
	m.mu.RLock()
	c := m.projects[p.ID]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.projects[p.ID]; c != nil {
		return c
	}
	if len(m.projects) >= maxMetricProjects {
		return m.counters(otherProjects)
	}
	c = m.counters(p.Name)
	m.projects[p.ID] = c
	return c
}

func (m *metrics) counters(label string) *projectMetrics {
	return &projectMetrics{m.accepted.WithLabelValues(label), m.rejected.WithLabelValues(label), m.unidentified.WithLabelValues(label)}
}

// serveMetrics gives the metrics to Prometheus.
func (g *Gateway) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	if err := g.mayWatch(r); err != nil {
		return err
	}
	promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	}).ServeHTTP(w, r)
	return nil
}

// storageCollector gives what the storage holds, by asking it at each scrape.
type storageCollector struct{ g *Gateway }

var (
	balanceMetric = prometheus.NewDesc("arbor_events",
		"Stored events by project and state: accepted = visible + retry + conflict + deleted + quarantined.", []string{"project", "state"}, nil)
	alarmsMetric = prometheus.NewDesc("arbor_alarms_total", "Rows of arbor.alarms of this member: what was found damaged or contradictory.", nil, nil)
)

// Describe names the metrics.
func (*storageCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- balanceMetric
	ch <- alarmsMetric
	ch <- stageMetric
}

// scrapeTimeout bounds how long a scrape asks the storage.
const scrapeTimeout = 5 * time.Second

// Collect asks the storage. What it does not answer is not in this scrape.
func (s *storageCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	ch <- collectStage(s.g.Catalog())
	if balance, err := s.g.cluster.Describe(ctx, "balance"); err == nil {
		for key, n := range sumBalance(balance, s.g.Catalog()) {
			ch <- prometheus.MustNewConstMetric(balanceMetric, prometheus.GaugeValue, float64(n), key.project, key.state)
		}
	} else {
		s.g.logger.Warn("metrics: balance", "error", err)
	}
	if alarms, err := s.g.cluster.DescribeHere(ctx, "alarms"); err == nil {
		ch <- prometheus.MustNewConstMetric(alarmsMetric, prometheus.CounterValue, float64(len(alarms.Rows)))
	} else {
		s.g.logger.Warn("metrics: alarms", "error", err)
	}
}

type balanceKey struct{ project, state string }

// balanceStates are the columns of the balance table that are counted.
var balanceStates = map[string]bool{
	"accepted": true, "visible": true, "retry": true, "conflict": true, "deleted": true, "quarantined": true,
}

// sumBalance adds up the balance table, whose rows are shards.
func sumBalance(t *exec.Table, c *catalog.Catalog) map[balanceKey]int64 {
	sums := make(map[balanceKey]int64)
	labels := make(map[int64]string)
	for _, row := range t.Rows {
		var project string
		for i, column := range t.Columns {
			switch {
			case column.Name == "project" || column.Name == "project_id":
				project = projectLabel(labels, row[i].Int(), c)
			case balanceStates[column.Name]:
				sums[balanceKey{project, column.Name}] += row[i].Int()
			}
		}
	}
	return sums
}

// projectLabel is a project's label, the same for all its shards.
func projectLabel(labels map[int64]string, id int64, c *catalog.Catalog) string {
	label, ok := labels[id]
	if ok {
		return label
	}
	label = otherProjects
	if p, ok := c.ProjectByID(catalog.ProjectID(id)); ok && len(labels) < maxMetricProjects {
		label = p.Name
	}
	labels[id] = label
	return label
}
