package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/vfs"
	"arbor/gateway"
	"arbor/gateway/siphon"
)

var worstDayKey = []byte("0123456789abcdef0123456789abcdef")

// dayServer is a member over files in memory that answers HTTP.
type dayServer struct {
	*member
	url *url.URL
}

// openDay opens a member and serves it, until the test ends.
func openDay(t testing.TB, fs vfs.FS, stores []*backup.Store, faults *engine.Faults) *dayServer {
	t.Helper()
	s, end, err := startDay(t.Context(), fs, stores, faults)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startDay is openDay for who ends it by end.
func startDay(ctx context.Context, fs vfs.FS, stores []*backup.Store, faults *engine.Faults) (s *dayServer, end func() error, err error) {
	quiet := slog.New(slog.DiscardHandler)
	metadata, err := cluster.OpenMetadata(fs, "data/catalog", quiet)
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.Open(ctx, engine.Options{FS: fs, Dir: "data", Logger: quiet, Catalog: metadata.Catalog(), Manual: true, Functions: gateway.NewFunctions(), Faults: faults})
	if err != nil {
		return nil, nil, errors.Join(err, metadata.Close())
	}
	m := &member{metadata: metadata, engine: e, cluster: cluster.New(metadata, e), logger: quiet}
	g := gateway.New(gateway.Options{Cluster: m.cluster, Logger: quiet, EdgeKey: worstDayKey, Keeper: newKeeper(m, stores, "", quiet)})
	server := httptest.NewServer(g.HTTPHandler())
	end = func() error {
		server.Close()
		return errors.Join(g.Close(), m.Close())
	}
	u, err := url.Parse(server.URL)
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return &dayServer{m, u}, end, nil
}

// post sends a request that must succeed and returns the answer.
func post(t testing.TB, to, user, body string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, "")
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", to, res.Status, answer, err)
	}
	return string(answer)
}

// contents are all stored copies of the shop's events, in order, with what makes
// each what it is.
func (s *dayServer) contents(t *testing.T) []string {
	t.Helper()
	answer := post(t, s.url.String()+"/query?format=csv&null=%5CN", "root",
		"SELECT _ingest_id, event, time, distinct_id, insert_id, n, _duplicate, _dup_of, _dup_kind FROM shop.events_all ORDER BY _ingest_id")
	return strings.Split(strings.TrimSpace(answer), "\n")[1:]
}

// TestBackupOfDamagedLog: a segment that was damaged on disk since it was opened does not
// keep what can still be read from being copied, and is named.
func TestBackupOfDamagedLog(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	disk := vfs.NewMem()
	s := openDay(t, disk, stores, nil)
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	send := func(day, n int) {
		project, _ := s.cluster.Catalog().Project("shop")
		post(t, s.url.String()+"/import", project.Token, fmt.Sprintf(`[{"event":"buy","properties":{"time":%d,"distinct_id":"ann","$insert_id":"%d-%d","n":%d}}]`, 1768300000+day*86400, day, n, n))
	}
	send(0, 1)
	if err := s.engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	send(0, 2) // the first frame of a new segment
	for day := range 3 {
		send(day, 3)
	}
	want := s.contents(t)
	names, err := disk.List("data/log")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	spoil(t, disk, "data/log/"+names[len(names)-1], 200)

	res, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{backupSource{s.engine, s.cluster.Tables}}, Stores: stores})
	if err != nil {
		t.Fatal(err)
	}
	if m := res.Manifest.Members[0]; m.LogDamage == "" || len(m.Shards) != 3 || m.Log[0].Size != 0 {
		t.Errorf("%d shards, damage of the log: %q", len(m.Shards), m.LogDamage)
	}
	if alarms := post(t, s.url.String()+"/query?format=csv", "root", "SELECT message FROM arbor.alarms WHERE kind = 'log'"); !strings.Contains(alarms, "backups have what can be read") {
		t.Errorf("alarms: %s", alarms)
	}
	if got := restored(t, stores, res.ID).contents(t); strings.Join(got, "\n") != strings.Join(want, "\n") || len(want) != 5 {
		t.Errorf("came back: %q, want %q", got, want)
	}
}

