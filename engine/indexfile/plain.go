package indexfile

import (
	"encoding/binary"
	"io"
	"math"

	"arbor/catalog"
)

// plainValues are a column's values when nothing of it was put aside, as nearly always:
// arrays that loops go over, where a valueReader is asked for one value after the other.
type plainValues struct {
	codes   []uint32
	dense   int      // values whose rows are their places
	rows    []uint32 // of the values after those
	entries []valueEntry
}

// plain gives them, or says that there is more.
func (b *valueBuilder) plain() (p plainValues, ok bool) {
	if b.codes.ended > 0 || b.rows.ended > 0 || len(b.aside.epochs) > 0 {
		return p, false
	}
	return plainValues{b.codes.tail, b.dense, b.rows.tail, b.entries}, true
}

// row is the ordinal of the i-th value.
func (p *plainValues) row(i int) int {
	if i < p.dense {
		return i
	}
	return int(p.rows[i-p.dense])
}

// all reports whether each of so many rows has a value.
func (p *plainValues) all(rows int) bool { return p.dense == rows }

// runs is valueBuilder.runs.
func (p *plainValues) runs(users []uint32) (runs int, byUser bool) {
	if len(p.codes) == 0 {
		return 0, users != nil
	}
	last := p.codes[0]
	runs = 1
	for _, code := range p.codes[1:] {
		if code != last {
			runs++
		}
		last = code
	}
	return runs, users != nil && p.byUser(users)
}

// byUser reports whether each user has one value at most.
func (p *plainValues) byUser(users []uint32) bool {
	i := 0
	for _, end := range users {
		first := i
		for ; i < len(p.codes) && p.row(i) < int(end); i++ {
			if p.codes[i] != p.codes[first] {
				return false
			}
		}
	}
	return true
}

// presence is a bitmap of the rows that have a value.
func (p *plainValues) presence(rows int) []byte {
	bits := make([]byte, bitmapLen(rows))
	for i := range p.dense {
		bitSet(bits, i)
	}
	for _, row := range p.rows {
		bitSet(bits, int(row))
	}
	return bits
}

// numbers puts the numbers of the values from lo on into dst: those that the codes have
// in of, or the codes without it.
func (p *plainValues) numbers(dst []uint64, lo int, of []uint64) {
	codes := p.codes[lo : lo+len(dst)]
	if of == nil {
		for i, code := range codes {
			dst[i] = uint64(code)
		}
		return
	}
	for i, code := range codes {
		dst[i] = of[code]
	}
}

// slotNumbers gives the numbers of slots piece by piece: fill puts those of the next ones
// into dst, 0 where there is no value.
func (p *plainValues) slotNumbers(info *columnInfo, rows int, of []uint64) (fill func(dst []uint64, lo int)) {
	if info.placement == placeSparse || p.all(rows) {
		return func(dst []uint64, lo int) { p.numbers(dst, lo, of) }
	}
	i := 0
	return func(dst []uint64, lo int) {
		clear(dst)
		hi := lo + len(dst)
		for ; i < len(p.codes); i++ {
			row := p.row(i)
			if row >= hi {
				break
			}
			n := uint64(p.codes[i])
			if of != nil {
				n = of[n]
			}
			dst[row-lo] = n
		}
	}
}

// encode is coder.encode.
func (p *plainValues) encode(k *coder, info *columnInfo, kind partKind, of []uint64) []part {
	switch info.coding {
	case codingWhole:
		return []part{wholePart(kind, info.slots, info.width, p.slotNumbers(info, k.rows, of))}
	case codingRanked:
		return []part{packedPart(kind, len(p.codes), info.bits, func(dst []uint64, lo int) { p.numbers(dst, lo, of) })}
	case codingUsers:
		// A user without a value has the first number there is: none is asked for.
		i := 0
		return []part{packedPart(kind, len(k.users), info.bits, func(dst []uint64, lo int) {
			for u := range dst {
				dst[u] = 0
				end := int(k.users[lo+u])
				first := i
				for i < len(p.codes) && p.row(i) < end {
					i++
				}
				if i > first {
					p.numbers(dst[u:u+1], first, of)
				}
			}
		})}
	case codingRuns:
		return p.encodeRuns(info, kind, of)
	}
	return []part{packedPart(kind, info.slots, info.bits, p.slotNumbers(info, k.rows, of))}
}

