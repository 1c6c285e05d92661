package exec

import "encoding/binary"

// validWord is the validity of the 64 rows from i on, bit 0 the first; bits beyond
// the vector's end say nothing. The vector has nulls.
func (v *Vector) validWord(i int) uint64 {
	i += v.validAt
	at, shift := i>>3, i&7
	if at+9 <= len(v.valid) {
		return binary.LittleEndian.Uint64(v.valid[at:])>>shift | uint64(v.valid[at+8])<<(64-shift)
	}
	var word uint64
	for k := 0; k < 9 && at+k < len(v.valid); k++ {
		if k*8-shift < 0 {
			word |= uint64(v.valid[at+k]) >> shift
		} else {
			word |= uint64(v.valid[at+k]) << (k*8 - shift)
		}
	}
	return word
}

// clearNulls makes the numbers of rows from lo on that are null nullID.
func (v *Vector) clearNulls(out []uint32, lo int) {
	if v.valid == nil {
		return
	}
	for w := 0; w < len(out); w += 64 {
		word := v.validWord(lo + w)
		rows := out[w:min(w+64, len(out))]
		switch {
		case word == ^uint64(0):
		case word == 0:
			clear(rows)
		default:
			for i := range rows {
				rows[i] &= -uint32(word >> i & 1)
			}
		}
	}
}

// settle takes the rows that are null out of said, and adds them to nulls; both may
// be nil.
func (v *Vector) settle(said, nulls Bitmap) {
	for w := 0; w*64 < v.Rows; w++ {
		word := v.validWord(w * 64)
		if said != nil {
			said[w] &= word
		}
		if nulls != nil {
			nulls[w] |= ^word
			if rest := v.Rows - w*64; rest < 64 {
				nulls[w] &= 1<<rest - 1
			}
		}
	}
}
