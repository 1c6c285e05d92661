// Package erase tests that a user who was erased is nowhere any more.
package erase

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/appendlog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
	"arbor/gateway"
)

var quiet = slog.New(slog.DiscardHandler)

// Who is erased, what only that user's events hold, and who stays.
const (
	user   = "erasable-7f3a91c2d84e"
	secret = "secret-5be0cd19137e2179"
	other  = "somebody-else"
)

var start = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// clock stands long after all segments of the log began, so that they are old enough to end.
func clock() time.Time { return time.Date(2126, 1, 15, 12, 0, 0, 0, time.UTC) }

// world is a member that is alone: metadata and an engine over one file system.
type world struct {
	fs       vfs.FS
	metadata *cluster.Metadata
	engine   *engine.Engine
	cluster  *cluster.Cluster
	gateway  *gateway.Gateway
}

func openWorld(fs vfs.FS) (w *world, err error) {
	w = &world{fs: fs}
	if w.metadata, err = cluster.OpenMetadata(fs, "data/catalog", quiet); err != nil {
		return nil, err
	}
	w.engine, err = engine.Open(context.Background(), engine.Options{FS: fs, Dir: "data", Catalog: w.metadata.Catalog(), Logger: quiet, Now: clock, Manual: true})
	if err != nil {
		return nil, errors.Join(err, w.metadata.Close())
	}
	w.cluster = cluster.New(w.metadata, w.engine)
	w.gateway = gateway.New(gateway.Options{Cluster: w.cluster, Logger: quiet, Now: clock})
	return w, nil
}

func (w *world) close() error {
	return errors.Join(w.gateway.Close(), w.cluster.Close(), w.engine.Close(), w.metadata.Close())
}

