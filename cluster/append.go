package cluster

import (
	"context"
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
	"arbor/engine/event"
)

// append makes records durable on quorums.
func (m *Members) append(ctx context.Context, records [][]byte) error {
	items := make([]protocol.Item, len(records))
	m.mu.Lock()
	known := m.catalog
	m.mu.Unlock()
	var last *catalog.Project
	for i, r := range records {
		shard, err := event.ShardOf(r)
		if err != nil {
			return fmt.Errorf("append: record %d of %d: %w", i, len(records), err)
		}
		items[i] = protocol.Item{Bucket: protocol.BucketOf(shard), Record: r}
		if last == nil || last.ID != shard.Project {
			last, _ = known.ProjectByID(shard.Project) // whom the catalog here does not know the replicas wait for
		}
		if last != nil {
			items[i].Least = int(last.WriteQuorum)
		}
	}
	err := m.driver.Append(ctx, items)
	if errors.Is(err, replication.ErrTooLarge) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return storageError(err)
}

// knowing is a storage that takes nothing of a project that the catalog here does not
// know yet: another member had the news first. What it would do with events of
// nobody's is not to be found out.
type knowing struct {
	protocol.Storage
	members *Members
}

// errBehind: this member has not heard yet what another one knows.
var errBehind = errors.New("catalog here is older than the request")

// Append waits for the catalog, or refuses for now.
func (k knowing) Append(ctx context.Context, bucket protocol.Bucket, batches []protocol.Batch) ([]protocol.Outcome, error) {
	newest := catalog.ProjectID(0)
	for i := range batches {
		shard, err := event.ShardOf(batches[i].Record)
		if errors.Is(err, event.ErrVersion) {
			return nil, fmt.Errorf("%w of a record that a newer arbor made, for now: %w", protocol.ErrFull, err)
		}
		if err == nil { // what is no record the storage refuses
			newest = max(newest, shard.Project)
		}
	}
	if _, err := k.members.await(ctx, func(c *catalog.Catalog) bool { return newest < max(c.NextProject, 1) }); err != nil {
		return nil, fmt.Errorf("%w of project %d, for now: %w", protocol.ErrFull, newest, err)
	}
	return k.Storage.Append(ctx, bucket, batches)
}
