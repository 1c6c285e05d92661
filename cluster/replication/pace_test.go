package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"arbor/cluster/protocol"
)

// TestFilesPassAtARate: those of all files together, at the rate that is in force, and
// nobody who waits is kept when nobody wants the file any more.
func TestFilesPassAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := int64(1000)
		d := &Driver{o: Options{MoveRate: func() int64 { return rate }}}
		began := time.Now()
		pass := func(ctx context.Context, n int) error { t.Helper(); return d.Pass(ctx, n) }
		done := make(chan error)
		for range 2 { // two files
			go func() {
				for range 10 {
					if err := pass(t.Context(), 500); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		// The last piece passes when those before it are paid for.
		if took := time.Since(began); took != 9500*time.Millisecond {
			t.Errorf("10,000 bytes passed in %v", took)
		}
		rate = 0
		if began = time.Now(); pass(t.Context(), 1<<30) != nil || time.Since(began) != 0 {
			t.Error("without a bound something waits")
		}
		rate = 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for err := error(nil); ; err = pass(ctx, 10) {
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				return
			}
		}
	})
}

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
	if took, early := moves(rate), lasts(aheadBytes+protocol.FetchBytes, rate); took < all-early || took > all*4/3 {
		t.Errorf("%v for what takes %v at the rate, of which %v may come early", took, all, early)
	}
	if took := moves(0); took > all/10 {
		t.Errorf("%v without a bound", took)
	}
}
