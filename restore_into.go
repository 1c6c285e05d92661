package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"arbor/catalog"
	"arbor/engine/event"
)

// intoOptions are those of a restore into a running server.
type intoOptions struct {
	server, user, password string
	projects               []string
	days, into             string
	inPlace, dryRun, yes   bool
	scratch                string
	out                    io.Writer
	in                     io.Reader
	// terminal says that somebody is there who can be asked.
	terminal bool
}

// restoredSuffix is what the name of a project that is restored beside has at its end.
const restoredSuffix = "_restored"

// restoreSendBytes is how much is sent at once.
const restoreSendBytes = 1 << 20

// check says which options do not go together.
func (o *intoOptions) check() error {
	switch {
	case o.inPlace && o.into != "":
		return errors.New("give --into or --in-place, not both")
	case o.into != "" && len(o.projects) != 1:
		return errors.New("--into names one project: say of which one the events are, by one --project")
	}
	return nil
}

// parseDays reads a day, or the first and the last of several with two dots between them.
func parseDays(text string) (first, last catalog.Day, err error) {
	if text == "" {
		return catalog.MinDay, catalog.MaxDay, nil
	}
	from, to, several := strings.Cut(text, "..")
	if !several {
		to = from
	}
	var days [2]catalog.Day
	for i, s := range []string{from, to} {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return 0, 0, fmt.Errorf("--days %q: want a day such as 2026-05-02, or 2026-05-02..2026-05-04", text)
		}
		days[i] = catalog.DayOf(at.UnixMicro())
	}
	if days[0] > days[1] {
		return 0, 0, fmt.Errorf("--days %q: the first day is after the last", text)
	}
	return days[0], days[1], nil
}

// runRestoreInto restores a part of a backup into a running server.
func runRestoreInto(ctx context.Context, o restoreOptions) (err error) {
	if o.data != "" {
		return errors.New("give --server or --data, not both: into a running server, or into a directory")
	}
	if err := o.check(); err != nil {
		return err
	}
	first, last, err := parseDays(o.days)
	if err != nil {
		return err
	}
	r, closeStores, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStores()) }()
	var end func()
	r.Progress, end = byteProgress("download", o.quiet)
	defer end()
	part, err := newRestorePart(ctx, r, o.suppress)
	if err != nil {
		return err
	}
	part.first, part.last = first, last
	in := &intoRestore{o: o.intoOptions, quiet: o.quiet, part: part, server: &restoreServer{url: o.server, user: o.user, password: o.password, rate: o.rate, client: &http.Client{}}}
	done, err := in.run(ctx)
	return errors.Join(err, part.close(done))
}

// intoRestore is a restore into a running server under way.
type intoRestore struct {
	o      intoOptions
	quiet  bool
	part   *restorePart
	server *restoreServer
	plans  []*projectPlan
}

// projectPlan is what is to be done for a project.
type projectPlan struct {
	from *catalog.Project
	into string
	days []*dayPlan
	// tables are compared where all days are meant.
	tables []*tablePlan
}

// dayPlan compares a day of the backup with what the server has.
type dayPlan struct {
	day          catalog.Day
	backup, here event.Digest
	damaged      string // why the backup has not all of it
	differs      bool
	// missing are events that only the backup has, and more those that only the server
	// has; both have the same, and other is in both with one id and other content.
	missing, more, both, other int
	// deleted are those of both that the backup shows, and that were deleted here.
	deleted int
}

// run says whether there is nothing more to do.
func (r *intoRestore) run(ctx context.Context) (done bool, err error) {
	if err := r.plan(ctx); err != nil {
		return false, err
	}
	wanted := map[catalog.ProjectID][]catalog.Day{}
	for _, p := range r.plans {
		for _, d := range p.days {
			if d.differs {
				wanted[p.from.ID] = append(wanted[p.from.ID], d.day)
			}
		}
	}
	if len(wanted) > 0 {
		if err := r.part.open(ctx, r.o.scratch, wanted); err != nil {
			return false, err
		}
		for _, p := range r.plans {
			for _, d := range p.days {
				if err := r.diff(ctx, p, d); err != nil {
					return false, fmt.Errorf("compare %s of project %s: %w", d.day, p.from.Name, err)
				}
			}
		}
	}
	r.show()
	if r.o.dryRun {
		return true, nil
	}
	missing := 0
	for _, p := range r.plans {
		for _, d := range p.days {
			missing += d.missing
		}
	}
	rows, due := r.dueRows()
	if len(wanted) == 0 && !due {
		return true, nil
	}
	if r.o.inPlace && !r.o.yes {
		if err := r.ask(asked(missing, rows)); err != nil {
			return false, err
		}
	}
	return true, r.apply(ctx, missing)
}

