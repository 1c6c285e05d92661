package dataset

import (
	"strconv"

	"arbor/catalog"
	"arbor/engine/event"
)

// AppendLine appends an event as a line of NDJSON in Mixpanel's import format,
// its time in milliseconds.
func AppendLine(b []byte, e *event.Event) []byte {
	b = append(b, `{"event":`...)
	b = catalog.AppendJSONString(b, e.Name)
	b = append(b, `,"properties":{"time":`...)
	b = strconv.AppendInt(b, e.Time/catalog.Millisecond, 10)
	b = append(b, `,"distinct_id":`...)
	b = catalog.AppendJSONString(b, e.DistinctID)
	if e.InsertID != "" {
		b = append(b, `,"$insert_id":`...)
		b = catalog.AppendJSONString(b, e.InsertID)
	}
	for _, p := range e.Properties {
		b = append(catalog.AppendJSONString(append(b, ','), p.Name), ':')
		b = p.Value.AppendJSON(b)
	}
	return append(b, "}}\n"...)
}
