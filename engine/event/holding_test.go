package event

import "testing"

func TestHoldingsAgree(t *testing.T) {
	whole := Holding{Batches: 1, Catalog: 2, Content: Content{Records: Digest{Count: 3, Lo: 4}, Accepted: 3}}
	for _, test := range []struct {
		name   string
		change func(*Holding)
		want   bool
	}{
		{"the same", func(*Holding) {}, true},
		{"other records", func(h *Holding) { h.Content.Records.Lo++ }, false},
		{"other records under another catalog", func(h *Holding) { h.Content.Records.Lo++; h.Catalog++ }, false},
		{"others are hidden", func(h *Holding) { h.Content.Hidden.Count++ }, false},
		{"others are hidden under another catalog", func(h *Holding) { h.Content.Hidden.Count++; h.Catalog++ }, true},
		{"other batches", func(h *Holding) { h.Content.Records.Lo++; h.Batches++ }, true},
		{"another shard", func(h *Holding) { h.Content.Records.Lo++; h.Shard.Project++ }, true},
	} {
		other := whole
		test.change(&other)
		if got := whole.Agrees(&other); got != test.want || other.Agrees(&whole) != got {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