// plan compares digests.
func (r *intoRestore) plan(ctx context.Context) error {
	projects, err := r.part.projects(r.o.projects)
	if err != nil {
		return err
	}
	some, first, last := false, r.part.first, r.part.last
	for _, from := range projects {
		p := &projectPlan{from: from, into: from.Name}
		if !r.o.inPlace {
			if p.into = r.o.into; p.into == "" {
				p.into = from.Name + restoredSuffix
			}
		}
		if p.into == from.Name {
			switch has, err := r.server.has(ctx, p.into); {
			case err != nil:
				return err
			case has && !r.o.inPlace:
				return fmt.Errorf("--into %s is the project itself: --in-place adds to it what is missing", p.into)
			case !has && r.o.inPlace:
				return fmt.Errorf("the server has no project %s: --into %s makes it again", p.into, p.into)
			}
		}
		sums, damaged, err := r.part.days(from.ID)
		if err != nil {
			return err
		}
		here, err := r.server.daySums(ctx, p.into)
		if err != nil {
			return err
		}
		if err := r.tables(ctx, p); err != nil {
			return err
		}
		some = some || len(sums)+len(p.tables) > 0
		for day := range here {
			if _, ok := sums[day]; !ok && r.o.inPlace && first <= day && day <= last {
				p.days = append(p.days, &dayPlan{day: day, here: here[day], more: int(here[day].Count)})
			}
		}
		for day := range sums {
			d := &dayPlan{day: day, backup: sums[day], here: here[day], damaged: damaged[day]}
			d.differs = d.backup != d.here || d.damaged != ""
			if !d.differs {
				d.both = int(d.here.Count)
			}
			p.days = append(p.days, d)
		}
		slices.SortFunc(p.days, func(a, b *dayPlan) int { return cmp.Compare(a.day, b.day) })
		r.plans = append(r.plans, p)
	}
	if !some {
		return errors.New("the backup has nothing of these projects on these days")
	}
	return nil
}

// diff compares a day event by event.
func (r *intoRestore) diff(ctx context.Context, p *projectPlan, d *dayPlan) error {
	if !d.differs {
		return nil
	}
	here, err := r.server.day(ctx, p.into, d.day)
	if err != nil {
		return err
	}
	there, err := r.part.day(ctx, p.from.ID, d.day)
	if err != nil {
		return err
	}
	d.compare(there, here)
	return nil
}

// compare counts what only one of two lists of the day has, and what both have.
func (d *dayPlan) compare(there, here storedDay) {
	d.missing, d.more, d.both, d.other, d.deleted = 0, 0, 0, 0, 0
	for _, e := range there {
		switch found := here.find(e.id); {
		case found == nil:
			d.missing++
		case found.hash != e.hash:
			found.matched = true
			d.other++
		default:
			found.matched = true
			d.both++
			if e.shown && !found.shown {
				d.deleted++
			}
		}
	}
	for i := range here {
		if !here[i].matched {
			d.more++
		}
	}
}

// apply adds what is missing, and looks whether it is there.
func (r *intoRestore) apply(ctx context.Context, missing int) error {
	bar := progressbar.NewOptions64(int64(missing), progressbar.OptionSetDescription("restore"), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetVisibility(!r.quiet))
	defer func() { _ = bar.Finish() }()
	var all takenAnswer
	left, rows := 0, 0
	var failed error
	for _, p := range r.plans {
		if !r.o.inPlace {
			if err := r.server.makeProject(ctx, p.into, p.from.Name, r.part.alone(p.from)); err != nil {
				return err
			}
		}
		for _, d := range p.days {
			if !d.differs {
				continue
			}
			taken, err := r.day(ctx, p, d, bar)
			if err != nil {
				return fmt.Errorf("restore %s of project %s: %w; the same command goes on", d.day, p.from.Name, err)
			}
			all.Events, all.Deletes, all.Undos, all.Erased = all.Events+taken.Events, all.Deletes+taken.Deletes, all.Undos+taken.Undos, all.Erased+taken.Erased
			if err := r.diff(ctx, p, d); err != nil {
				return fmt.Errorf("look whether %s of project %s is there: %w", d.day, p.from.Name, err)
			}
			left += d.missing
		}
		added, err := r.applyTables(ctx, p)
		rows, failed = rows+added, errors.Join(failed, err)
	}
	fmt.Fprintf(r.o.out, "restored %s events, %s deletes and %s undos; %s events of erased users were left out\n",
		humanize.Comma(int64(all.Events)), humanize.Comma(int64(all.Deletes)), humanize.Comma(int64(all.Undos)), humanize.Comma(int64(all.Erased)))
	if rows > 0 {
		fmt.Fprintf(r.o.out, "restored %s rows of mutable tables\n", humanize.Comma(int64(rows)))
	}
	if left -= all.Erased; left > 0 {
		failed = errors.Join(failed, fmt.Errorf("%d events are still not there: of users that were erased here, or quarantined; see arbor.erasures and arbor.alarms", left))
	}
	return failed
}

// day sends what a day lacks. Deletes and undos are few, and all of them are sent: the same
// one twice is one.
func (r *intoRestore) day(ctx context.Context, p *projectPlan, d *dayPlan, bar *progressbar.ProgressBar) (all takenAnswer, err error) {
	here, err := r.server.day(ctx, p.into, d.day)
	if err != nil {
		return all, err
	}
	var body []byte
	flush := func() error {
		if len(body) == 0 {
			return nil
		}
		taken, err := r.server.send(ctx, p.into, p.from, body)
		if err != nil {
			return err
		}
		body = body[:0]
		all.Events, all.Deletes, all.Undos, all.Erased = all.Events+taken.Events, all.Deletes+taken.Deletes, all.Undos+taken.Undos, all.Erased+taken.Erased
		_ = bar.Add(taken.Events + taken.Erased)
		return nil
	}
	err = r.part.records(ctx, p.from.ID, d.day, func(b *event.Batch) error {
		lacking := b.Events[:0]
		for _, e := range b.Events {
			if here.find(e.ID) == nil {
				lacking = append(lacking, e)
			}
		}
		if b.Events = lacking; len(b.Events)+len(b.Deletes)+len(b.Undos) == 0 {
			return nil
		}
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			return err
		}
		if len(body)+len(record) > restoreSendBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		body = append(binary.AppendUvarint(body, uint64(len(record))), record...)
		return nil
	})
	if err == nil {
		err = flush()
	}
	return all, err
}
