package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/vfs"
)

type restoreOptions struct {
	from                       []string
	at, manifest, member, data string
	rate                       int64
	list, quiet, suppress      bool
	intoOptions
}

func newRestore() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore --from URL [--from URL] [--at T|--manifest ID] --data DIR | --server URL [--project P] [--days A..B] [--in-place]",
		Short: "Get a data directory back from a backup, or some days into a running server",
		Long: `Get a data directory back from a backup. Every byte is held against its hash;
what is damaged or missing in one store is taken from the next. A restore that is
broken off goes on when the same command is given again, and no server opens the
directory before it has succeeded.

  arbor restore --from s3://copies?region=R --list
  arbor restore --from s3://copies?region=R --from file:///mnt/b --data arbor-data
  arbor restore --from file:///mnt/b --at 2026-11-20T06:00:00Z --data arbor-data

What came in after the backup a siphon has: "arbor replay --from" the time that
the restore prints.

With --server events of some projects and days go into a server or cluster that
runs, of whatever size: into a new project beside, or by --in-place into the one
that they were of, to which only what is missing is added. What differs is shown
first, and --dry-run ends there.

  arbor restore --from file:///mnt/b --server http://127.0.0.1:8080 --project shop --days 2026-05-02
  arbor restore --from file:///mnt/b --server http://127.0.0.1:8080 --project shop --days 2026-05-02..2026-05-04 --in-place`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.in, o.out, o.terminal = cmd.InOrStdin(), cmd.OutOrStdout(), isTerminal(os.Stdin)
			return runRestore(cmd.Context(), o)
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "`directory` to restore into; empty, or made")
	f.BoolVar(&o.list, "list", false, "list the backups")
	f.StringVar(&o.server, "server", "", "`URL` of a running server, to restore into it rather than into a directory")
	f.StringVar(&o.user, "user", "root", "SQL `user` with SUPER, for --server")
	f.StringVar(&o.password, "password", "", "the SQL user's `password`")
	f.StringSliceVar(&o.projects, "project", nil, "`name` of a project; repeat it for several; all without it")
	f.StringVar(&o.days, "days", "", "a `day` such as 2026-05-02, or 2026-05-02..2026-05-04; all without it")
	f.StringVar(&o.into, "into", "", "`name` of the project that is made beside; P_restored without it")
	f.BoolVar(&o.inPlace, "in-place", false, "add what is missing to the projects themselves")
	f.BoolVar(&o.dryRun, "dry-run", false, "only show what differs")
	f.BoolVar(&o.yes, "yes", false, "do not ask before something is added in place")
	f.StringVar(&o.scratch, "scratch", "", "`directory` for what is downloaded; arbor/restore in the user's cache directory without it")
	f.BoolVar(&o.suppress, "suppress", true, "what was erased until the newest backup stays erased, as CALL arbor.erase_user has it")
	return cmd
}

