package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

type exportOptions struct {
	server, project, user, password string
	format, since, from, to         string
}

func newExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export NAME",
		Short: "Have a running server write a project's events as Parquet or Arrow files",
		Long: `Have a running server write a project's events, each once, into a new directory
NAME of its --export-dir. With --since it has only the events that the export of
that name did not hold, and a list of those that are gone since.

It is CALL arbor.export: the user needs FILE, and SELECT in the project.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exportEvents(cmd.Context(), o, args[0], cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "http://127.0.0.1:8080", "`URL` of the server")
	f.StringVar(&o.project, "project", "", "`name` of the project")
	f.StringVar(&o.user, "user", "root", "SQL `user`")
	f.StringVar(&o.password, "password", "", "the SQL user's `password`")
	f.StringVar(&o.format, "format", "parquet", "`format` of the files: parquet or arrow")
	f.StringVar(&o.since, "since", "", "`name` of the export that this one follows")
	f.StringVar(&o.from, "from", "", "first `day`, such as 2026-01-01")
	f.StringVar(&o.to, "to", "", "last `day`")
	return cmd
}

// statement is what the options ask for.
func (o exportOptions) statement(name string) string {
	var options []string
	for _, option := range [][2]string{{"FORMAT", o.format}, {"SINCE", o.since}, {"FROM", o.from}, {"TO", o.to}} {
		if option[1] != "" {
			options = append(options, option[0]+"="+option[1])
		}
	}
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'" }
	return fmt.Sprintf("CALL arbor.export(%s, %s, %s)", quote(o.project), quote(name), quote(strings.Join(options, " ")))
}

// exportEvents asks the server, and says what it did.
func exportEvents(ctx context.Context, o exportOptions, name string, out io.Writer) error {
	if o.project == "" {
		return errors.New("say which events: --project NAME")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(o.server, "/")+"/query?format=csv", strings.NewReader(o.statement(name)))
	if err != nil {
		return err
	}
	req.SetBasicAuth(o.user, o.password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w (is a server running there? start one with: arbor serve)", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return fmt.Errorf("export %s: %s: %s", name, res.Status, strings.TrimSpace(string(text)))
	}
	rows, err := csv.NewReader(res.Body).ReadAll()
	if err != nil {
		return fmt.Errorf("export %s: the answer: %w", name, err)
	}
	if len(rows) != 2 || len(rows[1]) != 7 {
		return fmt.Errorf("export %s: the server, which may be of another version, answered %q", name, rows)
	}
	made := rows[1]
	var size uint64
	_, _ = fmt.Sscan(made[5], &size)
	fmt.Fprintf(out, "%s: %s events in %s files, %s removed, %s visible in all, %s\n", made[0], made[2], made[1], made[3], made[4], humanize.Bytes(size))
	return nil
}
