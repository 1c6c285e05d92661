package indexfile

import "arbor/catalog"

// Meta is what a file says about itself beside its rows. Only the fields that
// speak of ordinals mean anything to this package; the rest it keeps.
type Meta struct {
	Shard catalog.ShardKey
	// Sources name the log segments that the rows came from, and Replaces the
	// indexed files that this one stands in for.
	Sources, Replaces []string
	// Digest is the additive digest of the rows and tombstones: count, high, low.
	Digest [3]uint64
	// Duplicates are the ordinals of the rows hidden under the default policy by
	// other rows of this file, ascending.
	Duplicates []uint32
	// Groups are the rows that some policy may take for copies of each other,
	// in the order of their first members.
	Groups []Group
	// Cross are the rows that have copies in older files of the shard, in the
	// order of their ordinals.
	Cross []Cross
	// Tombstones are the shard's encoded deletes and undos that came with the rows.
	Tombstones []byte
	// LogCut says up to where the logs are in this file.
	LogCut []byte
	// CreatedBy is the version of the program that wrote the file.
	CreatedBy string
}

// Group is two or more rows that bear the same distinct id and insert id, or,
// without an insert id, the same content.
type Group struct {
	Members []Member // in the order of their ingest ids
}

// Member is a row of a Group.
type Member struct {
	Ordinal uint32
	// Class numbers the distinct payloads of the group from 0, in the order in
	// which they appear.
	Class uint32
}

// Cross says that row Ordinal bears the same distinct id and insert id as row
// Other of an older file of the same shard.
type Cross struct {
	Ordinal uint32
	File    string
	Other   uint32
	Same    bool // the payloads are equal too
}
