package event

import (
	"errors"
	"testing"
)

func TestShardOf(t *testing.T) {
	for name, batch := range goldenBatches() {
		rec, err := AppendBatch(nil, batch)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := ShardOf(rec); err != nil || k != batch.Shard {
			t.Errorf("%s: %v, %v; want %v", name, k, err, batch.Shard)
		}
		for n := range min(len(rec), headerOffset+1) {
			if _, err := ShardOf(rec[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %d bytes: %v", name, n, err)
			}
		}
		rec[len(recordMagic)]++
		if _, err := ShardOf(rec); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: a newer version: %v", name, err)
		}
	}
}