func (p *plainValues) encodeRuns(info *columnInfo, kind partKind, of []uint64) []part {
	var lengths []byte
	firsts := make([]uint32, 0, info.runs) // the values that runs begin with
	start := 0
	for i, code := range p.codes {
		if i > 0 && code == p.codes[i-1] {
			continue
		}
		if i > 0 {
			slot := i
			if info.placement != placeSparse {
				slot = p.row(i)
			}
			lengths = binary.AppendUvarint(lengths, uint64(slot-start))
			start = slot
		}
		firsts = append(firsts, code)
	}
	lengths = binary.AppendUvarint(lengths, uint64(info.slots-start))
	runs := plainValues{codes: firsts}
	return []part{
		packedPart(kind, len(firsts), info.bits, func(dst []uint64, lo int) { runs.numbers(dst, lo, of) }),
		{kind: partRunEnds, bytes: lengths, cold: true},
	}
}

// zones are the least and the greatest code of each block; see emptyZone.
func (p *plainValues) zones(rows int) []uint32 {
	zones := make([]uint32, 2*blocks(rows))
	i := 0
	for block := range blocks(rows) {
		end := p.blockEnd(i, min((block+1)*BlockRows, rows))
		least, greatest := uint32(emptyZone), uint32(0)
		for _, code := range p.codes[i:end] {
			least, greatest = min(least, code), max(greatest, code)
		}
		zones[2*block], zones[2*block+1] = least, greatest
		i = end
	}
	return zones
}

// blockEnd is where the values before a row end; those before from are.
func (p *plainValues) blockEnd(from, row int) int {
	if row <= p.dense {
		return row
	}
	for from = max(from, p.dense); from < len(p.codes) && int(p.rows[from-p.dense]) < row; from++ {
	}
	return from
}

// numberZones is valueBuilder.numberZones.
func (p *plainValues) numberZones(kind catalog.Kind, rows int) []byte {
	var out []byte
	i := 0
	for block := range blocks(rows) {
		end := p.blockEnd(i, min((block+1)*BlockRows, rows))
		least, greatest := emptyNumberZone(kind)
		if kind == catalog.KindInt {
			a, b := least.Int(), greatest.Int()
			for _, code := range p.codes[i:end] {
				n := int64(p.entries[code].bits)
				a, b = min(a, n), max(b, n)
			}
			least, greatest = catalog.Int(a), catalog.Int(b)
		} else {
			a, b := least.Double(), greatest.Double()
			for _, code := range p.codes[i:end] {
				n := math.Float64frombits(p.entries[code].bits)
				if n != n {
					return nil
				}
				if n < a {
					a = n
				}
				if b < n {
					b = n
				}
			}
			least, greatest = catalog.Double(a), catalog.Double(b)
		}
		out = binary.LittleEndian.AppendUint64(out, least.Bits)
		out = binary.LittleEndian.AppendUint64(out, greatest.Bits)
		i = end
	}
	return out
}

// packedPart is packPart where fill gives some of the values at a time, in order: those
// from lo on.
func packedPart(kind partKind, n int, width uint8, fill func(dst []uint64, lo int)) part {
	return part{kind: kind, write: func(w io.Writer) error {
		if packedLen(n, width) == 0 {
			return nil
		}
		room := make([]byte, packedLen(min(n, pieceValues), width))
		values := make([]uint64, min(n, pieceValues))
		for lo := 0; lo < n; lo += pieceValues {
			some := values[:min(n-lo, pieceValues)]
			fill(some, lo)
			b := room[:packedLen(len(some), width)]
			clear(b)
			packWords(b, some, width)
			if lo+len(some) < n {
				b = b[:len(b)-packedSpare]
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}}
}

// packWords is packInto of some values.
func packWords(out []byte, values []uint64, width uint8) {
	word, used, w := uint64(0), uint(0), uint(width)
	for _, v := range values {
		word |= v << (used & 63)
		if used += w; used >= 64 {
			binary.LittleEndian.PutUint64(out, word)
			out = out[8:]
			used -= 64
			word = v >> (w - used)
		}
	}
	for ; used > 0; used -= min(used, 8) {
		out[0] = byte(word)
		out, word = out[1:], word>>8
	}
}

// wholePart is an array of numbers of width bytes, which fill gives as packedPart says.
func wholePart(kind partKind, n int, width uint8, fill func(dst []uint64, lo int)) part {
	return part{kind: kind, write: func(w io.Writer) error {
		room := aligned(min(n, pieceValues) * int(width))
		values := make([]uint64, min(n, pieceValues))
		for lo := 0; lo < n; lo += pieceValues {
			some := values[:min(n-lo, pieceValues)]
			fill(some, lo)
			b := room[:len(some)*int(width)]
			switch width {
			case 1:
				for i, v := range some {
					b[i] = byte(v)
				}
			case 2:
				narrow(view[uint16](b), some)
			case 4:
				narrow(view[uint32](b), some)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}}
}

func narrow[T uint16 | uint32](dst []T, src []uint64) {
	for i := range dst {
		dst[i] = T(src[i])
	}
}
