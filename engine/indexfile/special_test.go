package indexfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// TestSpecialValues has what a careless format loses.
func TestSpecialValues(t *testing.T) {
	long := strings.Repeat("long ", MaxTextBytes/5)
	upper := "0A1B2C3D-4E5F-4A6B-8C7D-9E8F7A6B5C4D"
	values := []catalog.Value{
		catalog.Null, catalog.Bool(false), catalog.Bool(true), catalog.Int(0), catalog.Int(math.MinInt64), catalog.Int(math.MaxInt64),
		catalog.Double(0), catalog.Double(math.Copysign(0, -1)), catalog.Double(math.MaxFloat64), catalog.Double(5e-324),
		{Kind: catalog.KindDouble, Bits: math.Float64bits(math.Inf(1))}, {Kind: catalog.KindDouble, Bits: 0x7ff8dead_beef0001},
		catalog.Number("1.0"), catalog.Number("-0"), catalog.Number("1e999"), catalog.Number(strings.Repeat("9", 400)),
		catalog.String(""), catalog.String("\x00"), catalog.String("a\x00b"), catalog.String("\xff\xfe not UTF-8"), catalog.String("😀"),
		catalog.String(long), catalog.String(long[1:]), catalog.JSON(`{}`), catalog.JSON(`[[[[]]]]`), catalog.JSON(`"scalar"`),
		catalog.String("1"), catalog.Int(1), catalog.Double(1.5), catalog.String("1.5"), catalog.String("true"), catalog.String("null"),
	}
	ids := []string{"", upper, strings.ToLower(upper), strings.ReplaceAll(upper, "-", ""), "0a1B2c3d-4e5f-4a6b-8c7d-9e8f7a6b5c4d",
		strings.Repeat("0", 32), strings.Repeat("-", 36), "\x00", "id", strings.Repeat("x", 255), long}
	var rows []Row
	for i, v := range values {
		for k := range 3 {
			row := Row{ID: catalog.IngestID{Time: uint64(i) << (i % 60), Edge: math.MaxUint32, Index: uint32(k) * math.MaxUint32 / 2}, Name: fmt.Sprint("e", i%3),
				Time: []int64{math.MinInt64 / 2, -1, 0, 1, math.MaxInt64 / 2}[i%5], DistinctID: []string{"", "\x00", "a", "A", "é"}[k], InsertID: ids[(i+k)%len(ids)]}
			switch k {
			case 0:
				row.Properties = []catalog.Property{{Name: "", Value: v}, {Name: "mixed", Value: v}}
			case 1:
				row.Properties = []catalog.Property{{Name: fmt.Sprint("own ", i), Value: v}, {Name: "\x00", Value: catalog.Int(int64(i))}}
				slices.SortFunc(row.Properties, func(a, b catalog.Property) int { return strings.Compare(a.Name, b.Name) })
			}
			rows = append(rows, row)
		}
	}
	sortRows(rows)
	rows = append(rows[:1:1], rows...) // the same record twice
	file := built(t, rows, Meta{})
	if err := file.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, check := range []func(*Reader, []Row) error{checkRows, checkScalars, checkUsers, checkProperties} {
		if err := check(file, rows); err != nil {
			t.Fatalf("%.2000s", err.Error())
		}
	}
}

// TestUniformIDs: whatever form insert ids have, they come back byte for byte,
// and the hexadecimal ones take 16 bytes.
func TestUniformIDs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for k, shape := range plainInsertShapes {
		rows := make([]Row, 3000)
		for i := range rows {
			rows[i] = Row{ID: catalog.IngestID{Time: uint64(i)}, InsertID: shape(r)}
		}
		file := built(t, rows, Meta{})
		if err := checkScalars(file, rows); err != nil {
			t.Fatal(err)
		}
		if k < 4 && file.Size() > 16*3000+7000 {
			t.Errorf("ids like %q: %d bytes for 3000 rows", rows[0].InsertID, file.Size())
		}
	}
}

// TestSparseProperties: thousands of properties that few rows have must cost
// little space, and none of the rows without them.
func TestSparseProperties(t *testing.T) {
	const properties, rowCount = 2000, 20_000
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]Row, rowCount)
	for i := range rows {
		rows[i] = Row{ID: catalog.IngestID{Time: uint64(i)}, Name: "e", Time: int64(i), Properties: []catalog.Property{{Name: "a", Value: catalog.Int(int64(i % 7))}}}
	}
	plain := built(t, rows, Meta{}).Size()
	values := 0
	for p := range properties {
		for range 1 + r.IntN(5) {
			row := &rows[r.IntN(rowCount)]
			name := fmt.Sprintf("sparse property %04d", p)
			if last := row.Properties[len(row.Properties)-1]; last.Name != name {
				row.Properties = append(row.Properties, catalog.Property{Name: name, Value: catalog.String(fmt.Sprintf("v%d", r.IntN(100)))})
				values++
			}
		}
	}
	file := built(t, rows, Meta{})
	if err := checkRows(file, rows); err != nil {
		t.Fatal(err)
	}
	perProperty := float64(file.Size()-plain) / properties
	t.Logf("%d properties, %d values: %.1f bytes a property", properties, values, perProperty)
	if perProperty > 60 {
		t.Errorf("%.1f bytes a sparse property of %.1f values", perProperty, float64(values)/properties)
	}
}

