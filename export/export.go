// Package export writes events and answers as files that other programs read: Parquet,
// or files of Arrow's IPC format. It knows days, ingest ids and Arrow's records, and
// nothing of SQL or of how events are stored.
//
// An export of events is a directory:
//
//	daily/
//	  events-00001.parquet …   the events, each once
//	  _ids/held.parquet        the ids of all events that were visible, by day and bucket
//	  _ids/removed.parquet     those that the export it follows held, and that are no more
//	  _manifest.json           what is in it: files with checksums, days, counts
//	  _sha256sums              the same checksums, for sha256sum --check
//
// It is written under a name that begins with a dot, read again and compared with what
// went in, and renamed when all of it is on disk; so there is no half of an export.
//
// An export may follow another one (Options.Since). Then it has exactly the events that
// the other did not hold, whatever their ids are, and removed lists what is no longer
// visible: added up, exports that follow each other are what the last one would be as a
// whole. The ids of the other are read day by day beside the events of the day.
package export

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Errors of exports.
var (
	// ErrName: a name cannot be that of an export or a file.
	ErrName = errors.New("name cannot be used")
	// ErrExists: there is something of that name; nothing is ever replaced.
	ErrExists = errors.New("name is taken")
	// ErrFormat: there is no such format, or it cannot hold a column.
	ErrFormat = errors.New("format cannot be used")
	// ErrSince: the export that another one would follow is not there, is of another
	// project, or is damaged.
	ErrSince = errors.New("export that this one would follow cannot be used")
	// ErrProof: what was read again is not what was written.
	ErrProof = errors.New("file that was written does not hold what it should")
)

// Limits of the files of an export.
const (
	// DefaultFileRows and DefaultFileBytes end a file; bytes are those in memory.
	DefaultFileRows  = 16 << 20
	DefaultFileBytes = 2 << 30
	// groupRows and groupBytes end a row group of Parquet, which is in memory until then.
	groupRows  = 1 << 20
	groupBytes = 64 << 20
)

// ID is an ingest id in its binary form.
type ID = [catalog.IngestIDSize]byte

// Options say what an export is.
type Options struct {
	// Name is the directory's.
	Name string
	// Format is "parquet" or "arrow".
	Format string
	// Since is the name of the export that this one follows; empty for none.
	Since string
	// Project is whose events they are.
	Project   string
	ProjectID uint32
	// Schema is that of the events' records.
	Schema *arrow.Schema
	// CreatedBy is the program, for the manifest.
	CreatedBy string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// FileRows and FileBytes end a file; 0 means the defaults.
	FileRows, FileBytes int64
}

// Export is an export that is being written. Its parts come in the order of days and
// buckets, and cover all buckets of each day that Days names. It belongs to one
// goroutine.
type Export struct {
	o    Options
	dir  *Dir
	path string // of the directory while it is not whole

	out      *eventFiles
	held     *idFile
	removed  *idFile // nil without since
	previous *idReader
	kept     map[catalog.Day]Day // of the export that this one follows
	days     []Day
	part     part
	manifest Manifest
	settled  bool
}

// part are the shards whose events are being taken.
type part struct {
	day    catalog.Day
	shards map[uint16]*shardIDs
}

// shardIDs are the ids of a shard's events.
type shardIDs struct {
	old   []ID   // those that the export before held, ascending
	still []bool // which of them are visible
	fresh []ID
}

