package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"net"
	"sync"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// Limits of logins.
const (
	// maxPassword is MySQL's limit for caching_sha2_password, in bytes.
	maxPassword = 256
	// maxPasswordHashes is how many passwords are hashed at once: each takes
	// milliseconds of a processor, and clients without an account may ask for it.
	maxPasswordHashes = 2
	// maxCachedPasswords bounds the fast path's memory.
	maxCachedPasswords = 4096
	// keyBits is the size of the key that passwords are sent under without TLS.
	keyBits = 2048
)

// Bytes of the caching_sha2_password exchange.
const (
	sha2RequestKey = 2
	sha2Fast       = 3
	sha2Full       = 4
)

// logins is how clients prove who they are: mysql_native_password, for
// programs that are older than the other, and caching_sha2_password. The SQL
// library's own knows the latter only over TLS and hashes each login anew; this
// one also takes passwords under a public key, as MySQL does, and remembers
// those that were right.
type logins struct {
	grants *grants
	native nativeLogin
	sha2   sha2Login
}

// noteInto has failures written down.
func (l *logins) noteInto(a *loginAudit) *logins {
	l.native.audit, l.sha2.audit = a, a
	return l
}

func newLogins(gr *grants, locks *lockouts) *logins {
	l := &logins{grants: gr}
	l.native.locks, l.sha2.locks = locks, locks
	l.native.grants = gr
	l.sha2.grants = gr
	l.sha2.known = make(map[string][sha256.Size]byte)
	l.sha2.hashing = make(chan struct{}, maxPasswordHashes)
	return l
}

// AuthMethods are the methods, the preferred one first.
func (l *logins) AuthMethods() []mysql.AuthMethod {
	return []mysql.AuthMethod{&l.sha2, &l.native}
}

// DefaultAuthMethodDescription is what the server offers before it knows the user.
func (l *logins) DefaultAuthMethodDescription() mysql.AuthMethodDescription {
	return mysql.CachingSha2Password
}

// chooseLogin lets users whose statement names no method log in by
// caching_sha2_password, MySQL's own choice. The SQL library chooses the old one.
func chooseLogin(s sqlparser.Statement) {
	choose := func(a *sqlparser.Authentication) {
		if a != nil && a.Plugin == "" && a.Password != "" {
			a.Plugin = string(mysql.CachingSha2Password)
		}
	}
	switch s := s.(type) {
	case *sqlparser.CreateUser:
		for i := range s.Users {
			choose(s.Users[i].Auth1)
		}
	case *sqlparser.DDL: // ALTER USER
		choose(s.Authentication)
	}
}

// scramble gives the 20 random bytes that the client's answer depends on.
func scramble() ([]byte, error) {
	salt, err := mysql.NewSalt()
	return append(salt, 0), err
}

// noteTLS tells the library of the encryption that the wire ended below it.
func noteTLS(c *mysql.Conn) {
	if wireOf(c).TLS() != nil {
		c.Capabilities |= mysql.CapabilityClientSSL
	}
}

// nativeLogin is mysql_native_password.
type nativeLogin struct {
	grants *grants
	locks  *lockouts
	audit  *loginAudit
}

// Name is the method's name in the protocol.
func (n *nativeLogin) Name() mysql.AuthMethodDescription { return mysql.MysqlNativePassword }

// HandleUser reports whether the user logs in by this method.
func (n *nativeLogin) HandleUser(c *mysql.Conn, user string) bool {
	noteTLS(c)
	a := n.grants.account(user, c.RemoteAddr())
	return a.plugin == string(n.Name())
}

// AllowClearTextWithoutTLS is true: the password itself is never sent.
func (n *nativeLogin) AllowClearTextWithoutTLS() bool { return true }

// AuthPluginData is the scramble.
func (n *nativeLogin) AuthPluginData() ([]byte, error) { return scramble() }

// HandleAuthPluginData checks the client's answer.
func (n *nativeLogin) HandleAuthPluginData(c *mysql.Conn, user string, salt, answer []byte, from net.Addr) (mysql.Getter, error) {
	return n.audit.guarded(n.locks, c, user, from, func() (mysql.Getter, error) { return n.check(c, user, salt, answer, from) })
}

func (n *nativeLogin) check(c *mysql.Conn, user string, salt, answer []byte, from net.Addr) (mysql.Getter, error) {
	noteTLS(c)
	a := n.grants.account(user, from)
	if err := a.admit(c); err != nil {
		return nil, err
	}
	right := a.secret == "" && len(answer) == 0
	if a.secret != "" && len(answer) == sha1.Size && len(salt) > 0 {
		hash, err := mysql.DecodeMysqlNativePasswordHex(a.secret)
		right = err == nil && mysql.VerifyHashedMysqlNativePassword(bytes.Clone(answer), salt[:len(salt)-1], hash)
	}
	if right && a.locked && a.found {
		return nil, a.lockedError(c)
	}
	if !right || a.locked {
		return nil, a.denied(c, len(answer) > 0)
	}
	return a.granted(), nil
}

// sha2Login is caching_sha2_password.
type sha2Login struct {
	grants  *grants
	locks   *lockouts
	audit   *loginAudit
	hashing chan struct{} // one place for each password being hashed

	key struct {
		once    sync.Once
		private *rsa.PrivateKey
		public  []byte
		err     error
	}

	// mu guards known: SHA256(SHA256(password)) of passwords that were right, by
	// account and stored password, so that a change of the latter ends it.
	mu    sync.Mutex
	known map[string][sha256.Size]byte
}

// Name is the method's name in the protocol.
func (s *sha2Login) Name() mysql.AuthMethodDescription { return mysql.CachingSha2Password }

