package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"arbor/backup"
	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/gateway"
	"arbor/sqltests/stack"
)

// restoreTarget is a running server or cluster that a test restores into.
type restoreTarget struct {
	url string
	csv func(statement string) string
}

func (s *dayServer) target(t *testing.T) restoreTarget {
	return restoreTarget{s.url.String(), func(statement string) string {
		t.Helper()
		return post(t, s.url.String()+"/query?format=csv&null=%5CN", "root", statement)
	}}
}

func memberTarget(t *testing.T, m *stack.GroupMember) restoreTarget {
	server := httptest.NewServer(m.Handler())
	t.Cleanup(server.Close)
	return restoreTarget{server.URL, func(statement string) string {
		t.Helper()
		return post(t, server.URL+"/query?format=csv&null=%5CN", "root", statement)
	}}
}

// stored are all copies of a project's events with all that they are, but for the
// project.
func (s restoreTarget) stored(project, where string) []string {
	text := s.csv("SELECT _ingest_id, event, time, distinct_id, insert_id, properties, _duplicate, _dup_of, _dup_kind FROM " + project + ".events_all WHERE " + where + " ORDER BY _ingest_id")
	return strings.Split(strings.TrimSpace(text), "\n")[1:]
}

// backedUp makes a backup of a server.
func backedUp(t *testing.T, s *dayServer, stores []*backup.Store) backup.Result {
	t.Helper()
	made, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{backupSource{s.engine, s.cluster.Tables}}, Stores: stores})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// restoreInto runs a restore as the command does, and gives what it said.
func restoreInto(t *testing.T, to restoreTarget, stores []*backup.Store, id, days string, o intoOptions) (*intoRestore, string, error) {
	t.Helper()
	var out strings.Builder
	o.out, o.scratch = &out, t.TempDir()
	part, err := newRestorePart(t.Context(), backup.RestoreOptions{Stores: stores, ID: id}, true)
	if err != nil {
		t.Fatal(err)
	}
	if part.first, part.last, err = parseDays(days); err != nil {
		t.Fatal(err)
	}
	r := &intoRestore{o: o, quiet: true, part: part, server: &restoreServer{url: to.url, user: "root", client: http.DefaultClient}}
	done, err := r.run(t.Context())
	if e := part.close(done); e != nil {
		t.Error(e)
	}
	return r, out.String(), err
}

// shopServer is a server with a shop: events of three days, copies, conflicts and events
// without insert ids among them, in files and in the log, and a delete.
func shopServer(t *testing.T, stores []*backup.Store) *dayServer {
	t.Helper()
	s := openDay(t, vfs.NewMem(), stores, nil)
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	post(t, s.url.String()+"/query", "root", "ALTER TABLE shop.events ADD COLUMN price DECIMAL(9,2)")
	post(t, s.url.String()+"/query?database=shop", "root", "CREATE VIEW dear AS SELECT * FROM events WHERE price > 5")
	s.buy(t, 0, 60)
	if err := s.engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	s.buy(t, 40, 90)
	post(t, s.url.String()+"/query", "root", "DELETE FROM shop.events WHERE insert_id = 'i8'")
	return s
}

// buy sends the numbered events: number n is on day n%3, and every fifth has no insert id.
func (s *dayServer) buy(t *testing.T, from, to int) {
	t.Helper()
	project, _ := s.cluster.Catalog().Project("shop")
	var events []string
	for n := from; n < to; n++ {
		insertID := fmt.Sprintf(`,"$insert_id":"i%d"`, n)
		if n%5 == 0 {
			insertID = ""
		}
		events = append(events, fmt.Sprintf(`{"event":"buy","properties":{"time":%d,"distinct_id":"u%d","price":%d.5,"tags":["a",%d]%s}}`, restoreDay+86400*(n%3), n%7, n%11+from%2, n, insertID))
	}
	post(t, s.url.String()+"/import", project.Token, "["+strings.Join(events, ",")+"]")
}

// restoreDay is within 2026-01-13, the first of the shop's days.
const restoreDay = 1768300000

const secondDay = "time >= '2026-01-14' AND time < '2026-01-15'"

