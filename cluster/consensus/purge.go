package consensus

import (
	"context"
	"fmt"

	"arbor/cluster/tables"
)

// Purge leaves nothing on this member's disk of the states and commands before the one in
// force: the state is written whole, and the log, the snapshots and the trash of before
// go for good. Members that lag behind get the state whole then. It may be repeated.
func (g *Group) Purge(ctx context.Context) error {
	select {
	case g.purging <- struct{}{}:
		defer func() { <-g.purging }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := g.purge(ctx)
	if err != nil {
		return fmt.Errorf("purge metadata: %w", err)
	}
	return nil
}

func (g *Group) purge(ctx context.Context) error {
	last, err := g.store.Rotate()
	if err != nil {
		return err
	}
	// A snapshot stands for commands alone, up to the last one that was applied, so one
	// that changes nothing goes behind all that is in the segments of before.
	if _, err := g.Apply(ctx, ChangeTables{Change: tables.Change{}}); err != nil {
		return err
	}
	if err := g.keepLogs(0); err != nil {
		return err
	}
	err = g.snapshotBeyond(ctx, last)
	if e := g.keepLogs(trailingLogs); err == nil {
		err = e
	}
	if err == nil {
		err = g.snaps.Purge()
	}
	return err
}

// snapshotBeyond makes snapshots until one stands for the entries up to last, and has
// them removed for good. While voters change none can be made.
func (g *Group) snapshotBeyond(ctx context.Context, last uint64) error {
	for {
		err := g.Snapshot()
		if err == nil {
			if err = g.store.Purge(last); err == nil {
				return nil
			}
		}
		if e := g.pause(ctx); e != nil {
			return fmt.Errorf("%w: %w", e, err)
		}
	}
}

// keepLogs says how many entries are kept that a snapshot stands for.
func (g *Group) keepLogs(n uint64) error {
	c := g.raft.ReloadableConfig()
	if c.TrailingLogs == n {
		return nil
	}
	c.TrailingLogs = n
	return g.raft.ReloadConfig(c)
}
