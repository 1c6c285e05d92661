package member

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"arbor/cluster/consensus"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

// MemberID is a member's identity.
type MemberID = protocol.MemberID

// Errors of identities.
var (
	// ErrNoIdentity: the directory is no member's.
	ErrNoIdentity = errors.New("data directory is not a cluster member's")
	// ErrIdentity: the identity's file cannot be read.
	ErrIdentity = errors.New("member's identity cannot be read")
)

// identity is what a member keeps of itself. It is secret: it has the member's key.
type identity struct {
	Version int
	ID      string
	Cluster string
	// Joined says that the member joined a cluster which others began.
	Joined bool
	// Boot counts the starts of the directory.
	Boot uint64
	// Lost says that something was lost that the member had on disk, and that this
	// was not yet put on record.
	Lost bool
	// Stale says that the directory was refused since a later start of the member is
	// known: it may lack what came since.
	Stale bool `json:",omitempty"`
	// Generation is the newest that the member has taken up.
	Generation  uint32
	Key         []byte
	Certificate []byte
	Authority   []byte
	// Place is where the member is and what it does, as it was told last.
	Place Place
	// Members are addresses of others to begin with, by id.
	Members map[string][]string

	id, cluster MemberID
}

// Place is where a member is reached and what it does there.
type Place struct {
	// Listen is the address that the peer port is opened at.
	Listen string
	// Addresses are where others reach it, the best first.
	Addresses []string
	Zone      string
	Roles     consensus.Roles
}

const identityVersion = 1

func identityFile(dir string) string { return path.Join(dir, "cluster", "identity") }

// MetadataDir is where a member keeps what members agree on.
func MetadataDir(dir string) string { return path.Join(dir, "cluster", "metadata") }

// Kept says whether a data directory is a member's, and what it was told last. A
// directory in which a cluster was about to begin when the process ended is not.
func Kept(fsys vfs.FS, dir string) (p Place, ok bool, err error) {
	i, err := readIdentity(fsys, dir)
	if errors.Is(err, ErrNoIdentity) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	begun := i.Joined
	if !begun {
		if begun, err = consensus.Exists(fsys, MetadataDir(dir)); err != nil {
			return p, false, err
		}
	}
	return i.Place, begun, nil
}

func readIdentity(fsys vfs.FS, dir string) (*identity, error) {
	name := identityFile(dir)
	b, err := readFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoIdentity)
	}
	if err != nil {
		return nil, fmt.Errorf("read the member's identity: %w", err)
	}
	i := &identity{}
	if err := json.Unmarshal(b, i); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrIdentity, err)
	}
	if i.Version != identityVersion {
		return nil, fmt.Errorf("%s: %w: it has version %d, this arbor reads version %d", name, ErrIdentity, i.Version, identityVersion)
	}
	var ok, also bool
	i.id, ok = ParseID(i.ID)
	i.cluster, also = ParseID(i.Cluster)
	if !ok || !also {
		return nil, fmt.Errorf("%s: %w: it names no member", name, ErrIdentity)
	}
	return i, nil
}

// takeIdentity reads the identity for who writes it from now on: one process at a time,
// which holds the lock until it ends.
func takeIdentity(fsys vfs.FS, dir string) (*identity, io.Closer, error) {
	if _, err := readIdentity(fsys, dir); err != nil { // makes no lock where nobody is
		return nil, nil, err
	}
	lock, err := fsys.Lock(identityFile(dir) + ".lock")
	if err != nil {
		return nil, nil, fmt.Errorf("take the member's identity: %w", err)
	}
	i, err := readIdentity(fsys, dir)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return i, lock, nil
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	if _, err := fsys.Stat(name); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	b := make([]byte, size)
	if err == nil && size > 0 {
		_, err = f.ReadAt(b, 0)
	}
	return b, errors.Join(err, f.Close())
}

// write makes the identity durable, whole or not at all.
func (i *identity) write(fsys vfs.FS, dir string) error {
	i.Version, i.ID, i.Cluster = identityVersion, i.id.String(), i.cluster.String()
	if err := i.replace(fsys, identityFile(dir)); err != nil {
		return fmt.Errorf("write the member's identity: %w", err)
	}
	return nil
}

func (i *identity) replace(fsys vfs.FS, name string) error {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	if err := fsys.MkdirAll(path.Dir(name)); err != nil {
		return err
	}
	f, err := fsys.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(name+".new", name); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

func (i *identity) peer() *peer.Identity {
	return &peer.Identity{ID: i.id, Key: i.Key, Certificate: i.Certificate, Authority: i.Authority}
}

// keep takes over what proves the member.
func (i *identity) keep(p *peer.Identity) {
	i.id, i.Key, i.Certificate, i.Authority = p.ID, p.Key, p.Certificate, p.Authority
}

// ParseID reads a member's id as String writes it.
func ParseID(text string) (id MemberID, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, true
}
