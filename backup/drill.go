package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"arbor/engine/vfs"
)

// Opened is a data directory that was restored and opened.
type Opened interface {
	// Check reads everything again, and says what is not as it should be.
	Check(ctx context.Context) (problems []string, err error)
	// Totals says what each shard comes to.
	Totals(ctx context.Context) (map[ShardID]Total, error)
	// Days answers, as clients ask, how many events each project has on each day.
	Days(ctx context.Context) (map[Day]int64, error)
	Close() error
}

// Day is a day of a project.
type Day struct {
	Project uint32
	Day     string
}

// Drilled says what a drill found.
type Drilled struct {
	Restored
	// Shards, Events and Days are what was compared, and Problems what differed.
	Shards   int
	Events   int64
	Days     int
	Problems []string
}

// ErrDrill means that a backup did not come back as it was.
var ErrDrill = errors.New("backup does not hold what its manifest says")

// Drill restores a backup into a directory, opens it, reads every record again and
// compares digests and counts with the manifest. The directory is left for the
// caller to remove.
func Drill(ctx context.Context, o RestoreOptions, open func(ctx context.Context, fs vfs.FS, dir string) (Opened, error)) (d Drilled, err error) {
	o.Only = nil
	if d.Restored, err = Restore(ctx, o); err != nil {
		return d, err
	}
	opened, err := open(ctx, o.FS, o.Dir)
	if err != nil {
		return d, fmt.Errorf("open what was restored: %w", err)
	}
	err = d.compare(ctx, opened)
	if err = errors.Join(err, opened.Close()); err != nil {
		return d, err
	}
	if len(d.Problems) > 0 {
		return d, fmt.Errorf("%w: %s, and %d more", ErrDrill, d.Problems[0], len(d.Problems)-1)
	}
	return d, nil
}

func (d *Drilled) compare(ctx context.Context, opened Opened) error {
	problems, err := opened.Check(ctx)
	if err != nil {
		return fmt.Errorf("check what was restored: %w", err)
	}
	d.Problems = append(d.Problems, problems...)
	totals, err := opened.Totals(ctx)
	if err != nil {
		return fmt.Errorf("reckon what was restored: %w", err)
	}
	damaged := map[ShardID]bool{}
	for _, s := range d.Member.Damaged {
		damaged[s.ShardID] = true
		d.problem("shard %s was damaged when the backup was made: %s", s.ShardID, s.Reason)
	}
	days := map[Day]int64{}
	for _, s := range d.Member.Shards {
		got, ok := totals[s.ShardID]
		if got != s.Total && (ok || s.Total.Records > 0) {
			d.problem("shard %s comes to %+v, and should to %+v", s.ShardID, got, s.Total)
		}
		delete(totals, s.ShardID)
		d.Shards++
		d.Events += s.Visible
		days[Day{s.Project, s.Day}] += s.Visible
	}
	for id, total := range totals {
		if !damaged[id] && total.Records > 0 {
			d.problem("shard %s comes to %+v, and is not in the manifest", id, total)
		}
	}
	answered, err := opened.Days(ctx)
	if err != nil {
		return fmt.Errorf("ask what was restored: %w", err)
	}
	for day, want := range days {
		if got := answered[day]; got != want && !anyDamaged(damaged, day) {
			d.problem("project %d has %d events on %s, and should have %d", day.Project, got, day.Day, want)
		}
		d.Days++
	}
	slices.Sort(d.Problems)
	return nil
}

func anyDamaged(damaged map[ShardID]bool, day Day) bool {
	for s := range damaged {
		if (Day{s.Project, s.Day}) == day {
			return true
		}
	}
	return false
}

func (d *Drilled) problem(format string, a ...any) {
	d.Problems = append(d.Problems, fmt.Sprintf(format, a...))
}
