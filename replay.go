package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"arbor/engine/vfs"
	"arbor/gateway/siphon"
)

type replayOptions struct {
	dir, store, server, edgeKey string
	from, to, project, into     string
	state                       string
	oldTokens                   []string
	rate                        float64
	connections                 int
	quiet, diff                 bool
	user, password              string
}

func newReplay() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay --dir DIR|--store URL --edge-key FILE [--from T] [--to T] [--project P [--into Q]]",
		Short: "Send the requests that a siphon kept again",
		Long: `Send the requests that a siphon kept again. What is stored already is merged
with itself, so a replay adds exactly what is missing, and may be repeated,
interrupted, and run beside ingestion.

  arbor replay --dir arbor-siphon --edge-key edge.key --from 2026-11-20 --to 2026-11-21T06:00:00Z
  arbor replay --store s3://copies --edge-key edge.key --project shop --into shop_check

Times are UTC and those at which requests came in. --into sends a project's
events to another one, to compare them there before anything is changed; with
--diff each day of both is compared, event by event, and what differs is shown.
With --state an interrupted replay goes on after the last whole segment.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := runReplay(cmd.Context(), o); err != nil || !o.diff {
				return err
			}
			server := &restoreServer{url: o.server, user: o.user, password: o.password, client: http.DefaultClient}
			return diffProjects(cmd.Context(), server, o.project, o.into, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "siphon's `directory`")
	f.StringVar(&o.store, "store", "", "`URL` of the bucket that the siphon copied to")
	f.StringVar(&o.server, "server", "http://127.0.0.1:8080", "`URL` of a gateway")
	f.StringVar(&o.edgeKey, "edge-key", "", "`file` with the key that siphon and gateways share")
	f.StringVar(&o.from, "from", "", "first `time`, like 2026-11-20 or 2026-11-20T06:30:00Z")
	f.StringVar(&o.to, "to", "", "`time` to end before")
	f.StringVar(&o.project, "project", "", "only this project's events")
	f.StringVar(&o.into, "into", "", "`project` that they go to instead")
	f.BoolVar(&o.diff, "diff", false, "compare --project with --into, day by day, when all is sent")
	f.StringVar(&o.user, "user", "root", "SQL `user` with SUPER, for --diff")
	f.StringVar(&o.password, "password", "", "the SQL user's `password`")
	f.StringArrayVar(&o.oldTokens, "old-token", nil, "`TOKEN=PROJECT` for a token in the copies that has been rotated since; repeat it for several")
	f.StringVar(&o.state, "state", "", "`file` that remembers which segments are done")
	f.Float64Var(&o.rate, "rate", 0, "requests a second at most; 0 is as fast as they go")
	f.IntVar(&o.connections, "connections", 4, "requests at once")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
	return cmd
}

func runReplay(ctx context.Context, o replayOptions) error {
	if o.diff && (o.project == "" || o.into == "" || o.project == o.into) {
		return errors.New("--diff compares two projects: name them by --project and --into")
	}
	r, err := o.options()
	if err != nil {
		return err
	}
	switch {
	case o.dir != "" && o.store == "":
		r.Source = siphon.Directory(vfs.OS(), o.dir)
	case o.store != "" && o.dir == "":
		b, err := openBucket(ctx, o.store)
		if err != nil {
			return err
		}
		defer b.Close()
		r.Source = siphon.Bucket(b)
	default:
		return errors.New("say where the segments are, by --dir or by --store")
	}
	state := replayState{file: o.state, Of: o.identity()}
	if r.Skip, err = state.read(); err != nil {
		return err
	}
	r.Done = state.done
	if !o.quiet {
		bar := progressbar.NewOptions64(-1, progressbar.OptionSetDescription("replay"), progressbar.OptionShowBytes(true), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionThrottle(200*time.Millisecond))
		r.Progress = func(p siphon.Replayed) { _ = bar.Set64(p.Bytes) }
		defer func() { _ = bar.Finish(); fmt.Fprintln(os.Stderr) }()
	}
	done, err := siphon.Replay(ctx, r)
	fmt.Printf("sent %s requests (%s) of %d segments; the server refused %s of them, or some of their events\n",
		humanize.Comma(done.Requests), humanize.Bytes(uint64(done.Bytes)), done.Segments, humanize.Comma(done.Refused))
	for _, damaged := range done.Damaged {
		fmt.Printf("damaged: %s; what is whole in it was sent; another copy may have the rest\n", damaged)
	}
	if err == nil && done.Unknown > 0 {
		err = fmt.Errorf("%s requests bear a token that opens no project any more, so they are not brought back: name the token as it was by --old-token TOKEN=PROJECT and replay again", humanize.Comma(done.Unknown))
	}
	if err == nil && len(done.Damaged) > 0 {
		err = fmt.Errorf("%d segments are damaged", len(done.Damaged))
	}
	return err
}

func (o replayOptions) options() (r siphon.ReplayOptions, err error) {
	if r.Key, _, err = readEdgeKey(o.edgeKey); err != nil {
		return r, err
	}
	if r.Key == nil {
		return r, errors.New("--edge-key is missing: it is the file that the siphon was started with")
	}
	if r.Server, err = url.Parse(o.server); err != nil || r.Server.Host == "" {
		return r, fmt.Errorf("--server %q: want a URL like http://127.0.0.1:8080", o.server)
	}
	if r.From, err = replayTime("from", o.from); err != nil {
		return r, err
	}
	if r.To, err = replayTime("to", o.to); err != nil {
		return r, err
	}
	if !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) {
		return r, fmt.Errorf("--from %s is not before --to %s", o.from, o.to)
	}
	r.OldTokens = map[string]string{}
	for _, pair := range o.oldTokens {
		token, project, ok := strings.Cut(pair, "=")
		if !ok || token == "" || project == "" {
			return r, fmt.Errorf("--old-token %q: want TOKEN=PROJECT", pair)
		}
		r.OldTokens[token] = project
	}
	r.Project, r.Into, r.Rate, r.Connections = o.project, o.into, o.rate, o.connections
	return r, nil
}

func replayTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04:05", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s %q: want a day or a time, like 2026-11-20 or 2026-11-20T06:30:00Z", flag, text)
}

// identity is what must be the same for a replay to go on with another's state.
func (o replayOptions) identity() string {
	return strings.Join([]string{o.dir, o.store, o.server, o.from, o.to, o.project, o.into, strings.Join(o.oldTokens, ",")}, "\x1f")
}

// replayState is the file that remembers which segments are done.
type replayState struct {
	file string
	Of   string
	Done []string
}

func (s *replayState) read() (map[string]bool, error) {
	if s.file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--state: %w", err)
	}
	var old replayState
	if err := json.Unmarshal(b, &old); err != nil {
		return nil, fmt.Errorf("--state %s is not a replay's: %w", s.file, err)
	}
	if old.Of != s.Of {
		return nil, fmt.Errorf("--state %s is that of another replay; remove it, or name another file", s.file)
	}
	s.Done = old.Done
	skip := map[string]bool{}
	for _, name := range old.Done {
		skip[name] = true
	}
	return skip, nil
}

// done notes a segment, whole or not at all.
func (s *replayState) done(segment string) error {
	if s.file == "" {
		return nil
	}
	s.Done = append(s.Done, segment)
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file+".tmp", b, 0o600); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	if err := os.Rename(s.file+".tmp", s.file); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	return nil
}
