package indexfile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
)

// numberRows fill more than two blocks with properties that are stored in all layouts
// which Verify reads as numbers: dictionaries of one and of several kinds, that all rows
// have and that some have, integers, and decimals of one kind.
func numberRows(r *rand.Rand) []Row {
	rows := make([]Row, 2*BlockRows+100)
	for i := range rows {
		rows[i] = Row{ID: catalog.IngestID{Time: uint64(i + 1), Edge: 1}, Name: fmt.Sprint("e", r.IntN(5)), Time: int64(i), DistinctID: fmt.Sprintf("u%03d", i/100), InsertID: randomUUID(r)}
		add := func(name string, v catalog.Value) {
			rows[i].Properties = append(rows[i].Properties, catalog.Property{Name: name, Value: v})
		}
		add("a text", catalog.String(fmt.Sprint("word ", r.IntN(300))))
		add("b mixed", []catalog.Value{catalog.Int(int64(r.IntN(40))), catalog.String("x"), catalog.Bool(true), catalog.Null}[r.IntN(4)])
		if r.IntN(2) == 0 {
			add("c some", catalog.Int(int64(r.IntN(9))))
		}
		if r.IntN(300) == 0 {
			add("d few", []catalog.Value{catalog.Int(int64(r.IntN(40))), catalog.String("x")}[r.IntN(2)])
		}
		add("e integer", catalog.Int(r.Int64N(1e12)))
		add("f decimal", catalog.Double(float64(r.IntN(1e8))/100))
		if r.IntN(2) == 0 {
			add("g some integer", catalog.Int(r.Int64N(1e12)))
		}
		add("h user", catalog.String(fmt.Sprint("of ", i/100)))
	}
	return rows
}

// TestVerifyReadsValues changes what the footer and the zone maps say of a file that is
// whole otherwise, so that no checksum tells: Verify must find that the values are others.
func TestVerifyReadsValues(t *testing.T) {
	rows := numberRows(rand.New(rand.NewPCG(1, 6)))
	for name, form := range map[string]fileForm{"packed": {maxColumns: MaxColumns, version: Version}, "whole": {maxColumns: MaxColumns, version: 1}} {
		t.Run(name, func(t *testing.T) {
			file := builtForm(t, rows, Meta{}, form)
			if err := file.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
			met := map[string]int{}
			for k := columnEvent; k < len(file.columns); k++ {
				c := file.column(k)
				if c.empty() {
					continue
				}
				if err := c.load(); err != nil {
					t.Fatal(err)
				}
				kinds := c.info.kinds
				from := slices.IndexFunc(kinds[:], func(n int32) bool { return n > 0 })
				c.info.kinds[from]--
				c.info.kinds[(from+1)%len(kinds)]++
				if err := c.verify(); !errors.Is(err, ErrCorrupt) {
					t.Errorf("column %d %q: another count of kinds: %v", k, c.info.name, err)
				}
				c.info.kinds = kinds
				met[fmt.Sprintf("%d by number %t", c.info.layout, c.byNumber())]++
				whole := c.zones
				for at := range whole {
					c.zones = slices.Clone(whole)
					c.zones[at]++
					if err := c.verify(); !errors.Is(err, ErrCorrupt) {
						t.Errorf("column %d %q: byte %d of its zones: %v", k, c.info.name, at, err)
					}
				}
				if c.zones = whole; whole != nil {
					met["zones"]++
				}
				if err := c.verify(); err != nil {
					t.Errorf("column %d %q, as it was: %v", k, c.info.name, err)
				}
			}
			for _, layout := range []layout{layoutDictionary, layoutIntegers} {
				if met[fmt.Sprintf("%d by number true", layout)] == 0 {
					t.Errorf("no column in layout %d: %v", layout, met)
				}
			}
			if form.version == Version && met[fmt.Sprintf("%d by number true", layoutDecimals)] == 0 || met["zones"] < 5 {
				t.Errorf("not all is met: %v", met)
			}
		})
	}
}
