package track

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/event"
)

// Dialect says whose SDKs wrote a request's messages.
type Dialect uint8

// The dialects. What a message holds beside what is named here becomes
// properties of its own name.
const (
	// Mixpanel is what Decode reads.
	Mixpanel Dialect = iota
	// Segment is what the SDKs of Segment and RudderStack write: a message, or
	// {"batch": [message, …], "writeKey": T}.
	Segment
	// PostHog is what PostHog's SDKs write: a message, an array of them, or
	// {"batch": [message, …], "api_key": T}.
	PostHog
	// Amplitude is {"events": [message, …], "api_key": T}.
	Amplitude
	// Snowplow is {"schema": …, "data": [message, …]} of Snowplow's tracker
	// protocol.
	Snowplow
)

// dialect is how the messages of one dialect are read.
type dialect struct {
	// list is the key of the envelope's list of messages.
	list string
	// token are the envelope's keys for the project's token.
	token []string
	// translate makes a record of a message.
	translate func(*message)
	// words put Mixpanel's names, in what is said of a fault, into the dialect's.
	words *strings.Replacer
}

// dialects are all but Mixpanel's.
var dialects = map[Dialect]*dialect{
	Segment: {"batch", []string{"writeKey", "write_key"}, (*message).segment, strings.NewReplacer(
		"properties.time", "timestamp", "properties.$insert_id", "messageId", "properties.distinct_id", "userId", "properties.token", "writeKey")},
	PostHog: {"batch", []string{"api_key", "token"}, (*message).postHog, strings.NewReplacer(
		"properties.time", "timestamp", "properties.$insert_id", "uuid", "properties.distinct_id", "distinct_id", "properties.token", "api_key")},
	Amplitude: {"events", []string{"api_key"}, (*message).amplitude, strings.NewReplacer(
		"properties.time", "time", "properties.$insert_id", "insert_id", "properties.distinct_id", "user_id", "properties.token", "api_key", "'event'", "'event_type'")},
	Snowplow: {"data", nil, (*message).snowplow, strings.NewReplacer(
		"properties.time", "dtm", "properties.$insert_id", "eid", "properties.distinct_id", "uid", "properties.token", "aid", "'event'", "'e'")},
}

// Words puts the names of fields in a text about a fault into the dialect's.
func (d Dialect) Words(text string) string {
	if to, ok := dialects[d]; ok {
		return to.words.Replace(text)
	}
	return text
}

// field is a member of a message.
type field struct {
	name  string
	value catalog.Value
	depth int // of the value's nesting
}

// message is one message of another dialect while it is read.
type message struct {
	*reading
	dialect *dialect
	// kind is the message's type where its path says it.
	kind string
	// envelope is the token of the whole request.
	envelope string
	fields   []field
	// identity is a digest of the request's text, made when it is first asked for.
	text     []byte
	identity string
}

// Translate is Decode for a request in another dialect than Mixpanel's. kind is
// the type of a Segment message that does not say it.
func (d *Decoder) Translate(from Dialect, kind string, texts [][]byte, o Options, take func(*Record) error) ([]RecordError, error) {
	if o.MaxRecords == 0 {
		o.MaxRecords = DefaultMaxRecords
	}
	d.options, d.take = o, take
	defer func() { d.take = nil }()
	d.scanner.arena = d.scanner.arena[:0]
	d.inner.arena = d.inner.arena[:0]
	d.records, d.failed = 0, d.failed[:0]
	d.reading = reading{decoder: d}
	m := message{reading: &d.reading, dialect: dialects[from], kind: kind}
	for _, text := range texts {
		text = bytes.TrimPrefix(text, byteOrderMark)
		d.scanner.reset(text)
		m.text, m.identity = text, ""
		if err := m.request(); err != nil {
			return nil, err
		}
	}
	if d.records == 0 {
		return nil, fmt.Errorf("%w: send at least one", ErrEmpty)
	}
	for i := range d.failed {
		f := &d.failed[i]
		f.Field, f.Message = m.dialect.words.Replace(f.Field), m.dialect.words.Replace(f.Message)
	}
	return d.failed, nil
}

