package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Whoever waits for appends waits for those that began before, and for no others.
func TestFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		waiting := func(ctx context.Context) (landed func() bool, err func() error) {
			ended := make(chan error, 1)
			go func() { ended <- f.wait(ctx) }()
			return func() bool { synctest.Wait(); return len(ended) > 0 }, func() error { return <-ended }
		}
		if f.some() {
			t.Error("appends are under way before any began")
		}
		if landed, err := waiting(t.Context()); !landed() || err() != nil {
			t.Error("waits for nothing")
		}
		first, second := f.depart(), f.depart()
		early, _ := waiting(t.Context())
		alsoEarly, _ := waiting(t.Context())
		if early() || alsoEarly() {
			t.Error("does not wait")
		}
		third := f.depart()
		late, _ := waiting(t.Context())
		impatient, cancel := context.WithCancel(t.Context())
		_, gaveUp := waiting(impatient)
		cancel()
		if err := gaveUp(); !errors.Is(err, context.Canceled) {
			t.Errorf("after its context ended: %v", err)
		}
		f.land(first)
		if early() || alsoEarly() || late() {
			t.Error("does not wait for the second")
		}
		f.land(second)
		if !early() || !alsoEarly() || late() || !f.some() {
			t.Errorf("after the two landed: %v and %v, %v with the third, some %v", early(), alsoEarly(), late(), f.some())
		}
		f.land(third)
		if !late() || f.some() {
			t.Errorf("after all landed: %v, some %v", late(), f.some())
		}
	})
}
