package event

import (
	"context"
	"io"

	"arbor/catalog"
)

// FileCut is what somebody holds of some shards at one moment, all of it in files. The
// files can be read until Release, wherever they are moved meanwhile.
type FileCut struct {
	// Catalog is the version of the one in force, at least as new as the data.
	Catalog uint64
	// LogEnd is the newest segment of the holder's log, from which the files may say
	// that they were made: a copy of them goes on with a log that begins behind it.
	LogEnd uint64
	Shards []ShardCut
	// Damaged are the shards that cannot be read whole, and of which nothing is here.
	Damaged []DamagedShard
	Release func() `json:"-"`
}

// ShardCut is a shard of a FileCut, and what it comes to.
type ShardCut struct {
	Shard   catalog.ShardKey
	Digest  Digest // of its records, physical repeats once
	Visible int64
	Files   []CutFile
}

// CutFile is an indexed file of a FileCut. Path is relative to the data directory, and
// Digest stands for the file's records.
type CutFile struct {
	Path       string
	Size, Rows int64
	Digest     Digest
	// Content reads the file's bytes.
	Content io.ReaderAt `json:"-"`
	// Sum holds the file against its own checksums, and gives the sums of its bytes, see
	// filesum.Sums; quick is empty where only the hash is told.
	Sum func(ctx context.Context) (hash, quick string, err error) `json:"-"`
}

// DamagedShard says why a shard is not in a cut.
type DamagedShard struct {
	Key    catalog.ShardKey
	Reason string
}