// request reads a text: an envelope, an array of messages, or one message.
func (m *message) request() error {
	d, s := m.decoder, &m.decoder.scanner
	switch s.peek() {
	case '[':
		if err := m.list(); err != nil {
			return err
		}
	case '{':
		list, err := m.open()
		if err != nil {
			return err
		}
		if list < 0 {
			if err := m.one(); err != nil {
				return err
			}
			break
		}
		end := s.i
		s.i = list
		if err := m.list(); err != nil {
			return err
		}
		s.i = end
	default:
		s.failHere("'{' or '['")
		return s.err
	}
	if s.peek(); s.i < len(s.b) {
		s.failHere("the end of the text")
		return fmt.Errorf("%w, behind event %d; nothing of the request was stored", s.err, d.records-1)
	}
	return nil
}

// open reads the object at which the scanner stands into the fields, but for
// its list of messages, whose place it gives, -1 where there is none.
func (m *message) open() (list int, err error) {
	d, s := m.decoder, &m.decoder.scanner
	*m.reading = reading{decoder: d}
	list = -1
	m.fields, m.envelope = m.fields[:0], ""
	err = s.members(func(key string, valid bool) {
		if key == m.dialect.list && s.peek() == '[' {
			list = s.i
			s.skipContainer()
			return
		}
		m.field(s, key, valid)
	})
	for _, name := range m.dialect.token {
		if v := m.get(name); v.Kind == catalog.KindString && m.envelope == "" {
			m.envelope = v.Text
		}
	}
	return list, err
}

// list reads an array of messages.
func (m *message) list() error {
	d, s := m.decoder, &m.decoder.scanner
	s.i++
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if s.peek() == '{' {
			*m.reading = reading{decoder: d}
			m.fields = m.fields[:0]
			if err := s.members(func(key string, valid bool) { m.field(s, key, valid) }); err != nil {
				return fmt.Errorf("%w, in event %d; nothing of the request was stored", err, d.records)
			}
			if err := m.one(); err != nil {
				return err
			}
		} else if s.skipValue(); s.err == nil {
			if err := d.count(); err != nil {
				return err
			}
			d.fail("", "", "the message is not an object")
		}
		switch c := s.peek(); {
		case s.err != nil:
			return fmt.Errorf("%w, in event %d; nothing of the request was stored", s.err, d.records)
		case c == ',':
			s.i++
		case c == ']':
			s.i++
			return nil
		default:
			s.failHere("',' or ']'")
		}
	}
}

// one makes a record of the fields.
func (m *message) one() error {
	d := m.decoder
	if err := d.count(); err != nil {
		return err
	}
	d.properties = d.properties[:0]
	m.dialect.translate(m)
	if m.given.token.Kind == catalog.KindNull && m.envelope != "" {
		m.given.token = catalog.String(m.envelope)
	}
	return m.finish()
}

// field reads a member's value. It may nest one deeper than a property, for its
// own members may be the properties.
func (m *message) field(s *scanner, key string, valid bool) {
	if !valid {
		m.refuse("", "the name of a field is not valid UTF-8")
	}
	value, depth := m.valueOf(s, key, event.MaxDepth+1)
	m.fields = append(m.fields, field{key, value, depth})
}

// get is the last value of a field, null where there is none.
func (m *message) get(name string) catalog.Value {
	for i := len(m.fields) - 1; i >= 0; i-- {
		if m.fields[i].name == name {
			return m.fields[i].value
		}
	}
	return catalog.Null
}

// takeField is the first of the named fields that says anything, all of which are
// then none.
func (m *message) takeField(names ...string) (v catalog.Value) {
	for _, name := range names {
		if got := m.get(name); v.Kind == catalog.KindNull && !isEmpty(got) {
			v = got
		}
		m.drop(name)
	}
	return v
}

// drop leaves fields out.
func (m *message) drop(names ...string) {
	for _, name := range names {
		n := 0
		for _, f := range m.fields {
			if f.name != name {
				m.fields[n] = f
				n++
			}
		}
		m.fields = m.fields[:n]
	}
}

