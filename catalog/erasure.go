package catalog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Errors of erasures.
var (
	// ErrErasurePending: the user's erasure has begun and is not over.
	ErrErasurePending = errors.New("erasure is under way")
	// ErrNoErasure: there is no such erasure, or it is not in the state for it.
	ErrNoErasure = errors.New("no such erasure")
	// ErrEraseKey: the hash was made with another key than the catalog's.
	ErrEraseKey = errors.New("user's hash is of another key")
)

// Limits of erasures.
const (
	// MaxErasures is how many a catalog remembers: each is a user who must not come
	// back.
	MaxErasures = 10_000
	// maxErasedShards bounds the shards that events were erased from.
	maxErasedShards = 1 << 22
)

// EraseKey is the key of all hashes of erased users, or zero before the first.
type EraseKey [32]byte

// UserHash stands for an erased user: HMAC-SHA256 of the project's number and the
// distinct id. The id itself is nowhere.
type UserHash [32]byte

// HashUser is a user's hash.
func (k EraseKey) HashUser(p ProjectID, distinctID string) (h UserHash) {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(p)))
	mac.Write([]byte(distinctID))
	mac.Sum(h[:0])
	return h
}

// RecordSum is the count of a set of records, and the halves of their digest.
type RecordSum [3]uint64

// ErasureState says how far an erasure has come.
type ErasureState uint8

// The states of an erasure, in their order. From the first on nobody sees the events,
// and none comes in again.
const (
	ErasureBegun   ErasureState = iota // hidden and suppressed
	ErasureCounted                     // what is to be removed is on record
	ErasureDone                        // it is nowhere any more
)

func (s ErasureState) String() string {
	return [...]string{"begun", "counted", "done"}[s]
}

// Erasure removes a user's events with an ingest id at or below its own, for good, and
// keeps them from coming back.
type Erasure struct {
	Project ProjectID
	ID      IngestID
	Bucket  uint16
	User    UserHash
	State   ErasureState
	// DoneAt is when it was done, in microseconds since 1970; 0 before.
	DoneAt int64
	// Before is what the shards that had events of the user held, and Removed what
	// of that was removed. The rest is what they held after it.
	Before, Removed RecordSum
	// Rows is how many rows of mutable tables were removed.
	Rows uint64
}

// ErasedShard counts the events that erasures removed from a shard.
type ErasedShard struct {
	Shard  ShardKey
	Events uint64
}

// Suppression says of the events of a project's user bucket which are erased.
type Suppression struct {
	project ProjectID
	key     EraseKey
	users   map[UserHash]IngestID
	newest  IngestID
}

// UpTo is the ingest id up to which a user's events are erased, zero for none.
func (s *Suppression) UpTo(distinctID string) IngestID {
	return s.users[s.key.HashUser(s.project, distinctID)]
}

// Newest is the greatest ingest id that is suppressed of any user.
func (s *Suppression) Newest() IngestID { return s.newest }

func (s *Suppression) add(e *Erasure) {
	if e.ID.Compare(s.users[e.User]) > 0 {
		s.users[e.User] = e.ID
	}
	if e.ID.Compare(s.newest) > 0 {
		s.newest = e.ID
	}
}

// userBucket is a project's bucket of all days.
type userBucket struct {
	project ProjectID
	bucket  uint16
}

// suppressions finds erasures by bucket: all, and those that are not done.
type suppressions struct{ all, pending map[userBucket]*Suppression }

func (c *Catalog) newSuppressions() *suppressions {
	if len(c.Erasures) == 0 {
		return nil
	}
	s := &suppressions{map[userBucket]*Suppression{}, map[userBucket]*Suppression{}}
	for i := range c.Erasures {
		e := &c.Erasures[i]
		at := userBucket{e.Project, e.Bucket}
		for _, of := range []map[userBucket]*Suppression{s.all, s.pending} {
			if of[at] == nil {
				of[at] = c.emptySuppression(e.Project)
			}
			if of[at].add(e); e.State == ErasureDone {
				break
			}
		}
	}
	return s
}

func (c *Catalog) emptySuppression(p ProjectID) *Suppression {
	return &Suppression{project: p, key: c.EraseKey, users: map[UserHash]IngestID{}}
}

// Suppressed says which events of a bucket are erased and may not come in again; nil
// for none.
func (c *Catalog) Suppressed(p ProjectID, bucket uint16) *Suppression {
	if c.suppressions == nil {
		return nil
	}
	return c.suppressions.all[userBucket{p, bucket}]
}

// Erasing says which events of a bucket are erased and may still be in files; nil for
// none.
func (c *Catalog) Erasing(p ProjectID, bucket uint16) *Suppression {
	if c.suppressions == nil {
		return nil
	}
	return c.suppressions.pending[userBucket{p, bucket}]
}

// Erasure is the erasure of that id, and what it alone suppresses.
func (c *Catalog) Erasure(id IngestID) (*Erasure, *Suppression, bool) {
	i := c.erasure(id)
	if i < 0 {
		return nil, nil, false
	}
	s := c.emptySuppression(c.Erasures[i].Project)
	s.add(&c.Erasures[i])
	return &c.Erasures[i], s, true
}

func (c *Catalog) erasure(id IngestID) int {
	return slices.IndexFunc(c.Erasures, func(e Erasure) bool { return e.ID == id })
}

// ErasedEvents is how many events erasures removed from a shard.
func (c *Catalog) ErasedEvents(k ShardKey) uint64 {
	i, ok := c.erasedShard(k)
	if !ok {
		return 0
	}
	return c.Erased[i].Events
}

