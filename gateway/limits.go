package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"arbor/gateway/track"
)

// Limits of HTTP. Each is tested at the limit and one past it; docs/http.md
// lists them for users.
const (
	// maxBodyBytes is the most that a body may have as it was sent. It leaves
	// room for maxTextBytes in base64 in a form.
	maxBodyBytes = 16 << 20
	// maxTextBytes is the most that a request's events may have as JSON, after
	// decompression and decoding.
	maxTextBytes = 10 << 20
	// maxRecords is the most events of one request.
	maxRecords = track.DefaultMaxRecords
	// maxHeaderBytes holds the events of a GET /track too. net/http adds 4 KiB
	// of its own.
	maxHeaderBytes = 128 << 10
	// maxStatementBytes is the longest statement of a POST /query.
	maxStatementBytes = 1 << 20
	// maxDrainBytes is how much of a refused body is read and thrown away, so
	// that a client which sends before it listens sees why it was refused.
	maxDrainBytes = 32 << 20
	// DefaultMaxInflightBytes bounds the memory that the requests being read and
	// decoded take together.
	DefaultMaxInflightBytes = 256 << 20
	// keptBufferBytes is how much the buffers of one request may have to be kept
	// for the next: those of a full request of usual events.
	keptBufferBytes = 6 << 20
	// bodyStep is the least that a body's buffer grows by.
	bodyStep = 64 << 10
)

// Time limits of HTTP.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = time.Minute
	// DefaultStoreTimeout bounds the wait for the events of a request, or of a part
	// of a statement, to be durable.
	DefaultStoreTimeout = 30 * time.Second
	// writeTimeout bounds each write of an answer.
	writeTimeout = 30 * time.Second
	// busyRetryAfter and downRetryAfter are what Retry-After says, in seconds.
	busyRetryAfter = 1
	downRetryAfter = 5
)

// Errors of reading a request.
var (
	// ErrBodyTooLarge says that a body has more bytes than allowed.
	ErrBodyTooLarge = errors.New("the body is too large")
	// ErrBusy says that the requests being served take all the memory they may.
	ErrBusy = errors.New("the server is busy")
	// ErrBodyUnread says that the body did not arrive whole.
	ErrBodyUnread = errors.New("the body did not arrive whole")
)

// budget is the memory that requests may take together, in bytes. A request
// that finds none left is refused at once rather than queued: its client is told
// when to come back and keeps the events meanwhile.
type budget struct {
	max  int64
	used atomic.Int64
}

// take takes n bytes from the budget, or reports that it has not got them.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.max {
		return true
	}
	b.used.Add(-n)
	return false
}

// loan is what one request has taken from the budget.
type loan struct {
	budget *budget
	bytes  int64
}

// grow takes n more bytes.
func (l *loan) grow(n int) error {
	if !l.budget.take(int64(n)) {
		return fmt.Errorf("%w: its requests hold %d bytes, which is all they may; retry in a moment", ErrBusy, l.budget.used.Load())
	}
	l.bytes += int64(n)
	return nil
}

// end gives all back.
func (l *loan) end() {
	l.budget.used.Add(-l.bytes)
	l.bytes = 0
}

// readBody reads a request's body into dst, which it may replace, at most limit
// bytes. The loan grows with what has come, not with what was announced, so that
// slow senders hold little.
func readBody(dst []byte, r *http.Request, limit int, l *loan) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		drain(r.Body)
		return dst, fmt.Errorf("%w: it has %d bytes, at most %d are allowed; send smaller batches", ErrBodyTooLarge, r.ContentLength, limit)
	}
	dst = dst[:0]
	if err := l.grow(cap(dst)); err != nil {
		drain(r.Body)
		return dst, err
	}
	for {
		if len(dst) == cap(dst) {
			size := bodySize(cap(dst), r.ContentLength, limit)
			if err := l.grow(size - cap(dst)); err != nil {
				drain(r.Body)
				return dst, err
			}
			dst = append(make([]byte, 0, size), dst...)
		}
		n, err := r.Body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			drain(r.Body)
			return dst, fmt.Errorf("%w: at most %d bytes are allowed; send smaller batches", ErrBodyTooLarge, limit)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, fmt.Errorf("%w: %w", ErrBodyUnread, err)
		}
	}
}

// bodySize is the next size of a body's buffer: twice the last, but not much more
// than was announced or is allowed, with one byte to see the end or the excess
// by. It is a number of steps, so that a buffer serves bodies of about one size.
func bodySize(size int, announced int64, limit int) int {
	most := limit
	if announced >= 0 {
		most = int(announced)
	}
	next := max(2*size, bodyStep)
	if next > most {
		next = max(most+1, size+1)
	}
	return (next + bodyStep - 1) / bodyStep * bodyStep
}

// drain reads on for a while after a refusal.
func drain(body io.Reader) { io.CopyN(io.Discard, body, maxDrainBytes) }
