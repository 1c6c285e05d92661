package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// ErrIncomplete: too few of the members that hold what is asked for answer, and less
// than everything is not answered.
var ErrIncomplete = errors.New("no complete answer is possible now")

// execute gives a fragment's answer, of whichever kind it is.
func (m *Members) execute(ctx context.Context, c *catalog.Catalog, f *exec.Fragment, here func(context.Context, *exec.Fragment, func(*exec.Batch) error) (exec.ScanStats, error), yield func(*exec.Batch) error) (exec.ScanStats, error) {
	p, ok := c.ProjectByID(f.Project)
	if !ok {
		return here(ctx, f, yield)
	}
	buckets := bucketsOf(p, slotsOf(f, p))
	if m.driver.Alone(buckets) {
		return here(ctx, f, yield)
	}
	if err := f.Validate(); err != nil {
		return exec.ScanStats{}, err
	}
	whole := *f
	whole.Buckets = nil
	if m.o.Measures != nil && !m.o.Measures() {
		whole.Measured = false // an older member would refuse it
	}
	merger, err := exec.NewMerger(&whole, exec.Options{MaxBytes: c.MaxQueryMemory()})
	if err != nil {
		return exec.ScanStats{}, err
	}
	parts, err := m.driver.Query(ctx, exec.AppendFragment(newPlan(planFragment, c), &whole), buckets, func() (replication.Part, error) {
		part, err := merger.NewPart()
		return partial{part}, err
	})
	if err != nil {
		return merger.Stats(), m.askError(p.Name, err)
	}
	for _, part := range parts {
		if err := merger.Take(part.(partial).Part); err != nil {
			return merger.Stats(), err
		}
	}
	err = merger.Answer(yield)
	return merger.Stats(), err
}

// slotsOf says which of a project's slots can have rows that pass the fragment.
func slotsOf(f *exec.Fragment, p *catalog.Project) func(uint16) bool {
	wanted := any16
	if f.Buckets != nil {
		wanted = func(slot uint16) bool { return slices.Contains(f.Buckets, slot) }
	}
	bounds := exec.BoundsOf(f)
	if bounds.Users == nil || bounds.HasUser("") {
		return wanted // an empty distinct id is placed by its insert id
	}
	users := map[uint16]bool{}
	for _, user := range bounds.Users {
		users[catalog.UserBucket(user, "", p.Buckets)] = true
	}
	return func(slot uint16) bool { return users[slot] && wanted(slot) }
}

// partial is a part whose damage another replica may not have.
type partial struct{ *exec.Part }

// Add takes the next piece.
func (p partial) Add(piece []byte) error {
	err := p.Part.Add(piece)
	if errors.Is(err, exec.ErrPartial) || errors.Is(err, exec.ErrVersion) {
		return fmt.Errorf("%w: %w", replication.ErrElsewhere, err)
	}
	return err
}

// askError says of a question's error what helps.
func (m *Members) askError(what string, err error) error {
	switch {
	case errors.Is(err, protocol.ErrIncomplete):
		return fmt.Errorf("%w: of %s some buckets have no majority of replicas that answers: %w; see arbor.members for who is away, and ask again when it is back", ErrIncomplete, what, err)
	case errors.Is(err, replication.ErrClosed), errors.Is(err, replication.ErrBroken):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// duplicates counts the events of records that are hidden as duplicates.
func (m *Members) duplicates(ctx context.Context, c *catalog.Catalog, records [][]byte) (int64, error) {
	plan := newPlan(planDuplicates, c)
	var buckets []protocol.Bucket
	for _, r := range records {
		shard, err := event.ShardOf(r)
		if err != nil {
			return 0, err
		}
		if b := protocol.BucketOf(shard); !slices.Contains(buckets, b) {
			buckets = append(buckets, b)
		}
	}
	if m.driver.Alone(buckets) {
		return m.o.Engine.Duplicates(ctx, records)
	}
	for _, r := range records {
		plan = append(binary.AppendUvarint(plan, uint64(len(r))), r...)
	}
	parts, err := m.driver.Query(ctx, plan, buckets, func() (replication.Part, error) { return &count{}, nil })
	if err != nil {
		return 0, m.askError("the records", err)
	}
	total := int64(0)
	for _, p := range parts {
		total += p.(*count).n
	}
	return total, nil
}

// count is a part that is a number.
type count struct{ n int64 }

// Add takes the number.
func (c *count) Add(piece []byte) error {
	n, w := binary.Uvarint(piece)
	if w != len(piece) || n > 1<<40 {
		return fmt.Errorf("%w: a count in %d bytes", replication.ErrElsewhere, len(piece))
	}
	c.n += int64(n)
	return nil
}

// Drop has nothing to give back.
func (c *count) Drop() {}