func (c *Catalog) erasedShard(k ShardKey) (int, bool) {
	return slices.BinarySearchFunc(c.Erased, k, func(e ErasedShard, k ShardKey) int { return e.Shard.Compare(k) })
}

// BeginErasure hides a user's events and keeps them from coming in again.
type BeginErasure struct {
	Project ProjectID
	ID      IngestID
	Bucket  uint16
	// Key is the catalog's, or a new one for the first erasure, and User of that key.
	Key  EraseKey
	User UserHash
}

func (b BeginErasure) apply(n *next) error {
	p, err := n.project(b.Project)
	if err != nil {
		return err
	}
	switch {
	case b.Bucket >= p.Buckets:
		return fmt.Errorf("project %q: %w: it has no user bucket %d", p.Name, ErrLimit, b.Bucket)
	case len(n.Erasures) >= MaxErasures:
		return fmt.Errorf("%w: %d users were erased, and none may be forgotten", ErrLimit, len(n.Erasures))
	case b.Key == EraseKey{} || n.EraseKey != EraseKey{} && n.EraseKey != b.Key:
		return ErrEraseKey
	case n.erasure(b.ID) >= 0:
		return fmt.Errorf("erasure %s: %w", b.ID, ErrErasurePending)
	}
	for i := range n.Erasures {
		if e := &n.Erasures[i]; e.Project == b.Project && e.User == b.User && e.State != ErasureDone {
			return fmt.Errorf("erasure %s: %w", e.ID, ErrErasurePending)
		}
	}
	n.EraseKey = b.Key
	n.setErasures(append(slices.Clone(n.Erasures), Erasure{Project: b.Project, ID: b.ID, Bucket: b.Bucket, User: b.User}))
	return nil
}

func (n *next) setErasures(erasures []Erasure) {
	if len(erasures) == 0 {
		erasures = nil
	}
	n.Erasures = erasures
	n.suppressions = n.newSuppressions()
}

// CountErasure puts on record what an erasure is going to remove.
type CountErasure struct {
	ID              IngestID
	Before, Removed RecordSum
	// Shards are those that it removes events from.
	Shards []ErasedShard
}

func (c CountErasure) apply(n *next) error {
	i := n.erasure(c.ID)
	if i < 0 || n.Erasures[i].State != ErasureBegun {
		return fmt.Errorf("count erasure %s: %w", c.ID, ErrNoErasure)
	}
	erased := slices.Clone(n.Erased)
	for _, s := range c.Shards {
		at, found := (&Catalog{Erased: erased}).erasedShard(s.Shard)
		if !found {
			erased = slices.Insert(erased, at, ErasedShard{Shard: s.Shard})
		}
		erased[at].Events += s.Events
	}
	if len(erased) > maxErasedShards {
		return fmt.Errorf("%w: events of %d shards were erased", ErrLimit, len(erased))
	}
	n.Erased = erased
	erasures := slices.Clone(n.Erasures)
	e := &erasures[i]
	e.State, e.Before, e.Removed = ErasureCounted, c.Before, c.Removed
	n.setErasures(erasures)
	return nil
}

// CountErasedRows puts on record how many rows of mutable tables an erasure removed.
type CountErasedRows struct {
	ID   IngestID
	Rows uint64
}

func (c CountErasedRows) apply(n *next) error {
	i := n.erasure(c.ID)
	if i < 0 || n.Erasures[i].State == ErasureDone {
		return fmt.Errorf("count rows of erasure %s: %w", c.ID, ErrNoErasure)
	}
	erasures := slices.Clone(n.Erasures)
	erasures[i].Rows = c.Rows
	n.setErasures(erasures)
	return nil
}

// WithErasures gives a catalog of the past that suppresses what a later one of the same
// history does, as it must where data of the past come back: each erasure has just begun.
func (c *Catalog) WithErasures(later *Catalog) (*Catalog, error) {
	n := &next{Catalog: *c}
	erasures := slices.Clone(c.Erasures)
	for _, e := range later.Erasures {
		if _, ok := c.ProjectByID(e.Project); ok && c.erasure(e.ID) < 0 {
			erasures = append(erasures, Erasure{Project: e.Project, ID: e.ID, Bucket: e.Bucket, User: e.User})
		}
	}
	if len(erasures) == len(c.Erasures) {
		return c, nil
	}
	if c.EraseKey != (EraseKey{}) && c.EraseKey != later.EraseKey {
		return nil, ErrEraseKey
	}
	n.EraseKey = later.EraseKey
	n.Version++
	n.setErasures(erasures)
	return &n.Catalog, nil
}

// EndErasure says that the events are nowhere any more.
type EndErasure struct {
	ID IngestID
	At int64
}

func (c EndErasure) apply(n *next) error {
	i := n.erasure(c.ID)
	if i < 0 || n.Erasures[i].State != ErasureCounted {
		return fmt.Errorf("end erasure %s: %w", c.ID, ErrNoErasure)
	}
	erasures := slices.Clone(n.Erasures)
	erasures[i].State, erasures[i].DoneAt = ErasureDone, c.At
	n.setErasures(erasures)
	return nil
}

// forgetErasures forgets those of a project that is purged: its number never comes again.
func (n *next) forgetErasures(p ProjectID) {
	n.setErasures(slices.DeleteFunc(slices.Clone(n.Erasures), func(e Erasure) bool { return e.Project == p }))
	n.Erased = slices.DeleteFunc(slices.Clone(n.Erased), func(e ErasedShard) bool { return e.Shard.Project == p })
	if len(n.Erased) == 0 {
		n.Erased = nil
	}
}
