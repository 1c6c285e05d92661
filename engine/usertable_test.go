package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestUserTable numbers ids, new ones and known ones, through several growths and in
// batches around the size that is looked up at a time, as a map does.
func TestUserTable(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	table, want := newUserTable(), map[string]uint32{}
	for _, n := range []int{0, 1, userBatch - 1, userBatch, userBatch + 1, 5000, 20_000, 3} {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprint("user-", r.IntN(8*leastUserSlots))
			if i%100 == 0 {
				ids[i] = ""
			}
		}
		numbers := table.add([]uint32{99}, ids)
		if len(numbers) != n+1 || numbers[0] != 99 {
			t.Fatalf("%d numbers for %d ids", len(numbers)-1, n)
		}
		for i, id := range ids {
			number, known := want[id]
			if !known {
				number = uint32(len(want))
				want[id] = number
			}
			if numbers[i+1] != number {
				t.Fatalf("%q has number %d, want %d", id, numbers[i+1], number)
			}
		}
	}
	if len(table.names) != len(want) || len(want) < 4*leastUserSlots {
		t.Fatalf("%d names, want %d", len(table.names), len(want))
	}
	for id, number := range want {
		if table.names[number] != id {
			t.Errorf("number %d is %q, want %q", number, table.names[number], id)
		}
	}
	if slices.Contains(table.names[1:], table.names[0]) {
		t.Error("a name has two numbers")
	}
}
