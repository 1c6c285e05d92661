package main

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster/tables"
	"arbor/engine/appendlog"
	"arbor/engine/event"
	"arbor/engine/filesum"

	"arbor/cluster"
)

// clusterSource lets a cluster be backed up through one of its members: each bucket is
// copied from one replica that has all of it, and catalog and tables from here.
type clusterSource struct {
	members *cluster.Members
	// current waits until this member knows all changes that were acknowledged before.
	current func(context.Context) error
	catalog func() *catalog.Catalog
	tables  func() *tables.State
}

// Cuts takes hold of what the members hold together.
func (s clusterSource) Cuts(ctx context.Context, last *backup.Manifest) ([]*backup.Cut, error) {
	at := time.Now()
	if err := s.current(ctx); err != nil {
		return nil, err
	}
	cuts, release, err := s.members.Cut(ctx, givenBy(last))
	if err != nil {
		return nil, err
	}
	// The catalog has to be as new as what is copied.
	if err := s.current(ctx); err != nil {
		release()
		return nil, err
	}
	c, t := s.catalog(), s.tables()
	for i := range cuts {
		if cuts[i].Catalog > c.Version {
			release()
			return nil, errors.New("a member knows a newer catalog than this one: try again")
		}
	}
	if len(cuts) == 0 { // there is no project yet
		cuts = append(cuts, cluster.MemberCut{Member: "none"})
	}
	left := len(cuts)
	var mu sync.Mutex // guards left
	var out []*backup.Cut
	for i := range cuts {
		b := &backup.Cut{Member: cuts[i].Member, Cluster: true, At: at, Catalog: c.Encode(), CatalogVersion: c.Version, Release: func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				release()
			}
		}}
		if t.Version > 0 {
			b.Tables = t.Encode()
		}
		addFiles(b, &cuts[i].FileCut)
		out = append(out, b)
	}
	return out, nil
}

// addFiles describes what a member gives. Its log is not copied: what was logged is in
// the files. An empty segment has the log of whoever restores them begin behind the
// places that the files name.
func addFiles(b *backup.Cut, c *event.FileCut) {
	for i := range c.Shards {
		held := &c.Shards[i]
		shard := backup.CutShard{ShardID: shardID(held.Shard), Reckon: func(context.Context) (backup.Total, error) {
			return backup.Total{Records: held.Digest.Count, Visible: held.Visible, Digest: held.Digest.String()}, nil
		}}
		for j := range held.Files {
			f := &held.Files[j]
			shard.Files = append(shard.Files, backup.CutFile{
				File: backup.File{Path: f.Path, Size: f.Size, Rows: f.Rows, Digest: f.Digest.String()}, Immutable: true,
				Sum: func(ctx context.Context, pace func(n int) error) (s filesum.Sums, err error) {
					if err = pace(int(f.Size)); err == nil {
						s.Hash, s.Quick, err = f.Sum(ctx)
					}
					return s, err
				},
				Content: func() io.Reader { return io.NewSectionReader(f.Content, 0, f.Size) },
			})
		}
		b.Shards = append(b.Shards, shard)
	}
	b.Log = []backup.CutFile{{File: backup.File{Path: path.Join("log", appendlog.SegmentName(c.LogEnd+1))}, Content: func() io.Reader { return strings.NewReader("") }}}
	for _, d := range c.Damaged {
		b.Damaged = append(b.Damaged, backup.Damage{ShardID: shardID(d.Key), Reason: d.Reason})
	}
}

// givenBy says which member gave a slot's shards for a backup.
func givenBy(last *backup.Manifest) func(catalog.Slot) string {
	given := map[catalog.Slot]string{}
	if last != nil {
		for i := range last.Members {
			for _, s := range last.Members[i].Shards {
				given[catalog.Slot{Project: catalog.ProjectID(s.Project), Bucket: s.Bucket}] = last.Members[i].Name
			}
		}
	}
	return func(s catalog.Slot) string { return given[s] }
}
