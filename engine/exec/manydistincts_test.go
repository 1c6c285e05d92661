package exec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"arbor/catalog"
)

// someID draws an id: of few, or hardly ever one twice, in any form.
func someID(rng *rand.Rand, many int) catalog.Value {
	n := rng.IntN(many)
	switch n % 9 {
	case 0:
		return catalog.Null
	case 1:
		return catalog.String(fmt.Sprintf("%08x-0000-4000-8000-abcdef%06x", n, n))
	case 2:
		return catalog.String(fmt.Sprintf("%08X-0000-4000-8000-ABCDEF%06X", n, n))
	case 3:
		return catalog.String(fmt.Sprintf("%032d", n)) // the least of both cases
	case 4:
		return catalog.String(fmt.Sprintf("%08x", n) + strings.Repeat([]string{"a", "A", "g"}[n%3], 24))
	case 5:
		return catalog.String(fmt.Sprintf("%08d-0000-4000-8000-%012d", n, n))
	case 6:
		return catalog.String(strings.Repeat("é", n%12)) // from nothing to beyond 15 bytes
	case 7:
		return catalog.String(fmt.Sprint("id ", n))
	}
	return catalog.String(fmt.Sprint("the long id that nobody packs ", n))
}

// TestPackText: what is packed is the same if and only if the text is, and all that
// is written in digits or short is packed.
func TestPackText(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", strings.Repeat("\x00", 15), strings.Repeat("0", 32), strings.Repeat("0", 31) + "-",
		"00000000-0000-0000-0000-000000000000", "0000000-00000-0000-0000-000000000000", "00000000-0000-0000-0000-00000000000-",
		"aaaaaaaa-0000-0000-0000-00000000000A", "0123456789abcde", "0123456789abcdef", strings.Repeat("a", 32), strings.Repeat("A", 32)}
	rng := rand.New(rand.NewPCG(1, 9))
	for range 3000 {
		if v := someID(rng, 9000); v.Kind != catalog.KindNull {
			texts = append(texts, v.Text)
		}
	}
	seen := map[PackedText]string{}
	for _, text := range texts {
		p := PackText(text)
		if p.Form == TextLong {
			if len(text) < 16 {
				t.Errorf("%q is said to be long", text)
			}
			continue
		}
		if other, ok := seen[p]; ok && other != text || p.Form == TextNull {
			t.Errorf("%q and %q are both %v", text, other, p)
		}
		seen[p] = text
	}
	for text, want := range map[string]TextForm{
		"": TextShort, "0123456789abcde": TextShort, "0123456789abcdef": TextLong,
		"0a000000-0000-0000-0000-000000000000": TextUUID, "0A000000-0000-0000-0000-000000000000": TextUUIDUpper,
		strings.Repeat("1", 32): TextHex, strings.Repeat("F", 32): TextHexUpper, strings.Repeat("1", 31) + "g": TextLong,
		"0a000000-0000-0000-0000-00000000000A": TextLong, "0a0000000000-0000-0000-00000000000000": TextLong,
	} {
		if got := PackText(text).Form; got != want {
			t.Errorf("%q has form %d, want %d", text, got, want)
		}
	}
}

// TestPackedSet holds sets of all sizes, added to and united, against maps, and what
// they say they take against what they hold.
func TestPackedSet(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var table []uint32
		total := int64(0)
		some := func() (*packedSet, map[packedKey]bool) {
			s, want := &packedSet{}, map[packedKey]bool{}
			rows := []int{0, 3, 200, 3 * packedFew, 40 * packedFew}[rng.IntN(5)]
			many := 1 + rng.IntN(2*rows+1)
			for range rows {
				k := packedKey{uint64(rng.IntN(many)), uint64(rng.IntN(2))}
				total += s.add(k, &table)
				want[k] = true
			}
			return s, want
		}
		s, want := some()
		for range rng.IntN(4) {
			other, more := some()
			total += s.unite(other, &table)
			for k := range more {
				want[k] = true
			}
		}
		n, size, err := s.settle(&Plan{}, &table)
		total += size
		if err != nil || n != len(want) || s.len() != n {
			t.Fatalf("seed %d: %d keys, and then %d, want %d: %v", seed, n, s.len(), len(want), err)
		}
		from := rng.IntN(n + 1)
		rest := map[packedKey]bool{}
		s.from(from, func(k packedKey) bool { rest[k] = want[k]; return true })
		if len(rest) != n-from {
			t.Fatalf("seed %d: %d keys from number %d on, want %d", seed, len(rest), from, n-from)
		}
		for k, ok := range rest {
			if !ok {
				t.Fatalf("seed %d: nobody added %v", seed, k)
			}
		}
		held := int64(cap(s.few)) * 16
		if s.parts != nil {
			held += packedParts * sizeOf[packedPart]()
			for i := range s.parts {
				held += int64(len(s.parts[i].blocks)) * packedBlockBytes
			}
		}
		if total != held {
			t.Errorf("seed %d: they say that they take %d bytes, and take %d", seed, total, held)
		}
	}
}

