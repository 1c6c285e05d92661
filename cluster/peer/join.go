package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxJoinBytes bounds a request to join.
const maxJoinBytes = 64 << 10

// JoinRequest is what a new member asks.
type JoinRequest struct {
	Cluster MemberID
	ID      MemberID
	Secret  []byte
	// Public is the key that the member wants a certificate for.
	Public ed25519.PublicKey
	// Member is the rest of what it says of itself, in its owner's encoding.
	Member []byte
}

// JoinAnswer is what a new member is given.
type JoinAnswer struct {
	Certificate []byte
	// Members are the addresses of members, by id, to begin with.
	Members map[string][]string
}

// answerJoin is open to anybody: the secret is looked at by Options.Join.
func (n *Node) answerJoin(s grpc.ServerStream) error {
	if n.o.Join == nil {
		return status.Error(codes.Unimplemented, "no such call")
	}
	select {
	case n.joins <- struct{}{}:
		defer func() { <-n.joins }()
	default:
		return status.Error(codes.Unavailable, "too many members join at once; try again")
	}
	var encoded []byte
	if err := s.RecvMsg(&encoded); err != nil {
		return err
	}
	r := &JoinRequest{}
	if len(encoded) > maxJoinBytes || json.Unmarshal(encoded, r) != nil || len(r.Public) != ed25519.PublicKeySize {
		return status.Error(codes.InvalidArgument, "not a request to join")
	}
	answer, err := n.o.Join(s.Context(), r)
	if err != nil {
		n.o.Logger.Warn("a member was not let in", "member", r.ID, "error", err)
		return remote(err)
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return remote(err)
	}
	return s.SendMsg(&b)
}

// Join asks the member at an address to be let in by a token, and gives the
// identity to go on with. The member at the address is known by the token's pin.
func Join(ctx context.Context, address string, token Token, id MemberID, member []byte) (*Identity, *JoinAnswer, error) {
	i, a, err := join(ctx, address, token, id, member)
	if err != nil {
		return nil, nil, fmt.Errorf("join at %s: %w", address, err)
	}
	return i, a, nil
}

func join(ctx context.Context, address string, token Token, id MemberID, member []byte) (*Identity, *JoinAnswer, error) {
	seed, public, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	request, err := json.Marshal(&JoinRequest{Cluster: token.Cluster, ID: id, Secret: token.Secret[:], Public: public, Member: member})
	if err != nil {
		return nil, nil, err
	}
	var authority []byte
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocolCalls},
		// No name is known yet; whoever the authority of the token's pin has signed is believed.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			var err error
			authority, err = pinned(s, token.Pin)
			return err
		},
	}
	var dialer net.Dialer
	conn, err := dialGRPC(address, config, func(ctx context.Context, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	})
	if err != nil {
		return nil, nil, err
	}
	var encoded []byte
	err = errors.Join(conn.Invoke(ctx, service+callJoin, &request, &encoded), conn.Close())
	if err != nil {
		return nil, nil, local(ctx, MemberID{}, err)
	}
	answer := &JoinAnswer{}
	if err := json.Unmarshal(encoded, answer); err != nil {
		return nil, nil, fmt.Errorf("the answer cannot be read: %w", err)
	}
	identity := &Identity{ID: id, Key: seed, Certificate: answer.Certificate, Authority: authority}
	if _, _, err := identity.tls(); err != nil {
		return nil, nil, err
	}
	return identity, answer, nil
}

// pinned gives the authority that a connection showed, if it is the token's and
// has signed the member on the other side.
func pinned(s tls.ConnectionState, pin [sha256.Size]byte) (authority []byte, err error) {
	for _, c := range s.PeerCertificates {
		if sha256.Sum256(c.Raw) != pin {
			continue
		}
		pool := x509.NewCertPool()
		pool.AddCert(c)
		if _, err := verify(s.PeerCertificates[0], pool); err != nil {
			return nil, err
		}
		return c.Raw, nil
	}
	return nil, fmt.Errorf("%w: the token is of another", ErrTrust)
}
