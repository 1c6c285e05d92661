package whole

import (
	"bytes"
	"database/sql"
	"flag"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"arbor/sqltests/server"
)

var killEvery = flag.Duration("killevery", 0, "kill commands after this time, twice it, and so on until they end before")

// killed runs a command that is killed again and again, each time later, until it ends by
// itself: the same command, as an operator would give it again.
func killed(t *testing.T, args ...string) {
	t.Helper()
	for try := 0; ; try++ {
		cmd := exec.Command(server.Binary(t), args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(*killEvery*time.Duration(try+1), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			return
		}
		if cmd.ProcessState.Exited() { // it was not killed
			t.Fatalf("arbor %s, try %d: %v\n%s", strings.Join(args, " "), try+1, err, out.String())
		}
	}
}

// TestKilledAnywhere kills with -9, at moments one after the other, the commands that back
// up, restore and replay, and a server that erases: given again each ends, and everything
// is there once.
func TestKilledAnywhere(t *testing.T) {
	if *killEvery <= 0 {
		t.Skip("a hundred processes; -killevery says when they are killed")
	}
	dir := t.TempDir()
	key, store := edgeKey(t), "file://"+filepath.Join(dir, "store")
	s := server.Start(t, "--edge-key", key)
	s.Exec(t, "CREATE DATABASE shop")
	token := s.QueryOne(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	url, stop := startSiphon(t, "--upstream", "http://"+s.HTTP, "--edge-key", key, "--dir", filepath.Join(dir, "siphon"))
	for request := range 24 {
		var events []string
		for i := range 60 {
			insertID := fmt.Sprintf(`,"$insert_id":"i%d-%d"`, request/2, i) // each comes twice
			if i%4 == 0 {
				insertID = ""
			}
			events = append(events, fmt.Sprintf(`{"event":"buy","properties":{"time":%d,"distinct_id":"u%d","n":%d%s}}`, 1768300000+i%3*86400, i%10, i, insertID))
		}
		r, err := http.NewRequest(http.MethodPost, url+"/import", strings.NewReader("["+strings.Join(events, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(token, "")
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		res.Body.Close()
		if request == 15 {
			s.Exec(t, "CALL arbor.index_project('shop')")
		}
	}
	stop()
	s.Exec(t, "DELETE FROM shop.events WHERE insert_id = 'i3-7'")
	const digests = "SELECT GROUP_CONCAT(CONCAT(d.day, d.bucket, d.digest) ORDER BY d.day, d.bucket) FROM arbor.digests d JOIN arbor.projects p ON p.id = d.project_id WHERE p.name = '%s'"
	contents := func(s *server.Server, project string) string {
		t.Helper()
		return s.QueryOne(t, fmt.Sprintf(digests, project)) + s.QueryOne(t, "SELECT CONCAT(COUNT(*), SUM(_duplicate), SUM(CRC32(CONCAT_WS(',', _ingest_id, time, distinct_id, insert_id, properties, _dup_of)))) FROM "+project+".events_all")
	}
	want := contents(s, "shop")
	s.Stop(t)

	killed(t, "backup", "--quiet", "--data", s.Data, "--to", store)
	if out := arbor(t, "verify-backup", "--quiet", "--from", store, "--scratch", dir); !strings.Contains(out, "is right") {
		t.Errorf("verify-backup said %s", out)
	}

	killed(t, "restore", "--quiet", "--from", store, "--data", filepath.Join(dir, "restored"))
	back := server.StartOver(t, filepath.Join(dir, "restored"), "--edge-key", key)
	if got := contents(back, "shop"); got != want {
		t.Errorf("restored is %s, want %s", got, want)
	}

	other := server.Start(t, "--edge-key", key)
	other.Exec(t, "CREATE DATABASE shop")
	into := []string{"restore", "--quiet", "--from", store, "--server", "http://" + other.HTTP, "--scratch", filepath.Join(dir, "scratch")}
	killed(t, into...)
	if got := contents(other, "shop_restored"); got != want {
		t.Errorf("restored beside is %s, want %s", got, want)
	}
	killed(t, append(into, "--in-place", "--yes")...)
	if got := contents(other, "shop"); got != want {
		t.Errorf("restored in place is %s, want %s", got, want)
	}

	third := server.Start(t, "--edge-key", key)
	third.Exec(t, "CREATE DATABASE shop")
	killed(t, "replay", "--quiet", "--server", "http://"+third.HTTP, "--edge-key", key, "--dir", filepath.Join(dir, "siphon"), "--old-token", token+"=shop", "--state", filepath.Join(dir, "state"))
	third.Exec(t, "DELETE FROM shop.events WHERE insert_id = 'i3-7'")
	const seen = "SELECT CONCAT(COUNT(*), SUM(CRC32(CONCAT_WS(',', _ingest_id, time, distinct_id, insert_id, properties)))) FROM shop.events"
	if got := third.QueryOne(t, seen); got != back.QueryOne(t, seen) {
		t.Errorf("replayed is %s, want %s", got, back.QueryOne(t, seen))
	}

	var updates []string
	for n := range 10 {
		updates = append(updates, fmt.Sprintf(`{"$token":%q,"$distinct_id":"u%d","$set":{"n":%d}}`, third.QueryOne(t, "SELECT token FROM arbor.projects WHERE name = 'shop'"), n, n))
	}
	res, err := http.Post("http://"+third.HTTP+"/engage", "application/json", strings.NewReader("["+strings.Join(updates, ",")+"]"))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	res.Body.Close()
	for try := range 9 { // of ten users
		eraseAndKill(t, third, fmt.Sprintf("u%d", try), *killEvery*time.Duration(2*try+1))
	}
}

// eraseAndKill kills a server while it erases a user, and has it go on.
func eraseAndKill(t *testing.T, s *server.Server, user string, after time.Duration) {
	t.Helper()
	of := func(where string) string {
		return s.QueryOne(t, "SELECT CONCAT(COUNT(*), COALESCE(SUM(CRC32(CONCAT_WS(',', _ingest_id, insert_id, properties))), 0)) FROM shop.events_all WHERE distinct_id "+where+" '"+user+"'")
	}
	mine, others := of("="), of("<>")
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		_, _ = db.Exec("CALL arbor.erase_user('shop', '" + user + "')")
	}()
	time.Sleep(after)
	s.Kill(t)
	<-ended
	db.Close()
	s.Run(t)
	if got := of("<>"); got != others {
		t.Fatalf("erasing %s: the others are %s, and were %s", user, got, others)
	}
	begun := s.QueryOne(t, "SELECT COUNT(*) FROM arbor.erasures WHERE state <> 'done'") != "0"
	if got := of("="); begun && got != "00" || !begun && got != "00" && got != mine {
		t.Fatalf("erasing %s: %s of %s are seen, begun %t", user, got, mine, begun)
	}
	s.Exec(t, "CALL arbor.erase_user('shop', '"+user+"')")
	if got := of("="); got != "00" {
		t.Fatalf("%s has %s after the erasure", user, got)
	}
	if got := s.QueryOne(t, "SELECT COUNT(*) FROM shop.people WHERE distinct_id = '"+user+"'"); got != "0" {
		t.Fatalf("%s has a profile after the erasure", user)
	}
	if got := s.QueryOne(t, "SELECT CONCAT(COUNT(*), SUM(rows_removed)) FROM arbor.erasures WHERE state = 'done' AND rows_removed > 0"); got != fmt.Sprintf("%[1]d%[1]d", erasedBy(user)) {
		t.Fatalf("erasing %s: erasures and rows removed are %s", user, got)
	}
	if got := of("<>"); got != others {
		t.Fatalf("after %s was erased the others are %s, and were %s", user, got, others)
	}
}

// erasedBy is how many users were erased when the last was this one.
func erasedBy(user string) int { return int(user[1]-'0') + 1 }
