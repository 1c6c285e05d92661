package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ownCertificateYears is how long a certificate is good that the server makes itself.
// Nobody renews it, and who trusts it trusts this very one.
const ownCertificateYears = 10

// certificate is what the ports show of who they are, read anew when its files change:
// at the next handshake, so that nothing has to be told or restarted.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	seen    [2]fileState // of what was read last, right or not
}

// fileState tells whether a file is another than before.
type fileState struct {
	size     int64
	modified time.Time
}

// openCertificate reads a certificate and its key.
func openCertificate(certFile, keyFile string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	var err error
	if c.seen, err = c.states(); err == nil {
		c.current, err = c.read()
	}
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s --tls-key %s: %w", certFile, keyFile, err)
	}
	return c, nil
}

func (c *certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	return &pair, err
}

func (c *certificate) states() (s [2]fileState, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = fileState{info.Size(), info.ModTime()}
	}
	return s, nil
}

// get is the certificate for a handshake. One that cannot be read, such as half of a
// renewal, leaves the last one in force, and is tried again when the files change.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	states, err := c.states()
	if err != nil || states == c.seen {
		return c.current, nil
	}
	c.seen = states
	pair, err := c.read()
	if err != nil {
		c.logger.Error("read the certificate that has changed; the last one stays", "file", c.certFile, "error", err)
		return c.current, nil
	}
	c.current = pair
	c.logger.Info("the certificate has changed", "file", c.certFile)
	return c.current, nil
}

// ownCertificate is the certificate that the server makes itself, in its data directory,
// for when it has no other: made when there is none.
func ownCertificate(data string, addresses []string, logger *slog.Logger) (*certificate, error) {
	dir := filepath.Join(data, "tls")
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := os.Stat(certFile); errors.Is(err, fs.ErrNotExist) {
		if err := makeCertificate(dir, certFile, keyFile, addresses); err != nil {
			return nil, fmt.Errorf("make a certificate in %s: %w", dir, err)
		}
	}
	c, err := openCertificate(certFile, keyFile, logger)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(c.current.Certificate[0])
	logger.Warn("the ports use a certificate that this server made itself: give it to clients to trust, or use --tls-cert and --tls-key",
		"file", certFile, "sha256", hex.EncodeToString(sum[:]))
	return c, nil
}

// makeCertificate makes a key and a certificate that signs itself. The certificate is
// written last: until it is there, nothing is.
func makeCertificate(dir, certFile, keyFile string, addresses []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "arbor"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(ownCertificateYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		template.DNSNames = append(template.DNSNames, name)
	}
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err == nil && ip != nil && !ip.IsUnspecified() {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if err == nil && host != "" && ip == nil {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	half := certFile + ".tmp"
	if err := os.WriteFile(half, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return os.Rename(half, certFile)
}