// isEmpty reports whether a value says nothing: null, or an empty text.
func isEmpty(v catalog.Value) bool {
	return v.Kind == catalog.KindNull || v.Kind == catalog.KindString && v.Text == ""
}

// namedBy names the event.
func (m *message) namedBy(v catalog.Value) {
	switch v.Kind {
	case catalog.KindString:
		m.record.Event.Name, m.named = v.Text, true
	case catalog.KindNull:
	default:
		m.refuse("event", "'event' is not a string; name what happened")
	}
}

// rest makes properties of the fields that are left. Those that come to nothing,
// an empty object or null, are left out.
func (m *message) rest() {
	d := m.decoder
	for _, f := range m.fields {
		if isEmpty(f.value) || f.value.Kind == catalog.KindJSON && f.value.Text == "{}" {
			continue
		}
		m.checkDepth(f)
		d.properties = append(d.properties, catalog.Property{Name: f.name, Value: f.value})
	}
}

func (m *message) checkDepth(f field) {
	if f.depth > event.MaxDepth {
		m.refuse(property(f.name), "'%s' is nested %d deep, at most %d are allowed; flatten it or send it as a string", property(f.name), f.depth, event.MaxDepth)
	}
}

// spread makes properties of an object's members; what they are called counts
// more than the fields of the same names.
func (m *message) spread(name string, v catalog.Value) {
	switch {
	case v.Kind == catalog.KindNull, v.Kind == catalog.KindJSON && v.Text == "[]": // as PHP writes an empty one
		return
	case v.Kind != catalog.KindJSON || v.Text[0] != '{':
		m.refuse(name, "'%s' is not an object", name)
		return
	}
	d := m.decoder
	_ = m.inner(v.Text, func(s *scanner, key string, valid bool) { // it was read once
		if !valid {
			m.refuse(name, "'%s' holds a name that is not valid UTF-8", name)
		}
		value, _ := m.valueOf(s, key, event.MaxDepth)
		d.properties = append(d.properties, catalog.Property{Name: key, Value: value})
	})
}

// inner gives the members of an object in compact text.
func (m *message) inner(text string, each func(s *scanner, key string, valid bool)) error {
	s := &m.decoder.inner
	s.reset(bytesOf(text))
	if s.peek() != '{' {
		s.failHere("'{'")
		return s.err
	}
	return s.members(func(key string, valid bool) { each(s, key, valid) })
}

// takeProperty is the value of a property made so far, which is then none.
func (m *message) takeProperty(name string) (v catalog.Value) {
	d := m.decoder
	n := 0
	for _, p := range d.properties {
		if p.Name == name {
			v = p.Value
			continue
		}
		d.properties[n] = p
		n++
	}
	d.properties = d.properties[:n]
	return v
}

// byContent identifies a message without an id by the text of its request and
// its place there: an SDK that sends again sends the same bytes. A message
// without a time of its own may well be meant to count each time it comes.
func (m *message) byContent() {
	if m.given.insertID.Kind != catalog.KindNull || m.given.time.Kind == catalog.KindNull {
		return
	}
	if m.identity == "" {
		sum := xxh3.Hash128(m.text).Bytes()
		m.identity = fmt.Sprintf("%x:", sum)
	}
	m.given.insertID = catalog.String(m.identity + strconv.Itoa(m.decoder.records-1))
}

// DialectOf tells Amplitude's envelope from PostHog's, which come to the same
// path, by the list that stands in it.
func DialectOf(text []byte) Dialect {
	var s scanner
	s.reset(bytes.TrimPrefix(text, byteOrderMark))
	if s.peek() != '{' {
		return PostHog
	}
	found := PostHog
	_ = s.members(func(key string, _ bool) { // whoever reads it will find what is wrong
		switch {
		case key == "events" && s.peek() == '[':
			found = Amplitude
			s.fail("enough")
		case key == "batch":
			s.fail("enough")
		default:
			s.skipValue()
		}
	})
	return found
}
