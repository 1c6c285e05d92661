package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	clustermember "arbor/cluster/member"
	"arbor/engine/vfs"
)

// localMembers is how many members a cluster on this machine has.
const localMembers = 3

func newCluster() *cobra.Command {
	var data string
	var demo bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Run three members on this machine, to try a cluster out",
		Long: `Run three members on this machine, each a process with a directory of its own, until
Ctrl-C. With --demo one of them is killed while events come in, and started again;
every count is compared with what was acknowledged.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCluster(cmd.Context(), cmd.OutOrStdout(), data, demo)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`directory` for the members' directories; a temporary one without")
	cmd.Flags().BoolVar(&demo, "demo", false, "kill a member while events come in, and compare counts")
	return cmd
}

// local is a member that runs as a process of its own.
type local struct {
	dir, mysql, http, peer string
	cmd                    *exec.Cmd
	exited                 chan error
}

// runCluster runs members until the context ends, or the demo is over.
func runCluster(ctx context.Context, out io.Writer, data string, demo bool) (err error) {
	if data == "" {
		if data, err = os.MkdirTemp("", "arbor-cluster-"); err != nil {
			return err
		}
		defer os.RemoveAll(data)
	}
	var all []*local
	defer func() {
		for _, m := range all {
			err = errors.Join(err, m.end(syscall.SIGTERM))
		}
	}()
	for n := range localMembers {
		m := &local{dir: filepath.Join(data, fmt.Sprintf("member%d", n+1))}
		if err := m.addresses(); err != nil {
			return err
		}
		args := []string{"--peer", m.peer}
		if n > 0 {
			_, kept, err := clustermember.Kept(vfs.OS(), m.dir)
			if err != nil {
				return err
			}
			if !kept {
				token, err := all[0].one(ctx, "SELECT 1", "CALL arbor.add_member()")
				if err != nil {
					return err
				}
				args = append(args, "--join", all[0].peer, "--token", token)
			}
		}
		if err := m.start(ctx, args...); err != nil {
			return err
		}
		all = append(all, m)
		fmt.Fprintf(out, "member %d   mariadb -h 127.0.0.1 -P %s -u root   http://%s   %s\n", n+1, portOf(m.mysql), m.http, m.dir)
	}
	fmt.Fprintln(out, "waiting until each event has three places …")
	if err := all[0].until(ctx, "SELECT COUNT(*) >= 3072 FROM arbor.replicas WHERE state = 'settled'"); err != nil {
		return err
	}
	if demo {
		return demoCluster(ctx, out, all)
	}
	fmt.Fprintln(out, "ready; SELECT * FROM arbor.members shows the members, Ctrl-C stops them")
	<-ctx.Done()
	return nil
}

// addresses are chosen once: a member that comes back is where it was.
func (m *local) addresses() error {
	file := m.dir + ".addresses"
	if b, err := os.ReadFile(file); err == nil {
		_, err = fmt.Sscan(string(b), &m.mysql, &m.http, &m.peer)
		return err
	}
	for _, address := range []*string{&m.mysql, &m.http, &m.peer} {
		var err error
		if *address, err = unusedAddress(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(m.dir), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Join([]string{m.mysql, m.http, m.peer}, " ")), 0o600)
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// unusedAddress is an address that nobody listens on, below the ports that systems
// give to connections (from 32768 on): no connection takes it before its member does.
func unusedAddress() (address string, err error) {
	for range 1000 {
		address = fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", err
}

// start starts the member's process, with a log in its directory, and waits until
// it answers.
func (m *local) start(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(m.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(self, append([]string{"serve", "--data", m.dir, "--mysql", m.mysql, "--http", m.http}, args...)...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	if err := m.cmd.Start(); err != nil {
		return err
	}
	m.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(m.cmd, m.exited) // ends with the process
	if err := m.until(ctx, "SELECT 1"); err != nil {
		return fmt.Errorf("%w; its log is %s.log", err, m.dir)
	}
	return nil
}

// end ends the process and waits for it.
func (m *local) end(by syscall.Signal) error {
	if m.exited == nil {
		return nil
	}
	if err := m.cmd.Process.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-m.exited
	m.exited = nil
	if by == syscall.SIGKILL {
		return nil
	}
	return err
}

func (m *local) open(database string) (*sql.DB, error) {
	return sql.Open("mysql", "root@tcp("+m.mysql+")/"+database)
}

// one runs statements and gives the first value of the last one's row.
func (m *local) one(ctx context.Context, statements ...string) (value string, err error) {
	db, err := m.open("")
	if err != nil {
		return "", err
	}
	defer db.Close()
	for _, statement := range statements {
		rows, err := db.QueryContext(ctx, statement)
		if err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
		columns, err := rows.Columns()
		if err == nil && rows.Next() {
			into := make([]any, len(columns))
			for i := range into {
				into[i] = new(sql.NullString)
			}
			err = rows.Scan(into...)
			if err == nil {
				value = into[0].(*sql.NullString).String
			}
		}
		if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return value, nil
}

// localWithin bounds how long a member may take to be as it should.
const localWithin = 2 * time.Minute

// until waits until a question is answered with 1.
func (m *local) until(ctx context.Context, question string) error {
	ctx, cancel := context.WithTimeout(ctx, localWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := m.one(ctx, question)
		if err == nil && got == "1" {
			return nil
		}
		select {
		case <-tick.C:
		case err := <-m.exited:
			m.exited <- err
			return fmt.Errorf("a member ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", question, localWithin, errors.Join(err, ctx.Err()))
		}
	}
}

// demoCluster kills the last member while events come in at the others, starts it again, and
// compares counts.
func demoCluster(ctx context.Context, out io.Writer, all []*local) error {
	if _, err := all[0].one(ctx, "CREATE DATABASE demo"); err != nil {
		return err
	}
	last := all[len(all)-1]
	var acked atomic.Int64
	stop := make(chan struct{})
	var running sync.WaitGroup
	failed := make(chan error, 2)
	for i, m := range all[:len(all)-1] {
		if err := m.until(ctx, "SELECT COUNT(*) FROM arbor.projects WHERE name = 'demo'"); err != nil {
			return err
		}
		running.Go(func() { failed <- demoWrites(ctx, m, i, stop, &acked) })
	}
	reach := func(n int64) error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for acked.Load() < n {
			select {
			case <-tick.C:
			case err := <-failed:
				failed <- err
				return errors.Join(err, errors.New("writing ended early"))
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	step := func(text string, do func() error) error {
		if err := do(); err != nil {
			return err
		}
		fmt.Fprintf(out, "%7d acknowledged   %s\n", acked.Load(), text)
		return nil
	}
	err := step("events come in at two members", func() error { return reach(5000) })
	if err == nil {
		err = step("the third was killed with kill -9", func() error { return last.end(syscall.SIGKILL) })
	}
	if err == nil {
		err = step("events went on coming in", func() error { return reach(acked.Load() + 10000) })
	}
	if err == nil {
		err = step("it was started again", func() error { return last.start(ctx) })
	}
	if err == nil {
		err = step("events went on coming in", func() error { return reach(acked.Load() + 5000) })
	}
	close(stop)
	running.Wait()
	for range all[:len(all)-1] {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%[1]d %[1]d", acked.Load())
	for n, m := range all {
		got, err := m.one(ctx, "SELECT CONCAT(COUNT(*), ' ', COUNT(DISTINCT insert_id)) FROM demo.events")
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("member %d counts %s, acknowledged were %s", n+1, got, want)
		}
		fmt.Fprintf(out, "✓ member %d counts %s, each once: exactly what was acknowledged\n", n+1, strings.Fields(got)[0])
	}
	return nil
}

// demoWrites inserts events, a hundred at once, each lot again until it is
// acknowledged.
func demoWrites(ctx context.Context, m *local, writer int, stop <-chan struct{}, acked *atomic.Int64) error {
	const lot = 100
	db, err := m.open("demo")
	if err != nil {
		return err
	}
	defer db.Close()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		var rows []string
		for i := range lot {
			rows = append(rows, fmt.Sprintf("('Viewed', NOW(), 'user %d', '%d-%d-%d')", i%17, writer, n, i))
		}
		insert := "INSERT INTO events (event, time, distinct_id, insert_id) VALUES " + strings.Join(rows, ",")
		for tries := 0; ; tries++ {
			if _, err = db.ExecContext(ctx, insert); err == nil {
				break
			}
			if tries == 10 || ctx.Err() != nil {
				return fmt.Errorf("insert: %w", err)
			}
		}
		acked.Add(lot)
	}
}
