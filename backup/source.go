package backup

import (
	"context"
	"io"
	"time"

	"arbor/engine/filesum"
)

// Source is a member, or a cluster, that can be copied.
type Source interface {
	// Cuts takes hold of what is stored at one moment, member by member. Writing goes
	// on beside it. Of a cluster each shard is given by one member, and by the one that
	// the last backup has it from, where that is possible: it has the same files.
	Cuts(ctx context.Context, last *Manifest) ([]*Cut, error)
}

// Cut is what a member has stored at one moment. It can be read until Release.
type Cut struct {
	Member string
	// Cluster says that it is of a member of a cluster, of which all members' cuts are
	// one whole.
	Cluster        bool
	At             time.Time
	Catalog        []byte
	CatalogVersion uint64
	// Tables are the encoded mutable tables, nil where there are none.
	Tables  []byte
	Shards  []CutShard
	Log     []CutFile
	Damaged []Damage
	// LogDamage says why the log is not copied.
	LogDamage string
	// Read is told, if it is not nil, when all shards were reckoned, and only contents
	// of files are read any more.
	Read    func()
	Release func()
}

// CutShard is a shard at the moment of a cut. Reckon says what it comes to.
type CutShard struct {
	ShardID
	Files  []CutFile
	Reckon func(ctx context.Context) (Total, error)
}

// CutFile is a file of a cut. Its content is what File says of it, but for the
// hash; a file that is Immutable has one content under its path for ever.
type CutFile struct {
	File
	Immutable bool
	Content   func() io.Reader
	// Sum holds the content against its own checksums, and gives its sums, beside the
	// content rather than here. It tells pace how many bytes it is about to read. Where it
	// is nil the content is read and summed here.
	Sum func(ctx context.Context, pace func(n int) error) (filesum.Sums, error)
}