func newVerifyBackup() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "verify-backup --from URL [--from URL]",
		Short: "Restore a backup beside, read all of it, and compare it with its manifest",
		Long: `Restore a backup into a scratch directory, open it, read every record again,
compare each shard's digest and counts with the manifest, and ask how many events
each day has. The scratch directory needs as much room as the data, and is
removed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerifyBackup(cmd.Context(), o) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.scratch, "scratch", os.TempDir(), "`directory` to make the scratch directory in")
	return cmd
}

func (o *restoreOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&o.from, "from", nil, "`URL` of a store; repeat it for others that stand in where it fails")
	f.StringVar(&o.at, "at", "", "the newest backup up to this `time`")
	f.StringVar(&o.manifest, "manifest", "", "the backup of this `ID`")
	f.StringVar(&o.member, "member", "", "the member `name`, if the backup is of several")
	f.Int64Var(&o.rate, "rate", 0, "`bytes` a second at most; 0 is as fast as they come")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
}

// open opens the stores and finds the backup.
func (o *restoreOptions) open(ctx context.Context) (r backup.RestoreOptions, closeStores func() error, err error) {
	if len(o.from) == 0 {
		return r, nil, errors.New("--from is missing: the URL of a store that has backups")
	}
	if o.at != "" && o.manifest != "" {
		return r, nil, errors.New("give --at or --manifest, not both")
	}
	at, err := replayTime("at", o.at)
	if err != nil {
		return r, nil, err
	}
	if r.Stores, closeStores, err = openStores(ctx, o.from); err != nil {
		return r, nil, fmt.Errorf("--from: %w", err)
	}
	r.ID, r.Member, r.Rate, r.WriteCatalog, r.WriteTables = o.manifest, o.member, o.rate, cluster.WriteCatalog, cluster.WriteTables
	r.Passed = func(err error) { fmt.Fprintln(os.Stderr, "arbor:", err) }
	if r.ID == "" && o.at == "" && o.data != "" {
		if r.ID, err = backup.Unfinished(vfs.OS(), o.data); err != nil {
			return r, nil, errors.Join(err, closeStores())
		}
	}
	if r.ID == "" {
		r.ID, _, err = backup.Latest(ctx, r.Stores, at)
	}
	if errors.Is(err, backup.ErrPassed) {
		err = fmt.Errorf("%w; the newest of the others is %s: say --manifest %s to take that one, or leave out that --from", err, r.ID, r.ID)
	}
	if err != nil {
		return r, nil, errors.Join(err, closeStores())
	}
	return r, closeStores, nil
}

func runRestore(ctx context.Context, o restoreOptions) (err error) {
	if o.list {
		return listBackups(ctx, o)
	}
	if o.server != "" {
		return runRestoreInto(ctx, o)
	}
	if o.data == "" {
		return errors.New("--data is missing: the directory to restore into; or --server, a running server")
	}
	if len(o.projects) > 0 || o.days != "" || o.into != "" || o.inPlace || o.dryRun || o.yes {
		return errors.New("--project, --days, --into, --in-place, --dry-run and --yes are for a running server: name it by --server")
	}
	r, closeStores, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStores()) }()
	var end func()
	r.FS, r.Dir = vfs.OS(), o.data
	erased := 0
	if o.suppress {
		if r.WriteCatalog, err = suppressing(ctx, r, &erased); err != nil {
			return err
		}
	}
	r.Progress, end = byteProgress("restore", o.quiet)
	res, err := backup.Restore(ctx, r)
	end()
	if err != nil {
		return fmt.Errorf("%w; what was restored so far stays for the next try", err)
	}
	fmt.Printf("restored %s of %s: %d files, %s, of which %d were there already\n", r.ID, o.data, res.Files, humanize.IBytes(uint64(res.Bytes)), res.Kept)
	fmt.Printf("what came in later: arbor replay --from %s\n", res.Manifest.ReplayFrom.Format(time.RFC3339))
	if erased > 0 {
		fmt.Printf("%d users were erased later: nobody sees them, and the server removes them when it starts\n", erased)
	}
	for _, d := range res.Member.Damaged {
		err = errors.Join(err, fmt.Errorf("shard %s was damaged when the backup was made, and only what was logged of it is there: %s", d.ShardID, d.Reason))
	}
	return err
}

// isTerminal reports whether somebody may sit at the other end.
func isTerminal(f *os.File) bool {
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0 && s.Mode()&os.ModeDevice != 0 && f.Name() != os.DevNull
}

// suppressing writes the catalog with what was erased until the newest backup of the
// stores, and counts that.
func suppressing(ctx context.Context, r backup.RestoreOptions, erased *int) (func(vfs.FS, string, []byte) error, error) {
	later, err := newestCatalog(ctx, r)
	if err != nil {
		return nil, err
	}
	if later == nil {
		return r.WriteCatalog, nil
	}
	return func(fs vfs.FS, dir string, encoded []byte) error {
		c, err := catalog.DecodeCatalog(encoded)
		if err != nil {
			return err
		}
		all, err := c.WithErasures(later)
		if err != nil {
			return err
		}
		*erased = len(all.Erasures) - len(c.Erasures)
		return r.WriteCatalog(fs, dir, all.Encode())
	}, nil
}

// newestCatalog is the catalog of the newest backup, nil if that is the one that is restored.
func newestCatalog(ctx context.Context, r backup.RestoreOptions) (later *catalog.Catalog, err error) {
	newest, _, err := backup.Latest(ctx, r.Stores, time.Time{})
	if err == nil && newest == r.ID {
		return nil, nil
	}
	var encoded []byte
	if err == nil {
		encoded, err = backup.Catalog(ctx, r.Stores, newest)
	}
	if err == nil {
		later, err = catalog.DecodeCatalog(encoded)
	}
	if err != nil {
		return nil, fmt.Errorf("what was erased since cannot be told: %w; --suppress=false restores without it", err)
	}
	return later, nil
}

func listBackups(ctx context.Context, o restoreOptions) (err error) {
	stores, closeStores, err := openStores(ctx, o.from)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, closeStores()) }()
	for _, s := range stores {
		ids, e := s.Manifests(ctx)
		err = errors.Join(err, e)
		for _, id := range ids {
			m, e := s.Manifest(ctx, id)
			if e != nil {
				err = errors.Join(err, e)
				continue
			}
			for _, part := range m.Parts() {
				state := "whole"
				if n := len(part.Damaged); n > 0 {
					state = fmt.Sprintf("%d shards damaged", n)
				}
				fmt.Printf("%s\t%s\t%s\t%s\t%d shards\t%s\n", s.Name, id, part.Name, humanize.IBytes(uint64(part.Bytes())), len(part.Shards), state)
			}
		}
	}
	return err
}

func runVerifyBackup(ctx context.Context, o restoreOptions) (err error) {
	r, closeStores, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStores()) }()
	var end func()
	r.Progress, end = byteProgress("restore", o.quiet)
	began := time.Now()
	d, err := drill(ctx, r, o.scratch)
	end()
	for _, problem := range d.Problems {
		fmt.Println("wrong:", problem)
	}
	if err != nil {
		return err
	}
	fmt.Printf("backup %s is right: %d shards, %s events on %d days, %s, restored and compared in %s\n",
		r.ID, d.Shards, humanize.Comma(d.Events), d.Days, humanize.IBytes(uint64(d.Bytes)), time.Since(began).Round(time.Millisecond))
	return nil
}

func newCollectBackups() *cobra.Command {
	var from []string
	var delay time.Duration
	var yes bool
	cmd := &cobra.Command{
		Use:   "collect-backups --from URL [--yes]",
		Short: "Forget the backups whose time has passed, and remove what no backup names",
		Long: `Forget the backups that were to be kept until --delay ago (setting
backup_retention), and remove the files that no backup names and are older than
that. The newest backup, and the newest that is whole, always stay. Without --yes
nothing is removed. Servers never remove anything: give this command a key of its
own, and theirs none that can delete.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			stores, closeStores, err := openStores(cmd.Context(), from)
			if err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			defer func() { err = errors.Join(err, closeStores()) }()
			for _, s := range stores {
				c, e := backup.Collect(cmd.Context(), s, time.Now(), delay, yes)
				if e != nil {
					err = errors.Join(err, e)
					continue
				}
				done := "would be removed; --yes does it"
				if yes {
					done = "removed"
				}
				fmt.Printf("%s: %d backups, and %s in %s files that no other names, %s\n", s.Name, len(c.Manifests), humanize.IBytes(uint64(c.Bytes)), humanize.Comma(c.Objects), done)
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&from, "from", nil, "`URL` of a store")
	cmd.Flags().DurationVar(&delay, "delay", 7*24*time.Hour, "how long after their time backups go")
	cmd.Flags().BoolVar(&yes, "yes", false, "remove, rather than say what would be")
	return cmd
}