// TestManyDistincts holds COUNT(DISTINCT …) of ids, of parts of a table merged by hand
// and as partials, against sets made row by row.
func TestManyDistincts(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		columns := []Column{{Source: SourceEvent, Type: catalog.TypeString}, {Source: SourceInsertID}, {Source: SourceIngestID}}
		f := &Fragment{Project: 1, Columns: columns, Group: &Group{Aggregates: []Aggregate{
			{Op: AggCountDistinct, Args: []int{1}}, {Op: AggCount}, {Op: AggCountDistinct, Args: []int{2}}, {Op: AggCountDistinct, Args: []int{0}}, {Op: AggCountDistinct, Args: []int{1, 0}}}}}
		if rng.IntN(2) == 0 {
			f.Group.Keys = []int{0}
		}
		many := []int{10, 1000, 1 << 20}[rng.IntN(3)]
		parts := make([][][]catalog.Value, 1+rng.IntN(4))
		for range rng.IntN(12_000) {
			i := rng.IntN(len(parts))
			parts[i] = append(parts[i], []catalog.Value{catalog.String(fmt.Sprint(rng.IntN(4))), someID(rng, many), catalog.String(fmt.Sprintf("%032x", rng.IntN(5000)))})
		}
		sets := map[string][4]map[string]bool{}
		rows := map[string]int{}
		if len(f.Group.Keys) == 0 {
			sets[""] = [4]map[string]bool{{}, {}, {}, {}}
		}
		for _, part := range parts {
			for _, row := range part {
				key := row[0].Text
				if len(f.Group.Keys) == 0 {
					key = ""
				}
				if sets[key][0] == nil {
					sets[key] = [4]map[string]bool{{}, {}, {}, {}}
				}
				rows[key]++
				if row[1].Kind != catalog.KindNull {
					sets[key][0][row[1].Text] = true
					sets[key][3][row[1].Text+"|"+row[0].Text] = true
				}
				sets[key][1][row[2].Text], sets[key][2][row[0].Text] = true, true
			}
		}
		check := func(how string, answer func(func(*Batch) error) error) {
			t.Helper()
			got := answerLines(t, answer)
			if len(got) != len(sets) {
				t.Fatalf("seed %d, %s: %d groups, want %d", seed, how, len(got), len(sets))
			}
			for _, line := range got {
				key := ""
				if len(f.Group.Keys) > 0 {
					key, line, _ = strings.Cut(line, "|")
				}
				s := sets[strings.Trim(key, `"`)]
				if want := fmt.Sprintf("%d|%d|%d|%d|%d", len(s[0]), rows[strings.Trim(key, `"`)], len(s[1]), len(s[2]), len(s[3])); line != want {
					t.Fatalf("seed %d, %s: group %q has %s, want %s", seed, how, key, line, want)
				}
			}
		}
		workers := func() (all []*Grouper) {
			plan, err := NewPlan(f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				g, err := NewGrouper(plan)
				if err != nil {
					t.Fatal(err)
				}
				if err := g.AddBatch(NewRows(plan), nil, batchOf(t, f.Columns, part, false)); err != nil {
					t.Fatal(err)
				}
				all = append(all, g)
			}
			return all
		}
		check("partials", mergedPartials(t, rng, f, workers()).Answer)
		all := workers()
		for _, o := range all[1:] {
			if err := all[0].Merge(o); err != nil {
				t.Fatal(err)
			}
		}
		check("merged", all[0].Answer)
	}
}

// TestManyDistinctsAreHeldInLimits: ids that are more than the query may hold are an
// error, and a partial of version 1 is none of theirs.
func TestManyDistinctsAreHeldInLimits(t *testing.T) {
	f := &Fragment{Project: 1, Columns: []Column{{Source: SourceInsertID}}, Group: &Group{Aggregates: []Aggregate{{Op: AggCountDistinct, Args: []int{0}}}}}
	var table [][]catalog.Value
	for i := range 1 << 16 {
		table = append(table, []catalog.Value{catalog.String(fmt.Sprint("id ", i))})
	}
	plan, err := NewPlan(f, Options{MaxBytes: 1 << 19})
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGrouper(plan)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.AddBatch(NewRows(plan), nil, batchOf(t, f.Columns, table, false)); !errors.Is(err, ErrMemory) {
		t.Errorf("a megabyte of ids in half of one: %v", err)
	}
	// What two workers' ids take is counted, to the byte: 16 for each, a little more, and
	// the form.
	var batches []*Batch
	for worker := range 2 {
		var ids [][]catalog.Value
		for i := range 1 << 16 {
			ids = append(ids, []catalog.Value{catalog.String(fmt.Sprintf("%08x-0000-4000-8000-%012x", i, worker))})
		}
		batches = append(batches, batchOf(t, f.Columns, ids, false))
	}
	counted := func(limit int64) error {
		plan, err := NewPlan(f, Options{MaxBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		var workers []*Grouper
		for _, b := range batches {
			g, err := NewGrouper(plan)
			if err != nil {
				return err
			}
			if workers = append(workers, g); err == nil {
				err = g.AddBatch(NewRows(plan), nil, b)
			}
			if err != nil {
				return err
			}
		}
		if err := workers[0].Merge(workers[1]); err != nil {
			return err
		}
		return workers[0].Answer(func(b *Batch) error {
			if got := b.Columns[0].ValueStr(0); got != fmt.Sprint(2<<16) {
				t.Errorf("%s different ids, want %d", got, 2<<16)
			}
			return nil
		})
	}
	const ids = 2 << 16
	enough := int64(sort.Search(64*ids, func(limit int) bool { return limit > 0 && counted(int64(limit)) == nil }))
	if enough < 16*ids || enough > 40*ids {
		t.Errorf("%d ids take %d bytes", ids, enough)
	}
	if err := counted(enough - 1); !errors.Is(err, ErrMemory) {
		t.Errorf("one byte below what is enough: %v", err)
	}
	pieces := piecesOf(t, grouperOf(t, f, table[:10]), false)
	m, err := NewMerger(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.NewPart()
	if err != nil {
		t.Fatal(err)
	}
	old := append([]byte(nil), pieces[0]...)
	old[len(pieceMagic)] = pieceVersion
	sum := pieceSum(old)
	old[4], old[5], old[6], old[7] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	if err := p.Add(old); !errors.Is(err, ErrPartial) {
		t.Errorf("a piece of version 1: %v", err)
	}
}
