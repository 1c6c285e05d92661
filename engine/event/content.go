package event

// Content stands for all that somebody holds of a slot, and for what queries see of
// it. Whoever holds the same batches has the same content, whatever was indexed, merged
// or fetched by whom.
type Content struct {
	// Records are all events, deletes and undos.
	Records Digest
	// Hidden are the events that are hidden as duplicates, by their ids.
	Hidden Digest
	// Accepted, Deleted and Quarantined count events.
	Accepted, Deleted, Quarantined int64
}

// Add gives the content of a disjoint union.
func (c Content) Add(o Content) Content {
	return Content{c.Records.Add(o.Records), c.Hidden.Add(o.Hidden), c.Accepted + o.Accepted, c.Deleted + o.Deleted, c.Quarantined + o.Quarantined}
}
