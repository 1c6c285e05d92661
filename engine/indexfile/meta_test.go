package indexfile

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// checkMetaEqual compares all that a reader knows beside the rows.
func checkMetaEqual(t *testing.T, r *Reader, want Meta) {
	t.Helper()
	got := r.Meta()
	var err [4]error
	got.Duplicates, err[0] = r.Duplicates()
	got.Groups, err[1] = r.Groups()
	got.Cross, err[2] = r.Cross()
	got.Tombstones, err[3] = r.Tombstones()
	for _, err := range err {
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got, equalRows); diff != "" {
		t.Fatal(diff)
	}
	if r.DuplicateCount() != len(want.Duplicates) || r.GroupCount() != len(want.Groups) || r.CrossCount() != len(want.Cross) {
		t.Fatalf("counts %d %d %d", r.DuplicateCount(), r.GroupCount(), r.CrossCount())
	}
}

// sameUserRows are n rows of one user with one insert id.
func sameUserRows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{ID: catalog.IngestID{Time: 5, Index: uint32(i)}, Name: "e", Time: 1, DistinctID: "u", InsertID: "i"}
	}
	return rows
}

func TestMeta(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 5))
		rows := sameUserRows(2 + r.IntN(500))
		m := Meta{Shard: catalog.ShardKey{Project: catalog.ProjectID(r.Uint32()), Day: catalog.Day(r.Int32()), Bucket: uint16(r.Uint32())}, Digest: [3]uint64{r.Uint64(), r.Uint64(), r.Uint64()}}
		for i := range rows {
			if r.IntN(4) == 0 {
				m.Duplicates = append(m.Duplicates, uint32(i))
			}
		}
		order := r.Perm(len(rows))
		for len(order) >= 2 && r.IntN(40) > 0 {
			n := min(2+r.IntN(3)*r.IntN(4), len(order))
			var g Group
			classes := uint32(0)
			if n == 2 && r.IntN(2) == 0 && order[0]+1 < len(rows) {
				if next := slices.Index(order, order[0]+1); next > 0 {
					order[1], order[next] = order[next], order[1]
				}
			}
			for i, o := range order[:n] {
				class := uint32(0)
				if i > 0 {
					class = r.Uint32N(classes + 1)
				}
				classes = max(classes, class+1)
				g.Members = append(g.Members, Member{Ordinal: uint32(o), Class: class})
			}
			m.Groups, order = append(m.Groups, g), order[n:]
		}
		for i := range rows {
			for r.IntN(5) == 0 {
				m.Cross = append(m.Cross, Cross{Ordinal: uint32(i), File: []string{"", "a", "b/c"}[r.IntN(3)], Other: uint32(r.Int32()), Same: r.IntN(2) == 0})
			}
		}
		file := built(t, rows, m)
		checkMetaEqual(t, file, m)
		if err := file.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMetaRefused(t *testing.T) {
	for name, m := range map[string]Meta{
		"duplicate past the end":   {Duplicates: []uint32{3}},
		"duplicates out of order":  {Duplicates: []uint32{1, 1}},
		"group of one":             {Groups: []Group{{Members: []Member{{Ordinal: 1}}}}},
		"member past the end":      {Groups: []Group{{Members: []Member{{Ordinal: 1}, {Ordinal: 3}}}}},
		"class skipped":            {Groups: []Group{{Members: []Member{{Ordinal: 1}, {Ordinal: 2, Class: 2}}}}},
		"more members than rows":   {Groups: []Group{{Members: []Member{{}, {}}}, {Members: []Member{{}, {}}}}},
		"cross past the end":       {Cross: []Cross{{Ordinal: 3}}},
		"cross out of order":       {Cross: []Cross{{Ordinal: 2}, {Ordinal: 1}}},
		"first member not class 0": {Groups: []Group{{Members: []Member{{Ordinal: 1, Class: 1}, {Ordinal: 2}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(BuilderOptions{})
			for _, row := range sameUserRows(3) {
				if err := b.Add(&row); err != nil {
					t.Fatal(err)
				}
			}
			fs := vfs.NewMem()
			if err := b.Write(fs, ".", "file", m); !errors.Is(err, ErrOrder) {
				t.Errorf("got %v", err)
			}
			if names, _ := fs.List("."); len(names) != 0 {
				t.Errorf("left %q behind", names)
			}
		})
	}
}