// spoil changes a byte of a file on disk.
func spoil(t *testing.T, fs *vfs.Mem, name string, at int64) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil || size <= at {
		t.Fatal(size, err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	b[at] ^= 1
	w, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Sync(), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestErasedStayErased: what was erased after a backup does not come back with it, nor by
// a replay of what a siphon kept.
func TestErasedStayErased(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := openDay(t, vfs.NewMem(), stores, nil)
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	project, _ := s.cluster.Catalog().Project("shop")
	send := func(user string, n int) {
		post(t, s.url.String()+"/import", project.Token, fmt.Sprintf(`[{"event":"buy","properties":{"time":%d,"distinct_id":%q,"$insert_id":"%s%d","n":%d}}]`, time.Now().UnixMilli(), user, user, n, n))
	}
	run := func() backup.Result {
		made, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{backupSource{s.engine, s.cluster.Tables}}, Stores: stores})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	for n := range 3 {
		send("ann", n)
		send("bob", n)
	}
	post(t, s.url.String()+"/engage", "", fmt.Sprintf(`[{"$token":%[1]q,"$distinct_id":"ann","$set":{"n":1}},{"$token":%[1]q,"$distinct_id":"bob","$set":{"n":1}}]`, project.Token))
	profiles := func(s *dayServer) string {
		return post(t, s.url.String()+"/query?format=csv", "root", "SELECT GROUP_CONCAT(distinct_id ORDER BY distinct_id SEPARATOR '+') AS p FROM shop.people")
	}
	before := run()
	post(t, s.url.String()+"/query", "root", "CALL arbor.erase_user('shop', 'ann')")
	want := s.contents(t)
	run()
	for _, suppress := range []bool{true, false} {
		disk := vfs.NewMem()
		o := backup.RestoreOptions{Stores: stores, ID: before.ID, FS: disk, Dir: "data", WriteCatalog: cluster.WriteCatalog, WriteTables: cluster.WriteTables}
		erased := 0
		if suppress {
			var err error
			if o.WriteCatalog, err = suppressing(t.Context(), o, &erased); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := backup.Restore(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		again := openDay(t, disk, nil, nil)
		if !suppress {
			if n := len(again.contents(t)); n != 6 {
				t.Errorf("%d events came back without suppression", n)
			}
			if got := profiles(again); got != "p\nann+bob\n" {
				t.Errorf("profiles came back as %q without suppression", got)
			}
			continue
		}
		if err := again.cluster.HideErasedRows(t.Context()); err != nil { // as a server does before anybody is let in
			t.Fatal(err)
		}
		for range 2 { // hidden at once, and then gone
			if got := again.contents(t); erased != 1 || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%d users were erased, and what came back is %q, want %q", erased, got, want)
			}
			if got := profiles(again); got != "p\nbob\n" {
				t.Errorf("profiles came back as %q", got)
			}
			if err := again.cluster.ResumeErasures(t.Context(), time.Now); err != nil {
				t.Fatal(err)
			}
		}
		if e := again.cluster.Catalog().Erasures; len(e) != 1 || e[0].State != catalog.ErasureDone || e[0].Removed[0] != 3 || e[0].Rows != 1 {
			t.Errorf("erasures %+v", e)
		}
	}
}

// TestWorstDay plants a bug in the indexer, with the proof of new files turned
// off, that destroys most of the current day; the trash is emptied before anybody
// looks. The scrub finds it, and the backup of before and the siphon's copies give
// back exactly what was accepted, up to the last request, and nothing twice.
func TestWorstDay(t *testing.T) {
	faults := &engine.Faults{}
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}, {Name: "b", Bucket: memblob.OpenBucket(nil)}}
	s := openDay(t, vfs.NewMem(), stores, faults)
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	post(t, s.url.String()+"/query", "root", "CREATE TABLE shop.plans (id INT PRIMARY KEY, name VARCHAR(9), KEY (name))")
	post(t, s.url.String()+"/query", "root", "INSERT INTO shop.plans VALUES (1, 'free'), (2, 'pro')")
	project, _ := s.cluster.Catalog().Project("shop")

	copies := vfs.NewMem()
	edge, err := siphon.New(siphon.Options{Upstreams: []*url.URL{s.url}, FS: copies, Dir: "siphon", Key: worstDayKey, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(edge)
	defer front.Close()
	requests := 0
	send := func(n int) {
		for range n {
			requests++
			now := time.Now().UnixMilli()
			var events []string
			for i := range 20 {
				insertID := fmt.Sprintf(`,"$insert_id":"i%d-%d"`, requests/2, i) // each comes twice
				if i == 0 {
					insertID = "" // or cannot be told from others
				}
				events = append(events, fmt.Sprintf(`{"event":"buy","properties":{"time":%d,"distinct_id":"u%d","n":%d%s}}`, now, i, requests/2, insertID))
			}
			post(t, front.URL+"/import", project.Token, "["+strings.Join(events, ",")+"]")
		}
	}
	index := func(closeDays bool) {
		if err := s.engine.Index(t.Context(), 0, closeDays); err != nil {
			t.Fatal(err)
		}
	}
	send(10)
	index(false)
	send(5)
	made, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{backupSource{s.engine, s.cluster.Tables}}, Stores: stores})
	if err != nil {
		t.Fatal(err)
	}
	post(t, s.url.String()+"/query", "root", "DELETE FROM shop.plans")
	send(10)
	index(false)
	send(5)
	index(false)
	want := s.contents(t)

	faults.Overwrite, faults.Unproven = true, true
	index(true)
	post(t, s.url.String()+"/query", "root", "CALL arbor.set_setting('trash_retention', '0s')")
	if err := s.engine.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := s.contents(t); len(left) >= len(want) || len(want) != 600 {
		t.Fatalf("%d of %d events are left: nothing was destroyed", len(left), len(want))
	}
	if alarms := post(t, s.url.String()+"/query?format=csv", "root", "SELECT kind FROM arbor.alarms"); strings.Contains(alarms, "damage") {
		t.Fatalf("the fault was found before anybody looked: %s", alarms)
	}
	if err := s.engine.Scrub(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if alarms := post(t, s.url.String()+"/query?format=csv", "root", "SELECT kind FROM arbor.alarms"); !strings.Contains(alarms, "damage") {
		t.Fatalf("the scrub found nothing: %s", alarms)
	}
	loss := post(t, s.url.String()+"/query?format=csv", "root", "SELECT store, backup, backup_events FROM arbor.loss ORDER BY store")
	if visible := made.Manifest.Members[0].Shards[0].Visible; !strings.HasSuffix(loss, fmt.Sprintf("\na,%s,%d\nb,%s,%d\n", made.ID, visible, made.ID, visible)) {
		t.Errorf("arbor.loss says %s", loss)
	}
	send(3) // events are taken in all the same
	front.Close()
	if err := edge.Close(); err != nil {
		t.Fatal(err)
	}

	disk := vfs.NewMem()
	restored, err := backup.Restore(t.Context(), backup.RestoreOptions{Stores: stores, ID: made.ID, FS: disk, Dir: "data", WriteCatalog: cluster.WriteCatalog, WriteTables: cluster.WriteTables})
	if err != nil {
		t.Fatal(err)
	}
	again := openDay(t, disk, stores, nil)
	if n := len(again.contents(t)); n != 300 {
		t.Errorf("%d events are in the backup, want 300", n)
	}
	if plans := post(t, again.url.String()+"/query?format=csv", "root", "SELECT id, name FROM shop.plans ORDER BY id"); plans != "id,name\n1,free\n2,pro\n" {
		t.Errorf("the table in the backup has %q", plans)
	}
	for round := range 2 {
		_, err := siphon.Replay(context.Background(), siphon.ReplayOptions{
			Source: siphon.Directory(copies, "siphon"), Server: again.url, Key: worstDayKey, From: restored.Manifest.ReplayFrom,
		})
		if err != nil {
			t.Fatal(err)
		}
		got := again.contents(t)
		if len(got) != len(want)+60 {
			t.Fatalf("%d events after replay %d, want %d", len(got), round+1, len(want)+60)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("event %d after replay %d is %s, and was %s", i, round+1, got[i], want[i])
			}
		}
		if err := again.engine.Index(t.Context(), 0, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := again.engine.Scrub(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if alarms := strings.TrimSpace(post(t, again.url.String()+"/query?format=csv", "root", "SELECT kind, message FROM arbor.alarms")); strings.Count(alarms, "\n") > 0 {
		t.Errorf("alarms after all is back: %s", alarms)
	}
}
