package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/zeebo/xxh3"
)

// Limits of an import: what one request to /import may hold, and a line.
const (
	importBatchEvents = 2000
	importBatchBytes  = 8 << 20
	importLineBytes   = 2 << 20
	importAttempts    = 8
)

type importOptions struct {
	server, project, token, user, password string
	quiet                                  bool
}

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "Send files of events to a running server",
		Long: `Send files of events to a running server: one JSON event a line, as SDKs send
them and as Mixpanel exports them ({"event": …, "properties": {…}}); gzip and zstd
files are read as they are, and - is standard input.

An import may be repeated, whole or after an interruption: events with an
$insert_id are known by it, and those without get one made from the line and its
place in the file.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return importFiles(cmd.Context(), o, files) },
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "http://127.0.0.1:8080", "`URL` of the server")
	f.StringVar(&o.project, "project", "", "`name` of the project; made if there is none")
	f.StringVar(&o.token, "token", "", "the project's `token` or secret, instead of --project")
	f.StringVar(&o.user, "user", "root", "SQL `user` that looks the project up")
	f.StringVar(&o.password, "password", "", "the SQL user's `password`")
	f.BoolVar(&o.quiet, "quiet", false, "show no progress")
	return cmd
}

func importFiles(ctx context.Context, o importOptions, files []string) error {
	im := &importer{server: strings.TrimRight(o.server, "/"), token: o.token, client: &http.Client{Timeout: time.Minute}}
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
		if err := im.file(ctx, file, o.quiet); err != nil {
			return fmt.Errorf("import %s: %w", file, err)
		}
	}
	took := time.Since(start)
	fmt.Printf("%d events stored, %d refused, %d files, %s, %.0f events/s\n",
		im.stored, im.refused, len(files), took.Round(time.Millisecond), float64(im.stored)/took.Seconds())
	if im.refused > 0 {
		return errReported
	}
	return nil
}

// importer sends batches of lines to one project.
type importer struct {
	server, token   string
	client          *http.Client
	stored, refused int64
	complaints      int
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

// file reads one file and sends it batch by batch.
func (im *importer) file(ctx context.Context, name string, quiet bool) error {
	in, size := io.ReadCloser(os.Stdin), int64(-1)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = f
	}
	defer in.Close()
	bar := progressbar.DefaultBytes(size, name)
	if quiet {
		bar = progressbar.DefaultBytesSilent(size)
	}
	defer bar.Close()
	lines, err := decompress(io.TeeReader(in, bar))
	if err != nil {
		return err
	}
	var batch []byte
	events, first := 0, int64(1)
	flush := func() error {
		if events == 0 {
			return nil
		}
		err := im.send(ctx, batch, first, events)
		first += int64(events)
		batch, events = batch[:0], 0
		return err
	}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(make([]byte, 1<<20), importLineBytes)
	for scanner.Scan() {
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if events == importBatchEvents || len(batch)+len(line) >= importBatchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(append(batch, line...), '\n')
		events++
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return errors.Join(flush(), fmt.Errorf("event %d is longer than %d bytes", first+int64(events), importLineBytes))
	} else if err != nil {
		return errors.Join(flush(), err)
	}
	return flush()
}

// decompress tells gzip and zstd by their first bytes.
func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	magic, _ := b.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(b)
	}
	return b, nil
}

// importReply is what /import answers.
type importReply struct {
	Code          int    `json:"code"`
	Error         string `json:"error"`
	Imported      int64  `json:"num_records_imported"`
	FailedRecords []struct {
		Index    int64  `json:"index"`
		InsertID string `json:"insert_id"`
		Field    string `json:"field"`
		Message  string `json:"message"`
	} `json:"failed_records"`
}

// send posts a batch until the server has answered for it. A repeated batch is
// harmless: its events have the same insert ids.
func (im *importer) send(ctx context.Context, batch []byte, first int64, events int) error {
	key := fmt.Sprintf("import-%d-%016x", first, xxh3.Hash(batch))
	var compressed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&compressed, gzip.BestSpeed)
	w.Write(batch)
	w.Close()
	for attempt := 1; ; attempt++ {
		reply, wait, err := im.post(ctx, compressed.Bytes(), key)
		if err == nil {
			im.stored += reply.Imported
			for _, r := range reply.FailedRecords {
				im.refused++
				if im.complaints++; im.complaints <= 10 {
					fmt.Fprintf(os.Stderr, "\nevent %d refused: %s: %s\n", first+r.Index, r.Field, r.Message)
				}
			}
			return nil
		}
		if wait == 0 || attempt == importAttempts || ctx.Err() != nil {
			return fmt.Errorf("events %d to %d: %w", first, first+int64(events)-1, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait * time.Duration(attempt)):
		}
	}
}

// post sends one request. wait is how long to wait before trying again, 0 when
// that would not help.
func (im *importer) post(ctx context.Context, body []byte, key string) (reply importReply, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, im.server+"/import", bytes.NewReader(body))
	if err != nil {
		return reply, 0, err
	}
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(im.token+":")))
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Idempotency-Key", key)
	res, err := im.client.Do(req)
	if err != nil {
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = urlErr.Err
		}
		return reply, 500 * time.Millisecond, fmt.Errorf("%s: %w", im.server, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return reply, 500 * time.Millisecond, err
	}
	jsonErr := json.Unmarshal(text, &reply)
	switch {
	case res.StatusCode == http.StatusOK && jsonErr == nil,
		res.StatusCode == http.StatusBadRequest && jsonErr == nil && len(reply.FailedRecords) > 0:
		return reply, 0, nil
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		wait = time.Second
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			wait = time.Duration(min(s, 30)) * time.Second
		}
	}
	return reply, wait, fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
}
