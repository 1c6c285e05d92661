package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// shown is the certificate that a client is shown.
func shown(t *testing.T, c *certificate) *x509.Certificate {
	t.Helper()
	pair, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestOwnCertificate(t *testing.T) {
	data, logger := t.TempDir(), slog.New(slog.DiscardHandler)
	first, err := ownCertificate(data, []string{"192.0.2.7:3306", "db.example:8080", "0.0.0.0:1"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	leaf := shown(t, first)
	for _, name := range []string{"localhost", "127.0.0.1", "192.0.2.7", "db.example"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	again, err := ownCertificate(data, nil, logger)
	if err != nil || !bytes.Equal(shown(t, again).Raw, leaf.Raw) {
		t.Errorf("the second start has another certificate; %v", err)
	}
	if info, err := os.Stat(filepath.Join(data, "tls", "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	ended := make(chan error, 1)
	go func() { ended <- tls.Server(server, &tls.Config{GetCertificate: first.get}).Handshake() }()
	if err := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: "localhost"}).Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestCertificatesAreReadAgain changes the files under a server: half of a change, and
// what is no certificate, leave the last one.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	made := func() (cert, key []byte) {
		t.Helper()
		other := t.TempDir()
		if err := makeCertificate(other, filepath.Join(other, "c"), filepath.Join(other, "k"), nil); err != nil {
			t.Fatal(err)
		}
		cert, err := os.ReadFile(filepath.Join(other, "c"))
		if err != nil {
			t.Fatal(err)
		}
		if key, err = os.ReadFile(filepath.Join(other, "k")); err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	at := time.Unix(1_700_000_000, 0)
	oldCert, oldKey := made()
	newCert, newKey := made()
	write("c", oldCert, at)
	write("k", oldKey, at)
	c, err := openCertificate(filepath.Join(dir, "c"), filepath.Join(dir, "k"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	old := shown(t, c)
	write("c", newCert, at.Add(time.Second)) // with the old key
	if !shown(t, c).Equal(old) {
		t.Error("half of a change is in force")
	}
	write("k", newKey, at.Add(time.Second))
	fresh := shown(t, c)
	if fresh.Equal(old) {
		t.Error("the change is not in force")
	}
	write("c", []byte("nothing"), at.Add(2*time.Second))
	if !shown(t, c).Equal(fresh) {
		t.Error("what is no certificate is in force")
	}
	if err := os.Remove(filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	if !shown(t, c).Equal(fresh) {
		t.Error("a file that is gone took the certificate with it")
	}
	if _, err := openCertificate(filepath.Join(dir, "c"), filepath.Join(dir, "k"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a server starts without its certificate")
	}
}
