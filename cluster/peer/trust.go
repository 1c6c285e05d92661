package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"arbor/cluster/protocol"
)

// MemberID is a member's identity.
type MemberID = protocol.MemberID

// Validity of certificates. A member is put out by the table of members, not by
// time; the authority's end is far.
const (
	certificateYears = 20
	clockSkew        = 24 * time.Hour
)

// GossipKeySize is AES-256's.
const GossipKeySize = 32

// Errors of trust.
var (
	// ErrTrust: keys or certificates are damaged, or not the cluster's.
	ErrTrust = errors.New("certificate is not the cluster's")
	// ErrToken: a join token cannot be read.
	ErrToken = errors.New("join token cannot be read")
)

// Trust is the cluster's certificate authority and gossip key. It is secret, and
// part of the metadata, so that any member can let another one in.
type Trust struct {
	Cluster MemberID
	// Certificate is the authority's, and Key the private key to it.
	Certificate []byte
	Key         []byte
	GossipKey   []byte
}

// NewTrust makes a cluster's authority and keys.
func NewTrust(cluster MemberID) (*Trust, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's authority: %w", err)
	}
	template := certificate("arbor cluster " + cluster.String())
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's authority: %w", err)
	}
	t := &Trust{Cluster: cluster, Certificate: der, Key: private.Seed(), GossipKey: make([]byte, GossipKeySize)}
	rand.Read(t.GossipKey) // never gives an error
	return t, nil
}

func certificate(name string) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial)
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().AddDate(certificateYears, 0, 0),
	}
}

// Encode gives the bytes for the metadata.
func (t *Trust) Encode() ([]byte, error) { return json.Marshal(t) }

// DecodeTrust reads what Encode wrote.
func DecodeTrust(b []byte) (*Trust, error) {
	t := &Trust{}
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	if _, err := x509.ParseCertificate(t.Certificate); err != nil || len(t.Key) != ed25519.SeedSize || len(t.GossipKey) != GossipKeySize {
		return nil, fmt.Errorf("%w: the authority's bytes are damaged", ErrTrust)
	}
	return t, nil
}

// Pin is SHA-256 of the authority's certificate.
func (t *Trust) Pin() [sha256.Size]byte { return sha256.Sum256(t.Certificate) }

// Sign gives a member's public key a certificate.
func (t *Trust) Sign(id MemberID, public ed25519.PublicKey) ([]byte, error) {
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("sign for member %s: %w: a key of %d bytes", id, ErrTrust, len(public))
	}
	parent, err := x509.ParseCertificate(t.Certificate)
	if err != nil {
		return nil, fmt.Errorf("sign for member %s: %w: %w", id, ErrTrust, err)
	}
	template := certificate("arbor member " + id.String())
	template.DNSNames = []string{id.String()}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, ed25519.NewKeyFromSeed(t.Key))
	if err != nil {
		return nil, fmt.Errorf("sign for member %s: %w", id, err)
	}
	return der, nil
}

// Identity is what a member proves itself by.
type Identity struct {
	ID MemberID
	// Key is the seed of its private key.
	Key []byte
	// Certificate is the member's, and Authority the cluster's.
	Certificate []byte
	Authority   []byte
}

// NewKey draws a member's key.
func NewKey() (seed []byte, public ed25519.PublicKey, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a member's key: %w", err)
	}
	return private.Seed(), public, nil
}

// NewIdentity makes a member's identity where the authority is at hand.
func (t *Trust) NewIdentity(id MemberID) (*Identity, error) {
	seed, public, err := NewKey()
	if err != nil {
		return nil, err
	}
	der, err := t.Sign(id, public)
	if err != nil {
		return nil, err
	}
	return &Identity{ID: id, Key: seed, Certificate: der, Authority: t.Certificate}, nil
}

// tls gives the identity's certificate with the authority's after it, and the
// pool of the authority alone.
func (i *Identity) tls() (tls.Certificate, *x509.CertPool, error) {
	authority, err := x509.ParseCertificate(i.Authority)
	if err != nil || len(i.Key) != ed25519.SeedSize {
		return tls.Certificate{}, nil, fmt.Errorf("identity of member %s: %w", i.ID, ErrTrust)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	leaf, err := x509.ParseCertificate(i.Certificate)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("identity of member %s: %w: %w", i.ID, ErrTrust, err)
	}
	if id, err := verify(leaf, pool); err != nil || id != i.ID {
		return tls.Certificate{}, nil, fmt.Errorf("identity of member %s: %w: it is of member %s: %w", i.ID, ErrTrust, id, err)
	}
	return tls.Certificate{Certificate: [][]byte{i.Certificate, i.Authority}, PrivateKey: ed25519.NewKeyFromSeed(i.Key), Leaf: leaf}, pool, nil
}

// verify says whose a certificate is, if it is of the pool's authority.
func verify(leaf *x509.Certificate, pool *x509.CertPool) (id MemberID, err error) {
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return id, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	return nameOf(leaf)
}

// nameOf is the member's id in a certificate that was verified.
func nameOf(leaf *x509.Certificate) (id MemberID, err error) {
	if len(leaf.DNSNames) != 1 {
		return id, fmt.Errorf("%w: it names %d members", ErrTrust, len(leaf.DNSNames))
	}
	b, err := hex.DecodeString(leaf.DNSNames[0])
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: it names no member", ErrTrust)
	}
	copy(id[:], b)
	return id, nil
}
