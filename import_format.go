package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// importFormat makes an event as /import takes it of one of another product's
// export: the members of its line. It reports false for a line that is none.
type importFormat func(line map[string]json.RawMessage) (importedEvent, bool)

// importFormats are those of --format; nil sends lines as they are, for events as
// SDKs send them and as Mixpanel exports them.
var importFormats = map[string]importFormat{
	"events":    nil,
	"mixpanel":  nil,
	"amplitude": amplitudeEvent,
	"posthog":   posthogEvent,
}

func importFormatNames() string {
	return strings.Join(slices.Sorted(maps.Keys(importFormats)), ", ")
}

// importedEvent is an event of an export, its values as JSON has them.
type importedEvent struct {
	name, time, user, id json.RawMessage // nil for none
	properties           map[string]json.RawMessage
}

// amplitudeEvent reads a line of Amplitude's export. The members of
// event_properties are properties, and so are all other fields of the line that are
// not null, where no event property has their name.
func amplitudeEvent(line map[string]json.RawMessage) (importedEvent, bool) {
	e := importedEvent{name: line["event_type"], properties: membersOf(line["event_properties"])}
	if !isText(e.name) {
		return e, false
	}
	e.user = firstGiven(line, "user_id", "device_id", "amplitude_id")
	e.id = firstGiven(line, "$insert_id", "insert_id", "uuid")
	if at, ok := textOf(line["event_time"]); ok { // UTC, without saying so
		e.time, _ = json.Marshal(strings.Replace(strings.TrimSuffix(at, "Z"), " ", "T", 1) + "Z")
	}
	e.addRest(line, "event_type", "event_properties", "user_id", "$insert_id", "insert_id", "event_time")
	return e, true
}

// posthogEvent reads a line of PostHog's export. Its properties may be an object, or
// the text of one.
func posthogEvent(line map[string]json.RawMessage) (importedEvent, bool) {
	e := importedEvent{name: line["event"], properties: membersOf(line["properties"])}
	if !isText(e.name) {
		return e, false
	}
	e.user = firstGiven(line, "distinct_id")
	e.id = firstGiven(line, "uuid")
	if at, ok := textOf(line["timestamp"]); ok {
		at = strings.Replace(at, " ", "T", 1)
		if !strings.HasSuffix(at, "Z") && !strings.ContainsAny(at[min(len(at), len("2006-01-02")):], "+-") {
			at += "Z"
		}
		e.time, _ = json.Marshal(at)
	}
	e.addRest(line, "event", "properties", "distinct_id", "uuid", "timestamp")
	return e, true
}

// addRest makes properties of the line's other fields.
func (e *importedEvent) addRest(line map[string]json.RawMessage, but ...string) {
	for name, value := range line {
		if _, given := e.properties[name]; !given && !slices.Contains(but, name) && string(value) != "null" {
			e.properties[name] = value
		}
	}
}

// append adds the event as a line that /import takes.
func (e *importedEvent) append(dst []byte) []byte {
	dst = append(append(dst, `{"event":`...), e.name...)
	dst = append(dst, `,"properties":{`...)
	comma := ""
	add := func(name string, value json.RawMessage) {
		text, _ := json.Marshal(name)
		dst = append(append(append(dst, comma...), text...), ':')
		dst = append(dst, value...)
		comma = ","
	}
	fields := map[string]json.RawMessage{"time": e.time, "distinct_id": e.user, "$insert_id": e.id}
	for _, name := range []string{"time", "distinct_id", "$insert_id"} {
		if fields[name] != nil {
			add(name, fields[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.properties)) {
		if _, own := fields[name]; !own && name != "token" {
			add(name, e.properties[name])
		}
	}
	return append(dst, "}}\n"...)
}

// convertLines makes events of an export's lines. A line that is no event of that
// export is left for the server to refuse.
func convertLines(lines []byte, format importFormat) []byte {
	out := make([]byte, 0, len(lines)+len(lines)/8)
	for line := range bytes.Lines(lines) {
		var members map[string]json.RawMessage
		if json.Unmarshal(line, &members) == nil {
			if e, ok := format(members); ok {
				out = e.append(out)
				continue
			}
		}
		out = append(out, line...)
	}
	return out
}

// membersOf is what an object, or the text of one, holds.
func membersOf(value json.RawMessage) map[string]json.RawMessage {
	if text, ok := textOf(value); ok {
		value = json.RawMessage(text)
	}
	members := map[string]json.RawMessage{}
	if len(value) > 0 && json.Unmarshal(value, &members) != nil || members == nil {
		return map[string]json.RawMessage{}
	}
	return members
}

// firstGiven is the first of the fields that is there and neither null nor empty.
func firstGiven(line map[string]json.RawMessage, names ...string) json.RawMessage {
	for _, name := range names {
		if v := line[name]; len(v) > 0 && string(v) != "null" && string(v) != `""` {
			return v
		}
	}
	return nil
}

func textOf(value json.RawMessage) (string, bool) {
	var text string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
		return "", false
	}
	return text, true
}

func isText(value json.RawMessage) bool {
	text, ok := textOf(value)
	return ok && text != ""
}

// formatNamed is the format of a name.
func formatNamed(name string) (importFormat, error) {
	format, ok := importFormats[cmp.Or(name, "events")]
	if !ok {
		return nil, fmt.Errorf("--format %s; %s can be", name, importFormatNames())
	}
	return format, nil
}
