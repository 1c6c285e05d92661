package member

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"arbor/cluster/consensus"
	"arbor/cluster/peer"
	"arbor/engine/vfs"
)

// Joining is what a member joins by.
type Joining struct {
	FS  vfs.FS
	Dir string
	// At are addresses of members' peer ports, which are tried in turn.
	At      []string
	Token   peer.Token
	Place   Place
	Release string
	// Format is as in Options.
	Format uint32
}

// Errors of joining.
var (
	// ErrHasData: a directory that has data of its own cannot join.
	ErrHasData = errors.New("data directory has data of its own")
	// ErrOtherCluster: the directory or the token is of another cluster.
	ErrOtherCluster = errors.New("it is of another cluster")
)

// joinWithin bounds one try to join.
const joinWithin = 10 * time.Second

// Join makes an empty data directory a member's. The id is drawn for every try, so
// none is used twice; a try whose answer got lost leaves a member in the table that
// never started, which CALL arbor.remove takes out.
func Join(ctx context.Context, o Joining) error {
	if err := empty(o.FS, o.Dir); err != nil {
		return fmt.Errorf("join a cluster: %w", err)
	}
	var failed error
	for _, at := range o.At {
		err := joinAt(ctx, o, at)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return fmt.Errorf("join a cluster: %w", failed)
}

// CheckToken refuses a token of another cluster than the one that the directory is
// a member of.
func CheckToken(fsys vfs.FS, dir string, token peer.Token) error {
	i, err := readIdentity(fsys, dir)
	if err != nil {
		return err
	}
	if token.Cluster != i.cluster {
		return fmt.Errorf("data directory %s is a member's of cluster %s, and the token is of cluster %s: %w", dir, i.cluster, token.Cluster, ErrOtherCluster)
	}
	return nil
}

func joinAt(ctx context.Context, o Joining, at string) error {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	var id MemberID
	rand.Read(id[:]) // never gives an error
	if o.Format == 0 {
		o.Format = format
	}
	self, err := json.Marshal(consensus.Member{ID: id, Addresses: o.Place.Addresses, Zone: o.Place.Zone, Roles: o.Place.Roles, Release: o.Release, Format: o.Format})
	if err != nil {
		return err
	}
	proof, answer, err := peer.Join(ctx, at, o.Token, id, self)
	if err != nil {
		return err
	}
	i := &identity{cluster: o.Token.Cluster, Joined: true, Place: o.Place, Members: answer.Members}
	i.keep(proof)
	return i.write(o.FS, o.Dir)
}

// empty refuses a directory that somebody has stored something in.
func empty(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "lock" || strings.TrimSuffix(name, "/") == "lost+found" {
			continue
		}
		if strings.TrimSuffix(name, "/") == "cluster" { // a try to found or join that ended early
			begun, err := consensus.Exists(fsys, MetadataDir(dir))
			if err != nil {
				return err
			}
			if !begun {
				continue
			}
		}
		return fmt.Errorf("%w: %s; a new member begins with an empty directory (choose one with --data), and the cluster gives it its part of the events", ErrHasData, path.Join(dir, name))
	}
	return nil
}

// admit lets a new member in: peer.Options.Join.
func (m *Member) admit(ctx context.Context, r *peer.JoinRequest) (*peer.JoinAnswer, error) {
	group, err := m.ready()
	if err != nil {
		return nil, err
	}
	if r.Cluster != m.identity.cluster {
		return nil, fmt.Errorf("join cluster %s: %w than %s", r.Cluster, ErrOtherCluster, m.identity.cluster)
	}
	var self consensus.Member
	if err := json.Unmarshal(r.Member, &self); err != nil {
		return nil, fmt.Errorf("what the new member says of itself cannot be read: %w", err)
	}
	self.ID = r.ID
	if needed := formatOf(group.State().Catalog); self.Format < needed {
		return nil, fmt.Errorf("the new member knows version %d of what members keep, and the cluster needs version %d: start it with a newer arbor", self.Format, needed)
	}
	trust, err := peer.DecodeTrust(group.State().Trust)
	if err != nil {
		return nil, err
	}
	certificate, err := trust.Sign(r.ID, r.Public)
	if err != nil {
		return nil, err
	}
	s, err := group.Apply(ctx, consensus.Admit{Member: self, Secret: r.Secret, At: time.Now().UnixMicro()})
	if err != nil {
		return nil, err
	}
	m.logger.Info("a member was admitted", "member", r.ID, "addresses", self.Addresses, "zone", self.Zone, "role", self.Roles.String())
	answer := &peer.JoinAnswer{Certificate: certificate, Members: map[string][]string{}}
	for _, other := range s.Present() {
		if other.ID != r.ID {
			answer.Members[other.ID.String()] = other.Addresses
		}
	}
	return answer, nil
}

// JoinToken makes a token by which one new member joins, for a time.
func (m *Member) JoinToken(ctx context.Context, validFor time.Duration) (string, error) {
	group, err := m.ready()
	if err != nil {
		return "", err
	}
	trust, err := peer.DecodeTrust(group.State().Trust)
	if err != nil {
		return "", err
	}
	token := trust.NewToken()
	now := time.Now()
	secret := consensus.Secret{Hash: token.Hash(), Expires: now.Add(validFor).UnixMicro()}
	if _, err := m.apply(ctx, consensus.AddSecret{Secret: secret, At: now.UnixMicro()}); err != nil {
		return "", err
	}
	return token.String(), nil
}
