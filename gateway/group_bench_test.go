package gateway

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkGroupPlan is what a small statement with a group costs, of which most is
// planning.
func BenchmarkGroupPlan(b *testing.B) {
	w := newSQLWorld(b)
	w.fillRandomly(rand.New(rand.NewPCG(1, 1)), 50)
	stock := w.stockGroups()
	stock.must("USE shop")
	for name, q := range map[string]string{
		"count":  "SELECT COUNT(*) FROM events WHERE event = 'e1'",
		"keys":   "SELECT event, COUNT(*), SUM(n) FROM events WHERE time >= '2026-01-11' GROUP BY event",
		"scalar": "SELECT DATE_FORMAT(time, '%Y-%m-%d') AS day, COUNT(DISTINCT distinct_id) FROM events WHERE s LIKE '%o%' GROUP BY day ORDER BY day",
	} {
		for kind, world := range map[string]*sqlWorld{"pushed": w, "stock": stock} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				for b.Loop() {
					world.must(q)
				}
			})
		}
	}
}
