package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
)

// TestJudge gives groups as "id:name:payload:microsecond" and expects, for each
// hidden one, "id>survivor kind".
func TestJudge(t *testing.T) {
	pair := "1:a:x:0 2:a:x:0"
	tests := []struct {
		policy, group string
		missing       bool
		want          string
	}{
		{"", pair, false, "2>1 retry"},
		{"SURVIVOR=LAST", pair, false, "1>2 retry"},
		{"ENABLED=off", pair, false, ""},
		{"", "1:a:x:0 2:a:y:0", false, "2>1 conflict"},
		{"CONFLICT=KEEP", "1:a:x:0 2:a:y:0 3:a:x:0", false, "3>1 retry"},
		{"", "1:a:x:0 2:b:x:0", false, ""},
		{"KEY=ID", "1:a:x:0 2:b:y:0", false, "2>1 conflict"},
		{"KEY=EXACT", "1:a:x:999 2:a:y:1000 3:a:z:0", false, "3>1 conflict"},
		{"KEY=EXACT", "1:a:x:-1 2:a:y:0", false, ""}, // milliseconds end at whole ones before 1970 too
		{"KEY=EXACT", "1:a:x:-1 2:a:y:-1000", false, "2>1 conflict"},
		{"", pair, true, ""},
		{"MISSING=CONTENT", pair, true, "2>1 retry"},
		{"MISSING=CONTENT SURVIVOR=LAST", "1:a:x:0 2:a:x:0 3:a:x:0", true, "1>3 retry, 2>3 retry"},
		{"", "3:a:x:0 1:a:y:0 2:b:x:0 4:b:x:0", false, "3>1 conflict, 4>2 retry"},
	}
	for _, tt := range tests {
		t.Run(tt.policy+" "+tt.group, func(t *testing.T) {
			policy, err := catalog.ParsePolicy(tt.policy)
			if err != nil {
				t.Fatal(err)
			}
			var members []member
			for _, spec := range strings.Fields(tt.group) {
				p := strings.Split(spec, ":")
				var m member
				fmt.Sscan(p[0], &m.id.Time)
				fmt.Sscan(p[3], &m.time)
				m.name, m.payload.lo = p[1], uint64(p[2][0])
				members = append(members, m)
			}
			rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			var got []string
			judge(members, !tt.missing, policy, func(m, survivor *member, k kind) {
				got = append(got, fmt.Sprintf("%d>%d %s", m.id.Time, survivor.id.Time, k))
			})
			slices.Sort(got)
			if text := strings.Join(got, ", "); text != tt.want {
				t.Errorf("hidden: %q, want %q", text, tt.want)
			}
		})
	}
}

func TestDropRepeats(t *testing.T) {
	at := func(id uint64, source int32, ordinal uint32) member {
		return member{id: catalog.IngestID{Time: id}, at: place{source, ordinal}}
	}
	var dropped []place
	kept := dropRepeats([]member{at(2, inLog, 1), at(1, inLog, 0), at(2, 1, 5), at(2, 0, 7), at(3, inLog, 9)}, func(m *member) { dropped = append(dropped, m.at) })
	if len(kept) != 3 || kept[1].at != (place{0, 7}) || !slices.Equal(dropped, []place{{1, 5}, {inLog, 1}}) {
		t.Errorf("kept %v, dropped %v", kept, dropped)
	}
}

func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		in := func(n int) (list []uint32) {
			for i := range uint32(40) {
				if rng.IntN(n) == 0 {
					list = append(list, i)
				}
			}
			return list
		}
		own, reached := in(2), in(3)
		var found []duplicate
		for _, o := range reached { // only rows that are reached can be found
			if rng.IntN(2) == 0 {
				found = append(found, duplicate{ordinal: o})
			}
		}
		var want []uint32
		for i := range uint32(40) {
			isFound := slices.ContainsFunc(found, func(d duplicate) bool { return d.ordinal == i })
			if isFound || slices.Contains(own, i) && !slices.Contains(reached, i) {
				want = append(want, i)
			}
		}
		rng.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		if got := merge(own, reached, found); !slices.Equal(got, want) {
			t.Fatalf("merge(%v, %v, %v) = %v, want %v", own, reached, found, got, want)
		}
	}
}

func TestHashtable(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var table hashtable
	keys := []uint64{}
	of := map[uint64]uint32{}
	for range 20_000 {
		key := rng.Uint64N(9000)
		hash := tableHash(key % 5000 * 0x9e3779b97f4a7c15) // some keys share their hash
		number, found := table.find(hash, uint32(len(keys)), func(n uint32) bool { return keys[n] == key })
		want, known := of[key]
		if found != known || found && number != want {
			t.Fatalf("key %d: %d, %v, want %d, %v", key, number, found, want, known)
		}
		if !found {
			of[key] = number
			keys = append(keys, key)
		}
	}
	for key := range uint64(10_000) {
		number, found := table.look(tableHash(key%5000*0x9e3779b97f4a7c15), func(n uint32) bool { return keys[n] == key })
		if want, known := of[key]; found != known || found && number != want {
			t.Fatalf("look for %d: %d, %v", key, number, found)
		}
	}
}
