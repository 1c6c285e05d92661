package event

import "arbor/catalog"

// Holding is what somebody holds of a shard at one moment. Two who hold the same
// batches hold the same records, and under one catalog the same content.
type Holding struct {
	Shard catalog.ShardKey
	// Batches is a hash of the names of all batches that the shard has.
	Batches uint64
	// Catalog is the version of the catalog under which the content is seen.
	Catalog uint64
	Content Content
}

// Agrees says whether two holdings of a shard can be of equal batches: it is false
// only if something is wrong with one of them.
func (h *Holding) Agrees(o *Holding) bool {
	switch {
	case h.Shard != o.Shard || h.Batches != o.Batches:
		return true
	case h.Catalog != o.Catalog:
		return h.Content.Records == o.Content.Records
	}
	return h.Content == o.Content
}
