package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob/s3blob"

	"arbor/engine/filesum"
)

// faultyS3 is an S3 server of its own, whose requests can be made to fail.
type faultyS3 struct {
	*Store
	backend *s3mem.Backend

	mu       sync.Mutex // guards what follows
	requests int
	// fault is asked before each request; the answer of one that it gives a status
	// for is that status.
	fault func(n int, r *http.Request) (status int)
	// broken are uploads, by their numbers, that do not come to their end.
	broken map[int]breakage
	puts   int
}

// breakage is what becomes of an upload.
type breakage int

const (
	hangs breakage = iota + 1 // it is never answered
	drops                     // its connection ends after half of it
)

// breaks does to an upload what is to become of it, and reports whether that was its end.
func (f *faultyS3) breaks(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		return false
	}
	f.mu.Lock()
	f.puts++
	how := f.broken[f.puts]
	f.mu.Unlock()
	switch how {
	case hangs:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	case drops:
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
		return true
	}
	return false
}

const testBucket = "copies"

// newS3 starts an S3 server over a backend in memory; nil makes a new one.
func newS3(t testing.TB, backend *s3mem.Backend) *faultyS3 {
	t.Helper()
	if backend == nil {
		backend = s3mem.New()
		if err := backend.CreateBucket(testBucket); err != nil {
			t.Fatal(err)
		}
	}
	f := &faultyS3{backend: backend}
	inner := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.StdLog(log.New(io.Discard, "", 0)))).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.breaks(w, r) {
			return
		}
		if status := f.ask(r); status != 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := s3.New(s3.Options{
		Region: "here", BaseEndpoint: aws.String(u.String()), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	bucket, err := s3blob.OpenBucket(context.Background(), client, testBucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	f.Store = &Store{Name: "s3://" + testBucket, Bucket: bucket, Pause: func(ctx context.Context, _ int) error { return ctx.Err() }}
	return f
}

func (f *faultyS3) ask(r *http.Request) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.fault == nil {
		return 0
	}
	return f.fault(f.requests, r)
}

func (f *faultyS3) inject(fault func(n int, r *http.Request) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests, f.fault = 0, fault
}

// down answers nothing any more.
func (f *faultyS3) down() {
	f.inject(func(int, *http.Request) int { return http.StatusServiceUnavailable })
}

// overwrite changes an object behind the store's back.
func (f *faultyS3) overwrite(t testing.TB, key string, change func([]byte) []byte) {
	t.Helper()
	o, err := f.backend.GetObject(testBucket, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(o.Contents)
	if err != nil {
		t.Fatal(err)
	}
	content = change(content)
	if _, err := f.backend.PutObject(testBucket, key, map[string]string{}, bytes.NewReader(content), int64(len(content)), nil); err != nil {
		t.Fatal(err)
	}
}

func (f *faultyS3) remove(t testing.TB, key string) {
	t.Helper()
	if _, err := f.backend.DeleteObject(testBucket, key); err != nil {
		t.Fatal(err)
	}
}

// fakeMember is a member of a few files in memory.
type fakeMember struct {
	name    string
	at      time.Time
	catalog string
	shards  map[ShardID]map[string]string // files by path
	log     map[string]string
	damaged []Damage
	cluster bool
	checked int
	noQuick bool // it tells hashes alone
	// spoilt makes the content of a file differ from what was hashed.
	held int
}

func newFakeMember(name string) *fakeMember {
	m := &fakeMember{name: name, at: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), catalog: "the catalog", shards: map[ShardID]map[string]string{}, log: map[string]string{}}
	for day := range 3 {
		id := ShardID{Project: 1, Day: fmt.Sprintf("2026-01-%02d", 13+day)}
		m.shards[id] = map[string]string{}
		for i := range 2 {
			path := fmt.Sprintf("shards/%s/000000000000000%d-0000000%d.idx", id, i+1, i)
			m.shards[id][path] = strings.Repeat(fmt.Sprintf("%s file %d of %s\n", name, i, id), 50)
		}
	}
	m.log["log/0000000001.log"] = "what is logged"
	return m
}

func (m *fakeMember) Cuts(context.Context, *Manifest) ([]*Cut, error) {
	m.held++
	c := &Cut{Member: m.name, At: m.at, Catalog: []byte(m.catalog), CatalogVersion: 3, Damaged: m.damaged, Cluster: m.cluster, Release: func() { m.held-- }}
	for id, files := range m.shards {
		s := CutShard{ShardID: id, Reckon: func(context.Context) (Total, error) {
			return Total{Records: uint64(len(files)), Visible: int64(len(files)), Digest: id.String()}, nil
		}}
		for path, content := range files {
			s.Files = append(s.Files, m.file(path, content, true))
		}
		c.Shards = append(c.Shards, s)
	}
	for path, content := range m.log {
		c.Log = append(c.Log, m.file(path, content, false))
	}
	return []*Cut{c}, nil
}

var errSpoilt = errors.New("spoilt")

func (m *fakeMember) file(path, content string, immutable bool) CutFile {
	f := CutFile{File: File{Path: path, Size: int64(len(content)), Rows: 1, Digest: "d"}, Immutable: immutable, Content: func() io.Reader { return strings.NewReader(content) }}
	f.Sum = func(ctx context.Context, pace func(int) error) (filesum.Sums, error) {
		m.checked++
		if strings.Contains(content, "spoilt") {
			return filesum.Sums{}, errSpoilt
		}
		sums, _, err := filesum.Of(f.Content())
		if m.noQuick {
			sums.Quick = ""
		}
		return sums, errors.Join(err, pace(len(content)))
	}
	return f
}
