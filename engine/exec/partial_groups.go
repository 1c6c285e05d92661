package exec

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"arbor/catalog"
)

// groupWriter writes groups as pieces of a partial.
type groupWriter struct {
	g       *Grouper
	out     *PartialWriter
	body    []byte
	columns []writtenColumn // by number
	keys    []uint32
	// elements are those of the state at hand that has many.
	elements []uint32
}

// writtenColumn is the values of a column that a piece has.
type writtenColumn struct {
	// numbers has, by number in the domain, the piece's number in the high half and
	// the value's number in that piece, from 1 on, in the low one.
	numbers []uint64
	count   uint32
	values  []byte
}

// WritePartial writes what the Grouper has, as pieces. Nothing may be added to it
// before or after; there is no order and no limit in it.
func (g *Grouper) WritePartial(out *PartialWriter) error {
	w := &groupWriter{g: g, out: out, columns: make([]writtenColumn, g.plan.Fragment.columnCount())}
	for _, t := range g.tables {
		if q, ok := t.(*percentiles); ok && q.owner {
			q.histogram.list()
		}
	}
	for _, group := range g.existing() {
		if err := w.write(group); err != nil {
			return err
		}
	}
	return w.flush()
}

// write writes a group, and goes on with its large states in pieces of their own.
func (w *groupWriter) write(group uint32) error {
	w.keys = w.g.keyIDs(group, w.keys)
	w.body = append(w.body, recordGroup)
	w.putKeys()
	w.number(uint64(w.g.rows[group]))
	more := make([]int, len(w.g.tables))
	for i, t := range w.g.tables {
		more[i] = t.put(w, group, 0)
	}
	if err := w.flushFull(); err != nil {
		return err
	}
	for i, from := range more {
		if from == 0 {
			continue
		}
		w.elements = nil // of another state
		for from > 0 {
			w.body = append(w.body, recordMore)
			w.putKeys()
			w.number(uint64(i))
			from = w.g.tables[i].put(w, group, from)
			if err := w.flushFull(); err != nil {
				return err
			}
		}
		w.elements = nil
	}
	return nil
}

func (w *groupWriter) putKeys() {
	for k, id := range w.keys {
		w.value(w.g.group.Keys[k], id)
	}
}

// number writes a number.
func (w *groupWriter) number(n uint64) { w.body = binary.AppendUvarint(w.body, n) }

// signed writes a number that may be less than 0.
func (w *groupWriter) signed(n int64) { w.body = binary.AppendVarint(w.body, n) }

// value writes a column's value by its number in the domain.
func (w *groupWriter) value(column int, id uint32) {
	if id == nullID {
		w.body = append(w.body, 0)
		return
	}
	c := &w.columns[column]
	domain := w.g.plan.domains[column]
	if int(id) >= len(c.numbers) {
		c.numbers = append(c.numbers, make([]uint64, max(domain.Len(), int(id)+1)-len(c.numbers))...)
	}
	piece := w.out.number + 1
	if c.numbers[id]>>32 != piece&math.MaxUint32 {
		c.count++
		c.numbers[id] = piece<<32 | uint64(c.count)
		c.values = appendPieceValue(c.values, domain.all()[id], domain.Type)
	}
	w.number(c.numbers[id] & math.MaxUint32)
}

// flushFull ends the piece if it is large enough.
func (w *groupWriter) flushFull() error {
	size := len(w.body)
	for i := range w.columns {
		size += len(w.columns[i].values)
	}
	if size < w.out.pieceBytes {
		return nil
	}
	return w.flush()
}

func (w *groupWriter) flush() error {
	if len(w.body) == 0 {
		return nil
	}
	used := 0
	for i := range w.columns {
		if w.columns[i].count > 0 {
			used++
		}
	}
	bodies := [][]byte{binary.AppendUvarint(nil, uint64(used))}
	for i := range w.columns {
		if c := &w.columns[i]; c.count > 0 {
			bodies = append(bodies, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(i)), uint64(c.count)), c.values)
		}
	}
	if err := w.out.write(pieceGroups, append(bodies, w.body)...); err != nil {
		return err
	}
	for i := range w.columns {
		w.columns[i].count, w.columns[i].values = 0, w.columns[i].values[:0]
	}
	w.body = w.body[:0]
	return nil
}

// appendPieceValue appends a value that is not null as its type has it.
func appendPieceValue(dst []byte, v catalog.Value, t catalog.Type) []byte {
	switch t {
	case catalog.TypeInt, catalog.TypeDatetime:
		return binary.AppendVarint(dst, v.Int())
	case catalog.TypeDouble:
		return binary.LittleEndian.AppendUint64(dst, v.Bits)
	case catalog.TypeBool:
		return append(dst, boolByte(v.Bits != 0))
	}
	return appendText(dst, v.Text)
}

// pieceValue reads what appendPieceValue wrote.
func (d *decoder) pieceValue(t catalog.Type) catalog.Value {
	switch t {
	case catalog.TypeInt, catalog.TypeDatetime:
		return catalog.Int(d.varint())
	case catalog.TypeDouble:
		return catalog.Value{Kind: catalog.KindDouble, Bits: d.word()}
	case catalog.TypeBool:
		return catalog.Bool(d.bool())
	}
	n := d.below(uint64(len(d.rest)) + 1)
	if n > uint64(len(d.rest)) { // the length took some
		d.bad = true
		return catalog.Null
	}
	v := catalog.Value{Kind: textKind(t), Text: string(d.rest[:n])}
	d.rest = d.rest[n:]
	if t == catalog.TypeDecimal {
		if _, ok := parseNumber(v.Text); !ok {
			d.bad = true
		}
	}
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) word() uint64 {
	if d.bad || len(d.rest) < 8 {
		d.bad = true
		return 0
	}
	v := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return v
}

// count reads how many there are of what takes at least size bytes each.
func (d *decoder) count(size int) int {
	return int(d.below(uint64(len(d.rest)/size) + 1))
}

// groupReader reads pieces into a Grouper.
type groupReader struct {
	decoder
	g       *Grouper
	columns [][]uint32 // numbers in the domain, by number in the piece
}

// addPiece adds the groups of a piece's body.
func (g *Grouper) addPiece(body []byte) error {
	r := &groupReader{decoder: decoder{rest: body}, g: g, columns: make([][]uint32, g.plan.Fragment.columnCount())}
	if err := r.readColumns(); err != nil {
		return err
	}
	for len(r.rest) > 0 && !r.bad {
		if err := r.record(); err != nil {
			return err
		}
	}
	if r.bad {
		return fmt.Errorf("%w: groups of %d bytes are damaged", ErrPartial, len(body))
	}
	if err := g.checkGroups(); err != nil {
		return err
	}
	return g.plan.checkDomains()
}

// readColumns gives the piece's values their numbers here.
func (r *groupReader) readColumns() error {
	last := -1
	for range r.count(3) {
		column := int(r.below(uint64(len(r.columns))))
		if column <= last {
			r.bad = true
		}
		if r.bad {
			return nil
		}
		last = column
		domain := r.g.plan.domains[column]
		ids := make([]uint32, 1, r.count(1)+1)
		domain.mu.Lock()
		for len(ids) < cap(ids) && !r.bad {
			v := r.pieceValue(domain.Type)
			if !r.bad {
				ids = append(ids, domain.number(v))
			}
		}
		domain.publish()
		domain.mu.Unlock()
		r.columns[column] = slices.Clip(ids)
	}
	return nil
}

// value reads a column's value: its number in the domain here.
func (r *groupReader) value(column int) uint32 {
	n := r.below(uint64(max(1, len(r.columns[column]))))
	if n == 0 {
		return nullID
	}
	return r.columns[column][n]
}

func (r *groupReader) record() error {
	kind := r.byte()
	ids := make([]uint32, len(r.g.group.Keys))
	for k, column := range r.g.group.Keys {
		ids[k] = r.value(column)
	}
	if r.bad {
		return nil
	}
	group, err := r.g.groupOf(ids)
	if err != nil {
		return err
	}
	switch kind {
	case recordGroup:
		rows := int64(r.below(1 << 62))
		if rows == 0 && len(ids) > 0 {
			r.bad = true
			return nil
		}
		if r.g.counted {
			r.g.rows[group] += rows
		} else if rows > 0 {
			r.g.rows[group] = 1
		}
		for _, t := range r.g.tables {
			if err := t.get(r, group); err != nil || r.bad {
				return err
			}
		}
		return nil
	case recordMore:
		if n := r.below(uint64(len(r.g.tables))); !r.bad && (r.g.rows[group] > 0 || len(ids) == 0) {
			return r.g.tables[n].get(r, group)
		}
	}
	r.bad = true
	return nil
}
