package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	_ "github.com/go-sql-driver/mysql"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// demoReadyWithin is how long the demo's server may take to answer.
const demoReadyWithin = 30 * time.Second

type demoOptions struct {
	data   string
	events int
	seed   uint64
	stop   bool
}

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a server and show it a stream full of duplicates",
		Long: `Start a server in a fresh directory, send it a week of a shop's events through a
proxy that loses acknowledgements, so that the client has to send again, and
compare what SQL answers with what was really sent. The server is left running.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "`directory` for the server's data; a fresh temporary one by default")
	f.IntVar(&o.events, "events", 100_000, "events that users make")
	f.Uint64Var(&o.seed, "seed", 1, "another seed, another stream")
	f.BoolVar(&o.stop, "stop", false, "stop the server at the end")
	return cmd
}

// demo is the tour: start, send, ask, index, ask again.
func demo(ctx context.Context, out io.Writer, o demoOptions) error {
	server, err := startDemoServer(ctx, o.data)
	if err != nil {
		return err
	}
	if o.stop {
		defer server.stop()
	}
	fmt.Fprintf(out, "\nA server is running: data in %s, log in %s\n", server.data, server.log)

	db, err := sql.Open("mysql", "root@tcp("+server.mysql+")/?multiStatements=false")
	if err != nil {
		return err
	}
	defer db.Close()
	token, err := makeDemoProject(ctx, db)
	if err != nil {
		return err
	}
	proxy, err := startLossyProxy(server.http)
	if err != nil {
		return err
	}
	defer proxy.Close()

	truth, err := sendDemoStream(ctx, out, o, proxy.url, "http://"+server.http, token)
	if err != nil {
		return err
	}
	truth.lostAcknowledgements = proxy.lost.Load()
	fmt.Fprintf(out, "\n%s events made, %s acknowledgements lost on the way, so %s copies arrived.\n",
		comma(truth.events), comma(truth.lostAcknowledgements), comma(truth.copies))

	same, err := compareDemo(ctx, out, db, truth, "Right after sending (events are in the log)")
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "CALL arbor.close_days('shop')"); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	sameIndexed, err := compareDemo(ctx, out, db, truth, "After indexing (events are in columnar files, duplicates marked)")
	if err != nil {
		return err
	}
	if err := showDemoQueries(ctx, out, db); err != nil {
		return err
	}
	if !o.stop {
		host, port, _ := net.SplitHostPort(server.mysql)
		fmt.Fprintf(out, "\nThe server is still running. Ask it yourself:\n\n  mariadb -h %s -P %s -u root shop -e \"SELECT event, COUNT(*) FROM events GROUP BY event\"\n  curl -u %s: -d '[{\"event\":\"Hello\",\"properties\":{\"distinct_id\":\"me\",\"$insert_id\":\"1\"}}]' http://%s/import\n\nStop it with: kill %d\n",
			host, port, token, server.http, server.pid)
	}
	if !same || !sameIndexed {
		return errors.New("an answer differs from the truth: see above")
	}
	return nil
}

// demoServer is an arbor process of its own, which outlives the demo.
type demoServer struct {
	data, log, mysql, http string
	pid                    int
	exited                 chan error
}

// startDemoServer runs this program's serve in a fresh directory, on the usual
// ports where they are free, and waits until it is ready.
func startDemoServer(ctx context.Context, data string) (*demoServer, error) {
	if data == "" {
		dir, err := os.MkdirTemp("", "arbor-demo-")
		if err != nil {
			return nil, err
		}
		data = dir
	} else if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("the demo wants a fresh directory, and %s is not empty", data)
	} else if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	s := &demoServer{data: data, log: filepath.Join(data, "server.log"), mysql: freeAddress("127.0.0.1:3306"), http: freeAddress("127.0.0.1:8080"), exited: make(chan error, 1)}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", "--data", data, "--mysql", s.mysql, "--http", s.http)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.pid = cmd.Process.Pid
	go func() { s.exited <- cmd.Wait() }() // ends with the server, or with the demo
	return s, s.waitReady(ctx)
}

func (s *demoServer) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoReadyWithin)
	defer cancel()
	for {
		if res, err := http.Get("http://" + s.http + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-s.exited:
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("the server ended (%v): %s", err, bytes.TrimSpace(text))
		case <-ctx.Done():
			return fmt.Errorf("the server was not ready in time: %w; see %s", ctx.Err(), s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *demoServer) stop() {
	if p, err := os.FindProcess(s.pid); err == nil {
		p.Signal(syscall.SIGTERM)
		<-s.exited
	}
}

// freeAddress is the address itself when nobody listens there, else one that
// the system chooses.
func freeAddress(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return address
		}
	}
	defer l.Close()
	return l.Addr().String()
}

// makeDemoProject makes the project shop and returns its token.
func makeDemoProject(ctx context.Context, db *sql.DB) (token string, err error) {
	if _, err = db.ExecContext(ctx, "CREATE DATABASE shop"); err == nil {
		err = db.QueryRowContext(ctx, "SELECT token FROM arbor.projects WHERE name = 'shop'").Scan(&token)
	}
	return token, err
}

// lossyProxy stands between client and server and forgets to pass on some
// acknowledgements: the server has stored the request, the client never hears.
type lossyProxy struct {
	*http.Server
	url      string
	requests atomic.Int64
	lost     atomic.Int64
}

// every lostEvery-th acknowledgement is lost.
const lostEvery = 12

func startLossyProxy(server string) (*lossyProxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &lossyProxy{url: "http://" + l.Addr().String()}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server})
	forward.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode == http.StatusOK && p.requests.Add(1)%lostEvery == 0 {
			p.lost.Add(1)
			return errAcknowledgementLost
		}
		return nil
	}
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	p.Server = &http.Server{Handler: forward, ReadHeaderTimeout: 10 * time.Second}
	go p.Serve(l) // ends when the demo closes the proxy
	return p, nil
}

var errAcknowledgementLost = errors.New("acknowledgement lost")

// sendDemoStream sends the stream in batches from four clients and returns what
// was really made and sent.
func sendDemoStream(ctx context.Context, out io.Writer, o demoOptions, lossy, direct, token string) (*demoTruth, error) {
	stream := newDemoStream(o.seed, o.events, time.Now())
	bar := progressbar.NewOptions(o.events, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("sending events"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"), progressbar.OptionThrottle(100*time.Millisecond))
	client := &demoClient{url: lossy + "/import?strict=1", token: token}
	batches, errs := make(chan demoBatch), make(chan error, 4)
	var senders sync.WaitGroup
	for range cap(errs) {
		senders.Go(func() { // ends when batches is closed or a batch cannot be sent
			for b := range batches {
				sent, err := client.sendUntilAcknowledged(ctx, b.body)
				stream.truth.addCopies(b, sent)
				bar.Add(b.events)
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	err := stream.each(func(b demoBatch) error {
		select {
		case batches <- b:
			return nil
		case err := <-errs:
			return err
		}
	})
	close(batches)
	senders.Wait()
	bar.Finish()
	select {
	case err = <-errs:
	default:
	}
	if err != nil {
		return nil, err
	}
	anonymous := stream.withoutInsertID()
	_, err = (&demoClient{url: direct + "/import", token: token}).sendUntilAcknowledged(ctx, anonymous.body)
	stream.truth.addCopies(anonymous, 1)
	return stream.truth, err
}

// demoClient does what every SDK does: it sends again until it gets an answer.
type demoClient struct{ url, token string }

// sendUntilAcknowledged returns how often the batch was sent.
func (c *demoClient) sendUntilAcknowledged(ctx context.Context, body []byte) (sent int, err error) {
	for sent = 1; ; sent++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
		if err != nil {
			return sent, err
		}
		req.SetBasicAuth(c.token, "")
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil { // no answer: it may have been stored or not, so send it again
			if ctx.Err() != nil {
				return sent, ctx.Err()
			}
			continue
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return sent, fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
		}
		return sent, nil
	}
}

// compareDemo prints the truth beside what SQL answers, and says whether they agree.
func compareDemo(ctx context.Context, out io.Writer, db *sql.DB, truth *demoTruth, title string) (bool, error) {
	fmt.Fprintf(out, "\n%s\n%s\n  %-34s %12s %12s\n", title, strings.Repeat("─", len([]rune(title))), "", "sent", "arbor says")
	same := true
	for _, q := range []struct {
		what, sql string
		want      int64
	}{
		{"events", "SELECT COUNT(*) FROM shop.events", truth.visible()},
		{"copies received", "SELECT COUNT(*) FROM shop.events_all", truth.copies},
		{"duplicates: the same event again", "SELECT COUNT(*) FROM shop.events_all WHERE _dup_kind = 'retry'", truth.retries},
		{"duplicates: same id, other content", "SELECT COUNT(*) FROM shop.events_all WHERE _dup_kind = 'conflict'", truth.conflicts},
		{"events without an insert id", "SELECT COUNT(*) FROM shop.events WHERE insert_id IS NULL", truth.anonymous},
		{"users", "SELECT COUNT(DISTINCT distinct_id) FROM shop.events", int64(len(truth.users))},
		{"purchases", "SELECT COUNT(*) FROM shop.events WHERE event = 'Purchase'", truth.purchases},
		{"revenue in cents", "SELECT SUM(price_cents) FROM shop.events WHERE event = 'Purchase'", truth.cents},
	} {
		var got int64
		if err := db.QueryRowContext(ctx, q.sql).Scan(&got); err != nil {
			return false, fmt.Errorf("%s: %w", q.sql, err)
		}
		mark := "✓"
		if got != q.want {
			mark, same = "✗", false
		}
		fmt.Fprintf(out, "  %-34s %12s %12s %s\n", q.what, comma(q.want), comma(got), mark)
	}
	return same, nil
}

// showDemoQueries prints a few questions with their answers.
func showDemoQueries(ctx context.Context, out io.Writer, db *sql.DB) error {
	for _, q := range []string{
		"SELECT DATE(time) AS day, COUNT(*) AS events, COUNT(DISTINCT distinct_id) AS users FROM shop.events GROUP BY DATE(time) ORDER BY day",
		"SELECT event, COUNT(*) AS n FROM shop.events GROUP BY event ORDER BY n DESC, event",
		"SELECT `$os`, SUM(price_cents) / 100 AS revenue FROM shop.events WHERE event = 'Purchase' GROUP BY `$os` ORDER BY revenue DESC",
	} {
		fmt.Fprintf(out, "\n> %s\n", q)
		if err := printRows(ctx, out, db, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

func printRows(ctx context.Context, out io.Writer, db *sql.DB, query string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	fmt.Fprint(out, " ")
	for _, n := range names {
		fmt.Fprintf(out, " %-22s", n)
	}
	fmt.Fprintln(out)
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		fmt.Fprint(out, " ")
		for _, v := range values {
			if !v.Valid {
				v.String = "NULL"
			}
			fmt.Fprintf(out, " %-22s", v.String)
		}
		fmt.Fprintln(out)
	}
	return rows.Err()
}

func comma(n int64) string { return humanize.Comma(n) }
