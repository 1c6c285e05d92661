package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

func newInspect() *cobra.Command {
	var rows int
	var verify bool
	cmd := &cobra.Command{
		Use:   "inspect FILE…",
		Short: "Show what a file of the data directory holds",
		Long: `Show what a file of the data directory holds: an indexed file (shards/…/*.idx) with
its sections, columns and duplicates, or a segment of the log (log/*) with its
records. Files are only read; a running server is not disturbed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			for _, f := range files {
				if err := inspect(cmd, f, rows, verify); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&rows, "rows", 0, "also print this `many` events")
	cmd.Flags().BoolVar(&verify, "verify", false, "read everything and check it against its checksums")
	return cmd
}

func inspect(cmd *cobra.Command, file string, rows int, verify bool) error {
	if info, err := os.Stat(file); err != nil {
		return err
	} else if info.IsDir() {
		return fmt.Errorf("%s is a directory; name a file in it", file)
	}
	if filepath.Ext(file) == ".idx" {
		return inspectIndexFile(cmd, file, rows, verify)
	}
	return inspectSegment(cmd.OutOrStdout(), file, rows)
}

func inspectIndexFile(cmd *cobra.Command, file string, rows int, verify bool) error {
	r, err := indexfile.Open(vfs.OS(), file)
	if err != nil {
		return err
	}
	defer r.Close()
	out, m := cmd.OutOrStdout(), r.Meta()
	duplicates, err := r.Duplicates()
	if err != nil {
		return err
	}
	groups, err := r.Groups()
	if err != nil {
		return err
	}
	cross, err := r.Cross()
	if err != nil {
		return err
	}
	first, last := r.TimeBounds()
	taken, until := r.IngestBounds()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "indexed file\t%s\n", file)
	fmt.Fprintf(w, "shard\t%s\n", m.Shard)
	fmt.Fprintf(w, "events\t%d of %d users, %d hidden as duplicates (%d groups, %d rows with copies in older files)\n", r.Rows(), r.Users(), len(duplicates), len(groups), len(cross))
	fmt.Fprintf(w, "size\t%s, %.1f bytes an event\n", humanize.IBytes(uint64(r.Size())), float64(r.Size())/float64(max(r.Rows(), 1)))
	fmt.Fprintf(w, "event times\t%s to %s\n", formatMicros(first), formatMicros(last))
	fmt.Fprintf(w, "taken in\t%s to %s\n", taken.At().Format(time.RFC3339Nano), until.At().Format(time.RFC3339Nano))
	fmt.Fprintf(w, "digest\tcount %d, sum %016x%016x\n", m.Digest[0], m.Digest[1], m.Digest[2])
	fmt.Fprintf(w, "made from\t%s\n", listOr(m.Sources, "no log"))
	fmt.Fprintf(w, "stands for\t%s\n", listOr(m.Replaces, "no other file"))
	fmt.Fprintf(w, "written by\t%s\n", m.CreatedBy)
	fmt.Fprintf(w, "\nsection\tencoding\tbytes\traw bytes\tvalues\tbytes an event\n")
	for _, s := range r.Sections() {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.2f\n", s.Name, s.Encoding, s.Bytes, s.Raw, s.Rows, float64(s.Bytes)/float64(max(r.Rows(), 1)))
	}
	fmt.Fprintf(w, "\nproperty\tencoding\trows\tdistinct\tkinds\n")
	for _, p := range r.Properties() {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", p.Name, p.Encoding, p.Rows(), p.Distinct, kindCounts(p.Kinds[:]))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if verify {
		if err := r.Verify(cmd.Context()); err != nil {
			return err
		}
		fmt.Fprintln(out, "\nall checksums, the order and all bounds are right")
	}
	var row indexfile.Row
	for i := range min(rows, r.Rows()) {
		if err := r.Row(i, &row); err != nil {
			return err
		}
		_, hidden := slices.BinarySearch(duplicates, uint32(i))
		printEvent(out, (*event.Event)(&row), hidden)
	}
	return nil
}

// inspectSegment lists the records of a log segment, and says where it is torn
// or damaged.
func inspectSegment(out io.Writer, file string, rows int) error {
	var records, events, deletes, undos, bytes int64
	shards := map[catalog.ShardKey]int64{}
	var batch event.Batch
	err := appendlog.ReadSegment(vfs.OS(), file, func(p appendlog.Position, payload []byte) error {
		_, payload, err := dot.CutName(payload)
		if err != nil {
			return fmt.Errorf("record at offset %d: %w", p.Offset, err)
		}
		h, err := event.DecodeHeader(payload)
		if err != nil {
			return fmt.Errorf("record at offset %d: %w (a segment of the catalog holds changes, not events)", p.Offset, err)
		}
		records++
		bytes += int64(len(payload))
		events += int64(h.Events)
		deletes += int64(h.Deletes)
		undos += int64(h.Undos)
		shards[h.Shard] += int64(h.Events)
		if rows <= 0 {
			return nil
		}
		if err := event.DecodeBatch(payload, &batch); err != nil {
			return err
		}
		for i := range batch.Events[:min(rows, len(batch.Events))] {
			printEvent(out, &batch.Events[i], false)
		}
		rows -= min(rows, len(batch.Events))
		return nil
	})
	fmt.Fprintf(out, "log segment %s: %d records in %s: %d events, %d deletes, %d undos\n", file, records, humanize.IBytes(uint64(bytes)), events, deletes, undos)
	for _, k := range slices.SortedFunc(maps.Keys(shards), catalog.ShardKey.Compare) {
		fmt.Fprintf(out, "  shard %s: %d events\n", k, shards[k])
	}
	return err
}

func printEvent(out io.Writer, e *event.Event, hidden bool) {
	b := []byte("{")
	for i, p := range e.Properties {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(catalog.AppendJSONString(b, p.Name), ':')
		b = p.Value.AppendJSON(b)
	}
	mark := ""
	if hidden {
		mark = " (duplicate)"
	}
	fmt.Fprintf(out, "%s %s %q %q %q %s}%s\n", e.ID, formatMicros(e.Time), e.Name, e.DistinctID, e.InsertID, b, mark)
}

func formatMicros(t int64) string {
	return time.UnixMicro(t).UTC().Format("2006-01-02 15:04:05.000000")
}

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, " ")
}

func kindCounts(counts []int) string {
	names := []string{"null", "bool", "int", "double", "number", "string", "json"}
	var parts []string
	for k, n := range counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", names[k], n))
		}
	}
	return strings.Join(parts, ", ")
}
