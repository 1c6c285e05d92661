package track

import (
	"bytes"
	"fmt"
	"unsafe"

	"arbor/catalog"
)

// Decoder reads Mixpanel's events,
//
//	{"event": NAME, "properties": {"token": T, "time": T, "distinct_id": ID, "$insert_id": ID, …}}
//
// of which time, distinct_id, $insert_id and token become the event's own
// fields, and all else its properties. Beside event and properties a record may
// hold what it likes; it is not kept. A Decoder is reused for its buffers, by one
// goroutine at a time. The zero value is ready.
type Decoder struct {
	scanner    scanner
	inner      scanner // of objects inside a message of another dialect
	outlines   outlines
	reading    reading
	values     []catalog.Value // of an object's keys, by their places
	properties []catalog.Property
	options    Options
	// take is given each record.
	take func(*Record) error
	// records counts those of the request, failed are those that are no good.
	records int
	failed  []RecordError
}

// byteOrderMark starts texts that some Windows programs write.
var byteOrderMark = []byte("\xef\xbb\xbf")

// Decode reads the texts of one request, each a JSON value, a JSON array of
// records, or several of either with white space between them. It gives take
// each readable record in turn, and returns what is wrong with the others, in
// their order; both hold until the next call, while the texts are not changed. An
// error, which may be take's, means that nothing of the request can be used,
// though take may have got records by then.
func (d *Decoder) Decode(texts [][]byte, o Options, take func(*Record) error) ([]RecordError, error) {
	if o.MaxRecords == 0 {
		o.MaxRecords = DefaultMaxRecords
	}
	if d.outlines.full() {
		d.outlines = outlines{}
	}
	d.options, d.take = o, take
	defer func() { d.take = nil }()
	d.scanner.arena = d.scanner.arena[:0]
	d.records, d.failed = 0, d.failed[:0]
	for _, text := range texts {
		d.scanner.reset(bytes.TrimPrefix(text, byteOrderMark))
		if err := d.text(); err != nil {
			return nil, err
		}
	}
	if d.records == 0 {
		return nil, fmt.Errorf("%w: send a JSON array of events, or one JSON object a line", ErrEmpty)
	}
	return d.failed, nil
}

// Footprint is about how many bytes the decoder's buffers have.
func (d *Decoder) Footprint() int {
	return cap(d.scanner.arena) + cap(d.scanner.stack) + cap(d.inner.arena) + cap(d.inner.stack) + cap(d.properties)*int(unsafe.Sizeof(catalog.Property{})) +
		cap(d.values)*int(unsafe.Sizeof(catalog.Value{})) + cap(d.failed)*int(unsafe.Sizeof(RecordError{})) +
		d.outlines.bytes + d.outlines.nodes*int(unsafe.Sizeof(node{}))
}

// text reads the records of the scanner's text.
func (d *Decoder) text() error {
	s := &d.scanner
	for {
		c := s.peek()
		if s.i >= len(s.b) {
			return nil
		}
		if c == '[' {
			if err := d.array(); err != nil {
				return err
			}
			continue
		}
		start := s.i
		if err := d.record(); err != nil {
			return err
		}
		if s.err != nil {
			return d.lines(start)
		}
	}
}

// array reads an array of records.
func (d *Decoder) array() error {
	s := &d.scanner
	s.i++
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if err := d.record(); err != nil {
			return err
		}
		switch c := s.peek(); {
		case s.err != nil:
			return fmt.Errorf("%w, in event %d; nothing of the request was stored", s.err, d.records-1)
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

// lines goes on after a broken record that starts at start and is not in an
// array. From here on each line is a text of its own, so that what is broken
// costs its own line, and each is read once.
func (d *Decoder) lines(start int) error {
	s := &d.scanner
	text := s.b
	d.fail("", "", s.err.Error())
	at := lineEnd(text, start)
	for at < len(text) {
		end := lineEnd(text, at+1)
		s.b, s.i, s.err = text[:end], at+1, nil
		for s.peek(); s.i < len(s.b) && s.err == nil; s.peek() {
			if err := d.record(); err != nil {
				return err
			}
		}
		if s.err != nil {
			d.fail("", "", s.err.Error())
		}
		at = end
	}
	return nil
}

// lineEnd is the place of the first line feed at or after from, or the text's end.
func lineEnd(text []byte, from int) int {
	if n := bytes.IndexByte(text[from:], '\n'); n >= 0 {
		return from + n
	}
	return len(text)
}

// record reads one record. A fault of the record itself is noted and the
// scanner is behind it; a syntax error is left in the scanner, with the record
// counted and not given. The error is take's, or that there are too many.
func (d *Decoder) record() error {
	if err := d.count(); err != nil {
		return err
	}
	s := &d.scanner
	if s.peek() != '{' {
		if s.skipValue(); s.err == nil {
			d.fail("", "", "the record is not an object; send {\"event\": …, \"properties\": {…}}")
		}
		return nil
	}
	r := &d.reading
	*r = reading{decoder: d}
	d.properties = d.properties[:0]
	r.read()
	if s.err != nil {
		return nil
	}
	return r.finish()
}

// count counts one more record.
func (d *Decoder) count() error {
	if d.records >= d.options.MaxRecords {
		return fmt.Errorf("%w: at most %d are allowed; send smaller batches", ErrTooManyRecords, d.options.MaxRecords)
	}
	d.records++
	return nil
}

// fail notes that the record read last is refused.
func (d *Decoder) fail(insertID, field, message string) {
	d.failed = append(d.failed, RecordError{
		Index: d.records - 1, InsertID: insertID, Field: field, Message: message,
	})
}
