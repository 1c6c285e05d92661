package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"
	"golang.org/x/sync/errgroup"

	"arbor/gateway/siphon"
)

type siphonOptions struct {
	serve                       serveOptions
	listen, admin               string
	upstreams                   []string
	dir, store, edgeKey, policy string
	retention                   time.Duration
	maxBytes                    int64
}

func newSiphon() *cobra.Command {
	var o siphonOptions
	cmd := &cobra.Command{
		Use:   "siphon --upstream URL --edge-key FILE",
		Short: "Keep a replayable copy of every request, in front of the gateways",
		Long: `Stand in front of the gateways, pass every request on unchanged, and keep a
durable copy of each that was answered, for 7 days. "arbor replay" sends them
again, which adds nothing to what is already stored.

  arbor serve  --edge-key edge.key                      (the gateway: the same key)
  arbor siphon --edge-key edge.key --upstream http://127.0.0.1:8080 --listen 127.0.0.1:8090

The key file is made when it is missing. With --store the sealed segments are
also copied to a bucket: s3://NAME?region=R, gs://NAME, azblob://NAME, or
file:///DIR.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSiphon(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8090", "`host:port` for SDKs")
	f.StringVar(&o.admin, "admin", "127.0.0.1:8091", "`host:port` for /metrics and /healthz; empty for none")
	f.StringSliceVar(&o.upstreams, "upstream", nil, "`URL` of a gateway; repeat it for several")
	f.StringVar(&o.dir, "dir", "arbor-siphon", "`directory` for the segments; made if missing")
	f.StringVar(&o.store, "store", "", "`URL` of a bucket that gets a copy of each segment")
	f.StringVar(&o.edgeKey, "edge-key", "", "`file` with the key that siphon and gateways share; made if missing")
	f.StringVar(&o.policy, "on-copy-failure", string(siphon.Open), "open: go on without copies, with an alarm; closed: refuse requests until they can be copied")
	f.DurationVar(&o.retention, "retention", siphon.DefaultRetention, "how long segments are kept")
	f.Int64Var(&o.maxBytes, "max-bytes", siphon.DefaultMaxBytes, "`bytes` of segments in the directory at most; past that the oldest go early, with an alarm")
	f.StringVar(&o.serve.tlsCert, "tls-cert", "", "certificate `file` (PEM)")
	f.StringVar(&o.serve.tlsKey, "tls-key", "", "key `file` (PEM) of the certificate")
	f.BoolVar(&o.serve.insecure, "insecure", false, "allow a public address without TLS")
	f.StringVar(&o.serve.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.serve.logForm, "log-format", "text", "text or json")
	return cmd
}

func runSiphon(ctx context.Context, o siphonOptions) (err error) {
	logger, err := newLogger(o.serve.logLevel, o.serve.logForm)
	if err != nil {
		return err
	}
	tlsConfig, err := o.serve.tls(logger)
	if err != nil {
		return err
	}
	options := siphon.Options{Dir: o.dir, OnFailure: siphon.Policy(o.policy), Retention: o.retention, MaxBytes: o.maxBytes, Logger: logger}
	if options.Key, err = makeEdgeKey(o.edgeKey); err != nil {
		return err
	}
	for _, upstream := range o.upstreams {
		u, err := url.Parse(upstream)
		if err != nil {
			return fmt.Errorf("--upstream: %w", err)
		}
		options.Upstreams = append(options.Upstreams, u)
	}
	if o.store != "" {
		if options.Bucket, err = openBucket(ctx, o.store); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, options.Bucket.Close()) }()
	}
	if isPublic(o.listen) && tlsConfig == nil && !o.serve.insecure {
		return fmt.Errorf("--listen %s can be reached from other machines and would send tokens and events unencrypted; add --tls-cert and --tls-key, or --insecure to accept that", o.listen)
	}
	listener, err := o.serve.listen("listen", o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	floor := make([]byte, heapFloor) // a siphon keeps next to nothing, and each request is garbage
	defer runtime.KeepAlive(floor)
	s, err := siphon.New(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	logger.Info("siphon", "version", version(), "listen", listener.Addr(), "upstream", o.upstreams, "dir", o.dir, "store", o.store, "on_copy_failure", options.OnFailure)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Serve(ctx, listener, tlsConfig, shutdownGrace) })
	if o.admin != "" {
		admin, err := net.Listen("tcp", o.admin)
		if err != nil {
			return fmt.Errorf("--admin %s: %w", o.admin, err)
		}
		server := &http.Server{Handler: s.Admin(), ReadHeaderTimeout: 10 * time.Second}
		context.AfterFunc(ctx, func() { server.Close() })
		group.Go(func() error {
			if err := server.Serve(admin); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

// openBucket opens the bucket of a URL, and says what may be wrong when it cannot
// be read.
func openBucket(ctx context.Context, name string) (*blob.Bucket, error) {
	b, err := blob.OpenBucket(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("--store %s: %w (want s3://NAME?region=R, gs://NAME, azblob://NAME or file:///DIR)", name, err)
	}
	ok, err := b.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("there is no such bucket")
	}
	if err != nil {
		return nil, fmt.Errorf("--store %s: %w", name, errors.Join(err, b.Close()))
	}
	return b, nil
}
