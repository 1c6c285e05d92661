package consensus

import (
	"errors"
	"fmt"
	"slices"

	"arbor/cluster/protocol"
)

// MemberID is a member's identity.
type MemberID = protocol.MemberID

// Roles say what a member does.
type Roles uint8

// The roles, and both.
const (
	RoleGateway Roles = 1
	RoleStorage Roles = 2
	RoleBoth          = RoleGateway | RoleStorage
)

// String is the role as --role takes it.
func (r Roles) String() string {
	switch r {
	case RoleGateway:
		return "gateway"
	case RoleStorage:
		return "storage"
	case RoleBoth:
		return "both"
	}
	return fmt.Sprintf("roles %d", uint8(r))
}

// Standing is how a member stands to the cluster.
type Standing uint8

// The standings.
const (
	// Admitted: it may do all that its roles say.
	Admitted Standing = 1 + iota
	// Draining: nothing new is placed on it, and what it has moves away.
	Draining
	// Removed: it is a member no more, and its id is never used again.
	Removed
)

// String is the standing as arbor.members shows it.
func (s Standing) String() string {
	switch s {
	case Admitted:
		return "admitted"
	case Draining:
		return "draining"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("standing %d", uint8(s))
}

// Session is 16 random bytes that a process draws when it starts: two processes
// with one data directory, or a copy of it, have different ones.
type Session [16]byte

// Member is one row of the table of members. Treat it as immutable.
type Member struct {
	ID MemberID
	// Addresses are where its peer port can be reached, the best first.
	Addresses []string
	Zone      string
	Roles     Roles
	Standing  Standing
	// Session and Boot are of the process that announced itself last; Boot counts
	// the starts of the data directory.
	Session Session
	Boot    uint64
	// Generation goes up when it lost anything that it had on disk.
	Generation uint32
	// Losses say what was lost each time.
	Losses []Loss `json:",omitempty"`
	// Release is the arbor that it runs, and Format the newest version of messages
	// and files that it reads and writes.
	Release string
	Format  uint32
}

// Loss ends the identities of a member up to a generation, in all buckets but those
// that Kept has a bit for, the lowest first.
type Loss struct {
	Generation uint32
	Kept       []byte `json:",omitempty"`
}

// Lost says whether the member's identity of a generation is lost in a bucket.
func (m *Member) Lost(bucket int, generation uint32) bool {
	return slices.ContainsFunc(m.Losses, func(l Loss) bool {
		return generation <= l.Generation && (bucket/8 >= len(l.Kept) || l.Kept[bucket/8]&(1<<(bucket%8)) == 0)
	})
}

// Limits of members.
const (
	MaxLosses       = 1000
	MaxKeptBytes    = protocol.Buckets / 8
	MaxMembers      = 10_000 // removed ones included
	MaxAddresses    = 8
	MaxAddressBytes = 255
	MaxZoneBytes    = 64
	MaxReleaseBytes = 64
)

// Errors about members.
var (
	// ErrMember: what is said of a member is not allowed.
	ErrMember = errors.New("member not allowed")
	// ErrNoMember: there is no such member.
	ErrNoMember = errors.New("no such member")
	// ErrMemberExists: that id is, or was, a member's.
	ErrMemberExists = errors.New("member id was used already")
	// ErrRemoved: the member was removed, and its id is not used again.
	ErrRemoved = errors.New("member was removed")
	// ErrStaleBoot: another process of that member started as often or more often:
	// this one has a copy of the data directory, or an older state of it.
	ErrStaleBoot = errors.New("data directory is a copy or an older state of the member's")
	// ErrLastMember: the last member, or the last with storage, cannot go.
	ErrLastMember = errors.New("it is the last of its kind")
	// ErrSecret: there is no such join secret, or its time is over.
	ErrSecret = errors.New("join token is not valid, was used, or has expired")
	// ErrEpoch: the placement was changed by somebody else.
	ErrEpoch = errors.New("placement has another epoch")
	// ErrLimit: there would be more than there may be.
	ErrLimit = errors.New("limit exceeded")
)

func (m *Member) validate() error {
	switch {
	case m.ID == MemberID{}:
		return fmt.Errorf("%w: it has no id", ErrMember)
	case m.Roles&^RoleBoth != 0 || m.Roles == 0:
		return fmt.Errorf("%w: there is no such role: %s", ErrMember, m.Roles)
	case len(m.Addresses) == 0 || len(m.Addresses) > MaxAddresses:
		return fmt.Errorf("%w: it has %d addresses, from 1 to %d can be", ErrMember, len(m.Addresses), MaxAddresses)
	case slices.ContainsFunc(m.Addresses, func(a string) bool { return a == "" || len(a) > MaxAddressBytes }):
		return fmt.Errorf("%w: an address is empty or longer than %d bytes", ErrMember, MaxAddressBytes)
	case len(m.Zone) > MaxZoneBytes:
		return fmt.Errorf("%w: its zone has %d bytes, at most %d are possible", ErrMember, len(m.Zone), MaxZoneBytes)
	case slices.ContainsFunc(m.Losses, func(l Loss) bool { return len(l.Kept) > MaxKeptBytes }):
		return fmt.Errorf("%w: it kept more buckets than there are", ErrMember)
	case len(m.Release) > MaxReleaseBytes:
		return fmt.Errorf("%w: its release has %d bytes, at most %d are possible", ErrMember, len(m.Release), MaxReleaseBytes)
	}
	return nil
}
