package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// wantedPlaces says which places of the row of the last of some nodes the others
// look at.
func wantedPlaces(ctx *sql.Context, nodes []sql.Node, width int, everything bool) []bool {
	all := slices.Repeat([]bool{true}, width)
	if everything {
		return all
	}
	var wanted map[int]bool // nil is all
	for _, n := range nodes[:len(nodes)-1] {
		switch n := n.(type) {
		case *plan.PrependNode:
			if wanted == nil {
				continue
			}
			shifted := map[int]bool{}
			for place := range wanted {
				shifted[place-len(n.Row)] = true
			}
			wanted = shifted
		case *plan.Project:
			next := map[int]bool{}
			for i, e := range n.Projections {
				if _, bare := bareColumn(e); !bare || wanted == nil || wanted[i] {
					notePlaces(ctx, e, next)
				}
			}
			wanted = next
		case sql.Expressioner:
			if wanted != nil {
				for _, e := range n.Expressions() {
					notePlaces(ctx, e, wanted)
				}
			}
		}
	}
	if wanted == nil {
		return all
	}
	out := make([]bool, width)
	for i := range out {
		out[i] = wanted[i]
	}
	return out
}

func notePlaces(ctx *sql.Context, e sql.Expression, places map[int]bool) {
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		if f, ok := e.(*expression.GetField); ok {
			places[f.Index()] = true
		}
		return true
	})
}
