package track

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/event"
)

// The names that Mixpanel gives to what is not a property of the event itself.
const (
	keyTime       = "time"
	keyDistinctID = "distinct_id"
	keyInsertID   = "$insert_id"
	keyToken      = "token"
)

// reading is a record while it is read.
type reading struct {
	decoder *Decoder
	record  Record
	named   bool // it has an event name
	// form is that of the record's properties, nil where there is none.
	form *form
	// What of the properties is not a property: the last of each that came.
	given struct{ time, distinctID, insertID, token catalog.Value }
	// The first thing that was wrong, with whose field.
	field, problem string
}

// refuse notes what is wrong, unless something was before.
func (r *reading) refuse(field, format string, args ...any) {
	if r.problem == "" {
		r.field, r.problem = field, fmt.Sprintf(format, args...)
	}
}

// The keys of a record as nearly all records have them.
const (
	rawEvent      = `"event":`
	rawProperties = `"properties":`
)

// read moves over the record's object.
func (r *reading) read() {
	s := &r.decoder.scanner
	s.i++ // '{'
	if s.peek() == '}' {
		s.i++
		return
	}
	for {
		switch rest := s.b[min(s.i, len(s.b)):]; {
		case len(rest) > len(rawEvent) && string(rest[:len(rawEvent)]) == rawEvent:
			s.i += len(rawEvent)
			r.name(s.peek())
		case len(rest) > len(rawProperties) && string(rest[:len(rawProperties)]) == rawProperties:
			s.i += len(rawProperties)
			r.properties(s.peek())
		default:
			r.member()
		}
		if s.err != nil {
			return
		}
		switch s.peek() {
		case ',':
			s.i++
			s.peek()
		case '}':
			s.i++
			return
		default:
			s.failHere("',' or '}'")
			return
		}
	}
}

// member reads any key of the record, with its value.
func (r *reading) member() {
	s := &r.decoder.scanner
	if !s.expect('"', "a key in quotes") {
		return
	}
	key, _ := s.str()
	if !s.expect(':', "':'") {
		return
	}
	c := s.peek()
	switch key {
	case "event":
		r.name(c)
	case "properties":
		r.properties(c)
	default:
		s.skipValue()
	}
}

// name reads the event's name.
func (r *reading) name(c byte) {
	s := &r.decoder.scanner
	if c != '"' {
		s.skipValue()
		r.refuse("event", "'event' is not a string; name what happened")
		return
	}
	s.i++
	name, valid := s.str()
	if !valid {
		r.refuse("event", "'event' is not valid UTF-8")
	}
	r.record.Event.Name, r.named = name, true
}

// properties reads the record's properties. Given twice, the last ones count.
func (r *reading) properties(c byte) {
	d, s := r.decoder, &r.decoder.scanner
	d.properties = d.properties[:0]
	r.form = nil
	r.given.time, r.given.distinctID, r.given.insertID, r.given.token = catalog.Null, catalog.Null, catalog.Null, catalog.Null
	if c != '{' {
		s.skipValue()
		r.refuse("properties", "'properties' is not an object")
		return
	}
	s.i++
	if s.peek() == '}' {
		s.i++
		return
	}
	start, field, problem := s.i, r.field, r.problem
	if r.outlined() {
		return
	}
	s.i, s.err, r.field, r.problem = start, nil, field, problem
	r.keyByKey()
}

// outlined reads the properties by the tree of known outlines. It reports false,
// with nothing of use done, where they do not fit in there.
func (r *reading) outlined() bool {
	d, s := r.decoder, &r.decoder.scanner
	n := &d.outlines.root
	values := d.values[:0]
	for {
		next := n.match(s.b[min(s.i, len(s.b)):])
		if next == nil {
			if next = d.outlines.learn(n, s); next == nil {
				return false
			}
		}
		n = next
		s.i += len(n.raw)
		if text, ok := s.plainString(); ok {
			values = append(values, catalog.Value{Kind: catalog.KindString, Text: text})
		} else if values = append(values, r.value(n.name)); s.err != nil {
			return false // key by key it is found again
		}
		if b := s.b; s.i+1 < len(b) && b[s.i] == ',' && b[s.i+1] == '"' { // as it nearly always is
			s.i++
			continue
		}
		switch s.peek() {
		case ',':
			s.i++
			s.peek()
			continue
		case '}':
			s.i++
		default:
			return false
		}
		break
	}
	d.values = values
	r.fill(n.formOf(), values)
	return true
}

// fill puts the values of an object of a known form where they belong.
func (r *reading) fill(f *form, values []catalog.Value) {
	d := r.decoder
	properties := slices.Grow(d.properties[:0], len(f.places))[:len(f.places)]
	places, names := f.places[:len(properties)], f.names[:len(properties)]
	for i := range properties {
		p := &properties[i]
		p.Name, p.Value = names[i], values[places[i]]
	}
	d.properties, r.form = properties, f
	r.given.time = valueAt(values, f.given.time)
	r.given.distinctID = valueAt(values, f.given.distinctID)
	r.given.insertID = valueAt(values, f.given.insertID)
	r.given.token = valueAt(values, f.given.token)
}

