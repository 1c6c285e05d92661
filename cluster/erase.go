package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"arbor/catalog"
)

// ErrNotErasable: this member cannot erase a user.
var ErrNotErasable = errors.New("users cannot be erased here")

// Eraser is a Local that can erase.
type Eraser interface {
	// CountErasure counts what an erasure that has begun is going to remove.
	CountErasure(ctx context.Context, id catalog.IngestID) (catalog.CountErasure, error)

	// Erase removes it: when it returns nil it is nowhere. It may be repeated.
	Erase(ctx context.Context, id catalog.IngestID) error
}

// EraseUser removes a user's events with an ingest id at or below the change's, for
// good, and the user's rows of mutable tables, and gives the catalog that says so. Once the change is durable, no query shows
// them and none comes in again, whatever happens to the rest: what an error or a crash
// keeps from being done, the same call or ResumeErasures does. An erasure of the user
// that is under way already is gone on with in its place.
func (c *Cluster) EraseUser(ctx context.Context, b catalog.BeginErasure, now func() time.Time) (catalog.IngestID, *catalog.Catalog, error) {
	if _, err := c.eraser(); err != nil {
		return b.ID, nil, err
	}
	id := b.ID
	_, err := c.Change(ctx, b)
	if errors.Is(err, catalog.ErrErasurePending) {
		for _, e := range c.Catalog().Erasures {
			if e.Project == b.Project && e.User == b.User && e.State != catalog.ErasureDone {
				id, err = e.ID, nil
			}
		}
	}
	if err != nil {
		return id, nil, err
	}
	next, err := c.erase(ctx, id, now)
	return id, next, err
}

// eraser is who erases: the engine of a member that is alone, or all members.
func (c *Cluster) eraser() (Eraser, error) {
	local, ok := c.local.(Eraser)
	if !ok {
		return nil, fmt.Errorf("%w: its storage does not support it", ErrNotErasable)
	}
	if c.members != nil {
		return memberEraser{c.members, local}, nil
	}
	return local, nil
}

// erase does what is left of an erasure. One is done at a time, so that each counts what
// it alone removes.
func (c *Cluster) erase(ctx context.Context, id catalog.IngestID, now func() time.Time) (*catalog.Catalog, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	select {
	case c.erasing <- struct{}{}:
		defer func() { <-c.erasing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	eraser, err := c.eraser()
	if err != nil {
		return nil, err
	}
	current := c.Catalog()
	e, _, ok := current.Erasure(id)
	if !ok {
		return nil, fmt.Errorf("erasure %s: %w", id, catalog.ErrNoErasure)
	}
	rows := uint64(0)
	if e.State != catalog.ErasureDone {
		if rows, err = c.eraseRows(ctx, id); err != nil {
			return nil, err
		}
	}
	if e.State == catalog.ErasureBegun {
		counted, err := eraser.CountErasure(ctx, id)
		if err != nil {
			return nil, err
		}
		if current, err = c.eraseStep(ctx, id, counted, catalog.ErasureCounted); err != nil {
			return nil, err
		}
	}
	if e.State != catalog.ErasureDone {
		if err := eraser.Erase(ctx, id); err != nil {
			return nil, err
		}
		if c.members == nil {
			if err := c.metadata.PurgeTables(ctx, rowsErased(id)); err != nil {
				return nil, err
			}
		}
		if rows > 0 {
			if _, err := c.eraseStep(ctx, id, catalog.CountErasedRows{ID: id, Rows: rows}, catalog.ErasureDone); err != nil {
				return nil, err
			}
		}
		return c.eraseStep(ctx, id, catalog.EndErasure{ID: id, At: now().UnixMicro()}, catalog.ErasureDone)
	}
	return current, nil
}

// eraseStep puts on record how far an erasure has come, unless another member did.
func (c *Cluster) eraseStep(ctx context.Context, id catalog.IngestID, change catalog.Change, to catalog.ErasureState) (*catalog.Catalog, error) {
	next, err := c.metadata.Change(ctx, change)
	if errors.Is(err, catalog.ErrNoErasure) {
		current := c.Catalog()
		if e, _, ok := current.Erasure(id); ok && e.State >= to {
			return current, nil
		}
	}
	return next, err
}

// ResumeErasures does what is left of erasures that a crash or an error interrupted.
func (c *Cluster) ResumeErasures(ctx context.Context, now func() time.Time) error {
	var errs []error
	for _, e := range c.Catalog().Erasures {
		if e.State != catalog.ErasureDone {
			_, err := c.erase(ctx, e.ID, now)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
