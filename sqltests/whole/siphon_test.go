package whole

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"arbor/sqltests/server"
)

// edgeKey writes a key file.
func edgeKey(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "edge.key")
	if err := os.WriteFile(name, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// startSiphon runs "arbor siphon" before a server until the returned function is
// called, which gives what it printed.
func startSiphon(t *testing.T, flags ...string) (url string, stop func()) {
	t.Helper()
	address := server.FreeAddress(t)
	cmd := exec.Command(server.Binary(t), append([]string{"siphon", "--listen", address, "--admin", ""}, flags...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // ends with the process
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-exited; err != nil {
			t.Errorf("siphon ended with %v\n%s", err, log.String())
		}
	})
	t.Cleanup(stop)
	for range 6000 {
		if answer, err := http.Get("http://" + address + "/readyz"); err == nil {
			answer.Body.Close()
			return "http://" + address, stop
		}
		time.Sleep(10 * time.Millisecond) // as server.Run waits for a process of its own
	}
	t.Fatal("the siphon does not answer")
	return "", nil
}

// TestReplayBringsBackALostDay loses all that a server has of its events, and
// replays what the siphon kept: the events are the same as before, ids and all,
// and replaying once more adds none.
func TestReplayBringsBackALostDay(t *testing.T) {
	key, dir, bucket := edgeKey(t), filepath.Join(t.TempDir(), "siphon"), t.TempDir()
	s := server.Start(t, "--edge-key", key)
	s.Exec(t, "CREATE DATABASE shop", "CREATE DATABASE shadow")
	token := s.QueryOne(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	url, stop := startSiphon(t, "--upstream", "http://"+s.HTTP, "--edge-key", key, "--dir", dir, "--store", "file://"+bucket)

	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			// Half of them have no insert id, and of those every other no time.
			properties := fmt.Sprintf(`"distinct_id":"u%d"`, i%7)
			if i%2 == 0 {
				properties += fmt.Sprintf(`,"$insert_id":"id%d"`, i/4)
			}
			if i%4 < 3 {
				properties += fmt.Sprintf(`,"time":%d`, time.Now().Unix()-int64(i)*3600)
			}
			r, err := http.NewRequest("POST", url+"/import", strings.NewReader(fmt.Sprintf(`[{"event":"e%d","properties":{%s}}]`, i%3, properties)))
			if err != nil {
				t.Error(err)
				return
			}
			r.SetBasicAuth(token, "")
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			if answer.StatusCode != 200 {
				t.Errorf("status %s", answer.Status)
			}
		})
	}
	all.Wait()
	stop()

	const contents = `SELECT CONCAT(COUNT(*), ' ', GROUP_CONCAT(CONCAT_WS('|', event, time, distinct_id, insert_id, _ingest_id, _duplicate) ORDER BY _ingest_id SEPARATOR '\n')) FROM shop.events_all`
	before := s.QueryOne(t, contents)
	replay := func(flags ...string) {
		t.Helper()
		out, err := run(t, append([]string{"replay", "--server", "http://" + s.HTTP, "--edge-key", key, "--quiet"}, flags...)...)
		if err != nil || !strings.Contains(out, "sent 40 requests") {
			t.Fatalf("replay: %v\n%s", err, out)
		}
	}
	replay("--dir", dir)
	if again := s.QueryOne(t, contents); again != before {
		t.Errorf("a replay over what is there changed it:\n%s\nnow\n%s", before, again)
	}
	replay("--store", "file://"+bucket, "--project", "shop", "--into", "shadow")
	if shadow := s.QueryOne(t, strings.ReplaceAll(contents, "shop.", "shadow.")); shadow != before {
		t.Errorf("the shadow project has other events:\n%s\nnot\n%s", shadow, before)
	}

	s.Stop(t)
	entries, err := os.ReadDir(s.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries { // everything but the catalog is lost
		if e.Name() != "catalog" {
			if err := os.RemoveAll(filepath.Join(s.Data, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Run(t)
	if n := s.QueryOne(t, "SELECT COUNT(*) FROM shop.events_all"); n != "0" {
		t.Fatalf("%s events are left, the loss was to be complete", n)
	}
	replay("--store", "file://"+bucket)
	if after := s.QueryOne(t, contents); after != before {
		t.Errorf("after the loss and the replay:\n%s\nbefore\n%s", after, before)
	}
}

func TestSiphonRefusesWithAWayOut(t *testing.T) {
	key := edgeKey(t)
	short := filepath.Join(t.TempDir(), "short.key")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want []string }{
		{[]string{"siphon", "--edge-key", key}, []string{"--upstream"}},
		{[]string{"siphon", "--upstream", "http://127.0.0.1:1"}, []string{"--edge-key"}},
		{[]string{"siphon", "--edge-key", short, "--upstream", "http://127.0.0.1:1"}, []string{"5 bytes", "at least 16"}},
		{[]string{"siphon", "--edge-key", key, "--upstream", "localhost"}, []string{"http://127.0.0.1:8080"}},
		{[]string{"siphon", "--edge-key", key, "--upstream", "http://127.0.0.1:1", "--on-copy-failure", "maybe", "--dir", t.TempDir(), "--listen", "127.0.0.1:0"}, []string{"open", "closed"}},
		{[]string{"siphon", "--edge-key", key, "--upstream", "http://127.0.0.1:1", "--store", "ftp://x"}, []string{"--store", "s3://"}},
		{[]string{"serve", "--edge-key", short}, []string{"at least 16"}},
		{[]string{"replay", "--edge-key", key}, []string{"--dir", "--store"}},
		{[]string{"replay", "--edge-key", key, "--dir", "nowhere"}, []string{"nowhere"}},
		{[]string{"replay", "--edge-key", key, "--dir", ".", "--from", "yesterday"}, []string{"--from", "2026-11-20"}},
		{[]string{"replay", "--edge-key", key, "--dir", ".", "--into", "x"}, []string{"project"}},
	} {
		out, err := run(t, c.args...)
		if err == nil {
			t.Errorf("%v started all the same: %s", c.args, out)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: the message does not say %q: %s", c.args, w, out)
			}
		}
	}
}
