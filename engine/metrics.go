package engine

import (
	"sync/atomic"

	"arbor/engine/event"
)

// Metrics counts what an engine did since it was opened.
type Metrics struct {
	Appends, AppendErrors, AppendedEvents, AppendedBytes atomic.Int64
	// AppendWaits are the appends that waited for the indexer.
	AppendWaits                               atomic.Int64
	Scans, ScanErrors, ScannedRows, GivenRows atomic.Int64
	// KeptGroups and KeptSteps are the files that were answered by what is kept of them.
	KeptGroups, KeptSteps                              atomic.Int64
	FilesBuilt, FilesMerged, FilesRetired, FilesPurged atomic.Int64
	SegmentsRetired                                    atomic.Int64
	RowsIndexed, BytesIndexed                          atomic.Int64
	Unproven, Alarms                                   atomic.Int64
	// Scrubs are the passes of the scrub that came to their end, and Scrubbed is when
	// the last one did, in microseconds; 0 is never. ScrubbedWhole are those of the bytes
	// of which every value was read.
	Scrubs, ScrubbedBytes, ScrubbedWhole, Scrubbed atomic.Int64
}

// Metrics gives the engine's counters.
func (e *Engine) Metrics() *Metrics { return &e.metrics }

func (m *Metrics) appended(headers []event.Header, records [][]byte) {
	m.Appends.Add(1)
	for i := range records {
		m.AppendedEvents.Add(int64(headers[i].Events))
		m.AppendedBytes.Add(int64(len(records[i])))
	}
}

func (m *Metrics) built(b *build, f *file) {
	if len(b.refs) > 0 {
		m.FilesBuilt.Add(1)
	} else {
		m.FilesMerged.Add(1)
	}
	m.RowsIndexed.Add(int64(f.rows()))
	m.BytesIndexed.Add(f.reader.Size())
}
