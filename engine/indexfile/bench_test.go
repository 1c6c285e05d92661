package indexfile

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkDecode is what decoding a batch's codes takes, by coding.
func BenchmarkDecode(b *testing.B) {
	const rows = 1 << 16
	r := rand.New(rand.NewPCG(1, 1))
	for _, width := range []uint8{3, 5, 13, 15} {
		to := codeWidth(1 << width)
		p := packed{width: width, bytes: pack(rows, width, func(int) uint64 { return r.Uint64N(1 << width) })}
		bitmap, ends := make([]byte, rows/8), []uint32{}
		for i := range bitmap {
			bitmap[i] = byte(r.Uint32())
		}
		for end := 0; end < rows; {
			end = min(rows, end+1+r.IntN(22))
			ends = append(ends, uint32(end))
		}
		dst := aligned(rows * int(to))
		for coding := codingPacked; coding <= codingRuns; coding++ {
			if coding == codingUsers {
				continue // as runs are
			}
			s := slotNumbers{coding: coding, packed: p, ranks: newRanks(bitmap), ends: ends}
			b.Run(fmt.Sprintf("%s/%d-bits", codingNames[coding], width), func(b *testing.B) {
				for b.Loop() {
					s.fill(dst, to, 0, rows)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			})
		}
	}
}
