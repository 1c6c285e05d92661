package exec

import (
	"context"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// What comes after the rows were read may take long too: groups are merged, sorted
// and made columns of by the million. It looks now and then whether anyone still
// waits for the answer.

// endedEvery is how many steps of such a loop are done between two looks. A step is
// a microsecond at most.
const endedEvery = 4096

// Until has the work on the plan's groups end with a context. It is to be called
// before there are any; a plan is of one query.
func (p *Plan) Until(ctx context.Context) { p.until = ctx }

// Ended gives the reason for which the query is to do no more, nil for none.
func (p *Plan) Ended() error { return p.ended(0) }

// ended gives the reason for which step i of a loop is not to be done, nil for none.
func (p *Plan) ended(i int) error {
	if i%endedEvery != 0 || p.until == nil {
		return nil
	}
	return p.until.Err()
}

// valueArray is valueArray, until the query ends.
func (p *Plan) valueArray(t catalog.Type, n int, at func(i int) catalog.Value) (arrow.Array, error) {
	var ended error
	a, err := valueArray(t, n, func(i int) catalog.Value {
		if ended == nil {
			ended = p.ended(i)
		}
		if ended != nil {
			return catalog.Null
		}
		return at(i)
	})
	if ended != nil {
		return nil, ended
	}
	return a, err
}

// sortRun is how many values are sorted between two looks.
const sortRun = 1 << 14

// SortUntil sorts, until the query ends: in runs, which are merged. More than one run
// takes the memory of the values once more.
func SortUntil[T any](p *Plan, s []T, compare func(a, b T) int) error {
	if len(s) <= endedEvery/rankedTogether {
		slices.SortFunc(s, compare)
		return nil
	}
	for lo := 0; lo < len(s); lo += sortRun {
		if err := p.ended(0); err != nil {
			return err
		}
		slices.SortFunc(s[lo:min(lo+sortRun, len(s))], compare)
	}
	if len(s) <= sortRun {
		return nil
	}
	from, to := s, make([]T, len(s))
	for width := sortRun; width < len(s); width *= 2 {
		for lo := 0; lo < len(s); lo += 2 * width {
			middle, hi := min(lo+width, len(s)), min(lo+2*width, len(s))
			if err := mergeRuns(p, to[lo:hi], from[lo:middle], from[middle:hi], compare); err != nil {
				return err
			}
		}
		from, to = to, from
	}
	if &from[0] != &s[0] {
		copy(s, from)
	}
	return nil
}

// mergeRuns fills out with two sorted runs.
func mergeRuns[T any](p *Plan, out, a, b []T, compare func(a, b T) int) error {
	for i := range out {
		if err := p.ended(i); err != nil {
			return err
		}
		if len(b) == 0 || len(a) > 0 && compare(a[0], b[0]) <= 0 {
			out[i], a = a[0], a[1:]
		} else {
			out[i], b = b[0], b[1:]
		}
	}
	return nil
}