// HandleUser reports whether the user logs in by this method.
func (s *sha2Login) HandleUser(c *mysql.Conn, user string) bool {
	noteTLS(c)
	a := s.grants.account(user, c.RemoteAddr())
	return a.plugin == string(s.Name())
}

// AllowClearTextWithoutTLS is true: without TLS the password is sent under the
// server's key.
func (s *sha2Login) AllowClearTextWithoutTLS() bool { return true }

// AuthPluginData is the scramble.
func (s *sha2Login) AuthPluginData() ([]byte, error) { return scramble() }

// HandleAuthPluginData checks the client's answer: at once where the password
// is known, else by asking for the password itself.
func (s *sha2Login) HandleAuthPluginData(c *mysql.Conn, user string, salt, answer []byte, from net.Addr) (mysql.Getter, error) {
	return s.audit.guarded(s.locks, c, user, from, func() (mysql.Getter, error) { return s.check(c, user, salt, answer, from) })
}

func (s *sha2Login) check(c *mysql.Conn, user string, salt, answer []byte, from net.Addr) (mysql.Getter, error) {
	noteTLS(c)
	a := s.grants.account(user, from)
	if err := a.admit(c); err != nil {
		return nil, err
	}
	if len(salt) == 0 {
		return nil, a.denied(c, true)
	}
	salt = salt[:len(salt)-1]
	if len(answer) == 0 || len(answer) == 1 && answer[0] == 0 {
		if a.secret == "" && a.locked && a.found {
			return nil, a.lockedError(c)
		}
		if a.secret != "" || a.locked {
			return nil, a.denied(c, false)
		}
		return a.granted(), nil
	}
	w := wireOf(c)
	if hash, ok := s.knows(&a); ok && len(answer) == sha256.Size &&
		mysql.VerifyHashedCachingSha2Password(bytes.Clone(answer), salt, hash[:]) && !a.locked {
		return a.granted(), w.writeLogin([]byte{packetMore, sha2Fast})
	}
	if err := w.writeLogin([]byte{packetMore, sha2Full}); err != nil {
		return nil, err
	}
	password, err := s.password(c, w, salt)
	if err != nil {
		return nil, err
	}
	right := s.right(&a, password)
	if right && a.locked && a.found {
		return nil, a.lockedError(c)
	}
	if !right || a.locked {
		return nil, a.denied(c, true)
	}
	s.learn(&a, password)
	return a.granted(), nil
}

// password reads the client's password: as it is over TLS, else encrypted. On
// this machine MariaDB's client sends it as it is without TLS too.
func (s *sha2Login) password(c *mysql.Conn, w *wire, salt []byte) ([]byte, error) {
	b, err := w.loginPacket(c)
	if err != nil {
		return nil, err
	}
	plain := w.TLS() != nil || isLoopback(c.RemoteAddr()) && len(b) > 1 && len(b) < keyBits/8 && b[len(b)-1] == 0
	if !plain {
		if b, err = s.decrypt(c, w, b); err != nil {
			return nil, err
		}
		for i := range b {
			b[i] ^= salt[i%len(salt)]
		}
	}
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) > maxPassword {
		return nil, mysql.NewSQLError(mysql.ERAccessDeniedError, stateLogin, "Access denied: the password is longer than %d bytes", maxPassword)
	}
	return b, nil
}

// decrypt opens what the client encrypted with the server's key, which it may
// have to be given first.
func (s *sha2Login) decrypt(c *mysql.Conn, w *wire, b []byte) ([]byte, error) {
	s.key.once.Do(s.makeKey)
	if s.key.err != nil {
		return nil, s.key.err
	}
	if len(b) == 1 && b[0] == sha2RequestKey {
		if err := w.writeLogin(append([]byte{packetMore}, s.key.public...)); err != nil {
			return nil, err
		}
		var err error
		if b, err = w.loginPacket(c); err != nil {
			return nil, err
		}
	}
	open, err := rsa.DecryptOAEP(sha1.New(), nil, s.key.private, b, nil)
	if err != nil {
		return nil, mysql.NewSQLError(mysql.ERAccessDeniedError, stateLogin,
			"Access denied: the password was not encrypted with the server's key; let the client ask for it, or use TLS")
	}
	return open, nil
}

// makeKey draws the key that this process takes passwords under.
func (s *sha2Login) makeKey() {
	k := &s.key
	if k.private, k.err = rsa.GenerateKey(rand.Reader, keyBits); k.err != nil {
		return
	}
	der, err := x509.MarshalPKIXPublicKey(&k.private.PublicKey)
	k.err = err
	k.public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// right reports whether password is the account's.
func (s *sha2Login) right(a *account, password []byte) bool {
	if len(a.secret) != len(decoySecret) {
		return false
	}
	kind, rounds, salt, _, err := mysql.DeserializeCachingSha2PasswordAuthString([]byte(a.secret))
	if err != nil || kind != "SHA256" {
		return false
	}
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	got, err := mysql.SerializeCachingSha2PasswordAuthString(string(password), salt, rounds)
	return err == nil && subtle.ConstantTimeCompare(got, []byte(a.secret)) == 1
}

func (a *account) cacheKey() string { return a.name + "\x00" + a.host + "\x00" + a.secret }

func (s *sha2Login) knows(a *account) ([sha256.Size]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash, ok := s.known[a.cacheKey()]
	return hash, ok
}

func (s *sha2Login) learn(a *account, password []byte) {
	once := sha256.Sum256(password)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxCachedPasswords {
		clear(s.known)
	}
	s.known[a.cacheKey()] = sha256.Sum256(once[:])
}
