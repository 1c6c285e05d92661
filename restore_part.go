package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/tables"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// restorePart is what is restored of a backup: some days of some of its projects.
type restorePart struct {
	o       backup.RestoreOptions
	member  *backup.Member
	catalog *catalog.Catalog
	erased  int // users who were erased later
	// later is the catalog of the newest backup, nil unless what it says was erased is left out.
	later *catalog.Catalog
	state *tables.State // the mutable tables, once they were asked for
	first catalog.Day
	last  catalog.Day
	// dir holds the scratch directory, and what is known of it.
	dir    string
	opened *member
}

// newRestorePart reads what the backup says of itself.
func newRestorePart(ctx context.Context, o backup.RestoreOptions, suppress bool) (*restorePart, error) {
	o.WriteCatalog, o.WriteTables = cluster.WriteCatalog, cluster.WriteTables
	m, err := backup.Find(ctx, o.Stores, o.ID)
	if err != nil {
		return nil, err
	}
	p := &restorePart{o: o}
	if p.member, err = m.Member(o.Member); err != nil {
		return nil, err
	}
	if suppress {
		if p.o.WriteCatalog, err = suppressing(ctx, o, &p.erased); err != nil {
			return nil, err
		}
		if p.later, err = newestCatalog(ctx, o); err != nil {
			return nil, err
		}
	}
	encoded, err := backup.MemberCatalog(ctx, o.Stores, p.member)
	if err == nil {
		p.catalog, err = catalog.DecodeCatalog(encoded)
	}
	if err != nil {
		return nil, fmt.Errorf("the catalog of backup %s: %w", o.ID, err)
	}
	return p, nil
}

// holds reports whether a shard of the backup is meant.
func (p *restorePart) holds(project catalog.ProjectID, s backup.ShardID) (catalog.Day, bool) {
	at, err := time.Parse(time.DateOnly, s.Day)
	day := catalog.DayOf(at.UnixMicro())
	return day, err == nil && catalog.ProjectID(s.Project) == project && p.first <= day && day <= p.last
}

// days are what the days that are meant come to in the backup. One that was damaged when
// it was made has no digest that could be relied on.
func (p *restorePart) days(project catalog.ProjectID) (sums map[catalog.Day]event.Digest, damaged map[catalog.Day]string, err error) {
	sums, damaged = map[catalog.Day]event.Digest{}, map[catalog.Day]string{}
	for _, s := range p.member.Shards {
		day, ok := p.holds(project, s.ShardID)
		if !ok {
			continue
		}
		sum, err := event.ParseDigest(s.Digest)
		if err != nil {
			return nil, nil, fmt.Errorf("shard %s of the backup: %w", s.ShardID, err)
		}
		sums[day] = sums[day].Add(sum)
	}
	for _, d := range p.member.Damaged {
		if day, ok := p.holds(project, d.ShardID); ok {
			sums[day] = sums[day].Add(event.Digest{})
			damaged[day] = d.Reason
		}
	}
	return sums, damaged, nil
}

// partDone, in the scratch directory, lists the days that were downloaded whole.
const partDone = "days.json"

// open downloads the days of some projects, unless an earlier try of the same has left
// them, and opens them.
func (p *restorePart) open(ctx context.Context, scratch string, days map[catalog.ProjectID][]catalog.Day) error {
	if scratch == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("%w; name a directory for what is downloaded by --scratch", err)
		}
		scratch = filepath.Join(cache, "arbor", "restore")
	}
	of := sha256.Sum256([]byte(p.o.ID + "/" + p.member.Name))
	p.dir = filepath.Join(scratch, "arbor-restore-"+hex.EncodeToString(of[:8]))
	data, done := filepath.Join(p.dir, "data"), filepath.Join(p.dir, partDone)
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	have := map[catalog.ProjectID][]catalog.Day{}
	text, err := os.ReadFile(done)
	if err == nil {
		err = json.Unmarshal(text, &have)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; remove the directory to begin anew", done, err)
	}
	if err != nil || !covers(have, days) {
		// What is whole stays only where a restore is under way; one that has ended and
		// has other days begins anew.
		if err == nil {
			if err := os.RemoveAll(data); err != nil {
				return err
			}
			if err := os.Remove(done); err != nil {
				return err
			}
		}
		if err := p.download(ctx, data, days); err != nil {
			return err
		}
		if text, err = json.Marshal(days); err != nil {
			return err
		}
		if err := writeWhole(done, text); err != nil {
			return err
		}
	}
	p.opened, err = openAlone(ctx, serveOptions{data: data, manual: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("open what was downloaded into %s: %w", data, err)
	}
	return nil
}

