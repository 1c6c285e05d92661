package pace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestWait: what all pass together comes at the rate, in pieces of any length, and after a
// pause nothing is made up for; without a bound nobody waits, nor does anybody whose time
// is over.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		for _, piece := range []int{1, 10, 500, 5000} {
			time.Sleep(time.Hour)
			began := time.Now()
			done := make(chan error)
			for range 2 {
				go func() {
					for range 50_000 / piece {
						if err := p.Wait(t.Context(), piece, 1000); err != nil {
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
			if took, want := time.Since(began), Lasts(100_000-piece, 1000); took > want || took < want-worthWaiting {
				t.Errorf("100,000 bytes in pieces of %d passed in %v", piece, took)
			}
		}
		began := time.Now()
		if p.Wait(t.Context(), 1<<30, 0) != nil || time.Since(began) != 0 {
			t.Error("without a bound something waits")
		}
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Wait(ctx, 1<<30, 1); err != nil {
			t.Error(err)
		}
		if err := p.Wait(ctx, 1, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestAdmit: what is admitted before it comes is at the rate but for what may be ahead, gets
// its turn beside who waits all the time, and counts as what came.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		admitted := 0
		for began := time.Now(); time.Since(began) < 100*time.Second; time.Sleep(time.Second) {
			for p.Admit(400, 1000, 1000) {
				p.Correct(-200, 1000) // half of it came
				admitted += 200
			}
		}
		if admitted < 100_000 || admitted > 102_000 {
			t.Errorf("%d bytes in 100 seconds", admitted)
		}
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		waited := 0
		over := make(chan bool)
		go func() {
			for p.Wait(ctx, 500, 1000) == nil {
				waited += 500
			}
			close(over)
		}()
		admitted = 0
		for began := time.Now(); time.Since(began) < 100*time.Second; time.Sleep(50 * time.Millisecond) {
			if p.Admit(500, 1000, 1000) {
				admitted += 500
			}
		}
		cancel()
		<-over
		if all := waited + admitted; all < 98_000 || all > 103_000 || admitted < 30_000 || waited < 30_000 {
			t.Errorf("%d bytes waited and %d were admitted in 100 seconds", waited, admitted)
		}
		if !p.Admit(1<<30, 0, 0) {
			t.Error("without a bound something is not admitted")
		}
	})
}
