package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster/tables"
	"arbor/engine"
	"arbor/engine/appendlog"
	"arbor/engine/exec"
)

// backupMember is the name of a member that is alone, in manifests.
const backupMember = "member"

// backupSource lets a member's engine be backed up.
type backupSource struct {
	engine *engine.Engine
	tables func() *tables.State
}

// Cuts takes hold of what the engine has stored now.
func (s backupSource) Cuts(ctx context.Context, _ *backup.Manifest) ([]*backup.Cut, error) {
	c, err := s.engine.Cut(ctx)
	if errors.Is(err, appendlog.ErrCorrupt) {
		return s.withoutLog(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	out := &backup.Cut{Member: backupMember, At: c.At, Catalog: c.Catalog.Encode(), CatalogVersion: c.Catalog.Version, Read: c.Read, Release: c.Release}
	if t := s.tables(); t.Version > 0 {
		out.Tables = t.Encode()
	}
	for _, held := range c.Shards {
		shard := backup.CutShard{ShardID: shardID(held.Key), Reckon: func(ctx context.Context) (backup.Total, error) {
			d, visible, err := held.Reckon(ctx)
			return backup.Total{Records: d.Count, Visible: visible, Digest: d.String()}, err
		}}
		for _, f := range held.Files {
			shard.Files = append(shard.Files, cutFile(f, true))
		}
		out.Shards = append(out.Shards, shard)
	}
	for _, f := range c.Log {
		out.Log = append(out.Log, cutFile(f, false))
	}
	for _, d := range c.Damaged {
		out.Damaged = append(out.Damaged, backup.Damage{ShardID: shardID(d.Key), Reason: d.Reason})
	}
	return []*backup.Cut{out}, nil
}

// withoutLog is a cut while the log is damaged, which would keep a copy of it from being
// opened: what can be read of it is put into files.
func (s backupSource) withoutLog(ctx context.Context, damage error) ([]*backup.Cut, error) {
	s.engine.RaiseAlarm("log", "backup", fmt.Sprintf("the log is damaged, and backups have what can be read of it in files: %s", damage))
	at := time.Now()
	files, err := s.engine.CutFiles(ctx, func(catalog.Slot) bool { return true })
	if err != nil {
		return nil, errors.Join(damage, err)
	}
	c := s.engine.Catalog()
	out := &backup.Cut{Member: backupMember, At: at, Catalog: c.Encode(), CatalogVersion: c.Version, LogDamage: damage.Error(), Release: files.Release}
	if t := s.tables(); t.Version > 0 {
		out.Tables = t.Encode()
	}
	addFiles(out, files)
	return []*backup.Cut{out}, nil
}

func cutFile(f *engine.CutFile, immutable bool) backup.CutFile {
	out := backup.CutFile{File: backup.File{Path: f.Path, Size: f.Size, Rows: f.Rows}, Immutable: immutable, Content: f.Content, Sum: f.Sum}
	if immutable {
		out.Digest = f.Digest.String()
	}
	return out
}

func shardID(k catalog.ShardKey) backup.ShardID {
	return backup.ShardID{Project: uint32(k.Project), Day: k.Day.String(), Bucket: k.Bucket}
}

// openedMember is a member that a drill has restored.
type openedMember struct{ *member }

// Check reads everything again.
func (m openedMember) Check(ctx context.Context) (problems []string, err error) {
	rows, err := tableRows(m.engine.Check(ctx, 0))
	for _, row := range rows {
		if !row["ok"].Bool() {
			problems = append(problems, fmt.Sprintf("%s of shard %d/%s/%d: %s", row["name"].Text, row["project"].Int(), row["day"].Text, row["bucket"].Int(), row["problem"].Text))
		}
	}
	return problems, err
}

// Totals says what each shard comes to.
func (m openedMember) Totals(ctx context.Context) (map[backup.ShardID]backup.Total, error) {
	digests, err := tableRows(m.engine.Describe(ctx, "digests"))
	if err != nil {
		return nil, err
	}
	shards, err := tableRows(m.engine.Describe(ctx, "shards"))
	if err != nil {
		return nil, err
	}
	totals := map[backup.ShardID]backup.Total{}
	for _, row := range digests {
		totals[rowShard(row)] = backup.Total{Records: uint64(row["records"].Int()), Digest: row["digest"].Text}
	}
	for _, row := range shards {
		t := totals[rowShard(row)]
		t.Visible = row["visible_events"].Int()
		totals[rowShard(row)] = t
	}
	return totals, nil
}

// Days counts the events of each project and day by scanning them.
func (m openedMember) Days(ctx context.Context) (map[backup.Day]int64, error) {
	shards, err := tableRows(m.engine.Describe(ctx, "shards"))
	if err != nil {
		return nil, err
	}
	projects := map[uint32]bool{}
	for _, row := range shards {
		projects[uint32(row["project"].Int())] = true
	}
	days := map[backup.Day]int64{}
	for project := range projects {
		f := &exec.Fragment{Project: catalog.ProjectID(project), Columns: []exec.Column{{Source: exec.SourceTime, Type: catalog.TypeDatetime}}}
		_, err := m.cluster.Scan(ctx, f, func(b *exec.Batch) error {
			times, ok := b.Columns[0].(*array.Timestamp)
			if !ok {
				return fmt.Errorf("scan gave times as %s", b.Columns[0].DataType())
			}
			for _, t := range times.TimestampValues() {
				days[backup.Day{Project: project, Day: catalog.DayOf(int64(t)).String()}]++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return days, nil
}

func rowShard(row map[string]catalog.Value) backup.ShardID {
	return backup.ShardID{Project: uint32(row["project"].Int()), Day: row["day"].Text, Bucket: uint16(row["bucket"].Int())}
}

// tableRows are a described table's rows by the names of their columns.
func tableRows(t *exec.Table, err error) (rows []map[string]catalog.Value, _ error) {
	if err != nil {
		return nil, err
	}
	for _, values := range t.Rows {
		row := map[string]catalog.Value{}
		for i, c := range t.Columns {
			row[c.Name] = values[i]
		}
		rows = append(rows, row)
	}
	return rows, nil
}
