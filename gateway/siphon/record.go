package siphon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
)

// Request is a copied request: all that is needed to send it again.
type Request struct {
	Stamp Stamp
	// Status is what the gateway answered; 0 where the copy was kept unanswered.
	Status int
	Method string
	// URI is the path and the query, as they were sent.
	URI    string
	Header http.Header
	Body   []byte
}

// A record is
//
//	magic    4 bytes  a7 's' 'p' 'h'
//	size     u32      of all that follows sum
//	sum      u32      CRC-32C of the segment's salt and all that follows it
//	time     u64      of the stamp, nanoseconds
//	edge     u32
//	status   u16
//	method, URI       uvarint length, bytes
//	headers           uvarint count, then name and value of each
//	body              u32 length, bytes
//
// with integers in little endian. The magic is there to find the next record
// behind a damaged one. The salt is there because bodies are what anybody sends:
// without knowing it nobody can put into one what looks like a record.
const (
	recordMagic = "\xa7sph"
	recordHead  = 12
	fixedHead   = 14
	// maxRecordBytes bounds what a reader believes of a size.
	maxRecordBytes = MaxBodyBytes + maxHeadBytes
	// maxHeadBytes is the most that method, URI and headers take. net/http lets
	// fewer through.
	maxHeadBytes = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errRecord says that bytes are no whole record.
var errRecord = errors.New("not a whole record")

// appendHead writes a record up to its body, whose length and whatever depends
// on it finish fills in.
func appendHead(b []byte, s Stamp, method, uri string, h http.Header) []byte {
	b = append(b, recordMagic...)
	b = append(b, make([]byte, recordHead-len(recordMagic))...)
	b = binary.LittleEndian.AppendUint64(b, s.Time)
	b = binary.LittleEndian.AppendUint32(b, s.Edge)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = appendText(appendText(b, method), uri)
	n := 0
	for _, values := range h {
		n += len(values)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for name, values := range h {
		for _, v := range values {
			b = appendText(appendText(b, name), v)
		}
	}
	return append(b, 0, 0, 0, 0)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// finish fills in what was not known when the record began: body is where its
// body starts.
func finish(b []byte, body, status int) {
	binary.LittleEndian.PutUint32(b[body-4:], uint32(len(b)-body))
	binary.LittleEndian.PutUint16(b[recordHead+12:], uint16(status))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-recordHead))
}

// seal fills in the sum, for the segment with the salt.
func seal(b []byte, salt salt) {
	binary.LittleEndian.PutUint32(b[8:], salt.sum(b[recordHead:]))
}

// salt is a segment's random number.
type salt [8]byte

func (s salt) sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, b)
}

// decodeRecord reads the record that b begins with and gives its length. The
// request's body is part of b.
func decodeRecord(b []byte, salt salt) (r Request, n int, err error) {
	if len(b) < recordHead+fixedHead || string(b[:4]) != recordMagic {
		return r, 0, errRecord
	}
	size := int(binary.LittleEndian.Uint32(b[4:]))
	if size < fixedHead || size > maxRecordBytes || size > len(b)-recordHead {
		return r, 0, errRecord
	}
	n = recordHead + size
	d := decoder{b: b[recordHead:n]}
	if salt.sum(d.b) != binary.LittleEndian.Uint32(b[8:]) {
		return r, 0, errRecord
	}
	r.Stamp = Stamp{Time: binary.LittleEndian.Uint64(d.b), Edge: binary.LittleEndian.Uint32(d.b[8:])}
	r.Status = int(binary.LittleEndian.Uint16(d.b[12:]))
	d.b = d.b[fixedHead:]
	r.Method = d.text()
	r.URI = d.text()
	headers := d.count()
	r.Header = make(http.Header, headers)
	for range headers {
		name := d.text()
		r.Header[name] = append(r.Header[name], d.text())
	}
	if len(d.b) < 4 || int(binary.LittleEndian.Uint32(d.b)) != len(d.b)-4 {
		d.bad = true
	}
	if d.bad {
		return r, 0, fmt.Errorf("%w: its sum is right and its content is not", errRecord)
	}
	r.Body = d.b[4:]
	return r, n, nil
}

// decoder reads a record's texts and remembers whether they were there.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) count() int {
	n, used := binary.Uvarint(d.b)
	if used <= 0 || n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[used:]
	return int(n)
}

func (d *decoder) text() string {
	n := d.count()
	if n > len(d.b) { // what the count took is gone from b
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
