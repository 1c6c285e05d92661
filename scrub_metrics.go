package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"arbor/engine"
)

// scrubMetrics say how far the scrub has come.
func scrubMetrics(e *engine.Engine) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "arbor_scrub_bytes_total", Help: "Bytes that were read again and compared since the start.",
		}, func() float64 { return float64(e.Metrics().ScrubbedBytes.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "arbor_scrub_whole_bytes_total", Help: "Those of arbor_scrub_bytes_total of which every value was read, and not the checksums alone.",
		}, func() float64 { return float64(e.Metrics().ScrubbedWhole.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "arbor_scrub_last_pass_timestamp_seconds", Help: "When all that is stored had last been read again; 0 for never since the start.",
		}, func() float64 { return float64(e.Metrics().Scrubbed.Load()) / 1e6 }),
	}
}
