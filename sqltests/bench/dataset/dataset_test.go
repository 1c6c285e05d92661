package dataset

import (
	"slices"
	"testing"

	"arbor/catalog"
)

func TestShape(t *testing.T) {
	o := Options{Seed: 1, Lines: 50_000}
	g, again := New(o), New(o)
	seen := map[string]string{} // an event's line without arrival, by its logical key
	lines, retries, size, shared := 0, 0, 0, 0
	ids := map[string]int{}
	last := int64(0)
	for {
		a, ok := g.Next()
		b, _ := again.Next()
		if !ok {
			break
		}
		line := string(AppendLine(nil, &a.Event))
		if line != string(AppendLine(nil, &b.Event)) {
			t.Fatal("the same options gave other events")
		}
		if a.At < last || a.Event.Time > a.At || a.Event.Time%catalog.Millisecond != 0 {
			t.Fatalf("arrival at %d after %d, sent at %d", a.At, last, a.Event.Time)
		}
		last = a.At
		if !slices.IsSortedFunc(a.Event.Properties, func(x, y catalog.Property) int {
			if x.Name < y.Name {
				return -1
			}
			return 1
		}) {
			t.Fatalf("properties out of order: %s", line)
		}
		key := a.Event.DistinctID + "/" + a.Event.InsertID
		if before, ok := seen[key]; ok != a.Retry || ok && before != line {
			t.Fatalf("retry %v, seen before %v: %s", a.Retry, ok, line)
		}
		if !a.Retry {
			if ids[a.Event.InsertID]++; ids[a.Event.InsertID] > 1 {
				shared++
			}
		} else {
			retries++
		}
		seen[key] = line
		lines++
		size += len(line)
	}
	if lines != o.Lines {
		t.Errorf("%d lines, want %d", lines, o.Lines)
	}
	if share := float64(retries) / float64(lines); share < 0.012 || share > 0.025 {
		t.Errorf("%.3f of the lines are retries, want about 0.02", share)
	}
	if shared == 0 {
		t.Error("no insert id is used by two users")
	}
	if mean := size / lines; mean < 280 || mean > 380 {
		t.Errorf("%d bytes a line, want about 330", mean)
	}
}
