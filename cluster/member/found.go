package member

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"

	"arbor/catalog"
	"arbor/cluster/consensus"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/cluster/tables"
	"arbor/engine/vfs"
)

// Founding is what a cluster begins with.
type Founding struct {
	FS  vfs.FS
	Dir string
	// Catalog is what the directory had when it was used alone.
	Catalog *catalog.Catalog
	// Tables are the mutable tables that it had.
	Tables  *tables.State
	Place   Place
	Release string
	Logger  *slog.Logger
	// Claim is told who the directory is about to be, in every bucket, before there is a
	// cluster: what is there must be on record as this replica's by then. It may be nil.
	Claim func(config protocol.Config) error
}

// firstGeneration is that of a member that has lost nothing: 0 is nobody's.
const firstGeneration = 1

// Found begins a cluster of one member, with the catalog that the data directory
// had before. It does all or nothing: a cluster exists from the moment at which
// consensus has its first state, and until then Kept says that there is none.
// It can be repeated after a crash.
func Found(o Founding) error {
	if err := found(o); err != nil {
		return fmt.Errorf("begin a cluster in %s: %w", o.Dir, err)
	}
	return nil
}

func found(o Founding) error {
	i := &identity{Place: o.Place, Generation: firstGeneration}
	rand.Read(i.id[:]) // never gives an error
	rand.Read(i.cluster[:])
	trust, err := peer.NewTrust(i.cluster)
	if err != nil {
		return err
	}
	proof, err := trust.NewIdentity(i.id)
	if err != nil {
		return err
	}
	i.keep(proof)
	encoded, err := trust.Encode()
	if err != nil {
		return err
	}
	if err := i.write(o.FS, o.Dir); err != nil {
		return err
	}
	self := &consensus.Member{
		ID: i.id, Addresses: o.Place.Addresses, Zone: o.Place.Zone, Roles: o.Place.Roles, Standing: consensus.Admitted,
		Generation: firstGeneration, Release: o.Release,
	}
	first := &protocol.Placement{Configs: make([]protocol.Config, protocol.Buckets)}
	mine := protocol.Config{Epoch: 1, Old: []protocol.Replica{{Member: i.id, Generation: firstGeneration}}}
	for b := range first.Configs {
		first.Configs[b] = mine
	}
	if o.Claim != nil {
		if err := o.Claim(mine); err != nil {
			return err
		}
	}
	return consensus.Begin(consensus.Options{FS: o.FS, Dir: MetadataDir(o.Dir), ID: i.id, Logger: o.Logger}, &consensus.State{
		Cluster: i.cluster, Catalog: o.Catalog, Tables: o.Tables, Members: []*consensus.Member{self},
		PlacementEpoch: 1, Placement: first.Encode(), Trust: encoded,
	})
}

// Retire moves the logs of the catalog and of the tables as they were before the cluster began aside, to
// be looked at if need be. Nothing reads it any more. It can be repeated.
func Retire(fsys vfs.FS, dir string) error {
	if err := retire(fsys, path.Join(dir, "catalog", "log"), path.Join(dir, "cluster", "catalog-before")); err != nil {
		return err
	}
	return retire(fsys, path.Join(dir, "catalog", "tables", "log"), path.Join(dir, "cluster", "tables-before"))
}

// forgetTablesBefore removes what is left of tables of before the cluster began.
func forgetTablesBefore(fsys vfs.FS, dir string) error {
	for _, sub := range []string{path.Join("cluster", "tables-before"), path.Join("catalog", "tables", "trash")} {
		if err := removeFiles(fsys, path.Join(dir, sub)); err != nil {
			return fmt.Errorf("remove tables of before the cluster: %w", err)
		}
	}
	return nil
}

// removeFiles removes the files of a directory, if there is one.
func removeFiles(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err == nil {
			err = fsys.Remove(path.Join(dir, name))
		}
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	return err
}

func retire(fsys vfs.FS, from, to string) error {
	names, err := fsys.List(from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return nil
	}
	if err == nil {
		err = fsys.MkdirAll(to)
	}
	for _, name := range names {
		if err == nil {
			err = fsys.Rename(path.Join(from, name), path.Join(to, name))
		}
	}
	if err == nil {
		err = errors.Join(fsys.SyncDir(to), fsys.SyncDir(from))
	}
	if err != nil {
		return fmt.Errorf("put the catalog of before the cluster aside: %w", err)
	}
	return nil
}
