package indexfile

import (
	"errors"
	"fmt"
	"testing"

	"arbor/catalog"
)

// TestOrderCheck gives the rows of a file with one fault each: a check must find it,
// and none in the rows as they are.
func TestOrderCheck(t *testing.T) {
	rows := make([]Row, BlockRows+500)
	for i := range rows {
		rows[i] = Row{ID: catalog.IngestID{Time: uint64(i + 1), Edge: 1}, Name: "e", Time: int64(i) * catalog.Second, DistinctID: fmt.Sprintf("u%05d", i/5)}
	}
	file := built(t, rows, Meta{})
	for name, change := range map[string]func(rows []Row) []Row{
		"none":             func(rows []Row) []Row { return rows },
		"two rows swapped": func(rows []Row) []Row { rows[1], rows[2] = rows[2], rows[1]; return rows },
		"equal times, ids back": func(rows []Row) []Row {
			rows[3].Time = rows[4].Time
			rows[3].ID.Time, rows[4].ID.Time = 9, 8
			return rows
		},
		"a row of the next user": func(rows []Row) []Row {
			rows[4].DistinctID = rows[5].DistinctID
			return rows
		},
		"a row of the user before":  func(rows []Row) []Row { rows[5].DistinctID = rows[4].DistinctID; return rows },
		"users of one name":         func(rows []Row) []Row { named(rows[5:10], "u00000"); return rows },
		"users in another order":    func(rows []Row) []Row { named(rows[5:10], "a"); return rows },
		"a row too few":             func(rows []Row) []Row { return rows[:len(rows)-1] },
		"a user too few":            func(rows []Row) []Row { return rows[:len(rows)-5] },
		"a row too many":            func(rows []Row) []Row { return append(rows, rows[len(rows)-1]) },
		"a time before its block's": func(rows []Row) []Row { rows[BlockRows+3].Time = 0; return rows },
		"a time after its block's":  func(rows []Row) []Row { rows[BlockRows-3].Time = rows[len(rows)-1].Time; return rows },
		"the first time missing":    func(rows []Row) []Row { rows[0].Time++; return rows },
		"the last time missing":     func(rows []Row) []Row { rows[len(rows)-1].Time--; return rows },
		"the least id missing":      func(rows []Row) []Row { rows[0].ID.Index++; return rows },
		"the greatest id missing":   func(rows []Row) []Row { rows[len(rows)-1].ID.Time--; rows[len(rows)-1].ID.Index = 9; return rows },
		"an id above the greatest":  func(rows []Row) []Row { rows[7].ID.Time += 1 << 40; return rows },
		"an id below the least":     func(rows []Row) []Row { rows[7].ID.Time = 0; return rows },
	} {
		t.Run(name, func(t *testing.T) {
			check, err := file.OrderCheck()
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range change(append([]Row(nil), rows...)) {
				if err = check.Row(&row); err != nil {
					break
				}
			}
			if err == nil {
				err = check.End()
			}
			switch {
			case name == "none" && err != nil:
				t.Error(err)
			case name != "none" && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrOrder):
				t.Errorf("not found: %v", err)
			}
		})
	}
}

func named(rows []Row, user string) {
	for i := range rows {
		rows[i].DistinctID = user
	}
}
