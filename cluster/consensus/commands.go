package consensus

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// Change is a change of the catalog.
type Change struct{ Change catalog.Change }

func (Change) kind() byte { return kindChange }

func (c Change) apply(n *State) error {
	next, err := n.Catalog.Apply(c.Change)
	if err == nil {
		n.Catalog = next
	}
	return err
}

// ChangeTables is a transaction on the mutable tables.
type ChangeTables struct{ Change tables.Change }

func (ChangeTables) kind() byte { return kindTables }

func (c ChangeTables) apply(n *State) error {
	next, err := n.tables().Apply(c.Change)
	if err == nil {
		n.Tables = next
	}
	return err
}

// Admit makes a new member, whose id was never one. Secret is a join token's,
// which it uses up; At, microseconds since 1970, is when.
type Admit struct {
	Member Member
	Secret []byte
	At     int64
}

func (Admit) kind() byte { return kindAdmit }

func (a Admit) apply(n *State) error {
	m := a.Member
	m.Standing, m.Generation, m.Losses = Admitted, 0, nil
	if err := m.validate(); err != nil {
		return err
	}
	at, found := n.search(m.ID)
	if found {
		return fmt.Errorf("member %s: %w", m.ID, ErrMemberExists)
	}
	if len(n.Members) >= MaxMembers {
		return fmt.Errorf("member %s: %w: there are %d members", m.ID, ErrLimit, len(n.Members))
	}
	hash := sha256.Sum256(a.Secret)
	i := slices.IndexFunc(n.Secrets, func(s Secret) bool { return s.Hash == hash })
	if i < 0 || n.Secrets[i].Expires <= a.At {
		return ErrSecret
	}
	n.Secrets = slices.Delete(slices.Clone(n.Secrets), i, i+1)
	n.Members = slices.Insert(slices.Clone(n.Members), at, &m)
	return nil
}

// Announce says that a member's process has started, and where and what it is.
// From then on its sessions before are no more.
type Announce struct{ Member Member }

func (Announce) kind() byte { return kindAnnounce }

func (a Announce) apply(n *State) error {
	return n.update(a.Member.ID, func(m *Member) error {
		if m.Session != a.Member.Session && a.Member.Boot <= m.Boot {
			return fmt.Errorf("%w: it starts for time %d, the member has started for time %d", ErrStaleBoot, a.Member.Boot, m.Boot)
		}
		standing, generation, losses := m.Standing, m.Generation, m.Losses
		*m = a.Member
		m.Standing, m.Generation, m.Losses = standing, generation, losses
		return m.validate()
	})
}

// Stand changes a member's standing. Removed is for ever.
type Stand struct {
	ID       MemberID
	Standing Standing
}

func (Stand) kind() byte { return kindStand }

func (s Stand) apply(n *State) error {
	if s.Standing < Admitted || s.Standing > Removed {
		return fmt.Errorf("%w: there is no such standing: %s", ErrMember, s.Standing)
	}
	if s.Standing != Admitted {
		others := slices.DeleteFunc(n.Present(), func(m *Member) bool { return m.ID == s.ID || m.Standing == Draining })
		if !slices.ContainsFunc(others, func(m *Member) bool { return m.Roles&RoleStorage != 0 }) {
			return fmt.Errorf("member %s: %w: no other member stores events", s.ID, ErrLastMember)
		}
	}
	return n.update(s.ID, func(m *Member) error {
		m.Standing = s.Standing
		return nil
	})
}

// Lost says that a member lost something that it had on disk: it goes on under
// its next generation. Generation is the one that is lost, but for the buckets that
// Kept has a bit for, the lowest first, which it still holds under the identities of
// before.
type Lost struct {
	ID         MemberID
	Generation uint32
	Kept       []byte `json:",omitempty"`
}

func (Lost) kind() byte { return kindLost }

func (l Lost) apply(n *State) error {
	return n.update(l.ID, func(m *Member) error {
		if m.Generation != l.Generation {
			return nil
		}
		if len(m.Losses) >= MaxLosses {
			return fmt.Errorf("%w: it lost something %d times; replace it", ErrLimit, len(m.Losses))
		}
		if m.Generation > 0 {
			m.Losses = append(slices.Clone(m.Losses), Loss{Generation: l.Generation, Kept: l.Kept})
		}
		m.Generation++
		return m.validate()
	})
}

// update changes a copy of a member that was not removed.
func (s *State) update(id MemberID, change func(*Member) error) error {
	i, found := s.search(id)
	if !found {
		return fmt.Errorf("member %s: %w", id, ErrNoMember)
	}
	if s.Members[i].Standing == Removed {
		return fmt.Errorf("member %s: %w", id, ErrRemoved)
	}
	m := *s.Members[i]
	if err := change(&m); err != nil {
		return fmt.Errorf("member %s: %w", id, err)
	}
	s.Members = slices.Clone(s.Members)
	s.Members[i] = &m
	return nil
}

// Place puts a placement in force, if that of the epoch before it is.
type Place struct {
	Epoch     uint64
	Placement []byte
}

func (Place) kind() byte { return kindPlace }

func (p Place) apply(n *State) error {
	if p.Epoch != n.PlacementEpoch+1 {
		return fmt.Errorf("%w: %d is in force, %d was to follow", ErrEpoch, n.PlacementEpoch, p.Epoch)
	}
	if len(p.Placement) > MaxPlacement {
		return fmt.Errorf("placement: %w: it has %d bytes, at most %d are possible", ErrLimit, len(p.Placement), MaxPlacement)
	}
	n.PlacementEpoch, n.Placement = p.Epoch, p.Placement
	return nil
}

// AddSecret lets one new member in, until the secret expires. At, microseconds
// since 1970, is when it was made; those that have expired by then are forgotten.
type AddSecret struct {
	Secret Secret
	At     int64
}

func (AddSecret) kind() byte { return kindAddSecret }

func (a AddSecret) apply(n *State) error {
	kept := slices.DeleteFunc(slices.Clone(n.Secrets), func(s Secret) bool { return s.Expires <= a.At })
	if len(kept) >= MaxSecrets {
		return fmt.Errorf("join token: %w: %d are waiting to be used", ErrLimit, len(kept))
	}
	n.Secrets = append(kept, a.Secret)
	return nil
}

// SetTrust replaces the cluster's certificate authority and keys.
type SetTrust struct{ Trust []byte }

func (SetTrust) kind() byte { return kindTrust }

func (t SetTrust) apply(n *State) error {
	if len(t.Trust) > MaxTrust {
		return fmt.Errorf("trust: %w: it has %d bytes, at most %d are possible", ErrLimit, len(t.Trust), MaxTrust)
	}
	n.Trust = t.Trust
	return nil
}
