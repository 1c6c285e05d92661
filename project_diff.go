package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// diffProjects compares two projects of a server, the second of which has what a siphon
// kept of the first: each day that the second has, by its digest and, where that differs,
// event by event. Events of the one are those of the other that bear the same ids.
func diffProjects(ctx context.Context, s *restoreServer, of, into string, out io.Writer) error {
	ofSums, err := s.daySums(ctx, of)
	if err != nil {
		return err
	}
	intoSums, err := s.daySums(ctx, into)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "day\tin both\tonly in %s\tonly in %s\tother content\tdeleted in %s\tdigest of %s\tdigest of %s\n", into, of, of, into, of)
	lost := 0
	for _, day := range slices.Sorted(maps.Keys(intoSums)) {
		d := dayPlan{day: day, backup: intoSums[day], here: ofSums[day], both: int(ofSums[day].Count)}
		if d.backup != d.here {
			there, err := s.day(ctx, into, day)
			if err != nil {
				return fmt.Errorf("compare %s: %w", day, err)
			}
			here, err := s.day(ctx, of, day)
			if err != nil {
				return fmt.Errorf("compare %s: %w", day, err)
			}
			d.compare(there, here)
		}
		lost += d.missing + d.other
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", d.day, d.both, d.missing, d.more, d.other, d.deleted, d.backup, d.here)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if lost > 0 {
		fmt.Fprintf(out, "%s lacks %d events that the siphon's copies have, or has them with other content; the same replay without --into adds those that it lacks\n", of, lost)
		return nil
	}
	fmt.Fprintf(out, "%s lacks nothing of what the siphon's copies have\n", of)
	return nil
}
