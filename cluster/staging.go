package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/cluster/protocol"
)

// DefaultStageTime is for how long a staged version is compared unless somebody says
// otherwise: two days have two closings of days in them, with late events.
const DefaultStageTime = 48 * time.Hour

// DefaultReplicas is how many copies there are of each event, as far as there are members,
// unless the setting replicas says otherwise.
const DefaultReplicas = 3

// Replicated says whether there are other members that events are on.
func (c *Cluster) Replicated() bool { return c.members != nil && len(c.members.o.Present()) > 1 }

// errAlone says what one server does instead.
func errAlone() error {
	return fmt.Errorf("%w: a stage holds a new version's files against those of other members, and this server is alone; each of its files is proven against what it is made of: "+
		"CALL arbor.set_setting('%s', …) has new files made by another version, and back", ErrRefused, catalog.SettingIndexVersion)
}

// Stage has canaries, given by the beginnings of their ids, index by another version for
// a time; without any, it chooses the member with the greatest id.
func (c *Cluster) Stage(ctx context.Context, version uint32, canaries []string, during time.Duration, now time.Time) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.calls.Done()
	if !c.Replicated() {
		return errAlone()
	}
	m := c.members
	present := sortedMembers(m.o.Present())
	var chosen []protocol.MemberID
	for _, name := range canaries {
		id, err := canaryOf(name, present)
		if err != nil {
			return err
		}
		chosen = append(chosen, id)
	}
	if len(chosen) == 0 {
		chosen = present[len(present)-1:]
	}
	copies := c.Catalog().Replicas()
	if copies == 0 {
		copies = DefaultReplicas
	}
	if copies = min(copies, len(present)); len(chosen) >= copies {
		return fmt.Errorf("%w: with %d canaries and %d copies of each event there may be events that canaries alone have, and nobody to compare them with", ErrRefused, len(chosen), copies)
	}
	within, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	for _, r := range m.stageReports(within, present, stageAsk{Report: true}) {
		switch {
		case r.Problem != "":
			return fmt.Errorf("%w: member %s: %s; a version is staged while all members are up", ErrRefused, r.Member, r.Problem)
		case r.Newest < version:
			return fmt.Errorf("%w: member %s has an arbor that knows index versions up to %d alone; upgrade it first", ErrRefused, r.Member, r.Newest)
		}
	}
	change := catalog.BeginStage{To: version, Since: now.UnixMicro(), Until: now.Add(during).UnixMicro()}
	for _, id := range chosen {
		change.Members = append(change.Members, catalog.MemberKey(id))
	}
	_, err := c.metadata.Change(ctx, change)
	return err
}

// Promote makes the staged version everybody's. It refuses before the time is over, after
// a difference, and unless all that canaries made was compared; force does not.
func (c *Cluster) Promote(ctx context.Context, force bool, now time.Time) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.calls.Done()
	stage := c.Catalog().Stage
	if stage == nil || c.members == nil {
		return catalog.ErrNotStaged
	}
	if !force {
		if why := c.members.notReady(ctx, stage, now); why != "" {
			return fmt.Errorf("%w: index version %d is not promoted: %s", ErrRefused, stage.To, why)
		}
	}
	_, err := c.metadata.Change(ctx, catalog.PromoteStage{Since: stage.Since})
	return err
}

// notReady says why a stage cannot be promoted, empty if it can.
func (m *Members) notReady(ctx context.Context, stage *catalog.Stage, now time.Time) string {
	if stage.State != catalog.StageRunning {
		return fmt.Sprintf("it is %s: %s", stage.State, stage.Reason)
	}
	if left := time.UnixMicro(stage.Until).Sub(now); left > 0 {
		return fmt.Sprintf("it is compared for another %s", left.Round(time.Second))
	}
	for _, r := range m.stageReports(ctx, canariesOf(stage), stageAsk{Compare: stage.Since}) {
		switch {
		case r.Problem != "":
			return fmt.Sprintf("member %s: %s", r.Member, r.Problem)
		case r.Stopped != "":
			return r.Stopped
		case r.Since != stage.Since:
			return fmt.Sprintf("member %s does not know of it yet", r.Member)
		case r.Shards == 0:
			return fmt.Sprintf("member %s has made no file by it", r.Member)
		case r.Compared < r.Shards:
			return fmt.Sprintf("of %d shards of which member %s has made files %d were not compared yet: at no moment had another replica the same batches", r.Shards, r.Member, r.Shards-r.Compared)
		}
	}
	return ""
}

func canariesOf(stage *catalog.Stage) (ids []protocol.MemberID) {
	for _, key := range stage.Members {
		ids = append(ids, protocol.MemberID(key))
	}
	return ids
}

// RollBack takes a stage back: nobody indexes by its version any more, and canaries
// replace what they made by what other replicas have. What cannot be done now they go on
// with by themselves.
func (c *Cluster) RollBack(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.calls.Done()
	stage := c.Catalog().Stage
	if stage == nil || c.members == nil {
		return catalog.ErrNotStaged
	}
	if _, err := c.metadata.Change(ctx, catalog.RollBackStage{Since: stage.Since}); err != nil {
		return err
	}
	present := map[protocol.MemberID]bool{}
	for _, id := range c.members.o.Present() {
		present[id] = true
	}
	var errs []error
	for _, id := range canariesOf(stage) {
		var err error
		if present[id] {
			_, err = c.members.askStage(ctx, id, stageAsk{RollBack: stage.Since})
		} else { // it is no member any more
			_, err = c.metadata.Change(ctx, catalog.RolledBack{Since: stage.Since, Member: catalog.MemberKey(id)})
		}
		if err != nil && !errors.Is(err, catalog.ErrNotStaged) {
			errs = append(errs, fmt.Errorf("member %s: %w", id, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("index version %d is in force again everywhere, and not everything made by version %d is replaced yet, which goes on by itself: %w", stage.From, stage.To, err)
	}
	return nil
}

// StageReports say how far each canary has come; nil if nothing is staged.
func (c *Cluster) StageReports(ctx context.Context) (*catalog.Stage, []StageReport, error) {
	if err := c.begin(); err != nil {
		return nil, nil, err
	}
	defer c.calls.Done()
	stage := c.Catalog().Stage
	if stage == nil || c.members == nil {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return stage, c.members.stageReports(ctx, canariesOf(stage), stageAsk{Report: true}), nil
}

// ParseCanaries reads ids, or their beginnings, with commas between them.
func ParseCanaries(text string) (names []string) {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
