package indexfile

import (
	"encoding/binary"
)

// fill puts the numbers from lo on into dst, as integers of width bytes each,
// which hold them.
func (p *packed) fill(dst []byte, width uint8, lo int) {
	switch {
	case p.width == 0:
		fillPattern(dst, pattern(p.base, width), 0, len(dst))
	case width == 1:
		unpack8(dst, p, lo)
	case width == 2:
		unpack16(view[uint16](dst), p, lo)
	case width == 4:
		out := view[uint32](dst)
		mask := uint64(1)<<p.width - 1
		bit := lo * int(p.width)
		for i := range out {
			out[i] = uint32(p.base + binary.LittleEndian.Uint64(p.bytes[bit>>3:])>>(bit&7)&mask)
			bit += int(p.width)
		}
	default:
		p.unpack(view[int64](dst), lo)
	}
}

// unpack8 takes eight numbers at a time out of one word: it moves the upper four
// to the upper half, then in each half the upper two, then in each quarter the
// upper one. The base is 0, the numbers have 8 bits at most.
func unpack8(dst []byte, p *packed, lo int) {
	w := int(p.width)
	bit := lo * w
	for len(dst) > 0 && (w == 8 || len(dst) < 8) {
		dst[0] = byte(p.at(lo)) // whole bytes, or fewer than eight
		dst, lo = dst[1:], lo+1
	}
	const halves, quarters, eighths = 0x0000000100000001, 0x0001000100010001, 0x0101010101010101
	four, two, one := uint64(1)<<(4*w)-1, (uint64(1)<<(2*w)-1)*halves, (uint64(1)<<w-1)*quarters
	shift4, shift2, shift1 := (32-4*w)&63, (16-2*w)&63, (8-w)&63
	up4, up2, up1 := four<<(4*w&63), two<<(2*w&63), one<<(w&63)
	shift := bit & 7
	at := bit >> 3
	for len(dst) >= 8 {
		x := binary.LittleEndian.Uint64(p.bytes[at:]) >> (shift & 63)
		x = x&four | x&up4<<shift4
		x = x&two | x&up2<<shift2
		x = x&one | x&up1<<shift1
		binary.LittleEndian.PutUint64(dst, x)
		dst, at, lo = dst[8:], at+w, lo+8
	}
	for i := range dst {
		dst[i] = byte(p.at(lo + i))
	}
}

// unpack16 is unpack8 for numbers of 15 bits at most, four at a time. They start
// at a multiple of four bits, so that one word always holds four.
func unpack16(dst []uint16, p *packed, lo int) {
	for len(dst) > 0 && lo%4 != 0 {
		dst[0] = uint16(p.at(lo))
		dst, lo = dst[1:], lo+1
	}
	w := int(p.width)
	if w <= 15 {
		const halves = 0x0000000100000001
		two, one := uint64(1)<<(2*w)-1, (uint64(1)<<w-1)*halves
		up2, up1 := two<<(2*w&63), one<<(w&63)
		shift2, shift1 := (32-2*w)&63, (16-w)&63
		bit := lo * w
		out := raw(dst)
		for len(out) >= 8 {
			x := binary.LittleEndian.Uint64(p.bytes[bit>>3:]) >> (bit & 7)
			x = x&two | x&up2<<shift2
			x = x&one | x&up1<<shift1
			binary.LittleEndian.PutUint64(out, x)
			out, bit, lo = out[8:], bit+4*w, lo+4
		}
		dst = dst[len(dst)-len(out)/2:]
	}
	for i := range dst {
		dst[i] = uint16(p.at(lo + i))
	}
}
