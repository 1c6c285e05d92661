package engine

import (
	"context"
	"fmt"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// Check re-reads all that the project has, or all projects if it is 0: it
// compares each file with its checksums, its order and its digest, and each
// logged batch with its checksums. There is one row a file, one for what a shard
// has logged, and one for a damaged shard, each with what is wrong, if anything.
func (e *Engine) Check(ctx context.Context, project catalog.ProjectID) (*exec.Table, error) {
	return e.CheckShards(ctx, func(k catalog.ShardKey) bool { return project == 0 || k.Project == project })
}

// CheckShards is Check for some shards.
func (e *Engine) CheckShards(ctx context.Context, which func(catalog.ShardKey) bool) (*exec.Table, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	t := &exec.Table{Columns: tableColumns("name string", "kind string", "project int", "day string", "bucket int", "events int", "ok bool", "problem string")}
	var shards []*shard
	for _, s := range e.allShards() {
		if which(s.key) {
			shards = append(shards, s)
		}
	}
	j := e.jobs.start("check", catalog.ShardKey{}, int64(len(shards)))
	for _, s := range shards {
		if err = e.checkShard(ctx, s, t); err != nil {
			break
		}
		j.done.Add(1)
	}
	e.jobs.finish(j, fmt.Sprintf("%d shards", len(shards)), err)
	return t, err
}

// checkShard adds the shard's rows. Only the end of the context is an error:
// everything else is a finding.
func (e *Engine) checkShard(ctx context.Context, s *shard, t *exec.Table) error {
	v, err := s.view(e)
	if err != nil {
		addChecked(t, s.key, s.key.String(), "shard", 0, err)
		return ctx.Err()
	}
	defer v.release()
	for _, f := range v.files.files {
		err := v.check(ctx, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.blame(err)
		addChecked(t, s.key, f.name.String(), "file", int64(f.rows()), err)
	}
	if len(v.logs) == 0 {
		return nil
	}
	events := int64(0)
	err = v.eachLogged(ctx, func(_ uint32, e *event.Event) { events++ })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && events != v.events {
		err = fmt.Errorf("%d logged events where %d were acknowledged: %w", events, v.events, ErrDamaged)
	}
	v.blame(err)
	addChecked(t, s.key, "log", "log", v.events, err)
	return nil
}

func addChecked(t *exec.Table, k catalog.ShardKey, name, kind string, events int64, err error) {
	problem := catalog.Null
	if err != nil {
		problem = text(err.Error())
	}
	project, day, bucket := shardValues(k)
	t.Rows = append(t.Rows, []catalog.Value{text(name), text(kind), project, day, bucket, catalog.Int(events), catalog.Bool(err == nil), problem})
}

// check reads the file whole and compares it with what it says of itself. Rows are read as
// queries read them, and not as the proof of a new file does.
func (f *file) check(ctx context.Context) error {
	if err := f.reader.VerifyColumns(ctx); err != nil {
		return err
	}
	order, err := f.reader.OrderCheck()
	if err != nil {
		return err
	}
	d, err := f.readRows(ctx, func(e *event.Event) error { return order.Row((*indexfile.Row)(e)) })
	if err == nil {
		err = order.End()
	}
	if err != nil {
		return err
	}
	if d != f.digest() {
		return fmt.Errorf("%s holds %s and says that it holds %s: %w", f.reader.Path(), d, f.digest(), indexfile.ErrCorrupt)
	}
	return nil
}

// readDigest is the digest of what is in the file, whatever it says of itself.
func (f *file) readDigest(ctx context.Context) (event.Digest, error) {
	return f.readRows(ctx, func(*event.Event) error { return nil })
}

// readRows gives each row to do, and the digest of all that is in the file.
func (f *file) readRows(ctx context.Context, do func(*event.Event) error) (d event.Digest, err error) {
	c := f.cursor()
	for i := range f.rows() {
		if i%pieceRows == 0 && ctx.Err() != nil {
			return d, ctx.Err()
		}
		e, err := c.event(i)
		if err == nil {
			err = do(e)
		}
		if err != nil {
			return d, err
		}
		d.AddEvent(e)
	}
	return d.Add(f.marks.digest()), nil
}
