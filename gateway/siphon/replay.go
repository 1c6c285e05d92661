package siphon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"

	"arbor/engine/vfs"
)

// Source gives segments: those of a siphon's directory or of a bucket.
type Source interface {
	// Segments are the names of the sealed segments, sorted, which is by time.
	Segments(ctx context.Context) ([]string, error)
	// Read reads a whole segment.
	Read(ctx context.Context, name string) ([]byte, error)
}

// Directory is the Source over a siphon's directory. The siphon may be running;
// what it has not sealed yet is not given.
func Directory(fs vfs.FS, dir string) Source { return directory{fs, dir} }

type directory struct {
	fs  vfs.FS
	dir string
}

func (d directory) Segments(context.Context) ([]string, error) {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return nil, fmt.Errorf("siphon directory %s: %w", d.dir, err)
	}
	return slices.DeleteFunc(names, func(name string) bool { _, sealed, ok := parseName(name); return !ok || !sealed }), nil
}

func (d directory) Read(_ context.Context, name string) ([]byte, error) {
	f, err := d.fs.Open(path.Join(d.dir, name))
	if err != nil {
		return nil, err
	}
	b, err := readAll(f)
	return b, errors.Join(err, f.Close())
}

// Bucket is the Source over the bucket that a siphon uploads to.
func Bucket(b *blob.Bucket) Source { return bucket{b} }

type bucket struct{ b *blob.Bucket }

