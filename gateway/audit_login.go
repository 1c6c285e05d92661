package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/dolthub/vitess/go/mysql"

	"arbor/gateway/audit"
)

// Limits of what is written down of log-ins.
const (
	// maxFailedLogins is how many failed log-ins are written down one by one within
	// failedLoginsEvery; of further ones the number is: a stranger must not be able to
	// push everything else out of the audit trail.
	maxFailedLogins   = 1000
	failedLoginsEvery = time.Hour
	// httpLoginEvery is how often the log-ins of an account from an address over HTTP are
	// written down: there each request is one.
	httpLoginEvery = time.Hour
	// maxHTTPLogins bounds the accounts and addresses that are remembered for that.
	maxHTTPLogins = 10_000
)

// loginAudit writes log-ins down, as far as there is an audit trail. They succeed even
// if that fails, so that somebody can come in and see why.
type loginAudit struct {
	trail  AuditTrail
	grants *grants
	now    func() time.Time
	logger *slog.Logger

	failures auditQuota
	unparsed auditQuota // statements that cannot be parsed

	mu   sync.Mutex // guards http
	http map[lockoutKey]time.Time
}

// auditQuota bounds what is written down one by one within an hour.
type auditQuota struct {
	mu    sync.Mutex // guards the rest
	since time.Time  // when the hour began
	count int
}

// take counts one more, and reports whether it is to be written down, and how many of
// the hour before were not.
func (q *auditQuota) take(now time.Time) (before int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= failedLoginsEvery {
		before = max(0, q.count-maxFailedLogins)
		q.since, q.count = now, 0
	}
	q.count++
	return before, q.count <= maxFailedLogins
}

// newLoginAudit gives nil, which writes nothing, without a gateway or a trail.
func newLoginAudit(g *Gateway, gr *grants) *loginAudit {
	if g == nil || g.audit == nil {
		return nil
	}
	return &loginAudit{trail: g.audit, grants: gr, now: g.now, logger: g.logger, http: make(map[lockoutKey]time.Time)}
}

// succeeded writes down that a client is in.
func (l *loginAudit) succeeded(c *mysql.Conn, user, host string) {
	if l == nil || viaOf(c) == "http" && !l.first(lockoutKeyOf(user+"\x00"+host, c.RemoteAddr())) {
		return
	}
	l.note(audit.Record{User: user, Host: host, Outcome: audit.OK}, c)
}

// first reports whether an account's log-in over HTTP is to be written down.
func (l *loginAudit) first(k lockoutKey) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.http[k]; ok && now.Sub(last) < httpLoginEvery {
		return false
	}
	if len(l.http) >= maxHTTPLogins {
		clear(l.http)
	}
	l.http[k] = now
	return true
}

// refused writes down that a client was not let in.
func (l *loginAudit) refused(c *mysql.Conn, user string, err error) {
	if l == nil {
		return
	}
	before, ok := l.failures.take(l.now())
	if !ok {
		return
	}
	if before > 0 {
		l.note(audit.Record{Outcome: audit.Failed, Statement: fmt.Sprintf("%d more failed log-ins in the hour before, which were too many to write down one by one", before)}, nil)
	}
	if viaOf(c) == "http" && !l.grants.account(user, c.RemoteAddr()).found {
		user = "***" // over HTTP secrets are sent as user names, old ones too
	}
	r := audit.Record{User: user, Outcome: audit.Failed}
	var refused *mysql.SQLError
	if errors.As(err, &refused) {
		r.Code = uint16(refused.Num)
	}
	l.note(r, c)
}

func (l *loginAudit) note(r audit.Record, c *mysql.Conn) {
	r.Kind = auditLogin
	if c != nil {
		r.Address, r.Via, r.Connection = hostOf(c.RemoteAddr()), viaOf(c), c.ConnectionID
	}
	if err := l.trail.Note(r); err != nil {
		l.logger.Error("write a log-in into the audit trail", "user", r.User, "outcome", r.Outcome, "error", err)
	}
}

// guarded is lockouts.guard, with failures written down.
func (l *loginAudit) guarded(locks *lockouts, c *mysql.Conn, user string, from net.Addr, try func() (mysql.Getter, error)) (mysql.Getter, error) {
	who, err := locks.guard(user, from, try)
	if err != nil {
		l.refused(c, user, err)
	}
	return who, err
}
