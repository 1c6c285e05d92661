package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"arbor/catalog"
)

// trash is where files go when others stand in for them. They stay there for
// the retention time, so that whatever turns out to be wrong can be undone, and
// then are removed. Nothing outside the trash directory is ever removed here,
// and nothing that a shard still reads is ever moved here.
//
//	trash/<moment>,<project>.<day>.<bucket>,<file>     an indexed file
//	trash/<moment>,log/<segment>.log                   a log segment
//	trash/<moment>,ledger/<segment>.log                a segment of the ledger
//
// The moment is when it came, in microseconds, 16 digits.
type trash struct{ engine *Engine }

func (t *trash) prefix() string { return fmt.Sprintf("%016d", max(t.engine.now().UnixMicro(), 0)) }

// The ends of the directories in the trash that hold segments.
const (
	logTrash    = ",log"
	ledgerTrash = ",ledger"
)

// retire moves files that were replaced, once the ledger says what stays. Those that cannot be moved now are
// litter: the next file names them as replaced too, and sweepLitter tries again.
func (t *trash) retire(s *shard, names []string) error {
	s.addLitter(names...)
	if err := t.engine.ledger.agree(s); err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := t.move(s, name); err != nil {
			errs = append(errs, err)
			continue
		}
		s.swept(name)
		t.engine.metrics.FilesRetired.Add(1)
	}
	return errors.Join(errs...)
}

// move moves a file of a shard to the trash, durably. The trash is synced first:
// at no moment is the file in neither directory.
func (t *trash) move(s *shard, name string) error {
	e := t.engine
	if s.uses(name) {
		e.alarms.raise(alarmGuarded, s.key, name, "a file in use was about to be moved to the trash")
		return fmt.Errorf("move %s/%s to the trash: %w", s.dir, name, ErrGuarded)
	}
	to := path.Join(e.trashDir(), t.prefix()+","+strings.ReplaceAll(s.key.String(), "/", ".")+","+name)
	if err := e.fs.Rename(path.Join(s.dir, name), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move to the trash: %w", err)
	}
	return errors.Join(e.fs.SyncDir(e.trashDir()), e.fs.SyncDir(s.dir))
}

// retireSegment moves a log segment.
func (t *trash) retireSegment(ctx context.Context, id uint64) error {
	return t.engine.log.Retire(ctx, id, path.Join(t.engine.trashDir(), t.prefix()+logTrash))
}

// sweepLitter moves what could not be moved before.
func (t *trash) sweepLitter(ctx context.Context) error {
	var errs []error
	for _, s := range t.engine.allShards() {
		if litter := s.replacedBy(nil); len(litter) > 0 && s.failure() == nil {
			if err := s.building.take(ctx); err != nil {
				return err
			}
			errs = append(errs, t.retire(s, litter))
			s.building.give()
		}
	}
	return errors.Join(errs...)
}

// empty removes what has been in the trash for the retention time.
func (t *trash) empty(ctx context.Context, retention time.Duration) error {
	e := t.engine
	if err := e.indexer.cleaning.take(ctx); err != nil {
		return err
	}
	defer e.indexer.cleaning.give()
	names, err := e.fs.List(e.trashDir())
	if err != nil {
		return fmt.Errorf("empty the trash: %w", err)
	}
	if e.opts.Faults.purgeLive() {
		names = append(names, t.liveFiles()...)
	}
	before := e.now().Add(-retention).UnixMicro()
	var errs []error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if at, ok := trashedAt(name); ok && at > before {
			continue
		}
		if err := t.remove(strings.TrimSuffix(name, "/")); err != nil && !errors.Is(err, ErrGuarded) {
			errs = append(errs, err) // what is guarded stays, and was an alarm
		}
	}
	return errors.Join(errs...)
}

// emptyTrash empties the trash, but of a canary's: what a version on trial has replaced
// stays until it is promoted or rolled back.
func (e *Engine) emptyTrash(ctx context.Context, c *catalog.Catalog) error {
	if c.StageOn(e.opts.Member) != nil {
		return nil
	}
	return e.trash.empty(ctx, c.TrashRetention())
}

// trashedAt is when a thing came into the trash.
func trashedAt(name string) (int64, bool) {
	moment, _, ok := strings.Cut(name, ",")
	at, err := strconv.ParseInt(moment, 10, 64)
	return at, ok && err == nil
}

// remove removes one thing from the trash for good, if nothing needs it.
func (t *trash) remove(name string) error {
	e := t.engine
	if why := t.needed(name); why != "" {
		return fmt.Errorf("remove %s from the trash: %s: %w", name, why, ErrGuarded)
	}
	at := path.Join(e.trashDir(), name)
	if strings.HasSuffix(name, logTrash) || strings.HasSuffix(name, ledgerTrash) {
		segments, err := e.fs.List(at)
		if err != nil {
			return fmt.Errorf("empty the trash: %w", err)
		}
		for _, s := range segments {
			if strings.HasSuffix(name, logTrash) {
				e.holdings.leftTrash(s)
			}
			if err := e.fs.Remove(path.Join(at, s)); err != nil {
				return fmt.Errorf("empty the trash: %w", err)
			}
		}
	}
	if err := e.fs.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("empty the trash: %w", err)
	}
	e.metrics.FilesPurged.Add(1)
	return nil
}

// needed says why a thing must not be removed; empty if it may. What it does not
// know it leaves alone. A file of a damaged shard stays, since it may be what
// heals it.
func (t *trash) needed(name string) string {
	parts := strings.Split(name, ",")
	if _, ok := trashedAt(name); !ok || strings.Contains(name, "/") || len(parts) < 2 || len(parts) > 3 {
		t.engine.alarms.once(alarmGuarded, catalog.ShardKey{}, name, "the clean-up wanted to remove "+name+", which is not rubbish")
		return "it is not the trash's"
	}
	if len(parts) == 2 {
		if kind := "," + parts[1]; kind != logTrash && kind != ledgerTrash {
			return "it is not the trash's"
		}
		return ""
	}
	for _, s := range t.engine.allShards() {
		if s.uses(parts[2]) {
			t.engine.alarms.once(alarmGuarded, s.key, name, "the clean-up wanted to remove "+name+", a file in use")
			return "it is in use"
		}
		if strings.ReplaceAll(s.key.String(), "/", ".") == parts[1] && s.failure() != nil {
			return "its shard is damaged"
		}
	}
	return ""
}

// liveFiles are paths of files in use, for a fault that takes them for rubbish.
func (t *trash) liveFiles() (paths []string) {
	for _, s := range t.engine.allShards() {
		for _, n := range s.fileNames() {
			paths = append(paths, "../shards/"+s.key.String()+"/"+n.String())
		}
	}
	slices.Sort(paths)
	return paths
}
