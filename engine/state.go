package engine

import (
	"context"
	"slices"

	"arbor/catalog"
	"arbor/engine/exec"
)

// rules are what beside the records decides who is visible.
type rules struct {
	policy catalog.Policy
	// asOf hides what came later; MaxIngestID is now.
	asOf catalog.IngestID
	// upTo is the greatest id that a truncation in force covers; zero for none.
	upTo catalog.IngestID
	// erasing says who is being erased; nil for nobody.
	erasing *catalog.Suppression
	// detail asks for the kinds and survivors of duplicates too.
	detail bool
	// stored hides nothing that is stored: neither deletes nor truncations are in force.
	stored bool
}

// rulesFor are a shard's rules in a catalog. policy stands in for the
// catalog's if it is not nil.
func rulesFor(c *catalog.Catalog, k catalog.ShardKey, asOf catalog.IngestID, policy *catalog.Policy) rules {
	r := rules{asOf: asOf, policy: catalog.DefaultPolicy}
	if asOf.IsZero() {
		r.asOf = catalog.MaxIngestID
	}
	r.erasing = c.Erasing(k.Project, k.Bucket)
	if p, ok := c.ProjectByID(k.Project); ok {
		r.policy = p.Policy(k.Day)
		for _, t := range p.Truncations {
			if !t.Undone && t.ID.Compare(r.asOf) <= 0 && t.UpTo.Compare(r.upTo) > 0 {
				r.upTo = t.UpTo
			}
		}
	}
	if policy != nil {
		r.policy = *policy
	}
	return r
}

// plain reports whether a file's own list of duplicates answers the rules.
func (r *rules) plain() bool {
	return r.policy == catalog.DefaultPolicy && r.asOf == catalog.MaxIngestID && r.upTo.IsZero() && r.erasing == nil && !r.detail
}

// state says who in a view is visible under some rules. It does not change.
type state struct {
	files []marks // for each file of the view
	log   marks   // ordinals are the logged events' numbers in the view
	counts
}

// marks says who of one source is not visible.
type marks struct {
	// absent are records that nobody ever sees, ascending: physical repeats of
	// others, and quarantined ones.
	absent []uint32
	// repeats are those of absent that repeat a record that counts, ascending.
	repeats []uint32
	// gone are records that are deleted or that came later; nil for none.
	gone exec.Bitmap
	// hidden are duplicates, ascending. No record is in two of the three.
	hidden []uint32
	// why says, for each of hidden, why; nil unless the rules ask for detail.
	why []duplicate
}

// counts account for the records of a view, physical repeats once.
type counts struct {
	accepted, deleted, quarantined int64
	// retry and conflict are known only if the rules ask for detail.
	retry, conflict int64
}

func (c *counts) visible() int64 {
	return c.accepted - c.deleted - c.quarantined - c.retry - c.conflict
}

// cachedState is a state that was worked out for the first batches of a tail.
type cachedState struct {
	batches int
	rules   rules
	state   *state
}

// maxCachedStates is how many states a tail remembers.
const maxCachedStates = 4

// state works out who is visible, or remembers it.
func (v *view) state(ctx context.Context, r rules) (*state, error) {
	if s, err := v.plainState(&r); s != nil || err != nil {
		return s, v.blame(err)
	}
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return nil, err
	}
	defer t.turn.give()
	if err := t.extend(ctx, v); err != nil {
		return nil, v.blame(err)
	}
	s, err := v.reckoned(r)
	return s, v.blame(err)
}

// reckoned is state for a view whose batches are known to the tail. The caller
// has the tail's turn.
func (v *view) reckoned(r rules) (*state, error) {
	t := v.tail
	for _, c := range t.states {
		if c.batches == len(v.logs) && c.rules == r {
			return c.state, nil
		}
	}
	s, err := reckon(v, r)
	if err != nil {
		return nil, err
	}
	if r.asOf == catalog.MaxIngestID {
		if len(t.states) == maxCachedStates {
			t.states = slices.Delete(t.states, 0, 1)
		}
		t.states = append(t.states, cachedState{len(v.logs), r, s})
	}
	return s, nil
}

// plainState is the state of what most shards are most of the time: one file,
// nothing logged, nothing special. The file's own list of duplicates says it
// all. It is nil for any other view.
func (v *view) plainState(r *rules) (*state, error) {
	if len(v.logs) > 0 || len(v.files.files) > 1 || !v.files.marks.empty() || !r.plain() {
		return nil, nil
	}
	s := &state{files: make([]marks, len(v.files.files))}
	for i, f := range v.files.files {
		hidden, err := f.reader.Duplicates()
		if err != nil {
			return nil, err
		}
		s.files[i].hidden = f.hidden.same(hidden)
		s.accepted += int64(f.rows())
	}
	return s, nil
}