// Begin begins an export. Abort or Commit ends it.
func (d *Dir) Begin(o Options) (_ *Export, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.FileRows, o.FileBytes = cmp.Or(o.FileRows, DefaultFileRows), cmp.Or(o.FileBytes, DefaultFileBytes)
	if err := checkFormat(o.Format, o.Schema); err != nil {
		return nil, err
	}
	temporary, err := d.reserve(o.Name)
	if err != nil {
		return nil, err
	}
	x := &Export{o: o, dir: d, path: temporary, kept: map[catalog.Day]Day{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.Abort())
		}
	}()
	if err := d.fs.MkdirAll(path.Join(temporary, idsDir)); err != nil {
		return nil, fmt.Errorf("begin export %s: %w", o.Name, err)
	}
	x.manifest = Manifest{Version: manifestVersion, Name: o.Name, Project: o.Project, ProjectID: o.ProjectID, Format: o.Format,
		Since: o.Since, CreatedBy: o.CreatedBy, BeganAt: o.Now().UTC(), Columns: columnsOf(o.Schema)}
	if o.Since != "" {
		if err := x.follow(); err != nil {
			return nil, err
		}
	}
	if x.held, err = newIDFile(d.fs, path.Join(temporary, idsDir), heldName); err != nil {
		return nil, err
	}
	x.out = &eventFiles{fs: d.fs, dir: temporary, o: o}
	return x, nil
}

// follow opens what the export before held.
func (x *Export) follow() error {
	before, err := x.dir.Manifest(x.o.Since)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSince, x.o.Since, err)
	}
	if before.ProjectID != x.o.ProjectID {
		return fmt.Errorf("%w: %s is of project %s", ErrSince, x.o.Since, before.Project)
	}
	if x.previous, err = openIDFile(x.dir.fs, path.Join(x.dir.root, x.o.Since), before.Held); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSince, x.o.Since, err)
	}
	for _, day := range before.Days {
		d, err := day.number()
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSince, x.o.Since, err)
		}
		x.kept[d] = day
	}
	x.removed, err = newIDFile(x.dir.fs, path.Join(x.path, idsDir), removedName)
	return err
}

// Days are those of which the export before held events, ascending.
func (x *Export) Days() []catalog.Day {
	days := make([]catalog.Day, 0, len(x.kept))
	for d := range x.kept {
		days = append(days, d)
	}
	slices.Sort(days)
	return days
}

// State is what the export before was told of a day; empty for nothing.
func (x *Export) State(day catalog.Day) string { return x.kept[day].State }

// Keep leaves a day as the export before held it: nothing new, nothing gone.
func (x *Export) Keep(day catalog.Day) error {
	if _, ok := x.kept[day]; !ok {
		return nil
	}
	return x.previous.upTo(day, maxBucket, func(d catalog.Day, bucket uint16, id ID) error {
		if d != day {
			return fmt.Errorf("%w: %s: day %s comes before %s", ErrSince, x.o.Since, d, day)
		}
		x.count(day, 1, x.kept[day].State)
		return x.held.add(d, bucket, id)
	})
}

// BeginPart begins to take the events of a day's shards up to a bucket, from where the
// part before ended. It gives how many ids of the export before are in memory for it.
func (x *Export) BeginPart(day catalog.Day, last uint16) (ids int, err error) {
	x.part = part{day: day, shards: map[uint16]*shardIDs{}}
	if x.previous == nil {
		return 0, nil
	}
	err = x.previous.upTo(day, last, func(d catalog.Day, bucket uint16, id ID) error {
		if d != day {
			return fmt.Errorf("%w: %s: day %s comes before %s", ErrSince, x.o.Since, d, day)
		}
		ids++
		s := x.part.shard(bucket)
		s.old = append(s.old, id)
		return nil
	})
	for _, s := range x.part.shards {
		s.still = make([]bool, len(s.old))
	}
	return ids, err
}

func (p *part) shard(bucket uint16) *shardIDs {
	s := p.shards[bucket]
	if s == nil {
		s = &shardIDs{}
		p.shards[bucket] = s
	}
	return s
}

// Take notes a visible event of the part, and reports whether it is to be written: the
// export before did not hold it.
func (x *Export) Take(bucket uint16, id ID) bool {
	s := x.part.shard(bucket)
	if len(s.old) > 0 {
		if i, ok := slices.BinarySearchFunc(s.old, id, compareIDs); ok {
			s.still[i] = true
			return false
		}
	}
	s.fresh = append(s.fresh, id)
	return true
}

// Write adds events for which Take said so. The record is the caller's.
func (x *Export) Write(record arrow.Record) error { return x.out.write(record) }

