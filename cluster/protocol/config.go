package protocol

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
)

// Buckets is how many virtual buckets there are. It is part of the format:
// another number would part duplicates from their originals.
const Buckets = 1024

// Bucket is a virtual bucket, below Buckets.
type Bucket uint16

// BucketOf is the virtual bucket of a shard: the day has no part in it.
func BucketOf(k catalog.ShardKey) Bucket {
	var b [6]byte
	binary.LittleEndian.PutUint32(b[:], uint32(k.Project))
	binary.LittleEndian.PutUint16(b[4:], k.Bucket)
	return Bucket(xxh3.Hash(b[:]) % Buckets)
}

// MemberID is 16 random bytes that a member draws when its directory is made.
type MemberID [16]byte

// String is the id in hexadecimal.
func (m MemberID) String() string { return hex.EncodeToString(m[:]) }

// Replica is the identity under which a member holds buckets. The generation
// goes up when the member lost anything that it had on disk; a generation that
// was lost never acknowledges, reports or votes again.
type Replica struct {
	Member     MemberID
	Generation uint32
}

// String is the replica as the beginning of the member's id and the generation.
func (r Replica) String() string { return fmt.Sprintf("%x.%d", r.Member[:2], r.Generation) }

// Config says who holds a bucket. While New is empty the config is settled and
// Old are the holders. Otherwise it is joint: the bucket is on its way from Old to
// New, writes need a majority of each, and so do reads.
type Config struct {
	// Epoch goes up with every config of the bucket. 0 is no config at all.
	Epoch uint64
	Old   []Replica
	New   []Replica
}

// Joint says whether the bucket is on its way.
func (c *Config) Joint() bool { return len(c.New) > 0 }

// Members are Old ∪ New, each once.
func (c *Config) Members() []Replica {
	all := slices.Clone(c.Old)
	for _, r := range c.New {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Has says whether r is one of the members.
func (c *Config) Has(r Replica) bool { return slices.Contains(c.Old, r) || slices.Contains(c.New, r) }

// Quorum says whether those that has accepts are a majority of Old, and of New
// if there is one.
func (c *Config) Quorum(has func(Replica) bool) bool {
	return majority(c.Old, has) && (!c.Joint() || majority(c.New, has))
}

// QuorumOf is Quorum where at least so many members have to accept. Each active set
// needs that many, or all that it has where that is fewer, and all of them together
// as many.
func (c *Config) QuorumOf(least int, has func(Replica) bool) bool {
	return c.Quorum(has) && (least <= 1 ||
		accepting(c.Old, has) >= min(least, len(c.Old)) && accepting(c.New, has) >= min(least, len(c.New)) && accepting(c.Members(), has) >= least)
}

// Equal says whether two configs are the same.
func (c *Config) Equal(o *Config) bool {
	return c.Epoch == o.Epoch && slices.Equal(c.Old, o.Old) && slices.Equal(c.New, o.New)
}

// String is the config as epoch{old → new}.
func (c Config) String() string {
	if c.Joint() {
		return fmt.Sprintf("%d{%v → %v}", c.Epoch, c.Old, c.New)
	}
	return fmt.Sprintf("%d{%v}", c.Epoch, c.Old)
}

// majority says whether has accepts more than half of the set.
func majority(set []Replica, has func(Replica) bool) bool {
	return accepting(set, has) > len(set)/2
}

func accepting(set []Replica, has func(Replica) bool) (n int) {
	for _, r := range set {
		if has(r) {
			n++
		}
	}
	return n
}
