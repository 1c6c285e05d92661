package member

import (
	"fmt"
	"log/slog"
	"slices"

	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

// Recovered says what a member goes on with.
type Recovered struct {
	ID      MemberID
	Version uint64 // of the metadata
	// Alone counts the buckets that went on with the replicas that are left, since most
	// of them were on lost members: what only the lost ones had is lost.
	Alone int
	// Gone are the buckets all of whose replicas were on lost members. They stay as they
	// are: nobody can answer for them.
	Gone []protocol.Bucket
}

// LostOthers stands for all members but the one that is recovered.
const LostOthers = "others"

// Recover makes the member of a data directory the only one that votes on the
// metadata, with what it knows: for a cluster most of whose voters are lost for
// good. No process may have the directory open, and all other members have to be
// stopped. Buckets most of whose replicas are on members that lost names, by their ids
// or beginnings of them, or LostOthers, go on with the replicas that are left.
func Recover(fsys vfs.FS, dir string, lost []string, logger *slog.Logger) (r Recovered, err error) {
	i, err := readIdentity(fsys, dir)
	if err != nil {
		return r, err
	}
	r.ID = i.id
	if begun, err := consensus.Exists(fsys, MetadataDir(dir)); err != nil || !begun {
		return r, fmt.Errorf("recover the metadata of %s: %w: it was never told what the cluster agreed on", dir, ErrNotHeard)
	}
	giveUp := func(s *consensus.State, p *protocol.Placement) error {
		var gone []MemberID
		for _, name := range lost {
			if name == LostOthers {
				for _, m := range s.Present() {
					if m.ID != i.id {
						gone = append(gone, m.ID)
					}
				}
				continue
			}
			m, err := find(s, name)
			if err != nil {
				return err
			}
			if m.ID == i.id {
				return refused("member %s is the one that goes on, so it is not lost", m.ID)
			}
			gone = append(gone, m.ID)
		}
		r.Alone, r.Gone = giveUpReplicas(s, p, gone)
		return nil
	}
	r.Version, err = consensus.Recover(consensus.Options{FS: fsys, Dir: MetadataDir(dir), ID: i.id, Logger: logger}, giveUp)
	return r, err
}

// giveUpReplicas leaves lost members out of the configs that have no majority without
// them. A replica that is lost otherwise counts as theirs. A change of such a bucket
// that was under way goes on to those of its new replicas that are left.
func giveUpReplicas(s *consensus.State, p *protocol.Placement, lost []MemberID) (alone int, gone []protocol.Bucket) {
	if len(lost) == 0 {
		return 0, nil
	}
	for b := range p.Configs {
		c := &p.Configs[b]
		if c.Epoch == 0 {
			continue
		}
		lasts := func(r protocol.Replica) bool {
			m, known := s.Member(r.Member)
			return known && m.Standing != consensus.Removed && !slices.Contains(lost, r.Member) && !m.Lost(b, r.Generation)
		}
		without := func(set []protocol.Replica) []protocol.Replica {
			return slices.DeleteFunc(slices.Clone(set), func(r protocol.Replica) bool { return !lasts(r) })
		}
		switch left := without(c.Old); {
		case len(left) > len(c.Old)/2 && (!c.Joint() || len(without(c.New)) > len(c.New)/2):
		case len(left) > len(c.Old)/2: // the change leads to where most are lost
			c.New = nil
		case len(left) == 0:
			gone = append(gone, protocol.Bucket(b))
		default:
			if c.Old, c.New = left, without(c.New); slices.Equal(c.Old, c.New) {
				c.New = nil
			}
			alone++
		}
	}
	return alone, gone
}