// record is a request of some events of a day.
func record(t testing.TB, request, day, bucket int, events ...event.Event) []byte {
	t.Helper()
	b := &event.Batch{Shard: catalog.ShardKey{Project: 1, Day: catalog.DayOf(start.UnixMicro()) - catalog.Day(day), Bucket: uint16(bucket)}}
	for i, e := range events {
		e.ID = catalog.IngestID{Time: uint64(start.UnixNano()) + uint64(request), Edge: 1, Index: uint32(i)}
		e.Time = b.Shard.Day.Start() + int64(request)*1000
		b.Events = append(b.Events, e)
	}
	rec, err := event.AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func of(distinctID, insertID, value string) event.Event {
	return event.Event{Name: "click", DistinctID: distinctID, InsertID: insertID, Properties: []event.Property{{Name: "word", Value: catalog.String(value)}}}
}

func bucketOf(distinctID string) int { return int(catalog.UserBucket(distinctID, "", 2)) }

// fill takes in events of both users on two days: in files, in files that were merged and
// are in the trash, retired segments, and in the log. It gives the records.
func fill(t testing.TB, w *world) (records [][]byte) {
	t.Helper()
	ctx := context.Background()
	if _, err := w.cluster.Change(ctx, catalog.CreateProject{Name: "shop", Buckets: 2, Token: "t", Secret: "s"}); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{user, other, user} {
		w.engage(t, who, map[string]any{"word": secret[:7] + who})
	}
	mine, theirs := bucketOf(user), bucketOf(other)
	add := func(some ...[]byte) {
		t.Helper()
		if err := w.cluster.Append(ctx, some); err != nil {
			t.Fatal(err)
		}
		records = append(records, some...)
	}
	index := func(closeDays bool) {
		t.Helper()
		if err := w.cluster.Index(ctx, 1, closeDays); err != nil {
			t.Fatal(err)
		}
	}
	neighbour := ""
	for i := 0; ; i++ { // one who shares the bucket
		if neighbour = fmt.Sprint("neighbour-", i); bucketOf(neighbour) == mine {
			break
		}
	}
	for day := range 2 {
		add(record(t, 10*day+1, day, mine, of(user, "i1", secret), of(neighbour, "i1", "kept"), of(user, "i2", secret)))
		add(record(t, 10*day+2, day, theirs, of(other, "i1", "kept")))
		index(false)
		add(record(t, 10*day+3, day, mine, of(user, "i1", secret), of(user, "", secret+"-conflict"), of(neighbour, "i2", "kept")))
		index(true)
	}
	add(record(t, 100, 0, mine, of(user, "i9", secret), of(neighbour, "i1", "kept")))
	index(false)
	add(record(t, 101, 0, mine, of(user, "i8", secret)))
	add(record(t, 102, 0, theirs, of(other, "i9", "kept"), of(other, "i1", "another")))
	return records
}

// engage updates a profile.
func (w *world) engage(t testing.TB, who string, properties map[string]any) {
	t.Helper()
	body, err := json.Marshal([]any{map[string]any{"$token": "t", "$distinct_id": who, "$set": properties}})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	w.gateway.HTTPHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/engage", bytes.NewReader(body)))
	if answer.Code != http.StatusOK {
		t.Fatalf("/engage answers %d: %s", answer.Code, answer.Body)
	}
}

// profiles are the users that have one.
func (w *world) profiles(t testing.TB) (users []string) {
	t.Helper()
	people, ok := w.cluster.Tables().Table(1, "people")
	if !ok {
		t.Fatal("there are no profiles")
	}
	for _, row := range people.Seek([]byte("r")) {
		for _, who := range []string{user, other} {
			if bytes.Contains(row, []byte(who)) {
				users = append(users, who)
			}
		}
	}
	return users
}

// asKey is how a text stands in keys of rows: four bytes a character, and zeros marked.
func asKey(text string) []byte {
	return []byte(strings.Join(strings.Split(text, ""), "\x00\xff\x00\xff\x00\xff"))
}

const (
	storedOfUser = 10
	// erasureTime is after all that fill takes in.
	erasureTime = 1000
)

func erasure(w *world) catalog.BeginErasure {
	b := catalog.BeginErasure{Project: 1, Bucket: uint16(bucketOf(user)), Key: catalog.EraseKey{1, 2, 3},
		ID: catalog.IngestID{Time: uint64(start.UnixNano()) + erasureTime, Edge: 1}}
	b.User = b.Key.HashUser(1, user)
	return b
}

// seen are the events that a query shows, of all copies or not.
func (w *world) seen(t testing.TB, copies bool) (ofUser, others []string) {
	t.Helper()
	f := &exec.Fragment{Project: 1, Copies: copies, Columns: []exec.Column{
		{Source: exec.SourceDistinctID, Type: catalog.TypeString}, {Source: exec.SourceInsertID, Type: catalog.TypeString},
		{Source: exec.SourceProperty, Property: "word", Type: catalog.TypeString}, {Source: exec.SourceTime, Type: catalog.TypeDatetime},
	}}
	_, err := w.cluster.Scan(context.Background(), f, func(b *exec.Batch) error {
		for i := range b.Rows {
			row := ""
			for _, c := range b.Columns {
				row += c.ValueStr(i) + " "
			}
			if strings.HasPrefix(row, user) {
				ofUser = append(ofUser, row)
			} else {
				others = append(others, row)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ofUser)
	slices.Sort(others)
	return ofUser, others
}

// files are all files below a directory, by path.
func files(t testing.TB, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		if sub, ok := strings.CutSuffix(name, "/"); ok {
			for p, b := range files(t, fs, path.Join(dir, sub)) {
				all[p] = b
			}
			continue
		}
		f, err := fs.Open(path.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		all[path.Join(dir, name)] = b
	}
	return all
}

// holders are the files that hold something of the user: in their bytes, or in their rows
// or records once they are decoded.
func holders(t testing.TB, fs vfs.FS) (found []string) {
	t.Helper()
	for name, b := range files(t, fs, "data") {
		if bytes.Contains(b, []byte(user)) || bytes.Contains(b, asKey(user)) || bytes.Contains(b, []byte(secret)) || decodes(t, fs, name, b) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func decodes(t testing.TB, fs vfs.FS, name string, b []byte) (found bool) {
	t.Helper()
	is := func(e *event.Event) {
		found = found || e.DistinctID == user || slices.ContainsFunc(e.Properties, func(p event.Property) bool { return strings.Contains(p.Value.Text, secret) })
	}
	switch {
	case strings.HasSuffix(name, ".idx"):
		r, err := indexfile.Open(fs, name)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i := range r.Rows() {
			var row indexfile.Row
			if err := r.Row(i, &row); err != nil {
				t.Fatal(err)
			}
			is((*event.Event)(&row))
		}
	case strings.HasSuffix(name, ".log") && (strings.HasPrefix(name, "data/log/") || strings.Contains(name, ",log/")):
		alone := vfs.NewMem()
		if err := alone.MkdirAll("log"); err != nil {
			t.Fatal(err)
		}
		f, err := alone.Create(path.Join("log", path.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		f.Close()
		l, err := appendlog.Open(appendlog.Options{FS: alone, Dir: "log", Logger: quiet}, func(_ appendlog.Position, payload []byte) error {
			var batch event.Batch
			if err := event.DecodeBatch(payload, &batch); err != nil {
				return err
			}
			for i := range batch.Events {
				is(&batch.Events[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	return found
}