func covers(have, want map[catalog.ProjectID][]catalog.Day) bool {
	for project, days := range want {
		for _, day := range days {
			if !slices.Contains(have[project], day) {
				return false
			}
		}
	}
	return true
}

// writeWhole writes a file, whole or not at all.
func writeWhole(name string, content []byte) error {
	if err := os.WriteFile(name+".tmp", content, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

func (p *restorePart) download(ctx context.Context, data string, days map[catalog.ProjectID][]catalog.Day) error {
	o := p.o
	o.FS, o.Dir = vfs.OS(), data
	o.Only = func(s backup.ShardID) bool {
		at, err := time.Parse(time.DateOnly, s.Day)
		return err == nil && slices.Contains(days[catalog.ProjectID(s.Project)], catalog.DayOf(at.UnixMicro()))
	}
	_, err := backup.Restore(ctx, o)
	if err != nil {
		return fmt.Errorf("%w; what was downloaded so far stays in %s for the next try", err, p.dir)
	}
	return nil
}

// close closes what was opened, and with done removes it.
func (p *restorePart) close(done bool) error {
	var err error
	if p.opened != nil {
		err = p.opened.Close()
	}
	if done && p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

// records gives what a day holds.
func (p *restorePart) records(ctx context.Context, project catalog.ProjectID, day catalog.Day, yield func(*event.Batch) error) error {
	for _, k := range p.opened.engine.ShardsOf(project) {
		if k.Day != day {
			continue
		}
		if err := p.opened.engine.Records(ctx, k, yield); err != nil {
			return err
		}
	}
	return nil
}

// day lists what a day holds, as a server does.
func (p *restorePart) day(ctx context.Context, project catalog.ProjectID, day catalog.Day) (list storedDay, err error) {
	err = p.records(ctx, project, day, func(b *event.Batch) error {
		for i := range b.Events {
			list = append(list, storedRecord{id: b.Events[i].ID, hash: event.RecordHash(&b.Events[i])})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list.sort()
	var shown []catalog.IngestID
	f := &exec.Fragment{Project: project, Copies: true, Columns: []exec.Column{{Source: exec.SourceIngestID}, {Source: exec.SourceTime, Hidden: true}}}
	f.Filter = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
		{Op: exec.OpMoreEq, Column: 1, Values: []catalog.Value{catalog.Int(day.Start())}},
		{Op: exec.OpLess, Column: 1, Values: []catalog.Value{catalog.Int((day + 1).Start())}},
	}}
	_, err = p.opened.engine.Scan(ctx, f, func(b *exec.Batch) error {
		ids, ok := b.Columns[0].(*array.String)
		if !ok {
			return fmt.Errorf("scan gave ids as %s", b.Columns[0].DataType())
		}
		for i := range b.Rows {
			id, err := catalog.ParseIngestID(ids.Value(i))
			if err != nil {
				return err
			}
			shown = append(shown, id)
		}
		return nil
	})
	list.show(shown)
	return list, err
}

// alone is the backup's catalog without all but one project, and without what is secret.
func (p *restorePart) alone(project *catalog.Project) *catalog.Catalog {
	bare := *project
	bare.Token, bare.Secret = "", ""
	return &catalog.Catalog{Version: p.catalog.Version, NextProject: p.catalog.NextProject, Projects: []*catalog.Project{&bare}}
}

// projects finds those of some names, or all that are not dropped.
func (p *restorePart) projects(names []string) (all []*catalog.Project, err error) {
	var known []string
	for _, project := range p.catalog.Projects {
		if project.DroppedAt == 0 {
			known = append(known, project.Name)
			if len(names) == 0 {
				all = append(all, project)
			}
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		project, ok := p.catalog.Project(name)
		if !ok {
			return nil, fmt.Errorf("--project %s: the backup has no such project; it has %q", name, known)
		}
		all = append(all, project)
	}
	return all, nil
}
