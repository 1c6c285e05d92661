package engine

import (
	"context"
	"fmt"

	"arbor/engine/exec"
)

// ExecutePartial answers a fragment of any kind for the shards of its buckets, as
// pieces of a partial that exec.Merger puts together with those of others: whole
// groups are made here, but nothing is ordered or cut that others have a part in. A
// piece is valid until yield returns. The partial is whole when there is no error.
func (e *Engine) ExecutePartial(ctx context.Context, f *exec.Fragment, yield func(piece []byte) error) (exec.ScanStats, error) {
	leave, err := e.enter()
	if err != nil {
		return exec.ScanStats{}, err
	}
	defer leave()
	if err := f.Validate(); err != nil {
		return exec.ScanStats{}, fmt.Errorf("execute a part: %w", err)
	}
	out := exec.NewPartialWriter(f, yield)
	tied := exec.WithTies(f)
	if err := tied.Validate(); err != nil {
		return exec.ScanStats{}, fmt.Errorf("execute a part: %w", err)
	}
	s, err := e.newScan(tied)
	if err != nil {
		return exec.ScanStats{}, fmt.Errorf("execute a part: %w", err)
	}
	if err := s.finish(s.partial(ctx, out)); err != nil {
		return s.stats, err
	}
	return s.stats, out.End(s.stats)
}

// partial writes what there is to say but for the end.
func (s *scan) partial(ctx context.Context, out *exec.PartialWriter) error {
	write := func(b *exec.Batch) error { return out.WriteRows(s.fragment, b) }
	switch {
	case s.fragment.Group != nil:
		all, err := s.group(ctx)
		if err != nil {
			return err
		}
		return all.WritePartial(out)
	case len(s.fragment.Order) > 0:
		return s.sort(ctx, write)
	default:
		s.yield = write
		return s.run(ctx)
	}
}
