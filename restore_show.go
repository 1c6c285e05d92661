package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// show prints the comparison.
func (r *intoRestore) show() {
	m := r.part.member
	for _, p := range r.plans {
		what := "beside, into"
		if r.o.inPlace {
			what = "in place, into"
		}
		fmt.Fprintf(r.o.out, "project %s as of %s, %s %s\n", p.from.Name, m.At.UTC().Format(time.RFC3339), what, p.into)
		t := tabwriter.NewWriter(r.o.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "day\tin both\tonly in the backup\tonly here\tother content\tdeleted here\tdigest in the backup\tdigest here")
		for _, d := range p.days {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", d.day, d.both, d.missing, d.more, d.other, d.deleted, d.backup, d.here)
		}
		_ = t.Flush()
		for _, d := range p.days {
			switch {
			case d.damaged != "":
				fmt.Fprintf(r.o.out, "%s was damaged when the backup was made, which has what could be read: %s\n", d.day, d.damaged)
			case d.deleted > 0:
				fmt.Fprintf(r.o.out, "%s: %d events that the backup shows were deleted here and stay so; arbor.deletes says when, and CALL arbor.undo_delete brings them back\n", d.day, d.deleted)
			}
			if d.other > 0 {
				fmt.Fprintf(r.o.out, "%s: %d events are here with other content under the same id; they stay as they are here\n", d.day, d.other)
			}
		}
		r.showTables(p)
	}
	if r.part.erased > 0 {
		fmt.Fprintf(r.o.out, "%d users were erased after this backup: nothing of theirs is restored\n", r.part.erased)
	}
}

// errUnchanged says that nobody wanted what was shown.
var errUnchanged = errors.New("nothing was changed: --yes adds what is missing, --dry-run only compares")

// ask asks whether to go on.
func (r *intoRestore) ask(missing string) error {
	if !r.o.terminal {
		return errUnchanged
	}
	fmt.Fprintf(r.o.out, "add the %s that are only in the backup? Say yes: ", missing)
	said, err := bufio.NewReader(r.o.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(said) != "yes" {
		return errUnchanged
	}
	return nil
}
