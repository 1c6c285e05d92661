package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
)

// TestPlan says what is due for shards of 2026-03-01, given as "logged bytes,
// age of the oldest, files as size@age".
func TestPlan(t *testing.T) {
	day := catalog.DayOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	set := settings{sealAfterBytes: 1000, sealAfterAge: time.Minute, closeGrace: 2 * time.Hour}
	during := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	grace := time.Date(2026, 3, 2, 1, 59, 0, 0, time.UTC)
	over := time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC)
	later := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		now    time.Time
		logged int64
		age    time.Duration
		files  string
		want   string
	}{
		{"nothing", during, 0, 0, "", "nothing"},
		{"too young and too small", during, 999, 59 * time.Second, "", "nothing"},
		{"by size", during, 1000, 0, "", "index"},
		{"by age", during, 1, time.Minute, "", "index"},
		{"an empty batch by age", during, 0, time.Minute, "", "nothing"},
		{"three files", during, 0, 0, "10@1h 10@1h 10@1h", "nothing"},
		{"four of a size", during, 0, 0, "10@1h 10@2h 10@3h 10@4h", "merge 4"},
		{"four of a size, the largest half of the others", during, 0, 0, "20@1h 20@2h 20@3h 30@4h", "merge 4"},
		{"four of a size, the largest more than that", during, 0, 0, "20@1h 20@2h 20@3h 31@4h", "nothing"},
		{"four of a size beside a large one", during, 0, 0, "900@9h 10@1h 10@2h 10@3h 10@4h", "merge 4"},
		{"a tower", during, 0, 0, "640@1h 320@1h 160@1h 80@1h 40@1h 20@1h 10@1h", "nothing"},
		{"too many whatever their sizes", during, 0, 0, tower(maxFiles + 1), fmt.Sprintf("merge %d", maxFiles/2)},
		{"as many as may be", during, 0, 0, tower(maxFiles), "nothing"},
		{"logged first", over, 1, time.Minute, "10@1h 10@2h", "index"},
		{"logged, and four of a size", during, 1000, 0, "10@1h 10@2h 10@3h 10@4h", "index"},
		{"logged, and one file fewer than may be", during, 1000, 0, strings.Repeat("10@1h ", maxFiles-1), "index"},
		{"logged, and as many files as may be", during, 1000, 0, strings.Repeat("10@1h ", maxFiles), fmt.Sprintf("index, merge %d", maxFiles)},
		{"logged, and as many files as may be of all sizes", during, 1000, 0, tower(maxFiles), "index"},
		{"logged, and more", during, 1000, 0, tower(maxFiles + 1), fmt.Sprintf("index, merge %d", maxFiles/2)},
		{"in the grace", grace, 0, 0, "10@1h 10@2h", "nothing"},
		{"over", over, 0, 0, "10@1h 10@3h", "close 2"},
		{"over, something logged", over, 1, time.Second, "10@1h 10@3h", "nothing"},
		{"closed", later, 0, 0, "10@1h", "nothing"},
		{"closed, late events still coming", later, 0, 0, "900@20h 10@4m59s", "nothing"},
		{"closed, late events came", later, 0, 0, "900@20h 10@5m", "close 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := shardState{key: catalog.ShardKey{Project: 1, Day: day}, loggedBytes: tt.logged, oldest: tt.now.Add(-tt.age).UnixMicro()}
			if tt.logged > 0 {
				s.loggedBatches = 1
			}
			for i, spec := range strings.Fields(tt.files) {
				size, age, _ := strings.Cut(spec, "@")
				ago, err := time.ParseDuration(age)
				if err != nil {
					t.Fatal(err)
				}
				f := fileState{name: fileName{sequence: uint64(tt.now.Add(-ago).UnixMicro()), random: uint32(i)}}
				fmt.Sscan(size, &f.bytes)
				s.files = append(s.files, f)
			}
			var due []string
			for _, task := range plan([]shardState{s}, set, tt.now) {
				what := task.kind.String()
				if len(task.files) > 0 {
					what = fmt.Sprintf("%s %d", task.kind, len(task.files))
				}
				due = append(due, what)
			}
			if got := cmp.Or(strings.Join(due, ", "), "nothing"); got != tt.want {
				t.Errorf("plan says %s, want %s", got, tt.want)
			}
		})
	}
}

// tower is n files each of which is larger than all smaller ones together.
func tower(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d@1h ", 10<<i)
	}
	return b.String()
}

// TestPlanKeepsFilesFew: a shard of which something is always due to be indexed has few files,
// and its rows are rewritten a few times.
func TestPlanKeepsFilesFew(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	set := settings{sealAfterBytes: 1000, sealAfterAge: time.Minute, closeGrace: time.Hour}
	s := shardState{key: catalog.ShardKey{Project: 1, Day: catalog.DayOf(now.UnixMicro())}, loggedBytes: 1000, loggedBatches: 1, oldest: now.UnixMicro()}
	const builds = 1000
	written, most := int64(0), 0
	for round := range builds {
		for _, task := range plan([]shardState{s}, set, now) {
			made := fileState{name: fileName{sequence: uint64(round)}, bytes: 10}
			if task.kind == taskMerge {
				made.name.random, made.bytes = 1, 0
				s.files = slices.DeleteFunc(s.files, func(f fileState) bool {
					merged := slices.Contains(task.files, f.name)
					if merged {
						made.bytes += f.bytes
					}
					return merged
				})
			}
			written += made.bytes
			s.files = append(s.files, made)
			most = max(most, len(s.files))
		}
	}
	if most > maxFiles+1 || written > 5*builds*10 {
		t.Errorf("there were up to %d files, and each row was written %.1f times", most, float64(written)/(builds*10))
	}
	t.Logf("up to %d files; each row was written %.1f times", most, float64(written)/(builds*10))
}

// TestPlanIndexesFirst: what is logged is due before files are merged, since appends may
// wait for it.
func TestPlanIndexesFirst(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	set := settings{sealAfterBytes: 1000, sealAfterAge: time.Minute, closeGrace: time.Hour}
	merging := shardState{key: catalog.ShardKey{Project: 1, Day: catalog.DayOf(now.UnixMicro())}}
	for i := range uint32(mergeFiles) {
		merging.files = append(merging.files, fileState{name: fileName{sequence: uint64(now.UnixMicro()), random: i}, bytes: 10})
	}
	logged := func(project catalog.ProjectID) shardState {
		return shardState{key: catalog.ShardKey{Project: project, Day: merging.key.Day}, loggedBytes: 1000, loggedBatches: 1, oldest: now.UnixMicro()}
	}
	got := ""
	for _, task := range plan([]shardState{merging, logged(2), logged(3)}, set, now) {
		got += fmt.Sprintf("%s %d ", task.kind, task.shard.Project)
	}
	if want := "index 2 index 3 merge 1 "; got != want {
		t.Errorf("the plan is %q, want %q", got, want)
	}
}