// TestManyProperties: at MaxColumns every property has a column; one more, and
// what is beyond is kept without.
func TestManyProperties(t *testing.T) {
	skipShort(t)
	rows := make([]Row, MaxColumns/128)
	for i := range rows {
		rows[i] = Row{ID: catalog.IngestID{Time: uint64(i)}, Time: int64(i)}
		for k := range 128 {
			rows[i].Properties = append(rows[i].Properties, catalog.Property{Name: fmt.Sprintf("name %06d", i*128+k), Value: anyValue(rand.New(rand.NewPCG(uint64(i), uint64(k))))})
		}
	}
	last := &rows[len(rows)-1]
	for past := range 3 {
		file := built(t, rows, Meta{})
		if n := len(file.Properties()); n != MaxColumns {
			t.Errorf("%d columns, want %d", n, MaxColumns)
		}
		if n := file.OtherProperties(); n != min(past, 1) {
			t.Errorf("%d rows with other properties, %d past the limit", n, past)
		}
		if err := checkRows(file, rows); err != nil {
			t.Fatalf("%.500s", err.Error())
		}
		if err := file.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		last.Properties = append(last.Properties, catalog.Property{Name: fmt.Sprint("zz ", past), Value: catalog.String("beyond")})
	}
}

// TestOtherPropertiesLimit: a row's properties without a column have a limit.
func TestOtherPropertiesLimit(t *testing.T) {
	const overhead = 1 + 1 + 1 + 3 // name's length, name, kind, text's length
	for past := range 2 {
		b := NewBuilder(BuilderOptions{})
		b.maxColumns = 0
		row := Row{Properties: []catalog.Property{{Name: "p", Value: catalog.String(strings.Repeat("x", MaxTextBytes-overhead+past))}}}
		if err := b.Add(&row); (err == nil) != (past == 0) || err != nil && !errors.Is(err, ErrLimit) {
			t.Errorf("%d past the limit: %v", past, err)
		}
	}
}

func TestLimits(t *testing.T) {
	atLimit := strings.Repeat("x", MaxTextBytes)
	pastLimit := atLimit + "x"
	property := func(name string, v catalog.Value) []catalog.Property {
		return []catalog.Property{{Name: name, Value: v}}
	}
	for name, c := range map[string]struct {
		row  Row
		want error
	}{
		"name at the limit":          {Row{Name: atLimit}, nil},
		"name past it":               {Row{Name: pastLimit}, ErrLimit},
		"distinct id at the limit":   {Row{DistinctID: atLimit}, nil},
		"distinct id past it":        {Row{DistinctID: pastLimit}, ErrLimit},
		"insert id at the limit":     {Row{InsertID: atLimit}, nil},
		"insert id past it":          {Row{InsertID: pastLimit}, ErrLimit},
		"property name at the limit": {Row{Properties: property(atLimit, catalog.Null)}, nil},
		"property name past it":      {Row{Properties: property(pastLimit, catalog.Null)}, ErrLimit},
		"value at the limit":         {Row{Properties: property("p", catalog.String(atLimit))}, nil},
		"value past it":              {Row{Properties: property("p", catalog.String(pastLimit))}, ErrLimit},
		"unknown kind":               {Row{Properties: property("p", catalog.Value{Kind: catalog.KindJSON + 1})}, ErrColumn},
		"a property twice":           {Row{Properties: append(property("p", catalog.Null), property("p", catalog.Null)...)}, ErrOrder},
		"properties out of order":    {Row{Properties: append(property("q", catalog.Null), property("p", catalog.Null)...)}, ErrOrder},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(BuilderOptions{})
			if err := b.Add(&c.row); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want == nil {
				file := built(t, []Row{c.row}, Meta{})
				if err := checkRows(file, []Row{c.row}); err != nil {
					t.Fatalf("%.200s", err.Error())
				}
			}
		})
	}
}

func TestOrder(t *testing.T) {
	ordered := []Row{
		{DistinctID: "", Time: 9}, {DistinctID: "a", Time: -1}, {DistinctID: "a", Time: 5, ID: catalog.IngestID{Time: 3}},
		{DistinctID: "a", Time: 5, ID: catalog.IngestID{Time: 3, Index: 1}}, {DistinctID: "a\x00", Time: 0}, {DistinctID: "b"},
	}
	for i := range ordered {
		for j := range ordered {
			b := NewBuilder(BuilderOptions{})
			if err := b.Add(&ordered[i]); err != nil {
				t.Fatal(err)
			}
			err := b.Add(&ordered[j])
			if (err == nil) != (i <= j) || err != nil && !errors.Is(err, ErrOrder) {
				t.Errorf("row %d after %d: %v", j, i, err)
			}
			if want := map[bool]int{true: 2, false: 1}[i <= j]; b.Rows() != want {
				t.Errorf("row %d after %d: %d rows", j, i, b.Rows())
			}
		}
	}
}

