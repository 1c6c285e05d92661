package torture

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"

	"arbor/catalog"
	"arbor/sqltests/oracle"
)

// failInAppend has the disk fail, or the machine stop, while events are
// appended. Nothing that was acknowledged may be lost; of the others each
// record is there whole or not at all, and the client's retry settles it.
func (r *run) failInAppend(rng *rand.Rand) error {
	records, err := r.request(rng, r.project(rng), r.someEvents(rng))
	if err != nil {
		return err
	}
	fault := r.subject.Fail(rng)
	r.detail("%s", fault)
	if err := r.accept(records); err != nil {
		r.detail("%v", err)
	}
	return r.recover(rng)
}

// failInIndex has the disk fail, or the machine stop, while events are indexed,
// days closed and trash emptied.
func (r *run) failInIndex(rng *rand.Rand) error {
	fault := r.subject.Fail(rng)
	r.detail("%s", fault)
	var err error
	if rng.IntN(3) == 0 {
		err = r.tick(rng)
	} else {
		err = r.subject.Index(r.ctx, r.someProjects(rng), rng.IntN(2) == 0)
	}
	r.detail("index: %v", err)
	if !r.subject.Crashed() && rng.IntN(2) == 0 {
		// The engine goes on without being opened again.
		r.subject.Heal()
		return nil
	}
	return r.recover(rng)
}

// recover opens the engine after a fault and finds out what is there of the
// records in doubt.
func (r *run) recover(rng *rand.Rand) error {
	if !r.subject.Crashed() {
		// Reads go on until somebody opens the engine again.
		r.subject.Heal()
		if r.subject.Opened() {
			if err := r.settle(false); err != nil {
				return fmt.Errorf("before opening again: %w", err)
			}
		}
	}
	var err error
	if r.subject.Crashed() || rng.IntN(2) == 0 {
		err = r.crash(rng)
	} else {
		err = r.reopen(rng)
	}
	if err != nil {
		return err
	}
	if err := r.settleCatalog(); err != nil {
		return err
	}
	if err := r.settle(true); err != nil {
		return err
	}
	again := r.doubt
	r.doubt = nil
	if rng.IntN(2) == 0 {
		return r.accept(again)
	}
	return nil
}

// settleCatalog finds out whether a change in doubt holds.
func (r *run) settleCatalog() error {
	got := r.subject.Catalog().Encode()
	switch {
	case bytes.Equal(got, r.catalog.Encode()):
	case r.doubtful != nil && bytes.Equal(got, r.doubtful.Encode()):
		r.decided(r.doubtful)
	default:
		return fmt.Errorf("the catalog has version %d: it is neither the one in force, %d, nor what a change in doubt makes of it", r.subject.Catalog().Version, r.catalog.Version)
	}
	r.doubtful = nil
	return nil
}

// settle finds the records in doubt that are there; with believe, they are
// taken for acknowledged from now on.
func (r *run) settle(believe bool) error {
	got, err := digests(r.ctx, r.subject)
	if err != nil {
		return err
	}
	byShard := map[catalog.ShardKey][]record{}
	for _, rec := range r.doubt {
		byShard[rec.shard] = append(byShard[rec.shard], rec)
	}
	all := r.model.Records()
	for shard, doubt := range byShard {
		known := slices.DeleteFunc(slices.Clone(all), func(o oracle.Record) bool { return o.Shard != shard })
		subset, ok := matching(got[shard], known, doubt)
		if !ok {
			return fmt.Errorf("shard %s has digest %s: not that of what was acknowledged with any of %d records in doubt", shard, got[shard], len(doubt))
		}
		if believe {
			r.believe(subset)
		}
	}
	return nil
}

// matching finds the records in doubt that make the digest.
func matching(digest string, known []oracle.Record, doubt []record) ([]record, bool) {
	for set := range 1 << len(doubt) {
		with := slices.Clone(known)
		var subset []record
		for i, rec := range doubt {
			if set>>i&1 == 1 {
				with = append(with, rec.records...)
				subset = append(subset, rec)
			}
		}
		d := oracle.Digest(with)
		if d.String() == digest || len(with) == 0 && digest == "" {
			return subset, true
		}
	}
	return nil, false
}
