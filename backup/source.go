package backup

import (
	"context"
	"io"
	"time"
)

// Source is a member that can be copied.
type Source interface {
	// Cut takes hold of what the member has stored at one moment. Writing goes on
	// beside it. A cluster's member gives the shards that it is to copy.
	Cut(ctx context.Context) (*Cut, error)
}

// Cut is what a member has stored at one moment. It can be read until Release.
type Cut struct {
	Member         string
	At             time.Time
	Catalog        []byte
	CatalogVersion uint64
	// Tables are the encoded mutable tables, nil where there are none.
	Tables  []byte
	Shards  []CutShard
	Log     []CutFile
	Damaged []Damage
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
	// Check holds the content against its own checksums.
	Check func(ctx context.Context) error
}
