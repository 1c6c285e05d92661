package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/zeebo/xxh3"

	"arbor/engine/exec"
)

// partly is what can answer for some of a project's user buckets.
type partly interface {
	ExecutePartial(ctx context.Context, f *exec.Fragment, yield func(piece []byte) error) (exec.ScanStats, error)
}

// merged asks for partials, each of some user buckets, and merges them in any order:
// what three members do that hold a bucket each.
type merged struct {
	scanner
	partly partly
	rng    *rand.Rand
	most   int // buckets
}

// mergedOf is the subject asked in parts, if it can be: by half of the fragments.
func (r *run) mergedOf(f *exec.Fragment) (*merged, bool) {
	p, ok := r.subject.(partly)
	if !ok {
		return nil, false
	}
	project, _ := r.subject.Catalog().ProjectByID(f.Project)
	rng := rand.New(rand.NewPCG(xxh3.Hash(exec.AppendFragment(nil, f)), 1))
	return &merged{scanner: r.subject, partly: p, rng: rng, most: int(project.Buckets)}, rng.IntN(2) == 0
}

func (m *merged) Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	return m.ask(ctx, f, yield)
}

func (m *merged) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	return m.ask(ctx, f, yield)
}

func (m *merged) ask(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	var none exec.ScanStats
	merger, err := exec.NewMerger(f, exec.Options{})
	if err != nil {
		return none, err
	}
	for _, buckets := range m.divide() {
		own := *f
		own.Buckets = buckets
		// It travels.
		asked, err := exec.DecodeFragment(exec.AppendFragment(nil, &own))
		if err != nil {
			return none, err
		}
		part, err := merger.NewPart()
		if err != nil {
			return none, err
		}
		if m.rng.IntN(4) == 0 { // a member dies in the middle, and another is asked
			if broken, err := merger.NewPart(); err != nil {
				return none, err
			} else if _, err := m.partly.ExecutePartial(ctx, asked, func(piece []byte) error { return broken.Add(slices.Clone(piece)) }); err != nil {
				return none, err
			} else {
				broken.Drop()
			}
		}
		if _, err := m.partly.ExecutePartial(ctx, asked, part.Add); err != nil {
			return none, err
		}
		if err := merger.Take(part); err != nil {
			return none, err
		}
	}
	err = merger.Answer(yield)
	return merger.Stats(), err
}

// divide gives each bucket to one of several, some of which may have none.
func (m *merged) divide() [][]uint16 {
	parts := make([][]uint16, 1+m.rng.IntN(5))
	for i := range parts {
		parts[i] = []uint16{}
	}
	for bucket := range uint16(m.most) {
		i := m.rng.IntN(len(parts))
		parts[i] = append(parts[i], bucket)
	}
	return parts
}

// compareParts holds what partials give against what is wanted.
func (r *run) compareParts(f *exec.Fragment, want []string, ask func(context.Context, scanner, *exec.Fragment) ([]string, error)) error {
	m, ok := r.mergedOf(f)
	if !ok || r.unparted {
		return nil
	}
	whole := *f
	whole.Runs = false
	got, err := ask(r.ctx, m, &whole)
	if err != nil {
		return fmt.Errorf("partials of %s: %w", show(f), err)
	}
	if d := difference(want, got); d != "" {
		return fmt.Errorf("%w: partials of %s give %d rows, want %d (-want +got):\n%s", errWrong, show(f), len(got), len(want), d)
	}
	return nil
}

// ExecutePartial is the engine's.
func (m *member) ExecutePartial(ctx context.Context, f *exec.Fragment, yield func(piece []byte) error) (exec.ScanStats, error) {
	return m.engine.ExecutePartial(ctx, f, yield)
}
