package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// A client proves who it is by Basic credentials, of a MySQL user or a project's
// secret, with each call or once, in a handshake, which gives it a bearer token. The
// token stands for the credentials: each statement logs in with them, so that a
// password that is changed, or an account that is locked or dropped, counts at once.

const (
	// flightSessionIdle is how long a token is known after it was last used.
	flightSessionIdle = time.Hour
	// maxFlightSessions is how many tokens are known at once.
	maxFlightSessions = 10_000
)

// flightLogin are credentials.
type flightLogin struct{ user, password string }

type flightLoginKey struct{}

// loginOf are the call's credentials.
func loginOf(ctx context.Context) flightLogin {
	login, _ := ctx.Value(flightLoginKey{}).(flightLogin)
	return login
}

// authenticate finds a call's credentials. Whether they are right is found out by
// logging in with them.
func (s *flightServer) authenticate(ctx context.Context) (context.Context, error) {
	header := flightHeader(ctx, "authorization")
	kind, value, _ := strings.Cut(header, " ")
	var login flightLogin
	switch {
	case header == "": // root without a password, from this machine
	case strings.EqualFold(kind, "Basic"):
		text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: the Basic credentials cannot be read", ErrUnauthorized)
		}
		login = flightLogin{user, password}
	case strings.EqualFold(kind, "Bearer"):
		var ok bool
		if login, ok = s.sessions.find(value); !ok {
			return nil, fmt.Errorf("%w: the token is not known, or not any more; log in again", ErrUnauthorized)
		}
	default:
		return nil, fmt.Errorf("%w: only Basic and Bearer authorization are understood", ErrUnauthorized)
	}
	return context.WithValue(ctx, flightLoginKey{}, login), nil
}

// handshake logs in and gives a token.
func (s *flightServer) handshake(ctx context.Context, stream grpc.ServerStream) error {
	db, err := s.open(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	token, err := s.sessions.begin(loginOf(ctx))
	if err != nil {
		return err
	}
	return stream.SendHeader(metadata.Pairs("authorization", "Bearer "+token))
}

// open opens a connection to the MySQL server for a call. The rows of its results go
// to taker.
func (s *flightServer) open(ctx context.Context, taker resultTaker) (*sql.DB, error) {
	login := loginOf(ctx)
	from, encrypted := flightPeer(ctx)
	return s.gateway.openLogin(ctx, sqlLogin{user: login.user, password: login.password, from: from, encrypted: encrypted, local: isLoopback(from)},
		flightHeader(ctx, "database"), taker)
}

// flightSessions are the tokens that are known.
type flightSessions struct {
	now   func() time.Time
	mu    sync.Mutex // guards known
	known map[[sha256.Size]byte]*flightSession
}

type flightSession struct {
	login flightLogin
	used  time.Time
}

// begin makes a token.
func (f *flightSessions) begin(login flightLogin) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if len(f.known) >= maxFlightSessions {
		for key, s := range f.known {
			if now.Sub(s.used) > flightSessionIdle {
				delete(f.known, key)
			}
		}
		if len(f.known) >= maxFlightSessions {
			return "", fmt.Errorf("%w: there are %d sessions", ErrBusy, maxFlightSessions)
		}
	}
	if f.known == nil {
		f.known = map[[sha256.Size]byte]*flightSession{}
	}
	token := rand.Text()
	f.known[sha256.Sum256([]byte(token))] = &flightSession{login, now}
	return token, nil
}

// find gives the credentials that a token stands for.
func (f *flightSessions) find(token string) (flightLogin, bool) {
	key := sha256.Sum256([]byte(token))
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.known[key]
	if !ok {
		return flightLogin{}, false
	}
	now := f.now()
	if now.Sub(s.used) > flightSessionIdle {
		delete(f.known, key)
		return flightLogin{}, false
	}
	s.used = now
	return s.login, true
}
