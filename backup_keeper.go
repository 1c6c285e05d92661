package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sys/unix"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/exec"
	"arbor/engine/vfs"
	"arbor/gateway"
)

// openStores opens the buckets that hold backups. Whether they answer is seen when
// they are used: one that is down now must not keep a server from starting.
func openStores(ctx context.Context, names []string) (stores []*backup.Store, closeAll func() error, err error) {
	closeAll = func() (err error) {
		for _, s := range stores {
			err = errors.Join(err, s.Bucket.Close())
		}
		return err
	}
	for _, name := range names {
		s, err := openStore(ctx, name)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		stores = append(stores, s)
	}
	return stores, closeAll, nil
}

func openStore(ctx context.Context, name string) (*backup.Store, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w (want s3://NAME?region=R, gs://NAME, azblob://NAME or file:///DIR)", name, err)
	}
	var settle func() error
	if u.Scheme == "file" {
		q := u.Query()
		for option, value := range map[string]string{"create_dir": "true", "no_tmp_dir": "true", "metadata": "skip"} {
			if !q.Has(option) {
				q.Set(option, value)
			}
		}
		u.RawQuery = q.Encode()
		settle = func() error { unix.Sync(); return nil }
	}
	b, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w (want s3://NAME?region=R, gs://NAME, azblob://NAME or file:///DIR)", name, err)
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if prefix := u.Query().Get("prefix"); prefix != "" {
		shown.Path += "/" + prefix
	}
	return &backup.Store{Name: shown.String(), Bucket: b, Settle: settle}, nil
}

// keeper makes a member's backups, for the gateway and by itself.
type keeper struct {
	*backup.Keeper
	member string // in manifests
}

func newKeeper(m *member, stores []*backup.Store, drillDir string, logger *slog.Logger) keeper {
	name, source := backupMember, backup.Source(backupSource{m.engine, m.cluster.Tables})
	var leads func() bool
	if m.members != nil {
		name, leads = backup.ClusterMember, m.control.Leads
		source = clusterSource{m.members, m.control.Current, m.cluster.Catalog, m.cluster.Tables}
	}
	o := backup.KeeperOptions{
		Sources: []backup.Source{source}, Leads: leads, Stores: stores, CreatedBy: version(), Logger: logger, Alarm: m.engine.RaiseAlarm,
		StartWork: func(kind string) backup.Work { return m.engine.StartWork(kind) },
		Settings: func() backup.Settings {
			c := m.cluster.Catalog()
			return backup.Settings{Every: c.BackupEvery(), Rate: c.BackupRate(), Keep: c.BackupRetention(), DrillEvery: c.DrillEvery()}
		},
	}
	if drillDir != "" {
		done := filepath.Join(drillDir, drilledFile)
		if s, err := os.Stat(done); err == nil {
			o.Drilled = s.ModTime()
		}
		o.Drill = func(ctx context.Context) error {
			if err := sweepDrills(drillDir); err != nil {
				return err
			}
			id, _, err := backup.Latest(ctx, stores, time.Time{})
			if err == nil {
				_, err = drill(ctx, backup.RestoreOptions{Stores: stores, ID: id, Member: name, Rate: m.cluster.Catalog().BackupRate()}, drillDir)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(done, []byte(id+"\n"), 0o600)
		}
	}
	return keeper{backup.NewKeeper(o), name}
}

// drilledFile, in the directory of drills, has the backup that was last found right; its
// time is when that was.
const drilledFile = "drilled"

// drillPrefix is what the names of drills' directories begin with.
const drillPrefix = "arbor-drill-"

// sweepDrills removes what drills have left that were broken off.
func sweepDrills(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, drillPrefix+"*"))
	for _, name := range left {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// Backup makes a backup now and says what became of each store.
func (k keeper) Backup(ctx context.Context) (*exec.Table, error) {
	res, err := k.Keeper.Backup(ctx)
	if res.ID == "" {
		return nil, err
	}
	t := &exec.Table{Columns: []exec.TableColumn{
		{Name: "store", Type: catalog.TypeString}, {Name: "backup", Type: catalog.TypeString}, {Name: "objects", Type: catalog.TypeInt},
		{Name: "bytes", Type: catalog.TypeInt}, {Name: "ok", Type: catalog.TypeBool}, {Name: "problem", Type: catalog.TypeString},
	}}
	for _, s := range res.Stores {
		problem := catalog.Null
		switch {
		case s.Err != nil:
			problem = catalog.String(s.Err.Error())
		case !res.Manifest.Complete():
			problem = catalog.String(err.Error())
		}
		t.Rows = append(t.Rows, []catalog.Value{catalog.String(s.Name), catalog.String(res.ID), catalog.Int(s.Objects), catalog.Int(s.Bytes),
			catalog.Bool(problem == catalog.Null), problem})
	}
	return t, nil
}

// Copies gives, for each shard and store, the newest backup that has the shard whole.
func (k keeper) Copies(ctx context.Context, shards []catalog.ShardKey) map[catalog.ShardKey][]gateway.Copy {
	ids := make([]backup.ShardID, len(shards))
	for i, shard := range shards {
		ids[i] = shardID(shard)
	}
	copies := map[catalog.ShardKey][]gateway.Copy{}
	for _, s := range k.Stores {
		found, err := s.NewestOf(ctx, k.member, ids)
		if err != nil {
			k.Logger.Warn("look for copies", "store", s.Name, "error", err)
		}
		for i, shard := range shards {
			if held, ok := found[ids[i]]; ok {
				copies[shard] = append(copies[shard], gateway.Copy{Store: s.Name, Backup: held.ID, Events: held.Shard.Visible, ReplayFrom: held.Manifest.ReplayFrom})
			}
		}
	}
	return copies
}

// drill restores a backup into a directory of its own under scratch, compares, and
// removes it.
func drill(ctx context.Context, o backup.RestoreOptions, scratch string) (d backup.Drilled, err error) {
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return d, err
	}
	dir, err := os.MkdirTemp(scratch, drillPrefix)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.FS, o.Dir, o.WriteCatalog, o.WriteTables = vfs.OS(), filepath.Join(dir, "data"), cluster.WriteCatalog, cluster.WriteTables
	return backup.Drill(ctx, o, func(ctx context.Context, _ vfs.FS, dir string) (backup.Opened, error) {
		m, err := openAlone(ctx, serveOptions{data: dir, manual: true}, slog.New(slog.DiscardHandler))
		return openedMember{m}, err
	})
}
