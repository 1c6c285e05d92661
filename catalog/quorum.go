package catalog

import (
	"fmt"
	"slices"
)

// quorumVersion is the first version of a catalog's encoding in which projects have a
// write quorum. A catalog in which none has is written in the version before.
const quorumVersion = 5

// SetWriteQuorum says how many members must have a project's events on disk before they
// are acknowledged; 0 goes back to a majority of the replicas.
type SetWriteQuorum struct {
	Project ProjectID
	Members uint8
}

func (s SetWriteQuorum) apply(n *next) error {
	p, err := n.project(s.Project)
	if err != nil {
		return err
	}
	if s.Members > MaxWriteQuorum {
		return fmt.Errorf("%w: a write quorum of %d members, at most %d are possible", ErrLimit, s.Members, MaxWriteQuorum)
	}
	p.WriteQuorum = s.Members
	return nil
}

func (SetWriteQuorum) kind() uint8 { return kindSetWriteQuorum }

func (s SetWriteQuorum) code(k *coder) Change {
	unsigned(k, "project", &s.Project)
	unsigned(k, "members", &s.Members)
	return s
}

// HasWriteQuorum says whether any project has one of its own.
func (c *Catalog) HasWriteQuorum() bool {
	return slices.ContainsFunc(c.Projects, func(p *Project) bool { return p.WriteQuorum > 0 })
}
