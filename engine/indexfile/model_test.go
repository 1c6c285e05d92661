package indexfile

import (
	"context"
	"math/rand/v2"
	"testing"
)

// skipShort leaves out, under the race detector, what one goroutine does alone and what
// would take long there.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one goroutine, and not in short mode")
	}
}

func TestRandomFiles(t *testing.T) {
	sizes := []int{0, 1, 2, 7, 8, 9, 64, 100, 300, 1000, 3000, BlockRows - 1, BlockRows, BlockRows + 1, 3*BlockRows + 5}
	if testing.Short() {
		sizes = sizes[:10]
	}
	for seed, size := range append(sizes, sizes[:10]...) {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		rows := randomShape(r, size).make(r)
		form := forms[seed%len(forms)]
		file := builtForm(t, rows, Meta{CreatedBy: "test"}, form)
		if err := file.Verify(context.Background()); err != nil {
			t.Fatalf("seed %d, %d rows, form %v: verify: %v", seed, size, form, err)
		}
		if err := checkAll(file, rows); err != nil {
			t.Fatalf("seed %d, %d rows, form %v: %v", seed, size, form, err)
		}
	}
}

// TestManySmallFiles meets more combinations than a few large files can.
func TestManySmallFiles(t *testing.T) {
	files := 200
	if testing.Short() { // a few, since the race detector also checks pointers
		files = 20
	}
	for seed := range files {
		r := rand.New(rand.NewPCG(uint64(seed), 4))
		rows := randomShape(r, r.IntN(250)).make(r)
		form := forms[seed%len(forms)]
		if seed%5 == 0 {
			form.maxColumns = r.IntN(8)
		}
		file := builtForm(t, rows, Meta{}, form)
		if seed%2 == 0 {
			file.Keep(NewKept(int64(r.IntN(2000))))
		}
		if err := file.Verify(context.Background()); err != nil {
			t.Fatalf("seed %d, %d rows: verify: %v", seed, len(rows), err)
		}
		if err := checkAll(file, rows); err != nil {
			t.Fatalf("seed %d, %d rows: %v", seed, len(rows), err)
		}
	}
}

// TestFormsAreMet sees that the random files have what is special about a format:
// else the tests above would test nothing of it.
func TestFormsAreMet(t *testing.T) {
	skipShort(t)
	met := map[string]int{}
	for seed := range 60 {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		file := builtForm(t, randomShape(r, 50+r.IntN(400)*(1+seed%7)).make(r), Meta{}, fileForm{maxColumns: MaxColumns, version: Version, short: true})
		if file.footer.ingest.arrivals != nil {
			met["arrivals"]++
			if file.footer.ingest.arrivals.late > 0 {
				met["late rows"]++
			}
		}
		if file.footer.insert.shared != 0 {
			met["shared bits"]++
			if !file.column(columnInsertText).empty() {
				met["shared bits, not all"]++
			}
		}
		for i := range file.footer.columns {
			c := &file.footer.columns[i]
			if c.hasCoding() && c.values() > 0 {
				met[layoutNames[c.layout]+" "+codingNames[c.coding]]++
			}
		}
	}
	for _, what := range []string{"arrivals", "late rows", "shared bits", "shared bits, not all",
		"dictionary packed", "dictionary packed values", "dictionary packed by user", "dictionary packed runs", "dictionary whole",
		"packed integers packed", "packed integers packed values", "decimals packed", "decimals packed values"} {
		if met[what] == 0 {
			t.Errorf("no file has %s: %v", what, met)
		}
	}
}