// intoTargets are what the tests restore into: a process that is alone, and three members
// with two copies of each event.
func intoTargets(t *testing.T, test func(t *testing.T, to restoreTarget)) {
	t.Run("alone", func(t *testing.T) { test(t, openDay(t, vfs.NewMem(), nil, nil).target(t)) })
	t.Run("members", func(t *testing.T) {
		g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 2, Slots: 4, Gateway: func(o *gateway.Options) { o.Now = time.Now }})
		test(t, memberTarget(t, g.Members[1]))
	})
}

// TestRestoreBeside: a day comes back into a project beside with all copies, their order,
// columns and views, and nothing else; without a token; and twice is once.
func TestRestoreBeside(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	made := backedUp(t, s, stores)
	want, all := s.target(t).stored("shop", secondDay), s.target(t).stored("shop", "TRUE")
	dear := s.target(t).csv("SELECT COUNT(*), MAX(price) FROM shop.dear WHERE " + secondDay)
	s.buy(t, 90, 99) // after the backup
	intoTargets(t, func(t *testing.T, to restoreTarget) {
		for range 2 {
			r, said, err := restoreInto(t, to, stores, made.ID, "2026-01-14", intoOptions{projects: []string{"shop"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := to.stored("shop_restored", "TRUE"); !slices.Equal(got, want) || len(want) != 37 {
				t.Fatalf("%d events came back of %d: %s", len(got), len(want), said)
			}
			if d := r.plans[0].days; len(d) != 1 || d[0].missing != 0 || d[0].more != 0 {
				t.Errorf("after it: %+v", d[0])
			}
		}
		if token := to.csv("SELECT token, secret FROM arbor.projects WHERE name = 'shop_restored'"); token != "token,secret\n\"\",\"\"\n" {
			t.Errorf("token and secret are %q", token)
		}
		if got := to.csv("SELECT COUNT(*), MAX(price) FROM shop_restored.dear"); got != dear {
			t.Errorf("the view gives %q, want %q", got, dear)
		}
		// The whole of it, under another name: its digests are those of the shop.
		if _, _, err := restoreInto(t, to, stores, made.ID, "", intoOptions{projects: []string{"shop"}, into: "again"}); err != nil {
			t.Fatal(err)
		}
		if got := to.stored("again", "TRUE"); !slices.Equal(got, all) {
			t.Errorf("%d events came back of %d", len(got), len(all))
		}
		_, said, err := restoreInto(t, to, stores, made.ID, "", intoOptions{projects: []string{"shop"}, into: "again", dryRun: true})
		if err != nil || strings.Count(said, "\n") != 5 {
			t.Errorf("a dry run of what is there says %s, %v", said, err)
		}
		// A project that was dropped is made again, under its own name.
		if _, _, err := restoreInto(t, to, stores, made.ID, "", intoOptions{projects: []string{"shop"}, into: "shop"}); err != nil {
			t.Fatal(err)
		}
		if got := to.stored("shop", "TRUE"); !slices.Equal(got, all) {
			t.Errorf("%d events came back of %d into a project that was not there", len(got), len(all))
		}
		to.csv("CREATE DATABASE taken")
		if _, _, err := restoreInto(t, to, stores, made.ID, "", intoOptions{projects: []string{"shop"}, into: "taken"}); err == nil || !strings.Contains(err.Error(), "takes events by itself") {
			t.Errorf("into a project that takes events: %v", err)
		}
	})
}

// TestRestoreInPlace: what a server lost of a day is added to it while events come in, and
// what it has besides stays; what was deleted stays deleted, until that is undone.
func TestRestoreInPlace(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	made := backedUp(t, s, stores)
	want := s.target(t).stored("shop", "TRUE")
	intoTargets(t, func(t *testing.T, to restoreTarget) {
		if _, _, err := restoreInto(t, to, stores, made.ID, "", intoOptions{projects: []string{"shop"}, inPlace: true, yes: true}); err == nil || !strings.Contains(err.Error(), "--into shop makes it again") {
			t.Errorf("in place of a project that is not there: %v", err)
		}
		// A cluster with another number of user buckets, which has one of the days.
		to.csv("CREATE DATABASE shop")
		token := strings.Fields(to.csv("SELECT token FROM arbor.projects WHERE name = 'shop'"))[1]
		in := intoOptions{projects: []string{"shop"}, inPlace: true, yes: true}
		if _, _, err := restoreInto(t, to, stores, made.ID, "2026-01-13", in); err != nil {
			t.Fatal(err)
		}
		if got, first := to.stored("shop", "TRUE"), to.stored("shop", "time < '2026-01-14'"); len(got) == 0 || len(got) != len(first) {
			t.Fatalf("%d events, %d of the first day", len(got), len(first))
		}
		// The wrong delete, and events that go on coming in.
		to.csv("DELETE FROM shop.events WHERE time < '2026-01-14'")
		if _, said, err := restoreInto(t, to, stores, made.ID, "", intoOptions{projects: []string{"shop"}, inPlace: true}); err != errUnchanged || !strings.Contains(said, "were deleted here and stay so") {
			t.Errorf("without --yes: %v: %s", err, said)
		}
		if got := to.stored("shop", "TRUE"); len(got) != 0 {
			t.Errorf("%d events after a look", len(got))
		}
		var ingest sync.WaitGroup
		sent, stop := 0, make(chan struct{})
		ingest.Go(func() {
			for ; ; sent++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf(`[{"event":"new","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"new%d"}}]`, restoreDay+86400*(sent%3), sent%7, sent)
				r, _ := http.NewRequest(http.MethodPost, to.url+"/import", strings.NewReader(body))
				r.SetBasicAuth(token, "")
				res, err := http.DefaultClient.Do(r)
				if err != nil || res.StatusCode != http.StatusOK {
					t.Errorf("import: %v %v", res, err)
					return
				}
				res.Body.Close()
			}
		})
		r, _, err := restoreInto(t, to, stores, made.ID, "", in)
		close(stop)
		ingest.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if d := r.plans[0].days; d[0].deleted == 0 || d[1].deleted != 0 {
			t.Errorf("the days: %+v %+v", d[0], d[1])
		}
		after := slices.DeleteFunc(slices.Clone(want), func(line string) bool { return strings.Contains(line, "2026-01-13") })
		if got := to.stored("shop", "event <> 'new'"); !slices.Equal(got, after) {
			t.Fatalf("%d events are there of %d", len(got), len(after))
		}
		id := strings.Fields(to.csv("SELECT DISTINCT id FROM arbor.deletes WHERE project = 'shop' AND undone = 0 ORDER BY id DESC LIMIT 1"))[1]
		to.csv("CALL arbor.undo_delete('" + id + "')")
		if got := to.stored("shop", "event <> 'new'"); !slices.Equal(got, want) {
			t.Fatalf("%d events after the undo, of %d", len(got), len(want))
		}
		if got := to.stored("shop", "event = 'new'"); len(got) != sent {
			t.Errorf("%d new events are there of %d", len(got), sent)
		}
		if balance := to.csv("SELECT SUM(accepted) - SUM(visible) - SUM(retry) - SUM(conflict) - SUM(deleted) - SUM(quarantined) - SUM(erased) FROM arbor.balance"); !strings.HasSuffix(balance, "\n0\n") {
			t.Errorf("the balance is off by %s", balance)
		}
	})
}

// TestRestoreLeavesOutErased: users who were erased do not come back, in place nor beside,
// whether the server or only a later backup knows of it.
func TestRestoreLeavesOutErased(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	made := backedUp(t, s, stores)
	post(t, s.url.String()+"/query", "root", "CALL arbor.erase_user('shop', 'u3')")
	want := s.target(t).stored("shop", "TRUE")
	for _, later := range []bool{false, true} {
		if later {
			backedUp(t, s, stores)
		}
		for _, o := range []intoOptions{{inPlace: true, yes: true}, {into: fmt.Sprintf("beside%v", later)}} {
			o.projects = []string{"shop"}
			if _, _, err := restoreInto(t, s.target(t), stores, made.ID, "", o); err != nil {
				t.Fatal(err)
			}
			if o.into == "" {
				o.into = "shop"
			}
			if got := s.target(t).stored(o.into, "TRUE"); !slices.Equal(got, want) {
				t.Errorf("%s: %d events, want %d", o.into, len(got), len(want))
			}
		}
	}
	other := openDay(t, vfs.NewMem(), nil, nil).target(t)
	if _, said, err := restoreInto(t, other, stores, made.ID, "", intoOptions{projects: []string{"shop"}}); err != nil || !strings.Contains(said, "1 users were erased") {
		t.Fatal(said, err)
	}
	if got := other.stored("shop_restored", "TRUE"); !slices.Equal(got, want) {
		t.Errorf("elsewhere: %d events, want %d", len(got), len(want))
	}
}

// TestRestoreKeepsOtherContent: an event that is there with other content under its id
// stays as it is, and is told.
func TestRestoreKeepsOtherContent(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	made := backedUp(t, s, stores)
	project, _ := s.cluster.Catalog().Project("shop")
	to := openDay(t, vfs.NewMem(), nil, nil)
	to.target(t).csv("CREATE DATABASE shop")
	var changed event.Event
	for _, k := range s.engine.ShardsOf(project.ID) {
		err := s.engine.Records(t.Context(), k, func(b *event.Batch) error {
			for _, e := range b.Events {
				if e.InsertID == "i7" {
					changed = e
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	changed.Properties = []event.Property{{Name: "price", Value: catalog.Int(1)}}
	here, _ := to.cluster.Catalog().Project("shop")
	record, err := event.AppendBatch(nil, &event.Batch{Shard: here.Shard(changed.Time, changed.DistinctID, changed.InsertID), Events: []event.Event{changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.cluster.Append(t.Context(), [][]byte{record}); err != nil {
		t.Fatal(err)
	}
	_, said, err := restoreInto(t, to.target(t), stores, made.ID, "", intoOptions{projects: []string{"shop"}, inPlace: true, yes: true})
	if err != nil || !strings.Contains(said, "2026-01-14: 1 events are here with other content") {
		t.Errorf("%s, %v", said, err)
	}
	if n := to.target(t).csv("SELECT COUNT(*) FROM shop.events_all WHERE insert_id = 'i7' AND price = 1"); n != "COUNT(*)\n1\n" {
		t.Errorf("the event that was there: %s", n)
	}
}

// TestRestoreIsResumed: a restore that is broken off in any request goes on, and in the end
// everything is there once.
func TestRestoreIsResumed(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	made := backedUp(t, s, stores)
	want := s.target(t).stored("shop", "TRUE")
	live := openDay(t, vfs.NewMem(), nil, nil)
	for breakAt := 0; ; breakAt++ {
		ctx, cancel := context.WithCancel(t.Context())
		requests, lost := 0, false
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if requests++; requests > breakAt {
				if lost = true; requests%2 == 0 { // what was asked is done, and nobody hears of it
					forward(live.url.String(), r, body)
				}
				cancel()
				panic(http.ErrAbortHandler)
			}
			res := forward(live.url.String(), r, body)
			defer res.Body.Close()
			w.WriteHeader(res.StatusCode)
			_, _ = io.Copy(w, res.Body)
		}))
		part, err := newRestorePart(t.Context(), backup.RestoreOptions{Stores: stores, ID: made.ID}, true)
		if err != nil {
			t.Fatal(err)
		}
		part.first, part.last, _ = parseDays("")
		r := &intoRestore{o: intoOptions{projects: []string{"shop"}, out: io.Discard, scratch: t.TempDir()}, quiet: true, part: part,
			server: &restoreServer{url: front.URL, user: "root", client: http.DefaultClient}}
		done, err := r.run(ctx)
		cancel()
		if e := part.close(done); e != nil {
			t.Error(e)
		}
		front.Close()
		if err == nil {
			if lost || breakAt < 5 {
				t.Errorf("a restore succeeded with %d of its requests", breakAt)
			}
			break
		}
	}
	if got := live.target(t).stored("shop_restored", "TRUE"); !slices.Equal(got, want) {
		t.Errorf("%d events came back of %d", len(got), len(want))
	}
	if n := live.target(t).csv("SELECT SUM(records) FROM arbor.digests"); n != s.target(t).csv("SELECT SUM(records) FROM arbor.digests") {
		t.Errorf("%s records", n)
	}
}

func forward(to string, r *http.Request, body []byte) *http.Response {
	req, _ := http.NewRequest(r.Method, to+r.URL.RequestURI(), strings.NewReader(string(body)))
	req.Header = r.Header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	return res
}

// TestRestoreIntoIsRefused: who may not restore, and what makes no sense.
func TestRestoreIntoIsRefused(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	made := backedUp(t, s, stores)
	to := s.target(t)
	project, _ := s.cluster.Catalog().Project("shop")
	to.csv("CREATE USER reader@localhost IDENTIFIED BY 'secret'")
	to.csv("GRANT SELECT, INSERT ON shop.* TO reader@localhost")
	for _, test := range []struct {
		method, path, user, password string
		body                         string
		status                       int
	}{
		{"GET", "/restore/records?project=shop&day=2026-01-14", "root", "", "", 200},
		{"GET", "/restore/records?project=shop&day=2026-01-14", "", "", "", 401},
		{"GET", "/restore/records?project=shop&day=2026-01-14", "reader", "secret", "", 403},
		{"GET", "/restore/records?project=shop&day=2026-01-14", "reader", "wrong", "", 401},
		{"GET", "/restore/records?project=shop&day=2026-01-14", project.Token, "", "", 401},
		{"GET", "/restore/records?project=shop&day=2026-01-14", project.Secret, "", "", 401},
		{"GET", "/restore/records?project=shop&day=today", "root", "", "", 400},
		{"GET", "/restore/records?project=none&day=2026-01-14", "root", "", "", 404},
		{"GET", "/restore/records?day=2026-01-14", "root", "", "", 400},
		{"PUT", "/restore/records?project=shop", "root", "", "", 405},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1", "reader", "secret", "", 403},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1", "root", "", "", 200},
		{"POST", "/restore/records?project=shop&of=shop&buckets=0", "root", "", "", 400},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1025", "root", "", "", 400},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1", "root", "", "\x05abc", 400},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1", "root", "", "\x03abc", 400},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1", "root", "", aheadRecord(t, 47*time.Hour), 200},
		{"POST", "/restore/records?project=shop&of=shop&buckets=1", "root", "", aheadRecord(t, 49*time.Hour), 400},
		{"POST", "/restore/project?project=x&of=shop", "root", "", "abc", 400},
		{"POST", "/restore/project?project=x&of=none", "root", "", string(s.cluster.Catalog().Encode()), 400},
		{"POST", "/restore/project?project=mysql&of=shop", "root", "", string(s.cluster.Catalog().Encode()), 400},
		{"POST", "/restore/project?project=shop&of=shop", "root", "", string(s.cluster.Catalog().Encode()), 409},
		{"POST", "/restore/project?project=x&of=shop", "reader", "secret", string(s.cluster.Catalog().Encode()), 403},
	} {
		r, err := http.NewRequest(test.method, to.url+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		if test.user != "" {
			r.SetBasicAuth(test.user, test.password)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != test.status {
			t.Errorf("%s %s as %q: %d %q, want %d", test.method, test.path, test.user, res.StatusCode, text[:min(len(text), 200)], test.status)
		}
	}
	for days, o := range map[string]intoOptions{
		"no such project \"none\"|": {projects: []string{"none"}},
		"has nothing of|2020-01-01": {projects: []string{"shop"}},
		"is the project itself|":    {projects: []string{"shop"}, into: "shop"},
		"|2026-01-13":               {projects: []string{"shop"}},
	} {
		text, days, _ := strings.Cut(days, "|")
		if strings.HasPrefix(text, "no such") {
			text = "no such project"
		}
		_, _, err := restoreInto(t, to, stores, made.ID, days, o)
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q", o, err, text)
		}
	}
	for _, bad := range []intoOptions{{inPlace: true, into: "x"}, {into: "x"}, {into: "x", projects: []string{"a", "b"}}} {
		if bad.check() == nil {
			t.Errorf("%+v goes together", bad)
		}
	}
	for _, bad := range []string{"x", "2026-01-02..2026-01-01", "2026-01-02..", "2026-02-30"} {
		if _, _, err := parseDays(bad); err == nil {
			t.Errorf("--days %q is taken", bad)
		}
	}
}

// aheadRecord is a delete of an id that is ahead of the clock.
func aheadRecord(t *testing.T, by time.Duration) string {
	t.Helper()
	id := catalog.IngestID{Time: uint64(time.Now().Add(by).UnixNano()), Edge: 1}
	record, err := event.AppendBatch(nil, &event.Batch{Shard: catalog.ShardKey{Project: 1, Day: 20466}, Deletes: []event.Delete{{ID: id, Targets: []catalog.IngestID{{Time: 1}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(record) > 127 {
		t.Fatal(len(record))
	}
	return string(append([]byte{byte(len(record))}, record...))
}
