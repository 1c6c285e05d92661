package dataset

import (
	"math"
	"math/rand/v2"
)

// sampler draws numbers with given weights in constant time, by Walker's alias
// method: each number owns an equal share of the line, and gives what it does
// not need of it to one other.
type sampler struct {
	keep  []float64 // of its share, how much a number keeps
	other []int32   // who has the rest
}

func newSampler(weights []float64) sampler {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	n := len(weights)
	s := sampler{make([]float64, n), make([]int32, n)}
	var poor, rich []int32
	for i, w := range weights {
		s.keep[i] = w * float64(n) / sum
		if s.keep[i] < 1 {
			poor = append(poor, int32(i))
		} else {
			rich = append(rich, int32(i))
		}
	}
	for len(poor) > 0 && len(rich) > 0 {
		p, r := poor[len(poor)-1], rich[len(rich)-1]
		poor = poor[:len(poor)-1]
		s.other[p] = r
		if s.keep[r] -= 1 - s.keep[p]; s.keep[r] < 1 {
			rich, poor = rich[:len(rich)-1], append(poor, r)
		}
	}
	for _, i := range append(poor, rich...) {
		s.keep[i] = 1 // but for rounding
	}
	return s
}

func (s sampler) next(r *rand.Rand) int {
	i := r.IntN(len(s.keep))
	if r.Float64() < s.keep[i] {
		return i
	}
	return int(s.other[i])
}

// zipf gives weights that fall with the rank: 1/(rank+offset)^exponent.
func zipf(n int, exponent, offset float64) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = math.Pow(float64(i)+offset, -exponent)
	}
	return w
}
