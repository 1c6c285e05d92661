package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of staged changes.
var (
	// ErrStaged: another change of the indexer's version is under way.
	ErrStaged = errors.New("a new index version is staged already")
	// ErrNotStaged: nothing is staged, or it is not in the state for it.
	ErrNotStaged = errors.New("no index version is staged")
)

// Limits of staged changes.
const (
	// MaxCanaries is how many members may run a staged version.
	MaxCanaries = 64
	// MaxStageTime is for how long a version may be compared.
	MaxStageTime = 90 * 24 * time.Hour
	// maxStageReason bounds why a stage was stopped, in bytes.
	maxStageReason = 2000
	// maxIndexVersion is more than there will ever be, so that a catalog of a newer arbor
	// can be read.
	maxIndexVersion = 1 << 16
)

// The versions of the indexer, which are those of the files that it writes. All that were
// ever written are read.
const (
	// NewestIndexVersion is the newest that this arbor can write.
	NewestIndexVersion = 2
	// defaultIndexVersion is what is written unless somebody decides. It follows the
	// newest one release later, so that a new version is staged before it is the rule.
	defaultIndexVersion = 2
)

// MemberKey is the id of a member of a cluster; zero for a server that is alone.
type MemberKey [16]byte

// StageState says how far a staged change has come.
type StageState uint8

// The states of a stage. It ends by being promoted or when all canaries have rolled back.
const (
	StageRunning     StageState = iota // canaries index by the new version, and are compared
	StageStopped                       // a difference was found: nobody does any more
	StageRollingBack                   // canaries replace what they made by it
)

func (s StageState) String() string {
	return [...]string{"running", "stopped", "rolling back"}[s]
}

// Stage is a change of the indexer's version that some members run before all others.
type Stage struct {
	From, To uint32
	// Members are the canaries, ascending; those that have rolled back are taken out.
	Members []MemberKey
	// Since is when it began, and Until when it may be promoted, in microseconds.
	Since, Until int64
	State        StageState
	// StoppedAt is when a difference was found, in microseconds, and Reason which; 0 and
	// empty before.
	StoppedAt int64
	Reason    string
}

// Has says whether a member is one of the canaries.
func (s *Stage) Has(m MemberKey) bool { return slices.Contains(s.Members, m) }

// IndexVersion is the setting index_version.
func (c *Catalog) IndexVersion() uint32 { return uint32(c.number(SettingIndexVersion)) }

// IndexVersionOn is the version that a member indexes by.
func (c *Catalog) IndexVersionOn(m MemberKey) uint32 {
	if s := c.StageOn(m); s != nil && s.State == StageRunning {
		return s.To
	}
	return c.IndexVersion()
}

// StageOn is the stage of which a member is a canary, nil for none.
func (c *Catalog) StageOn(m MemberKey) *Stage {
	if c.Stage == nil || !c.Stage.Has(m) {
		return nil
	}
	return c.Stage
}

// BeginStage has some members index by another version.
type BeginStage struct {
	To           uint32
	Members      []MemberKey
	Since, Until int64
}

func (b BeginStage) apply(n *next) error {
	members := slices.Clone(b.Members)
	slices.SortFunc(members, func(a, b MemberKey) int { return slices.Compare(a[:], b[:]) })
	members = slices.Compact(members)
	switch {
	case n.Stage != nil:
		return ErrStaged
	case len(members) == 0 || len(members) > MaxCanaries:
		return fmt.Errorf("%w: %d canaries, from 1 to %d are allowed", ErrLimit, len(members), MaxCanaries)
	case b.To == 0 || b.To > maxIndexVersion || b.To == n.IndexVersion():
		return fmt.Errorf("index version %d: %w: %d is in force", b.To, ErrSetting, n.IndexVersion())
	case b.Until < b.Since || b.Until-b.Since > MaxStageTime.Microseconds():
		return fmt.Errorf("%w: a version is compared for at most %s", ErrLimit, MaxStageTime)
	}
	n.Stage = &Stage{From: n.IndexVersion(), To: b.To, Members: members, Since: b.Since, Until: b.Until}
	return nil
}

// StopStage ends indexing by the staged version: something differs. Of several the first
// one counts.
type StopStage struct {
	// Since is that of the stage which is meant.
	Since, At int64
	Reason    string
}

func (s StopStage) apply(n *next) error {
	if n.Stage == nil || n.Stage.Since != s.Since {
		return ErrNotStaged
	}
	if n.Stage.State != StageRunning {
		n.unchanged = true
		return nil
	}
	stage := *n.Stage
	stage.State, stage.StoppedAt, stage.Reason = StageStopped, s.At, s.Reason[:min(len(s.Reason), maxStageReason)]
	n.Stage = &stage
	return nil
}

// PromoteStage makes the staged version everybody's. Whether the time is over and nothing
// differs is for who asks.
type PromoteStage struct{ Since int64 }

func (p PromoteStage) apply(n *next) error {
	if n.Stage == nil || n.Stage.Since != p.Since || n.Stage.State == StageRollingBack {
		return ErrNotStaged
	}
	to := n.Stage.To
	n.Stage = nil
	return SetSetting{Name: SettingIndexVersion, Value: fmt.Sprint(to)}.apply(n)
}

// RollBackStage has the canaries replace what they made by the staged version.
type RollBackStage struct{ Since int64 }

func (r RollBackStage) apply(n *next) error {
	if n.Stage == nil || n.Stage.Since != r.Since {
		return ErrNotStaged
	}
	if n.Stage.State == StageRollingBack {
		n.unchanged = true
		return nil
	}
	stage := *n.Stage
	stage.State = StageRollingBack
	n.Stage = &stage
	return nil
}

// RolledBack says that a canary has nothing of the staged version any more. With the last
// one the stage ends.
type RolledBack struct {
	Since  int64
	Member MemberKey
}

func (r RolledBack) apply(n *next) error {
	if n.Stage == nil || n.Stage.Since != r.Since || n.Stage.State != StageRollingBack {
		return ErrNotStaged
	}
	if !n.Stage.Has(r.Member) {
		n.unchanged = true
		return nil
	}
	stage := *n.Stage
	stage.Members = slices.DeleteFunc(slices.Clone(stage.Members), func(m MemberKey) bool { return m == r.Member })
	if n.Stage = &stage; len(stage.Members) == 0 {
		n.Stage = nil
	}
	return nil
}
