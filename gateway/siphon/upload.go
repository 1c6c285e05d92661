package siphon

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// BucketPrefix is where segments are in a bucket.
const BucketPrefix = "siphon/"

// Limits of an upload.
const (
	uploadTimeout = 10 * time.Minute
	// uploadRetry is how long it waits after a failure.
	uploadRetry = 10 * time.Second
	// uploadPart is what a large segment is uploaded in.
	uploadPart = 8 << 20
)

// uploader copies sealed segments to the bucket. The spool keeps them all the
// same, until their time has come: a bucket can be wrong too.
type uploader struct {
	o     Options
	spool *spool
	// there are the segments known to be in the bucket; only run uses it.
	there                     map[string]bool
	ctx                       context.Context
	stop                      context.CancelFunc
	closing                   chan struct{}
	done                      chan struct{}
	uploaded, errors, waiting atomic.Int64
}

// startUploader starts the goroutine that uploads; close ends it.
func startUploader(o Options, s *spool) *uploader {
	ctx, stop := context.WithCancel(context.Background())
	u := &uploader{o: o, spool: s, ctx: ctx, stop: stop, closing: make(chan struct{}), done: make(chan struct{})}
	go u.run()
	return u
}

func (u *uploader) run() {
	defer close(u.done)
	for {
		err := u.round()
		wait := u.o.SegmentAge
		if err != nil && u.ctx.Err() == nil {
			u.errors.Add(1)
			u.o.Logger.Error("upload segments", "error", err)
			wait = uploadRetry
		}
		select {
		case <-u.closing:
			return
		default:
		}
		timer := time.NewTimer(wait)
		select {
		case <-u.spool.sealed:
		case <-timer.C:
		case <-u.closing: // one more round, for what was sealed last
		}
		timer.Stop()
	}
}

// round uploads what is sealed and not there yet, and removes what is old.
func (u *uploader) round() error {
	if u.there == nil {
		there := map[string]bool{}
		err := eachSegment(u.ctx, u.o.Bucket, func(o *blob.ListObject) error {
			there[path.Base(o.Key)] = true
			return nil
		})
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		u.there = there
	}
	names, err := u.o.FS.List(u.o.Dir)
	if err != nil {
		return err
	}
	var todo []string
	for _, name := range names {
		if _, sealed, ok := parseName(name); ok && sealed && !u.there[name] {
			todo = append(todo, name)
		}
	}
	for i, name := range todo {
		u.waiting.Store(int64(len(todo) - i))
		if err := u.send(name); err != nil {
			return fmt.Errorf("upload %s: %w", name, err)
		}
		u.there[name] = true
		u.uploaded.Add(1)
	}
	u.waiting.Store(0)
	return u.expire()
}

// send uploads a segment and reads back what the bucket has. A segment that is
// there under its name is left alone: its content never changes.
func (u *uploader) send(name string) error {
	ctx, cancel := context.WithTimeout(u.ctx, uploadTimeout)
	defer cancel()
	f, err := u.o.FS.Open(path.Join(u.o.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its time had come
	}
	if err != nil {
		return err
	}
	content, err := readAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	sum, key := md5.Sum(content), objectKey(name)
	err = u.o.Bucket.Upload(ctx, key, bytes.NewReader(content), &blob.WriterOptions{ContentType: "application/octet-stream", ContentMD5: sum[:], BufferSize: uploadPart})
	if err != nil {
		return err
	}
	there, err := u.o.Bucket.ReadAll(ctx, key)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !bytes.Equal(there, content) {
		return fmt.Errorf("the bucket gave back %d bytes that are not the %d that were sent", len(there), len(content))
	}
	return nil
}

// objectKey is a segment's key: by day, so that a person finds it.
func objectKey(name string) string {
	day := name[:4] + "-" + name[4:6] + "-" + name[6:8]
	return BucketPrefix + day + "/" + name
}

// expire removes from the bucket what is older than the retention. A bucket that
// forbids it is right to: then its own rules remove it.
func (u *uploader) expire() error {
	var old []string
	for name := range u.there {
		began, _, ok := parseName(name)
		if ok && u.o.Now().Sub(began) > u.o.Retention+u.o.SegmentAge {
			old = append(old, name)
		}
	}
	for _, name := range old {
		err := u.o.Bucket.Delete(u.ctx, objectKey(name))
		switch gcerrors.Code(err) {
		case gcerrors.OK, gcerrors.NotFound:
		case gcerrors.PermissionDenied:
			u.o.Logger.Debug("the bucket keeps an old segment", "segment", name)
		default:
			return fmt.Errorf("remove %s: %w", name, err)
		}
		delete(u.there, name)
	}
	return nil
}

// eachSegment gives all segments of a bucket, in the order of their names.
func eachSegment(ctx context.Context, b *blob.Bucket, yield func(*blob.ListObject) error) error {
	objects := b.List(&blob.ListOptions{Prefix: BucketPrefix})
	for {
		o, err := objects.Next(ctx)
		if err != nil {
			if ctx.Err() == nil && isEnd(err) {
				return nil
			}
			return err
		}
		if _, sealed, ok := parseName(path.Base(o.Key)); !ok || !sealed || strings.HasSuffix(o.Key, "/") {
			continue
		}
		if err := yield(o); err != nil {
			return err
		}
	}
}

// close uploads what was sealed last and ends the goroutine. An upload that takes
// longer than closeTimeout is left for the next start.
func (u *uploader) close() error {
	close(u.closing)
	timer := time.AfterFunc(closeTimeout, u.stop)
	<-u.done
	timer.Stop()
	u.stop()
	return nil
}

// closeTimeout bounds the last uploads.
const closeTimeout = 30 * time.Second

// isEnd reports whether a listing has ended.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }
