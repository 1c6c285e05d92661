package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/tables"
	"arbor/gateway/track"
)

// Errors of HTTP that have no other home.
var (
	// ErrUnauthorized says that credentials are missing or wrong.
	ErrUnauthorized = errors.New("invalid credentials")
	// ErrForbidden says that the credentials are right but not for this.
	ErrForbidden = errors.New("not allowed")
	// ErrNoSuchPath says that nothing is served there.
	ErrNoSuchPath = errors.New("no such path")
	// ErrMethod says that the path wants another method.
	ErrMethod = errors.New("method not allowed")
	// ErrEncoding says that a body is compressed in a way that is not read.
	ErrEncoding = errors.New("unsupported content encoding")
	// errStorage wraps what the cluster's Append returns.
	errStorage = errors.New("the events may not have been stored, send them again")
	// errAllRefused says that of a request's events none could be stored.
	errAllRefused = errors.New("nothing was stored")
	// errPanic stands for a panic; the log has it.
	errPanic = errors.New("internal error; the server's log has the details")
)

// httpStatuses is the one table from errors to HTTP statuses. The first row that
// an error is decides; an error of none is 500.
var httpStatuses = []struct {
	err        error
	status     int
	retryAfter int // seconds, 0 for a request that had better not be repeated
}{
	{track.ErrTooLarge, http.StatusRequestEntityTooLarge, 0},
	{track.ErrTooManyRecords, http.StatusRequestEntityTooLarge, 0},
	{ErrBodyTooLarge, http.StatusRequestEntityTooLarge, 0},
	{ErrStatementTooLong, http.StatusRequestEntityTooLarge, 0},
	{cluster.ErrTooLarge, http.StatusRequestEntityTooLarge, 0},
	{track.ErrMalformed, http.StatusBadRequest, 0},
	{track.ErrEmpty, http.StatusBadRequest, 0},
	{errAllRefused, http.StatusBadRequest, 0},
	{ErrBodyUnread, http.StatusBadRequest, 0},
	{ErrIdempotencyKey, http.StatusBadRequest, 0},
	{ErrQueryRequest, http.StatusBadRequest, 0},
	{ErrExportRequest, http.StatusBadRequest, 0},
	{ErrLookupRequest, http.StatusBadRequest, 0},
	{ErrRestoreRequest, http.StatusBadRequest, 0},
	{ErrRestoreProject, http.StatusNotFound, 0},
	{ErrRestoreTaken, http.StatusConflict, 0},
	{ErrStamp, http.StatusServiceUnavailable, downRetryAfter}, // its events must not be thrown away
	{ErrUnauthorized, http.StatusUnauthorized, 0},
	{ErrForbidden, http.StatusForbidden, 0},
	{ErrNoSuchPath, http.StatusNotFound, 0},
	{ErrMethod, http.StatusMethodNotAllowed, 0},
	{ErrEncoding, http.StatusUnsupportedMediaType, 0},
	{ErrProfileTable, http.StatusBadRequest, 0},
	{tables.ErrLimit, http.StatusRequestEntityTooLarge, 0},
	{tables.ErrConflict, http.StatusServiceUnavailable, busyRetryAfter},
	{ErrBusy, http.StatusTooManyRequests, busyRetryAfter},
	{ErrTooFast, http.StatusTooManyRequests, busyRetryAfter},
	{catalog.ErrNoProject, http.StatusUnauthorized, 0},
	{ErrNotServing, http.StatusServiceUnavailable, downRetryAfter},
	{cluster.ErrIncomplete, http.StatusServiceUnavailable, downRetryAfter},
	{cluster.ErrUnavailable, http.StatusServiceUnavailable, downRetryAfter},
	{cluster.ErrClosed, http.StatusServiceUnavailable, downRetryAfter},
	{errStorage, http.StatusServiceUnavailable, downRetryAfter},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, downRetryAfter},
	{context.Canceled, http.StatusServiceUnavailable, downRetryAfter},
}

// statusOf is the HTTP status of an error, and the seconds to wait before the
// request is worth repeating, if it is.
func statusOf(err error) (status, retryAfter int) {
	var fast *tooFast
	if errors.As(err, &fast) {
		return http.StatusTooManyRequests, fast.seconds()
	}
	var fault *mysql.MySQLError
	if errors.As(err, &fault) {
		return queryStatus(fault)
	}
	for i := range httpStatuses {
		if row := &httpStatuses[i]; errors.Is(err, row.err) {
			return row.status, row.retryAfter
		}
	}
	return http.StatusInternalServerError, 0
}

// setRetryAfter writes the Retry-After header.
func setRetryAfter(h http.Header, seconds int) {
	if seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
}
