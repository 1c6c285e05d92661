package replication

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestFilesPassAtARate: those of all files together, at the rate that is in force, and
// nobody who waits is kept when nobody wants the file any more.
func TestFilesPassAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := int64(1000)
		d := &Driver{o: Options{MoveRate: func() int64 { return rate }}}
		began := time.Now()
		pass := func(ctx context.Context, n int) error { t.Helper(); return d.pass(ctx, n) }
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
