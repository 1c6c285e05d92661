package indexfile

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// withCopies makes some rows copies of a row of their user, and gives the groups.
func withCopies(r *rand.Rand, rows []Row) (groups []Group) {
	for lo := 0; lo < len(rows); {
		hi := lo + 1
		for hi < len(rows) && rows[hi].DistinctID == rows[lo].DistinctID {
			hi++
		}
		if n := hi - lo; n > 1 && r.IntN(3) == 0 {
			order := r.Perm(n)[:2+r.IntN(min(n-1, 3))]
			g := Group{}
			for _, k := range order {
				rows[lo+k].InsertID = rows[lo+order[0]].InsertID
				g.Members = append(g.Members, Member{Ordinal: uint32(lo + k)})
			}
			groups = append(groups, g)
		}
		lo = hi
	}
	return groups
}

// TestRepeats leaves out the ids of copies, gives them back, and does not trust
// groups whose rows have other ids.
func TestRepeats(t *testing.T) {
	skipShort(t)
	for seed := range 30 {
		r := rand.New(rand.NewPCG(uint64(seed), 6))
		rows := randomShape(r, 300).make(r)
		shape := insertShapes[seed%len(insertShapes)]
		for i := range rows {
			rows[i].DistinctID = fmt.Sprint("user ", r.IntN(60))
			rows[i].InsertID = shape(r)
		}
		sortRows(rows)
		groups := withCopies(r, rows)
		for _, form := range forms {
			file := builtForm(t, rows, Meta{Groups: groups}, form)
			if err := file.Verify(t.Context()); err != nil {
				t.Fatalf("seed %d, form %v: verify: %v", seed, form, err)
			}
			if err := checkAll(file, rows); err != nil {
				t.Fatalf("seed %d, form %v: %v", seed, form, err)
			}
			if repeats := file.footer.insert.repeats; form.version == 1 && repeats || form.version > 1 && seed%len(insertShapes) == len(insertShapes)-1 && !repeats {
				t.Errorf("seed %d, form %v: repeats left out: %v", seed, form, repeats)
			}
		}
		wrong := append(groups[:len(groups):len(groups)], Group{Members: []Member{{Ordinal: 0}, {Ordinal: uint32(len(rows) - 1)}}})
		if err := checkAll(built(t, rows, Meta{Groups: wrong}), rows); err != nil {
			t.Fatalf("seed %d, a group of rows that differ: %v", seed, err)
		}
	}
}