// keyByKey reads the properties whatever their keys are.
func (r *reading) keyByKey() {
	d, s := r.decoder, &r.decoder.scanner
	for {
		if !s.expect('"', "a key in quotes") {
			return
		}
		key, valid := s.str()
		if !s.expect(':', "':'") {
			return
		}
		if !valid {
			r.refuse("properties", "a property's name is not valid UTF-8")
		}
		value := r.value(key)
		if s.err != nil {
			return
		}
		switch key {
		case keyTime:
			r.given.time = value
		case keyDistinctID:
			r.given.distinctID = value
		case keyInsertID:
			r.given.insertID = value
		case keyToken:
			r.given.token = value
		default:
			d.properties = append(d.properties, catalog.Property{Name: key, Value: value})
		}
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return
		default:
			s.failHere("',' or '}'")
			return
		}
	}
}

// value reads the value of the property key.
func (r *reading) value(key string) catalog.Value {
	v, _ := r.valueOf(&r.decoder.scanner, key, event.MaxDepth)
	return v
}

// valueOf reads the value of the property key where s stands. depth is how many
// containers it nests, of which maxDepth are allowed.
func (r *reading) valueOf(s *scanner, key string, maxDepth int) (v catalog.Value, depth int) {
	switch c := s.peek(); c {
	case '"':
		s.i++
		text, valid := s.str()
		if !valid {
			r.refuse(property(key), "'%s' is invalid: the string is not valid UTF-8", property(key))
		}
		return catalog.String(text), 0
	case '{', '[':
		text, depth, valid := s.container()
		if !valid {
			r.refuse(property(key), "'%s' is invalid: it holds a string that is not valid UTF-8", property(key))
			return catalog.Null, depth // such a container has no text
		}
		if depth > maxDepth {
			r.refuse(property(key), "'%s' is nested %d deep, at most %d are allowed; flatten it or send it as a string", property(key), depth, maxDepth)
		}
		return catalog.JSON(text), depth
	case 't':
		s.literal("true")
		return catalog.Bool(true), 0
	case 'f':
		s.literal("false")
		return catalog.Bool(false), 0
	case 'n':
		s.literal("null")
		return catalog.Null, 0
	default:
		if c != '-' && (c < '0' || c > '9') {
			s.failHere("a value")
			return catalog.Null, 0
		}
		return s.number(), 0
	}
}

// property is a property's name as errors write it, cut to a readable length.
func property(key string) string {
	const most = 64
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "…"
	}
	return "properties." + key
}

// id reads a user's or an event's id: a string, or a number as it was written.
func (r *reading) id(key string, v catalog.Value) string {
	switch v.Kind {
	case catalog.KindNull:
		return ""
	case catalog.KindString, catalog.KindNumber:
		return v.Text
	case catalog.KindInt, catalog.KindDouble:
		return string(v.AppendJSON(nil))
	}
	r.refuse(property(key), "'%s' is invalid: it must be a string", property(key))
	return ""
}

// time reads the event's time.
func (r *reading) time(v catalog.Value) int64 {
	if v.Kind == catalog.KindNull {
		return 0
	}
	t, problem := parseTime(v)
	if problem != "" {
		r.refuse(property(keyTime), "'%s' is invalid: %s", property(keyTime), problem)
	}
	return t
}

// finish gives the record away, or notes it as a failure.
func (r *reading) finish() error {
	d, e, given := r.decoder, &r.record.Event, &r.given
	e.InsertID = r.id(keyInsertID, given.insertID)
	e.DistinctID = r.id(keyDistinctID, given.distinctID)
	e.Time = r.time(given.time)
	e.ServerTime = given.time.Kind == catalog.KindNull
	switch {
	case !r.named:
		r.refuse("event", "'event' is missing; name what happened")
	case e.Name == "":
		r.refuse("event", "'event' is empty; name what happened")
	case given.token.Kind != catalog.KindString && given.token.Kind != catalog.KindNull:
		r.refuse(property(keyToken), "'%s' is invalid: it must be a string", property(keyToken))
	case d.options.Strict && e.ServerTime:
		r.refuse(property(keyTime), "'%s' is missing; send seconds or milliseconds since 1970 UTC", property(keyTime))
	case d.options.Strict && given.distinctID.Kind == catalog.KindNull:
		r.refuse(property(keyDistinctID), "'%s' is missing; send \"\" for an event of no user", property(keyDistinctID))
	}
	if r.problem != "" {
		d.fail(e.InsertID, r.field, r.problem)
		return nil
	}
	if r.form != nil {
		k := d.outlines.kindOf(r.form, e.Name)
		e.Name, r.record.Kind = k.name, k.number
	} else {
		d.properties = sortProperties(d.properties)
	}
	e.Properties = d.properties
	r.record.Token, r.record.Index = given.token.Text, uint32(d.records-1)
	return d.take(&r.record)
}

// sortProperties sorts properties by name; of equal names the last stays.
func sortProperties(p []catalog.Property) []catalog.Property {
	increasing := true
	for i := 1; i < len(p) && increasing; i++ {
		increasing = p[i-1].Name < p[i].Name
	}
	if increasing {
		return p
	}
	slices.SortStableFunc(p, func(a, b catalog.Property) int { return cmp.Compare(a.Name, b.Name) })
	n := 0
	for i := range p {
		if i+1 < len(p) && p[i].Name == p[i+1].Name {
			continue
		}
		p[n] = p[i]
		n++
	}
	return p[:n]
}