// EndPart ends a part, all of whose visible events were taken. The state is kept for
// whoever asks State of an export that follows.
func (x *Export) EndPart(state string) error {
	buckets := make([]uint16, 0, len(x.part.shards))
	for b := range x.part.shards {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	for _, b := range buckets {
		if err := x.endShard(b, x.part.shards[b], state); err != nil {
			return err
		}
	}
	x.part = part{}
	return nil
}

// endShard writes the ids of a shard, the old and the new ones merged.
func (x *Export) endShard(bucket uint16, s *shardIDs, state string) error {
	day, at := x.part.day, 0
	slices.SortFunc(s.fresh, compareIDs)
	for i := 1; i < len(s.fresh); i++ {
		if s.fresh[i] == s.fresh[i-1] {
			return fmt.Errorf("%w: event %x came twice", ErrProof, s.fresh[i])
		}
	}
	hold := func(id ID) error {
		x.count(day, 1, state)
		return x.held.add(day, bucket, id)
	}
	for i, id := range s.old {
		for ; at < len(s.fresh) && compareIDs(s.fresh[at], id) < 0; at++ {
			if err := hold(s.fresh[at]); err != nil {
				return err
			}
		}
		if !s.still[i] {
			if err := x.removed.add(day, bucket, id); err != nil {
				return err
			}
			continue
		}
		if err := hold(id); err != nil {
			return err
		}
	}
	for ; at < len(s.fresh); at++ {
		if err := hold(s.fresh[at]); err != nil {
			return err
		}
	}
	return nil
}

// count adds held events to a day.
func (x *Export) count(day catalog.Day, events int64, state string) {
	if n := len(x.days); n == 0 || x.days[n-1].Day != day.String() {
		x.days = append(x.days, Day{Day: day.String(), State: state})
	}
	d := &x.days[len(x.days)-1]
	d.Events += events
	if d.State != state {
		d.State = ""
	}
}

// Forget makes the state of a day unknown.
func (x *Export) Forget(day catalog.Day) {
	for i := range x.days {
		if x.days[i].Day == day.String() {
			x.days[i].State = ""
		}
	}
}

// Commit ends the export: everything is read again and compared, made durable, and
// gets its name.
func (x *Export) Commit() (m Manifest, err error) {
	if x.settled {
		return m, errors.New("export has ended")
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("export %s: %w", x.o.Name, err), x.Abort())
		}
	}()
	if x.previous != nil {
		if err := x.previous.end(); err != nil {
			return m, fmt.Errorf("%w: %s: %w", ErrSince, x.o.Since, err)
		}
	}
	files, err := x.out.close()
	if err != nil {
		return m, err
	}
	x.manifest.addFiles(files)
	x.manifest.Days = x.days
	if x.manifest.Held, err = x.held.close(); err != nil {
		return m, err
	}
	if x.removed != nil {
		removed, err := x.removed.close()
		if err != nil {
			return m, err
		}
		x.manifest.Removed = &removed
	}
	x.manifest.FinishedAt = x.o.Now().UTC()
	if err := x.manifest.write(x.dir.fs, x.path); err != nil {
		return m, err
	}
	for _, dir := range []string{path.Join(x.path, idsDir), x.path} {
		if err := x.dir.fs.SyncDir(dir); err != nil {
			return m, err
		}
	}
	if err := x.dir.publish(x.o.Name); err != nil {
		return m, err
	}
	x.settled = true
	return x.manifest, x.release()
}

// Abort removes what was written. After Commit it does nothing.
func (x *Export) Abort() error {
	if x.settled {
		return nil
	}
	x.settled = true
	return errors.Join(x.release(), x.dir.discard(x.o.Name))
}

// release closes the files that are open.
func (x *Export) release() (err error) {
	if x.previous != nil {
		err = x.previous.close()
	}
	for _, f := range []*idFile{x.held, x.removed} {
		if f != nil {
			err = errors.Join(err, f.abort())
		}
	}
	if x.out != nil {
		err = errors.Join(err, x.out.abort())
	}
	return err
}

func compareIDs(a, b ID) int { return slices.Compare(a[:], b[:]) }

func idText(id ID) string { return hex.EncodeToString(id[:]) }
