package sqltests

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight/flightsql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"arbor/gateway"
	"arbor/sqltests/stack"
)

// newCertificate makes a certificate for this machine that signs itself, and the pool of
// those who trust it.
func newCertificate(t *testing.T, serial int64) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "arbor"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// serveEncrypted serves MySQL with TLS, as a server does on all of its ports.
func serveEncrypted(t *testing.T, g *gateway.Gateway, c *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = g.JoinMySQL(l)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.ServeMySQL(ctx, gateway.MySQLOptions{Listener: l, TLS: c}) }() // ends with ctx
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestFlightEncrypted has clients that trust the server, that trust another one, and that
// do not encrypt; and a certificate that changes while the server runs.
func TestFlightEncrypted(t *testing.T) {
	s := stack.New(t)
	s.Project(t, "shop")
	for _, statement := range []string{"CREATE USER eve IDENTIFIED BY 'pw' REQUIRE SSL", "GRANT SELECT, INSERT ON shop.* TO eve", "ALTER USER root@localhost IDENTIFIED BY 'rootpw'"} {
		s.Rows(t, statement)
	}
	first, trusted := newCertificate(t, 1)
	second, later := newCertificate(t, 2)
	var current atomic.Pointer[tls.Certificate]
	current.Store(first)
	server := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}
	serveEncrypted(t, s.Gateway, server)
	c, address := flightAt(t, s.Gateway, server, credentials.NewClientTLSFromCert(trusted, ""))
	ctx := context.Background()
	eve, err := c.Client.AuthenticateBasicToken(ctx, "eve", "pw")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.ExecuteUpdate(eve, "INSERT INTO shop.events (event, time, insert_id) VALUES ('A', '2026-01-03', '1')"); err != nil || n != 1 {
		t.Errorf("INSERT gives %d, %v", n, err)
	}
	wantFlight(t, eve, c, "SELECT event, insert_id FROM shop.events", "A|1")
	p, err := c.Prepare(eve, "SELECT event FROM shop.events WHERE insert_id = ?")
	if err != nil {
		t.Fatal(err)
	}
	p.SetParameters(parameters(texts("1")))
	info, err := p.Execute(eve)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := flightRows(eve, c, info); err != nil || len(got) != 1 || got[0] != "A" {
		t.Errorf("a prepared statement gives %q, %v", got, err)
	}
	_, err = c.Client.AuthenticateBasicToken(ctx, "eve", "wrong")
	wantCode(t, "a wrong password", err, codes.Unauthenticated)

	ask := func(c credentials.TransportCredentials) error {
		t.Helper()
		client, err := flightsql.NewClient(address, nil, nil, grpc.WithTransportCredentials(c))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		within, cancel := context.WithTimeout(ctx, time.Minute) // bounds a failure
		defer cancel()
		eve, err := client.Client.AuthenticateBasicToken(within, "eve", "pw")
		if err == nil {
			_, err = flightAsk(eve, client, "SELECT COUNT(*) FROM shop.events")
		}
		return err
	}
	wantCode(t, "a client without TLS", ask(insecure.NewCredentials()), codes.Unavailable)
	wantCode(t, "a client that trusts another", ask(credentials.NewClientTLSFromCert(later, "")), codes.Unavailable)
	current.Store(second)
	if err := ask(credentials.NewClientTLSFromCert(later, "")); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	wantCode(t, "a client that trusts the old certificate", ask(credentials.NewClientTLSFromCert(trusted, "")), codes.Unavailable)
}