func (b bucket) Segments(ctx context.Context) (names []string, err error) {
	err = eachSegment(ctx, b.b, func(o *blob.ListObject) error {
		names = append(names, path.Base(o.Key))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the bucket: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

func (b bucket) Read(ctx context.Context, name string) ([]byte, error) {
	return b.b.ReadAll(ctx, objectKey(name))
}

// ReplayOptions say what is sent again.
type ReplayOptions struct {
	Source Source
	// Server is a gateway's URL; Key is what it checks stamps with.
	Server *url.URL
	Key    []byte
	// From and To bound the time of the stamps, From included; zero times bound nothing.
	From, To time.Time
	// Project, if set, is the name of the only project whose events are taken, and
	// Into the name of the project that they go to instead.
	Project, Into string
	// OldTokens are tokens in the copies that open nothing any more, each with the name
	// of the project that it opened.
	OldTokens map[string]string
	// Rate is how many requests a second at most; 0 is as fast as they go.
	Rate float64
	// Connections is how many requests are under way at once; 0 means 4.
	Connections int
	// Skip are segments that are done, from an earlier replay of the same options.
	Skip map[string]bool
	// Done, if set, is told of each segment once all of its requests are answered.
	Done func(segment string) error
	// Progress, if set, is told of every answered request.
	Progress  func(Replayed)
	Transport http.RoundTripper
}

// Replayed counts what a replay did.
type Replayed struct {
	Segments, Requests, Bytes int64
	// Refused counts the requests that the gateway would not take, as it may have
	// refused them, or some of their events, the first time.
	Refused int64
	// Unknown counts those of them whose token opens nothing: when they were copied it
	// did, so what is in them is not brought back. OldTokens helps.
	Unknown int64
	// Damaged are the segments that have damage; what was whole in them was sent.
	Damaged []string
}

// ErrNotStamped says that the gateway does not take stamps: it has another key,
// or none. Sending on would count events without insert ids twice.
var ErrNotStamped = errors.New("the gateway did not take the stamp: start it with the edge key that the siphon has")

// replayAttempts is how often a request is sent until the gateway can store it.
const replayAttempts = 8

// Replay sends copied requests again. Events that a gateway has are merged with
// themselves, so a replay may be repeated, interrupted and overlap another.
func Replay(ctx context.Context, o ReplayOptions) (Replayed, error) {
	if o.Into != "" && o.Project == "" {
		return Replayed{}, errors.New("into needs a project: events of several projects cannot go into one")
	}
	if len(o.Key) < MinKeyBytes {
		return Replayed{}, fmt.Errorf("the edge key has %d bytes, it needs at least %d", len(o.Key), MinKeyBytes)
	}
	setDefault(&o.Connections, 4)
	if o.Transport == nil {
		o.Transport = &http.Transport{MaxIdleConnsPerHost: o.Connections, DisableCompression: true, ResponseHeaderTimeout: upstreamTimeout}
	}
	r := &replay{o: o, pace: newPace(o.Rate), tokens: tokensHeader(o.OldTokens)}
	names, err := o.Source.Segments(ctx)
	if err != nil {
		return r.done(), err
	}
	for i, name := range names {
		if o.Skip[name] || !r.covers(names, i) {
			continue
		}
		if err := r.segment(ctx, name); err != nil {
			return r.done(), fmt.Errorf("segment %s: %w", name, err)
		}
	}
	return r.done(), nil
}

// replay is a replay under way.
type replay struct {
	o                                  ReplayOptions
	pace                               *pace
	tokens                             string
	segments, requests, bytes, refused atomic.Int64
	unknown                            atomic.Int64
	damaged                            []string
}

// tokensHeader writes tokens with their projects, as a gateway reads them.
func tokensHeader(old map[string]string) string {
	values := url.Values{}
	for token, project := range old {
		values.Set(token, project)
	}
	return values.Encode()
}

func (r *replay) done() Replayed {
	return Replayed{Segments: r.segments.Load(), Requests: r.requests.Load(), Bytes: r.bytes.Load(), Refused: r.refused.Load(), Unknown: r.unknown.Load(), Damaged: r.damaged}
}

// slack is how much earlier than a segment's name its first stamp may be: requests
// are stamped when they begin and copied when they are answered.
const slack = readTimeout + 2*upstreamTimeout

// covers reports whether a segment may have requests of the time asked for.
func (r *replay) covers(names []string, i int) bool {
	began, _, _ := parseName(names[i])
	return r.o.To.IsZero() || began.Add(-slack).Before(r.o.To)
}

func (r *replay) wants(s Stamp) bool {
	at := time.Unix(0, int64(s.Time))
	return (r.o.From.IsZero() || !at.Before(r.o.From)) && (r.o.To.IsZero() || at.Before(r.o.To))
}

// segment sends the requests of one segment.
func (r *replay) segment(ctx context.Context, name string) error {
	content, err := r.o.Source.Read(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan Request)
	var senders sync.WaitGroup
	for range r.o.Connections {
		senders.Go(func() {
			for q := range todo {
				if err := r.send(ctx, q); err != nil {
					cancel(err)
				}
			}
		})
	}
	err = readSegment(content, isTorn(name), func(q Request) error {
		if q.Method == probeMethod || !r.wants(q.Stamp) {
			return nil
		}
		if err := r.pace.wait(ctx); err != nil {
			return context.Cause(ctx)
		}
		select {
		case todo <- q:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(todo)
	senders.Wait()
	if errors.Is(err, ErrCorrupt) {
		r.damaged = append(r.damaged, fmt.Sprintf("%s: %v", name, err))
		err = nil
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	r.segments.Add(1)
	if r.o.Done != nil {
		return r.o.Done(name)
	}
	return nil
}

// send sends one request until the gateway has answered for it.
func (r *replay) send(ctx context.Context, q Request) error {
	for attempt := 1; ; attempt++ {
		wait, err := r.try(ctx, q)
		if err == nil {
			r.requests.Add(1)
			r.bytes.Add(int64(len(q.Body)))
			if r.o.Progress != nil {
				r.o.Progress(r.done())
			}
			return nil
		}
		if wait == 0 || attempt == replayAttempts {
			return err
		}
		timer := time.NewTimer(wait * time.Duration(attempt))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// try sends a request once; wait is how long to wait before the next time, 0 when
// that would not help.
func (r *replay) try(ctx context.Context, q Request) (wait time.Duration, err error) {
	u, err := url.ParseRequestURI(q.URI)
	if err != nil {
		return 0, fmt.Errorf("request of %d: its URI %q: %w", q.Stamp.Time, q.URI, err)
	}
	u.Scheme, u.Host = r.o.Server.Scheme, r.o.Server.Host
	u.Path = strings.TrimRight(r.o.Server.Path, "/") + u.Path
	req, err := http.NewRequestWithContext(ctx, q.Method, u.String(), bytes.NewReader(q.Body))
	if err != nil {
		return 0, err
	}
	req.Header = q.Header.Clone()
	q.Stamp.sign(req.Header, r.o.Key, r.o.Project, r.o.Into, r.tokens)
	answer, err := r.o.Transport.RoundTrip(req)
	if err != nil {
		return time.Second, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return time.Second, err
	}
	switch status := answer.StatusCode; {
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		wait = time.Second
		if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
			wait = time.Duration(min(s, 30)) * time.Second
		}
		return wait, fmt.Errorf("the gateway answered %s: %s", answer.Status, bytes.TrimSpace(text[:min(len(text), 200)]))
	case answer.Header.Get(headerAccepted) == "":
		return 0, fmt.Errorf("%w (it answered %s: %s)", ErrNotStamped, answer.Status, bytes.TrimSpace(text[:min(len(text), 200)]))
	case status >= http.StatusBadRequest:
		r.refused.Add(1)
		if status == http.StatusUnauthorized {
			r.unknown.Add(1)
		}
	}
	return 0, nil
}

// pace keeps a replay to its rate. It is used by one goroutine.
type pace struct {
	every time.Duration
	next  time.Time
}

func newPace(rate float64) *pace {
	if rate <= 0 {
		return &pace{}
	}
	return &pace{every: time.Duration(float64(time.Second) / rate), next: time.Now()}
}

// wait waits for a request's turn.
func (p *pace) wait(ctx context.Context) error {
	if p.every == 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	timer := time.NewTimer(p.next.Sub(now))
	defer timer.Stop()
	p.next = p.next.Add(p.every)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
