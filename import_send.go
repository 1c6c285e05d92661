package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

// importComplaints is how many refused events are shown one by one.
const importComplaints = 10

// importer sends batches of lines to one project, several at once.
type importer struct {
	server, token string
	client        *http.Client
	// compress is set where the way to the server is longer than through memory.
	compress        bool
	format          importFormat // nil where lines are events as /import takes them
	encoders        sync.Pool
	stored, refused atomic.Int64
}

func newImporter(o importOptions) *importer {
	im := &importer{server: strings.TrimRight(o.server, "/"), token: o.token, compress: !onThisMachine(o.server)}
	im.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: o.connections, MaxConnsPerHost: o.connections,
		WriteBufferSize: 64 << 10,
	}}
	im.encoders.New = func() any {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err) // the options are right
		}
		return z
	}
	return im
}

// onThisMachine reports whether a server's URL is a loopback address.
func onThisMachine(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// importReply is what /import answers.
type importReply struct {
	Code          int    `json:"code"`
	Error         string `json:"error"`
	Imported      int64  `json:"num_records_imported"`
	FailedRecords []struct {
		Index    int64  `json:"index"`
		InsertID string `json:"insert_id"`
		Field    string `json:"field"`
		Message  string `json:"message"`
	} `json:"failed_records"`
}

// send posts a batch until the server has answered for it. A repeated batch is
// harmless: its events have the same insert ids.
func (im *importer) send(ctx context.Context, b *importBatch) error {
	key := fmt.Sprintf("import-%d-%016x", b.first, xxh3.Hash(b.lines))
	lines := b.lines
	if im.format != nil {
		lines = convertLines(b.lines, im.format)
	}
	body := lines
	if im.compress {
		z := im.encoders.Get().(*zstd.Encoder)
		body = z.EncodeAll(lines, nil)
		im.encoders.Put(z)
	}
	for attempt := 1; ; attempt++ {
		reply, wait, err := im.post(ctx, body, key)
		if err == nil {
			im.stored.Add(reply.Imported)
			for _, r := range reply.FailedRecords {
				if im.refused.Add(1) <= importComplaints {
					fmt.Fprintf(os.Stderr, "\nevent %d refused: %s: %s\n", b.first+r.Index, r.Field, r.Message)
				}
			}
			return nil
		}
		if wait == 0 || attempt == importAttempts || ctx.Err() != nil {
			return fmt.Errorf("events %d to %d: %w", b.first, b.first+int64(b.events)-1, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait * time.Duration(attempt)):
		}
	}
}

// post sends one request. wait is how long to wait before trying again, 0 when
// that would not help.
func (im *importer) post(ctx context.Context, body []byte, key string) (reply importReply, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, im.server+"/import", bytes.NewReader(body))
	if err != nil {
		return reply, 0, err
	}
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(im.token+":")))
	req.Header.Set("Content-Type", "application/x-ndjson")
	if im.compress {
		req.Header.Set("Content-Encoding", "zstd")
	}
	req.Header.Set("Idempotency-Key", key)
	res, err := im.client.Do(req)
	if err != nil {
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = urlErr.Err
		}
		return reply, 500 * time.Millisecond, fmt.Errorf("%s: %w", im.server, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return reply, 500 * time.Millisecond, err
	}
	jsonErr := json.Unmarshal(text, &reply)
	switch {
	case res.StatusCode == http.StatusOK && jsonErr == nil,
		res.StatusCode == http.StatusBadRequest && jsonErr == nil && len(reply.FailedRecords) > 0:
		return reply, 0, nil
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		wait = time.Second
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			wait = time.Duration(min(s, 30)) * time.Second
		}
	}
	return reply, wait, fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
}
