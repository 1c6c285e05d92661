package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/go-sql-driver/mysql"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"arbor/backup"
)

type backupOptions struct {
	data, server, user, password string
	to                           []string
	quiet                        bool
}

func newBackup() *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup --server HOST:PORT | backup --data DIR --to URL [--to URL]",
		Short: "Copy all that is stored to object stores",
		Long: `Copy all that is stored to object stores. Only what a store lacks is sent, every
upload is read back, and a backup that was broken off goes on with the next one.

  arbor backup --server 127.0.0.1:3306                      a running server, to where its --backup-to says
  arbor backup --data arbor-data --to s3://copies?region=R  a directory that no server uses now
  arbor backup --data arbor-data --to file:///mnt/a --to gs://other

Give every server, or every cluster, a bucket or a prefix of its own:
s3://copies?region=R&prefix=shop/. Stores are s3://, gs://, azblob:// and file://.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBackup(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "", "`host:port` of a running server, for MySQL clients")
	f.StringVar(&o.user, "user", "root", "user that the server knows, with the privilege SUPER")
	f.StringVar(&o.password, "password", "", "its password; better by ARBOR_PASSWORD")
	f.StringVar(&o.data, "data", "", "data `directory` that no server uses now")
	f.StringSliceVar(&o.to, "to", nil, "`URL` of a store; repeat it for several, which are filled side by side")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
	return cmd
}

func runBackup(ctx context.Context, o backupOptions) error {
	switch {
	case o.server != "" && o.data == "" && len(o.to) == 0:
		return backUpServer(ctx, o)
	case o.data != "" && o.server == "" && len(o.to) > 0:
		return backUpDirectory(ctx, o)
	case o.server != "" && len(o.to) > 0:
		return errors.New("a running server copies to where its own --backup-to says; leave --to out")
	}
	return errors.New("say what is copied: --server HOST:PORT, or --data DIR with --to URL")
}

// backUpServer asks a running server for a backup.
func backUpServer(ctx context.Context, o backupOptions) error {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.TLSConfig = o.user, o.password, "tcp", o.server, "preferred"
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	rows, err := db.QueryContext(ctx, "CALL arbor.backup()")
	if err != nil {
		return fmt.Errorf("backup of %s: %w", o.server, err)
	}
	defer rows.Close()
	var failed error
	for rows.Next() {
		var store, id string
		var objects, bytes int64
		var ok bool
		var problem sql.NullString
		if err := rows.Scan(&store, &id, &objects, &bytes, &ok, &problem); err != nil {
			return err
		}
		if !ok {
			failed = errors.Join(failed, fmt.Errorf("backup to %s: %s", store, problem.String))
			continue
		}
		fmt.Printf("%s has backup %s: %s in %s new objects\n", store, id, humanize.IBytes(uint64(bytes)), humanize.Comma(objects))
	}
	return errors.Join(failed, rows.Err())
}

// backUpDirectory copies a data directory that no server uses.
func backUpDirectory(ctx context.Context, o backupOptions) (err error) {
	logger, err := newLogger("warn", "text")
	if err != nil {
		return err
	}
	if _, err := os.Stat(o.data); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	stores, closeStores, err := openStores(ctx, o.to)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, closeStores()) }()
	if who, err := new(clusterOptions).find(o.data); err != nil || who != nil {
		if who != nil {
			err = fmt.Errorf("--data %s: it is that of a member of a cluster, and may have less than all of it: start the members, and ask one by --server", o.data)
		}
		return err
	}
	m, err := openAlone(ctx, serveOptions{data: o.data, manual: true}, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	progress, end := byteProgress("backup", o.quiet)
	res, err := backup.Run(ctx, backup.Options{
		Sources: []backup.Source{backupSource{m.engine, m.cluster.Tables}}, Stores: stores, Rate: m.cluster.Catalog().BackupRate(),
		Keep: m.cluster.Catalog().BackupRetention(), CreatedBy: version(), Progress: progress,
	})
	end()
	for _, s := range res.Stores {
		if s.Err == nil && res.ID != "" {
			fmt.Printf("%s has backup %s: %s in %s new objects\n", s.Name, res.ID, humanize.IBytes(uint64(s.Bytes)), humanize.Comma(s.Objects))
		}
	}
	return err
}

// byteProgress shows progress in bytes on standard error.
func byteProgress(what string, quiet bool) (told func(done, total int64), end func()) {
	if quiet {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionThrottle(200*time.Millisecond))
	return func(done, total int64) {
			bar.ChangeMax64(total)
			_ = bar.Set64(done)
		}, func() {
			_ = bar.Finish()
			fmt.Fprintln(os.Stderr)
		}
}
