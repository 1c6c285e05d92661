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
						if err := p.Wait(t.Context(), piece, Always(1000)); err != nil {
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
		if p.Wait(t.Context(), 1<<30, Always(0)) != nil || time.Since(began) != 0 {
			t.Error("without a bound something waits")
		}
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Wait(ctx, 1<<30, Always(1)); err != nil {
			t.Error(err)
		}
		if err := p.Wait(ctx, 1, Always(1)); !errors.Is(err, context.DeadlineExceeded) {
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
			for p.Wait(ctx, 500, Always(1000)) == nil {
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

// TestRateChanges: what is owed is bytes, so that a rate that is set counts for them too,
// in the middle of a wait, and what was admitted at one rate is corrected at another.
func TestRateChanges(t *testing.T) {
	const (
		slow, fast = 64 << 10, 64 << 20
		piece      = 4 << 20
	)
	// waits is how long a byte waits while the rate becomes another one after some time.
	waits := func(t *testing.T, p *Pace, from, to int64, after time.Duration) time.Duration {
		t.Helper()
		began := time.Now()
		rate := func() int64 {
			if time.Since(began) < after {
				return from
			}
			return to
		}
		if err := p.Wait(t.Context(), 1, rate); err != nil {
			t.Error(err)
		}
		return time.Since(began)
	}
	synctest.Test(t, func(t *testing.T) {
		var raised Pace
		for range 3 {
			if !raised.Admit(piece, 2*piece, slow) {
				t.Error("not admitted, and no more is ahead than may be")
			}
		}
		if raised.Admit(piece, 2*piece, slow) {
			t.Error("admitted, and more is ahead than may be")
		}
		for range 3 {
			raised.Correct(100-piece, fast)
		}
		if took := waits(t, &raised, fast, fast, 0); took != 0 {
			t.Errorf("300 bytes are owed at the higher rate, and waited for %v", took)
		}

		var lowered Pace
		if lowered.Wait(t.Context(), piece, Always(fast)) != nil || !lowered.Admit(piece, 2*piece, fast) {
			t.Error("not admitted, and no more is ahead than may be")
		}
		lowered.Correct(100-piece, slow)
		if took, want := waits(t, &lowered, slow, slow, 0), Lasts(piece+100, slow); took > want || took < want-worthWaiting {
			t.Errorf("a file's piece is owed at the lower rate, and waited for %v, want %v", took, want)
		}

		for _, c := range []struct {
			from, to int64
			want     time.Duration // with the second in which the change is not seen
		}{
			{slow, fast, 11 * time.Second},
			{slow, 0, 11 * time.Second},
			{slow, slow / 2, 10*time.Second + 2*(Lasts(piece, slow)-10*time.Second)},
		} {
			var p Pace
			if err := p.Wait(t.Context(), piece, Always(c.from)); err != nil {
				t.Error(err)
			}
			if took := waits(t, &p, c.from, c.to, 10*time.Second+time.Millisecond); took > c.want+time.Second || took < c.want-time.Second {
				t.Errorf("a rate of %d that becomes %d: waited for %v, want %v", c.from, c.to, took, c.want)
			}
		}
	})
}

// TestCorrectWakes: who waits behind what did not come does so no longer.
func TestCorrectWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		p.Admit(100_000, 0, 1000)
		began := time.Now()
		time.AfterFunc(5*time.Second, func() { p.Correct(-90_000, 1000) })
		if err := p.Wait(t.Context(), 1000, Always(1000)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 10*time.Second-worthWaiting || took > 10*time.Second {
			t.Errorf("waited for %v behind 10,000 bytes at 1,000 a second", took)
		}
	})
}
