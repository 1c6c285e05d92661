package siphon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"

	"arbor/engine/vfs"
)

// Policy says what a client is told when its request was stored and could not
// be copied.
type Policy string

// The policies.
const (
	// Open goes on without copies, and raises an alarm: events are stored, and for
	// a while are protected by backups and replicas alone.
	Open Policy = "open"
	// Closed refuses requests with 503 until copies can be made again.
	Closed Policy = "closed"
)

// Options say what a siphon does. The zero value of a field with a default takes it.
type Options struct {
	// Upstreams are the gateways' URLs. They take turns, and one that does not
	// answer is passed over: a request that was sent twice has the same stamp.
	Upstreams []*url.URL
	// FS and Dir are where the segments are written. FS is the machine's if nil.
	FS  vfs.FS
	Dir string
	// Bucket also gets a copy of every sealed segment; nil means none. It belongs
	// to the caller.
	Bucket *blob.Bucket
	// Key is what stamps are signed with: the gateways have the same.
	Key []byte
	// OnFailure is Open if empty.
	OnFailure Policy
	// Retention is how long segments are kept, MaxBytes how many bytes of them at
	// most in Dir; past that the oldest go early, with an alarm.
	Retention time.Duration
	MaxBytes  int64
	// SegmentBytes and SegmentAge say when a segment is sealed.
	SegmentBytes int64
	SegmentAge   time.Duration
	// MaxInflightBytes bounds the memory of the requests under way.
	MaxInflightBytes int64
	Logger           *slog.Logger
	Now              func() time.Time
	// Transport carries requests to the upstreams; nil means one made for it.
	Transport http.RoundTripper
}

// Limits of requests.
const (
	// MaxBodyBytes is the longest body that is passed on: what a gateway takes.
	MaxBodyBytes = 16 << 20
	// DefaultMaxInflightBytes bounds the memory of the requests under way.
	DefaultMaxInflightBytes = 256 << 20
	maxHeaderBytes          = 128 << 10
	readHeaderTimeout       = 10 * time.Second
	readTimeout             = time.Minute
	idleTimeout             = time.Minute
	upstreamTimeout         = time.Minute
)

func (o *Options) validate() error {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnFailure == "" {
		o.OnFailure = Open
	}
	setDefault(&o.Retention, DefaultRetention)
	setDefault(&o.MaxBytes, DefaultMaxBytes)
	setDefault(&o.SegmentBytes, DefaultSegmentBytes)
	setDefault(&o.SegmentAge, DefaultSegmentAge)
	setDefault(&o.MaxInflightBytes, DefaultMaxInflightBytes)
	switch {
	case len(o.Upstreams) == 0:
		return errors.New("no upstream: say where the gateways are, like --upstream http://127.0.0.1:8080")
	case len(o.Key) < MinKeyBytes:
		return fmt.Errorf("the edge key has %d bytes, it needs at least %d", len(o.Key), MinKeyBytes)
	case o.OnFailure != Open && o.OnFailure != Closed:
		return fmt.Errorf("policy %q: want %s or %s", o.OnFailure, Open, Closed)
	case o.Retention < 0 || o.MaxBytes < 0 || o.SegmentBytes < 0 || o.SegmentAge < 0 || o.MaxInflightBytes < 0:
		return errors.New("a limit is below zero")
	}
	for _, u := range o.Upstreams {
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("upstream %q: want a URL like http://127.0.0.1:8080", u)
		}
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Siphon is a running siphon. Its handler may serve many requests at once.
type Siphon struct {
	o         Options
	spool     *spool
	stamper   *stamper
	transport http.RoundTripper
	buffers   sync.Pool
	inflight  atomic.Int64
	next      atomic.Uint64
	counts    counts
	upload    *uploader
}

// New opens the directory and starts what writes and uploads segments; Close
// ends it.
func New(o Options) (*Siphon, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Siphon{o: o, stamper: newStamper(o.Now), transport: o.Transport}
	if s.transport == nil {
		s.transport = &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, IdleConnTimeout: idleTimeout,
			DisableCompression: true, WriteBufferSize: 64 << 10, ResponseHeaderTimeout: upstreamTimeout}
	}
	var err error
	if s.spool, err = openSpool(o, s.stamper.edge); err != nil {
		return nil, err
	}
	if o.Bucket != nil {
		s.upload = startUploader(o, s.spool)
	}
	return s, nil
}

// Close seals the last segment, uploads what is sealed, and ends what New started.
// No request may be under way.
func (s *Siphon) Close() error {
	err := s.spool.Close()
	if s.upload != nil {
		err = errors.Join(err, s.upload.close())
	}
	return err
}

// Serve serves clients on the listener until ctx ends, then lets the requests
// under way end within grace.
func (s *Siphon) Serve(ctx context.Context, l net.Listener, tlsConfig *tls.Config, grace time.Duration) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, TLSConfig: tlsConfig, ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug)}
	return serveUntil(ctx, server, l, grace)
}

// serveUntil runs a server until ctx ends.
func serveUntil(ctx context.Context, server *http.Server, l net.Listener, grace time.Duration) error {
	stopped := make(chan error, 1)
	ended := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err := server.Shutdown(limit)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		stopped <- err
	})
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if !ended() {
		if err := <-stopped; err != nil {
			return fmt.Errorf("requests were cut off at shutdown: %w", err)
		}
		return nil
	}
	return errors.Join(err, server.Close())
}

// uncopied are the statuses of which nothing was stored: the request came from
// nobody known, was too large, or is to be sent again.
var uncopied = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}

// copied reports whether a request with this answer is kept. One that was refused
// for what is in it is, for the fault may be ours.
func copied(status int) bool {
	return status < http.StatusInternalServerError && !slices.Contains(uncopied, status)
}
