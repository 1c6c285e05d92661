package indexfile

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Times are packed, as whole units since a base: clients send seconds or
// milliseconds, so the microseconds between need no bits.

// timesInfo is what the footer says about the times.
type timesInfo struct {
	base     int64
	unit     int64 // of timeUnits
	width    uint8 // in bits
	least    int64
	greatest int64
}

var timeUnits = [...]int64{catalog.Second, catalog.Millisecond, catalog.Microsecond}

// encodeTimes chooses the largest unit that loses nothing.
func encodeTimes(times *pages[int64]) (timesInfo, []part) {
	n := times.len()
	r := times.reader()
	if n == 0 {
		return timesInfo{unit: catalog.Microsecond}, nil
	}
	info := timesInfo{least: r.at(0), greatest: r.at(0)}
	unit := 0
	for i := range n {
		t := r.at(i)
		info.least, info.greatest = min(info.least, t), max(info.greatest, t)
		for t%timeUnits[unit] != 0 {
			unit++
		}
	}
	info.base, info.unit = info.least, timeUnits[unit]
	// The difference may pass the greatest int64, not the greatest uint64.
	info.width = packedWidth((uint64(info.greatest) - uint64(info.base)) / uint64(info.unit))
	offsets := pack(n, info.width, func(i int) uint64 {
		return (uint64(r.at(i)) - uint64(info.base)) / uint64(info.unit)
	})
	parts := []part{{kind: partTimes, bytes: offsets}}
	if n > BlockRows {
		var zones []byte
		for lo := 0; lo < n; lo += BlockRows {
			least, greatest := r.at(lo), r.at(lo)
			for i := lo; i < min(lo+BlockRows, n); i++ {
				t := r.at(i)
				least, greatest = min(least, t), max(greatest, t)
			}
			zones = binary.LittleEndian.AppendUint64(zones, uint64(least))
			zones = binary.LittleEndian.AppendUint64(zones, uint64(greatest))
		}
		parts = append(parts, part{kind: partTimeZones, bytes: zones})
	}
	return info, parts
}

// times reads them.
type times struct {
	packed packed
	info   timesInfo
}

func (t *times) at(i int) int64 {
	return t.info.base + int64(t.packed.at(i))*t.info.unit
}

// fill puts the times from row lo on into dst.
func (t *times) fill(dst []int64, lo int) {
	t.packed.unpack(dst, lo)
	base, unit := t.info.base, t.info.unit
	for i := range dst {
		dst[i] = base + dst[i]*unit
	}
}

// Times reads the raw times of rows in any order.
type Times struct{ times *times }

// Times is the column of raw times.
func (r *Reader) Times() (Times, error) {
	t, err := r.timeColumn()
	return Times{t}, err
}

// Array is Reader.TimeArray in the memory of dst, which is made longer if need be
// and given back. The array holds until dst is used again.
func (t Times) Array(dst []int64, lo, hi int) (arrow.Array, []int64) {
	if cap(dst) < hi-lo {
		dst = make([]int64, hi-lo)
	}
	dst = dst[:hi-lo]
	t.times.fill(dst, lo)
	return fixedArray(catalog.TypeDatetime, raw(dst), nil, hi-lo, 0), dst
}

// At is the raw time of row i, in microseconds since 1970 UTC.
func (t Times) At(i int) int64 { return t.times.at(i) }
