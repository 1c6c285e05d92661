package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	clustermember "arbor/cluster/member"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

func newToken() *cobra.Command {
	var address, user, passwordFile string
	var validFor time.Duration
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token by which one new member joins a cluster",
		Long: `Print a token by which one new member joins the cluster of a running member:

  arbor serve --peer HOST:PORT --join HOST:PORT --token "$(arbor token)"

It is what CALL arbor.add_member() answers. Whoever has it can join once, until it
expires.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(passwordFile)
			if err != nil {
				return err
			}
			c := mysql.NewConfig()
			c.Net, c.Addr, c.User, c.Passwd = "tcp", address, user, password
			connector, err := mysql.NewConnector(c)
			if err != nil {
				return err
			}
			db := sql.OpenDB(connector)
			defer db.Close()
			var token, expires, command string
			err = db.QueryRowContext(cmd.Context(), "CALL arbor.add_member(?)", validFor.String()).Scan(&token, &expires, &command)
			if err != nil {
				return fmt.Errorf("ask %s for a token: %w", address, err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&address, "mysql", "127.0.0.1:3306", "`host:port` of a member")
	f.StringVar(&user, "user", "root", "MySQL `user` with the SUPER privilege")
	f.StringVar(&passwordFile, "password-file", "", "`file` with its password; none without")
	f.DurationVar(&validFor, "valid-for", 24*time.Hour, "how long the token can be used")
	return cmd
}

func readPassword(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func newMetadata() *cobra.Command {
	cmd := &cobra.Command{Use: "metadata", Short: "Look after what the members of a cluster agree on", Args: cobra.NoArgs}
	var data string
	var yes bool
	var lost []string
	restore := &cobra.Command{
		Use:   "recover",
		Short: "Go on with one member's metadata, when most members that vote are lost for good",
		Long: `Make the member of a data directory, whose process is stopped, the only one that
votes on the cluster's metadata, with what it knows of it. Use it if most members
that vote are lost for good, and on one member only. Changes of the catalog that only
the lost ones knew are lost.

Events most of whose replicas are on lost members can neither be asked nor moved, until
--lost names these members: their replicas that are left go on by themselves then, and
what only lost ones had is lost. A siphon's replay brings that back.

All members that are left have to be stopped before. Then start this one first, the
others after it, and have those that are lost removed or replaced. A lost member that
is found again must not be started.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return errors.New("this gives up what only the lost members know; say --yes if they are lost for good")
			}
			logger, err := newLogger("warn", "text")
			if err != nil {
				return err
			}
			r, err := clustermember.Recover(vfs.OS(), data, lost, logger)
			if errors.Is(err, vfs.ErrLocked) {
				return inUse(data)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "member %s votes alone now, with version %d of the metadata; start it, then the others that are left, and remove or replace those that are lost\n", r.ID, r.Version)
			if len(lost) > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%d of %d buckets go on with the replicas that are left; %d have none left, so that nobody can answer for them\n", r.Alone, protocol.Buckets, len(r.Gone))
			}
			return nil
		},
	}
	restore.Flags().StringVar(&data, "data", "arbor-data", "`directory` of the member")
	restore.Flags().BoolVar(&yes, "yes", false, "the members that are not recovered are lost for good")
	restore.Flags().StringArrayVar(&lost, "lost", nil, "`id` of a member that is lost for good with its events; repeat it for each, or say others for all but this one")
	cmd.AddCommand(restore)
	return cmd
}
