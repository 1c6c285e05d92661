package replication

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"arbor/cluster/protocol"
	"arbor/pace"
)

// TestBatchesMoveAtARate: buckets that come to a member bring what is logged of them at
// the rate, all buckets together, and writes wait for none of that, although their
// quorums need the new member; without a bound it is a matter of a few seconds.
func TestBatchesMoveAtARate(t *testing.T) {
	const buckets, records, each = 16, 30, 100 << 10
	moves := func(rate int64) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3, buckets, 0, 1)
			w.mu.Lock()
			w.moveRate = rate
			w.mu.Unlock()
			var want []string
			add := func(n, size int) {
				t.Helper()
				var items []protocol.Item
				for b := range buckets {
					record := fmt.Appendf(nil, "%d of %d ", n, b)
					record = append(record, bytes.Repeat([]byte("x"), size)...)
					want = append(want, string(record))
					items = append(items, protocol.Item{Bucket: protocol.Bucket(b), Record: record})
				}
				began := time.Now()
				if err := w.up()[0].Append(t.Context(), items); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("a write took %v", took)
				}
			}
			for n := range records {
				add(n, each)
			}
			began := time.Now()
			w.change(2, 3) // a majority of the new ones is both
			for n := records; w.move(); n++ {
				add(n, 1)
				time.Sleep(500 * time.Millisecond) // fake
			}
			took = time.Since(began)
			got, err := w.ask(w.up()[0])
			slices.Sort(got)
			if slices.Sort(want); err != nil || !slices.Equal(got, want) {
				t.Errorf("%d records of %d, %v", len(got), len(want), err)
			}
		})
		return took
	}
	const rate = 200 << 10
	all := time.Duration(buckets*records*each/rate) * time.Second
	if took, early := moves(rate), pace.Lasts(aheadBytes+protocol.FetchBytes, rate); took < all-early || took > all*4/3 {
		t.Errorf("%v for what takes %v at the rate, of which %v may come early", took, all, early)
	}
	if took := moves(0); took > all/10 {
		t.Errorf("%v without a bound", took)
	}
}
