package cluster

import (
	"context"
	"errors"
	"time"
)

// ErrRefused: what an operator asks for would do harm, or cannot be done. The rest of
// the text says what helps.
var ErrRefused = errors.New("refused")

// Control is what an operator can see of a cluster and do to it, through any
// member. The member alone has none.
type Control interface {
	// Members are all members, removed ones included.
	Members() ([]MemberRow, error)
	// Replicas are the replicas of all buckets.
	Replicas() ([]ReplicaRow, error)
	// Jobs are the moves under way.
	Jobs() ([]JobRow, error)

	// JoinToken makes a token by which one new member joins.
	JoinToken(ctx context.Context, validFor time.Duration) (string, error)
	// Drain has what a member holds moved to others; Restore takes that back.
	Drain(ctx context.Context, id string, force bool) error
	Restore(ctx context.Context, id string) error
	// Remove ends a membership for ever.
	Remove(ctx context.Context, id string, force bool) error
	// Replace drains a member whose part another one, already there, will take.
	Replace(ctx context.Context, id, by string) error
	// Rebalance has the leader look now, and says how many buckets are to move.
	Rebalance(ctx context.Context) (moving int, err error)
	// TransferLeader lets that member lead, or, for no id, whichever is best.
	TransferLeader(ctx context.Context, id string) error
}

// SetControl says how the cluster is seen and changed. It is called before anything
// else.
func (c *Cluster) SetControl(control Control) { c.control = control }

// Control is how the cluster is seen and changed, nil for a member that is alone.
func (c *Cluster) Control() Control { return c.control }

// MemberRow describes a member.
type MemberRow struct {
	ID                         string
	Addresses                  []string
	MySQL, HTTP                string // as the member says itself, if it is alive
	Zone, Role, Standing       string
	Alive, Leader, Votes, Self bool
	// Buckets counts those that it has, or gets.
	Buckets    int
	Boot       uint64
	Generation uint32
	Release    string
}

// ReplicaRow describes a replica of a bucket.
type ReplicaRow struct {
	Bucket     int
	Member     string
	Generation uint32
	Epoch      uint64
	State      string
	Alive      bool
}

// The states of a replica: its bucket is settled, or on its way, and then the
// replica stays, leaves, or arrives.
const (
	ReplicaSettled = "settled"
	ReplicaStays   = "stays"
	ReplicaLeaves  = "leaves"
	ReplicaArrives = "arrives"
)

// JobRow describes work of the whole cluster.
type JobRow struct {
	Kind, Message string
	Progress      float64
}
