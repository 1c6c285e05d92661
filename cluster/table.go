package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/engine/exec"
)

// A table on its way to another member:
//
//	columns  uvarint, then each: name (uvarint length, bytes), type, 1 byte
//	rows     uvarint, then each: for each column kind, 1 byte · bits, uvarint ·
//	         text (uvarint length, bytes)

// errTable: a table cannot be read.
var errTable = errors.New("bad table")

func appendTable(b []byte, t *exec.Table) []byte {
	text := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Columns)))
	for _, c := range t.Columns {
		text(c.Name)
		b = append(b, byte(c.Type))
	}
	b = binary.AppendUvarint(b, uint64(len(t.Rows)))
	for _, row := range t.Rows {
		for _, v := range row {
			b = binary.AppendUvarint(append(b, byte(v.Kind)), v.Bits)
			text(v.Text)
		}
	}
	return b
}

// tableReader reads what appendTable wrote.
type tableReader struct {
	b   []byte
	bad bool
}

func (r *tableReader) number(most uint64) uint64 {
	n, w := binary.Uvarint(r.b)
	if w <= 0 || n > most {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[w:]
	return n
}

func (r *tableReader) text() string {
	n := r.number(uint64(len(r.b)))
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *tableReader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func decodeTable(b []byte) (*exec.Table, error) {
	r := &tableReader{b: b}
	t := &exec.Table{}
	for n := r.number(uint64(len(b))); n > 0 && !r.bad; n-- {
		t.Columns = append(t.Columns, exec.TableColumn{Name: r.text(), Type: catalog.Type(r.byte())})
	}
	for n := r.number(uint64(len(b))); n > 0 && !r.bad; n-- {
		row := make([]catalog.Value, len(t.Columns))
		for i := range row {
			row[i] = catalog.Value{Kind: catalog.Kind(r.byte()), Bits: r.number(1<<64 - 1), Text: r.text()}
			r.bad = r.bad || row[i].Kind > catalog.KindJSON
		}
		t.Rows = append(t.Rows, row)
	}
	if r.bad || len(r.b) > 0 || len(t.Columns) == 0 {
		return nil, fmt.Errorf("%w: %d bytes, %d of them left", errTable, len(b), len(r.b))
	}
	return t, nil
}

// withMember is the table with a column that says whose rows these are.
func withMember(t *exec.Table, member string) *exec.Table {
	out := &exec.Table{Columns: append(t.Columns[:len(t.Columns):len(t.Columns)], exec.TableColumn{Name: "member", Type: catalog.TypeString})}
	for _, row := range t.Rows {
		out.Rows = append(out.Rows, append(row[:len(row):len(row)], catalog.String(member)))
	}
	return out
}
