package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Limits of an import: what one request to /import may hold, a line, and how many
// requests may be under way.
const (
	importBatchEvents = 2000
	importBatchBytes  = 8 << 20
	importLineBytes   = 2 << 20
	importAttempts    = 8
	importConnections = 256
)

type importOptions struct {
	server, project, token, user, password string
	format                                 string
	stateDir                               string
	connections                            int
	quiet, restart                         bool
}

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "Send files of events to a running server",
		Long: `Send files of events to a running server: one JSON event a line, as SDKs send
them and as Mixpanel exports them ({"event": …, "properties": {…}}), or, with
--format, as Amplitude and PostHog export them; gzip and zstd files are read as
they are, and - is standard input.

Several requests are under way at once, so events of one file may be stored in
another order than they have there, and which of several copies counts may
differ; --connections 1 keeps the order.

An import that was interrupted goes on where it stopped when the same command is
given again. It may also be repeated as a whole: events with an $insert_id are
known by it, and those without get one made from the line and its place in the
file.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return importFiles(cmd.Context(), o, files) },
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "http://127.0.0.1:8080", "`URL` of the server")
	f.StringVar(&o.project, "project", "", "`name` of the project; made if there is none")
	f.StringVar(&o.token, "token", "", "the project's `token` or secret, instead of --project")
	f.StringVar(&o.format, "format", "events", "what the lines are, a `format` of: "+importFormatNames())
	f.StringVar(&o.user, "user", "root", "SQL `user` that looks the project up")
	f.StringVar(&o.password, "password", "", "the SQL user's `password`")
	f.IntVar(&o.connections, "connections", max(2, runtime.NumCPU()), "requests under way at once")
	f.StringVar(&o.stateDir, "state", "", "`directory` that remembers how far an import came (default: arbor/import in the user's cache)")
	f.BoolVar(&o.restart, "restart", false, "begin at the start of files that were imported in part")
	f.BoolVar(&o.quiet, "quiet", false, "show no progress")
	return cmd
}

func importFiles(ctx context.Context, o importOptions, files []string) error {
	if o.connections < 1 || o.connections > importConnections {
		return fmt.Errorf("--connections %d; from 1 to %d can be", o.connections, importConnections)
	}
	format, err := formatNamed(o.format)
	if err != nil {
		return err
	}
	im := newImporter(o)
	im.format = format
	if im.token == "" {
		if o.project == "" {
			return errors.New("say where the events go: --project NAME or --token TOKEN")
		}
		token, err := im.projectToken(ctx, o)
		if err != nil {
			return err
		}
		im.token = token
	}
	start := time.Now()
	for _, file := range files {
		if err := im.file(ctx, file, o); err != nil {
			return fmt.Errorf("import %s: %w", file, err)
		}
	}
	took := time.Since(start)
	fmt.Printf("%d events stored, %d refused, %d files, %s, %.0f events/s\n",
		im.stored.Load(), im.refused.Load(), len(files), took.Round(time.Millisecond), float64(im.stored.Load())/took.Seconds())
	if im.refused.Load() > 0 {
		return errReported
	}
	return nil
}

// projectToken makes the project if there is none and asks for its token.
func (im *importer) projectToken(ctx context.Context, o importOptions) (string, error) {
	name := "`" + strings.ReplaceAll(o.project, "`", "``") + "`"
	if _, err := im.query(ctx, o, "CREATE DATABASE IF NOT EXISTS "+name); err != nil {
		return "", err
	}
	text := strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(o.project)
	token, err := im.query(ctx, o, "SELECT token FROM arbor.projects WHERE name = '"+text+"'")
	if err == nil && token == "" {
		err = fmt.Errorf("user %s may not see the token of project %s; give --token", o.user, o.project)
	}
	return token, err
}

// query runs a statement and returns the first value of its first row, if any.
func (im *importer) query(ctx context.Context, o importOptions, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, im.server+"/query?format=csv", strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(o.user, o.password)
	res, err := im.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w (is a server running there? start one with: arbor serve)", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(body))
	}
	_, rows, _ := strings.Cut(string(body), "\n")
	row, _, _ := strings.Cut(rows, "\n")
	return strings.TrimRight(row, "\r"), nil
}
