package gateway

import "arbor/engine/event"

// A record, the unit of logging, is cut at whichever comes first. An event is at
// most event.MaxEventBytes, so a record stays far below event.MaxBatchBytes.
const (
	recordEvents = 1 << 14
	recordBytes  = 4 << 20
)

// roughSize is about what an event takes when encoded without a dictionary.
func roughSize(e *event.Event) int {
	n := 48 + len(e.Name) + len(e.DistinctID) + len(e.InsertID)
	for i := range e.Properties {
		p := &e.Properties[i]
		n += 12 + len(p.Name) + len(p.Value.Text)
	}
	return n
}