// TestArrayLimit: an array's text stays within what its offsets can count.
func TestArrayLimit(t *testing.T) {
	texts := make([]byte, MaxArrayBytes+1) // never touched
	b := newTextBuilder(2, 0)
	b.texts = texts[:MaxArrayBytes]
	if err := b.end(true); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	b.texts = texts
	if err := b.end(true); !errors.Is(err, ErrLimit) {
		t.Errorf("past the limit: %v", err)
	}
}

// TestLongTexts has a text of the greatest length in every row.
func TestLongTexts(t *testing.T) {
	skipShort(t)
	rows := make([]Row, 20)
	for i := range rows {
		long := fmt.Sprint(i, strings.Repeat("y", MaxTextBytes-2))
		rows[i] = Row{ID: catalog.IngestID{Time: uint64(i)}, Properties: []catalog.Property{{Name: "p", Value: catalog.String(long)}}}
	}
	file := built(t, rows, Meta{})
	if p, _ := file.Property("p"); p.Distinct != 0 {
		t.Errorf("%d MB of distinct texts in a dictionary", len(rows))
	}
	for _, check := range []func(*Reader, []Row) error{checkRows, checkArrays} {
		if err := check(file, rows); err != nil {
			t.Fatalf("%.200s", err.Error())
		}
	}
	a, err := file.PropertyArray("p", catalog.TypeString, 0, 0, 10, 20)
	if err != nil || *cell(a, 9) != rows[19].Properties[0].Value.Text {
		t.Error(err)
	}
}

func TestNoSuchType(t *testing.T) {
	file := built(t, version1Rows(3), Meta{})
	if _, err := file.PropertyArray("a constant", catalog.TypeDecimal+1, 0, 0, 0, 3); !errors.Is(err, ErrColumn) {
		t.Error(err)
	}
	if _, err := file.BlockRange(0, "a constant", catalog.TypeDecimal+1, 0, 0); !errors.Is(err, ErrColumn) {
		t.Error(err)
	}
}

// TestConcurrentReaders uses one reader from many goroutines, from cold.
func TestConcurrentReaders(t *testing.T) {
	rows := version1Rows(1200)
	file := built(t, rows, version1Meta())
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for g := range 8 {
		wg.Go(func() {
			checks := []func(*Reader, []Row) error{checkRows, checkScalars, checkUsers, checkArrays, checkProperties}
			for i := range checks {
				if err := checks[(i+g)%len(checks)](file, rows); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
}

// TestSameDictionary: arrays of one column share the dictionary, so that work on
// it can be done once.
func TestSameDictionary(t *testing.T) {
	file := built(t, version1Rows(200), Meta{})
	for _, key := range []typeKey{{t: catalog.TypeString}, {t: catalog.TypeJSON}} {
		a, err := file.PropertyArray("b codes", key.t, 0, 0, 0, 50)
		if err != nil {
			t.Fatal(err)
		}
		b, err := file.PropertyArray("b codes", key.t, 0, 0, 50, 200)
		if err != nil {
			t.Fatal(err)
		}
		if a.Data().Dictionary() != b.Data().Dictionary() {
			t.Errorf("type %d: two dictionaries", key.t)
		}
	}
}

// TestWriteCrashes stops the file system at every operation, and draws what the
// disk holds then: the file is there whole, or not at all, and it is there if
// Write said so.
func TestWriteCrashes(t *testing.T) {
	rows := version1Rows(300)
	for k := int64(1); ; k++ {
		mem := vfs.NewMem()
		faulty := vfs.NewFaulty(mem)
		faulty.CrashAt(k)
		b := NewBuilder(BuilderOptions{})
		for i := range rows {
			if err := b.Add(&rows[i]); err != nil {
				t.Fatal(err)
			}
		}
		written := b.Write(faulty, ".", "file", version1Meta())
		for draw := range uint64(10) {
			disk := mem.CrashClone(rand.New(rand.NewPCG(draw, uint64(k))), 0.5)
			r, err := Open(disk, "file")
			if err == nil {
				err = checkAll(r, rows)
				r.Close()
			} else if written != nil && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatalf("crash at operation %d, write said %v: %v", k, written, err)
			}
		}
		if written == nil {
			return
		}
	}
}

// TestRefusedRow: a row that was refused leaves nothing behind, not even its
// properties' names.
func TestRefusedRow(t *testing.T) {
	rows := version1Rows(5)
	b := NewBuilder(BuilderOptions{})
	for i := range rows {
		bad := rows[i]
		bad.Properties = append(slices.Clone(bad.Properties), catalog.Property{Name: "z", Value: catalog.Value{Kind: 77}})
		if err := b.Add(&bad); !errors.Is(err, ErrColumn) {
			t.Fatal(err)
		}
		if err := b.Add(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	mem := vfs.NewMem()
	if err := b.Write(mem, ".", "file", Meta{}); err != nil {
		t.Fatal(err)
	}
	r, err := Open(mem, "file")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := checkAll(r, rows); err != nil {
		t.Fatal(err)
	}
}
