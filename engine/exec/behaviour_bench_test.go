package exec

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkBehaviour measures a step of 64 users' states side by side, as an
// executor keeps them.
func BenchmarkBehaviour(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, name := range []string{"funnel ", "funnel strict_increase", "funnel strict_order", "retention", "sessions", "match", "count", "count plain"} {
		behaviour := everyBehaviour(b)[name]
		b.Run(strings.ReplaceAll(strings.TrimSpace(name), " ", "-"), func(b *testing.B) {
			const users = 64
			words := behaviour.Words()
			state := make([]int64, users*words)
			masks := make([]uint64, 1024)
			for i := range masks {
				if behaviour.Conditions() > 0 {
					masks[i] = 1 << rng.IntN(behaviour.Conditions())
				}
			}
			time := int64(0)
			for i := 0; b.Loop(); i++ {
				if i%(users*16) == 0 {
					clear(state)
				}
				time += second / 16
				u := i % users
				behaviour.Step(state[u*words:(u+1)*words], time, masks[i%len(masks)])
			}
		})
	}
}
