package gateway

import (
	"net"
	"sync"
	"time"

	"github.com/dolthub/vitess/go/mysql"

	"arbor/catalog"
)

// maxLockouts bounds the accounts and addresses of which failures are remembered. When
// there are more, those that failed longest ago are forgotten.
const maxLockouts = 10_000

// lockouts remember failed logins, by account and address: after as many as the setting
// login_failures says, neither a right nor a wrong password opens the account from there
// until login_lock_time is over. An address has its own count, so that a stranger cannot
// lock others out of their account.
type lockouts struct {
	settings func() (failures int, lock time.Duration)
	now      func() time.Time

	mu    sync.Mutex // guards what follows
	known map[lockoutKey]*lockout
}

// lockoutKey is an account, as a client names it, at an address.
type lockoutKey struct{ account, address string }

// lockout is what is known of one.
type lockout struct {
	failures int
	last     time.Time
}

func newLockouts(now func() time.Time, settings func() (int, time.Duration)) *lockouts {
	return &lockouts{settings: settings, now: now, known: make(map[lockoutKey]*lockout)}
}

// lockoutSettings are the settings of a gateway's catalog, or the defaults without one.
func lockoutSettings(g *Gateway) func() (int, time.Duration) {
	return func() (int, time.Duration) {
		c := new(catalog.Catalog)
		if g != nil {
			c = g.Catalog()
		}
		return c.LoginFailures(), c.LoginLockTime()
	}
}

// guard lets an account be tried unless it is locked, and counts how it ends. A client
// that gives up counts as a failure: what it was told before says something of the
// password.
func (l *lockouts) guard(user string, from net.Addr, try func() (mysql.Getter, error)) (mysql.Getter, error) {
	k := lockoutKeyOf(user, from)
	if end, locked := l.until(k); locked {
		return nil, lockedOut(user, from, end.Sub(l.now()))
	}
	who, err := try()
	if err != nil {
		l.failed(k)
		return nil, err
	}
	l.succeeded(k)
	return who, nil
}

// until is when the account may be tried again; not ok if it may be now.
func (l *lockouts) until(k lockoutKey) (time.Time, bool) {
	failures, lock := l.settings()
	if failures == 0 {
		return time.Time{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.known[k]
	if !ok {
		return time.Time{}, false
	}
	end := known.last.Add(lock)
	if !l.now().Before(end) {
		delete(l.known, k)
		return time.Time{}, false
	}
	return end, known.failures >= failures
}

// failed counts a failure.
func (l *lockouts) failed(k lockoutKey) {
	failures, lock := l.settings()
	if failures == 0 {
		return
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.known[k]
	if !ok || !now.Before(known.last.Add(lock)) {
		if len(l.known) >= maxLockouts {
			l.forget(now.Add(-lock))
		}
		known = new(lockout)
		l.known[k] = known
	}
	known.failures++
	known.last = now
}

// forget makes room: for all that is over, and else for the oldest.
func (l *lockouts) forget(over time.Time) {
	var oldest lockoutKey
	var at time.Time
	for k, known := range l.known {
		if !known.last.After(over) {
			delete(l.known, k)
		} else if at.IsZero() || known.last.Before(at) {
			oldest, at = k, known.last
		}
	}
	if len(l.known) >= maxLockouts {
		delete(l.known, oldest)
	}
}

// succeeded forgets the failures.
func (l *lockouts) succeeded(k lockoutKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, k)
}

// lockoutKeyOf is an account as a client names it, whether there is one or not.
func lockoutKeyOf(user string, from net.Addr) lockoutKey {
	return lockoutKey{account: user, address: hostOf(from)}
}

// lockedOut is MySQL's error for an account that is locked because of failures.
func lockedOut(user string, from net.Addr, left time.Duration) error {
	return mysql.NewSQLError(codeAccountBlocked, stateGeneral,
		"Access denied for user '%s'@'%s'. Account is blocked from this address for %s due to failed logins; the settings login_failures and login_lock_time say how many and how long",
		clip(user), hostOf(from), max(left.Round(time.Second), time.Second))
}

// codeAccountBlocked is MySQL's ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK.
const codeAccountBlocked = 3955
