package replication

import "arbor/cluster/protocol"

// Status is how a member's replication stands.
type Status struct {
	// Replicas are the buckets that are on the member's record.
	Replicas []protocol.Standing
	// Writes and Queries are under way for this member's clients, Scans for other
	// members.
	Writes, Queries, Scans int
	// WritingBytes are of those writes, ArrivingBytes on their way to this disk.
	WritingBytes, ArrivingBytes int
	// Dropped counts the messages that found no room.
	Dropped uint64
	// Broken says why the member's replicas are broken, if they are.
	Broken error
}

// Status says how things stand.
func (d *Driver) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Status{Replicas: d.holder.Standings(), Writes: len(d.writes), Queries: len(d.questions), Scans: len(d.outboxes),
		WritingBytes: d.writing, ArrivingBytes: int(d.arriving.Load()), Dropped: d.dropped.Load(), Broken: d.broken}
}
