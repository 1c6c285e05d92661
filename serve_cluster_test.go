package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"arbor/cluster"
	"arbor/engine"
)

// TestOpenCaughtUp has a member that holds events of a project which its catalog does
// not have yet wait for one that has.
func TestOpenCaughtUp(t *testing.T) {
	lost, away := fmt.Errorf("open: %w", engine.ErrCatalogLost), fmt.Errorf("ask: %w", cluster.ErrUnavailable)
	other := errors.New("disk is gone")
	for _, c := range []struct {
		name           string
		opens, current []error
		ended          bool
		want           []error // that the error is, none for success
		opened, paused int
	}{
		{name: "whole", opens: []error{nil}, opened: 1},
		{name: "broken", opens: []error{other}, opened: 1, want: []error{other}},
		{name: "behind", opens: []error{lost, nil}, current: []error{nil}, opened: 2},
		{name: "nobody leads for a while", opens: []error{lost, nil}, current: []error{away, away, context.DeadlineExceeded, nil}, opened: 2, paused: 3},
		{name: "not behind but lost", opens: []error{lost, lost}, current: []error{nil}, opened: 2, want: []error{engine.ErrCatalogLost}},
		{name: "not to be asked", opens: []error{lost}, current: []error{other}, opened: 1, want: []error{engine.ErrCatalogLost, other}},
		{name: "told to stop", opens: []error{lost}, current: []error{away}, ended: true, opened: 1, want: []error{engine.ErrCatalogLost}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if c.ended {
				cancel()
			}
			opened, paused := 0, 0
			next := func(from *[]error) error {
				err := (*from)[0]
				*from = slices.Delete(*from, 0, 1)
				return err
			}
			err := openCaughtUp(ctx, func() error { opened++; return next(&c.opens) }, func() error { return next(&c.current) }, func() <-chan time.Time {
				paused++
				over := make(chan time.Time)
				close(over)
				return over
			})
			if opened != c.opened || paused != c.paused || (err == nil) != (len(c.want) == 0) {
				t.Fatalf("opened %d times, paused %d times: %v", opened, paused, err)
			}
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
		})
	}
}
